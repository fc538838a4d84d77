package wire

import (
	"sync"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	pb "google.golang.org/protobuf/proto"
)

// Codec returns the codec for a connection's messages. Its bytes are those of
// gRPC's codec for protobuf, which the other end may use as well. What it has of
// its own is that the events of a Batch, which are most of what is sent, are
// written and read without an allocation and a copy for each.
//
// A message that was sent is not kept: its bytes may change once Send has
// returned. The events of a Batch that was received share one allocation, which
// lives as long as any of them.
func Codec() encoding.CodecV2 { return codec{encoding.GetCodecV2(proto.Name)} }

type codec struct{ encoding.CodecV2 }

func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(*FromSource)
	if !ok {
		return c.CodecV2.Marshal(v)
	}
	b := m.GetBatch()
	if b == nil || len(m.ProtoReflect().GetUnknown()) > 0 {
		return c.CodecV2.Marshal(v)
	}
	rest := restOf(b)
	size := sizeOf(b, rest)
	buf := sendBuffers.Get(protowire.SizeTag(batchInFromSource) + protowire.SizeBytes(size))
	out := protowire.AppendTag((*buf)[:0], batchInFromSource, protowire.BytesType)
	out = protowire.AppendVarint(out, uint64(size))
	out, err := appendBatch(out, b, rest)
	if err != nil {
		sendBuffers.Put(buf)
		return nil, err
	}
	*buf = out
	return mem.BufferSlice{mem.NewBuffer(buf, &sendBuffers)}, nil
}

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(*FromSource)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	// Not from a pool: who got the message may keep it.
	raw := data.Materialize()
	if b := parseBatch(raw); b != nil {
		m.Reset()
		m.Message = &FromSource_Batch{Batch: b}
		return nil
	}
	return pb.Unmarshal(raw, m)
}

// Numbers of fields in source.proto.
const (
	batchInFromSource = 2
	seqInBatch        = 1
	eventsInBatch     = 2
)

// restOf is what of a batch is left to the library: all but its number and its
// events. Nil: there is nothing.
func restOf(b *Batch) *Batch {
	if len(b.Checkpoint)+len(b.Groups)+len(b.Violations)+len(b.ProtoReflect().GetUnknown()) == 0 {
		return nil
	}
	rest := &Batch{Checkpoint: b.Checkpoint, Groups: b.Groups, Violations: b.Violations}
	rest.ProtoReflect().SetUnknown(b.ProtoReflect().GetUnknown())
	return rest
}

func sizeOf(b, rest *Batch) int {
	n := 0
	if rest != nil {
		n = pb.Size(rest)
	}
	if b.Seq != 0 {
		n += protowire.SizeTag(seqInBatch) + protowire.SizeVarint(b.Seq)
	}
	for _, e := range b.Events {
		n += protowire.SizeTag(eventsInBatch) + protowire.SizeBytes(len(e))
	}
	return n
}

func appendBatch(out []byte, b, rest *Batch) ([]byte, error) {
	if b.Seq != 0 {
		out = protowire.AppendTag(out, seqInBatch, protowire.VarintType)
		out = protowire.AppendVarint(out, b.Seq)
	}
	for _, e := range b.Events {
		out = protowire.AppendTag(out, eventsInBatch, protowire.BytesType)
		out = protowire.AppendBytes(out, e)
	}
	if rest == nil {
		return out, nil
	}
	return pb.MarshalOptions{UseCachedSize: true}.MarshalAppend(out, rest)
}

// parseBatch reads a FromSource that is a Batch and nothing else. Nil: it is
// something else, or broken, and the library has to say what. The batch refers
// to raw.
func parseBatch(raw []byte) *Batch {
	number, typ, n := protowire.ConsumeTag(raw)
	if n < 0 || number != batchInFromSource || typ != protowire.BytesType {
		return nil
	}
	body, m := protowire.ConsumeBytes(raw[n:])
	if m < 0 || n+m != len(raw) {
		return nil
	}
	b := &Batch{}
	rest := 0 // where the first field begins that is left to the library
	for rest < len(body) {
		number, typ, n := protowire.ConsumeTag(body[rest:])
		if n < 0 {
			return nil
		}
		switch {
		case number == seqInBatch && typ == protowire.VarintType:
			v, m := protowire.ConsumeVarint(body[rest+n:])
			if m < 0 {
				return nil
			}
			b.Seq = v
			rest += n + m
		case number == eventsInBatch && typ == protowire.BytesType:
			v, m := protowire.ConsumeBytes(body[rest+n:])
			if m < 0 {
				return nil
			}
			if b.Events == nil {
				b.Events = make([][]byte, 0, countEvents(body[rest:]))
			}
			b.Events = append(b.Events, v[:len(v):len(v)])
			rest += n + m
		default:
			// Also events that follow are then read by the library.
			if (pb.UnmarshalOptions{Merge: true}).Unmarshal(body[rest:], b) != nil {
				return nil
			}
			return b
		}
	}
	return b
}

// countEvents counts the events that body begins with.
func countEvents(body []byte) (count int) {
	for {
		number, typ, n := protowire.ConsumeTag(body)
		if n < 0 || number != eventsInBatch || typ != protowire.BytesType {
			return count
		}
		_, m := protowire.ConsumeBytes(body[n:])
		if m < 0 {
			return count
		}
		count++
		body = body[n+m:]
	}
}

// maxKept bounds, in bytes, a buffer that is kept for the next message.
const maxKept = 1 << 20

// sendBuffers are reused once the connection has sent what is in them.
var sendBuffers buffers

// buffers are like gRPC's own, but are not cleared, which for a message of 100
// KiB would clear 1 MiB. They are for who writes all of what it asks for.
type buffers struct{ pool sync.Pool }

func (p *buffers) Get(size int) *[]byte {
	if buf, _ := p.pool.Get().(*[]byte); buf != nil && cap(*buf) >= size {
		*buf = (*buf)[:size]
		return buf
	}
	buf := make([]byte, size)
	return &buf
}

func (p *buffers) Put(buf *[]byte) {
	if cap(*buf) <= maxKept {
		p.pool.Put(buf)
	}
}
