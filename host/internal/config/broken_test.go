package config_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/wellhead-io/wellhead/host/internal/config"
)

var update = flag.Bool("update", false, "write what is got into the golden files")

// Each archive is a broken config and the exact text that an operator sees.
// Lines NAME=value before the first file are the environment.
func TestBrokenConfigIsReportedWhole(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	archives, err := filepath.Glob(filepath.Join(here, "testdata/broken/*.txtar"))
	if err != nil || len(archives) < 10 {
		t.Fatalf("archives: %d, %v", len(archives), err)
	}
	for _, path := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := report(t, archive)
			i := len(archive.Files) - 1
			if archive.Files[i].Name != "problems" {
				archive.Files = append(archive.Files, txtar.File{Name: "problems"})
				i++
			}
			if *update {
				archive.Files[i].Data = []byte(got)
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := string(archive.Files[i].Data); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// report loads the archive's wellhead.yaml and returns its problems as printed.
func report(t *testing.T, archive *txtar.Archive) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range archive.Files {
		if err := os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := map[string]string{}
	for line := range strings.Lines(string(archive.Comment)) {
		if name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "="); ok {
			env[name] = value
		}
	}
	t.Chdir(dir)
	_, err := config.Load("wellhead.yaml", lookup(env))
	var problems config.Problems
	if !errors.As(err, &problems) {
		t.Fatalf("got %v, want problems", err)
	}
	for _, p := range problems {
		if p.File == "" || p.Line == 0 && p.Code != config.CodeFile || p.Code == "" || p.What == "" {
			t.Errorf("a problem without place, code or text: %#v", p)
		}
	}
	return strings.ReplaceAll(err.Error(), dir, "$DIR") + "\n"
}

func lookup(env map[string]string) config.Option {
	return config.WithEnv(func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	})
}
