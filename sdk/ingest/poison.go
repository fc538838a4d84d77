//go:build race

package ingest

// poison fills memory that was given back, so that tests under the race detector
// see who still uses it.
const poison = true
