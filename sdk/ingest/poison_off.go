//go:build !race

package ingest

const poison = false
