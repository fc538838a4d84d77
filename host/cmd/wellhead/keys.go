package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"

	"github.com/wellhead-io/wellhead/schemas"
)

type keysGroup struct {
	New keysNewCommand `cmd:"" help:"print a new API key"`
}

type keysNewCommand struct{}

// keyBytes is the length of an API key's secret: 128 bits.
const keyBytes = 16

// Run prints a key that nobody can guess.
func (c *keysNewCommand) Run(s *shell) error {
	b := make([]byte, keyBytes)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the process instead
	_, err := fmt.Fprintln(s.out, "wk_"+base64.RawURLEncoding.EncodeToString(b))
	return err
}

type schemaGroup struct {
	Config schemaConfigCommand `cmd:"" help:"print the config's JSON Schema, by which editors complete it"`
}

type schemaConfigCommand struct{}

// Run prints the schema.
func (c *schemaConfigCommand) Run(s *shell) error {
	raw, err := schemas.FS.ReadFile("config.schema.json")
	if err != nil {
		return err
	}
	_, err = s.out.Write(raw)
	return err
}
