package file_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// powerCut is a disk that loses what was not synced when its time has come: all,
// or some of it. Changes of names are lost from the latest on, as a file system
// with a journal loses them.
type powerCut struct {
	t    *testing.T
	rng  *rand.Rand
	dir  string
	left int // steps until the cut
	// names are the changes since the folder was synced.
	names []change
	// synced is the durable length of each file, by inode.
	synced map[uint64]int64
}

// change is a rename, or with from empty the creation of a file.
type change struct{ from, to string }

func (p *powerCut) step(op, path string, f *os.File) error {
	if p.left--; p.left == -1 {
		p.cut()
	}
	if p.left < 0 {
		return errKilled
	}
	switch op {
	case "create":
		p.names = append(p.names, change{to: path})
	case "rename":
		from, to, _ := strings.Cut(path, "\x00")
		p.names = append(p.names, change{from, to})
	case "syncDir":
		p.names = nil
	case "sync":
		info, err := f.Stat()
		p.must(err)
		p.synced[inode(info)] = info.Size()
	}
	return nil
}

func (p *powerCut) cut() {
	kept := p.rng.IntN(len(p.names) + 1)
	for _, c := range slices.Backward(p.names[kept:]) {
		if c.from == "" {
			p.must(os.Remove(c.to))
		} else {
			p.must(os.Rename(c.to, c.from))
		}
	}
	entries, err := os.ReadDir(p.dir)
	p.must(err)
	for _, e := range entries {
		info, err := e.Info()
		p.must(err)
		path, durable := filepath.Join(p.dir, e.Name()), p.synced[inode(info)]
		lost := info.Size() - durable
		if lost <= 0 {
			continue
		}
		some := durable + p.rng.Int64N(lost+1)
		if p.rng.IntN(2) == 0 {
			p.must(os.Truncate(path, some))
			continue
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0) // the length was written, the bytes were not
		p.must(err)
		_, err = f.WriteAt(make([]byte, info.Size()-some), some)
		p.must(errors.Join(err, f.Close()))
	}
}

func (p *powerCut) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func inode(info os.FileInfo) uint64 { return info.Sys().(*syscall.Stat_t).Ino }

func TestPowerCutAtAnyStepLosesAndDoublesNothing(t *testing.T) {
	for seed := range uint64(10) {
		for after := 0; ; after++ {
			h := newHost(t)
			p := &powerCut{
				t: t, rng: rand.New(rand.NewPCG(seed, uint64(after))), dir: filepath.Dir(string(h.config.Path)),
				left: after, synced: map[uint64]int64{},
			}
			err := h.run(crashEvents, p.step)
			if err == nil {
				break // it came after everything
			}
			if !errors.Is(err, errKilled) {
				t.Fatal(err)
			}
			if err := h.run(crashEvents, alive); err != nil {
				t.Fatalf("seed %d, start after a power cut at step %d: %v", seed, after, err)
			}
			h.check("power cut", crashEvents)
		}
	}
}
