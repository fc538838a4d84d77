package journal

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// logCommitter makes the records of all secondary logs durable: those of one log
// that are queued together share frames and a sync.
type logCommitter struct {
	journal *Journal
	session *session
}

// run is as committer.run.
func (c *logCommitter) run(ctx, ended context.Context) error {
	for {
		select {
		case <-c.journal.logQueue.filled:
		case <-ctx.Done():
			if ended.Err() == nil {
				return nil
			}
			c.journal.intake.end()
			return c.commitQueued(context.WithoutCancel(ctx))
		}
		if err := c.commitQueued(context.WithoutCancel(ctx)); err != nil {
			return err
		}
	}
}

// commitQueued commits what is queued, log by log in the order of their first
// records.
func (c *logCommitter) commitQueued(ctx context.Context) error {
	queued := c.journal.logQueue.take()
	var order []*Log
	byLog := make(map[*Log][]*pendingRecords)
	for _, p := range queued {
		if byLog[p.log] == nil {
			order = append(order, p.log)
		}
		byLog[p.log] = append(byLog[p.log], p)
	}
	var fault error
	for _, log := range order {
		batch := byLog[log]
		var err error
		if fault != nil {
			err = faultError(fault)
		} else {
			err, fault = c.commit(ctx, log, batch)
		}
		for _, p := range batch {
			c.journal.logQueue.release(p.size)
			p.ticket.finish(err)
		}
	}
	return fault
}

// commit makes records of one log durable. It returns what their tickets get,
// and the storage's error, where it is one.
func (c *logCommitter) commit(ctx context.Context, log *Log, batch []*pendingRecords) (err, fault error) {
	size := 0
	for _, p := range batch {
		size += p.size
	}
	if err := c.journal.roomFor(size); err != nil {
		return err, nil
	}
	stream, err := log.open(ctx, c.session, true)
	if err != nil {
		if c.session.store.broken() {
			fault = err
		}
		return faultError(err), fault // otherwise it is this log's own, such as options that the server refuses
	}
	err = c.store(log, stream, batch)
	switch {
	case errors.Is(err, errFull):
		return fmt.Errorf("%w: %s has its %d MiB", ErrLogFull, log.view.name, stream.config.maxBytes>>20), nil
	case err != nil:
		return faultError(err), err
	}
	return nil, nil
}

// store writes the records in frames, syncs and shows them to readers. What one
// Append brought stays in one frame.
func (c *logCommitter) store(log *Log, stream *stream, batch []*pendingRecords) error {
	var frames []*Frame
	var failed error
	for len(batch) > 0 && failed == nil {
		size, n := 0, 0
		for n < len(batch) && (n == 0 || size+batch[n].size <= frameTarget) {
			size += batch[n].size
			n++
		}
		b := newFrameBuilder(kindRecords, size, 0)
		for _, p := range batch[:n] {
			for _, r := range p.records {
				b.addRecord(r)
			}
		}
		batch = batch[n:]
		data := b.finish(stream.end, time.Now())
		if failed = stream.append(data); failed == nil {
			frame, err := parseFrame(data)
			if err != nil {
				return err
			}
			frame.seq = stream.last
			frames = append(frames, frame)
		}
	}
	if c.journal.opts.SyncInterval == 0 && len(frames) > 0 {
		err := stream.sync()
		stream.rest()
		if err != nil {
			return err
		}
	}
	for _, f := range frames {
		log.view.publish(f)
	}
	return failed
}
