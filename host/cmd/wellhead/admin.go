package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/console"
)

// load reads the config for a command that needs only what stands at a key path;
// empty: only that it is a config.
// What is wrong elsewhere, such as a key that is not in a person's environment,
// does not matter to it.
func (f *configFlag) load(path string) (*config.Config, error) {
	c, err := config.Load(f.Config)
	var all config.Problems
	if errors.As(err, &all) {
		err = all.Concerning(path).Err()
	}
	return c, err
}

// dial connects to the config's running host.
func (f *configFlag) dial(ctx context.Context) (*console.Client, error) {
	c, err := f.load("data_dir")
	if err != nil {
		return nil, err
	}
	client, err := console.Dial(ctx, string(c.DataDir))
	var none *console.NoHostError
	if errors.As(err, &none) {
		return nil, fmt.Errorf("%w; start one with: wellhead run -c %s", err, f.Config)
	}
	return client, err
}
