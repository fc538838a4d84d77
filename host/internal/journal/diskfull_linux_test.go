package journal_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/journal"
)

// smallDisk mounts a file system of so many bytes.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Fatalf("mount a tmpfs: %v; run the tests as root, for example in a container with --privileged", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill takes all the space that is left but keep bytes, and returns what gives it back.
func fill(t *testing.T, dir string, keep int64) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	chunk := make([]byte, 4096)
	for {
		if _, err := f.Write(chunk); errors.Is(err, syscall.ENOSPC) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	info, err := f.Stat()
	if err == nil {
		err = f.Truncate(max(0, info.Size()-keep))
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

// TestAFullDiskLosesNothingAndIntakeResumes meets the real error of a full file
// system, where something else than the journal takes the last of it at once.
func TestAFullDiskLosesNothingAndIntakeResumes(t *testing.T) {
	for name, blind := range map[string]bool{"with a reserve": false, "blind to free space": true} {
		t.Run(name, func(t *testing.T) {
			dir := smallDisk(t, 64<<20)
			faults := journal.Faults{}
			if blind {
				faults.Space = func() (uint64, uint64) { return 1 << 40, 1 << 40 }
			}
			j := open(t, journal.WithFaults(with(filepath.Join(dir, "journal")), faults))
			var want []string
			add := func(n int) {
				id := fmt.Sprint("e", n)
				j.append(t, sized(id, 50<<10))
				want = append(want, id)
			}
			for i := range 10 {
				add(i)
			}
			free := fill(t, dir, 120<<10)
			start := time.Now()
			var err error
			for i := 10; err == nil; i++ {
				id := fmt.Sprint("e", i)
				if _, err = j.tryAppend(sized(id, 50<<10)); err == nil {
					want = append(want, id)
				}
			}
			if !errors.Is(err, journal.ErrDiskFull) {
				t.Errorf("append to a full disk: %v", err)
			}
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("it took %s to notice", d)
			}
			eventually(t, "closed intake", func() bool { return j.Stats().Closed != nil })
			wantIDs(t, j.ids(t), want...)
			free()
			for i := 100; i < 110; i++ {
				id := fmt.Sprint("e", i)
				j.resend(t, sized(id, 50<<10))
				want = append(want, id)
			}
			got := j.ids(t)
			j.stop()
			j = open(t, with(filepath.Join(dir, "journal")))
			wantIDs(t, j.ids(t), got...)
			if missing := without(want, got); len(missing) > 0 {
				t.Errorf("acknowledged and not there: %q", missing)
			}
			wantOnce(t, got)
			j.stop()
		})
	}
}

// TestAJournalStartsOnAFullDisk opens one where not a byte is left: its intake
// is closed, what it holds can be read, and it goes on when there is space.
func TestAJournalStartsOnAFullDisk(t *testing.T) {
	dir := smallDisk(t, 16<<20)
	j := open(t, with(filepath.Join(dir, "journal")))
	j.append(t, tracks("a", 3)...)
	j.stop()
	for name, damage := range map[string]func(){
		"after a clean stop": func() {},
		"after a crash": func() {
			remove(t, filepath.Join(streamDir(filepath.Join(dir, "journal"), "journal"), "msgs", "index.db"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			damage()
			free := fill(t, dir, 0)
			j := open(t, journal.WithFaults(with(filepath.Join(dir, "journal")), journal.Faults{}))
			if _, err := j.tryAppend(track("web", "b")); !errors.Is(err, journal.ErrDiskFull) {
				t.Errorf("append to a full disk: %v", err)
			}
			wantIDs(t, j.ids(t)[:3], "a-0", "a-1", "a-2")
			free()
			j.resend(t, track("web", "b-"+name))
			j.stop()
		})
	}
}
