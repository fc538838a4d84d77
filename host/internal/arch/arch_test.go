package arch_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/wellhead-io/wellhead/"

// room says what a folder's package may import of this module. A trailing
// slash allows everything below.
type room struct {
	imports []string
	// tests lists what its tests may import beyond that.
	tests []string
}

var (
	leaves = []string{"host/internal/event", "host/internal/config", "host/internal/schema", "host/internal/destination"}
	inside = slices.Concat(leaves, []string{"schemas"})
)

// law has a row for every folder with Go code. A room without a row fails.
var law = map[string]room{
	"schemas":  {},
	"sdk":      {imports: []string{"sdk/wire"}},
	"sdk/wire": {},

	"sdk/schedule": {imports: []string{"sdk"}},
	"sdk/ingest":   {imports: []string{"sdk", "sdk/wire"}},

	"host/internal/event":       {},
	"host/internal/config":      {tests: []string{"schemas"}},
	"host/internal/schema":      {imports: []string{"schemas", "host/internal/event"}},
	"host/internal/destination": {imports: []string{"host/internal/event"}},

	"host/internal/schema/fast": {imports: []string{"host/internal/schema"}},

	"host/internal/destination/customerio": {imports: leaves, tests: []string{"host/internal/deliver"}},

	"host/internal/destination/file":     {imports: leaves},
	"host/internal/destination/webhook":  {imports: leaves},
	"host/internal/destination/journeys": {imports: leaves, tests: []string{"host/internal/deliver"}},
	"host/internal/gate":                 {imports: slices.Concat(inside, []string{"host/internal/schema/fast"})},
	"host/internal/journal":              {imports: slices.Concat(leaves, []string{"host/internal/journal/dedup"}), tests: []string{"host/internal/journal/powercut"}},
	"host/internal/journal/powercut":     {},
	"host/internal/journal/dedup":        {imports: []string{"host/internal/event"}},
	"host/internal/quarantine":           {imports: leaves},
	"host/internal/route":                {imports: leaves},
	"host/internal/deliver":              {imports: leaves, tests: []string{"host/internal/destination/file"}},
	"host/internal/supervise":            {imports: slices.Concat(leaves, []string{"sdk/wire"})},
	"host/internal/consent":              {imports: leaves},
	"host/internal/syncs":                {imports: slices.Concat(leaves, []string{"sdk/wire"})},
	"host/internal/console":              {imports: leaves},
	"host/internal/arch":                 {},

	"host":               {imports: []string{"host/internal/", "sdk/wire", "schemas"}, tests: []string{"plugins/salesforce/simulator/org", "plugins/sql/servers"}},
	"host/bench":         {},
	"host/bench/emitter": {imports: []string{"sdk"}},
	"host/cmd/wellhead":  {imports: []string{"host", "host/internal/", "schemas"}, tests: []string{"sdk", "sdk/wire", "plugins/salesforce/simulator/org"}},

	"examples/hello":      {imports: []string{"sdk"}},
	"examples/quickstart": {imports: []string{"sdk"}},

	"plugins/javascript":           {imports: []string{"sdk", "plugins/javascript/"}, tests: []string{"sdk/wire"}},
	"plugins/javascript/collector": {imports: []string{"sdk", "sdk/ingest", "plugins/javascript/"}, tests: []string{"sdk/wire"}},
	"plugins/javascript/payload":   {imports: []string{"sdk", "plugins/javascript/"}},

	"plugins/salesforce/eventbus":           {},
	"plugins/salesforce/simulator":          {imports: []string{"plugins/salesforce/simulator/"}},
	"plugins/salesforce/simulator/org":      {imports: []string{"plugins/salesforce/simulator/", "plugins/salesforce/eventbus"}},
	"plugins/salesforce/simulator/org/soql": {},
	"plugins/salesforce":                    {imports: []string{"sdk", "plugins/salesforce/"}, tests: []string{"sdk/wire"}},
	"plugins/salesforce/client":             {imports: []string{"sdk"}},
	"plugins/salesforce/pubsub":             {imports: []string{"sdk", "plugins/salesforce/client", "plugins/salesforce/eventbus"}, tests: []string{"plugins/salesforce/simulator/org"}},
	"plugins/salesforce/object":             {imports: []string{"sdk", "plugins/salesforce/client"}},
	"plugins/salesforce/sync":               {imports: []string{"sdk", "plugins/salesforce/client", "plugins/salesforce/object"}, tests: []string{"plugins/salesforce/simulator/org"}},

	"plugins/sql":             {imports: []string{"sdk", "plugins/sql/source"}},
	"plugins/sql/source":      {imports: []string{"sdk", "sdk/schedule", "plugins/sql/"}, tests: []string{"sdk/wire"}},
	"plugins/sql/mirror":      {},
	"plugins/sql/database":    {imports: []string{"plugins/sql/row"}, tests: []string{"plugins/sql/servers"}},
	"plugins/sql/row":         {imports: []string{"sdk"}},
	"plugins/sql/servers":     {},
	"plugins/sql/replication": {imports: []string{"sdk", "plugins/sql/row"}, tests: []string{"plugins/sql/servers"}},

	"plugins/journeys":           {imports: []string{"sdk", "plugins/journeys/"}},
	"plugins/journeys/forwarder": {imports: []string{"sdk", "sdk/ingest", "plugins/journeys/"}},
	"plugins/journeys/translate": {imports: []string{"sdk", "plugins/journeys/"}},
}

