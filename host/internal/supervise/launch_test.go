package supervise_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/supervise"
	"github.com/wellhead-io/wellhead/sdk/wire"
)

func TestALaunchThatFailsSaysWhatIsWrongAndWhatToDo(t *testing.T) {
	file := func(t *testing.T, mode os.FileMode, text string) func(*supervise.Spec) {
		path := filepath.Join(t.TempDir(), "plugin")
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return func(s *supervise.Spec) { s.Path = path }
	}
	for _, test := range []struct {
		name   string
		mode   string // of the fake
		change func(*supervise.Spec)
		code   string
		says   []string
	}{
		{name: "missing", change: func(s *supervise.Spec) { s.Path = "/no/such/plugin" },
			code: supervise.CodeMissing, says: []string{"no such file", "plugins.fake.path"}},
		{name: "folder", change: func(s *supervise.Spec) { s.Path = "/tmp" },
			code: supervise.CodeNotExecutable, says: []string{"folder"}},
		{name: "not executable", change: file(t, 0o600, "x"),
			code: supervise.CodeNotExecutable, says: []string{"chmod +x"}},
		{name: "no program", change: file(t, 0o700, "\x7fELF and more"),
			code: supervise.CodeNotExecutable, says: []string{"build it for"}},
		{name: "no interpreter", change: file(t, 0o700, "#!/no/such/interpreter\n"),
			code: supervise.CodeNotExecutable, says: []string{"interpreter"}},
		{name: "not the pinned one", change: func(s *supervise.Spec) { s.SHA256 = strings.Repeat("ab", 32) },
			code: supervise.CodeChecksum, says: []string{"abab", "wellhead plugin pin fake"}},
		{name: "no folder", mode: "good", change: func(s *supervise.Spec) { s.Dir = "/no/such/folder" },
			code: supervise.CodeLaunch, says: []string{"working directory", "/no/such/folder", "config file"}},
		{name: "exits", mode: "exit",
			code: supervise.CodeExited, says: []string{"status 3", "the database file is gone"}},
		{name: "another program", change: file(t, 0o700, "#!/bin/sh\necho hello; exit 1\n"),
			code: supervise.CodeNoise, says: []string{`"hello"`, "standard error"}},
		{name: "noise", mode: "noise",
			code: supervise.CodeNoise, says: []string{`"Welcome to my plugin!"`, "standard error"}},
		{name: "no line", mode: "closes stdout",
			code: supervise.CodeHandshake, says: []string{"closed its standard output"}},
		{name: "another go-plugin", mode: "core version",
			code: supervise.CodeVersion, says: []string{"version 7", "rebuild"}},
		{name: "another protocol", mode: "old",
			code: supervise.CodeVersion, says: []string{"version 99", "version 1", "rebuild"}},
		{name: "hangs", mode: "hang",
			code: supervise.CodeSilent, says: []string{"within 1s"}},
		{name: "hangs after the handshake", mode: "no server",
			code: supervise.CodeSilent, says: []string{"within 1s", "gRPC"}},
		{name: "no description", mode: "describe fails",
			code: supervise.CodeDescribe, says: []string{"no idea what I am"}},
		{name: "hangs in Describe", mode: "describe hangs",
			code: supervise.CodeDescribe, says: []string{"Describe"}},
		{name: "no address", mode: "needs listener",
			code: supervise.CodeListen, says: []string{"plugins.fake.listen"}},
		{name: "address for nothing", mode: "no listener", change: func(s *supervise.Spec) { s.Listen = "127.0.0.1:0" },
			code: supervise.CodeListen, says: []string{"remove plugins.fake.listen"}},
		{name: "no certificate", mode: "good", change: func(s *supervise.Spec) {
			s.Listen, s.TLS = "127.0.0.1:0", &supervise.TLSFiles{Cert: "/no/cert", Key: "/no/key"}
		}, code: supervise.CodeCertificate, says: []string{"/no/cert", "plugins.fake.tls"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			spec := fakeSpec(t, test.mode)
			if test.change != nil {
				test.change(&spec)
			}
			in, logs := newIntake(), &buffer{}
			o := options(t, in, logs, spec)
			o.Timing.Call = time.Second
			if strings.Contains(test.name, "hangs") {
				o.Timing.Handshake = time.Second
			}
			e := startWith(t, in, logs, o).fails(test.code)
			for _, want := range append(test.says, "plugin fake", spec.Path, test.code) {
				if !strings.Contains(e.Error(), want) {
					t.Errorf("does not say %q: %v", want, e)
				}
			}
			if e.Hint == "" {
				t.Errorf("no hint: %v", e)
			}
		})
	}
}

func TestChecksumPinsAPlugin(t *testing.T) {
	spec := fakeSpec(t, "good")
	sum, err := supervise.Checksum(spec.Path)
	if err != nil {
		t.Fatal(err)
	}
	spec.SHA256 = strings.ToUpper(sum)
	start(t, spec).running()
}

func TestDescribeAndCheckWorkWithoutAHost(t *testing.T) {
	spec := fakeSpec(t, "good", source("with", fakeConfig{}), source("without", fakeConfig{}))
	log := slog.New(slog.DiscardHandler)
	d, err := supervise.Describe(t.Context(), spec, log)
	if err != nil {
		t.Fatal(err)
	}
	if d.GetName() != "fake" || d.GetVersion() != "1.2.3" {
		t.Errorf("description %v", d)
	}
	problems, err := supervise.Check(t.Context(), spec, log, func(id event.SourceID) *wire.Token {
		if id == "with" {
			return &wire.Token{AccessToken: "t"}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(problems) != 1 || len(problems["without"].Problems) != 1 || problems["without"].Problems[0].Code != "no_token" {
		t.Errorf("problems %v", problems)
	}
	spec.Path = "/no/such/plugin"
	var e *supervise.Error
	if _, err := supervise.Describe(t.Context(), spec, log); !errors.As(err, &e) || e.Code != supervise.CodeMissing {
		t.Errorf("missing plugin: %v", err)
	}
}

func TestALaunchEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := supervise.Describe(ctx, fakeSpec(t, "hang"), slog.New(slog.DiscardHandler))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestSocketPathsStayShort(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep", 20))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", dir)
	start(t, fakeSpec(t, "good")).running()
}

func TestWaitsDoubleUpToACapWithJitter(t *testing.T) {
	const low, high = 250 * time.Millisecond, 30 * time.Second
	seen := map[time.Duration]bool{}
	for range 50 {
		waits := supervise.Waits(low, high, 40)
		if waits[0] != 0 {
			t.Fatalf("the first try waits %s", waits[0])
		}
		want := low
		for i, w := range waits[1:] {
			if w > want || w < want*3/4 {
				t.Fatalf("wait %d is %s, want %s to %s", i+2, w, want*3/4, want)
			}
			want = min(2*want, high)
		}
		seen[waits[1]] = true
	}
	if len(seen) < 10 {
		t.Errorf("%d different waits of 50", len(seen))
	}
}
