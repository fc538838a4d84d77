package deliver

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/destination"
	"github.com/wellhead-io/wellhead/host/internal/event"
)

// State is what a loop is doing.
type State string

// States of a loop.
const (
	Starting       State = "starting"        // not resumed yet
	Running        State = "running"         // delivering, or waiting for events
	Retrying       State = "retrying"        // something failed and is tried again
	Attention      State = "attention"       // and no waiting mends it
	QuarantineFull State = "quarantine_full" // the quarantine does not take a refused event
	Stopped        State = "stopped"
)

// Status is a loop at one moment.
type Status struct {
	Name  event.DestinationID `json:"name"`
	State State               `json:"state"`
	// Full: the lag is at its bound and the sources routed here are refused.
	Full bool `json:"full"`
	// Cursor is the first event that the destination does not have.
	Cursor event.Position `json:"cursor"`
	// LagFrames, LagBytes and LagAge are how far it is behind the journal's
	// end, other destinations' events included in frames and bytes.
	LagFrames uint64        `json:"lag_frames"`
	LagBytes  uint64        `json:"lag_bytes"`
	LagAge    time.Duration `json:"lag_age_ns"`
	// LastDelivered is when the destination last took something.
	LastDelivered time.Time `json:"last_delivered"`
	// Failure is what the loop waits for; nil: nothing.
	Failure *Failure `json:"failure,omitempty"`
	// Notice is the last thing that an operator should know.
	Notice *Notice `json:"notice,omitempty"`
	// Rate is events per second, about the last ten seconds.
	Rate     float64  `json:"rate"`
	Counters Counters `json:"counters"`
}

// Failure is why a loop waits.
type Failure struct {
	Code  string    `json:"code"`
	Error string    `json:"error"`
	Hint  string    `json:"hint,omitempty"`
	Since time.Time `json:"since"`
	// NextTry is when the loop tries again.
	NextTry time.Time `json:"next_try"`
	// Tries counts failures since something passed.
	Tries int `json:"tries"`
}

// Notice is a destination's or the loop's own notice.
type Notice struct {
	Code string    `json:"code"`
	Text string    `json:"text"`
	Time time.Time `json:"time"`
}

// Counters count since the loop was opened, but for Skipped and GapFrames, which
// count since the destination exists.
type Counters struct {
	Delivered      uint64 `json:"delivered"` // events
	DeliveredBytes uint64 `json:"delivered_bytes"`
	Retried        uint64 `json:"retried"`     // sends that failed and were tried again
	Quarantined    uint64 `json:"quarantined"` // events
	Skipped        uint64 `json:"skipped"`     // events
	GapFrames      uint64 `json:"gap_frames"`
	Notices        uint64 `json:"notices"`
}

// Status returns a snapshot.
func (l *Loop) Status() Status {
	bytes, age := l.lag()
	last := l.Journal.Extent().Last
	full := l.Full()
	l.status.mu.Lock()
	defer l.status.mu.Unlock()
	s := l.status.Status
	s.Name, s.Full, s.LagBytes, s.LagAge = l.Name, full, bytes, age
	if next := s.Cursor.Frame(); last >= next {
		s.LagFrames = last - next + 1
	}
	if s.Failure != nil {
		f := *s.Failure
		s.Failure = &f
	}
	s.Rate = l.status.meter.rate(time.Now())
	return s
}

// status is what the loop's goroutine tells and others ask.
type status struct {
	// offset is the journal's bytes up to the cursor, oldest when the oldest frame
	// with something to deliver was written (Unix ns; 0: there is none).
	offset atomic.Uint64
	oldest atomic.Int64

	mu sync.Mutex
	Status
	meter meter
}

func (s *status) restore(c cursor) {
	s.State = Starting
	s.advance(c, tally{})
}

func (s *status) advance(c cursor, t tally) {
	s.offset.Store(c.Offset)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Cursor, s.LastDelivered = c.Position, c.Time
	s.Counters.Delivered += t.events
	s.Counters.DeliveredBytes += t.bytes
	s.Counters.Skipped, s.Counters.GapFrames = c.Skipped, c.GapFrames
	s.meter.add(time.Now(), t.events)
}

// pending tells when the oldest frame with something to deliver was written.
func (s *status) pending(t time.Time) {
	if t.IsZero() {
		s.oldest.Store(0)
		return
	}
	s.oldest.Store(t.UnixNano())
}

// run tells that nothing is in the way.
func (s *status) run() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.State, s.Failure = Running, nil
}

func (s *status) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.State = Stopped
}

// hold tells why the loop waits.
func (s *status) hold(state State, e *destination.Error, next time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := Failure{Code: e.Code, Error: e.Err.Error(), Hint: e.Hint, Since: time.Now(), NextTry: next, Tries: 1}
	if was := s.Failure; was != nil {
		f.Since, f.Tries = was.Since, was.Tries+1
	}
	s.State, s.Failure = state, &f
}

func (s *status) notice(n destination.Notice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Notice = &Notice{Code: n.Code, Text: n.Text, Time: time.Now()}
	s.Counters.Notices++
}

func (s *status) retried() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Counters.Retried++
}

func (s *status) quarantined() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Counters.Quarantined++
}

// meter is a rate per second that forgets with meterTime.
type meter struct {
	value float64
	at    time.Time
}

const meterTime = 10 * time.Second

func (m *meter) rate(now time.Time) float64 {
	return m.value * math.Exp(-now.Sub(m.at).Seconds()/meterTime.Seconds())
}

func (m *meter) add(now time.Time, n uint64) {
	m.value = m.rate(now) + float64(n)/meterTime.Seconds()
	m.at = now
}
