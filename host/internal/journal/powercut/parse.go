package powercut

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Trace is a log of system calls, in the order in which they returned.
type Trace struct {
	root   string
	cwd    string
	calls  []call
	births map[int]birth // of the threads that others made
}

type birth struct {
	parent      int
	sharesFiles bool
}

// call is one system call that has returned.
type call struct {
	thread int
	began  time.Time
	// before is the number of calls that had returned when this one began.
	before int
	name   string
	args   []string
	result int64 // negative: it failed
	hung   bool  // the process ended in it: nobody knows what it has done
}

// Event is a call as a test sees it, to find the place of a cut.
type Event struct {
	// Began is when the call was made. What somebody learnt before it, learnt it
	// from calls that had returned.
	Began time.Time
	Name  string
	// FD and Output are set where the call wrote to a descriptor that is not a
	// file below the root, such as standard output.
	FD     int
	Output []byte
}

// Parse reads a log that Command made strace write. root is the absolute path of
// the directory that is followed, which was empty, or not there, when the process
// began; cwd is the process's working directory then.
func Parse(log io.Reader, root, cwd string) (*Trace, error) {
	t := &Trace{root: root, cwd: cwd, births: make(map[int]birth)}
	p := parser{trace: t, unfinished: make(map[int]begun)}
	in := bufio.NewReaderSize(log, 1<<20)
	for n := 1; ; n++ {
		line, err := in.ReadString('\n')
		ended := errors.Is(err, io.EOF)
		if ended && line == "" {
			return t, p.end()
		}
		if err == nil || ended {
			err = p.line(strings.TrimSuffix(line, "\n"))
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
}

// parser joins the two lines of a call during which others were made.
type parser struct {
	trace      *Trace
	unfinished map[int]begun // by thread
}

type begun struct {
	text   string
	at     time.Time
	before int
}

func (p *parser) line(line string) error {
	thread, at, text, ok := splitLine(line)
	if !ok {
		return fmt.Errorf("not strace's: %.80q", line)
	}
	switch {
	case strings.HasPrefix(text, "+++"), strings.HasPrefix(text, "---"):
		return nil
	case strings.HasPrefix(text, "???"), strings.HasSuffix(text, " <detached ...>"):
		return nil // strace has lost a thread that was ending
	}
	b := begun{text, at, len(p.trace.calls)}
	if head, ok := strings.CutSuffix(text, " <unfinished ...>"); ok {
		if b.text = head; !strings.HasPrefix(head, "close(") {
			p.unfinished[thread] = b
			return nil
		}
		// The number is free before the call returns, and the log may show it
		// taken again before that.
		b.text += ") = 0"
	}
	if strings.HasPrefix(text, "<... ") {
		_, rest, ok := strings.Cut(text, " resumed>")
		if !ok {
			return fmt.Errorf("no system call: %.80q", text)
		}
		if b, ok = p.unfinished[thread]; !ok {
			return nil // a close
		}
		b.text += rest
		delete(p.unfinished, thread)
	}
	c, err := parseCall(b.text)
	if err != nil {
		return err
	}
	c.thread, c.began, c.before = thread, b.at, b.before
	p.add(c)
	return nil
}

// end adds the calls that never returned.
func (p *parser) end() error {
	for thread, b := range p.unfinished {
		c, err := parseCall(b.text + ") = ?")
		if err != nil {
			return err
		}
		c.thread, c.began, c.before = thread, b.at, b.before
		p.add(c)
	}
	return nil
}

func (p *parser) add(c call) {
	p.trace.calls = append(p.trace.calls, c)
	switch c.name {
	case "clone", "clone3", "fork", "vfork":
		if c.result > 0 {
			p.trace.births[int(c.result)] = birth{c.thread, strings.Contains(strings.Join(c.args, "|"), "CLONE_FILES")}
		}
	}
}

func splitLine(line string) (thread int, at time.Time, text string, ok bool) {
	number, rest, ok1 := strings.Cut(line, " ")
	stamp, text, ok2 := strings.Cut(strings.TrimLeft(rest, " "), " ")
	thread, err1 := strconv.Atoi(number)
	seconds, micros, ok3 := strings.Cut(stamp, ".")
	sec, err2 := strconv.ParseInt(seconds, 10, 64)
	usec, err3 := strconv.ParseInt(micros, 10, 64)
	return thread, time.Unix(sec, usec*1000), text, ok1 && ok2 && ok3 && err1 == nil && err2 == nil && err3 == nil
}

// parseCall reads "name(arguments) = result". The result of a call that never
// returned is "?".
func parseCall(text string) (call, error) {
	name, rest, ok := strings.Cut(text, "(")
	at := strings.LastIndex(rest, " = ")
	if !ok || at < 0 {
		return call{}, fmt.Errorf("no system call: %.80q", text)
	}
	args := strings.TrimRight(rest[:at], " ")
	args, ok = strings.CutSuffix(args, ")")
	if !ok {
		return call{}, fmt.Errorf("no system call: %.80q", text)
	}
	c := call{name: name, args: splitArgs(args), result: -1}
	value, _, _ := strings.Cut(rest[at+3:], " ")
	if value == "?" {
		c.hung = true
		return c, nil
	}
	result, err := strconv.ParseInt(value, 0, 64)
	if err != nil && !strings.HasPrefix(value, "0x") { // an address may exceed an int64
		return call{}, fmt.Errorf("result of %.80q: %w", text, err)
	}
	c.result = result
	return c, nil
}

// splitArgs splits at the commas that are outside all brackets. Strings are in
// hexadecimal and contain neither.
func splitArgs(s string) []string {
	var args []string
	depth, start := 0, 0
	for i := range len(s) {
		switch s[i] {
		case '[', '{', '(':
			depth++
		case ']', '}', ')':
			depth--
		case ',':
			if depth == 0 {
				args = append(args, strings.TrimSpace(s[start:i]))
				start = i + 1
			}
		}
	}
	if rest := strings.TrimSpace(s[start:]); rest != "" {
		args = append(args, rest)
	}
	return args
}

// text is the bytes of a string argument.
func (c *call) text(i int) ([]byte, error) {
	if i >= len(c.args) {
		return nil, fmt.Errorf("%s has no argument %d", c.name, i)
	}
	return unquote(c.args[i])
}

func unquote(arg string) ([]byte, error) {
	if len(arg) < 2 || arg[0] != '"' || arg[len(arg)-1] != '"' {
		return nil, fmt.Errorf("%.80q is not a whole string", arg)
	}
	return hex.DecodeString(strings.ReplaceAll(arg[1:len(arg)-1], `\x`, ""))
}

// vector is the bytes of an array of iovecs.
func (c *call) vector(i int) ([]byte, error) {
	var all []byte
	for _, part := range strings.Split(c.args[i], "iov_base=")[1:] {
		data, _, _ := strings.Cut(part, ",")
		bytes, err := unquote(data)
		if err != nil {
			return nil, err
		}
		all = append(all, bytes...)
	}
	return all, nil
}

// number is an integer argument, or a directory's AT_FDCWD.
func (c *call) number(i int) (int64, error) {
	if i >= len(c.args) {
		return 0, fmt.Errorf("%s has no argument %d", c.name, i)
	}
	if c.args[i] == "AT_FDCWD" {
		return atCwd, nil
	}
	return strconv.ParseInt(c.args[i], 0, 64)
}

const atCwd = -100

func (c *call) has(i int, flag string) bool {
	if i >= len(c.args) {
		return false
	}
	for _, f := range strings.Split(c.args[i], "|") {
		if f == flag {
			return true
		}
	}
	return false
}
