package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// session is one run of the embedded server and what works on it. A storage
// error ends it, and the journal begins another.
type session struct {
	number int // sessions of a journal are counted
	store  *store
	main   *stream

	logPub *publisher
	mu     sync.Mutex
	logs   []*stream // those in use, for syncAll
}

// openSession starts the server on the journal's directory.
func (j *Journal) openSession(ctx context.Context) (*session, error) {
	if err := j.disk.suspects.rewrite(j.disk.seams); err != nil {
		return nil, err
	}
	if err := j.syncLogs(); err != nil {
		return nil, err
	}
	before := readBlockSizes(j.opts.Dir)
	st, err := startStore(j.opts.Dir, maxPayload, j.log)
	if st != nil {
		j.lastStore = st
		j.sessions++
	}
	if err != nil {
		return nil, err
	}
	s := &session{number: j.sessions, store: st}
	if err := s.openMain(ctx, j); err != nil {
		s.close()
		return nil, err
	}
	j.cut.Add(before.cuts(readBlockSizes(j.opts.Dir), j.log))
	return s, nil
}

// syncLogs makes durable what secondary logs hold from before this session: they
// are opened when they are used, but a Sync speaks for all of them.
func (j *Journal) syncLogs() error {
	logs, err := j.Logs()
	if err != nil {
		return err
	}
	for _, name := range logs {
		file, err := fileName(name)
		if err != nil {
			return err
		}
		b, err := openBlocks(filepath.Join(streamsIn(j.opts.Dir), logPrefix+file, blocksDir), &j.disk)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a crash came before its first block
		}
		if err != nil {
			return err
		}
		b.close()
	}
	return nil
}

func (s *session) openMain(ctx context.Context, j *Journal) error {
	pub, err := s.store.publisher(j.opts.seams.publishTimeout)
	if err != nil {
		return err
	}
	if s.logPub, err = s.store.publisher(j.opts.seams.publishTimeout); err != nil {
		return err
	}
	s.main, err = openStream(ctx, &stream{
		config: streamConfig{name: mainStream, maxBytes: j.opts.MaxBytes, maxAge: j.opts.MaxAge},
		store:  s.store, pub: pub, disk: &j.disk, latency: &j.latency,
	})
	return err
}

// openLog opens a secondary log's stream in this session.
func (s *session) openLog(ctx context.Context, j *Journal, c streamConfig) (*stream, error) {
	opened, err := openStream(ctx, &stream{
		config: c, store: s.store, pub: s.logPub, disk: &j.disk, latency: &j.latency,
	})
	if errors.Is(err, errSync) {
		s.store.fail(err) // another session writes the file again
	}
	if err != nil {
		return nil, err
	}
	opened.rest()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logs = append(s.logs, opened)
	return opened, nil
}

// syncAll makes durable all that was acknowledged before the call.
func (s *session) syncAll() error {
	s.mu.Lock()
	logs := s.logs[:len(s.logs):len(s.logs)]
	s.mu.Unlock()
	err := s.main.sync()
	for _, log := range logs {
		if err == nil {
			err = log.sync()
			log.rest()
		}
	}
	if err != nil {
		s.store.fail(err)
	}
	return err
}

func (s *session) close() {
	if s.main != nil {
		s.main.rest()
	}
	s.store.stop()
}

// serve commits until ctx ends, and then what is still queued; or until the
// storage fails, with the reason.
func (j *Journal) serve(ctx context.Context, s *session) error {
	ended := ctx
	g, ctx := errgroup.WithContext(ctx)
	main := &committer{journal: j, session: s}
	logs := &logCommitter{journal: j, session: s}
	g.Go(func() error { return main.run(ctx, ended) })
	g.Go(func() error { return logs.run(ctx, ended) })
	g.Go(func() error { return j.watch(ctx, s) })
	if j.opts.SyncInterval > 0 {
		g.Go(func() error { return j.syncLoop(ctx, s) })
	}
	if err := g.Wait(); ended.Err() == nil {
		return err
	}
	return nil
}

