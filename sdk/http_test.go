package sdk_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/sdk"
	"github.com/wellhead-io/wellhead/sdk/wire"
)

// door answers with what became of the key in the query.
func door(sources *sdk.Sources) (http.Handler, error) {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := sources.ByKey(r.URL.Query().Get("key"))
		switch {
		case errors.Is(err, sdk.ErrUnknownKey):
			w.WriteHeader(http.StatusUnauthorized)
		case errors.Is(err, sdk.ErrNotRunning):
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			if _, err := s.Emit(r.Context(), sdk.Batch{Events: []sdk.Event{sdk.Event(`{}`)}}); err != nil {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}
	}), nil
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestAnHTTPSourceServesWhenTheHostSaysSo(t *testing.T) {
	l := loopback(t)
	h := startPlugin(t, sdk.Plugin{Name: "door", Version: "1", Source: sdk.HTTP(door)}, l)
	url := "http://" + l.Addr().String()

	answered := make(chan int, 1)
	go func() {
		status, _ := get(t, url+"?key=k1")
		answered <- status
	}()
	s := h.run(startOf("web", "k1"))
	select {
	case status := <-answered:
		t.Fatalf("answered %d before Serve", status)
	case <-time.After(50 * time.Millisecond):
	}
	_, err := h.Serve(t.Context(), &wire.ServeRequest{Generation: 7, Sources: []*wire.ServedSource{
		{Source: "web", Keys: []string{"k1", "k2"}, Running: true}, {Source: "app", Keys: []string{"k3"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	s.stored(s.batch())
	if status := <-answered; status != http.StatusOK {
		t.Errorf("a request from before Serve was answered %d", status)
	}
	for key, want := range map[string]int{"k3": 503, "nope": 401, "": 401} {
		if status, _ := get(t, url+"?key="+key); status != want {
			t.Errorf("key %q was answered %d, want %d", key, status, want)
		}
	}
	_, body := get(t, url+wire.ProbePath)
	var probe wire.Probe
	if err := json.Unmarshal([]byte(body), &probe); err != nil || probe.Generation != 7 || probe.Plugin != "door" {
		t.Errorf("probe %s: %v", body, err)
	}
}

func TestADrainingPluginLeavesConnectionsToTheNextOne(t *testing.T) {
	l := loopback(t)
	h := startPlugin(t, sdk.Plugin{Source: sdk.HTTP(door)}, l)
	s := h.run(startOf("web", "k"))
	serve := &wire.ServeRequest{Sources: []*wire.ServedSource{{Source: "web", Keys: []string{"k"}, Running: true}}}
	if _, err := h.Serve(t.Context(), serve); err != nil {
		t.Fatal(err)
	}
	get(t, "http://"+l.Addr().String()+"?key=nope")
	s.drain()
	if m, err := s.Recv(); err != nil || m.GetDrained() == nil {
		t.Fatalf("got %v, %v, want Drained", m, err)
	}
	// The stream is over and no other runs, so nothing accepts until one does.
	answered := make(chan int, 1)
	go func() {
		status, _ := get(t, "http://"+l.Addr().String()+"?key=k")
		answered <- status
	}()
	select {
	case status := <-answered:
		t.Fatalf("answered %d by a process that is about to end", status)
	case <-time.After(50 * time.Millisecond):
	}
	next := h.run(startOf("web", "k"))
	next.stored(next.batch())
	if status := <-answered; status != http.StatusOK {
		t.Errorf("answered %d", status)
	}
}

func TestARequestThatNamesNoSourceIsForTheOnlyOne(t *testing.T) {
	l := loopback(t)
	found := make(chan error, 1)
	h := startPlugin(t, sdk.Plugin{Source: sdk.HTTP(func(sources *sdk.Sources) (http.Handler, error) {
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			_, err := sources.Only()
			found <- err
		}), nil
	})}, l)
	h.run(startOf("web", "k"))
	for _, c := range []struct {
		names []string
		want  error
	}{
		{[]string{"web"}, nil},
		{[]string{"app"}, sdk.ErrNotRunning},
		{[]string{"web", "app"}, sdk.ErrUnknownKey},
	} {
		serve := &wire.ServeRequest{}
		for _, name := range c.names {
			serve.Sources = append(serve.Sources, &wire.ServedSource{Source: name})
		}
		if _, err := h.Serve(t.Context(), serve); err != nil {
			t.Fatal(err)
		}
		get(t, "http://"+l.Addr().String())
		if err := <-found; !errors.Is(err, c.want) {
			t.Errorf("sources %q: %v, want %v", c.names, err, c.want)
		}
	}
}
