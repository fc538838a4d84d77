package journal

import (
	"context"
	"fmt"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/journal/dedup"
)

// committer turns queued batches into durable frames, one frame at a time.
type committer struct {
	journal *Journal
	session *session
	work    []*pending // batches that are not wholly in a frame
	// keys and added are a frame's memory that the next uses again: at most that
	// of event.MaxFrameEvents.
	keys  map[dedup.Key]struct{}
	added []addition
}

// building is a frame on its way.
type building struct {
	*frameBuilder
	bytes  int
	groups uint32
	added  []addition             // the frame's events, where there is an index
	keys   map[dedup.Key]struct{} // their keys
	done   []*pending             // batches that are durable with this frame
}

type addition struct {
	key        dedup.Key
	receivedAt time.Time
}

// run commits until ctx ends. Where ended has, too, it first commits what is
// still queued. The error is one of the storage.
func (c *committer) run(ctx, ended context.Context) error {
	for {
		select {
		case <-c.journal.queue.filled:
		case <-ctx.Done():
			if ended.Err() == nil {
				return nil
			}
			c.journal.intake.end()
			return c.commitQueued()
		}
		if err := c.commitQueued(); err != nil {
			return err
		}
	}
}

// commitQueued commits until the queue is empty.
func (c *committer) commitQueued() error {
	for {
		c.work = append(c.work, c.journal.queue.take()...)
		if len(c.work) == 0 {
			return nil
		}
		b := c.build()
		if err := c.admit(b); err != nil {
			c.fail(b, err)
			continue
		}
		if err := c.store(b); err != nil {
			c.fail(b, faultError(err))
			return err
		}
		for _, p := range b.done {
			c.journal.queue.release(p.size)
			p.ticket.finish(nil)
		}
	}
}

// fail gives up a frame and every batch that waits.
func (c *committer) fail(b *building, err error) {
	for _, p := range append(b.done, c.work...) {
		c.journal.queue.release(p.size)
		p.ticket.finish(err)
	}
	c.work = nil
}

// build takes events from the waiting batches until a frame is full.
func (c *committer) build() *building {
	size, count := 0, 0
	for _, p := range c.work {
		size, count = size+p.size, count+len(p.events)
		if size >= frameTarget {
			break
		}
	}
	count = min(count, event.MaxFrameEvents)
	size = max(0, min(size, frameTarget)-count*(eventOverhead-entrySize))
	b := &building{frameBuilder: newFrameBuilder(kindEvents, size, count*entrySize)}
	if c.journal.index != nil {
		if c.keys == nil {
			c.keys = make(map[dedup.Key]struct{})
		}
		clear(c.keys)
		b.keys, b.added = c.keys, c.added[:0]
	}
	for len(c.work) > 0 && c.fill(b, c.work[0]) {
		b.done = append(b.done, c.work[0])
		c.work = c.work[1:]
	}
	return b
}

// fill moves a batch's events into the frame; false: the frame is full first.
func (c *committer) fill(b *building, p *pending) bool {
	numbers := make(map[uint32]uint32) // of the batch's groups in the frame
	for p.next < len(p.events) {
		end := p.next + 1
		if p.units != nil {
			end = p.units[p.next]
		}
		unit := p.events[p.next:end]
		if b.count > 0 && !b.fits(unit) {
			return false
		}
		for i := range unit {
			if c.isDuplicate(b, &unit[i]) {
				p.ticket.duplicates++
				continue
			}
			b.addEvent(&unit[i], b.number(unit[i].Group, numbers))
			b.bytes += eventSize(&unit[i])
		}
		p.next = end
	}
	return true
}

func (b *building) fits(unit []event.Envelope) bool {
	size := b.bytes
	for i := range unit {
		size += eventSize(&unit[i])
	}
	return size <= frameTarget && b.count+len(unit) <= event.MaxFrameEvents && len(b.sources)+len(unit) <= maxFrameSources
}

// number gives a batch's group its number in the frame, where other batches have
// groups, too.
func (b *building) number(group uint32, numbers map[uint32]uint32) uint32 {
	if group == 0 {
		return 0
	}
	if numbers[group] == 0 {
		b.groups++
		numbers[group] = b.groups
	}
	return numbers[group]
}

// isDuplicate reports whether the journal, or the frame, has an event already;
// otherwise the frame will.
func (c *committer) isDuplicate(b *building, env *event.Envelope) bool {
	index := c.journal.index
	if index == nil {
		return false
	}
	key := dedup.KeyOf(env.Source, env.MessageID)
	if _, ok := b.keys[key]; ok {
		return true
	}
	if _, ok := index.Has(key); ok {
		return true
	}
	b.keys[key] = struct{}{}
	b.added = append(b.added, addition{key, env.ReceivedAt})
	return false
}

// admit checks that there is room for a frame. Its error means that the frame is
// refused, not that the storage has failed.
func (c *committer) admit(b *building) error {
	if b.count == 0 {
		return nil
	}
	if err := c.journal.roomFor(b.bytes); err != nil {
		return err
	}
	if c.journal.index == nil {
		return nil
	}
	const patience = 10 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.journal.index.Reserve(ctx, b.count); err != nil {
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	return nil
}

// store makes a frame durable, then known: to the index, and to readers.
func (c *committer) store(b *building) error {
	if b.count == 0 {
		return nil // every event was a duplicate of a durable one
	}
	j, stream := c.journal, c.session.main
	data := b.finish(stream.end, time.Now())
	if err := stream.append(data); err != nil {
		return err
	}
	if j.opts.SyncInterval == 0 {
		if err := stream.sync(); err != nil {
			return err
		}
	}
	c.added = b.added
	for i, a := range b.added {
		j.index.Add(a.key, event.At(stream.last, i), a.receivedAt)
	}
	frame, err := parseFrame(data)
	if err != nil {
		return err
	}
	frame.seq = stream.last
	j.view.publish(frame)
	return nil
}
