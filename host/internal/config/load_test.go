package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/config"
)

// parse reads a config that must be good.
func parse(t *testing.T, text string, opts ...config.Option) *config.Config {
	t.Helper()
	c, err := config.Parse("/etc/wellhead/wellhead.yaml", []byte(text), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// complaint returns what is said of a config that must be broken.
func complaint(t *testing.T, text string, opts ...config.Option) string {
	t.Helper()
	c, err := config.Parse("/etc/wellhead/wellhead.yaml", []byte(text), opts...)
	var problems config.Problems
	if !errors.As(err, &problems) || c == nil {
		t.Fatalf("got %v, want problems", err)
	}
	return err.Error()
}

const full = `
data_dir: ./state
console:  {listen: "[::1]:9000"}
journal:  {sync: 50ms, max_bytes: 100GB, max_age: 14d}
dedup:    {window: 48h, max_ids: 1_000_000}
quarantine: {max_bytes: 2GiB, max_age: 60d, at_limit: drop_oldest}
limits:   {event: 8MiB, request: 16MiB}
plugins:
  zebra: {path: bin/zebra, listen: 0.0.0.0:8080, tls: {cert: c.pem, key: /abs/k.pem}, env: {A: b}, config: {max_event: 32KiB}}
  javascript: {sha256: ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef0123456789, enabled: false}
sources:
  website:
    plugin: javascript
    keys: ["${WEBSITE_KEY}", an-older-key]
    plan: plans/website.yaml
    on_violation: deliver
    limits: {rate: 1000/s, burst: 5000}
    destinations: [archive]
  crm: {plugin: zebra, enabled: false, config: {interval: 5m}}
destinations:
  archive: {type: file, path: data/events.jsonl, max_lag: {bytes: 20GB}, at_limit: skip, from: 2026-01-31}
  hook: {type: webhook, url: "https://example.com", enabled: false, from: oldest}
`

func TestEveryKeyIsRead(t *testing.T) {
	c := parse(t, full, lookup(map[string]string{"WEBSITE_KEY": "a-new-key"}))
	website, archive, zebra := c.Source("website"), c.Destination("archive"), c.Plugin("zebra")
	for name, ok := range map[string]bool{
		"data_dir":     c.DataDir == "/etc/wellhead/state" && c.Dir() == "/etc/wellhead",
		"console":      c.Console.Listen == "[::1]:9000",
		"journal":      c.Journal.Sync.Interval.Std() == 50*time.Millisecond && c.Journal.MaxBytes == 100*config.GB && c.Journal.MaxAge.String() == "14d",
		"dedup":        c.Dedup.Window.Std() == 48*time.Hour && c.Dedup.MaxIDs == 1_000_000,
		"quarantine":   c.Quarantine == config.Quarantine{MaxBytes: 2 * config.GiB, MaxAge: config.Duration(60 * 24 * time.Hour), AtLimit: config.WhenFullDropOldest},
		"limits":       c.Limits == config.Limits{Event: 8 * config.MiB, Request: 16 * config.MiB},
		"order":        c.Plugins[0].Name == "zebra" && c.Plugins[1].Name == "javascript" && c.Sources[1].Name == "crm",
		"plugin":       zebra.Path == "/etc/wellhead/bin/zebra" && zebra.Listen == "0.0.0.0:8080" && zebra.Enabled && zebra.Env["A"].Reveal() == "b",
		"tls":          *zebra.TLS == config.TLS{Cert: "/etc/wellhead/c.pem", Key: "/abs/k.pem"},
		"sha256":       strings.HasPrefix(string(c.Plugins[1].SHA256), "abcdef0123"),
		"keys":         len(website.Keys) == 2 && website.Keys[0].Reveal() == "a-new-key" && website.Keys[1].Reveal() == "an-older-key",
		"source":       website.Plugin == "javascript" && website.Plan == "/etc/wellhead/plans/website.yaml" && website.OnViolation == config.OnViolationDeliver,
		"rate":         website.Limits.Rate.PerSecond() == 1000 && website.Limits.Burst == 5000,
		"destinations": len(website.Destinations) == 1 && website.Destinations[0] == "archive",
		"enabled":      website.Enabled && !c.Source("crm").Enabled && !c.Plugin("javascript").Enabled && archive.Enabled && !c.Destination("hook").Enabled,
		"destination":  archive.Type == "file" && archive.AtLimit == config.WhenBehindSkip,
		"max_lag":      archive.MaxLag.Bytes == 20*config.GB && archive.MaxLag.Age.Std() == 14*24*time.Hour/10*9,
		"from":         archive.From.Time.Equal(time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)) && c.Destination("hook").From.Oldest,
	} {
		if !ok {
			t.Errorf("%s is not as written", name)
		}
	}
	if c.Plugin("none") != nil || c.Source("none") != nil || c.Destination("none") != nil {
		t.Error("an entry that is not there is found")
	}
}

func TestDefaultsHoldWhereNothingIsWritten(t *testing.T) {
	c := parse(t, "plugins: {javascript: }\ndestinations: {d: {type: file}}\nsources:\n", config.WithPluginDir("/opt/plugins"))
	var want config.Config
	want.Default()
	if c.Journal.MaxBytes != 50*config.GB || !c.Journal.Sync.Always() || c.Console != want.Console ||
		c.Dedup != want.Dedup || c.Quarantine != want.Quarantine || c.Limits != want.Limits || c.DataDir != "/etc/wellhead/data" {
		t.Errorf("got %+v", c)
	}
	if p := c.Plugins[0]; p.Path != "/opt/plugins/javascript" || !p.Enabled {
		t.Errorf("got %+v", p)
	}
	if lag := c.Destinations[0].MaxLag; lag.Bytes != 45*config.GB || lag.Age != c.Journal.MaxAge/10*9 {
		t.Errorf("got a lag of %+v, want 90 %% of the journal's limits", lag)
	}
	if err := want.Validate(); err != nil {
		t.Errorf("the defaults are invalid: %v", err)
	}
}

func TestPluginsAreLookedForBesideTheBinary(t *testing.T) {
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	want := filepath.Join(filepath.Dir(binary), "plugins", "p")
	if got := parse(t, "plugins: {p: }").Plugins[0].Path; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestFileThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(large, []byte("# "+strings.Repeat("x", int(4*config.MiB))), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"no/such.yaml": "no/such.yaml: there is no such file; name the config file with -c [file]",
		large:          large + ": larger than 4MiB [too_large]",
		dir:            dir + ": read: is a directory [file]",
	} {
		c, err := config.Load(path)
		if err == nil || err.Error() != want || c == nil {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestDeepNestingIsRefused(t *testing.T) {
	nested := func(n int) string {
		return "plugins: {p: {config: {a: " + strings.Repeat("[", n) + strings.Repeat("]", n) + "}}}"
	}
	parse(t, nested(61))
	for _, n := range []int{62, 9000} {
		if got := complaint(t, nested(n)); !strings.Contains(got, "more than 64 levels deep [too_large]") {
			t.Errorf("%d: got %s", n, got)
		}
	}
}

func TestListenersThatCanAllBeBound(t *testing.T) {
	parse(t, `
console: {listen: 127.0.0.1:8090}
plugins:
  v4: {listen: 0.0.0.0:8080}
  v6: {listen: "[::1]:8080"}
  other-address: {listen: "[::1]:8090"}
  other-port: {listen: 0.0.0.0:8081}
  off: {listen: 127.0.0.1:8090, enabled: false}
`)
}

func TestAnchorsAndMergeKeys(t *testing.T) {
	c := parse(t, `
plugins: {javascript: {listen: 127.0.0.1:8080}}
sources:
  one: &site
    plugin: javascript
    on_violation: drop
    keys: &keys [the-key-of-one]
    config: {list: &list [1, 2], again: *list}
  two:
    keys: [the-key-of-two]
    on_violation: deliver
    <<: *site
  three:
    <<: [{keys: [the-key-of-three]}, *site]
`)
	two, three := c.Source("two"), c.Source("three")
	if two.OnViolation != config.OnViolationDeliver || two.Plugin != "javascript" || two.Keys[0].Reveal() != "the-key-of-two" {
		t.Errorf("got %+v: what is written wins, the rest is merged", two)
	}
	if three.OnViolation != config.OnViolationDrop || three.Keys[0].Reveal() != "the-key-of-three" {
		t.Errorf("got %+v: the first of the merged mappings wins", three)
	}
	if j, err := three.Config.JSON(); err != nil || string(j) != `{"list":[1,2],"again":[1,2]}` {
		t.Errorf("got %s, %v", j, err)
	}
}

func TestConfigIsWhatCouldBeReadOfABrokenFile(t *testing.T) {
	c, err := config.Parse("c.yaml", []byte("sources: {website: {plugin: javascript, rate: 5}}\njournal: {max_bytes: much}"))
	if err == nil || c.Source("website") == nil || c.Journal.MaxBytes != 50*config.GB {
		t.Fatalf("got %+v, %v", c, err)
	}
	p := c.Problem("sources.website.plugin.x", config.Problem{Code: "c", What: "w"})
	if p.File != "c.yaml" || p.Line != 1 || p.Column != 29 {
		t.Errorf("got %+v: want the nearest place", p)
	}
}

func TestProblemsAreJoinedInTheOrderOfTheFile(t *testing.T) {
	a, b := config.Problem{File: "f", Line: 1, What: "a"}, config.Problem{File: "f", Line: 2, What: "b"}
	err := config.Join(config.Problems{b}, nil, errors.Join(a, errors.New("c")), config.Problems{a})
	if want := "c [wrong_value]\nf:1: a\nf:2: b"; err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	if config.Join(nil, config.Problems(nil).Err()) != nil {
		t.Error("no problems are an error")
	}
}

func TestProblemsConcerningAPlaceAreThoseThatSpoilIt(t *testing.T) {
	all := config.Problems{
		{Path: "plugins.crm"}, {Path: "plugins.crm.env.A"}, {Path: "plugins.crm[0]"}, {Path: "plugins.crm2"}, {Path: "plugins"}, {Path: ""},
	}
	want := config.Problems{{Path: "plugins.crm"}, {Path: "plugins.crm.env.A"}, {Path: "plugins.crm[0]"}, {Path: ""}}
	if got := all.Concerning("plugins.crm"); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := all.Concerning(""); !slices.Equal(got, config.Problems{{}}) {
		t.Errorf("of the whole: %v", got)
	}
}