// watch notices what happens without an append: that the storage fails, that
// the disk fills or has room again, and that retention drops frames.
func (j *Journal) watch(ctx context.Context, s *session) error {
	tick := time.NewTicker(j.opts.seams.watch)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.store.failed:
			return s.store.cause
		case <-tick.C:
		}
		j.checkSpace()
		if s.store.broken() {
			return s.store.because(errors.New("nats: the connection is lost"))
		}
		if state, err := s.store.state(ctx, mainStream); err == nil {
			j.sawState(state)
		}
	}
}

// checkSpace opens or closes the intake by what the disk has free. Once full, it
// must have an eighth more than the reserve, so that the intake does not flap.
func (j *Journal) checkSpace() {
	full := j.intake.isFull()
	err := j.hasRoom(0, full)
	switch {
	case err != nil && !full:
		j.closeFull(err)
	case err == nil && full:
		j.intake.setFull(nil)
		j.log.Info("the disk has room again, the journal takes events", "code", "journal_disk_free")
	}
}

// hasRoom checks that the disk has size more bytes than the reserve; with slack,
// an eighth of the reserve more.
func (j *Journal) hasRoom(size int, slack bool) error {
	sp, err := j.disk.seams.space(j.opts.Dir)
	if err != nil {
		j.log.Debug("the free space of the journal's disk is not known", "code", "journal_space", "error", err)
		sp = space{free: math.MaxUint64} // the write itself will tell
	}
	need := sp.reserve() + uint64(size)
	if slack {
		need += sp.reserve() / 8
	}
	if sp.free < need {
		return fmt.Errorf("%w: %d MiB are free, and %d MiB are kept free", ErrDiskFull, sp.free>>20, sp.reserve()>>20)
	}
	return nil
}

// roomFor checks that the disk has room for a frame, and closes the intake where
// it has not.
func (j *Journal) roomFor(size int) error {
	err := j.hasRoom(size, false)
	if err != nil {
		j.closeFull(err)
	}
	return err
}

func (j *Journal) closeFull(err error) {
	if !j.intake.isFull() {
		j.log.Error("the journal takes no more events", "code", "journal_disk_full", "error", err,
			"remedy", "free space on the disk of data_dir, or lower journal.max_bytes; intake resumes by itself")
	}
	j.intake.setFull(err)
}

func (j *Journal) syncLoop(ctx context.Context, s *session) error {
	tick := time.NewTicker(j.opts.SyncInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return s.syncAll()
		case <-tick.C:
			if err := s.syncAll(); err != nil {
				return err
			}
		}
	}
}

// reopen begins another session once the last one is gone, with growing pauses.
// Nil: ctx has ended.
func (j *Journal) reopen(ctx context.Context, last *session, cause error) *session {
	j.log.Error("the journal's storage has failed and is reopened; events are not taken meanwhile",
		"code", "journal_fault", "error", cause, "remedy", "check the disk of data_dir")
	last.close()
	pause := j.opts.seams.retryMin
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		s, err := j.tryReopen(ctx)
		if err == nil {
			j.log.Info("the journal's storage works again", "code", "journal_reopened")
			return s
		}
		if ctx.Err() == nil && err.Error() != cause.Error() {
			j.log.Error("the journal's storage cannot be reopened yet", "code", "journal_fault", "error", err)
			cause = err
		}
		j.intake.setFault(err)
		if pause = min(2*pause, j.opts.seams.retryMax); errors.Is(err, ErrDiskFull) {
			pause = j.opts.seams.retryMin // to look for space costs nothing
		}
		timer.Reset(pause)
	}
}

func (j *Journal) tryReopen(ctx context.Context) (*session, error) {
	select {
	case <-j.lastStore.stopped:
	default:
		return nil, errors.New("the disk hangs: the last write to it has not returned")
	}
	j.checkSpace()
	if j.intake.isFull() {
		return nil, ErrDiskFull // the server writes files of its own to start
	}
	return j.openSession(ctx)
}
