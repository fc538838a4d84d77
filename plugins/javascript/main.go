// Command javascript is the collector: the source plugin that browsers, mobile
// apps and servers send events to, through the clients of Segment and
// Customer.io or anything else that speaks their HTTP API.
//
// Package collector is the API and package payload what becomes of a request's
// body. The vendors' browser libraries come from npm at the versions in
// browser/package-lock.json; go generate fetches them into dist, from where
// they are embedded. A build without them works, and says so at their URLs.
package main

import (
	"embed"
	"io/fs"
	"net/http"

	"github.com/wellhead-io/wellhead/plugins/javascript/collector"
	"github.com/wellhead-io/wellhead/sdk"
)

//go:generate npm ci --ignore-scripts --no-audit --no-fund --prefix browser
//go:generate node browser/copy.mjs browser/node_modules dist

//go:embed all:dist
var dist embed.FS

//go:embed config.schema.json
var configSchema []byte

func main() {
	sdk.Serve(sdk.Plugin{
		Name:         "javascript",
		Version:      "1.0.0",
		Source:       sdk.HTTP(handler),
		PluginSchema: configSchema,
	})
}

func handler(sources *sdk.Sources) (http.Handler, error) {
	config := collector.DefaultConfig()
	if err := sources.PluginConfig(&config); err != nil {
		return nil, err
	}
	scripts, err := fs.Sub(dist, "dist")
	if err != nil {
		return nil, err
	}
	return collector.New(collector.Options{
		Find: func(key string) (collector.Stream, error) {
			stream, err := sources.ByKey(key)
			if err != nil {
				return nil, err
			}
			return stream, nil
		},
		Config:  config,
		Scripts: scripts,
		Log:     sources.Log(),
	})
}
