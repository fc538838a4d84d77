package config_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/config"
)

// settings is what an owner of a section may ask for.
type settings struct {
	common  `yaml:",inline"`
	URL     string                   `yaml:"url"`
	Secret  config.Secret            `yaml:"secret"`
	File    config.Path              `yaml:"file"`
	Timeout config.Duration          `yaml:"timeout"`
	Rotate  *rotate                  `yaml:"rotate"`
	Headers map[string]config.Secret `yaml:"headers"`
	Routes  []route                  `yaml:"routes"`
	Region  region                   `yaml:"region"`
	Ratio   float64                  `yaml:"ratio"`
	Port    uint16                   `yaml:"port"`
	Nested  map[string]rotate        `yaml:"nested"`
	More    config.Section           `yaml:"more"`
	unread  string                   //nolint:unused // a field without a name in the config
}

type common struct {
	Batch int `yaml:"batch"`
}

type rotate struct {
	Bytes config.Size `yaml:"bytes"`
	Keep  int         `yaml:"keep"`
}

func (r *rotate) Default() { r.Keep = 10 }

type region string

func (region) Values() []string { return []string{"us", "eu"} }

// route is written as a name or as a mapping.
type route struct {
	To   string `yaml:"to"`
	When string `yaml:"when"`
}

func (r *route) UnmarshalText(b []byte) error {
	r.To = string(b)
	return nil
}

func (s *settings) Default() {
	s.Timeout, s.Region, s.Batch = config.Duration(10*time.Second), "us", 100
}

func (s *settings) Validate() error {
	var problems config.Problems
	if s.URL == "" {
		problems = append(problems, config.Problem{Path: "url", Code: config.CodeMissingKey, What: "is missing"})
	}
	if s.Rotate != nil && s.Rotate.Keep < 1 {
		problems = append(problems, config.Problem{Path: "rotate.keep", Code: config.CodeWrongValue, What: "is too few"})
	}
	return problems.Err()
}

