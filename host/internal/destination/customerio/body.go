package customerio

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/wellhead-io/wellhead/host/internal/destination"
)

// write makes the body of a request and returns the indexes of the events that are
// in it. The others are in failed.
func (d *Destination) write(batch []destination.Event, failed destination.Partial) (sent []int) {
	d.body = append(d.body[:0], `{"batch":[`...)
	for i := range batch {
		before := len(d.body)
		if len(sent) > 0 {
			d.body = append(d.body, ',')
		}
		start := len(d.body)
		var err error
		if d.body, err = appendEvent(d.body, batch[i].JSON); err != nil {
			failed[i] = &destination.Error{Kind: destination.Refused, Code: "malformed", Err: err}
		} else if size := len(d.body) - start; size > int(d.config.MaxEvent) {
			failed[i] = &destination.Error{
				Kind: destination.Refused, Code: "too_large",
				Err:  fmt.Errorf("the event has %d bytes, more than %s takes (%v)", size, d.host, d.config.MaxEvent),
				Hint: "send less in the event, or raise max_event if the receiver takes more",
			}
		}
		if failed[i] != nil {
			d.body = d.body[:before]
			continue
		}
		sent = append(sent, i)
	}
	d.body = append(d.body, `],"sentAt":"`...)
	d.body = time.Now().UTC().AppendFormat(d.body, "2006-01-02T15:04:05.000Z")
	d.body = append(d.body, `"}`...)
	return sent
}

// errNotObject cannot come of an event that the gate accepted.
var errNotObject = errors.New("the event is not a JSON object")

// appendEvent appends an event without the members that a receiver is to set itself.
func appendEvent(to, event []byte) ([]byte, error) {
	// An event was judged: what it holds is for the receiver to judge again.
	d := jsontext.NewDecoder(bytes.NewBuffer(event), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if d.PeekKind() != '{' {
		return to, errNotObject
	}
	_, err := d.ReadToken()
	to = append(to, '{')
	for empty := true; err == nil && d.PeekKind() != '}'; {
		var name, value jsontext.Value
		if name, err = d.ReadValue(); err != nil {
			break
		}
		skip := notSent(name)
		if !skip {
			if !empty {
				to = append(to, ',')
			}
			to, empty = append(append(to, name...), ':'), false
		}
		if value, err = d.ReadValue(); err == nil && !skip {
			to = append(to, value...)
		}
	}
	if err == nil {
		_, err = d.ReadToken()
	}
	if err != nil {
		return to, errNotObject
	}
	return append(to, '}'), nil
}

// notSent tells whether a member, by its name in quotes, is left out.
func notSent(name []byte) bool {
	if bytes.IndexByte(name, '\\') >= 0 {
		name, _ = jsontext.AppendUnquote([]byte{'"'}, name)
		name = append(name, '"')
	}
	switch string(name) {
	case `"receivedAt"`, `"sourceId"`, `"sentAt"`, `"originalTimestamp"`:
		return true
	}
	return false
}
