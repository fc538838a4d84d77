// Command salesforce is the CRM source: the records of a Salesforce org become
// identify, group and track calls, each object as a whole first and then as it
// changes.
//
// Package client speaks to the org, object knows what a record becomes, sync
// reads one object and pubsub hears of changes as they happen. This package
// reads the config and runs a source's syncs side by side.
package main

import (
	"io"
	"log"

	"github.com/wellhead-io/wellhead/sdk"
)

func main() {
	// simpleforce logs the URLs and bodies of failed requests, which hold data.
	log.SetOutput(io.Discard)
	sdk.Serve(plugin())
}

func plugin() sdk.Plugin {
	return sdk.Plugin{
		Name:         "salesforce",
		Version:      "1.0.0",
		Source:       source{},
		ConfigSchema: configSchema,
		Consent:      "salesforce",
	}
}
