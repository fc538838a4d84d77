package quarantine_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/quarantine"
)

// attached is a refusal with an attachment.
func attached(n int, attachment []byte) event.Refusal {
	r := refusal("website", n)
	r.Attachment = attachment
	return r
}

func TestEntryKeepsItsAttachmentWhole(t *testing.T) {
	const most = 2 << 20
	noise := make([]byte, most+1)
	for i := range noise {
		noise[i] = byte(i * i >> 3)
	}
	oversize := attached(4, noise[:5000])
	oversize.Size, oversize.Hash = 9<<20, strings.Repeat("ab", 32)
	d := newDisk()
	q := open(t, d)
	add(t, q, attached(0, nil), attached(1, []byte("\x00\"request\"\xff")), attached(2, noise[:most]), attached(3, noise), oversize)
	for _, q := range []*quarantine.Quarantine{q, open(t, d.copy()), open(t, d.copy(), noCache)} {
		got := list(t, q, quarantine.Filter{OldestFirst: true})
		for i, want := range []struct {
			size int
			kept []byte
		}{{0, nil}, {11, []byte("\x00\"request\"\xff")}, {most, noise[:most]}, {most + 1, nil}, {5000, noise[:5000]}} {
			e := got[i]
			if e.AttachmentSize != want.size || !bytes.Equal(e.Attachment, want.kept) || (e.Attachment == nil) != (want.kept == nil) {
				t.Errorf("%s: %d bytes kept of %d, want %d of %d", e.MessageID, len(e.Attachment), e.AttachmentSize, len(want.kept), want.size)
			}
			if string(e.Claim) != string(refusal("website", i).Claim) {
				t.Errorf("%s: claim is %s", e.MessageID, e.Claim)
			}
			if shown, err := q.Show(context.Background(), e.ID); err != nil || !bytes.Equal(shown.Attachment, want.kept) {
				t.Errorf("%s: shown with %d bytes, %v", e.MessageID, len(shown.Attachment), err)
			}
		}
	}
	data, err := json.Marshal(list(t, q, quarantine.Filter{})[3])
	if want := `"attachment":"` + base64.StdEncoding.EncodeToString([]byte("\x00\"request\"\xff")) + `","attachmentSize":11,`; err != nil || !bytes.Contains(data, []byte(want)) {
		t.Errorf("JSON is %s, %v", data, err)
	}
}

// Two requests that became the same event are two: each is to be sent again.
func TestAnotherAttachmentMakesAnotherEntry(t *testing.T) {
	const most = 2 << 20
	d := newDisk()
	q := open(t, d)
	large, other := make([]byte, most+1), make([]byte, most+1)
	other[most] = 1
	variants := []event.Refusal{attached(1, nil), attached(1, []byte("a")), attached(1, []byte("b")), attached(1, large), attached(1, other)}
	for range 2 {
		add(t, q, variants...)
		q = open(t, d.copy(), noCache)
		add(t, q, variants...)
		if q = open(t, d); len(list(t, q, quarantine.Filter{})) != len(variants) {
			t.Fatalf("%d entries, want %d", len(list(t, q, quarantine.Filter{})), len(variants))
		}
	}
	for _, e := range list(t, q, quarantine.Filter{}) {
		if e.Count != 2 {
			t.Errorf("%q was refused %d times, want 2", e.Attachment[:min(1, len(e.Attachment))], e.Count)
		}
	}
}

