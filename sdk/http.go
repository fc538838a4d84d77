package sdk

import (
	"context"
	"net"
	"net/http"
	"time"
)

// HTTP makes a Source from an HTTP handler. Requests are served on the socket
// that the host bound, once the host has said which sources there are. The
// handler finds the source by its key (Sources.ByKey), emits, and answers only
// when Emit has returned: then 200 means that the event is durable.
//
// The handler is made once in a process, when the first request can come. Its
// bounds on header size and time are set here; those on bodies are its own.
func HTTP(handler func(*Sources) (http.Handler, error)) Listener {
	return &httpSource{handler: handler}
}

type httpSource struct {
	handler func(*Sources) (http.Handler, error)
}

// Run keeps the source open. The requests do the work.
func (h *httpSource) Run(ctx context.Context, s *Stream) error {
	tick := time.NewTicker(s.maxSilence / 3)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.Alive()
		case <-s.Draining():
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

const (
	headerTimeout = 10 * time.Second // for a request's header to arrive
	bodyTimeout   = time.Minute      // for the whole request
	answerTimeout = 90 * time.Second // from a request's header to the end of its answer
	idleTimeout   = 2 * time.Minute  // between requests of a connection
	maxHeader     = 64 << 10         // bytes
	// maxConns bounds the connections: each takes 10 KiB or so.
	maxConns     = 8192
	closeTimeout = 10 * time.Second // for requests under way when the process ends
)

func (h *httpSource) Listen(ctx context.Context, l net.Listener, sources *Sources) error {
	handler, err := h.handler(sources)
	if err != nil {
		return err
	}
	conns := newCrowd(l, maxConns)
	srv := &http.Server{
		Handler:           sources.Probe(untilLeaving(sources, handler)),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       bodyTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		ConnState:         conns.track,
		MaxHeaderBytes:    maxHeader,
	}
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		_ = srv.Shutdown(bounded)
	})
	err = srv.Serve(conns)
	if !stop() {
		<-done
	}
	if ctx.Err() != nil {
		return nil //nolint:nilerr // it was asked to end
	}
	return err
}

// untilLeaving ends a connection with its answer when the process is about to
// end, so that the client's next request finds the next process.
func untilLeaving(sources *Sources, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if sources.isLeaving() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