// doors says which rooms may import a third-party module, tests included.
// What has no row here anyone may import.
var doors = map[string][]string{
	"github.com/hashicorp/go-plugin":        {"sdk/wire", "host/internal/supervise"},
	"github.com/hashicorp/go-hclog":         {"host/internal/supervise"},
	"github.com/nats-io/":                   {"host/internal/journal"},
	"github.com/santhosh-tekuri/jsonschema": {"host/internal/schema", "host/internal/schema/fast", "sdk/sdktest"},
	"golang.org/x/oauth2":                   {"host/internal/consent"},
	"github.com/k-capehart/go-salesforce":   {"plugins/salesforce/simulator"},
	"github.com/simpleforce/simpleforce":    {"plugins/salesforce/client", "plugins/salesforce/simulator"},
	"github.com/prometheus/":                {"host/internal/console"},
	"github.com/alecthomas/kong":            {"host/cmd/wellhead"},
	"github.com/hamba/avro":                 {"plugins/salesforce/pubsub", "plugins/salesforce/simulator/org"},
	"github.com/jackc/pgx":                  {"plugins/sql/database", "plugins/sql/replication", "plugins/sql/servers"},
	"github.com/go-sql-driver/mysql":        {"plugins/sql/database", "plugins/sql/servers"},
	"github.com/microsoft/go-mssqldb":       {"plugins/sql/database"},
	"modernc.org/sqlite":                    {"plugins/sql/database", "plugins/sql/mirror", "host"},
	"github.com/jackc/pglogrepl":            {"plugins/sql/replication"},
	"google.golang.org/grpc":                {"sdk", "sdk/wire", "host/internal/supervise", "plugins/salesforce", "plugins/salesforce/eventbus", "plugins/salesforce/pubsub", "plugins/salesforce/simulator", "plugins/salesforce/simulator/org"},
	"google.golang.org/protobuf":            {"sdk/wire", "host/internal/supervise", "plugins/salesforce/eventbus"},
	"go.yaml.in/yaml":                       {"host/internal/config", "host/internal/gate"},
	"github.com/google/uuid":                {"host/internal/gate"},
}

var topLevel = []string{"host", "plugins", "sdk", "schemas", "examples", "go.mod", "go.sum", "Makefile", "README.md"}

func TestEveryImportIsLawful(t *testing.T) {
	imports := importsByFolder(t)
	for _, folder := range slices.Sorted(maps.Keys(imports)) {
		r, ok := law[folder]
		if !ok {
			t.Errorf("%s has no row in the import law: add one in this file and say what it may import", folder)
			continue
		}
		for _, i := range imports[folder] {
			if ours, ok := strings.CutPrefix(i.path, module); ok {
				allowed := r.imports
				if i.test {
					allowed = slices.Concat(allowed, r.tests, []string{folder})
				}
				if !matches(allowed, ours) {
					t.Errorf("%s imports %s, which the import law does not allow", i.file, ours)
				}
				continue
			}
			for door, rooms := range doors {
				if strings.HasPrefix(i.path, door) && !slices.Contains(rooms, folder) {
					t.Errorf("%s imports %s, whose door is %s", i.file, i.path, strings.Join(rooms, " and "))
				}
			}
		}
	}
	for folder := range law {
		if _, ok := imports[folder]; !ok {
			t.Errorf("the import law has a row for %s, which has no Go code", folder)
		}
	}
}

func TestTopLevelIsFixed(t *testing.T) {
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		built := e.Name() == "bin" // by make, and ignored by git
		if !strings.HasPrefix(e.Name(), ".") && !built && !slices.Contains(topLevel, e.Name()) {
			t.Errorf("%s does not belong at the top level, which is %s", e.Name(), strings.Join(topLevel, " "))
		}
	}
}

const root = "../../.."

type imported struct {
	file, path string
	test       bool
}

func importsByFolder(t *testing.T) map[string][]imported {
	t.Helper()
	out := map[string][]imported{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := filepath.ToSlash(strings.TrimPrefix(strings.TrimPrefix(name, root), string(filepath.Separator)))
		if d.IsDir() {
			base := d.Name()
			if name != root && (strings.HasPrefix(base, ".") || base == "node_modules" || base == "testdata") || nested(name) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		folder := path.Dir(rel)
		if out[folder] == nil {
			out[folder] = []imported{}
		}
		for _, spec := range f.Imports {
			p, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			out[folder] = append(out[folder], imported{file: rel, path: p, test: strings.HasSuffix(rel, "_test.go")})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// nested reports whether a folder is a module of its own: a benchmark's peer,
// which shares nothing with this one.
func nested(dir string) bool {
	if dir == root {
		return false
	}
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

func matches(allowed []string, folder string) bool {
	return slices.ContainsFunc(allowed, func(a string) bool {
		return folder == a || strings.HasSuffix(a, "/") && strings.HasPrefix(folder, a)
	})
}
