package config_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wellhead-io/wellhead/host/internal/config"
)

// oneText decodes a section of one text, written as a YAML value.
func oneText(t *testing.T, written string, opts ...config.Option) (string, error) {
	t.Helper()
	s, err := config.ParseSection("/etc/wellhead/c.yaml", []byte("x: "+written), opts...)
	if err != nil {
		return "", err
	}
	var v struct {
		X string `yaml:"x"`
	}
	err = s.Decode(&v)
	return v.X, err
}

func TestReferencesAreResolvedInsideTexts(t *testing.T) {
	env := lookup(map[string]string{"A": "alpha", "_B2": "beta", "EMPTY": "", "TRICK": "${A}", "YAML": "x, y: [1"})
	files := config.WithFiles(func(path string) ([]byte, error) {
		content, ok := map[string]string{
			"/etc/wellhead/secrets/key": "from-file\n",
			"/run/crlf":                 "windows\r\n",
			"/run/lines":                "one\ntwo\n\n",
			"/run/ref":                  "${A}",
		}[path]
		if !ok {
			return nil, fs.ErrNotExist
		}
		return []byte(content), nil
	})
	for written, want := range map[string]string{
		`"${A}"`:                       "alpha",
		`${A}`:                         "alpha",
		`'${A}'`:                       "alpha",
		`"a ${A}-${_B2} z"`:            "a alpha-beta z",
		`"${A}${A}"`:                   "alphaalpha",
		`"${EMPTY}"`:                   "",
		`"$${A}"`:                      "${A}",
		`"$$${A}"`:                     "$${A}",
		`"$${A} ${A}"`:                 "${A} alpha",
		`"$A $ $$ {A} $"`:              "$A $ $$ {A} $",
		`"${TRICK}"`:                   "${A}",
		`"${YAML}"`:                    "x, y: [1",
		`"${file:secrets/key}"`:        "from-file",
		`"${file:/run/crlf}"`:          "windows",
		`"${file:/run/lines}"`:         "one\ntwo\n",
		`"${file:/run/ref}"`:           "${A}",
		`"<${file:secrets/key}|${A}>"`: "<from-file|alpha>",
	} {
		got, err := oneText(t, written, env, files)
		if err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", written, got, err, want)
		}
	}
	for written, code := range map[string]string{
		`"${NONE}"`:         config.CodeMissingVariable,
		`"${file:none}"`:    config.CodeMissingFile,
		`"${file:}"`:        config.CodeBadReference,
		`"${file:~/key}"`:   config.CodeMissingFile,
		`"${}"`:             config.CodeBadReference,
		`"${A"`:             config.CodeBadReference,
		`"${A:-x}"`:         config.CodeBadReference,
		`"${1A}"`:           config.CodeBadReference,
		`"${env:A}"`:        config.CodeBadReference,
		`"${A} ${NONE} $$"`: config.CodeMissingVariable,
	} {
		_, err := oneText(t, written, env, files)
		var problems config.Problems
		if !errors.As(err, &problems) || len(problems) != 1 || problems[0].Code != code || problems[0].Path != "x" {
			t.Errorf("%s: got %v, want one %s", written, err, code)
		}
	}
}

func TestReferencesStandForNumbersAndBooleans(t *testing.T) {
	env := lookup(map[string]string{"IDS": "1000", "ON": "false", "SIZE": "5MiB", "TEXT": "many"})
	c := parse(t, `
limits: {request: "${SIZE}"}
dedup: {max_ids: "${IDS}"}
plugins: {p: {enabled: "${ON}"}}`, env)
	if c.Dedup.MaxIDs != 1000 || c.Plugins[0].Enabled || c.Limits.Request != 5*config.MiB {
		t.Errorf("got %+v", c)
	}
	if got := complaint(t, `dedup: {max_ids: "${TEXT}"}`, env); !strings.Contains(got, `want a whole number, got the value of "${TEXT}"`) {
		t.Errorf("got %s", got)
	}
}

// A value can come by a reference wherever it stands: it must not be told.
func TestWhatAReferenceStandsForIsNeverTold(t *testing.T) {
	env := lookup(map[string]string{"S": planted})
	got := complaint(t, `
data_dir: "${S}"
console: {listen: "${S}"}
journal: {sync: "${S}", max_bytes: "${S}", max_age: "${S}"}
dedup: {max_ids: "${S}"}
quarantine: {at_limit: "${S}"}
plugins: {p: {sha256: "${S}", enabled: "${S}", tls: "${S}", env: "${S}", config: "${S}"}}
sources: {s: {plugin: p, keys: "${S}", limits: {rate: "${S}", burst: "${S}"}, config: "${S}"}}
destinations: {d: {type: "${S}", from: "${S}", at_limit: "${S}", max_lag: "${S}"}}`, env)
	hides(t, got)
	if n := strings.Count(got, "\n") + 1; n < 15 {
		t.Errorf("got %d problems only:\n%s", n, got)
	}
}

func TestReferencedFileIsRead(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "key"), []byte("the-key-of-the-website\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "huge"), make([]byte, 1<<20+1), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "c.yaml")
	text := "plugins: {p: }\nsources: {s: {plugin: p, keys: [\"${file:key}\"]}, t: {plugin: p, keys: [\"${file:huge}\"]}}"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path)
	if got := c.Source("s").Keys[0].Reveal(); got != "the-key-of-the-website" {
		t.Errorf("got %q", got)
	}
	if err == nil || !strings.Contains(err.Error(), "larger than 1MiB") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, want that the huge file is too large", err)
	}
}
