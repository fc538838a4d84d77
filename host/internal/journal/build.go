package journal

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// frameBuilder makes one frame. Lines are written to their place at once; the
// parts behind them are gathered and appended at the end.
type frameBuilder struct {
	kind     byte
	buf      []byte // header and payload so far
	blob     []byte
	entries  []byte
	attached []byte
	names    []byte
	sources  map[event.SourceID]uint16
	id       []byte // scratch
	count    int
}

// newFrameBuilder makes room for a frame of this many bytes, and for as many of
// entries until they are behind the payload.
func newFrameBuilder(kind byte, size, entries int) *frameBuilder {
	return &frameBuilder{
		kind:    kind,
		buf:     make([]byte, frameHeader, frameHeader+size),
		entries: make([]byte, 0, entries),
		sources: make(map[event.SourceID]uint16),
	}
}

const (
	// maxFrameSources is how many names an entry can tell apart.
	maxFrameSources = 1<<16 - 1
	// maxSourceName is the longest name, in bytes.
	maxSourceName = 1<<16 - 1
)

// addEvent appends an event whose type, size and line were checked, under this
// group number of the frame.
func (b *frameBuilder) addEvent(env *event.Envelope, group uint32) {
	code, _ := typeCode(env.Type)
	line := len(b.buf) - frameHeader
	b.buf = append(append(b.buf, env.JSON...), '\n')

	b.id = append(b.id[:0], env.MessageID...)
	at, flags := bytes.Index(env.JSON, b.id), byte(0)
	if at >= 0 {
		at += line
	} else {
		at, flags = len(b.blob), idInBlob
		b.blob = append(b.blob, env.MessageID...)
	}
	if env.Attachment != nil {
		flags |= hasAttached
		b.attached = appendU32(b.attached, b.count, len(b.blob), len(env.Attachment))
		b.blob = append(b.blob, env.Attachment...)
	}
	b.entries = appendU32(b.entries, line, at, len(env.MessageID), int(group))
	b.entries = binary.LittleEndian.AppendUint64(b.entries, uint64(env.ReceivedAt.UnixNano()))
	b.entries = binary.LittleEndian.AppendUint16(b.entries, b.source(env.Source))
	b.entries = append(b.entries, code, flags)
	b.count++
}

// addRecord appends a record.
func (b *frameBuilder) addRecord(record []byte) {
	b.entries = appendU32(b.entries, len(b.buf)-frameHeader, len(record))
	b.buf = append(b.buf, record...)
	b.count++
}

func (b *frameBuilder) source(name event.SourceID) uint16 {
	if i, ok := b.sources[name]; ok {
		return i
	}
	i := uint16(len(b.sources))
	b.sources[name] = i
	b.names = binary.LittleEndian.AppendUint16(b.names, uint16(len(name)))
	b.names = append(b.names, name...)
	return i
}

// finish returns the frame's bytes. The builder is spent.
func (b *frameBuilder) finish(offset uint64, now time.Time) []byte {
	payload := len(b.buf) - frameHeader
	data := b.buf
	for _, part := range [][]byte{b.blob, b.entries, b.attached, b.names} {
		data = append(data, part...)
	}

	h := data[:frameHeader]
	copy(h, frameMagic)
	h[atVersion] = frameVersion
	h[atKind] = b.kind
	le := binary.LittleEndian
	le.PutUint32(h[atTotal:], uint32(len(data)))
	le.PutUint16(h[atSources:], uint16(len(b.sources)))
	le.PutUint64(h[atOffset:], offset)
	le.PutUint64(h[atTime:], uint64(now.UnixNano()))
	le.PutUint32(h[atCount:], uint32(b.count))
	le.PutUint32(h[atPayload:], uint32(payload))
	le.PutUint32(h[atBlob:], uint32(len(b.blob)))
	le.PutUint32(h[atAttached:], uint32(len(b.attached)/attachedSize))
	le.PutUint32(h[atChecksum:], checksum(data))
	return data
}

func appendU32(b []byte, values ...int) []byte {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, uint32(v))
	}
	return b
}
