package config_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/wellhead-io/wellhead/host/internal/config"
)

const planted = "p1anted-s3cret"

// exposed holds secrets in every way a program comes to hold them.
type exposed struct {
	Plain   config.Secret
	Pointer *config.Secret
	List    []config.Secret
	Map     map[string]config.Secret
	Any     any
	Err     error
	hidden  config.Secret
	nested  struct{ list []config.Secret }
}

func newExposed() exposed {
	s := config.NewSecret(planted)
	e := exposed{Plain: s, Pointer: &s, List: []config.Secret{s}, Map: map[string]config.Secret{"k": s}, Any: s, hidden: s}
	e.Err = fmt.Errorf("with %v, %s, %q and %#v", s, s, s, s)
	e.nested.list = []config.Secret{s}
	return e
}

func TestSecretIsInNoOutput(t *testing.T) {
	e := newExposed()
	for _, v := range []any{e.Plain, e, &e, []any{e}, map[string]any{"e": e}, errors.Join(e.Err)} {
		for _, verb := range "vsqxXdtbcoUeEfFgGpTw" {
			for _, flags := range []string{"", "+", "#", "-20", "020", ".3", " "} {
				hides(t, fmt.Sprintf("%"+flags+string(verb), v))
			}
		}
		hides(t, fmt.Sprint(v))
		if b, err := json.Marshal(v); err == nil {
			hides(t, string(b))
		}
		if b, err := xml.Marshal(v); err == nil {
			hides(t, string(b))
		}
		if b, err := yaml.Marshal(v); err == nil {
			hides(t, string(b))
		}
		var out bytes.Buffer
		_ = gob.NewEncoder(&out).Encode(v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("m", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "v", v, slog.Group("g", "w", v))
		hides(t, out.String())
	}
}

func hides(t *testing.T, out string) {
	t.Helper()
	if strings.Contains(out, planted) || strings.Contains(strings.ToLower(out), fmt.Sprintf("%x", planted)) {
		t.Errorf("the secret is shown: %s", out)
	}
}

func TestSecretSaysThatItIsThere(t *testing.T) {
	e := newExposed()
	asJSON, _ := json.Marshal(e.List)
	asYAML, _ := yaml.Marshal(e.List)
	for _, out := range []string{
		fmt.Sprint(e.Plain), fmt.Sprintf("%+v", e.List), fmt.Sprintf("%#v", e.Map), fmt.Sprintf("%x", e.Plain), e.Plain.String(),
		string(asJSON), string(asYAML), slog.AnyValue(e.Plain).Resolve().String(),
	} {
		if !strings.Contains(out, "[redacted]") {
			t.Errorf("got %s", out)
		}
	}
	if v := slog.AnyValue(e.Plain).Resolve(); v.Kind() != slog.KindString {
		t.Errorf("a log handler gets %T", v.Any())
	}
	if e.Plain.Reveal() != planted {
		t.Error("Reveal does not return the text")
	}
}

func TestSecretsAreEqualByText(t *testing.T) {
	a, b, none := config.NewSecret(planted), config.NewSecret(planted), config.Secret{}
	if !a.Equal(b) || a.Equal(config.NewSecret("other")) || a.Equal(none) || !none.Equal(config.NewSecret("")) {
		t.Error("Equal does not follow the text")
	}
	if !reflect.DeepEqual(a, b) || reflect.DeepEqual(a, none) {
		t.Error("reflect.DeepEqual does not follow the text")
	}
	if !none.IsZero() || none.Reveal() != "" || a.IsZero() {
		t.Error("the zero Secret is not the absent one")
	}
}

// A config holds secrets as keys, as a plugin's environment, inside sections
// and in its own tree.
func TestConfigWithSecretsIsInNoOutput(t *testing.T) {
	c := parse(t, `
plugins:
  p: {env: {A: "${S}", B: p1anted-s3cret}, config: {token: "${S}", plain: p1anted-s3cret}}
sources:
  s: {plugin: p, keys: ["${S}"], config: {password: p1anted-s3cret, url: "https://u:p1anted-s3cret@host/"}}
destinations:
  d: {type: x, key: "${S}", secret: p1anted-s3cret, url: "https://u:p1anted-s3cret@host/"}
`, lookup(map[string]string{"S": planted}))
	var settings struct {
		Key    config.Secret `yaml:"key"`
		Secret config.Secret `yaml:"secret"`
		URL    string        `yaml:"url"`
	}
	if err := c.Destinations[0].Settings.Decode(&settings); err != nil || settings.Key.Reveal() != planted {
		t.Fatal(err)
	}
	rendered, err := c.Redacted()
	if err != nil {
		t.Fatal(err)
	}
	hides(t, string(rendered))
	for _, v := range []any{c, *c, c.Plugins, c.Sources[0], c.Destinations[0], c.Destinations[0].Settings, &c.Plugins[0].Config} {
		for _, verb := range "vsqxXdtbcoUeEfFgGpTw" {
			for _, flag := range []string{"", "+", "#"} {
				hides(t, fmt.Sprintf("%"+flag+string(verb), v))
			}
		}
		if b, err := json.Marshal(v); err == nil {
			hides(t, string(b))
		}
		if b, err := yaml.Marshal(v); err == nil {
			hides(t, string(b))
		}
		var out bytes.Buffer
		slog.New(slog.NewTextHandler(&out, nil)).Info("m", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "v", v)
		hides(t, out.String())
	}
}
