// Command sql is the source of databases: the rows of queries become identify,
// group, track and other calls.
//
// Package source reads the config and runs a source's syncs, row turns a row into
// a call, database speaks to each kind of database, mirror remembers the rows that
// were told, and replication follows the tables of a PostgreSQL server.
//
// # Values
//
// A value becomes the JSON that says the same; no number passes through a
// floating-point one. NULL is null as a trait, and left out as a field of the call.
//
//	                  PostgreSQL, Redshift          MySQL, MariaDB                   SQLite
//	whole numbers     number                        number; BOOL is 0 or 1,          number
//	                                                BIT the number of its bits
//	numeric, decimal  number, every digit kept      number, every digit kept         number, as the file has it
//	floating point    shortest number that is it; NaN, Infinity and -Infinity as strings
//	boolean           true, false                                                    0 or 1
//	text, enum, uuid  string                        string                           string
//	json              as it is                      as it is; MariaDB's is a text:   text: see json
//	                                                see json in the config
//	binary            string in base64              string in base64                 string in base64
//	time with zone    "2026-11-24T18:02:03.5Z"      TIMESTAMP, as PostgreSQL's       text or number, as it is
//	time without      "2026-11-24T18:02:03.5"       DATETIME, as PostgreSQL's        text or number, as it is
//	date              "2026-11-24"                  "2026-11-24"                     text or number, as it is
//	infinity          "infinity", "-infinity"       -                                -
//	interval          "P1DT2H"                      TIME: "-18:02:03.500"            -
//	array             array, nested                 -                                -
//	others            string as it is written
//
// In the column timestamp a time without a zone is taken as UTC, and a date as its
// first instant; a row whose timestamp is no instant, such as infinity, becomes no
// call and is counted as refused. A text that is no UTF-8 has U+FFFD in its place.
//
// # Modes
//
// An incremental sync reads in the order of its cursor and key, and goes on behind
// the last row that was stored, after a kill too. A run begins the overlap before
// where the last one ended, since a row may be committed after others with a
// greater cursor: overlap has to be longer than the longest transaction that
// writes. Of a cursor that is no time a run begins at what was the greatest at the
// last run that began the overlap before the last one. Rows read again have the
// message ids that they had, made of source, sync, key and content, and the host
// drops them. A row whose cursor is null, or part of whose key is, becomes no call.
// Deleted rows are not seen.
//
// A full sync tells all rows each time: the run is part of their message ids.
//
// A mirror reads all rows and tells those that are new, changed or gone since they
// were told. What it has told is in a file in data_dir/sources/SOURCE, a hash for
// each row, and memory takes one bit. Where that file is lost, all rows are told
// again, and deletions since the last run are not known; wellhead status says so.
//
// Change data capture follows the tables of a PostgreSQL server: see package
// replication.
//
// # Size
//
// The binary has 30 MB on linux/amd64, of which the driver of SQL Server takes 2;
// the smallest plugin, examples/hello, has 19. Those of Snowflake, BigQuery and
// ClickHouse are not in it, since no server could be run to try them, nor is that
// of DuckDB, which needs cgo and libraries of 50 MB for each platform.
package main

import (
	"github.com/wellhead-io/wellhead/plugins/sql/source"
	"github.com/wellhead-io/wellhead/sdk"
)

func main() { sdk.Serve(source.Plugin("sql")) }
