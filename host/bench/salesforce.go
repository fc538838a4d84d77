package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// changed is how many records of the simulated org change at each pace.
const changed = 500

// salesforce measures how long a change in a simulated org takes to the line in
// the file, and what the first read costs the plugin.
func salesforce(ctx context.Context, o *options) error {
	dir, err := os.MkdirTemp(o.scratch, "salesforce-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, stop, err := startSalesforce(ctx, o, dir)
	if err != nil {
		return err
	}
	defer stop()
	for i := range changed {
		var row struct{ ID string }
		if err := s.admin(ctx, "insert", map[string]any{"object": "Contact", "fields": map[string]any{"LastName": fmt.Sprint("Bench ", i)}}, &row); err != nil {
			return err
		}
		s.ids = append(s.ids, row.ID)
	}
	if _, err := s.changeAll(ctx, 200); err != nil { // until changes are heard
		return err
	}
	o.out.title("A change in a Salesforce simulator, from before its commit to the line in the file")
	o.out.head("changes", "p50 ms", "p99 ms", "most ms")
	for _, pace := range []int{10, 100} {
		took, err := s.changeAll(ctx, pace)
		if err != nil {
			return err
		}
		slices.Sort(took)
		o.out.row(fmt.Sprintf("%d records, %d a second", len(took), pace), fmt.Sprintf("%.0f", ms(took[len(took)/2])),
			fmt.Sprintf("%.0f", ms(took[len(took)*99/100])), fmt.Sprintf("%.0f", ms(took[len(took)-1])))
	}
	return backfill(ctx, o)
}

// backfill prints the plugin's own benchmark of the first read.
func backfill(ctx context.Context, o *options) error {
	out, err := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkBackfill$", "-benchtime", "500000x", "./plugins/salesforce/sync").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) > 2 && strings.HasPrefix(f[0], "BenchmarkBackfill") {
			o.out.text("\nFirst read, %s rows of 20 fields by Bulk API, the plugin alone: %s.", f[1], strings.Join(f[2:], " "))
		}
	}
	return nil
}

// simulated is a simulator and a host that reads it into a file.
type simulated struct {
	org  string
	file string
	ids  []string // of the records that change
	turn int
}

const simulatedConfig = `
data_dir: data
console: {listen: %q}
plugins:
  salesforce: {path: %q}
sources:
  crm:
    plugin: salesforce
    config:
      login_url: "http://%s"
      auth: {flow: client_credentials, client_id: wellhead-simulator, client_secret: simulator-secret}
      pubsub: {enabled: true, endpoint: %q, plaintext: true}
      syncs: {contacts: {object: Contact, call: identify}}
    destinations: [file]
destinations:
  file: {type: file, path: events.jsonl}
`

func startSalesforce(ctx context.Context, o *options, dir string) (*simulated, func(), error) {
	var at [3]string
	for i := range at {
		var err error
		if at[i], err = freeAddr(); err != nil {
			return nil, nil, err
		}
	}
	inner := filepath.Join(dir, "org")
	if err := os.Mkdir(inner, 0o700); err != nil {
		return nil, nil, err
	}
	config := fmt.Sprintf(simulatedConfig, at[0], filepath.Join(o.bin, "plugins", "salesforce"), at[1], at[2])
	if err := os.WriteFile(filepath.Join(dir, "wellhead.yaml"), []byte(config), 0o600); err != nil {
		return nil, nil, err
	}
	cmd, err := start(filepath.Join(o.bin, "salesforce-simulator"), inner, "-listen", at[1], "-pubsub", at[2])
	if err != nil {
		return nil, nil, fmt.Errorf("%w (run make build)", err)
	}
	org := &process{cmd: cmd}
	if err := org.up(ctx, at[1]); err != nil {
		return nil, nil, err
	}
	cmd, err = start(filepath.Join(o.bin, "wellhead"), dir, "run", "-c", "wellhead.yaml")
	if err != nil {
		org.stop()
		return nil, nil, fmt.Errorf("%w (run make build)", err)
	}
	host := &process{cmd: cmd}
	return &simulated{org: at[1], file: filepath.Join(dir, "events.jsonl")}, func() { host.stop(); org.stop() }, nil
}

func (s *simulated) admin(ctx context.Context, name string, arguments, answer any) error {
	body, err := json.Marshal(arguments)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.org+"/admin/"+name, bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("the simulator answers %s: %s", res.Status, b)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(b, answer)
}

// changeAll changes each record once, so many a second, and returns how long each
// change took.
func (s *simulated) changeAll(ctx context.Context, pace int) ([]time.Duration, error) {
	s.turn++
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	arrived := make(chan map[string]time.Time, 1)
	go func() { arrived <- s.watch(ctx) }()
	began := make([]time.Time, len(s.ids))
	tick := time.NewTicker(time.Second / time.Duration(pace))
	defer tick.Stop()
	for i, id := range s.ids {
		<-tick.C
		began[i] = time.Now()
		if err := s.admin(ctx, "update", map[string]any{"object": "Contact", "id": id, "fields": map[string]any{"Title": s.title(i)}}, &struct{}{}); err != nil {
			return nil, err
		}
	}
	at := <-arrived
	took := make([]time.Duration, 0, len(s.ids))
	for i := range s.ids {
		when, ok := at[s.title(i)]
		if !ok {
			return nil, fmt.Errorf("%d of %d changes are in the file after two minutes", len(at), len(s.ids))
		}
		took = append(took, when.Sub(began[i]))
	}
	return took, nil
}

// title is the one that a record gets in this turn.
func (s *simulated) title(i int) string { return fmt.Sprintf("turn %d of %06d", s.turn, i) }

// watch tells when each title was in the file, once all are or ctx ends.
func (s *simulated) watch(ctx context.Context) map[string]time.Time {
	at := map[string]time.Time{}
	mark := fmt.Appendf(nil, `"Title":"turn %d of `, s.turn)
	var rest []byte
	read := int64(0)
	for len(at) < len(s.ids) && sleep(ctx, time.Millisecond) {
		f, err := os.Open(s.file)
		if err != nil {
			continue // not there yet
		}
		b, _ := io.ReadAll(io.NewSectionReader(f, read, 1<<30))
		f.Close()
		now := time.Now()
		read += int64(len(b))
		rest = append(rest, b...)
		for {
			line, more, whole := bytes.Cut(rest, []byte("\n"))
			if !whole {
				break
			}
			rest = more
			if i := bytes.Index(line, mark); i >= 0 {
				title, _, _ := bytes.Cut(line[i+len(`"Title":"`):], []byte(`"`))
				if _, ok := at[string(title)]; !ok {
					at[string(title)] = now
				}
			}
		}
	}
	return at
}