func TestAttachmentsCountAgainstTheLimit(t *testing.T) {
	const size = 10_000
	q := open(t, newDisk(), maxBytes(limit))
	add(t, q, refusal("website", 0))
	plain := status(t, q, "website").Bytes
	add(t, q, attached(1, make([]byte, size)))
	if more := status(t, q, "website").Bytes - 2*plain; more < size || more > size+8 {
		t.Errorf("an attachment of %d bytes counts %d", size, more)
	}
	var full *quarantine.FullError
	n := 2
	for ; n < limit/size+2; n++ {
		if err := q.Add(context.Background(), []event.Refusal{attached(n, make([]byte, size))}); errors.As(err, &full) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if s := status(t, q, "website"); full == nil || s.Bytes > limit || n != limit/(size+int(plain))+1 {
		t.Errorf("after %d entries: %v, status is %+v", n, full, s)
	}

	// One that is not kept takes the room of its length.
	q = open(t, newDisk(), maxBytes(limit))
	add(t, q, attached(0, make([]byte, 3<<20)))
	if more := status(t, q, "website").Bytes - plain; more < 1 || more > 8 {
		t.Errorf("an attachment that is not kept counts %d", more)
	}
}

func TestMovedEntryKeepsItsAttachment(t *testing.T) {
	d := newDisk()
	opts := []option{maxBytes(1 << 20), spare(3 << 20)}
	q := open(t, d, opts...)
	add(t, q, attached(0, []byte("request")), refusal("website", 1), attached(2, make([]byte, 3<<20)))
	for i := 0; d.log("website").records('m') == 0; i++ {
		d.log("website").ring.MaxBytes = 4 << 20
		add(t, q, large("website", 100+i))
		setState(t, q, quarantine.StateDropped, list(t, q, quarantine.Filter{Limit: 1})...)
	}
	for _, q := range []*quarantine.Quarantine{q, open(t, d.copy(), opts...), open(t, d.copy(), append(opts, noCache)...)} {
		got := list(t, q, quarantine.Filter{OldestFirst: true})
		if len(got) != 3 || string(got[0].Attachment) != "request" || got[0].AttachmentSize != 7 || got[1].AttachmentSize != 0 ||
			got[2].AttachmentSize != 3<<20 || got[2].Attachment != nil {
			t.Errorf("entries are %+v", got)
		}
	}
}

// firstRecord returns the record of the only entry that was written.
func firstRecord(t *testing.T, r event.Refusal) []byte {
	t.Helper()
	d := newDisk()
	add(t, open(t, d), r)
	return d.log("website").frames[0].Records[0]
}

// olderRecord is the entry of refusal("website", 1) as version 1 wrote it before
// there were attachments.
const olderRecord = "ZQEB1uqfoOSp/eox1uqfoOSp/eoxhtJ6CMBWGHG3l8rBWKKriygAD09yZGVyIENvbXBsZXRlZARwbGFuES9wcm9wZXJ0aWVzL3RvdGFsgoC0vb" +
	"b22pgxZAACbTEUMjAyNi0wMy0wMVQxMTo1OTo1OFpAMGYwZjBmMGYwZjBmMGYwZjBmMGYwZjBmMGYwZjBmMGYwZjBmMGYwZjBmMGYwZjBmMGYw" +
	"ZjBmMGYwZjBmMGYwZn9beyJjb2RlIjoicGxhbiIsInBhdGgiOiIvcHJvcGVydGllcy90b3RhbCIsImtleXdvcmQiOiJ0eXBlIiwibWVzc2FnZS" +
	"I6IndhbnQgbnVtYmVyLCBnb3Qgc3RyaW5nIiwic2NoZW1hIjoicGxhbnMvd2Vic2l0ZS55YW1sIn1dZHsidHlwZSI6InRyYWNrIiwiZXZlbnQi" +
	"OiJPcmRlciBDb21wbGV0ZWQiLCJ1c2VySWQiOiJ1MSIsIm1lc3NhZ2VJZCI6Im0xIiwicHJvcGVydGllcyI6eyJ0b3RhbCI6IjEifX0="

// A record without an attachment is what it was before there were any.
func TestOlderRecordsAreReadAndRecognised(t *testing.T) {
	r := refusal("website", 1)
	r.Hash = strings.Repeat("0f", 32)
	b := firstRecord(t, r)
	if b[0] != 'e' || b[1] != 1 || !bytes.HasSuffix(b, r.Claim) {
		t.Fatalf("the record is %q", b)
	}
	old, err := base64.StdEncoding.DecodeString(olderRecord)
	if err != nil {
		t.Fatal(err)
	}
	d := newDisk()
	if err := d.log("website").Append(context.Background(), [][]byte{old}); err != nil {
		t.Fatal(err)
	}
	q := open(t, d)
	add(t, q, r, attached(1, []byte("request")))
	got := list(t, q, quarantine.Filter{OldestFirst: true})
	if len(got) != 2 || got[0].Count != 2 || string(got[0].Claim) != string(r.Claim) || got[0].Attachment != nil || got[0].AttachmentSize != 0 {
		t.Errorf("entries are %+v", got)
	}
}

func TestDamagedAttachments(t *testing.T) {
	r := attached(1, []byte("request"))
	b := firstRecord(t, r)
	if b[1] != 2 || !bytes.HasSuffix(b, []byte("\x07\x07request")) {
		t.Fatalf("the record is %q", b)
	}
	edit := func(do func(b []byte) []byte) []byte { return do(slices.Clone(b)) }
	end := len(b) - len("\x07\x07request")
	d := newDisk()
	damaged := [][]byte{
		b[:end], b[:end+1], b[:len(b)-1], append(slices.Clone(b), 0),
		edit(func(b []byte) []byte { b[1] = 1; return b }),                           // an older version has no attachment
		edit(func(b []byte) []byte { b[1] = 3; return b }),                           // nobody knows this version
		edit(func(b []byte) []byte { b[end] = 8; return b }),                         // a part of an attachment
		edit(func(b []byte) []byte { b[end] = 0; return b }),                         // more than there was
		edit(func(b []byte) []byte { return append(b[:end], 0, 0) }),                 // none, in a version that has one
		edit(func(b []byte) []byte { b[end+1] = 0xff; return b }),                    // a length beyond the end
		append(slices.Clone(b[:end]), bytes.Repeat([]byte{0xff}, 11)...),             // no number
		append(slices.Clone(b[:end]), "\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x00"...), // too large for an int
	}
	for _, record := range damaged {
		if err := d.log("website").Append(context.Background(), [][]byte{record}); err != nil {
			t.Fatal(err)
		}
	}
	q := open(t, d)
	add(t, q, r)
	got := list(t, q, quarantine.Filter{})
	if s := status(t, q, "website"); s.Damaged != uint64(len(damaged)) || len(got) != 1 || string(got[0].Attachment) != "request" {
		t.Errorf("%d entries, status is %+v, want %d damaged", len(got), s, len(damaged))
	}
}
