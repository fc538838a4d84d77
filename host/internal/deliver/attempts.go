package deliver

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/destination"
	"github.com/wellhead-io/wellhead/host/internal/event"
)

// Codes of attempts that are not a destination's own.
const (
	CodeOK      = "ok"
	CodePartial = "partial" // some events of the batch failed
	CodeSkipped = "skipped"
)

// Attempt is a send, or a run of sends with the same outcome.
type Attempt struct {
	Time  time.Time `json:"time"`  // when the first began
	Until time.Time `json:"until"` // when the last ended
	// From is the first event, To the position after the last one. Between them
	// are other destinations' events too.
	From event.Position `json:"from"`
	To   event.Position `json:"to"`
	// Events is how many were in the sends, Sends how many sends there were.
	Events uint64 `json:"events"`
	Sends  int    `json:"sends"`
	// Code is CodeOK, CodePartial, CodeSkipped or that of the error.
	Code  string `json:"code"`
	Error string `json:"error,omitempty"`
	// Took is the time in all sends together.
	Took time.Duration `json:"took_ns"`
}

func attemptOf(events []destination.Event, began time.Time, err error) Attempt {
	now := time.Now()
	a := Attempt{
		Time: began, Until: now, Took: now.Sub(began),
		From: events[0].Position, To: events[len(events)-1].Position + 1,
		Events: uint64(len(events)), Sends: 1, Code: CodeOK,
	}
	var p destination.Partial
	switch {
	case err == nil:
	case errors.As(err, &p):
		a.Code, a.Error = CodePartial, p.Error()
	default:
		e := destination.AsError(err)
		a.Code, a.Error = e.Code, e.Err.Error()
	}
	a.Error = a.Error[:min(len(a.Error), maxAttemptError)]
	return a
}

// follows tells whether b can be told in one with a: successes that follow each
// other, or the same failure of the same events.
func (a *Attempt) follows(b Attempt) bool {
	if a.Code != b.Code || b.Code == CodeSkipped {
		return false
	}
	if b.Code == CodeOK {
		return b.From >= a.To
	}
	return a.From == b.From && a.To == b.To && a.Error == b.Error
}

func (a *Attempt) merge(b Attempt) {
	a.Until, a.To = b.Until, max(a.To, b.To)
	a.Events += b.Events
	a.Sends += b.Sends
	a.Took += b.Took
}

const (
	maxAttemptError = 300
	// mergeFor is how long sends are told in one before they are written.
	mergeFor = time.Minute
	// The log is two files of this size; the older goes when the newer is full
	// or has lasted keepAttempts.
	maxAttemptFile = 4 << 20
	keepAttempts   = 7 * 24 * time.Hour
)

// attemptLog keeps attempts as JSON Lines. It is not synced: what it holds
// matters for questions, not for delivery, and so its failures stop nothing.
type attemptLog struct {
	path, older string
	log         *slog.Logger

	mu      sync.Mutex
	f       *os.File
	size    int64
	since   time.Time // of the first in f
	pending *Attempt
	failing bool // the last write did
}

func openAttempts(dir string, log *slog.Logger) (*attemptLog, error) {
	a := &attemptLog{path: filepath.Join(dir, "attempts.jsonl"), older: filepath.Join(dir, "attempts.1.jsonl"), log: log}
	return a, a.open()
}

func (a *attemptLog) open() error {
	f, err := os.OpenFile(a.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	a.f, a.size, a.since = f, info.Size(), time.Now()
	err = eachLine(a.path, func(first Attempt) bool {
		a.since = first.Time
		return false
	})
	last := []byte{'\n'}
	if a.size > 0 {
		_, rerr := f.ReadAt(last, a.size-1)
		err = errors.Join(err, rerr)
	}
	if err == nil && last[0] != '\n' {
		_, err = f.Write([]byte{'\n'}) // a kill tore the last line
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	return nil
}

// add notes an attempt.
func (a *attemptLog) add(n Attempt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pending != nil && a.pending.follows(n) && n.Until.Sub(a.pending.Time) < mergeFor {
		a.pending.merge(n)
		return
	}
	a.writePending()
	a.pending = &n
}

// deadline is when the pending attempt is to be written; zero: there is none.
func (a *attemptLog) deadline() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pending == nil {
		return time.Time{}
	}
	return a.pending.Time.Add(mergeFor)
}

// writeOld writes the pending attempt if it is older than mergeFor.
func (a *attemptLog) writeOld() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pending != nil && time.Since(a.pending.Time) >= mergeFor {
		a.writePending()
	}
}

// write writes the pending attempt.
func (a *attemptLog) write() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.writePending()
}

func (a *attemptLog) writePending() {
	if a.pending == nil {
		return
	}
	line, err := json.Marshal(a.pending)
	if err == nil {
		err = a.append(append(line, '\n'))
	}
	a.pending = nil
	if err != nil && !a.failing {
		a.log.Warn("attempts of delivery are not recorded", "code", "attempt_log", "reason", err)
	}
	a.failing = err != nil
}

func (a *attemptLog) append(line []byte) error {
	if a.size > 0 && (a.size+int64(len(line)) > maxAttemptFile || time.Since(a.since) > keepAttempts) {
		if err := a.turn(); err != nil {
			return err
		}
	}
	n, err := a.f.Write(line)
	a.size += int64(n)
	return err
}

func (a *attemptLog) turn() error {
	if err := os.Rename(a.path, a.older); err != nil {
		return err
	}
	old := a.f
	if err := a.open(); err != nil {
		return err
	}
	return old.Close()
}

func (a *attemptLog) close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.writePending()
	return a.f.Close()
}

// Attempts calls each with the attempts that are kept, oldest first, until it
// returns false.
func (l *Loop) Attempts(each func(Attempt) bool) error {
	a := l.attempts
	a.mu.Lock()
	var pending []Attempt
	if a.pending != nil {
		pending = append(pending, *a.pending)
	}
	a.mu.Unlock()
	more := true
	for _, path := range []string{a.older, a.path} {
		if !more {
			return nil
		}
		err := eachLine(path, func(n Attempt) bool {
			more = each(n)
			return more
		})
		if err != nil {
			return fmt.Errorf("destination %s: attempt log: %w", l.Name, err)
		}
	}
	for _, n := range pending {
		if more {
			more = each(n)
		}
	}
	return nil
}

// eachLine reads one file; lines that a kill tore are passed over.
func eachLine(path string, each func(Attempt) bool) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	s := bufio.NewScanner(f)
	s.Buffer(nil, maxAttemptFile)
	for more := true; more && s.Scan(); {
		var n Attempt
		if json.Unmarshal(s.Bytes(), &n) == nil {
			more = each(n)
		}
	}
	return errors.Join(s.Err(), f.Close())
}
