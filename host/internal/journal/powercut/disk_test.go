package powercut_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wellhead-io/wellhead/host/internal/journal/powercut"
)

// after plays a recording and returns what a cut leaves of it, by name.
func after(t *testing.T, recording string, noSync func(string) bool) map[string]string {
	t.Helper()
	calls, err := powercut.Parse(strings.NewReader(recording))
	if err != nil {
		t.Fatal(err)
	}
	d := powercut.NewDisk("/d")
	d.NoSync = noSync
	if err := d.Play(calls); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := d.Cut(dir, nil); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	err = filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		out[strings.TrimPrefix(path, dir+"/")] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

const (
	create  = "7 1.000001 openat(AT_FDCWD</>, \"/d/a\", O_RDWR|O_CREAT|O_CLOEXEC, 0600) = 5</d/a>\n"
	write   = "7 1.000002 write(5</d/a>, \"one\\n\\0\\33[\", 7) = 7\n"
	syncA   = "7 1.000003 fsync(5</d/a>) = 0\n"
	openDir = "7 1.000004 openat(AT_FDCWD</>, \"/d\", O_RDONLY|O_CLOEXEC) = 6</d>\n"
	syncDir = "7 1.000005 fsync(6</d>)                = 0\n"
	again   = "7 1.000006 pwrite64(5</d/a>, \"two\", 3, 7) = 3\n"
)

func TestOnlyWhatWasSyncedIsKept(t *testing.T) {
	for name, c := range map[string]struct {
		recording string
		want      map[string]string
	}{
		"nothing":                 {create + write, map[string]string{}},
		"the bytes, not the name": {create + write + syncA, map[string]string{}},
		"the name, not the bytes": {create + write + openDir + syncDir, map[string]string{"a": ""}},
		"both":                    {create + write + syncA + openDir + syncDir, map[string]string{"a": "one\n\x00\x1b["}},
		"not what came after":     {create + write + syncA + openDir + syncDir + again, map[string]string{"a": "one\n\x00\x1b["}},
		"both writes":             {create + write + again + syncA + openDir + syncDir, map[string]string{"a": "one\n\x00\x1b[two"}},
		"a rename without its sync": {
			create + write + syncA + openDir + syncDir + "7 1.1 renameat(AT_FDCWD</>, \"/d/a\", AT_FDCWD</>, \"/d/b\") = 0\n",
			map[string]string{"a": "one\n\x00\x1b["},
		},
		"a rename with it": {
			create + write + syncA + openDir + "7 1.1 renameat(AT_FDCWD</>, \"/d/a\", AT_FDCWD</>, \"/d/b\") = 0\n" + syncDir,
			map[string]string{"b": "one\n\x00\x1b["},
		},
		"a call in two parts": {
			create + "7 1.2 write(5</d/a>, \"x\", 1 <unfinished ...>\n8 1.3 getpid() = 8\n7 1.4 <... write resumed>) = 1\n" + syncA + openDir + syncDir,
			map[string]string{"a": "x"},
		},
		"a synchronous write": {
			"7 1.0 openat(AT_FDCWD</>, \"/d/a\", O_WRONLY|O_CREAT|O_SYNC, 0600) = 5</d/a>\n" + write + openDir + syncDir,
			map[string]string{"a": "one\n\x00\x1b["},
		},
		"failed calls and other folders": {
			"7 1.0 openat(AT_FDCWD</>, \"/e/a\", O_WRONLY|O_CREAT, 0600) = 5</e/a>\n7 1.1 write(5</e/a>, \"x\", 1) = 1\n" +
				"7 1.2 mkdirat(AT_FDCWD</>, \"/d/x\", 0700) = -1 ENOSPC (No space left on device)\n",
			map[string]string{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := after(t, c.recording, nil)
			if len(got) != len(c.want) {
				t.Errorf("left %q, want %q", got, c.want)
			}
			for file, text := range c.want {
				if have, ok := got[file]; !ok || have != text {
					t.Errorf("%s is %q (there: %t), want %q", file, have, ok, text)
				}
			}
		})
	}
}

func TestASyncCanBeTakenAway(t *testing.T) {
	recording := create + write + syncA + openDir + syncDir
	if got := after(t, recording, func(path string) bool { return path == "/d" }); len(got) != 0 {
		t.Errorf("left %q without the directory's sync", got)
	}
}

// By chance each change is kept or not; over many cuts every outcome comes.
func TestUnsyncedChangesAreKeptByChance(t *testing.T) {
	calls, err := powercut.Parse(strings.NewReader(create + openDir + syncDir + write + again))
	if err != nil {
		t.Fatal(err)
	}
	d := powercut.NewDisk("/d")
	if err := d.Play(calls); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	r := rand.New(rand.NewPCG(1, 2))
	for range 64 {
		dir := t.TempDir()
		if err := d.Cut(dir, r); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, "a"))
		if err != nil {
			t.Fatal(err)
		}
		seen[string(b)] = true
	}
	for _, want := range []string{"", "one\n\x00\x1b[", "one\n\x00\x1b[two", "\x00\x00\x00\x00\x00\x00\x00two"} {
		if !seen[want] {
			t.Errorf("%q never came, only %v", want, seen)
		}
	}
}

func TestAnUnknownCallInTheFolderIsNotPassedOver(t *testing.T) {
	calls, err := powercut.Parse(strings.NewReader("7 1.0 linkat(AT_FDCWD</>, \"/d/a\", AT_FDCWD</>, \"/d/b\", 0) = 0\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := powercut.NewDisk("/d").Play(calls); err == nil {
		t.Error("no error")
	}
}
