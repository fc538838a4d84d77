package wire_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/wellhead-io/wellhead/sdk/wire"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

func batchOf(b *wire.Batch) *wire.FromSource {
	return &wire.FromSource{Message: &wire.FromSource_Batch{Batch: b}}
}

// messages are of every kind that the codec tells apart, with an event of this size.
func messages(size int) []*wire.FromSource {
	full := &wire.Batch{
		Seq: 1 << 40, Events: [][]byte{[]byte(`{"a":1}`), {}, bytes.Repeat([]byte("x"), size)}, Checkpoint: []byte("c"),
		Groups:     []*wire.Group{{First: 0, Count: 2, Attachment: []byte("a")}},
		Violations: []*wire.Violation{{Index: 2, Code: "too_large", Message: "ü"}},
	}
	newer := proto.Clone(full).(*wire.Batch)
	newer.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 7))
	outer := batchOf(full)
	outer = proto.Clone(outer).(*wire.FromSource)
	outer.ProtoReflect().SetUnknown(protowire.AppendBytes(protowire.AppendTag(nil, 98, protowire.BytesType), []byte("z")))
	return []*wire.FromSource{
		{},
		batchOf(&wire.Batch{}),
		batchOf(&wire.Batch{Seq: 7}),
		batchOf(&wire.Batch{Seq: 1, Events: [][]byte{[]byte(`{}`)}}),
		batchOf(&wire.Batch{Seq: 1, Checkpoint: []byte("only")}),
		batchOf(full), batchOf(newer), outer,
		{Message: &wire.FromSource_Health{Health: &wire.Health{Problems: []*wire.Problem{{Code: "c"}}}}},
		{Message: &wire.FromSource_Drained{Drained: &wire.Drained{}}},
	}
}

func encode(t testing.TB, m *wire.FromSource) mem.BufferSlice {
	t.Helper()
	data, err := wire.Codec().Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestTheCodecSpeaksProtobuf(t *testing.T) {
	for _, m := range messages(70_000) {
		data := encode(t, m)
		theirs := &wire.FromSource{}
		if err := proto.Unmarshal(data.Materialize(), theirs); err != nil || !proto.Equal(theirs, m) {
			t.Errorf("the library reads %v, error %v", theirs, err)
		}
		data.Free()
		raw, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		ours := &wire.FromSource{Message: &wire.FromSource_Started{}}
		if err := wire.Codec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(raw)}, ours); err != nil || !proto.Equal(ours, m) {
			t.Errorf("the codec reads %v, error %v", ours, err)
		}
		for range 2 { // the second may have the first one's memory
			received := &wire.Received{}
			if err := wire.Codec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(raw)}, received); err != nil || !proto.Equal(&received.FromSource, m) {
				t.Errorf("the codec receives %v, error %v", &received.FromSource, err)
			}
			received.Release()
			received.Release()
		}
	}
}

// Verdicts and checkpoints outlive the events that they came with.
func TestOnlyEventsShareTheMemoryOfAReceivedMessage(t *testing.T) {
	for _, m := range messages(300) {
		raw, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		received := &wire.Received{}
		if err := wire.Codec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(raw)}, received); err != nil {
			t.Fatal(err)
		}
		want := proto.Clone(m).(*wire.FromSource)
		received.Release()
		next := &wire.Received{}
		other := bytes.Repeat([]byte{'?'}, len(raw))
		_ = wire.Codec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(other)}, next) // it takes the memory, and need not be read
		for _, x := range []*wire.FromSource{want, &received.FromSource} {
			if b := x.GetBatch(); b != nil {
				b.Events = nil
			}
		}
		if !proto.Equal(&received.FromSource, want) {
			t.Errorf("released, it is %v, want %v", &received.FromSource, want)
		}
	}
}

func TestTheCodecReadsWhatTheLibraryReads(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for range 20_000 {
		all := messages(r.IntN(300))
		m := all[r.IntN(len(all))]
		raw, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		switch r.IntN(4) {
		case 0:
			raw = raw[:r.IntN(len(raw)+1)]
		case 1:
			raw = append(raw, raw...) // fields of a message that comes twice are merged
		default:
			for range min(len(raw), 1+r.IntN(3)) {
				raw[r.IntN(min(len(raw), 24))] = byte(r.Uint32())
			}
		}
		ours, theirs := &wire.FromSource{}, &wire.FromSource{}
		ourErr := wire.Codec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(bytes.Clone(raw))}, ours)
		theirErr := proto.Unmarshal(raw, theirs)
		if (ourErr == nil) != (theirErr == nil) || theirErr == nil && !proto.Equal(ours, theirs) {
			t.Fatalf("seed %d: of %x the codec reads %v (%v), the library %v (%v)", seed, raw, ours, ourErr, theirs, theirErr)
		}
	}
}

func TestAMessageThatWasSentIsNotKept(t *testing.T) {
	event := []byte(`{"n":1}`)
	data := encode(t, batchOf(&wire.Batch{Seq: 1, Events: [][]byte{event}}))
	copy(event, "poison!")
	got := &wire.FromSource{}
	if err := proto.Unmarshal(data.Materialize(), got); err != nil || string(got.GetBatch().Events[0]) != `{"n":1}` {
		t.Errorf("sent %v, error %v", got, err)
	}
}

func TestABufferIsNotUsedAgainBeforeItIsSent(t *testing.T) {
	var unsent []mem.BufferSlice
	for i := range 50 {
		size := 2000 + i // what gRPC does not count is too small for it
		data := encode(t, batchOf(&wire.Batch{Seq: 1, Events: [][]byte{bytes.Repeat([]byte{byte(i)}, size)}}))
		if i%2 == 0 {
			unsent = append(unsent, data)
			continue
		}
		data.Free()
	}
	for i, data := range unsent {
		got := &wire.FromSource{}
		if err := proto.Unmarshal(data.Materialize(), got); err != nil {
			t.Fatal(err)
		}
		if want := bytes.Repeat([]byte{byte(2 * i)}, 2000+2*i); !bytes.Equal(got.GetBatch().Events[0], want) {
			t.Errorf("message %d has another's bytes", i)
		}
		data.Free()
	}
}

func TestAMessageThatWasReceivedIsTheReceivers(t *testing.T) {
	raw, err := proto.Marshal(batchOf(&wire.Batch{Seq: 1, Events: [][]byte{[]byte(`{"n":1}`), []byte(`{"n":2}`)}, Checkpoint: []byte("c")}))
	if err != nil {
		t.Fatal(err)
	}
	m := &wire.FromSource{}
	if err := wire.Codec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(raw[:9]), mem.SliceBuffer(raw[9:])}, m); err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		raw[i] = 0xAA // as the connection does with the next message
	}
	b := m.GetBatch()
	_ = append(b.Events[0], "poison"...)
	if string(b.Events[0]) != `{"n":1}` || string(b.Events[1]) != `{"n":2}` || string(b.Checkpoint) != "c" {
		t.Errorf("got %v", b)
	}
}

func BenchmarkCodec(b *testing.B) {
	for _, events := range []int{1, 20, 100} {
		m := batchOf(&wire.Batch{Seq: 1})
		for range events {
			m.GetBatch().Events = append(m.GetBatch().Events, bytes.Repeat([]byte("x"), 839))
		}
		b.Run(fmt.Sprintf("events=%d", events), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				data := encode(b, m)
				if err := wire.Codec().Unmarshal(data, &wire.FromSource{}); err != nil {
					b.Fatal(err)
				}
				data.Free()
			}
		})
	}
}
