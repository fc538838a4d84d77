// Command journeys is the source plugin of apps that speak Customer.io's Track
// API, version 1 or 2, and of Customer.io's reporting webhooks. A source's keys
// are "site_id:api_key", as the app has them.
//
// Package forwarder is the HTTP side and package translate what becomes of a
// call.
package main

import (
	"context"
	_ "embed"
	"fmt"
	"net/http"
	"strings"

	"github.com/wellhead-io/wellhead/plugins/journeys/forwarder"
	"github.com/wellhead-io/wellhead/sdk"
)

//go:embed config.schema.json
var configSchema []byte

func main() {
	sdk.Serve(sdk.Plugin{
		Name:         "journeys",
		Version:      "1.0.0",
		Source:       source{sdk.HTTP(handler)},
		ConfigSchema: configSchema,
	})
}

// source is the HTTP source with a look at its settings.
type source struct{ sdk.Listener }

// Check finds what would make every call fail.
func (source) Check(_ context.Context, s *sdk.Settings) []sdk.Problem {
	var problems []sdk.Problem
	for i, key := range s.Keys {
		if !strings.Contains(key, ":") {
			problems = append(problems, sdk.Problem{Code: "bad_key",
				Message: fmt.Sprintf("key %d has no colon: no client of the Track API can send it", i+1),
				Fix:     "write keys as site_id:api_key"})
		}
	}
	if _, err := configOf(s); err != nil {
		problems = append(problems, sdk.Problem{Code: "bad_config", Message: err.Error(), Fix: "see wellhead plugin describe journeys"})
	}
	return problems
}

func configOf(s *sdk.Settings) (forwarder.Config, error) {
	c := forwarder.DefaultConfig()
	err := s.Config(&c)
	return c, err
}

func handler(sources *sdk.Sources) (http.Handler, error) {
	return forwarder.New(forwarder.Options{
		ByKey:  func(key string) (*forwarder.Source, error) { return running(sources.ByKey(key)) },
		ByName: func(name string) (*forwarder.Source, error) { return running(sources.ByName(name)) },
		Only:   func() (*forwarder.Source, error) { return running(sources.Only()) },
		Log:    sources.Log(),
	}), nil
}

func running(s *sdk.Stream, err error) (*forwarder.Source, error) {
	if err != nil {
		return nil, err
	}
	settings := s.Settings()
	return &forwarder.Source{
		Name:   settings.Source,
		Stream: s,
		Config: func() (forwarder.Config, error) { return configOf(settings) },
	}, nil
}
