package translate_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/wellhead-io/wellhead/plugins/journeys/translate"
	"github.com/wellhead-io/wellhead/sdk"
)

var update = flag.Bool("update", false, "write what becomes of the requests into testdata/*.txtar")

// TestGolden translates the requests of testdata/*.txtar. The package's doc
// tells how the files are made.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no testdata", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var out []txtar.File
			for i, f := range archive.Files {
				if f.Name != "request" {
					continue
				}
				outcome := translated(t, string(f.Data))
				out = append(out, f, outcome)
				if *update {
					continue
				}
				if i+1 == len(archive.Files) {
					t.Fatal("the last request has no outcome")
				}
				if want := archive.Files[i+1]; outcome.Name != want.Name || !bytes.Equal(outcome.Data, want.Data) {
					t.Errorf("request %s\n%s:\n%s\nwant %s:\n%s", f.Data, outcome.Name, outcome.Data, want.Name, want.Data)
				}
			}
			if *update {
				archive.Files = out
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// translated returns what becomes of a request, as a golden file has it.
func translated(t *testing.T, request string) txtar.File {
	t.Helper()
	line, body, _ := strings.Cut(strings.TrimSuffix(request, "\n"), "\n\n")
	method, target, _ := strings.Cut(strings.TrimSpace(line), " ")
	path, query, _ := strings.Cut(target, "?")
	if path == "/webhooks" {
		return txtar.File{Name: "events", Data: pretty(t, []sdk.Event{translate.Report([]byte(body))})}
	}
	events, err := call(method, path, query, body)
	var refused *translate.Error
	switch {
	case errors.As(err, &refused):
		return txtar.File{Name: "error", Data: fmt.Appendf(nil, "%s\n%s\n%s\n", refused.Reason, refused.Field, refused.Message)}
	case err != nil:
		t.Fatalf("%s %s: %v", method, target, err)
	}
	return txtar.File{Name: "events", Data: pretty(t, events)}
}

func call(method, path, query, body string) ([]sdk.Event, error) {
	e, path, err := translate.Find(method, path)
	if err != nil {
		return nil, err
	}
	return e.Events(path, query, []byte(body))
}

func pretty(t *testing.T, events []sdk.Event) []byte {
	t.Helper()
	var out bytes.Buffer
	for _, e := range events {
		if err := json.Indent(&out, e, "", "  "); err != nil {
			t.Fatalf("%v in %s", err, e)
		}
		out.WriteByte('\n')
	}
	return out.Bytes()
}
