package fast_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/wellhead-io/wellhead/host/internal/schema"
	"github.com/wellhead-io/wellhead/host/internal/schema/fast"
)

// TestSuite runs the official JSON Schema Test Suite: what a program takes for
// good, v5 takes for good. The suite is at $JSON_SCHEMA_TEST_SUITE, by default
// beside the project.
func TestSuite(t *testing.T) {
	root := os.Getenv("JSON_SCHEMA_TEST_SUITE")
	if root == "" {
		root = "../../../../../shared/fixtures/json-schema-test-suite"
	}
	if _, err := os.Stat(filepath.Join(root, "tests")); err != nil {
		t.Skipf("no JSON Schema Test Suite at %s; set JSON_SCHEMA_TEST_SUITE to a clone of github.com/json-schema-org/JSON-Schema-Test-Suite", root)
	}
	for _, d := range []struct {
		folder string
		draft  *jsonschema.Draft
	}{{"draft2020-12", jsonschema.Draft2020}, {"draft7", jsonschema.Draft7}} {
		t.Run(d.folder, func(t *testing.T) {
			s := suite{t: t, remotes: filepath.Join(root, "remotes"), draft: d.draft}
			for _, pattern := range []string{"*.json", "optional/*.json", "optional/format/*.json"} {
				files, err := filepath.Glob(filepath.Join(root, "tests", d.folder, pattern))
				if err != nil {
					t.Fatal(err)
				}
				for _, file := range files {
					s.file(file)
				}
			}
			if s.valid == 0 || s.taken*2 < s.valid {
				t.Errorf("only %d of %d valid cases are taken", s.taken, s.valid)
			}
			t.Logf("%d cases, %d of them valid; the program takes %d (%d %%); v5 cannot compile %d schemas",
				s.cases, s.valid, s.taken, 100*s.taken/max(1, s.valid), s.uncompiled)
		})
	}
}

type suite struct {
	t                               *testing.T
	remotes                         string
	draft                           *jsonschema.Draft
	cases, valid, taken, uncompiled int
	machine                         fast.Machine
}

func (s *suite) file(path string) {
	raw, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	var groups []struct {
		Description string
		Schema      json.RawMessage
		Tests       []struct {
			Description string
			Data        json.RawMessage
		}
	}
	if err := json.Unmarshal(raw, &groups); err != nil {
		s.t.Fatal(err)
	}
	for _, g := range groups {
		compiled, err := s.compile(g.Schema)
		if err != nil {
			s.uncompiled++
			continue
		}
		p := fast.Build(compiled)
		for _, c := range g.Tests {
			doc, err := schema.Decode(c.Data)
			if err != nil {
				continue // beyond what encoding/json decodes
			}
			valid := compiled.Validate(doc) == nil
			_, taken := s.machine.Run(p, c.Data, limits, nil, nil)
			s.cases++
			if valid {
				s.valid++
			}
			if taken {
				s.taken++
			}
			if taken && !valid {
				s.t.Errorf("%s: %s: %s: taken, though v5 refuses %s", filepath.Base(path), g.Description, c.Description, c.Data)
			}
		}
	}
}

func (s *suite) compile(raw []byte) (compiled *jsonschema.Schema, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	c := jsonschema.NewCompiler()
	c.Draft, c.AssertFormat = s.draft, true
	c.LoadURL = func(u string) (io.ReadCloser, error) {
		name, ok := strings.CutPrefix(u, "http://localhost:1234/")
		if !ok {
			return nil, fmt.Errorf("%s is not of the suite", u)
		}
		return os.Open(filepath.Join(s.remotes, name))
	}
	if err := c.AddResource("http://test/schema.json", bytes.NewReader(raw)); err != nil {
		return nil, err
	}
	return c.Compile("http://test/schema.json")
}
