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
// lives as long as any of them; that of a Received is used again.
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
	buf := buffers.Get(protowire.SizeTag(batchInFromSource) + protowire.SizeBytes(size))
	out := protowire.AppendTag((*buf)[:0], batchInFromSource, protowire.BytesType)
	out = protowire.AppendVarint(out, uint64(size))
	out, err := appendBatch(out, b, rest)
	if err != nil {
		buffers.Put(buf)
		return nil, err
	}
	*buf = out
	return mem.BufferSlice{mem.NewBuffer(buf, &buffers)}, nil
}

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	switch m := v.(type) {
	case *Received:
		m.memory = buffers.Get(data.Len())
		data.CopyTo(*m.memory)
		return m.read(*m.memory)
	case *FromSource:
		return m.read(data.Materialize())
	}
	return c.CodecV2.Unmarshal(data, v)
}

func (x *FromSource) read(raw []byte) error {
	if b := parseBatch(raw); b != nil {
		x.Reset()
		x.Message = &FromSource_Batch{Batch: b}
		return nil
	}
	return pb.Unmarshal(raw, x)
}

// Received is a message whose reader says when it is done with it: the memory of
// its events is used again then. A stream's RecvMsg takes it.
type Received struct {
	FromSource
	memory *[]byte
}

// Release gives the memory back. The events must not be used any more; all else
// of the message may be. A message that is not released is left to the collector.
func (r *Received) Release() {
	if r.memory == nil {
		return
	}
	Poison(*r.memory)
	buffers.Put(r.memory)
	r.memory = nil
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

// buffers hold messages: until the connection has sent them, or their reader has
// released them.
var buffers bufferPool

// bufferPool is like gRPC's own, but its buffers are not cleared, which for a
// message of 100 KiB would clear 1 MiB. They are for who writes all of what it
// asks for.
type bufferPool struct{ pool sync.Pool }

func (p *bufferPool) Get(size int) *[]byte {
	if buf, _ := p.pool.Get().(*[]byte); buf != nil && cap(*buf) >= size {
		*buf = (*buf)[:size]
		return buf
	}
	buf := make([]byte, size, size+size/8) // the next message may be a little larger
	return &buf
}

func (p *bufferPool) Put(buf *[]byte) {
	if cap(*buf) <= maxKept {
		p.pool.Put(buf)
	}
}
