package file_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/destination"
	"github.com/wellhead-io/wellhead/host/internal/destination/file"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sink is a file destination as a loop uses it: it keeps the mark.
type sink struct {
	t       *testing.T
	path    string
	config  file.Config
	d       *file.Destination
	mark    []byte
	notices []string // codes
}

func newSink(t *testing.T) *sink {
	path := filepath.Join(t.TempDir(), "data", "events.jsonl")
	return &sink{t: t, path: path, config: file.Config{Path: config.Path(path)}}
}

// resume opens the destination at the mark that was kept last, as after a kill.
func (s *sink) resume() *sink {
	s.t.Helper()
	if s.d != nil {
		closing(s.t, s.d)
	}
	d, err := file.New(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	s.d = d
	s.t.Cleanup(func() { closing(s.t, d) })
	err = d.Resume(s.t.Context(), s.mark, func(n destination.Notice) { s.notices = append(s.notices, n.Code) })
	if err != nil {
		s.t.Fatal(err)
	}
	s.flush()
	return s
}

func (s *sink) flush() {
	s.t.Helper()
	mark, err := s.d.Flush(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	s.mark = mark
}

// send writes the events from to below to.
func (s *sink) send(from, to int) {
	s.t.Helper()
	if err := s.d.Send(s.t.Context(), batch(from, to)); err != nil {
		s.t.Fatal(err)
	}
}

func batch(from, to int) (events []destination.Event) {
	for n := from; n < to; n++ {
		events = append(events, destination.Event{JSON: fmt.Appendf(nil, `{"n":%d}`, n)})
	}
	return events
}

// lines are what batch(from, to) becomes in a file.
func lines(from, to int) string {
	var b strings.Builder
	for _, e := range batch(from, to) {
		fmt.Fprintf(&b, "%s\n", e.JSON)
	}
	return b.String()
}

func (s *sink) wantFile(path, want string) {
	s.t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		s.t.Error(err)
	} else if string(got) != want {
		s.t.Errorf("%s:\n got %q\nwant %q", filepath.Base(path), got, want)
	}
}

// others lists the names in the file's folder but for the file itself.
func (s *sink) others() (names []string) {
	s.t.Helper()
	entries, err := os.ReadDir(filepath.Dir(s.path))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != filepath.Base(s.path) {
			names = append(names, filepath.Join(filepath.Dir(s.path), e.Name()))
		}
	}
	return names
}

func (s *sink) wantNotices(codes ...string) {
	s.t.Helper()
	if !slices.Equal(s.notices, codes) {
		s.t.Errorf("notices %v, want %v", s.notices, codes)
	}
}

func TestFileIsCutToTheMark(t *testing.T) {
	s := newSink(t).resume()
	s.send(0, 3)
	s.flush()
	s.send(3, 5) // no flush: killed here
	s.resume()
	s.wantFile(s.path, lines(0, 3))
	s.send(3, 6)
	s.wantFile(s.path, lines(0, 6))
	s.wantNotices()
}

func TestFileOfSomeoneElseIsNeverCut(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(path string) error
		notice  string
		aside   string
		newFile string
	}{
		"moved": {
			change: func(path string) error { return os.Rename(path, path+".bak") },
			notice: "file_moved", aside: lines(0, 5),
		},
		"removed": {
			change: os.Remove, notice: "file_moved",
		},
		"shortened": {
			change: func(path string) error { return os.Truncate(path, 5) },
			notice: "file_shortened", aside: lines(0, 5)[:5],
		},
		"emptied": {
			change: func(path string) error { return os.Truncate(path, 0) },
			notice: "file_shortened",
		},
		"replaced": {
			change: func(path string) error {
				if err := os.Remove(path); err != nil {
					return err
				}
				return os.WriteFile(path, []byte(strings.Repeat("not ours\n", 10)), 0o600)
			},
			notice: "file_replaced", aside: strings.Repeat("not ours\n", 10),
		},
		"replaced by a copy": {
			change: func(path string) error {
				if err := os.WriteFile(path+".copy", []byte(lines(0, 9)), 0o600); err != nil {
					return err
				}
				return os.Rename(path+".copy", path)
			},
			notice: "file_replaced", aside: lines(0, 9),
		},
		"rewritten in place": {
			change: func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("not ours\n", 10)), 0o600) },
			notice: "file_replaced", aside: strings.Repeat("not ours\n", 10),
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSink(t).resume()
			s.send(0, 3)
			s.flush()
			s.send(3, 5)
			if err := c.change(s.path); err != nil {
				t.Fatal(err)
			}
			s.resume()
			s.wantNotices(c.notice)
			s.send(3, 6)
			s.flush()
			s.wantFile(s.path, lines(3, 6))
			others := s.others()
			if c.aside == "" && len(others) > 0 || c.aside != "" && len(others) != 1 {
				t.Fatalf("beside the file there are %v", others)
			}
			if c.aside != "" {
				s.wantFile(others[0], c.aside)
			}
			s.resume()
			s.wantFile(s.path, lines(3, 6))
			s.wantNotices(c.notice)
		})
	}
}

func TestFullFileIsTurned(t *testing.T) {
	s := newSink(t)
	s.config.Rotate.Bytes = 20
	s.resume()
	s.send(0, 4)
	s.flush()
	s.send(4, 5)
	s.flush()
	s.wantFile(s.path, lines(4, 5))
	others := s.others()
	if len(others) != 1 {
		t.Fatalf("beside the file there are %v", others)
	}
	s.wantFile(others[0], lines(0, 4))
	s.wantNotices()
}
