package quarantine

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// A log holds records, each of which begins with its kind and a version. What
// the log says is the fold of its records in order:
//
//	entry   a refused event; its position is its id
//	repeat  entries that were refused again
//	close   entries that are no longer open
//	moved   an open entry, copied to the log's end with what is known of it
//	move    the end of a run of moved ones: they replace all entries in a range
//	        of ids; a run that is not whole means nothing
//	forget  every entry up to an id is gone, by age or for want of space
const (
	kindEntry  = 'e'
	kindRepeat = 'r'
	kindClose  = 'c'
	kindMoved  = 'm'
	kindMove   = 'v'
	kindForget = 'f'

	recordVersion = 1
	// attachedVersion is that of an entry, moved or not, with an attachment.
	attachedVersion = 2
)

// entryOverhead is what an entry counts with beside its record: the largest
// share of a frame that a log can charge for it.
const entryOverhead = FrameOverhead + 16

// maxHeader is the most that a record has before its body.
const maxHeader = 48

// maxViolations bounds the JSON of an entry's violations.
const maxViolations = 64 << 10

// maxAttachment is the largest attachment that an entry keeps. A larger one is not
// kept at all, since a part of a request is of no use to anyone. With it, an event
// of the most that limits.event allows, 8 MiB, is still a record that the last third
// of the least spare has room for; see makeRoom.
const maxAttachment = 2 << 20

// key is what recognises a refusal: the event's bytes, its attachment and all
// reasons.
type key [16]byte

// record is an entry as stored. Its slices point into the frame.
type record struct {
	id          event.Position // of a moved entry; otherwise the record's own place
	version     byte           // of what body has
	flags       byte           // of a moved entry
	count       uint64
	first, last int64  // Unix nanoseconds
	body        []byte // everything below, as encoded: a moved entry keeps it as it is

	key        key
	group      []byte // as encoded by appendGroup
	received   int64
	size, more uint64
	messageID  []byte
	sentAt     []byte
	hash       []byte
	violations []byte // JSON
	claim      []byte
	attached   uint64 // bytes of the attachment, kept or not
	attachment []byte // whole, or empty
}

// draft is a refusal on its way to become a record.
type draft struct {
	key     key
	version byte
	body    []byte
	count   uint64
}

// charge is what an entry with this body counts against the limit.
func charge(body []byte) int64 { return int64(len(body)) + maxHeader + entryOverhead }

// newDraft encodes a refusal. Nothing in it points to the refusal.
func newDraft(r *event.Refusal) (*draft, error) {
	size, hash := r.Size, r.Hash
	if size < len(r.Claim) {
		size = len(r.Claim)
	}
	if hash == "" {
		sum := sha256.Sum256(r.Claim)
		hash = hex.EncodeToString(sum[:])
	}
	violations, more, err := encodeViolations(r.Violations)
	if err != nil {
		return nil, err
	}
	var attachment []byte
	if len(r.Attachment) <= maxAttachment {
		attachment = r.Attachment
	}
	d := &draft{key: refusalKey(r, hash), version: recordVersion, count: 1}
	b := make([]byte, 0, len(r.Claim)+len(violations)+len(hash)+len(r.MessageID)+len(r.SentAt)+len(attachment)+4*maxName)
	b = append(b, d.key[:]...)
	b = appendString(b, appendGroup(nil, r))
	b = binary.AppendVarint(b, unixNano(r.ReceivedAt))
	b = binary.AppendUvarint(b, uint64(size))
	b = binary.AppendUvarint(b, uint64(more))
	b = appendString(b, r.MessageID)
	b = appendString(b, r.SentAt)
	b = appendString(b, hash)
	b = appendString(b, violations)
	b = appendString(b, r.Claim)
	if len(r.Attachment) > 0 {
		d.version = attachedVersion
		b = binary.AppendUvarint(b, uint64(len(r.Attachment)))
		b = appendString(b, attachment)
	}
	d.body = b
	return d, nil
}

