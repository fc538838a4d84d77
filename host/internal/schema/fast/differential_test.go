package fast_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/wellhead-io/wellhead/host/internal/schema"
	"github.com/wellhead-io/wellhead/host/internal/schema/fast"
)

var (
	cases = flag.Int("cases", 300_000, "how many documents TestAgreesWithV5 judges")
	seed  = flag.Uint64("seed", 0, "seed of TestAgreesWithV5; 0: by the time")
)

// perSchema is how many documents are judged by each schema, unless the first
// few show that no document suits it.
const (
	perSchema = 400
	hopeless  = 6
)

// beyond finds exponents beyond the limits, which take v5 very long.
var beyond = regexp.MustCompile(`[eE][-+]?[0-9]{4}`)

// TestAgreesWithV5 holds random programs against v5 on random documents: what a
// program takes for good, v5 takes for good, too.
func TestAgreesWithV5(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", *seed)
	var next, judged, valid, taken atomic.Int64
	var wait sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for !t.Failed() && judged.Load() < int64(*cases) {
				d := differential{t: t, random: random{rand.New(rand.NewPCG(*seed, uint64(next.Add(1))))}}
				d.run()
				judged.Add(int64(d.judged))
				valid.Add(int64(d.valid))
				taken.Add(int64(d.taken))
			}
		})
	}
	wait.Wait()
	t.Logf("%d documents, %d good by v5, of which the programs took %d (%d %%)", judged.Load(), valid.Load(), taken.Load(), 100*taken.Load()/max(1, valid.Load()))
	if taken.Load()*3 < valid.Load() {
		t.Error("the programs know too little for this to be a test")
	}
}

// differential is one schema and its documents.
type differential struct {
	t *testing.T
	random
	raw                  []byte
	schema               *jsonschema.Schema
	program              *fast.Program
	machine              fast.Machine
	judged, valid, taken int
}

func (d *differential) run() {
	root := map[string]any{}
	for range 2 {
		d.objectKeywords(root, 3)
		d.keyword(root, 3)
	}
	if d.chance(20) {
		root["$schema"] = "http://json-schema.org/draft-07/schema#"
	}
	if _, is := root["items"].([]any); !is && d.chance(60) {
		root["type"] = "object"
	}
	root["$defs"] = map[string]any{"x": d.random.schema(2), "y": d.random.schema(2)}
	raw, err := json.Marshal(root)
	if err != nil {
		d.t.Error(err)
		return
	}
	if d.schema, err = compileWithV5(raw); err != nil {
		return
	}
	d.raw, d.program = raw, fast.Build(d.schema)
	for i := range perSchema {
		if i == hopeless && d.valid == 0 {
			return
		}
		doc := document{random: d.random, defs: root["$defs"].(map[string]any), clean: d.chance(50)}
		doc.write([]any{root}, 0)
		text := doc.Bytes()
		if d.chance(20) {
			text = d.mutated(text)
		}
		d.judge(text)
	}
}

func (d *differential) judge(text []byte) {
	d.judged++
	_, taken := d.machine.Run(d.program, text, limits, nil, nil)
	if !taken && beyond.Match(text) {
		return
	}
	valid := false
	if doc, err := schema.Decode(text); err == nil {
		valid = d.schema.Validate(doc) == nil
	}
	if valid {
		d.valid++
	}
	if !taken {
		return
	}
	d.taken++
	switch {
	case !valid:
		d.t.Errorf("taken, though v5 refuses:\nschema %s\ndocument %q", d.raw, text)
	case !utf8.Valid(text):
		d.t.Errorf("taken, though it is not UTF-8: %q", text)
	case repeats(json.NewDecoder(bytes.NewReader(text))):
		d.t.Errorf("taken, though a name is there twice: %q", text)
	}
}

// repeats tells whether a name is twice in an object of the next value.
func repeats(d *json.Decoder) bool {
	token, err := d.Token()
	if err != nil {
		return false
	}
	names := make(map[string]bool)
	for token == json.Delim('{') || token == json.Delim('[') {
		if !d.More() {
			_, _ = d.Token()
			return false
		}
		if token == json.Delim('{') {
			name, err := d.Token()
			if err != nil || names[name.(string)] {
				return err == nil
			}
			names[name.(string)] = true
		}
		if repeats(d) {
			return true
		}
	}
	return false
}

func compileWithV5(raw []byte) (s *jsonschema.Schema, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	c := jsonschema.NewCompiler()
	c.Draft, c.AssertFormat = jsonschema.Draft2020, true
	c.Formats[schema.TimestampFormat] = func(v any) bool {
		s, ok := v.(string)
		if !ok {
			return true
		}
		_, ok = schema.ParseTimestamp(s)
		return ok
	}
	c.LoadURL = func(u string) (io.ReadCloser, error) { return nil, fmt.Errorf("nothing is at %s", u) }
	if err := c.AddResource("http://test/schema.json", bytes.NewReader(raw)); err != nil {
		return nil, err
	}
	return c.Compile("http://test/schema.json")
}
