package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sort"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// A frame is one stored message: many events of many sources, or many opaque
// records of a secondary log. All numbers are little endian.
//
//	header    frameHeader bytes
//	payload   events: each event's JSON and a newline; records: their bytes
//	blob      message ids that are not found verbatim in their event, attachments
//	entries   entrySize bytes per event, recordSize bytes per record
//	attached  attachedSize bytes per attachment, by ascending event
//	sources   a length (2 bytes) and a name, each
//
// The payload comes first and whole, so that a destination can write runs of
// lines as they are; the entries are of fixed size, so that an event is found
// without reading those before it.
const (
	frameMagic   = "WHF"
	frameVersion = 1
	frameHeader  = 48
	entrySize    = 28
	recordSize   = 8
	attachedSize = 12
)

// Offsets in the header.
const (
	atVersion  = 3  // 1 byte, after the magic
	atChecksum = 4  // CRC32C of all other bytes
	atTotal    = 8  // length of the frame
	atKind     = 12 // 1 byte
	atSources  = 14 // 2 bytes: number of names
	atOffset   = 16 // 8 bytes: bytes of all frames before this one
	atTime     = 24 // 8 bytes: when it was built, Unix nanoseconds
	atCount    = 32 // number of entries
	atPayload  = 36 // length of the payload
	atBlob     = 40 // length of the blob
	atAttached = 44 // number of attachments
)

// Offsets in an entry of an event.
const (
	inLine     = 0  // of the line in the payload; it ends where the next begins
	inID       = 4  // of the message id: in the payload, or with idInBlob in the blob
	inIDLen    = 8  // 4 bytes
	inGroup    = 12 // 4 bytes
	inReceived = 16 // 8 bytes, Unix nanoseconds
	inSource   = 24 // 2 bytes
	inType     = 26 // 1 byte
	inFlags    = 27 // 1 byte
)

