package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"
)

// ErrLogFull is the error of an Append to a log that has reached its MaxBytes and
// refuses what is new.
var ErrLogFull = errors.New("the log is full")

// LogOptions bound a secondary log.
type LogOptions struct {
	// MaxBytes and MaxAge bound what is kept; 0: no bound.
	MaxBytes int64
	MaxAge   time.Duration
	// DiscardNew refuses what is new at MaxBytes, rather than drop what is old.
	DiscardNew bool
}

// Log is a secondary log of opaque records beside the journal, as durable as the
// journal itself. It costs nothing until its first record. Its methods may be
// called from any goroutine.
type Log struct {
	journal *Journal
	view    view

	mu      sync.Mutex
	config  streamConfig
	session *session // in which stream was opened
	stream  *stream
}

// pendingRecords are records on their way.
type pendingRecords struct {
	log     *Log
	ticket  *Ticket
	records [][]byte
	size    int
}

// recordOverhead is what a record costs in the queue beside its bytes.
const recordOverhead = 32

// logPrefix tells the streams of secondary logs from the journal's own.
const logPrefix = "log-"

// Log returns the secondary log of a name. Asked again, it returns the same log,
// now with these options.
func (j *Journal) Log(name string, opts LogOptions) (*Log, error) {
	file, err := fileName(name)
	if err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	c := streamConfig{name: logPrefix + file, maxBytes: opts.MaxBytes, maxAge: opts.MaxAge, discardNew: opts.DiscardNew}
	j.mu.Lock()
	defer j.mu.Unlock()
	l := j.logs[name]
	if l == nil {
		l = &Log{journal: j, view: view{name: c.name, log: j.log, tail: newTail(0)}}
		j.logs[name] = l
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.config = c
	return l, nil
}

// Logs lists the names of all secondary logs that have ever had a record.
func (j *Journal) Logs() ([]string, error) {
	entries, err := os.ReadDir(streamsIn(j.opts.Dir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list logs: %w", err)
	}
	var names []string
	for _, e := range entries {
		if name, ok := logName(e.Name()); ok {
			names = append(names, name)
		}
	}
	return names, nil
}

func logName(stream string) (string, bool) {
	file, ok := strings.CutPrefix(stream, logPrefix)
	if !ok {
		return "", false
	}
	return originalName(file)
}

// Append queues records, which are durable together once the ticket says so. It
// waits while the queue is full, until ctx ends. The records belong to the log
// until the ticket is done. Errors are those of Journal.Append; the ticket's may
// also be ErrLogFull.
func (l *Log) Append(ctx context.Context, records [][]byte) (*Ticket, error) {
	p := &pendingRecords{log: l, ticket: &Ticket{done: make(chan struct{})}, records: records}
	if len(records) == 0 {
		p.ticket.finish(nil)
		return p.ticket, nil
	}
	for _, r := range records {
		p.size += len(r) + recordOverhead
	}
	if p.size > maxUnit {
		return nil, fmt.Errorf("append to %s: %w: %d bytes", l.view.name, ErrTooLarge, p.size)
	}
	if err := l.journal.logQueue.put(ctx, p, p.size); err != nil {
		return nil, err
	}
	return p.ticket, nil
}

// Next is Journal.Next for the log's frames. Their Record gives the records.
func (l *Log) Next(ctx context.Context, seq uint64) (*Frame, error) {
	return l.view.next(ctx, seq, func(ctx context.Context) (*store, <-chan struct{}, error) {
		s, changed, err := l.journal.current()
		if err != nil || s == nil {
			return nil, changed, err
		}
		if _, err = l.open(ctx, s, false); err != nil && s.store.broken() {
			return nil, changed, nil
		}
		return s.store, changed, err
	})
}

// Read is Next without waiting: io.EOF where no whole frame at or after seq has
// been acknowledged.
func (l *Log) Read(ctx context.Context, seq uint64) (*Frame, error) {
	s, _, err := l.journal.current()
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, cmp.Or(l.journal.intake.closed(), ErrClosed)
	}
	if _, err := l.open(ctx, s, false); err != nil {
		return nil, err
	}
	for seq <= l.view.committed.Load() {
		if frame, _ := l.view.tail.get(seq); frame != nil {
			return frame, nil
		}
		frame, next, err := l.view.read(ctx, s.store, seq)
		if err != nil || frame != nil {
			return frame, err
		}
		seq = next
	}
	return nil, io.EOF
}

// Last returns the number of the newest frame; 0: there was never one.
func (l *Log) Last(ctx context.Context) (uint64, error) {
	s, _, err := l.journal.current()
	if err != nil {
		return 0, err
	}
	if s != nil {
		if _, err := l.open(ctx, s, false); err != nil {
			return 0, err
		}
	}
	return l.view.committed.Load(), nil
}

// open returns the log's stream in a session. Unless create is set, it is nil
// where the log has never had a record. Only the committer creates, and only it
// changes the stream's options, so that nobody else writes.
func (l *Log) open(ctx context.Context, s *session, create bool) (*stream, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session != nil && s.number < l.session.number {
		return nil, errors.New("the storage has been reopened") // the caller was told of an earlier session
	}
	if l.session != s {
		l.session, l.stream = s, nil
	}
	if l.stream == nil && !create {
		if exists, err := s.store.exists(l.config.name); err != nil || !exists {
			return nil, err
		}
	}
	if l.stream == nil {
		stream, err := s.openLog(ctx, l.journal, l.config)
		if err != nil {
			return nil, err
		}
		l.stream = stream
		l.view.reset(stream)
	}
	if create && l.stream.config != l.config {
		if err := s.store.ensure(ctx, l.config); err != nil {
			return nil, err
		}
		l.stream.config = l.config
		if err := l.stream.syncMeta(); err != nil {
			return nil, err
		}
	}
	return l.stream, nil
}
