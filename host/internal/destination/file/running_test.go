package file_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/destination"
	"github.com/wellhead-io/wellhead/host/internal/destination/file"
)

func TestFileThatIsMovedWhileItIsWrittenStaysWhole(t *testing.T) {
	for name, c := range map[string]struct {
		put  string // in the place of the file
		want string // beside the moved file there is one aside with this
	}{
		"moved":                        {},
		"moved and an empty one made":  {put: "empty"},
		"moved and another put there":  {put: "not ours\n", want: "not ours\n"},
		"moved and a copy left behind": {put: lines(0, 3), want: lines(0, 3)},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSink(t).resume()
			s.send(0, 3)
			s.flush()
			moved := filepath.Join(filepath.Dir(s.path), "moved")
			if err := os.Rename(s.path, moved); err != nil {
				t.Fatal(err)
			}
			if c.put != "" {
				if err := os.WriteFile(s.path, []byte(strings.TrimSuffix(c.put, "empty")), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s.send(3, 5)
			s.flush()
			s.send(5, 7)
			s.flush()
			s.wantFile(moved, lines(0, 5))
			s.wantFile(s.path, lines(5, 7))
			s.wantNotices("file_moved")
			others := slices.DeleteFunc(s.others(), func(p string) bool { return p == moved })
			if c.want == "" && len(others) > 0 || c.want != "" && len(others) != 1 {
				t.Fatalf("beside the files there are %v", others)
			}
			if c.want != "" {
				s.wantFile(others[0], c.want)
			}
			s.resume()
			s.wantFile(s.path, lines(5, 7))
			s.wantNotices("file_moved")
		})
	}
}

func TestFileThatIsRemovedWhileItIsWrittenIsBegunAgain(t *testing.T) {
	for _, call := range []string{"send", "flush"} {
		t.Run(call, func(t *testing.T) {
			s := newSink(t).resume()
			s.send(0, 3)
			s.flush()
			s.send(3, 4)
			if err := os.Remove(s.path); err != nil {
				t.Fatal(err)
			}
			var err error
			if call == "send" {
				err = s.d.Send(t.Context(), batch(4, 5))
			} else {
				_, err = s.d.Flush(t.Context())
			}
			var e *destination.Error
			if !errors.As(err, &e) || !e.Lost || e.Code != "file_removed" || e.Kind != destination.Unavailable {
				t.Fatalf("error %#v", err)
			}
			s.resume() // as a loop does then
			s.send(3, 5)
			s.flush()
			s.wantFile(s.path, lines(3, 5))
		})
	}
}

func TestFolderThatIsRemovedIsMadeAgain(t *testing.T) {
	s := newSink(t).resume()
	s.send(0, 3)
	s.flush()
	if err := os.Rename(filepath.Dir(s.path), filepath.Dir(s.path)+".old"); err != nil {
		t.Fatal(err)
	}
	s.send(3, 4)
	s.flush()
	s.send(4, 5)
	s.flush()
	s.wantFile(s.path, lines(4, 5))
	s.wantFile(filepath.Join(filepath.Dir(s.path)+".old", filepath.Base(s.path)), lines(0, 4))
}

func TestFileThatIsShortenedWhileItIsWrittenIsSetAside(t *testing.T) {
	s := newSink(t).resume()
	s.send(0, 3)
	s.flush()
	if err := os.Truncate(s.path, 4); err != nil {
		t.Fatal(err)
	}
	s.send(3, 4)
	s.flush()
	s.send(4, 5)
	s.flush()
	s.wantFile(s.path, lines(4, 5))
	s.wantNotices("file_shortened")
	if others := s.others(); len(others) != 1 || !strings.HasSuffix(others[0], ".aside") {
		t.Errorf("beside the file there are %v", others)
	}
}

