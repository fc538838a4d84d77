package console

import (
	"context"
	"encoding/json"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// Host is what the console asks a running host. Its methods are called from many
// goroutines. An error that is no *Error is told as CodeInternal.
type Host interface {
	Consents
	Callbacks
	Status() Status
	// Send hands events to a source as if its plugin had. The error is an *Error:
	// CodeUnknownSource, or a reason for which nothing was stored.
	Send(ctx context.Context, source event.SourceID, events [][]byte) (Verdict, error)
	// Tail calls emit with what matches from now on, as it becomes durable, until
	// ctx ends or emit fails; it returns that error. The first call has no
	// records and says that from here on nothing is missed; an *Error, such as
	// CodeUnknownSource, comes before it.
	Tail(ctx context.Context, f TailFilter, emit func([]Record) error) error
	// Quarantine lists entries, without their claims and attachments.
	Quarantine(ctx context.Context, f QuarantineFilter) (Page, error)
	// QuarantineGroups counts the open entries by what they have in common.
	QuarantineGroups(ctx context.Context, f QuarantineFilter) ([]Group, error)
	// QuarantineEntry returns one entry. The error is CodeNotFound where there
	// is none.
	QuarantineEntry(ctx context.Context, id string) (Entry, error)
	// Syncs lists the syncs of a source with their runs. The error is
	// CodeUnknownSource where there is none.
	Syncs(source event.SourceID) (Syncs, error)
	// SyncCommand asks a source to do something with one of its syncs, or with all
	// where none is named. The error is an *Error where nobody was asked:
	// CodeUnknownSource, CodeUnknownSync or CodeBadRequest.
	SyncCommand(ctx context.Context, source event.SourceID, sync string, action SyncAction) ([]SyncAnswer, error)
}

// Verdict is what became of the events of one Send.
type Verdict struct {
	Events int `json:"events"`
	// Accepted are new and in the journal, Duplicates were there before.
	Accepted   int       `json:"accepted"`
	Duplicates int       `json:"duplicates"`
	Refused    []Refusal `json:"refused"`
}

// Refusal is an event that was not accepted.
type Refusal struct {
	Index      int               `json:"index"` // among the sent events, from 0
	MessageID  string            `json:"messageId,omitempty"`
	Action     string            `json:"action"` // quarantine or drop
	Violations []event.Violation `json:"violations"`
}

// TailFilter says which records are meant. A zero field means any.
type TailFilter struct {
	Source event.SourceID
	Type   event.Type
	Event  string // name of a track call
	// Refused leaves out what was accepted.
	Refused bool
}

// Record is an event that has just become durable, in the journal or, where it
// was refused, in the quarantine.
type Record struct {
	Time      time.Time      `json:"time"` // when it was received
	Source    event.SourceID `json:"source"`
	Type      event.Type     `json:"type,omitempty"`
	Event     string         `json:"event,omitempty"` // name of a track call
	MessageID string         `json:"messageId,omitempty"`
	// Position is its place in the journal; nil: it was refused.
	Position *event.Position `json:"position,omitempty"`
	// Destination is set where a destination refused it.
	Destination event.DestinationID `json:"destination,omitempty"`
	Violations  []event.Violation   `json:"violations,omitempty"`
	Claim
	// Missed, alone in a record, is how many frames or refusals this reader was
	// too slow for.
	Missed uint64 `json:"missed,omitempty"`
}

// Claim holds an event's bytes: as JSON where they are, else as they are.
type Claim struct {
	JSON  json.RawMessage `json:"json,omitempty"`
	Bytes []byte          `json:"bytes,omitempty"`
}

// Text returns the bytes.
func (c Claim) Text() []byte {
	if c.JSON != nil {
		return c.JSON
	}
	return c.Bytes
}

// QuarantineFilter says which entries are meant. A zero field means any, but
// for State.
type QuarantineFilter struct {
	Source      event.SourceID
	Destination event.DestinationID
	Code        string // of the first violation
	Event       string // name of a track call, or another call's type
	Since       time.Time
	State       string // open, replayed, superseded, dropped or any; empty: open
	OldestFirst bool
	After       string // a Page's Next
	Limit       int    // entries of a page, at most MaxPage; 0: MaxPage
}

// MaxPage is the most entries of a page.
const MaxPage = 1000

// Page is a part of a listing, the newest entries first unless the filter says
// otherwise.
type Page struct {
	Entries []Entry `json:"entries"`
	// Next is the filter's After for the next page; empty: there is none.
	Next string `json:"next,omitempty"`
}

// Entry is a refused event, or several identical ones.
type Entry struct {
	ID          string              `json:"id"` // website/1042.7
	Source      event.SourceID      `json:"source"`
	Destination event.DestinationID `json:"destination,omitempty"` // which refused it, if one did
	MessageID   string              `json:"messageId,omitempty"`
	Event       string              `json:"event,omitempty"`
	Violations  []event.Violation   `json:"violations"`
	// MoreViolations is how many there were beyond those that are kept.
	MoreViolations int `json:"moreViolations,omitempty"`
	// Size is of the whole event, of which an oversize one's beginning is kept.
	Size       int       `json:"size"`
	Hash       string    `json:"sha256"`
	ReceivedAt time.Time `json:"receivedAt"`
	SentAt     string    `json:"sentAt,omitempty"`
	Count      uint64    `json:"count"` // how often it was refused
	FirstSeen  time.Time `json:"firstSeen"`
	LastSeen   time.Time `json:"lastSeen"`
	State      string    `json:"state"`
	StateAt    time.Time `json:"stateAt,omitzero"`
	StateBy    string    `json:"stateBy,omitempty"`
	// AttachmentSize is of what the source kept beside the event's group, for a
	// journeys destination; 0: nothing.
	AttachmentSize int `json:"attachmentSize,omitempty"`
	// Attachment is that, whole, in JSON as base64; nil where it was too large to be
	// kept. Neither it nor Claim is in a listing.
	Attachment []byte `json:"attachment,omitempty"`
	Claim
}

// Group is a number of open entries with the same reason.
type Group struct {
	Source      event.SourceID      `json:"source"`
	Destination event.DestinationID `json:"destination,omitempty"`
	Event       string              `json:"event"`
	Code        string              `json:"code"`
	Path        string              `json:"path"` // every index is *
	// Other marks the rest of a source's entries with this code, where it has more
	// groups than are told apart.
	Other   bool      `json:"other,omitempty"`
	Entries int       `json:"entries"`
	Count   uint64    `json:"count"`
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
}
