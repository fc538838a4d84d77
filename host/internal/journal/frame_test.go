package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/journal"
)

var writtenAt = time.Unix(1700000000, 987654321).UTC()

// sample has one of everything that a frame can hold.
func sample() []event.Envelope {
	received := time.Unix(1700000000, 123456789).UTC()
	return []event.Envelope{
		{Source: "website", Type: event.Track, MessageID: "m-1", ReceivedAt: received, JSON: []byte(`{"messageId":"m-1","type":"track"}`)},
		{Source: "crm", Type: event.Identify, MessageID: "quoted\"ü", ReceivedAt: received.Add(time.Hour), JSON: []byte(`{"messageId":"quoted\"\u00fc","type":"identify"}`)},
		{Source: "website", Type: event.Page, MessageID: "", ReceivedAt: received, JSON: []byte(`{}`), Group: 1, Attachment: []byte("cursor\n\x00")},
		{Source: "website", Type: event.Alias, MessageID: "m-4", ReceivedAt: received, JSON: []byte(`{"messageId":"m-4"}`), Group: 1},
		{Source: "", Type: event.Group, MessageID: "m-5", ReceivedAt: time.Unix(0, 0).UTC(), JSON: []byte(`{"messageId":"m-5"}`), Group: 2, Attachment: []byte{}},
		{Source: "crm", Type: event.Screen, MessageID: "m-6", ReceivedAt: received, JSON: []byte(`{"messageId":"m-6"}`)},
	}
}

func TestAFrameGivesBackItsEvents(t *testing.T) {
	want := sample()
	f, err := journal.DecodeFrame(journal.EncodeEvents(12345, writtenAt, want))
	if err != nil {
		t.Fatal(err)
	}
	if f.Len() != len(want) || f.Offset() != 12345 || !f.Time().Equal(writtenAt) || f.End() != 12345+uint64(f.Size()) {
		t.Fatalf("frame of %d events at %d, written %s, ends at %d", f.Len(), f.Offset(), f.Time(), f.End())
	}
	for i, w := range want {
		got := f.Event(i)
		if got.Source != w.Source || f.Source(i) != w.Source || got.Type != w.Type || got.MessageID() != w.MessageID ||
			!got.ReceivedAt.Equal(w.ReceivedAt) || !bytes.Equal(got.JSON, w.JSON) || got.Group != w.Group ||
			!bytes.Equal(got.Attachment, w.Attachment) || (got.Attachment == nil) != (w.Attachment == nil) {
			t.Errorf("event %d is %+v, id %q; want %+v", i, got, got.MessageID(), w)
		}
	}
	if got := slices.Sorted(slices.Values(f.Sources())); fmt.Sprint(got) != "[ crm website]" {
		t.Errorf("sources %q", got)
	}
}

func TestLinesAreRunsOfWholeEvents(t *testing.T) {
	events := sample()
	f, err := journal.DecodeFrame(journal.EncodeEvents(0, writtenAt, events))
	if err != nil {
		t.Fatal(err)
	}
	for i := range events {
		for k := i; k <= len(events); k++ {
			var want []byte
			for _, e := range events[i:k] {
				want = append(append(want, e.JSON...), '\n')
			}
			if got := f.Lines(i, k); !bytes.Equal(got, want) {
				t.Errorf("lines %d to %d are %q, want %q", i, k, got, want)
			}
		}
	}
}

func TestAFrameGivesBackItsRecords(t *testing.T) {
	want := [][]byte{[]byte("one"), {}, []byte("two\nlines"), bytes.Repeat([]byte("x"), 1<<17)}
	f, err := journal.DecodeFrame(journal.EncodeRecords(7, writtenAt, want))
	if err != nil {
		t.Fatal(err)
	}
	if f.Len() != len(want) {
		t.Fatalf("%d records", f.Len())
	}
	for i := range want {
		if got := f.Record(i); !bytes.Equal(got, want[i]) {
			t.Errorf("record %d is %q", i, got)
		}
	}
}

func TestEveryFlippedBitIsNoticed(t *testing.T) {
	data := journal.EncodeEvents(1, writtenAt, sample())
	for bit := range len(data) * 8 {
		flipped := bytes.Clone(data)
		flipped[bit/8] ^= 1 << (bit % 8)
		if _, err := journal.DecodeFrame(flipped); !errors.Is(err, journal.ErrBadFrame) {
			t.Fatalf("bit %d flipped: %v", bit, err)
		}
	}
	for n := range data {
		if _, err := journal.DecodeFrame(data[:n]); !errors.Is(err, journal.ErrBadFrame) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
}

func TestReadingAnEventAllocatesNothing(t *testing.T) {
	f, err := journal.DecodeFrame(journal.EncodeEvents(1, writtenAt, sample()))
	if err != nil {
		t.Fatal(err)
	}
	var n int
	allocs := testing.AllocsPerRun(100, func() {
		for i := range f.Len() {
			n += len(f.Event(i).JSON)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func TestALyingLengthAllocatesNothing(t *testing.T) {
	data := journal.EncodeEvents(1, writtenAt, sample())
	for at := 8; at+4 <= 48; at++ {
		lying := bytes.Clone(data)
		copy(lying[at:], "\xff\xff\xff\xff")
		journal.Reseal(lying)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := journal.DecodeFrame(lying)
		runtime.ReadMemStats(&after)
		if err != nil && !errors.Is(err, journal.ErrBadFrame) {
			t.Errorf("header byte %d: %v", at, err)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > 64<<10 {
			t.Errorf("header byte %d: %d bytes allocated", at, got)
		}
	}
}

// FuzzDecodeFrame feeds hostile bytes, as they are and under a valid checksum,
// and walks through whatever is taken for a frame.
func FuzzDecodeFrame(f *testing.F) {
	f.Add(journal.EncodeEvents(1, writtenAt, sample()))
	f.Add(journal.EncodeEvents(1, writtenAt, sample()[:1]))
	f.Add(journal.EncodeRecords(1, writtenAt, [][]byte{[]byte("a"), {}}))
	f.Add([]byte("WHF\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		walk(t, data)
		sealed := bytes.Clone(data)
		journal.Reseal(sealed)
		walk(t, sealed)
	})
}

func walk(t *testing.T, data []byte) {
	frame, err := journal.DecodeFrame(data)
	if err != nil {
		if !errors.Is(err, journal.ErrBadFrame) {
			t.Fatalf("error %v", err)
		}
		return
	}
	if frame.Len() == 0 {
		t.Fatal("an empty frame")
	}
	if len(frame.Sources()) == 0 {
		for i := range frame.Len() {
			frame.Record(i)
		}
		return
	}
	total := 0
	for i := range frame.Len() {
		e := frame.Event(i)
		total += len(e.JSON) + 1
		_, _ = e.MessageID(), e.Attachment
	}
	if lines := frame.Lines(0, frame.Len()); len(lines) != total {
		t.Fatalf("lines of %d bytes, events of %d", len(lines), total)
	}
}
