package journal

import (
	"fmt"
	"strings"
)

// serverLog takes the embedded server's log. The server logs an error only where
// its storage has failed (for a failed write, it gives the publisher no answer),
// so an error marks the store as broken; the journal then reports it once.
type serverLog struct{ store *store }

func (l *serverLog) Errorf(format string, v ...any) {
	l.store.fail(fmt.Errorf("nats: "+format, v...))
}

func (l *serverLog) Fatalf(format string, v ...any) { l.Errorf(format, v...) }

func (l *serverLog) Warnf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	if strings.HasPrefix(text, "Maximum payloads over") {
		return // frames are large on purpose
	}
	if strings.Contains(text, "loadBlock error") {
		l.store.readErrs.Add(1)
	}
	l.store.log.Warn("nats: "+text, "code", "journal_nats")
}

func (l *serverLog) Noticef(string, ...any) {}
func (l *serverLog) Debugf(string, ...any)  {}
func (l *serverLog) Tracef(string, ...any)  {}
