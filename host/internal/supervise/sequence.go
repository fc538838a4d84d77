package supervise

import (
	"fmt"

	"github.com/wellhead-io/wellhead/sdk/wire"
)

// maxNotStored bounds the batches of a stream that may be sent again. A push
// source never does: its clients do, in new batches.
const maxNotStored = 4096

// sequence knows which batch number may come.
type sequence struct {
	last      uint64
	notStored []uint64 // may come again, oldest first
}

// take accepts a number, or says why not.
func (q *sequence) take(seq uint64) error {
	if seq == q.last+1 {
		q.last = seq
		return nil
	}
	for i, n := range q.notStored {
		if n == seq {
			q.notStored = append(q.notStored[:i], q.notStored[i+1:]...)
			return nil
		}
	}
	if seq > q.last {
		return fmt.Errorf("batch %d follows on batch %d", seq, q.last)
	}
	return fmt.Errorf("batch %d came again though it was stored or has no verdict yet", seq)
}

// refused notes that a batch was not stored.
func (q *sequence) refused(seq uint64) {
	if len(q.notStored) == maxNotStored {
		q.notStored = append(q.notStored[:0], q.notStored[1:]...)
	}
	q.notStored = append(q.notStored, seq)
}

// check judges a batch's form and counts it.
func (s *stream) check(b *wire.Batch) error {
	if err := checkForm(b, s.limits); err != nil {
		return s.protocol(fmt.Sprintf("batch %d: %v", b.GetSeq(), err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.numbers.take(b.GetSeq()); err != nil {
		return s.protocol(err.Error())
	}
	if s.batches++; s.batches > int(s.limits.Window) {
		return s.protocol(fmt.Sprintf("it sent more than %d batches without waiting for a verdict", s.limits.Window))
	}
	s.owed++
	return nil
}

// settle notes a batch's verdict.
func (s *stream) settle(seq uint64, stored bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batches--
	if !stored {
		s.numbers.refused(seq)
	}
}

func checkForm(b *wire.Batch, l Limits) error {
	count := len(b.GetEvents())
	if count > int(l.BatchEvents) {
		return fmt.Errorf("it has %d events, more than %d", count, l.BatchEvents)
	}
	size := 0
	for _, e := range b.GetEvents() {
		size += len(e)
	}
	if size > int(l.BatchBytes) {
		return fmt.Errorf("its events have %d bytes, more than %d", size, l.BatchBytes)
	}
	if n := len(b.GetCheckpoint()); n > wire.MaxCheckpoint {
		return fmt.Errorf("its checkpoint has %d bytes, more than %d", n, wire.MaxCheckpoint)
	}
	end := 0
	for _, g := range b.GetGroups() {
		first, n := int(g.GetFirst()), int(g.GetCount())
		if first < end || n == 0 || first+n > count {
			return fmt.Errorf("group %d+%d overlaps another, is empty or exceeds the %d events", first, n, count)
		}
		end = first + n
	}
	for _, v := range b.GetViolations() {
		if int(v.GetIndex()) >= count {
			return fmt.Errorf("it refuses event %d of %d", v.GetIndex(), count)
		}
	}
	return nil
}
