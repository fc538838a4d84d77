package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// subject is something to measure.
type subject struct {
	name  string
	start func(ctx context.Context, dir string) (*process, error)
	// body is a request with these events.
	body func(events [][]byte) []byte
}

// host is a Wellhead host to measure, with its collector and sources that share
// a plan, of which every destination gets everything.
type host struct {
	journal      string // the config's journal section; empty: synced
	keep         int    // rotated files
	sources      int
	planned      int // events in the plan
	destinations int
	dataDir      string // empty: a new one
	// moreSources and moreDestinations are lines of the config; the sources are
	// the emitter's.
	moreSources, moreDestinations string
}

func wellhead(o *options, name string, h host) subject {
	return subject{
		name:  name,
		start: func(ctx context.Context, dir string) (*process, error) { return h.start(ctx, o, dir) },
		body: func(events [][]byte) []byte {
			return fmt.Appendf(nil, `{"batch":[%s]}`, bytes.Join(events, []byte(",")))
		},
	}
}

// propertiesPlan judges the reference event's properties. Its other members are
// judged by the common schema of the call, as the peer's schema does.
const propertiesPlan = `{schema: {
    type: object, required: [order_id, total],
    properties: {
      order_id: {type: string}, total: {type: number}, currency: {type: string, maxLength: 3},
      products: {type: array, items: {type: object, required: [product_id], properties: {price: {type: number}}}}}}}`

// eventName is the name of the reference event, and of the nth that a plan has.
func eventName(n int) string {
	if n == 0 {
		return "Order Completed"
	}
	return fmt.Sprintf("Order Completed %d", n)
}

func (h host) start(ctx context.Context, o *options, dir string) (*process, error) {
	listen, err := freeAddr()
	if err != nil {
		return nil, err
	}
	console, err := freeAddr()
	if err != nil {
		return nil, err
	}
	journal, data := h.journal, h.dataDir
	if journal == "" {
		journal = "{sync: always}"
	}
	if data == "" {
		data = "data"
	}
	var plan, config strings.Builder
	plan.WriteString("events:\n")
	for n := range max(1, h.planned) {
		fmt.Fprintf(&plan, "  %q: %s\n", eventName(n), propertiesPlan)
	}
	fmt.Fprintf(&config, "data_dir: %q\nconsole: {listen: %q}\njournal: %s\nplugins:\n  javascript: {path: %q, listen: %q}\n",
		data, console, journal, filepath.Join(o.bin, "plugins", "javascript"), listen)
	if h.moreSources != "" {
		fmt.Fprintf(&config, "  emitter: {path: %q}\n", o.emitter)
	}
	config.WriteString("sources:\n")
	p := &process{target: target{url: "http://" + listen + "/v1/batch"}, console: console}
	var names []string
	for n := range max(1, h.destinations) {
		names = append(names, fmt.Sprintf("file%d", n))
	}
	for n := range max(1, h.sources) {
		key := fmt.Sprintf("bench-key-%010d", n)
		fmt.Fprintf(&config, "  web%d: {plugin: javascript, keys: [%s], plan: plan.yaml, destinations: [%s]}\n", n, key, strings.Join(names, ", "))
		req := &http.Request{Header: http.Header{"Content-Type": {"application/json"}}}
		req.SetBasicAuth(key, "")
		p.target.headers = append(p.target.headers, req.Header)
	}
	config.WriteString(h.moreSources + "destinations:\n" + h.moreDestinations)
	for _, name := range names {
		fmt.Fprintf(&config, "  %s: {type: file, path: %s.jsonl, rotate: {bytes: 1GB, keep: %d}}\n", name, name, max(h.keep, 2))
	}
	for name, text := range map[string]string{"plan.yaml": plan.String(), "wellhead.yaml": config.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	if p.cmd, err = start(filepath.Join(o.bin, "wellhead"), dir, "run", "-c", "wellhead.yaml"); err != nil {
		return nil, fmt.Errorf("%w (run make build)", err)
	}
	p.sink = (&lineCounter{pattern: filepath.Join(dir, "file0.jsonl*"), read: map[uint64]int64{}}).count
	return p, p.up(ctx, listen)
}

// benthos is http_server → json_schema → file, with the same event schema, in
// the draft that it knows. It answers when the file was written, not synced.
func benthos(binary string) subject {
	return subject{
		name: "Benthos: not synced, a verdict per request",
		start: func(ctx context.Context, dir string) (*process, error) {
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
			cmd, err := start(binary, dir, "-c", "benthos.yaml")
			if err != nil {
				return nil, err
			}
			lines := &lineCounter{pattern: filepath.Join(dir, "events.jsonl"), read: map[uint64]int64{}}
			p := &process{cmd: cmd, target: target{"http://" + listen + "/post", []http.Header{{}}}, sink: lines.count}
			return p, p.up(ctx, listen)
		},
		body: func(events [][]byte) []byte { return bytes.Join(events, []byte("\n")) },
	}
}

// skeleton is net/http alone: it reads a body and answers. What arrives is not
// counted, since nothing arrives anywhere.
func skeleton(binary string) subject {
	return subject{
		name: "net/http alone: nothing judged or kept",
		start: func(ctx context.Context, dir string) (*process, error) {
			listen, err := freeAddr()
			if err != nil {
				return nil, err
			}
			cmd, err := start(binary, dir, listen)
			if err != nil {
				return nil, err
			}
			p := &process{cmd: cmd, target: target{"http://" + listen + "/", []http.Header{{}}}}
			return p, p.up(ctx, listen)
		},
		body: func(events [][]byte) []byte { return bytes.Join(events, []byte("\n")) },
	}
}

// build builds a program. A peer is a module of its own, so that nothing of it
// is in Wellhead's.
func build(ctx context.Context, folder, binary string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, ".")
	cmd.Dir = filepath.Join("host", "bench", folder)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build %s: %w (run it from the repository's folder)", folder, err)
	}
	return binary, nil
}
