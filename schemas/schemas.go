// Package schemas holds the JSON Schemas that Wellhead publishes, by name and
// version: NAME.vN.schema.json. A schema that would refuse what it accepted
// before gets a new version.
package schemas

import "embed"

// FS holds every schema of this folder.
//
//go:embed *.json
var FS embed.FS
