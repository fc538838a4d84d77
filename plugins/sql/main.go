// Command sql is the source of databases: the rows of queries become identify,
// group, track and other calls.
package main

import (
	"github.com/wellhead-io/wellhead/plugins/sql/source"
	"github.com/wellhead-io/wellhead/sdk"
)

func main() { sdk.Serve(source.Plugin("sql")) }
