package powercut_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wellhead-io/wellhead/host/internal/journal/powercut"
)

const writerEnv = "WELLHEAD_TEST_WRITER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerEnv); dir != "" {
		os.Exit(writer(dir))
	}
	os.Exit(m.Run())
}

// script is a trace in short: one call per line, strings in plain quotes.
func script(t *testing.T, lines string) *powercut.Trace {
	t.Helper()
	var log strings.Builder
	for i, line := range strings.Split(strings.TrimSpace(lines), "\n") {
		line = strings.TrimSpace(line)
		thread := 100
		if rest, ok := strings.CutPrefix(line, "B "); ok {
			line, thread = rest, 200
		}
		parts := strings.Split(line, `"`)
		for k := 1; k < len(parts); k += 2 {
			hex := ""
			for _, c := range []byte(parts[k]) {
				hex += fmt.Sprintf(`\x%02x`, c)
			}
			parts[k] = hex
		}
		fmt.Fprintf(&log, "%d %d.%06d %s\n", thread, 1700000000+i, i, strings.Join(parts, `"`))
	}
	trace, err := powercut.Parse(strings.NewReader(log.String()), "/data", "/")
	if err != nil {
		t.Fatal(err)
	}
	return trace
}

// files are the regular files below dir and their content, and its directories.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		if err != nil || rel == "." {
			return err
		}
		if d.IsDir() {
			found[rel+"/"] = ""
			return nil
		}
		data, err := os.ReadFile(path)
		found[rel] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestOnlyWhatWasSyncedIsLeft(t *testing.T) {
	for _, c := range []struct{ name, calls, want string }{
		{"nothing synced", `
			openat(AT_FDCWD, "/data/a", O_RDWR|O_CREAT, 0600) = 3
			write(3, "hello", 5) = 5`, `map[]`},
		{"file synced, its name not", `
			openat(AT_FDCWD, "/data/a", O_RDWR|O_CREAT, 0600) = 3
			write(3, "hello", 5) = 5
			fsync(3) = 0`, `map[]`},
		{"name synced, the file not", `
			openat(AT_FDCWD, "/data/a", O_RDWR|O_CREAT, 0600) = 3
			write(3, "hello", 5) = 5
			openat(AT_FDCWD, "/data", O_RDONLY|O_CLOEXEC) = 4
			fsync(4) = 0`, `map[a:]`},
		{"both synced, then more", `
			openat(AT_FDCWD, "/data/a", O_RDWR|O_CREAT, 0600) = 3
			write(3, "hello", 5) = 5
			fdatasync(3) = 0
			openat(AT_FDCWD, "/data", O_RDONLY|O_CLOEXEC) = 4
			fsync(4) = 0
			write(3, " world", 6) = 6
			pwrite64(3, "J", 1, 0) = 1`, `map[a:hello]`},
		{"a failed sync, then one that succeeds", `
			openat(AT_FDCWD, "/data/a", O_RDWR|O_CREAT, 0600) = 3
			openat(AT_FDCWD, "/data", O_RDONLY|O_CLOEXEC) = 4
			fsync(4) = 0
			write(3, "aa", 2) = 2
			fsync(3) = 0
			write(3, "bb", 2) = 2
			fsync(3) = -1 EIO (Input/output error)
			write(3, "cc", 2) = 2
			fsync(3) = 0`, "map[a:aa\x00\x00cc]"},
		{"a failed sync, then written again", `
			openat(AT_FDCWD, "/data/a", O_RDWR|O_CREAT, 0600) = 3
			openat(AT_FDCWD, "/data", O_RDONLY|O_CLOEXEC) = 4
			fsync(4) = 0
			write(3, "bb", 2) = 2
			fsync(3) = -1 EIO (Input/output error)
			pwrite64(3, "bb", 2, 0) = 2
			fsync(3) = 0`, `map[a:bb]`},
		{"a synchronous file", `
			openat(AT_FDCWD, "/data/a", O_WRONLY|O_CREAT|O_APPEND|O_SYNC, 0600) = 3
			openat(AT_FDCWD, "/data", O_RDONLY) = 4
			fsync(4) = 0
			write(3, "a", 1) = 1
			write(3, "b", 1) = 1`, `map[a:ab]`},
		{"a write during a sync is not covered", `
			openat(AT_FDCWD, "/data/a", O_RDWR|O_CREAT, 0600) = 3
			openat(AT_FDCWD, "/data", O_RDONLY) = 4
			fsync(4) = 0
			write(3, "a", 1) = 1
			fsync(3 <unfinished ...>
			B write(3, "b", 1) = 1
			<... fsync resumed>) = 0
			clone(child_stack=0x1, flags=CLONE_VM|CLONE_FILES) = 200`, `map[a:a]`},
		{"a write that has not returned when a sync begins is not covered", `
			clone(child_stack=0x1, flags=CLONE_VM|CLONE_FILES) = 200
			openat(AT_FDCWD, "/data/a", O_RDWR|O_CREAT, 0600) = 3
			openat(AT_FDCWD, "/data", O_RDONLY) = 4
			fsync(4) = 0
			B write(3, "b", 1 <unfinished ...>
			fsync(3 <unfinished ...>
			B <... write resumed>) = 1
			<... fsync resumed>) = 0`, `map[a:]`},
		{"replaced, the directory not synced", `
			openat(AT_FDCWD, "/data/a", O_RDWR|O_CREAT, 0600) = 3
			write(3, "old", 3) = 3
			fsync(3) = 0
			openat(AT_FDCWD, "/data/a.tmp", O_RDWR|O_CREAT, 0600) = 5
			openat(AT_FDCWD, "/data", O_RDONLY) = 4
			fsync(4) = 0
			write(5, "new", 3) = 3
			fsync(5) = 0
			renameat(AT_FDCWD, "/data/a.tmp", AT_FDCWD, "/data/a") = 0`, `map[a:old a.tmp:new]`},
		{"replaced and synced", `
			openat(AT_FDCWD, "/data/a.tmp", O_RDWR|O_CREAT, 0600) = 5
			write(5, "new", 3) = 3
			fsync(5) = 0
			rename("/data/a.tmp", "/data/a") = 0
			openat(AT_FDCWD, "/data", O_RDONLY) = 4
			fsync(4) = 0`, `map[a:new]`},
		{"a directory below one that is not synced", `
			mkdirat(AT_FDCWD, "/data/d", 0700) = 0
			openat(AT_FDCWD, "/data/d/a", O_RDWR|O_CREAT, 0600) = 3
			openat(AT_FDCWD, "/data/d", O_RDONLY) = 4
			fsync(3) = 0
			fsync(4) = 0`, `map[]`},
		{"directories synced from below", `
			mkdirat(AT_FDCWD, "/data/d", 0700) = 0
			openat(AT_FDCWD, "/data/d", O_RDONLY) = 4
			openat(4, "a", O_RDWR|O_CREAT, 0600) = 3
			write(3, "x", 1) = 1
			fsync(3) = 0
			fsync(4) = 0
			chdir("/data") = 0
			openat(AT_FDCWD, ".", O_RDONLY) = 5
			fsync(5) = 0`, `map[d/: d/a:x]`},
		{"a move between directories, one synced", `
			mkdirat(AT_FDCWD, "/data/d", 0700) = 0
			mkdirat(AT_FDCWD, "/data/e", 0700) = 0
			openat(AT_FDCWD, "/data/d/a", O_RDWR|O_CREAT, 0600) = 3
			openat(AT_FDCWD, "/data/d", O_RDONLY) = 4
			openat(AT_FDCWD, "/data", O_RDONLY) = 5
			fsync(4) = 0
			fsync(5) = 0
			renameat2(AT_FDCWD, "/data/d/a", AT_FDCWD, "/data/e/b", RENAME_NOREPLACE) = 0
			openat(AT_FDCWD, "/data/e", O_RDONLY) = 6
			fsync(6) = 0`, `map[d/: e/: e/b:]`},
		{"removed, not synced", `
			openat(AT_FDCWD, "/data/a", O_RDWR|O_CREAT, 0600) = 3
			openat(AT_FDCWD, "/data", O_RDONLY) = 4
			fsync(4) = 0
			unlinkat(AT_FDCWD, "/data/a", 0) = 0`, `map[a:]`},
		{"shortened and lengthened", `
			openat(AT_FDCWD, "/data/a", O_RDWR|O_CREAT, 0600) = 3
			openat(AT_FDCWD, "/data", O_RDONLY) = 4
			fsync(4) = 0
			writev(3, [{iov_base="hello", iov_len=5}, {iov_base=" world", iov_len=6}], 2) = 11
			ftruncate(3, 4) = 0
			fallocate(3, 0, 0, 6) = 0
			pwritev(3, [{iov_base="X", iov_len=1}], 1, 1) = 1
			lseek(3, 0, SEEK_SET) = 0
			write(3, "h", 1) = 1
			fsync(3) = 0
			truncate("/data/a", 0) = 0`, "map[a:hXll\x00\x00]"},
		{"a descriptor of another process", `
			openat(AT_FDCWD, "/data/a", O_RDWR|O_CREAT|O_CLOEXEC, 0600) = 3
			openat(AT_FDCWD, "/data", O_RDONLY) = 4
			fsync(4) = 0
			clone(child_stack=NULL, flags=CLONE_VM|CLONE_VFORK|SIGCHLD <unfinished ...>
			B dup3(3, 7, 0) = 7
			B close(3) = 0
			B execve("/bin/x", ["x"], 0x1 /* 3 vars */) = 0
			B openat(AT_FDCWD, "/other", O_RDWR) = 3
			B write(3, "lost", 4) = 4
			B write(7, "x", 1) = 1
			<... clone resumed>) = 200
			write(3, "y", 1) = 1
			dup2(3, 9) = 9
			close(3) = 0
			fsync(9) = 0`, `map[a:xy]`},
		{"a number that is free before its close returns", `
			clone(child_stack=0x1, flags=CLONE_VM|CLONE_FILES) = 200
			openat(AT_FDCWD, "/data/a", O_RDWR|O_CREAT, 0600) = 3
			close(3 <unfinished ...>
			B openat(AT_FDCWD, "/data/b", O_RDWR|O_CREAT, 0600) = 3
			<... close resumed>) = 0
			B write(3, "x", 1) = 1
			B fsync(3) = 0
			B openat(AT_FDCWD, "/data", O_RDONLY) = 4
			B fsync(4) = 0`, `map[a: b:x]`},
		{"a directory that another thread finds before its mkdir returns", `
			clone(child_stack=0x1, flags=CLONE_VM|CLONE_FILES) = 200
			mkdirat(AT_FDCWD, "/data/d", 0700 <unfinished ...>
			B openat(AT_FDCWD, "/data/d/a", O_RDWR|O_CREAT, 0600) = 3
			B write(3, "x", 1) = 1
			B fsync(3) = 0
			B openat(AT_FDCWD, "/data/d", O_RDONLY) = 4
			B fsync(4) = 0
			<... mkdirat resumed>) = 0
			openat(AT_FDCWD, "/data", O_RDONLY) = 5
			fsync(5) = 0`, `map[d/: d/a:x]`},
		{"everything synced at once", `
			mkdir("/data/d", 0700) = 0
			creat("/data/d/a", 0600) = 3
			write(3, "x", 1) = 1
			link("/data/d/a", "/data/b") = 0
			sync() = 0`, `map[b:x d/: d/a:x]`},
		{"a range that is synced promises nothing", `
			openat(AT_FDCWD, "/data/a", O_RDWR|O_CREAT, 0600) = 3
			openat(AT_FDCWD, "/data", O_RDONLY) = 4
			fsync(4) = 0
			write(3, "x", 1) = 1
			sync_file_range(3, 0, 0, SYNC_FILE_RANGE_WRITE) = 0`, `map[a:]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			trace := script(t, c.calls)
			events, err := trace.Events()
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			if err := trace.Rebuild(len(events), dir, powercut.Loss{}); err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(files(t, dir)); got != c.want {
				t.Errorf("left: %q\nwant: %q", got, c.want)
			}
		})
	}
}

func TestARandomPartOfTheRestIsLeft(t *testing.T) {
	page := strings.Repeat("x", 4096)
	trace := script(t, `
		openat(AT_FDCWD, "/data/a", O_RDWR|O_CREAT, 0600) = 3
		openat(AT_FDCWD, "/data", O_RDONLY) = 4
		fsync(4) = 0
		write(3, "synced", 6) = 6
		fsync(3) = 0
		write(3, "`+page+page+`", 8192) = 8192
		openat(AT_FDCWD, "/data/b", O_RDWR|O_CREAT, 0600) = 5`)
	zero := strings.Repeat("\x00", 4096)
	whole := "synced" + page + page
	seen := make(map[string]bool)
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		dir := t.TempDir()
		if err := trace.Rebuild(7, dir, powercut.Loss{Random: random, Keep: 0.5}); err != nil {
			t.Fatal(err)
		}
		left := files(t, dir)
		if _, ok := left["b"]; ok {
			seen["b"] = true
		}
		a := left["a"]
		switch {
		case !strings.HasPrefix(a, "synced"):
			t.Fatalf("what was synced is %.20q", a)
		case a == "synced":
			seen["nothing"] = true
		case a == whole:
			seen["all"] = true
		case a == whole[:4096]:
			seen["first page"] = true
		case a == "synced"+zero[6:]+whole[4096:8192]:
			seen["second page"] = true
		}
	}
	for _, what := range []string{"b", "nothing", "all", "first page", "second page"} {
		if !seen[what] {
			t.Errorf("never left: %s", what)
		}
	}
}

func TestACallThatNeverReturnsHasDoneNothing(t *testing.T) {
	trace := script(t, `
		openat(AT_FDCWD, "/data/a", O_RDWR|O_CREAT, 0600) = 3
		openat(AT_FDCWD, "/data", O_RDONLY) = 4
		fsync(4) = 0
		write(3, "x", 1) = 1
		fsync(3 <unfinished ...>
		B +++ killed by SIGKILL +++
		B ???( <detached ...>
		B exit_group(0 <detached ...>
		<... fsync resumed>) = ?`)
	events, err := trace.Events()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := trace.Rebuild(len(events), dir, powercut.Loss{}); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(files(t, dir)); got != "map[a:]" {
		t.Errorf("left: %q", got)
	}
}

func TestOutputElsewhereIsShown(t *testing.T) {
	trace := script(t, `
		openat(AT_FDCWD, "/data/a", O_RDWR|O_CREAT, 0600) = 3
		write(3, "not this", 8) = 8
		write(1, "acked", 5) = 5`)
	events, err := trace.Events()
	if err != nil {
		t.Fatal(err)
	}
	if e := events[2]; e.FD != 1 || string(e.Output) != "acked" || e.Began.Unix() != 1700000002 {
		t.Errorf("event %+v", e)
	}
	if e := events[1]; e.Output != nil || e.Name != "write" {
		t.Errorf("event %+v", e)
	}
}

func TestWhatTheModelDoesNotKnowIsAnError(t *testing.T) {
	for _, calls := range []string{
		`io_uring_setup(8, 0x1) = 4`,
		`openat(AT_FDCWD, "/data", O_RDWR|O_TMPFILE, 0600) = 3
		 openat(AT_FDCWD, "/data/was-there-before", O_RDWR) = 3`,
		`openat(AT_FDCWD, "/data/a", O_RDWR|O_CREAT, 0600) = 3
		 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 3, 0) = 0xffff8000`,
		`openat(AT_FDCWD, "/data/a", O_RDWR|O_CREAT, 0600) = 3
		 copy_file_range(5, NULL, 3, NULL, 10, 0) = 10`,
		`openat(AT_FDCWD, "/data/a", O_RDWR|O_CREAT, 0600) = 3
		 rename("/data/a", "/elsewhere") = 0`,
	} {
		if _, err := script(t, calls).Events(); err == nil {
			t.Errorf("no error for\n%s", calls)
		}
	}
	for _, log := range []string{"nonsense", "1 1.1 nonsense", "1 1.1 write(3, = 4", "1 x.1 close(3) = 0"} {
		if _, err := powercut.Parse(strings.NewReader(log), "/data", "/"); err == nil {
			t.Errorf("no error for %q", log)
		}
	}
}

// writer does all kinds of things to the files of a directory. Many of them fail,
// which the model is to see as well.
//
//nolint:errcheck // failures are part of it
func writer(dir string) int {
	random := rand.New(rand.NewPCG(3, 4))
	path := func() string {
		parts := []string{dir}
		for range random.IntN(2) {
			parts = append(parts, fmt.Sprint("d", random.IntN(3)))
		}
		return filepath.Join(append(parts, fmt.Sprint("f", random.IntN(6)))...)
	}
	var open []*os.File
	for range 3000 {
		var f *os.File
		if len(open) > 0 {
			f = open[random.IntN(len(open))]
		}
		data := bytes.Repeat([]byte{byte(random.IntN(256))}, random.IntN(6000))
		switch random.IntN(14) {
		case 0, 1:
			flags := []int{0, os.O_APPEND, os.O_TRUNC, os.O_EXCL, os.O_SYNC}[random.IntN(5)]
			if f, err := os.OpenFile(path(), os.O_RDWR|os.O_CREATE|flags, 0o600); err == nil {
				open = append(open, f)
			}
		case 2:
			if f != nil {
				f.Close()
				open = slices.DeleteFunc(open, func(o *os.File) bool { return o == f })
			}
		case 3, 4:
			f.Write(data)
		case 5:
			f.WriteAt(data, random.Int64N(20000))
		case 6:
			f.Sync()
		case 7:
			f.Truncate(random.Int64N(20000))
		case 8:
			f.Seek(random.Int64N(10000), 0)
		case 9:
			os.Rename(path(), path())
		case 10:
			os.Remove(path())
		case 11:
			os.Mkdir(filepath.Join(dir, fmt.Sprint("d", random.IntN(3))), 0o700)
		case 12:
			os.Link(path(), path())
		case 13:
			os.RemoveAll(filepath.Join(dir, fmt.Sprint("d", random.IntN(3))))
		}
	}
	child := exec.Command("/bin/sh", "-c", `echo from a child > "$0/child"; echo more >> "$0/child"; mv "$0/child" "$0/moved"`, dir)
	if err := child.Run(); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("done")
	return 0
}

func TestTheModelEndsWithWhatARealProcessLeft(t *testing.T) {
	dir, log := t.TempDir(), filepath.Join(t.TempDir(), "log")
	cmd, err := powercut.Command(t.Context(), powercut.Recording{Log: log}, os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), writerEnv+"="+dir)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "done") {
		t.Fatalf("%v: %s", err, out)
	}
	f, err := os.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	cwd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	trace, err := powercut.Parse(f, dir, cwd)
	if err != nil {
		t.Fatal(err)
	}
	if err := trace.Verify(dir); err != nil {
		t.Error(err)
	}
	events, err := trace.Events()
	if err != nil {
		t.Fatal(err)
	}
	if len(events) < 1000 || !slices.ContainsFunc(events, func(e powercut.Event) bool { return e.FD == 1 && string(e.Output) == "done\n" }) {
		t.Errorf("%d events without the last word", len(events))
	}
	if got := files(t, dir)["moved"]; got != "from a child\nmore\n" {
		t.Errorf("the child wrote %q", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "moved"), []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := trace.Verify(dir); err == nil {
		t.Error("a difference is not noticed")
	}
}
