package config_test

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/wellhead-io/wellhead/host/internal/config"
)

func TestEffectiveConfigIsRenderedWithoutSecrets(t *testing.T) {
	const path = "testdata/effective.txtar"
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c := parse(t, string(archive.Files[0].Data), lookup(map[string]string{"SECRET": planted, "REGION": "eu"}), config.WithPluginDir("/opt/plugins"))
	// The owner of the first destination tells what is no secret.
	var v struct {
		URL    string        `yaml:"url"`
		Region string        `yaml:"region"`
		Key    config.Secret `yaml:"key"`
	}
	if err := c.Destinations[0].Settings.Decode(&v); err != nil {
		t.Fatal(err)
	}
	got, err := c.Redacted()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		archive.Files[1].Data = got
		if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want := string(archive.Files[1].Data); string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	hides(t, string(got))
}
