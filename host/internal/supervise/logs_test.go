package supervise_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestAPluginsLogIsTheHostsLog(t *testing.T) {
	r := start(t, httpSpec(t, "good"))
	r.running()
	for _, line := range []string{
		`{"@level":"warn","@message":"slow query","source":"crm","rows":3}`,
		`{"time":"2026-01-02T03:04:05Z","level":"ERROR","msg":"no answer","plugin":"another"}`,
		`[WARN] by prefix`,
		`plain words`,
		`{"@message":7,"@level":[],"@timestamp":1}`, // go-plugin's own reader panics here
		`{"torn":`,
		strings.Repeat("x", 100_000),
	} {
		r.do("POST", "/print", line+"\n")
	}
	r.do("POST", "/print", "last\n")
	within(t, patience, "the last line", func() bool { return strings.Contains(r.logs.String(), "msg=last") })
	logs := r.logs.String()
	for _, want := range []string{
		`level=WARN msg="slow query" plugin=fake rows=3 source=crm`,
		`level=ERROR msg="no answer" plugin=fake` + "\n",
		`level=WARN msg="[WARN] by prefix" plugin=fake`,
		`level=INFO msg="plain words" plugin=fake`,
	} {
		if !strings.Contains(logs, want) {
			t.Errorf("lacks %s in\n%s", want, logs)
		}
	}
	if strings.Contains(logs, strings.Repeat("x", 9000)) || !strings.Contains(logs, strings.Repeat("x", 8000)) {
		t.Error("a long line is not bounded as it should be")
	}
}

func TestAPluginThatLogsTooMuchIsHeldBack(t *testing.T) {
	r := start(t, httpSpec(t, "good"))
	r.running()
	r.do("POST", "/print", strings.Repeat("again and again\n", 50_000)+"the end\n")
	within(t, patience, "what was dropped is told", func() bool {
		r.do("POST", "/print", "and on\n")
		return strings.Contains(r.logs.String(), "lines were dropped")
	})
	if n := strings.Count(r.logs.String(), "again and again"); n > 5000 {
		t.Errorf("%d lines", n)
	}
}

func TestAPanicIsLoggedAndIsTheReasonOfTheExit(t *testing.T) {
	r := start(t, httpSpec(t, "good"))
	url := "http://" + r.running().Listen + "/panic"
	// There may be an answer before the panic, or not.
	if res, err := http.Post(url, "", nil); err == nil {
		res.Body.Close()
	}
	e := r.fails("plugin_exited")
	if !strings.Contains(e.Message, "panic: what a day") || !strings.Contains(e.Message, "status 2") {
		t.Errorf("error %v", e)
	}
	if !strings.Contains(r.logs.String(), `level=ERROR msg="panic: what a day"`) {
		t.Error("the panic is not logged as an error")
	}
}
