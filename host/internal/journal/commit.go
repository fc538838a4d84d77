package journal

import (
	"context"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// committer turns queued batches into durable frames, one frame at a time.
type committer struct {
	journal *Journal
	stream  *stream
	work    []*pending // batches that are not wholly in a frame
}

// building is a frame on its way.
type building struct {
	*frameBuilder
	events []*event.Envelope // those in the frame, in order
	ids    map[frameKey]struct{}
	groups uint32
	bytes  int
	done   []*pending // batches that are durable with this frame
}

type frameKey struct {
	source event.SourceID
	id     string
}

func (c *committer) run(ctx context.Context) error {
	for {
		select {
		case <-c.journal.queue.filled:
		case <-ctx.Done():
			return nil
		}
		c.work = append(c.work, c.journal.queue.take()...)
		for len(c.work) > 0 {
			b := c.build()
			if err := c.commit(b); err != nil {
				for _, p := range append(b.done, c.work...) {
					p.ticket.finish(err)
				}
				return err
			}
			c.work = append(c.work, c.journal.queue.take()...)
		}
	}
}

// build takes events from the waiting batches until a frame is full.
func (c *committer) build() *building {
	payload := 0
	for _, p := range c.work {
		if payload += p.size; payload >= frameTarget {
			break
		}
	}
	b := &building{
		frameBuilder: newFrameBuilder(kindEvents, min(payload, frameTarget)),
		ids:          make(map[frameKey]struct{}),
	}
	for len(c.work) > 0 && c.fill(b, c.work[0]) {
		b.done = append(b.done, c.work[0])
		c.work = c.work[1:]
	}
	return b
}

// fill moves a batch's events into the frame; false: the frame is full first.
func (c *committer) fill(b *building, p *pending) bool {
	groups := make(map[uint32]uint32)
	for p.next < len(p.events) {
		end := p.next + 1
		if p.units != nil {
			end = p.units[p.next]
		}
		unit := p.events[p.next:end]
		size := 0
		for i := range unit {
			size += eventSize(&unit[i])
		}
		if b.count > 0 && (b.bytes+size > frameTarget || b.count+len(unit) > event.MaxFrameEvents || len(b.sources)+len(unit) > maxFrameSources) {
			return false
		}
		for i := range unit {
			if !c.add(b, &unit[i], groups) {
				p.ticket.duplicates++
			}
		}
		p.next = end
	}
	return true
}

// add puts an event into the frame, unless it is a duplicate.
func (c *committer) add(b *building, env *event.Envelope, groups map[uint32]uint32) bool {
	if index := c.journal.opts.Index; index != nil {
		key := frameKey{env.Source, env.MessageID}
		if _, ok := b.ids[key]; ok {
			return false
		}
		if _, ok := index.Has(env.Source, env.MessageID); ok {
			return false
		}
		b.ids[key] = struct{}{}
	}
	group := env.Group
	if group != 0 {
		if groups[group] == 0 {
			b.groups++
			groups[group] = b.groups
		}
		group = groups[group]
	}
	b.bytes += eventSize(env)
	b.events = append(b.events, env)
	b.addEvent(env, group)
	return true
}

// commit makes a frame durable and tells everyone.
func (c *committer) commit(b *building) error {
	if b.count > 0 {
		if err := c.store(b); err != nil {
			return err
		}
	}
	for _, p := range b.done {
		c.journal.queue.release(p.size)
		p.ticket.finish(nil)
	}
	return nil
}

func (c *committer) store(b *building) error {
	j, now := c.journal, time.Now()
	data := b.finish(c.stream.end, now)
	if err := c.stream.append(data); err != nil {
		return err
	}
	if j.opts.SyncInterval == 0 {
		if err := c.stream.sync(); err != nil {
			return err
		}
	}
	seq := c.stream.last
	if j.opts.Index != nil {
		for i, env := range b.events {
			j.opts.Index.Add(env.Source, env.MessageID, event.At(seq, i), now)
		}
	}
	frame, err := parseFrame(data)
	if err != nil {
		return err
	}
	frame.Seq = seq
	j.end.Store(c.stream.end)
	j.committed.Store(seq)
	j.tail.add(frame)
	return nil
}
