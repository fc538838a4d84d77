package journal

import (
	"fmt"
	"log/slog"
)

// serverLog takes the embedded server's log. It logs an error only where its
// storage has failed (for a failed write, it gives the publisher no answer), so
// an error marks the store as broken; the journal then reports it once.
type serverLog struct {
	store *store
	log   *slog.Logger
}

func (l *serverLog) Errorf(format string, v ...any) {
	l.store.fail(fmt.Errorf("nats: "+format, v...))
}

func (l *serverLog) Fatalf(format string, v ...any) { l.Errorf(format, v...) }

func (l *serverLog) Warnf(format string, v ...any) {
	l.log.Warn("nats: "+fmt.Sprintf(format, v...), "code", "journal_nats")
}

func (l *serverLog) Noticef(string, ...any) {}
func (l *serverLog) Debugf(string, ...any)  {}
func (l *serverLog) Tracef(string, ...any)  {}
