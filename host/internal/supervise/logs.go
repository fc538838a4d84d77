package supervise

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/time/rate"
)

const (
	// maxLine bounds one line of a plugin's log, in bytes; the rest is cut off.
	maxLine = 8 << 10
	// linesPerSecond bounds a plugin's log; what exceeds it is counted.
	linesPerSecond = 100
	lineBurst      = 1000
	// tailLines are kept to explain an exit.
	tailLines = 5
)

// logSink turns what a plugin prints into records of the host's log. hclog's and
// slog's JSON lines keep their level and attributes, source among them; other
// lines are taken as they are.
type logSink struct {
	log   *slog.Logger // carries the plugin's name
	limit *rate.Limiter

	mu      sync.Mutex
	dropped int
	panics  bool
	tail    []string // of standard error
}

func newLogSink(log *slog.Logger) *logSink {
	return &logSink{log: log, limit: rate.NewLimiter(linesPerSecond, lineBurst)}
}

// last returns the end of standard error on one line, to explain an exit.
func (s *logSink) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.tail, " / ")
}

// writer returns a writer that logs each line. It must be flushed at the end.
func (s *logSink) writer(stream string) *lineWriter { return &lineWriter{sink: s, stream: stream} }

func (s *logSink) line(stream string, line []byte) {
	line = bytes.TrimRight(line, "\r")
	if len(line) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	allowed := s.limit.Allow()
	if !allowed && line[0] == '{' {
		s.dropped++ // without the work of reading it
		return
	}
	record := parseLine(line)
	if stream == "stderr" {
		s.remember(record)
	}
	if !allowed {
		s.dropped++
		return
	}
	if s.dropped > 0 {
		s.log.Warn("plugin logs too much; lines were dropped", "lines", s.dropped)
		s.dropped = 0
	}
	if record.plain {
		// What follows a panic is its stack.
		s.panics = s.panics || strings.HasPrefix(record.message, "panic: ") ||
			strings.HasPrefix(record.message, "fatal error: ")
		if s.panics {
			record.level = slog.LevelError
		}
	}
	s.log.LogAttrs(context.Background(), record.level, record.message, record.attrs...)
}

// remember keeps what may explain an exit: the last lines, but of a panic the
// first ones.
func (s *logSink) remember(r record) {
	if r.level < slog.LevelInfo || s.panics && len(s.tail) == tailLines {
		return
	}
	if len(s.tail) == tailLines {
		s.tail = slices.Delete(s.tail, 0, 1)
	}
	s.tail = append(s.tail, shorten(r.message, 300))
}

// record is one line of a plugin's log.
type record struct {
	level   slog.Level
	message string
	attrs   []slog.Attr
	plain   bool // it was no JSON
}

func parseLine(line []byte) record {
	var fields map[string]any
	if line[0] != '{' || json.Unmarshal(line, &fields) != nil {
		return parsePlain(string(line))
	}
	r := record{level: slog.LevelInfo}
	for _, key := range []string{"@level", "level"} {
		if name, ok := fields[key].(string); ok {
			r.level = parseLevel(name)
			delete(fields, key)
			break
		}
	}
	for _, key := range []string{"@message", "msg", "message"} {
		if text, ok := fields[key].(string); ok {
			r.message = text
			delete(fields, key)
			break
		}
	}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		switch key {
		case "@timestamp", "timestamp", "time", "plugin":
			// The host's log has its own.
		default:
			r.attrs = append(r.attrs, slog.Any(strings.TrimPrefix(key, "@"), fields[key]))
		}
	}
	return r
}

func parsePlain(line string) record {
	r := record{level: slog.LevelInfo, message: line, plain: true}
	if name, _, ok := strings.Cut(strings.TrimPrefix(line, "["), "]"); ok && line[0] == '[' {
		r.level = parseLevel(name)
	}
	return r
}

func parseLevel(name string) slog.Level {
	switch strings.ToLower(name) {
	case "trace", "debug":
		return slog.LevelDebug
	case "warn", "warning":
		return slog.LevelWarn
	case "error", "fatal", "panic":
		return slog.LevelError
	default:
		return slog.LevelInfo
	}
}

// lineWriter cuts a stream into lines of bounded length.
type lineWriter struct {
	sink   *logSink
	stream string
	line   []byte
}

// Write never fails.
func (w *lineWriter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n')
		part := rest
		if end >= 0 {
			part = rest[:end]
		}
		w.line = append(w.line, part[:min(len(part), maxLine-len(w.line))]...)
		if end < 0 {
			break
		}
		w.flush()
		rest = rest[end+1:]
	}
	return len(p), nil
}

// flush logs what has no end of line yet.
func (w *lineWriter) flush() {
	w.sink.line(w.stream, w.line)
	w.line = w.line[:0]
}
