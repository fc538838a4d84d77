package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
)

// subject is something to measure.
type subject interface {
	title() string
	start(ctx context.Context, dir string) (*process, error)
	// body is a request with this many events.
	body(event []byte, batch int) []byte
}

// benchPlan judges the reference event's properties. Its other members are
// judged by the common schema of the call, as the peer's schema does.
const benchPlan = `
events:
  Order Completed:
    schema:
      type: object
      required: [order_id, total]
      properties:
        order_id: {type: string}
        total: {type: number}
        currency: {type: string, maxLength: 3}
        products: {type: array, items: {type: object, required: [product_id], properties: {price: {type: number}}}}
`

const benchKey = "bench-key-0123456789"

// wellhead is this repository's host with its collector.
type wellhead struct {
	name string
	o    *options
	// journal is the config's journal section, and keep how many rotated files.
	journal string
	keep    int
}

func (w *wellhead) title() string { return w.name }

func (w *wellhead) start(ctx context.Context, dir string) (*process, error) {
	listen, err := freeAddr()
	if err != nil {
		return nil, err
	}
	console, err := freeAddr()
	if err != nil {
		return nil, err
	}
	journal := w.journal
	if journal == "" {
		journal = "{sync: always}"
	}
	keep := cmp.Or(w.keep, 10)
	config := fmt.Sprintf(`
data_dir: data
console: {listen: %q}
journal: %s
plugins:
  javascript: {path: %q, listen: %q}
sources:
  web: {plugin: javascript, keys: [%s], plan: plan.yaml, destinations: [file]}
destinations:
  file: {type: file, path: events.jsonl, rotate: {bytes: 1GB, keep: %d}}
`, console, journal, filepath.Join(w.o.bin, "plugins", "javascript"), listen, benchKey, keep)
	if err := os.WriteFile(filepath.Join(dir, "plan.yaml"), []byte(benchPlan), 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "wellhead.yaml"), []byte(config), 0o600); err != nil {
		return nil, err
	}
	cmd, err := start(filepath.Join(w.o.bin, "wellhead"), dir, "run", "-c", "wellhead.yaml")
	if err != nil {
		return nil, fmt.Errorf("%w (run make build)", err)
	}
	header := http.Header{"Content-Type": {"application/json"}}
	req := &http.Request{Header: header}
	req.SetBasicAuth(benchKey, "")
	lines := &lineCounter{pattern: filepath.Join(dir, "events.jsonl*"), read: map[uint64]int64{}}
	p := &process{cmd: cmd, url: "http://" + listen + "/v1/batch", header: header, sink: lines.count}
	return p, up(ctx, listen)
}

func (w *wellhead) body(event []byte, batch int) []byte {
	items := make([][]byte, batch)
	for i := range items {
		items[i] = event
	}
	return fmt.Appendf(nil, `{"batch":[%s]}`, bytes.Join(items, []byte(",")))
}

// benthos is http_server → json_schema → file, with the same event schema, in
// the draft that it knows. It answers when the file was written, not synced.
type benthos struct {
	binary string
	o      *options
}

func (b *benthos) title() string { return "benthos (no fsync, verdict per request)" }

func (b *benthos) start(ctx context.Context, dir string) (*process, error) {
	listen, err := freeAddr()
	if err != nil {
		return nil, err
	}
	schema, err := filepath.Abs(filepath.Join("host", "bench", "testdata", "schema-d7.json"))
	if err != nil {
		return nil, err
	}
	config := fmt.Sprintf(`
http: {enabled: false}
logger: {level: ERROR}
input:
  http_server: {address: %q, path: /post}
pipeline:
  processors:
    - unarchive: {format: lines}
    - json_schema: {schema_path: "file://%s"}
output:
  file: {path: events.jsonl, codec: lines}
`, listen, schema)
	if err := os.WriteFile(filepath.Join(dir, "benthos.yaml"), []byte(config), 0o600); err != nil {
		return nil, err
	}
	cmd, err := start(b.binary, dir, "-c", "benthos.yaml")
	if err != nil {
		return nil, err
	}
	lines := &lineCounter{pattern: filepath.Join(dir, "events.jsonl"), read: map[uint64]int64{}}
	p := &process{cmd: cmd, url: "http://" + listen + "/post", header: http.Header{}, sink: lines.count}
	return p, up(ctx, listen)
}

func (b *benthos) body(event []byte, batch int) []byte {
	lines := make([][]byte, batch)
	for i := range lines {
		lines[i] = event
	}
	return bytes.Join(lines, []byte("\n"))
}
