package powercut

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// calls are what a recording needs: everything that changes a file, a directory
// or a position in a file.
const calls = "open,openat,creat,read,write,pwrite64,writev,pwritev,pwritev2,lseek,truncate,ftruncate,fallocate," +
	"fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,link,linkat,symlink,symlinkat,copy_file_range,sendfile"

// Args are strace's arguments before the command that is recorded to a file.
// Only what the process itself does is taken, not what its children do.
func Args(file string) []string {
	return []string{"-f", "-ttt", "-y", "-s", "33554432", "-e", "trace=" + calls, "-e", "signal=none", "-o", file}
}

// Call is one finished system call.
type Call struct {
	At     time.Time // when it began
	Thread int
	Name   string
	Args   []string // as strace writes them
	Result int64    // negative: it failed
	// Path is what strace shows for a descriptor that was returned.
	Path string
}

// Parse reads a recording. Calls are in the order in which they ended; one that
// never ended is left out.
func Parse(r io.Reader) ([]Call, error) {
	var out []Call
	open := map[int]string{} // by thread: the beginning of a call
	lines := bufio.NewReaderSize(r, 1<<20)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			c, ok, perr := parseLine(string(bytes.TrimRight(line, "\n")), open)
			if perr != nil {
				return nil, fmt.Errorf("line %d: %w", n, perr)
			}
			if ok {
				out = append(out, c)
			}
		}
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

const unfinished = " <unfinished ...>"

func parseLine(line string, open map[int]string) (Call, bool, error) {
	thread, rest, ok := strings.Cut(line, " ")
	id, err := strconv.Atoi(thread)
	if !ok || err != nil {
		return Call{}, false, fmt.Errorf("no thread in %.80q", line)
	}
	at, text, ok := strings.Cut(strings.TrimLeft(rest, " "), " ")
	if !ok {
		return Call{}, false, fmt.Errorf("no time in %.80q", line)
	}
	switch {
	case strings.HasPrefix(text, "+++"), strings.HasPrefix(text, "---"):
		return Call{}, false, nil
	case strings.HasSuffix(text, unfinished):
		open[id] = at + " " + strings.TrimSuffix(text, unfinished)
		return Call{}, false, nil
	case strings.HasPrefix(text, "<... "):
		_, end, ok := strings.Cut(text, " resumed>")
		if !ok || open[id] == "" {
			return Call{}, false, fmt.Errorf("a call ends that did not begin: %.80q", line)
		}
		at, text, _ = strings.Cut(open[id]+end, " ")
		delete(open, id)
	}
	return parseCall(id, at, text)
}

func parseCall(thread int, at, text string) (Call, bool, error) {
	seconds, err := strconv.ParseFloat(at, 64)
	if err != nil {
		return Call{}, false, fmt.Errorf("no time in %.80q", text)
	}
	c := Call{At: time.UnixMicro(int64(seconds * 1e6)), Thread: thread}
	name, rest, ok := strings.Cut(text, "(")
	if !ok {
		return Call{}, false, fmt.Errorf("no call in %.80q", text)
	}
	c.Name = name
	var after string
	if c.Args, after, err = splitArgs(rest); err != nil {
		return Call{}, false, fmt.Errorf("%s: %w", name, err)
	}
	_, result, ok := strings.Cut(after, "= ")
	if !ok || strings.HasPrefix(result, "?") { // the process ended in it
		return Call{}, false, nil
	}
	number := result
	if i := strings.IndexAny(result, " <"); i >= 0 {
		number = result[:i]
	}
	if c.Result, err = strconv.ParseInt(number, 0, 64); err != nil {
		return Call{}, false, fmt.Errorf("%s: result %.40q", name, result)
	}
	_, c.Path = descriptor(result)
	return c, true, nil
}

// splitArgs splits at the commas that are not in strings, brackets or the paths
// of descriptors, up to the call's closing parenthesis.
func splitArgs(s string) (args []string, after string, err error) {
	depth, begin := 0, 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			for i++; i < len(s) && s[i] != '"'; i++ {
				if s[i] == '\\' {
					i++
				}
			}
		case '(', '[', '{', '<':
			depth++
		case ']', '}', '>':
			depth--
		case ',':
			if depth == 0 {
				args = append(args, strings.TrimSpace(s[begin:i]))
				begin = i + 1
			}
		case ')':
			if depth == 0 {
				if last := strings.TrimSpace(s[begin:i]); last != "" {
					args = append(args, last)
				}
				return args, s[i+1:], nil
			}
			depth--
		}
	}
	return nil, "", fmt.Errorf("no end in %.80q", s)
}

// descriptor reads a number and the path behind it: 5</tmp/x>.
func descriptor(s string) (fd int, path string) {
	number, rest, ok := strings.Cut(s, "<")
	if !ok {
		number = s
	}
	fd, err := strconv.Atoi(strings.TrimSpace(number))
	if err != nil {
		return -1, ""
	}
	path, _, _ = strings.Cut(rest, ">")
	return fd, path
}

// unquote reads one of strace's strings.
func unquote(s string) ([]byte, error) {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return nil, fmt.Errorf("not a whole string: %.60q", s)
	}
	s = s[1 : len(s)-1]
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out = append(out, s[i])
			continue
		}
		i++
		if i == len(s) {
			return nil, fmt.Errorf("a string ends in a backslash")
		}
		if at := strings.IndexByte(`abtnvfr`, s[i]); at >= 0 {
			out = append(out, byte(7+at))
			continue
		}
		if s[i] < '0' || s[i] > '7' {
			out = append(out, s[i])
			continue
		}
		n := 0
		for digits := 0; digits < 3 && i < len(s) && s[i] >= '0' && s[i] <= '7'; digits++ {
			n = n*8 + int(s[i]-'0')
			i++
		}
		i--
		out = append(out, byte(n))
	}
	return out, nil
}
