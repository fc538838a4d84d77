package journal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/wellhead-io/wellhead/host/internal/journal"
)

// codes collects the codes of what is logged.
type codes struct {
	mu   sync.Mutex
	seen []string
	text strings.Builder
}

func (c *codes) Enabled(context.Context, slog.Level) bool { return true }
func (c *codes) WithAttrs([]slog.Attr) slog.Handler       { return c }
func (c *codes) WithGroup(string) slog.Handler            { return c }

func (c *codes) Handle(_ context.Context, r slog.Record) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintln(&c.text, r.Message)
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintln(&c.text, "\t", a)
		if a.Key == "code" {
			c.seen = append(c.seen, a.Value.String())
		}
		return true
	})
	return nil
}

func (c *codes) has(code string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.seen, code)
}

func (c *codes) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}

func logTo(o journal.Options, c *codes) journal.Options {
	o.Log = slog.New(c)
	return o
}

// streamDir is where the embedded server keeps a stream.
func streamDir(dir, stream string) string {
	return filepath.Join(dir, "jetstream", "$G", "streams", stream)
}

func block(dir string, n int) string {
	return filepath.Join(streamDir(dir, "journal"), "msgs", fmt.Sprintf("%d.blk", n))
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func writeFile(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// remove removes a file that may be gone already.
func remove(t testing.TB, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

// written is a journal's directory with n frames of one event each, and what
// its files were before the last stop.
type written struct {
	dir  string
	ends []int64 // where each frame ends in the block
	old  []byte  // the index of the blocks, from when half of the frames were there
}

const writtenFrames = 6

func write(t testing.TB) written {
	t.Helper()
	w := written{dir: t.TempDir()}
	index := filepath.Join(streamDir(w.dir, "journal"), "msgs", "index.db")
	for i := range writtenFrames {
		if i == writtenFrames/2 {
			w.old = readFile(t, index)
		}
		j := open(t, with(w.dir))
		j.append(t, track("web", fmt.Sprint("e", i)))
		j.stop()
		w.ends = append(w.ends, int64(len(readFile(t, block(w.dir, 1)))))
	}
	return w
}

func TestATornTailIsCutAtTheLastWholeFrame(t *testing.T) {
	base := write(t)
	whole := readFile(t, block(base.dir, 1))
	last := base.ends[writtenFrames-2] // where the last frame begins
	type damage struct {
		name   string
		do     func(t *testing.T, w written)
		frames int  // that are left
		quiet  bool // nothing was cut
	}
	damages := []damage{
		{"nothing", func(*testing.T, written) {}, writtenFrames, true},
		{"index missing", func(t *testing.T, w written) { remove(t, w.index()) }, writtenFrames, true},
		{"index empty", func(t *testing.T, w written) { writeFile(t, w.index(), nil) }, writtenFrames, true},
		{"index garbage", func(t *testing.T, w written) { writeFile(t, w.index(), bytes.Repeat([]byte{0xa5}, 500)) }, writtenFrames, true},
		{"index stale", func(t *testing.T, w written) { writeFile(t, w.index(), w.old) }, writtenFrames, true},
		{"garbage at the end", func(t *testing.T, w written) { w.setBlock(t, append(whole, "not a record at all"...)) }, writtenFrames, false},
		{"zeros at the end", func(t *testing.T, w written) { w.setBlock(t, append(whole, make([]byte, 9000)...)) }, writtenFrames, false},
		{"a lying length at the end", func(t *testing.T, w written) {
			w.setBlock(t, append(whole, "\xff\xff\xff\x7f............................"...))
		}, writtenFrames, false},
		{"half a frame", func(t *testing.T, w written) { w.setBlock(t, append(whole, whole[last:last+100]...)) }, writtenFrames, false},
		{"the last frame zeroed", func(t *testing.T, w written) { w.setBlock(t, append(whole[:last], make([]byte, 300)...)) }, writtenFrames - 1, false},
		{"the last frame's end zeroed", func(t *testing.T, w written) {
			w.setBlock(t, append(whole[:len(whole)-40], make([]byte, 40)...))
		}, writtenFrames - 1, false},
		{"block empty", func(t *testing.T, w written) { w.setBlock(t, nil) }, 0, true}, // nothing is left to tell from
		{"the next block empty", func(t *testing.T, w written) { writeFile(t, block(w.dir, 2), nil) }, writtenFrames, true},
		{"the next block zeroed", func(t *testing.T, w written) { writeFile(t, block(w.dir, 2), make([]byte, 4096)) }, writtenFrames, false},
		{"leftovers", func(t *testing.T, w written) {
			writeFile(t, block(w.dir, 1)+".tmp", whole[:50])
			writeFile(t, filepath.Join(w.dir, "jetstream", "_test_123"), nil)
			writeFile(t, filepath.Join(streamDir(w.dir, "journal"), "meta.inf.tmp"), nil)
		}, writtenFrames, true},
		{"metadata empty", func(t *testing.T, w written) { w.setMeta(t, "meta.inf", nil) }, writtenFrames, true},
		{"metadata garbage", func(t *testing.T, w written) { w.setMeta(t, "meta.inf", []byte("{")) }, writtenFrames, true},
		{"metadata missing", func(t *testing.T, w written) { remove(t, filepath.Join(streamDir(w.dir, "journal"), "meta.inf")) }, writtenFrames, true},
		{"metadata checksum missing", func(t *testing.T, w written) { remove(t, filepath.Join(streamDir(w.dir, "journal"), "meta.sum")) }, writtenFrames, true},
		{"metadata checksum torn", func(t *testing.T, w written) { w.setMeta(t, "meta.sum", []byte("12")) }, writtenFrames, true},
	}
	for size := last + 1; size < int64(len(whole)); size += 97 {
		damages = append(damages, damage{fmt.Sprintf("cut to %d bytes", size), func(t *testing.T, w written) { w.setBlock(t, whole[:size]) }, writtenFrames - 1, false})
	}
	for _, d := range damages {
		for _, index := range []string{"with its index", "without an index"} {
			t.Run(d.name+" "+index, func(t *testing.T) {
				w := base.copy(t)
				d.do(t, w)
				if index == "without an index" {
					remove(t, w.index())
				}
				w.check(t, d.frames, d.quiet)
			})
		}
	}
}

func (w written) index() string {
	return filepath.Join(streamDir(w.dir, "journal"), "msgs", "index.db")
}

func (w written) setBlock(t *testing.T, data []byte) { writeFile(t, block(w.dir, 1), data) }

func (w written) setMeta(t *testing.T, name string, data []byte) {
	writeFile(t, filepath.Join(streamDir(w.dir, "journal"), name), data)
}

func (w written) copy(t *testing.T) written {
	c := w
	c.dir = t.TempDir()
	if err := os.CopyFS(c.dir, os.DirFS(w.dir)); err != nil {
		t.Fatal(err)
	}
	return c
}

// check opens the journal and finds so many of the frames, and that what is then
// appended is there after another opening.
func (w written) check(t *testing.T, frames int, quiet bool) {
	t.Helper()
	var want []string
	for i := range frames {
		want = append(want, fmt.Sprint("e", i))
	}
	log := new(codes)
	j := open(t, logTo(with(w.dir), log))
	wantIDs(t, j.ids(t), want...)
	if log.has("journal_tail_cut") == quiet {
		t.Errorf("cut is reported: %v; log:\n%s", !quiet, log)
	}
	if cut := j.Stats().CutBytes; (cut == 0) != quiet {
		t.Errorf("%d bytes were cut", cut)
	}
	// What is left is a duplicate; what was cut is stored again.
	var again []string
	for i := range writtenFrames {
		id := fmt.Sprint("e", i)
		if j.append(t, track("web", id)).Duplicates() == 0 {
			again = append(again, id)
		}
	}
	if len(again) != writtenFrames-frames {
		t.Errorf("stored again: %q", again)
	}
	j.append(t, track("web", "new"))
	want = append(append(want, again...), "new")
	wantIDs(t, j.ids(t), want...)
	j.stop()

	j = open(t, with(w.dir))
	wantIDs(t, j.ids(t), want...)
}

func TestADamagedFrameInTheMiddleIsPassedOverAndCounted(t *testing.T) {
	w := write(t)
	data := readFile(t, block(w.dir, 1))
	data[(w.ends[1]+w.ends[2])/2] ^= 1 // the third frame; the index still fits the block's end
	w.setBlock(t, data)
	log := new(codes)
	j := open(t, logTo(with(w.dir), log))
	for range 2 {
		wantIDs(t, j.ids(t), "e0", "e1", "e3", "e4", "e5")
	}
	if s := j.Stats(); s.LostFrames != 1 || !log.has("journal_frames_lost") {
		t.Errorf("%d lost frames; log:\n%s", s.LostFrames, log)
	}
	j.append(t, track("web", "new"))
	wantIDs(t, j.ids(t), "e0", "e1", "e3", "e4", "e5", "new")
}

// smallBlocks is the options of a journal whose blocks are of 32 kB, which is
// what the server makes of so small a bound; it holds some thirty frames of 4 kB,
// and the last one in memory.
func smallBlocks(dir string) journal.Options {
	return journal.Options{Dir: dir, MaxBytes: 120 << 10, Tail: 1}
}

// appendFrames appends so many frames of 4 kB, with the ids e0, e1, ….
func (o *opened) appendFrames(t testing.TB, n int) {
	t.Helper()
	for i := range n {
		o.append(t, sized(fmt.Sprint("e", i), 4<<10))
	}
}

func TestAMissingBlockInTheMiddleIsPassedOverAndCounted(t *testing.T) {
	dir := t.TempDir()
	j := open(t, smallBlocks(dir))
	j.appendFrames(t, 20)
	j.stop()
	if err := os.Remove(block(dir, 2)); err != nil {
		t.Fatal(err)
	}
	log := new(codes)
	j = open(t, logTo(smallBlocks(dir), log))
	ids := j.ids(t)
	s := j.Stats()
	if len(ids)+int(s.LostFrames) != 20 || s.LostFrames < 5 || !log.has("journal_frames_lost") {
		t.Errorf("%d frames, %d lost; log:\n%s", len(ids), s.LostFrames, log)
	}
	if ids[0] != "e0" || ids[len(ids)-1] != "e19" {
		t.Errorf("ids %q", ids)
	}
}

func TestADamagedBlockInTheMiddleIsCutAndReported(t *testing.T) {
	dir := t.TempDir()
	j := open(t, smallBlocks(dir))
	j.appendFrames(t, 20)
	j.stop()
	data := readFile(t, block(dir, 2))
	data[len(data)/2] ^= 1
	writeFile(t, block(dir, 2), data)
	// The server looks into old blocks only where the last stop was not clean.
	if err := os.Remove(filepath.Join(streamDir(dir, "journal"), "msgs", "index.db")); err != nil {
		t.Fatal(err)
	}
	log := new(codes)
	j = open(t, logTo(smallBlocks(dir), log))
	ids := j.ids(t)
	s := j.Stats()
	if len(ids)+int(s.LostFrames) != 20 || s.LostFrames == 0 || s.CutBytes == 0 || !log.has("journal_block_cut") || log.has("journal_tail_cut") {
		t.Errorf("%d frames, %d lost, %d bytes cut; log:\n%s", len(ids), s.LostFrames, s.CutBytes, log)
	}
}

func TestRetentionDropsTheOldestQuietly(t *testing.T) {
	opts := smallBlocks(t.TempDir())
	log := new(codes)
	j := open(t, logTo(opts, log))
	j.appendFrames(t, 90)
	f := j.next(t, 1)
	if f.Seq() < 50 || f.Seq() > 75 {
		t.Errorf("the first frame is %d", f.Seq())
	}
	eventually(t, "figures without what was dropped", func() bool { return j.Extent().First >= f.Seq() && j.Stats().Frames > 0 })
	if s := j.Stats(); s.LostFrames != 0 || s.Bytes > 120<<10 || s.Frames > 30 || s.Oldest.IsZero() {
		t.Errorf("stats %+v; log:\n%s", s, log)
	}
	j.stop()
	j = open(t, logTo(opts, log))
	if ids := j.ids(t); ids[len(ids)-1] != "e89" {
		t.Errorf("ids %q", ids)
	}
	if s := j.Stats(); s.LostFrames+uint64(s.CutBytes) != 0 {
		t.Errorf("stats %+v; log:\n%s", s, log)
	}
}
