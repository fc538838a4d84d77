package config_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"go.yaml.in/yaml/v3"

	"github.com/wellhead-io/wellhead/host/internal/config"
)

// Whatever the bytes: Load ends, tells problems in full, and what it accepts
// can be used.
func FuzzLoad(f *testing.F) {
	archives, err := filepath.Glob("testdata/broken/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range archives {
		if filepath.Base(path) == "laughs.txtar" { // its variants take a second each
			continue
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(txtar.Parse(raw).Files[0].Data)
	}
	f.Add([]byte(full))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := config.Parse("c.yaml", data,
			config.WithEnv(func(name string) (string, bool) { return planted, len(name)%2 == 0 }),
			config.WithFiles(func(string) ([]byte, error) { return nil, fs.ErrNotExist }))
		var problems config.Problems
		if err != nil && !errors.As(err, &problems) {
			t.Fatalf("got %T: %v", err, err)
		}
		for _, p := range problems {
			if p.File == "" || p.What == "" || p.Code == "" || p.Line == 0 && p.Code != config.CodeFile {
				t.Fatalf("an incomplete problem: %#v", p)
			}
			hides(t, p.Error())
		}
		rendered, rerr := c.Redacted()
		if rerr != nil || yaml.Unmarshal(rendered, new(any)) != nil {
			t.Fatalf("rendered as %q, %v", rendered, rerr)
		}
		for _, s := range c.Sources {
			if j, err := s.Config.JSON(); err == nil && !json.Valid(j) {
				t.Fatalf("not JSON: %s", j)
			}
		}
	})
}
