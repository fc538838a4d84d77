package host_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

const planConfig = `
data_dir: data
console: {listen: "$CONSOLE"}
plugins:
  javascript: {path: "$BIN/plugins/javascript", listen: "$LISTEN"}
sources:
  web: {plugin: javascript, keys: [collector-test-key], plan: plan.yaml, destinations: [archive]}
destinations:
  archive: {type: file, path: events.jsonl}
`

const testPlan = `
events:
  Order Completed:
    schema:
      type: object
      required: [order_id]
      properties: {total: {type: number}}
unplanned: refuse
`

// answered is what the collector said.
type answered struct {
	status  int
	header  http.Header
	body    string
	refused []refusedEvent
}

type refusedEvent struct {
	Index     int    `json:"index"`
	MessageID string `json:"messageId"`
	Code      string `json:"code"`
	Path      string `json:"path"`
	Message   string `json:"message"`
	Action    string `json:"action"`
}

// post sends a body to a path of the collector; key "" sends none.
func (s *site) post(path, key string, body []byte, header ...string) answered {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, "http://"+s.listen+path, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if key != "" {
		req.SetBasicAuth(key, "")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := (&http.Client{Timeout: time.Minute}).Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	a := answered{status: res.StatusCode, header: res.Header, body: string(b)}
	var parsed struct{ Refused []refusedEvent }
	_ = json.Unmarshal(b, &parsed)
	a.refused = parsed.Refused
	return a
}

func TestOneBadEventDoesNotFailItsBatch(t *testing.T) {
	s := newSite(t, planConfig)
	s.write("plan.yaml", testPlan)
	s.start()
	var items []string
	for i := range 20 {
		item := fmt.Sprintf(`{"type":"track","userId":"u","event":"Order Completed","messageId":"m%d","properties":{"order_id":"o%d","total":9007199254740993}}`, i, i)
		if i == 7 {
			item = strings.Replace(item, `"total":9007199254740993`, `"total":"a lot"`, 1)
		}
		items = append(items, item)
	}
	a := s.post("/v1/batch", "collector-test-key", []byte(`{"batch":[`+strings.Join(items, ",")+`]}`))
	if a.status != http.StatusOK || a.header.Get("Wellhead-Refused") != "1" || len(a.refused) != 1 {
		t.Fatalf("answered %d %v %s", a.status, a.header, a.body)
	}
	if r := a.refused[0]; r.Index != 7 || r.MessageID != "m7" || r.Code != "plan" || r.Path != "/properties/total" || r.Action != "quarantine" {
		t.Errorf("refused %+v", r)
	}
	eventually(t, "the 19 good events", func() bool { return len(s.archived()) == 19 })
	for _, line := range s.lines("events.jsonl") {
		if !bytes.Contains(line, []byte("9007199254740993")) {
			t.Errorf("a number changed on its way: %s", line)
		}
	}
}

func TestThePlanIsTheJudge(t *testing.T) {
	s := newSite(t, planConfig)
	s.write("plan.yaml", testPlan)
	s.start()
	for name, c := range map[string]struct{ event, code, path string }{
		"required":  {`{"type":"track","userId":"u","event":"Order Completed","properties":{}}`, "plan", "/properties"},
		"typed":     {`{"type":"track","userId":"u","event":"Order Completed","properties":{"order_id":"1","total":[]}}`, "plan", "/properties/total"},
		"unplanned": {`{"type":"track","userId":"u","event":"Order Lost"}`, "unplanned", "/event"},
		"no id":     {`{"type":"track","event":"Order Completed","properties":{"order_id":"1"}}`, "no_id", ""},
		"twice":     {`{"type":"track","userId":"u","event":"Order Completed","properties":{"order_id":"1","order_id":"2"}}`, "duplicate_key", "/properties/order_id"},
	} {
		a := s.post("/v1/track", "collector-test-key", []byte(c.event))
		if a.status != http.StatusOK || len(a.refused) != 1 || a.refused[0].Code != c.code || a.refused[0].Path != c.path {
			t.Errorf("%s: answered %d %s, want %s at %q", name, a.status, a.body, c.code, c.path)
		}
		if strict := s.post("/v1/track", "collector-test-key", []byte(c.event), "X-Strict-Mode", "1"); strict.status != http.StatusBadRequest {
			t.Errorf("%s: in strict mode answered %d", name, strict.status)
		}
	}
}

func TestBadRequestsAreAnsweredAsTheyDeserve(t *testing.T) {
	s := newSite(t, planConfig)
	s.write("plan.yaml", testPlan)
	s.start()
	const key = "collector-test-key"
	good := []byte(`{"userId":"u","event":"Order Completed","properties":{"order_id":"1"}}`)
	big := bytes.Replace(good, []byte(`"1"`), []byte(`"`+strings.Repeat("x", 40<<10)+`"`), 1)
	for name, c := range map[string]struct {
		key    string
		body   []byte
		header []string
		want   int
	}{
		"good":           {key, good, nil, 200},
		"good, gzip":     {key, gzipped(good), []string{"Content-Encoding", "gzip"}, 200},
		"wrong key":      {"another-test-key", good, nil, 401},
		"no key":         {"", good, nil, 401},
		"not json":       {key, []byte(`{"userId":`), nil, 400},
		"truncated gzip": {key, gzipped(good)[:30], []string{"Content-Encoding", "gzip"}, 400},
		"gzip bomb":      {key, gzipped(bytes.Repeat([]byte(" "), 64<<20)), []string{"Content-Encoding", "gzip"}, 413},
		"oversize event": {key, big, nil, 413},
	} {
		if a := s.post("/v1/track", c.key, c.body, c.header...); a.status != c.want {
			t.Errorf("%s: answered %d %s, want %d", name, a.status, a.body, c.want)
		}
	}
	batch := []byte(`{"batch":[{"type":"track",` + string(good[1:]) + `,{"type":"track",` + string(big[1:]) + `]}`)
	a := s.post("/v1/batch", key, batch)
	if a.status != http.StatusOK || len(a.refused) != 1 || a.refused[0].Index != 1 || a.refused[0].Code != "too_large" {
		t.Errorf("an oversize item of a batch: answered %d %s", a.status, a.body)
	}
}

func TestASecretOfTheHostIsNotInThePlugin(t *testing.T) {
	const secret = "a-secret-planted-in-the-host"
	t.Setenv("WELLHEAD_TEST_SECRET", secret)
	s := newSite(t, planConfig)
	s.write("plan.yaml", testPlan)
	h := s.start()
	s.post("/v1/track", "collector-test-key", []byte(`{}`))
	own, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", h.cmd.Process.Pid))
	if err != nil || !bytes.Contains(own, []byte(secret)) {
		t.Fatalf("the host does not have the secret: %v", err)
	}
	pids := children(t, h.cmd.Process.Pid)
	if len(pids) != 1 {
		t.Fatalf("plugins %v, want one", pids)
	}
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pids[0]))
	if err != nil {
		t.Fatal(err)
	}
	if len(environ) == 0 || bytes.Contains(environ, []byte(secret)) {
		t.Errorf("the plugin's environment is %q", environ)
	}
}

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}