func TestFileThatOthersWriteToIsReportedOnce(t *testing.T) {
	s := newSink(t).resume()
	for n := range 3 {
		s.send(n, n+1)
		f, err := os.OpenFile(s.path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = fmt.Fprintln(f, "not ours")
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		s.flush()
	}
	s.wantFile(s.path, lines(0, 1)+"not ours\n"+lines(1, 2)+"not ours\n"+lines(2, 3)+"not ours\n")
	s.wantNotices("file_shared")
	s.resume()
	s.wantFile(s.path, lines(0, 1)+"not ours\n"+lines(1, 2)+"not ours\n"+lines(2, 3)+"not ours\n")
}

func TestFirstStartAppendsToWhatIsThere(t *testing.T) {
	for name, c := range map[string]struct{ before, want string }{
		"nothing":    {"", lines(0, 2)},
		"whole line": {"{\"old\":1}\n", "{\"old\":1}\n" + lines(0, 2)},
		"torn line":  {"{\"old\":1}\n{\"ol", "{\"old\":1}\n{\"ol\n" + lines(0, 2)},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSink(t)
			if err := os.MkdirAll(filepath.Dir(s.path), 0o700); err != nil {
				t.Fatal(err)
			}
			if c.before != "" {
				if err := os.WriteFile(s.path, []byte(c.before), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s.resume()
			s.send(0, 1)
			s.resume() // killed before any flush
			s.send(0, 2)
			s.flush()
			s.wantFile(s.path, c.want)
			if want := c.before != ""; want != slices.Contains(s.notices, "file_existed") {
				t.Errorf("notices %v", s.notices)
			}
		})
	}
}

// on makes the sink's disk ask before each step.
func (s *sink) on(step file.Step) {
	s.t.Helper()
	d, err := file.NewOn(s.config, step)
	if err != nil {
		s.t.Fatal(err)
	}
	s.d = d
	s.t.Cleanup(func() { closing(s.t, d) })
	if err := d.Resume(s.t.Context(), s.mark, func(n destination.Notice) { s.notices = append(s.notices, n.Code) }); err != nil {
		s.t.Fatal(err)
	}
	s.flush()
}

func TestFullDiskLeavesNoPartOfABatch(t *testing.T) {
	s := newSink(t)
	full := false
	s.on(func(op, _ string, _ *os.File) error {
		if full && op == "write" {
			return file.HalfError{Err: syscall.ENOSPC}
		}
		return nil
	})
	s.send(0, 3)
	full = true
	err := s.d.Send(t.Context(), batch(3, 6))
	var e *destination.Error
	if !errors.As(err, &e) || e.Kind != destination.Unavailable || e.Code != "disk_full" || !strings.Contains(e.Hint, filepath.Dir(s.path)) || e.Lost {
		t.Errorf("error %#v", err)
	}
	s.wantFile(s.path, lines(0, 3))
	full = false
	s.send(3, 6)
	s.flush()
	s.wantFile(s.path, lines(0, 6))
}

func TestPartOfABatchThatCannotBeCutIsLost(t *testing.T) {
	s := newSink(t)
	broken := false
	s.on(func(op, _ string, _ *os.File) error {
		if broken && (op == "write" || op == "truncate") {
			return file.HalfError{Err: syscall.EIO}
		}
		return nil
	})
	s.send(0, 3)
	s.flush()
	broken = true
	var e *destination.Error
	if err := s.d.Send(t.Context(), batch(3, 6)); !errors.As(err, &e) || !e.Lost || e.Code != "io_error" {
		t.Errorf("error %#v", err)
	}
	s.resume()
	s.wantFile(s.path, lines(0, 3))
}

func TestPathThatIsNoFileIsNotTouched(t *testing.T) {
	for name, put := range map[string]func(path string) error{
		"folder": func(path string) error { return os.Mkdir(path, 0o700) },
		"pipe":   func(path string) error { return syscall.Mkfifo(path, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "events.jsonl")
			if err := put(path); err != nil {
				t.Fatal(err)
			}
			d, err := file.New(file.Config{Path: config.Path(path)})
			if err != nil {
				t.Fatal(err)
			}
			err = d.Resume(t.Context(), nil, func(destination.Notice) {})
			var e *destination.Error
			if !errors.As(err, &e) || e.Code != "not_a_file" || !e.Attention || !strings.Contains(e.Error(), path) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestFileOfAnotherDestinationIsNotTouched(t *testing.T) {
	s := newSink(t)
	s.config.Rotate.Bytes = 20
	s.resume()
	s.send(0, 4)
	s.flush()
	s.send(4, 5) // into the next file
	d, err := file.New(s.config)
	if err != nil {
		t.Fatal(err)
	}
	defer closing(t, d)
	err = d.Resume(t.Context(), nil, func(destination.Notice) {})
	var e *destination.Error
	if !errors.As(err, &e) || e.Code != "file_in_use" || !e.Attention || e.Hint == "" {
		t.Errorf("error %v", err)
	}
	closing(t, s.d)
	if err := d.Resume(t.Context(), s.mark, func(destination.Notice) {}); err != nil {
		t.Errorf("when the first is closed: %v", err)
	}
}

func TestMarkThatNobodyCanReadNeedsAttention(t *testing.T) {
	for _, mark := range []string{"", "{", `{"v":99}`} {
		d, err := file.New(file.Config{Path: config.Path(filepath.Join(t.TempDir(), "events.jsonl"))})
		if err != nil {
			t.Fatal(err)
		}
		err = d.Resume(t.Context(), []byte(mark), func(destination.Notice) {})
		var e *destination.Error
		if !errors.As(err, &e) || e.Code != "mark" || !e.Attention || e.Hint == "" {
			t.Errorf("mark %q: %v", mark, err)
		}
	}
}

func TestFileAndFoldersAreTheHostsAlone(t *testing.T) {
	s := newSink(t).resume()
	for path, want := range map[string]os.FileMode{s.path: 0o600, filepath.Dir(s.path): 0o700} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %v, want %v", path, got, want)
		}
	}
}

func TestLinkToAFileStaysALink(t *testing.T) {
	s := newSink(t)
	s.config.Rotate.Bytes = 20
	real := filepath.Join(t.TempDir(), "real.jsonl")
	for _, err := range []error{
		os.WriteFile(real, nil, 0o600), os.MkdirAll(filepath.Dir(s.path), 0o700), os.Symlink(real, s.path),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	s.resume()
	s.send(0, 4)
	s.flush()
	s.send(4, 5)
	s.flush()
	s.wantFile(real, lines(4, 5))
	s.wantFile(s.path, lines(4, 5))
	if info, err := os.Lstat(s.path); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is now %v, %v", info, err)
	}
}

var turnedName = regexp.MustCompile(`events\.jsonl\.\d{8}T\d{6}\.\d{3}Z$`)

func TestTurnedFilesAreNamedInOrderWhateverTheClockSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // whose clock stands still
		s := newSink(t)
		s.config.Rotate.Bytes = 1
		s.resume()
		later := s.path + ".20991231T235959.999Z"
		if err := os.WriteFile(later, []byte("from the future\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for n := range 5 {
			s.send(n, n+1)
			s.flush()
		}
		s.send(5, 6)
		s.flush()
		others := slices.DeleteFunc(s.others(), func(p string) bool { return strings.HasSuffix(p, ".next") })
		if len(others) != 6 || others[0] != later {
			t.Fatalf("beside the file there are %v", others)
		}
		s.wantFile(later, "from the future\n")
		for n, path := range others[1:] {
			if !turnedName.MatchString(path) {
				t.Errorf("a turned file is named %s", path)
			}
			s.wantFile(path, lines(n, n+1))
		}
	})
}

func TestOldFilesAreRemovedBesideTheSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSink(t)
		s.config.Rotate = file.Rotate{Bytes: 1, Keep: 2}
		s.resume()
		foreign := s.path + ".bak"
		if err := os.WriteFile(foreign, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		big := s.path + ".20001231T235959.999Z"
		if err := os.WriteFile(big, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(big, 200<<20); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.d.Run(ctx) }()
		for n := range 6 {
			s.send(n, n+1)
			s.flush()
		}
		time.Sleep(time.Minute)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		others := slices.DeleteFunc(s.others(), func(p string) bool { return strings.HasSuffix(p, ".next") || p == foreign })
		if len(others) != 2 {
			t.Fatalf("turned files are %v, want the last two", others)
		}
		s.wantFile(others[0], lines(3, 4))
		s.wantFile(others[1], lines(4, 5))
		s.wantFile(s.path, lines(5, 6))
		s.wantFile(foreign, "")
		s.wantNotices()
	})
}

func TestConfigProblemsNameTheKey(t *testing.T) {
	for want, c := range map[string]file.Config{
		"path: is missing":                      {},
		"rotate.keep: -1 is out of range":       {Path: "x", Rotate: file.Rotate{Bytes: 1, Keep: -1}},
		"rotate.keep: it means nothing without": {Path: "x", Rotate: file.Rotate{Keep: 1}},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", c, err, want)
		}
	}
	good := file.Config{Path: "x", Rotate: file.Rotate{Bytes: 1, Keep: 1}}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
}

func TestTurnThatCannotBeCompletedBeginsAgainAtTheMark(t *testing.T) {
	s := newSink(t)
	s.config.Rotate.Bytes = 20
	s.resume()
	s.send(0, 4)
	s.flush()
	if err := os.Remove(filepath.Join(filepath.Dir(s.path), ".events.jsonl.next")); err != nil {
		t.Fatal(err)
	}
	var e *destination.Error
	if err := s.d.Send(t.Context(), batch(4, 5)); !errors.As(err, &e) || !e.Lost || e.Kind != destination.Unavailable {
		t.Fatalf("error %#v", err)
	}
	s.resume()
	s.send(4, 5)
	s.flush()
	s.wantFile(s.path, lines(4, 5))
	others := s.others()
	if len(others) != 1 || !turnedName.MatchString(others[0]) {
		t.Fatalf("beside the file there are %v", others)
	}
	s.wantFile(others[0], lines(0, 4))
}
