package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/wellhead-io/wellhead/host/internal/journal"
)

func openState(t testing.TB, dir string) *journal.State {
	t.Helper()
	s, err := journal.OpenState(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStateKeepsValuesByKey(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b", "state")
	s := openState(t, dir)
	keys := []string{"cursor/archive", "CURSOR/archive", "../../etc/passwd", "ü b=c", ".", "x.state", "-_09az"}
	for i, key := range keys {
		if v, err := s.Get(key); v != nil || err != nil {
			t.Errorf("%q before it was put: %q, %v", key, v, err)
		}
		for _, value := range [][]byte{[]byte("first, and longer"), {}, fmt.Append(nil, i, key)} {
			if err := s.Put(key, value); err != nil {
				t.Fatal(err)
			}
			if got, err := s.Get(key); err != nil || got == nil || !bytes.Equal(got, value) {
				t.Errorf("%q is %q, want %q; %v", key, got, value, err)
			}
		}
	}
	s = openState(t, dir)
	for i, key := range keys {
		if got, err := s.Get(key); err != nil || string(got) != fmt.Sprint(i, key) {
			t.Errorf("%q after reopening: %q, %v", key, got, err)
		}
	}
	if got, err := s.Keys(); err != nil || !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(keys))) {
		t.Errorf("keys %q, %v", got, err)
	}
	for range 2 {
		if err := s.Delete(keys[0]); err != nil {
			t.Error(err)
		}
	}
	if v, err := s.Get(keys[0]); v != nil || err != nil {
		t.Errorf("after Delete: %q, %v", v, err)
	}
	if got, err := s.Keys(); err != nil || len(got) != len(keys)-1 {
		t.Errorf("keys %q, %v", got, err)
	}
}

func TestStateReportsADamagedFileAndMendsIt(t *testing.T) {
	dir := t.TempDir()
	s := openState(t, dir)
	if err := s.Put("k", []byte("some value")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "k.state")
	whole := readFile(t, path)
	damaged := [][]byte{nil, []byte("x"), whole[:len(whole)-1], append(bytes.Clone(whole), 0)}
	for i := range whole {
		flipped := bytes.Clone(whole)
		flipped[i] ^= 4
		damaged = append(damaged, flipped)
	}
	for _, data := range damaged {
		writeFile(t, path, data)
		if v, err := s.Get("k"); !errors.Is(err, journal.ErrCorrupt) || !strings.Contains(err.Error(), path) || v != nil {
			t.Fatalf("%q: %q, %v", data, v, err)
		}
	}
	if err := s.Put("k", []byte("new")); err != nil {
		t.Fatal(err)
	}
	if v, err := s.Get("k"); err != nil || string(v) != "new" {
		t.Errorf("%q, %v", v, err)
	}
}

func TestStateRefusesWhatIsTooLarge(t *testing.T) {
	s := openState(t, t.TempDir())
	if err := s.Put("k", make([]byte, journal.MaxStateValue+1)); err == nil {
		t.Error("a value over the limit was put")
	}
	for _, key := range []string{"", strings.Repeat("x", 201), strings.Repeat("/", 67)} {
		if err := s.Put(key, nil); err == nil {
			t.Errorf("key %q was put", key)
		}
	}
}

func TestStateTakesManyWriters(t *testing.T) {
	dir := t.TempDir()
	s := openState(t, dir)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 10 {
				if err := errors.Join(s.Put("shared", bytes.Repeat([]byte{byte(w)}, 100+w)), s.Put(fmt.Sprint(w), []byte{byte(i)})); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if v, err := s.Get("shared"); err != nil || len(v) != 100+int(v[0]) {
		t.Errorf("%q, %v", v, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 9 {
		t.Errorf("%d files, %v", len(entries), err)
	}
}