func section(t *testing.T, text string, opts ...config.Option) config.Section {
	t.Helper()
	s, err := config.ParseSection("/etc/c.yaml", []byte(text), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOwnerDecodesItsSection(t *testing.T) {
	s := section(t, `
url: https://example.com
secret: "${S}"
file: data/x
timeout: 3s
rotate: {bytes: 1GB}
headers: {X-A: "${S}", "x.b": plain}
routes: [archive, {to: hook, when: "true"}]
region: eu
ratio: 1
port: 65535
batch: 5
nested: {a: {keep: 1}, b: }
more: {any: [thing]}
`, lookup(map[string]string{"S": planted}))
	var got settings
	if err := s.Decode(&got); err != nil {
		t.Fatal(err)
	}
	more, err := got.More.JSON()
	for name, ok := range map[string]bool{
		"texts":    got.URL == "https://example.com" && got.Region == "eu" && got.File == "/etc/data/x",
		"secrets":  got.Secret.Reveal() == planted && got.Headers["X-A"].Reveal() == planted && got.Headers["x.b"].Reveal() == "plain",
		"numbers":  got.Timeout.Std() == 3*time.Second && got.Ratio == 1 && got.Port == 65535 && got.Batch == 5,
		"defaults": *got.Rotate == rotate{config.GB, 10} && got.Nested["a"].Keep == 1 && got.Nested["b"].Keep == 10,
		"either":   len(got.Routes) == 2 && got.Routes[0] == route{To: "archive"} && got.Routes[1] == route{"hook", "true"},
		"section":  err == nil && string(more) == `{"any":["thing"]}`,
	} {
		if !ok {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func TestOwnerHearsEveryProblemAtItsPlace(t *testing.T) {
	s := section(t, `
secert: x
file: [a]
timeout: 10
rotate: {bytes: 1G, keep: 0, kep: 5}
headers: {X-A: 5, X-B: [1]}
routes: [1, {to: hook, wen: x}]
region: asia
ratio: .inf
port: 65536
batch: 1.5
`)
	var v settings
	err := s.Decode(&v)
	want := `
/etc/c.yaml:2:1: secert: unknown key; did you mean "secret"? [unknown_key]
/etc/c.yaml:2:1: url: is missing [missing_key]
/etc/c.yaml:3:1: file: want a path, got a list [wrong_type]
/etc/c.yaml:4:10: timeout: "10" is not a duration; a unit is missing: ms, s, m, h or d, such as 10s [wrong_value]
/etc/c.yaml:5:17: rotate.bytes: "1G" is not a size; write 1GB (of 1000) or 1GiB (of 1024) [wrong_value]
/etc/c.yaml:5:27: rotate.keep: is too few [wrong_value]
/etc/c.yaml:5:30: rotate.kep: unknown key; did you mean "keep"? [unknown_key]
/etc/c.yaml:6:16: headers.X-A: want text, got a number; put it in quotes [wrong_type]
/etc/c.yaml:6:19: headers.X-B: want text, got a list [wrong_type]
/etc/c.yaml:7:24: routes[1].wen: unknown key; did you mean "when"? [unknown_key]
/etc/c.yaml:8:9: region: "asia" is not one of us, eu [wrong_value]
/etc/c.yaml:9:8: ratio: want a number, got .inf [wrong_type]
/etc/c.yaml:10:7: port: 65536 is out of range [wrong_value]
/etc/c.yaml:11:8: batch: want a whole number, got 1.5 [wrong_type]`
	if err == nil || err.Error() != want[1:] {
		t.Errorf("got\n%v\nwant%s", err, want)
	}
}

// A destination's keys are in two hands: both are known, and each reports at
// the right place.
func TestDestinationsOwnKeys(t *testing.T) {
	c := parse(t, "destinations:\n  d: {type: x, url: u, max_lags: 1, from: oldest}")
	var v settings
	err := c.Destinations[0].Settings.Decode(&v)
	if want := `/etc/wellhead/wellhead.yaml:2:24: destinations.d.max_lags: unknown key; did you mean "max_lag"? [unknown_key]`; err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	p := c.Destinations[0].Settings.Problem("/url", config.Problem{What: "w"})
	if p.Path != "destinations.d.url" || p.Line != 2 || p.Column != 21 {
		t.Errorf("got %+v", p)
	}
}

func TestSectionAsJSON(t *testing.T) {
	env := lookup(map[string]string{"S": "a \"quoted\"\nline", "N": "5"})
	for text, want := range map[string]string{
		`{b: 1, a: 2}`: `{"b":1,"a":2}`,
		`{n: 12345678901234567890123, f: 1.50, e: 1e30, u: 1_000, neg: -0.0}`: `{"n":12345678901234567890123,"f":1.50,"e":1e30,"u":1000,"neg":-0.0}`,
		`{t: true, T: True, n: null, tilde: ~, none: }`:                       `{"t":true,"T":true,"n":null,"tilde":null,"none":null}`,
		`{s: "${S}", html: "<&>", n: "${N}", lit: "$${S}"}`:                   `{"s":"a \"quoted\"\nline","html":"<&>","n":"5","lit":"${S}"}`,
		`{date: 2026-01-31, yes: yes, quoted: "1"}`:                           `{"date":"2026-01-31","yes":"yes","quoted":"1"}`,
		`{1: a, "x.y": [], z: {}, "\u2028": "\u2028"}`:                        `{"1":"a","x.y":[],"z":{},"\u2028":"\u2028"}`,
	} {
		got, err := section(t, text, env).JSON()
		if err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"{a: 0x10}", "{a: 0o17}", "{a: 010}", "{a: .5}", "{a: +1}", "{a: .nan}", "{a: !!int x}"} {
		s, err := config.ParseSection("c.yaml", []byte(text))
		if err == nil {
			_, err = s.JSON()
		}
		if err == nil || !strings.Contains(err.Error(), "c.yaml:1:") || !strings.Contains(err.Error(), " a: ") {
			t.Errorf("%s: got %v, want a problem at a", text, err)
		}
	}
	if got, err := (config.Section{}).JSON(); err != nil || string(got) != "{}" {
		t.Errorf("an absent section: got %s, %v", got, err)
	}
}

func TestProblemAtAJSONPointer(t *testing.T) {
	c := parse(t, `plugins:
  p:
    config:
      syncs:
        - {a/b: {~c: 1}}
        - query: select
  q:
`)
	s := c.Plugins[0].Config
	for pointer, want := range map[string]string{
		"":                     "3:5 plugins.p.config",
		"/syncs":               "4:7 plugins.p.config.syncs",
		"/syncs/1/query":       "6:18 plugins.p.config.syncs[1].query",
		"/syncs/0/a~1b/~0c":    `5:22 plugins.p.config.syncs[0]["a/b"]["~c"]`,
		"/syncs/1/call":        "6:11 plugins.p.config.syncs[1]",
		"/syncs/9":             "4:7 plugins.p.config.syncs",
		"/absent/deeper":       "3:5 plugins.p.config",
		"/syncs/1/query/below": "6:18 plugins.p.config.syncs[1].query",
	} {
		p := s.Problem(pointer, config.Problem{})
		if got := fmt.Sprintf("%d:%d %s", p.Line, p.Column, p.Path); got != want {
			t.Errorf("%s: got %s, want %s", pointer, got, want)
		}
	}
	// An absent section is at the entry that lacks it.
	if p := c.Plugins[1].Config.Problem("/x", config.Problem{}); p.Path != "plugins.q.config" || p.Line != 7 {
		t.Errorf("got %+v", p)
	}
}

func TestSectionIsPrintedAsItsPath(t *testing.T) {
	c := parse(t, "plugins: {p: {config: {a: p1anted-s3cret}}}")
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%d", "%t"} {
		if got := fmt.Sprintf(format, c.Plugins[0].Config); got != "section plugins.p.config" {
			t.Errorf("%s: got %s", format, got)
		}
	}
}

func TestAbsentSectionIsEmpty(t *testing.T) {
	for name, s := range map[string]config.Section{
		"zero":    {},
		"absent":  parse(t, "plugins: {p: }").Plugins[0].Config,
		"null":    parse(t, "plugins: {p: {config: }}").Plugins[0].Config,
		"nothing": parse(t, "plugins: {p: {config: {}}}").Plugins[0].Config,
	} {
		var v settings
		err := s.Decode(&v)
		var problems config.Problems
		if !s.IsZero() || !errors.As(err, &problems) || len(problems) != 1 || problems[0].Code != config.CodeMissingKey || v.Batch != 100 {
			t.Errorf("%s: got %v, %+v", name, err, v)
		}
	}
}

// A section whose references stand for nothing tells so again, once, and does
// not add that a key is missing.
func TestMissingVariableIsNotReportedAsMissingKey(t *testing.T) {
	c, loadErr := config.Parse("c.yaml", []byte(`destinations: {d: {type: x, url: "${NONE}"}}`), lookup(nil))
	var v settings
	err := config.Join(loadErr, c.Destinations[0].Settings.Decode(&v))
	if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "missing_variable") {
		t.Errorf("got %v", err)
	}
	if _, err := c.Destinations[0].Settings.JSON(); err == nil || !strings.Contains(err.Error(), "missing_variable") {
		t.Errorf("got %v", err)
	}
}

func TestSectionsAreDecodedBySeveralAtOnce(t *testing.T) {
	s := section(t, "{url: u, rotate: {bytes: 1GB}}")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			var v settings
			if err := s.Decode(&v); err != nil || v.URL != "u" {
				t.Errorf("got %+v, %v", v, err)
			}
			if _, err := s.JSON(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestASectionWithoutAKeyKeepsTheRest(t *testing.T) {
	for text, want := range map[string]string{
		"{a: 1, auth: {secret: x}, b: [auth]}": `{"a":1,"b":["auth"]}`,
		"{a: 1}":                               `{"a":1}`,
		"auth: plain text":                     `{}`,
		"{}":                                   `{}`,
	} {
		got, err := section(t, text).Without("auth").JSON()
		if err != nil || string(got) != want {
			t.Errorf("%s: %s, %v, want %s", text, got, err, want)
		}
	}
	s := section(t, "{a: 1, auth: {secret: x}}").Without("auth")
	if p := s.Problem("/a", config.Problem{Code: "c"}); p.Line != 1 || p.Path != "a" {
		t.Errorf("%+v", p)
	}
}
