package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"github.com/wellhead-io/wellhead/host/internal/config"
)

// maxInput is the largest file of events that is read.
const maxInput = 256 * config.MiB

// eventsFile is a file of events as a person has them: one JSON object a line,
// or several lines, or all in one array.
type eventsFile struct {
	name string
	data []byte

	counted, feeds int // up to here in data there are so many line feeds
}

// written is an event at its place in a file.
type written struct {
	line int    // from 1
	json []byte // on one line, without a line feed
	// err is why there is no event here. Of the lines that follow, the next one
	// that begins with an object is read.
	err error
}

// readEvents reads a file; - is standard input.
func (s *shell) readEvents(name string) (*eventsFile, error) {
	in := s.in
	if name == "-" {
		name = "standard input"
	} else {
		f, err := os.Open(name)
		if err != nil {
			return nil, fileError(name, err)
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, int64(maxInput)+1))
	switch {
	case err != nil:
		return nil, fileError(name, err)
	case len(data) > int(maxInput):
		return nil, fmt.Errorf("%s: larger than %v; split it", name, maxInput)
	case len(bytes.TrimSpace(data)) == 0:
		return nil, fmt.Errorf("%s: there is no event in it; want one JSON object a line, or an array of them", name)
	}
	return &eventsFile{name: name, data: bytes.TrimPrefix(data, []byte("\ufeff"))}, nil
}

func fileError(name string, err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%s: there is no such file", name)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%s: no permission to read it", name)
	default:
		return fmt.Errorf("%s: %w", name, err)
	}
}

// all yields the events in order.
func (f *eventsFile) all() iter.Seq[written] {
	if bytes.HasPrefix(bytes.TrimSpace(f.data), []byte("[")) {
		return f.array
	}
	return f.lines
}

// array yields the items of one JSON array.
func (f *eventsFile) array(yield func(written) bool) {
	d := json.NewDecoder(bytes.NewReader(f.data))
	_, _ = d.Token() // the bracket, which is there
	for d.More() {
		start := f.skip(int(d.InputOffset()), ", \t\r\n")
		var item json.RawMessage
		if err := d.Decode(&item); err != nil {
			yield(f.syntaxError(err, 0, len(bytes.TrimRight(f.data, " \t\r\n"))))
			return
		}
		if !yield(written{line: f.line(start), json: compact(item)}) {
			return
		}
	}
	if _, err := d.Token(); err != nil {
		yield(f.syntaxError(err, 0, len(bytes.TrimRight(f.data, " \t\r\n"))))
		return
	}
	if rest := f.skip(int(d.InputOffset()), " \t\r\n"); rest < len(f.data) {
		yield(written{line: f.line(rest), err: errors.New("there is more after the array")})
	}
}

// lines yields JSON values that follow one another, most often one a line.
func (f *eventsFile) lines(yield func(written) bool) {
	for at := f.skip(0, " \t\r\n"); at < len(f.data); at = f.skip(at, " \t\r\n") {
		end := f.lineEnd(at)
		w := written{line: f.line(at), json: bytes.TrimSpace(f.data[at:end])}
		if !json.Valid(w.json) {
			w, end = f.longer(at, end)
		}
		if !yield(w) {
			return
		}
		at = end
	}
}

// longer reads a value that is not the rest of its line. It returns where to go
// on.
func (f *eventsFile) longer(at, end int) (written, int) {
	data := f.data[at:]
	next := f.skip(end, " \t\r\n")
	if alone := next >= len(f.data) || f.data[next] == '{' && f.data[next-1] == '\n'; alone {
		data = f.data[at:end] // the value should have ended with the line
	}
	d := json.NewDecoder(bytes.NewReader(data))
	var value json.RawMessage
	if err := d.Decode(&value); err != nil {
		return f.syntaxError(err, at, at), f.resync(end)
	}
	return written{line: f.line(at), json: compact(value)}, at + int(d.InputOffset())
}

// resync finds the next line that begins an object.
func (f *eventsFile) resync(at int) int {
	if i := bytes.Index(f.data[at:], []byte("\n{")); i >= 0 {
		return at + i + 1
	}
	return len(f.data)
}

// syntaxError places what a decoder says that began at a place. What ends too
// early is told at the line of end.
func (f *eventsFile) syntaxError(err error, began, end int) written {
	at := end
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		at = began + max(0, int(syntax.Offset)-1)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = errors.New("the value ends too early")
	}
	return written{line: f.line(at), err: fmt.Errorf("not JSON: %w", err)}
}

func (f *eventsFile) skip(at int, space string) int {
	for at < len(f.data) && bytes.IndexByte([]byte(space), f.data[at]) >= 0 {
		at++
	}
	return at
}

func (f *eventsFile) lineEnd(at int) int {
	if i := bytes.IndexByte(f.data[at:], '\n'); i >= 0 {
		return at + i
	}
	return len(f.data)
}

// line is the number of a place's line.
func (f *eventsFile) line(at int) int {
	at = min(at, len(f.data))
	if at < f.counted {
		f.counted, f.feeds = 0, 0
	}
	f.feeds += bytes.Count(f.data[f.counted:at], []byte("\n"))
	f.counted = at
	return 1 + f.feeds
}

// compact puts valid JSON on one line, and changes nothing else.
func compact(value []byte) []byte {
	var b bytes.Buffer
	if json.Compact(&b, value) != nil {
		return value
	}
	return b.Bytes()
}