// unixNano writes the zero time as 0.
func unixNano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromNano(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

// refusalKey is equal for identical bytes that were refused by the same for the
// same reasons. Those that came with different requests are not identical: of each
// request its attachment is needed.
func refusalKey(r *event.Refusal, hash string) key {
	h := sha256.New()
	var b []byte
	b = appendString(b, hash)
	b = appendString(b, r.Destination)
	for _, v := range r.Violations {
		for _, s := range [...]string{v.Code, v.Path, v.Keyword, v.Message, v.Schema} {
			b = appendString(b, s)
		}
	}
	if len(r.Attachment) > 0 {
		b = binary.AppendUvarint(b, uint64(len(r.Attachment)))
	}
	h.Write(b)
	h.Write(r.Attachment)
	return key(h.Sum(nil)[:len(key{})])
}

// encodeViolations writes the first violations, as many as have room, and
// returns how many more there were.
func encodeViolations(all []event.Violation) (out []byte, more int, err error) {
	out = append(out, '[')
	for i, v := range all {
		one, err := json.Marshal(v)
		if err != nil {
			return nil, 0, fmt.Errorf("encode violation %d: %w", i, err)
		}
		if len(out)+len(one) > maxViolations {
			return append(out, ']'), len(all) - i, nil
		}
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, one...)
	}
	return append(out, ']'), 0, nil
}

// encode writes the draft as an entry that was first refused now.
func (d *draft) encode(now int64) []byte {
	b := make([]byte, 0, len(d.body)+maxHeader)
	b = append(b, kindEntry, d.version)
	b = binary.AppendUvarint(b, d.count)
	b = binary.AppendVarint(b, now)
	b = binary.AppendVarint(b, now)
	return append(b, d.body...)
}

// Flags of a moved entry.
const (
	flagFirst  = 1 << 0 // it begins a run
	flagRecent = 1 << 1 // it is recognised when it is refused again
)

// encodeMoved writes the record as a moved entry.
func (r *record) encodeMoved(flags byte) []byte {
	b := make([]byte, 0, len(r.body)+maxHeader)
	b = append(b, kindMoved, r.version, flags)
	b = binary.AppendUvarint(b, uint64(r.id))
	b = binary.AppendUvarint(b, r.count)
	b = binary.AppendVarint(b, r.first)
	b = binary.AppendVarint(b, r.last)
	return append(b, r.body...)
}

// decodeEntry reads an entry, moved or not, that lies at this position.
func decodeEntry(b []byte, at event.Position) (record, error) {
	r := reader{b: b}
	kind := r.byte()
	e := record{id: at, version: r.byte()}
	if kind == kindMoved {
		e.flags = r.byte()
		e.id = event.Position(r.uvarint())
	}
	e.count, e.first, e.last = r.uvarint(), r.varint(), r.varint()
	e.body = r.b
	copy(e.key[:], r.next(uint64(len(e.key))))
	e.group = r.bytes()
	e.received, e.size, e.more = r.varint(), r.uvarint(), r.uvarint()
	e.messageID, e.sentAt, e.hash = r.bytes(), r.bytes(), r.bytes()
	e.violations, e.claim = r.bytes(), r.bytes()
	switch e.version {
	case recordVersion:
	case attachedVersion:
		e.attached, e.attachment = r.uvarint(), r.bytes()
		if kept := uint64(len(e.attachment)); e.attached == 0 || e.attached > 1<<62 || kept > 0 && kept != e.attached {
			return record{}, errShort
		}
	default:
		return record{}, errShort
	}
	if (kind != kindEntry && kind != kindMoved) || e.count == 0 || e.size > 1<<62 {
		return record{}, errShort
	}
	return e, r.end()
}

// repeats says which entries were refused again, and how often.
type repeats struct {
	at    int64
	items []repeat
}

type repeat struct {
	key   key
	count uint64
}

