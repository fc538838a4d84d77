package supervise_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/wellhead-io/wellhead/sdk/wire"
)

func (f *fake) serveHTTP(fd int) {
	file := os.NewFile(uintptr(fd), "listener")
	l, err := net.FileListener(file)
	if err != nil {
		panic(err)
	}
	file.Close()
	if f.current().GetCertificate() != nil {
		l = tls.NewListener(l, &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			c := f.current().GetCertificate()
			pair, err := tls.X509KeyPair(c.GetCertPem(), c.GetKeyPem())
			return &pair, err
		}})
	}
	panic(http.Serve(l, f.handler()))
}

func (f *fake) current() *wire.ServeRequest {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.served
}

func (f *fake) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+wire.ProbePath, func(w http.ResponseWriter, r *http.Request) {
		for f.blocked.Load() {
			select {
			case <-r.Context().Done():
				return
			case <-time.After(time.Millisecond):
			}
		}
		_ = json.NewEncoder(w).Encode(wire.Probe{Plugin: "fake", Generation: f.generation.Load(), Protocol: 1})
	})
	mux.HandleFunc("POST /block", func(http.ResponseWriter, *http.Request) { f.blocked.Store(true) })
	mux.HandleFunc("GET /dir", func(w http.ResponseWriter, _ *http.Request) {
		dir, err := os.Getwd()
		_ = json.NewEncoder(w).Encode([]any{dir, err, os.TempDir()})
	})
	mux.HandleFunc("GET /env", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(os.Environ()) })
	mux.HandleFunc("GET /nonblock", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, inheritedNonblock) })
	mux.HandleFunc("GET /pid", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, os.Getpid()) })
	mux.HandleFunc("GET /served", func(w http.ResponseWriter, _ *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		_ = json.NewEncoder(w).Encode(map[string]any{"serves": f.serves, "sources": f.served.GetSources()})
	})
	mux.HandleFunc("GET /stdin", func(w http.ResponseWriter, _ *http.Request) {
		b, err := io.ReadAll(os.Stdin)
		fmt.Fprintf(w, "%d %v", len(b), err)
	})
	mux.HandleFunc("POST /child", func(w http.ResponseWriter, _ *http.Request) {
		// It inherits standard error, and does not end by itself.
		cmd := exec.Command("sleep", "1000")
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			panic(err)
		}
		fmt.Fprint(w, cmd.Process.Pid)
	})
	mux.HandleFunc("POST /print", func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fd := 2
		if to := r.URL.Query().Get("fd"); to != "" {
			fd, _ = strconv.Atoi(to)
		}
		for len(b) > 0 {
			n, err := syscall.Write(fd, b)
			if err != nil {
				panic(err)
			}
			b = b[n:]
		}
	})
	mux.HandleFunc("POST /panic", func(http.ResponseWriter, *http.Request) { go panic("what a day") })
	mux.HandleFunc("POST /emit", f.emit)
	return mux
}

func (f *fake) emit(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	s := f.streams[r.URL.Query().Get("source")]
	f.mu.Unlock()
	if s == nil {
		http.Error(w, "no such source runs", http.StatusServiceUnavailable)
		return
	}
	verdict, err := s.emit(r.Context(), &wire.Batch{Events: [][]byte{b}})
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	case verdict.GetNotStored() != nil:
		http.Error(w, verdict.GetNotStored().GetReason(), http.StatusTooManyRequests)
	}
}
