package host_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

func webhookBody(id string) string {
	return fmt.Sprintf(`{"event_id":%q,"object_type":"email","metric":"sent","timestamp":1613063089,"data":{"delivery_id":"d1","identifiers":{"id":"42"}}}`, id)
}

// signedWebhook is a request as customerio-node's verifyRequestSignature has it.
type signedWebhook struct {
	SigningSecret string `json:"signingSecret"`
	Timestamp     string `json:"timestamp"`
	Body          string `json:"body"`
	Signature     string `json:"signature"`
}

// signWebhook signs a body of now.
func signWebhook(key, body string) signedWebhook {
	now := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, []byte(key))
	_, _ = fmt.Fprintf(mac, "v0:%s:%s", now, body)
	return signedWebhook{key, now, body, hex.EncodeToString(mac.Sum(nil))}
}

func (w signedWebhook) request(ctx context.Context, addr string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/webhooks/app", strings.NewReader(w.Body))
	if err == nil {
		req.Header.Set("X-CIO-Timestamp", w.Timestamp)
		req.Header.Set("X-CIO-Signature", w.Signature)
	}
	return req, err
}

// post posts a webhook and returns the answer, whose body is closed.
func (w signedWebhook) post(t *testing.T, addr string) *http.Response {
	t.Helper()
	req, err := w.request(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	res, err := (&http.Client{Timeout: time.Minute}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res
}

// The plugin, customerio-node and this test agree on what is signed.
func TestSignaturesAreCustomerIOs(t *testing.T) {
	s := newSite(t, journeysConfig)
	s.start()
	const key = "signing-test-key"
	good := signWebhook(key, webhookBody("good"))
	spaced := signWebhook(key, webhookBody("spaced")+" \n")
	unicode := signWebhook(key, strings.Replace(webhookBody("unicode"), "d1", "déjà ✓", 1))
	late, changed, torn := good, good, good
	second, _ := strconv.Atoi(good.Timestamp)
	late.Timestamp = strconv.Itoa(second + 1)
	changed.Body = strings.Replace(good.Body, "sent", "open", 1)
	torn.Signature = torn.Signature[:62]
	other := signWebhook("another-test-key", webhookBody("other"))
	other.SigningSecret = key
	samples := []signedWebhook{good, spaced, unicode, late, changed, torn, other}
	input, err := json.Marshal(samples)
	if err != nil {
		t.Fatal(err)
	}
	var verified []bool
	runScript(t, string(input), &verified, "webhooks.mjs", "verify")
	for i, sample := range samples {
		if verified[i] != (i < 3) {
			t.Errorf("customerio-node says %v of %+v", verified[i], sample)
		}
		if status := sample.post(t, s.listen).StatusCode; (status == http.StatusOK) != verified[i] || !verified[i] && status != http.StatusUnauthorized {
			t.Errorf("the plugin answers %d to %+v, of which customerio-node says %v", status, sample, verified[i])
		}
	}

	var status int
	for _, key := range []string{key, "retired-test-signing-key", "another-test-key"} {
		runScript(t, webhookBody("node "+key), &status, "webhooks.mjs", "send", "http://"+s.listen+"/webhooks/app", key)
		if want := map[bool]int{true: 401, false: 200}[key == "another-test-key"]; status != want {
			t.Errorf("signed by node with %s: answer %d, want %d", key, status, want)
		}
	}
	eventually(t, "what was taken is in the file", func() bool { return len(s.lines("events.jsonl")) >= 5 })
	for _, id := range []string{"good", "spaced", "unicode", "node signing-test-key", "node retired-test-signing-key"} {
		if s.archived()[id] != 1 {
			t.Errorf("the file has %v", s.archived())
		}
	}
}

// A webhook that was answered 200 is in the file, once, however host and plugin
// are killed. Customer.io sends again what was not.
func TestNoWebhookIsLostUnderKills(t *testing.T) {
	rounds := 8
	if os.Getenv("WELLHEAD_LONG") != "" {
		rounds = 200
	}
	r := rand.New(rand.NewPCG(seedOf(t), 0))
	s := newSite(t, journeysConfig)
	h := s.start()
	client := newLoadClient(s.listen, "", 1)
	client.request = func(ctx context.Context, ids []string) (*http.Request, error) {
		return signWebhook("signing-test-key", webhookBody(ids[0])).request(ctx, s.listen)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var storm errgroup.Group
	for i := range 8 {
		storm.Go(func() error { return client.run(ctx, fmt.Sprintf("w%d", i)) })
	}
	for round := range rounds {
		wait(t, time.Duration(200+r.IntN(1000))*time.Millisecond)
		victim := []string{"host", "plugin"}[r.IntN(2)]
		t.Logf("round %d: kill %s, %d acknowledged", round, victim, len(client.ids()))
		if victim == "host" {
			h.kill()
			h = s.start()
		} else {
			killPlugins(t, h)
		}
	}
	cancel()
	if err := storm.Wait(); err != nil {
		t.Error(err)
	}
	acked := client.ids()
	if len(acked) < 20*rounds {
		t.Errorf("only %d webhooks were acknowledged: the storm did not blow", len(acked))
	}
	eventually(t, "everything acknowledged in the file", func() bool { return len(s.archived()) >= len(acked) })
	h.stop()
	archived := s.archived()
	t.Logf("%d acknowledged through %d kills, %d attempts reset, %d refused while the host was away", len(acked), rounds, client.resets.Load(), client.refused.Load())
	checkLedger(t, "file", acked, archived)
	for id, n := range archived {
		if n > 1 {
			t.Errorf("%s stands there %d times", id, n)
		}
	}
	if other := client.otherStatuses(http.StatusOK, http.StatusServiceUnavailable); len(other) > 0 {
		t.Errorf("other answers: %v", other)
	}
}

// Where the journal does not take a webhook it is answered 503 before
// Customer.io gives up, and taken once when it comes again.
func TestAWebhookIsAnsweredInTime(t *testing.T) {
	s := newSite(t, journeysConfig)
	h := s.start()
	webhook := func(id string) *http.Response {
		return signWebhook("signing-test-key", webhookBody(id)).post(t, s.listen)
	}
	eventually(t, "a webhook is taken", func() bool { return webhook("before").StatusCode == http.StatusOK })
	if err := syscall.Kill(h.cmd.Process.Pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	answer := webhook("late")
	took := time.Since(began)
	if err := syscall.Kill(h.cmd.Process.Pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	t.Logf("answered %d after %s", answer.StatusCode, took)
	if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" || took > 4*time.Second {
		t.Errorf("answered %d %v after %s, want 503 with Retry-After within 4 s", answer.StatusCode, answer.Header, took)
	}
	eventually(t, "it is taken when it comes again", func() bool { return webhook("late").StatusCode == http.StatusOK })
	eventually(t, "it is in the file", func() bool { return s.archived()["late"] > 0 })
	h.stop()
	if n := s.archived()["late"]; n != 1 {
		t.Errorf("it stands there %d times", n)
	}
}