const (
	kindEvents  = 1
	kindRecords = 2

	idInBlob    = 1 << 0
	hasAttached = 1 << 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// typeCodes gives each type its byte in an entry. They are on disk: only append.
var typeCodes = [...]event.Type{1: event.Identify, 2: event.Track, 3: event.Page, 4: event.Screen, 5: event.Group, 6: event.Alias}

func typeCode(t event.Type) (byte, bool) {
	for code, known := range typeCodes {
		if known == t && code > 0 {
			return byte(code), true
		}
	}
	return 0, false
}

// errBadFrame is the error of a frame whose bytes are not what was written.
var errBadFrame = errors.New("bad frame")

// Frame is a stored frame, read only. It keeps the bytes that it was decoded
// from; what its methods return points into them.
type Frame struct {
	seq      uint64
	offset   uint64
	time     time.Time
	kind     byte
	count    int
	size     int
	payload  []byte
	blob     []byte
	entries  []byte
	attached []byte
	sources  []event.SourceID
}

// Event is one event of a frame. Its slices belong to the frame.
type Event struct {
	Position   event.Position
	Source     event.SourceID
	Type       event.Type
	ReceivedAt time.Time
	// JSON is one object on one line, without its newline.
	JSON []byte
	// Group numbers the events of this frame that were appended to live or die
	// together; 0: alone.
	Group uint32
	// Attachment is what the source keeps beside a group, on its first event.
	Attachment []byte

	id []byte
}

// MessageID returns the event's message id.
func (e Event) MessageID() string { return string(e.id) }

// Seq returns the frame's number in its log, from 1.
func (f *Frame) Seq() uint64 { return f.seq }

// Offset returns the number of bytes of all frames before this one in its log,
// so that the difference of two offsets is a distance in bytes. A log that holds
// nothing when it is opened starts from 0 again.
func (f *Frame) Offset() uint64 { return f.offset }

// Time returns when the frame was written.
func (f *Frame) Time() time.Time { return f.time }

// Len returns the number of events, or of records in a secondary log's frame.
func (f *Frame) Len() int { return f.count }

// Size returns the length of the stored frame in bytes.
func (f *Frame) Size() int { return f.size }

// End returns the offset of the frame that follows this one.
func (f *Frame) End() uint64 { return f.offset + uint64(f.size) }

// Event returns the event with this index, from 0 to Len()-1. It allocates nothing.
func (f *Frame) Event(i int) Event {
	e := f.entry(i)
	ids := f.payload
	if e[inFlags]&idInBlob != 0 {
		ids = f.blob
	}
	var attachment []byte
	if e[inFlags]&hasAttached != 0 {
		attachment = f.attachment(i)
	}
	at, n := u32(e, inID), u32(e, inIDLen)
	return Event{
		Position:   event.At(f.seq, i),
		Source:     f.sources[binary.LittleEndian.Uint16(e[inSource:])],
		Type:       typeCodes[e[inType]],
		ReceivedAt: time.Unix(0, int64(binary.LittleEndian.Uint64(e[inReceived:]))).UTC(),
		JSON:       f.payload[u32(e, inLine) : f.lineEnd(i)-1],
		Group:      u32(e, inGroup),
		Attachment: attachment,
		id:         ids[at : at+n],
	}
}

// Source returns the source of the event with this index.
func (f *Frame) Source(i int) event.SourceID {
	return f.sources[binary.LittleEndian.Uint16(f.entry(i)[inSource:])]
}

// Sources returns the name of every source that has an event in the frame.
func (f *Frame) Sources() []event.SourceID { return f.sources }

// Lines returns the events from index i up to but without j as they are to be
// written to a file: each on a line that ends with a newline.
func (f *Frame) Lines(i, j int) []byte {
	if i >= j {
		return nil
	}
	return f.payload[u32(f.entry(i), inLine):f.lineEnd(j-1)]
}

// Record returns the record with this index of a secondary log's frame.
func (f *Frame) Record(i int) []byte {
	r := f.entries[i*recordSize:]
	at, n := u32(r, 0), u32(r, 4)
	return f.payload[at : at+n]
}

func (f *Frame) entry(i int) []byte { return f.entries[i*entrySize : (i+1)*entrySize] }

// lineEnd is the offset just after the newline of line i.
func (f *Frame) lineEnd(i int) uint32 {
	if i+1 < f.count {
		return u32(f.entry(i+1), inLine)
	}
	return uint32(len(f.payload))
}

func (f *Frame) attachment(i int) []byte {
	k := sort.Search(len(f.attached)/attachedSize, func(k int) bool {
		return u32(f.attached, k*attachedSize) >= uint32(i)
	})
	a := f.attached[k*attachedSize:]
	at, n := u32(a, 4), u32(a, 8)
	return f.blob[at : at+n]
}

func u32(b []byte, at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }

func checksum(data []byte) uint32 {
	return crc32.Update(crc32.Checksum(data[:atChecksum], castagnoli), castagnoli, data[atTotal:])
}

// decodeFrame reads a frame. The frame keeps data. Everything that the frame's
// methods rely on is checked here; the error is an errBadFrame.
func decodeFrame(data []byte) (*Frame, error) {
	if len(data) < frameHeader || string(data[:atVersion]) != frameMagic {
		return nil, fmt.Errorf("%w: no frame header", errBadFrame)
	}
	if v := data[atVersion]; v != frameVersion {
		return nil, fmt.Errorf("%w: version %d, not %d", errBadFrame, v, frameVersion)
	}
	if n := u32(data, atTotal); uint64(n) != uint64(len(data)) {
		return nil, fmt.Errorf("%w: %d bytes, of %d written", errBadFrame, len(data), n)
	}
	if sum := checksum(data); sum != u32(data, atChecksum) {
		return nil, fmt.Errorf("%w: checksum %08x, not %08x", errBadFrame, sum, u32(data, atChecksum))
	}
	return parseFrame(data)
}

// parseFrame is decodeFrame without the checksum.
func parseFrame(data []byte) (*Frame, error) {
	f := &Frame{
		offset: binary.LittleEndian.Uint64(data[atOffset:]),
		time:   time.Unix(0, int64(binary.LittleEndian.Uint64(data[atTime:]))).UTC(),
		kind:   data[atKind],
		count:  int(u32(data, atCount)),
		size:   len(data),
	}
	width := entrySize
	if f.kind == kindRecords {
		width = recordSize
	}
	rest := data[frameHeader:]
	for _, part := range []struct {
		into *[]byte
		n    uint64
	}{
		{&f.payload, uint64(u32(data, atPayload))},
		{&f.blob, uint64(u32(data, atBlob))},
		{&f.entries, uint64(u32(data, atCount)) * uint64(width)},
		{&f.attached, uint64(u32(data, atAttached)) * attachedSize},
	} {
		if part.n > uint64(len(rest)) {
			return nil, fmt.Errorf("%w: a length exceeds the frame", errBadFrame)
		}
		*part.into, rest = rest[:part.n:part.n], rest[part.n:]
	}
	var err error
	if f.sources, err = parseSources(rest, int(binary.LittleEndian.Uint16(data[atSources:]))); err != nil {
		return nil, err
	}
	switch f.kind {
	case kindEvents:
		return f, f.checkEvents()
	case kindRecords:
		return f, f.checkRecords()
	}
	return nil, fmt.Errorf("%w: kind %d", errBadFrame, f.kind)
}

// parseSources reads n names that fill table. The names are copies, since they
// live on as keys of maps and must not hold the whole frame.
func parseSources(table []byte, n int) ([]event.SourceID, error) {
	if n*2 > len(table) {
		return nil, fmt.Errorf("%w: %d sources in %d bytes", errBadFrame, n, len(table))
	}
	names := make([]event.SourceID, n)
	for i := range names {
		if len(table) < 2 {
			return nil, fmt.Errorf("%w: the source table is short", errBadFrame)
		}
		size := int(binary.LittleEndian.Uint16(table))
		if table = table[2:]; size > len(table) {
			return nil, fmt.Errorf("%w: the source table is short", errBadFrame)
		}
		names[i] = event.SourceID(table[:size])
		table = table[size:]
	}
	if len(table) != 0 {
		return nil, fmt.Errorf("%w: bytes after the source table", errBadFrame)
	}
	return names, nil
}

func (f *Frame) checkEvents() error {
	if f.count < 1 || f.count > event.MaxFrameEvents {
		return fmt.Errorf("%w: %d events", errBadFrame, f.count)
	}
	start, attached := uint32(0), 0
	for i := range f.count {
		e := f.entry(i)
		if e[inFlags]&hasAttached != 0 {
			attached++
		}
		end := f.lineEnd(i)
		ids := f.payload
		if e[inFlags]&idInBlob != 0 {
			ids = f.blob
		}
		switch {
		case u32(e, inLine) != start || end <= start || end > uint32(len(f.payload)) || f.payload[end-1] != '\n',
			uint64(u32(e, inID))+uint64(u32(e, inIDLen)) > uint64(len(ids)),
			int(binary.LittleEndian.Uint16(e[inSource:])) >= len(f.sources),
			e[inType] == 0 || int(e[inType]) >= len(typeCodes):
			return fmt.Errorf("%w: event %d of %d", errBadFrame, i, f.count)
		}
		start = end
	}
	return f.checkAttached(attached)
}

// checkAttached checks the attachments' table, in which flagged events are
// known to have an entry each.
func (f *Frame) checkAttached(flagged int) error {
	last := -1
	for a := f.attached; len(a) > 0; a = a[attachedSize:] {
		i := int(u32(a, 0))
		if i <= last || i >= f.count || f.entry(i)[inFlags]&hasAttached == 0 ||
			uint64(u32(a, 4))+uint64(u32(a, 8)) > uint64(len(f.blob)) {
			return fmt.Errorf("%w: attachment of event %d", errBadFrame, i)
		}
		last = i
		flagged--
	}
	if flagged != 0 {
		return fmt.Errorf("%w: %d attachments are missing", errBadFrame, flagged)
	}
	return nil
}

func (f *Frame) checkRecords() error {
	if f.count < 1 || len(f.sources) > 0 || len(f.blob) > 0 || len(f.attached) > 0 {
		return fmt.Errorf("%w: %d records", errBadFrame, f.count)
	}
	for r := f.entries; len(r) > 0; r = r[recordSize:] {
		if uint64(u32(r, 0))+uint64(u32(r, 4)) > uint64(len(f.payload)) {
			return fmt.Errorf("%w: a record exceeds the payload", errBadFrame)
		}
	}
	return nil
}