func (r *repeats) encode() []byte {
	b := append([]byte(nil), kindRepeat, recordVersion)
	b = binary.AppendVarint(b, r.at)
	b = binary.AppendUvarint(b, uint64(len(r.items)))
	for _, it := range r.items {
		b = append(b, it.key[:]...)
		b = binary.AppendUvarint(b, it.count)
	}
	return b
}

func decodeRepeats(b []byte) (repeats, error) {
	r := reader{b: b}
	if r.byte() != kindRepeat || r.byte() != recordVersion {
		return repeats{}, errShort
	}
	out := repeats{at: r.varint()}
	out.items = make([]repeat, r.count(len(key{})+1))
	for i := range out.items {
		copy(out.items[i].key[:], r.next(uint64(len(key{}))))
		out.items[i].count = r.uvarint()
	}
	return out, r.end()
}

// closing says that entries are no longer open.
type closing struct {
	at    int64
	state State
	by    string
}

// encodeClosing writes a closing of entries, whose ids are in ascending order.
func (c *closing) encode(ids []event.Position) []byte {
	b := append([]byte(nil), kindClose, recordVersion, byte(c.state))
	b = binary.AppendVarint(b, c.at)
	b = appendString(b, c.by)
	return appendPositions(b, ids)
}

func decodeClosing(b []byte) (*closing, []event.Position, error) {
	r := reader{b: b}
	if r.byte() != kindClose || r.byte() != recordVersion {
		return nil, nil, errShort
	}
	c := &closing{state: State(r.byte()), at: r.varint(), by: r.string()}
	ids := r.positions()
	return c, ids, r.end()
}

// appendPositions writes ascending positions as differences.
func appendPositions(b []byte, ids []event.Position) []byte {
	b = binary.AppendUvarint(b, uint64(len(ids)))
	var before event.Position
	for _, id := range ids {
		b = binary.AppendUvarint(b, uint64(id-before))
		before = id
	}
	return b
}

func (r *reader) positions() []event.Position {
	ids := make([]event.Position, r.count(1))
	var before event.Position
	for i := range ids {
		before += event.Position(r.uvarint())
		ids[i] = before
	}
	if !slices.IsSorted(ids) {
		r.fail()
		return nil
	}
	return ids
}

// span is a range of ids, both ends included.
type span struct{ lo, hi event.Position }

func (s span) has(id event.Position) bool { return s.lo <= id && id <= s.hi }

// reason says why entries were forgotten.
type reason byte

const (
	expired reason = 1 // older than max_age
	dropped reason = 2 // for want of space
)

// move ends a run of moved entries, which replace all those in a range.
type move struct {
	ids     span
	entries int // in the run
}

func (m move) encode() []byte {
	b := append([]byte(nil), kindMove, recordVersion)
	b = binary.AppendUvarint(b, uint64(m.ids.lo))
	b = binary.AppendUvarint(b, uint64(m.ids.hi))
	return binary.AppendUvarint(b, uint64(m.entries))
}

func decodeMove(b []byte) (move, error) {
	r := reader{b: b}
	if r.byte() != kindMove || r.byte() != recordVersion {
		return move{}, errShort
	}
	m := move{span{event.Position(r.uvarint()), event.Position(r.uvarint())}, int(r.uvarint())}
	if m.ids.lo > m.ids.hi {
		return move{}, errShort
	}
	return m, r.end()
}

// encodeForget ends all entries up to and with an id.
func encodeForget(last event.Position, why reason) []byte {
	b := append([]byte(nil), kindForget, recordVersion, byte(why))
	return binary.AppendUvarint(b, uint64(last))
}

func decodeForget(b []byte) (last event.Position, why reason, err error) {
	r := reader{b: b}
	if r.byte() != kindForget || r.byte() != recordVersion {
		return 0, 0, errShort
	}
	why, last = reason(r.byte()), event.Position(r.uvarint())
	if why != expired && why != dropped {
		return 0, 0, errShort
	}
	return last, why, r.end()
}
