// Package payload splits the body of a request into events.
//
// The bytes of an event are carried as they came: the order of members,
// numbers of any size and members that nobody knows survive, since nothing is
// decoded and encoded again. What changes is spliced: the write key goes, and
// what a batch says once for all its events is put into each of them.
//
// It knows nothing of HTTP and judges no event: that is the host's work.
package payload

// Codes of an Error. They are stable.
const (
	CodeNotJSON       = "not_json"
	CodeNotBatch      = "not_batch"
	CodeDuplicateKey  = "duplicate_key"
	CodeMixedKeys     = "mixed_keys"
	CodeTooManyEvents = "too_many_events"
)

// Error says why a body as a whole cannot be taken.
type Error struct {
	Code    string
	Message string
}

func (e *Error) Error() string { return e.Message }

// Body is a request's body, split. It refers to the bytes that it was made
// from: they must not change while it or an event of it is in use. It is not
// safe for concurrent use.
type Body struct {
	raw    []byte
	events []event
	parts  []part
	typ    string // of a single event; empty: it is a batch

	// What a batch says once for all its events.
	context      object
	integrations object
	sentAt       []byte // null or absent: nil

	topKey  string // the write key beside the batch
	itemKey string // the first one that an event names
	mixed   bool   // another event names another
}

// event is one event where it stands in the body.
type event struct {
	value       span
	object      bool
	first, last int     // its parts are parts[first:last]
	has         members // what it names of those that may change
	twice       members // what it names more than once: the host will refuse it
	cut         bool    // it names a write key
	channel     span    // the value of its channel
	context     contextSeen
}

// part is a run of whole members with everything between them, or the value
// of one member that may change.
type part struct {
	kind members
	span
}

// members is a set of the members that may change.
type members uint8

const (
	memberType members = 1 << iota
	memberContext
	memberIntegrations
	memberSentAt

	run members = 0
)

func (b *Body) at(s span) []byte { return b.raw[s.start:s.end] }

// Single splits the body of a request that is one event of this type. What the
// event itself says of its type does not count.
func Single(raw []byte, typ string) (*Body, error) {
	p := newParser(raw, 1)
	p.body.typ = typ
	return p.parse(p.event)
}

// usualEvents is for how many events a batch gets room at first.
const usualEvents = 32

// Batch splits the body of a request of at most max events.
func Batch(raw []byte, max int) (*Body, error) {
	p := newParser(raw, max)
	p.body.events, p.body.parts = make([]event, 0, usualEvents), make([]part, 0, 4*usualEvents)
	return p.parse(p.batch)
}

// Len returns the number of events.
func (b *Body) Len() int { return len(b.events) }

// Size returns the length in bytes of event i as it was sent.
func (b *Body) Size(i int) int { return b.events[i].value.end - b.events[i].value.start }

// Shared returns the length in bytes of what a batch says once and may be
// copied into each of its events.
func (b *Body) Shared() int {
	return len(b.context.raw) + len(b.integrations.raw) + len(b.sentAt)
}

// WriteKey returns the key that the body names: the one beside the batch, or
// else the one that its events agree on. Empty: there is none. It fails with
// an *Error where the events do not agree.
func (b *Body) WriteKey() (string, error) {
	if b.topKey != "" {
		return b.topKey, nil
	}
	if b.mixed {
		return "", &Error{CodeMixedKeys, "the events of the batch name different write keys: send one request for each key"}
	}
	return b.itemKey, nil
}
