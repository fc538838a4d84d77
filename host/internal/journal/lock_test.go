package journal_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/wellhead-io/wellhead/host/internal/journal"
)

func TestASecondHostIsToldTheFirstOnesPid(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "data")
	first, err := journal.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = journal.Lock(dir)
	if !errors.Is(err, journal.ErrLocked) || !strings.Contains(err.Error(), "pid "+strconv.Itoa(os.Getpid())) || !strings.Contains(err.Error(), dir) {
		t.Errorf("second lock: %v", err)
	}
	if err := first.Unlock(); err != nil {
		t.Fatal(err)
	}
	again, err := journal.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Unlock(); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("data_dir is %v, %v", info.Mode(), err)
	}
}

func TestALockThatIsALinkIsNotFollowed(t *testing.T) {
	dir, victim := t.TempDir(), filepath.Join(t.TempDir(), "victim")
	writeFile(t, victim, []byte("precious"))
	if err := os.Symlink(victim, filepath.Join(dir, "lock")); err != nil {
		t.Fatal(err)
	}
	if _, err := journal.Lock(dir); err == nil || !strings.Contains(err.Error(), "symbolic link; remove it") {
		t.Errorf("lock: %v", err)
	}
	if got := string(readFile(t, victim)); got != "precious" {
		t.Errorf("the link's target holds %q now", got)
	}
}

func TestANewerFormatIsRefusedWithTheRemedy(t *testing.T) {
	dir := t.TempDir()
	lock, err := journal.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	format := filepath.Join(dir, "format")
	if got := string(readFile(t, format)); got != strconv.Itoa(journal.Format)+"\n" {
		t.Errorf("format file holds %q", got)
	}
	for content, want := range map[string]string{
		strconv.Itoa(journal.Format+1) + "\n": "run the version of wellhead that wrote it",
		"":                                    "restore the file",
		"one":                                 "restore the file",
	} {
		writeFile(t, format, []byte(content))
		if _, err := journal.Lock(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("format %q: %v", content, err)
		}
		if got := string(readFile(t, format)); got != content {
			t.Errorf("the format file was changed to %q", got)
		}
	}
	writeFile(t, format, []byte(strconv.Itoa(journal.Format)))
	if lock, err = journal.Lock(dir); err != nil {
		t.Fatal("a refusal keeps the lock:", err)
	}
	if err := lock.Unlock(); err != nil {
		t.Error(err)
	}
}
