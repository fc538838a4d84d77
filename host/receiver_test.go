package host_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// roleEnv makes the test binary play another process.
const roleEnv = "WELLHEAD_TEST_ROLE"

// receiver is a webhook's server in a process of its own, so that it can be
// killed. It writes each message id to a file before it answers.
type receiver struct {
	t    *testing.T
	addr string
	file string
	cmd  *exec.Cmd
}

func startReceiver(t *testing.T, file string) *receiver {
	t.Helper()
	r := &receiver{t: t, addr: freeAddr(t), file: file}
	r.start()
	t.Cleanup(r.kill)
	return r
}

func (r *receiver) start() {
	r.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		r.t.Fatal(err)
	}
	r.cmd = exec.Command(exe, r.addr, r.file)
	r.cmd.Env = append(os.Environ(), roleEnv+"=receiver")
	r.cmd.Stderr = os.Stderr
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
}

func (r *receiver) kill() {
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
}

// arrived counts how often each message id arrived.
func (r *receiver) arrived() map[string]int {
	r.t.Helper()
	f, err := os.Open(r.file)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	out := map[string]int{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		out[lines.Text()]++
	}
	return out
}

// runReceiver is the receiver's process.
func runReceiver(addr, file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	var l net.Listener
	for start := time.Now(); ; { // the one killed before may not be gone yet
		if l, err = net.Listen("tcp", addr); err == nil || time.Since(start) > 10*time.Second {
			break
		}
	}
	if err != nil {
		return err
	}
	var mu sync.Mutex
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Events []struct {
				MessageID string `json:"messageId"`
			} `json:"events"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		var ids []byte
		for _, e := range body.Events {
			ids = fmt.Appendln(ids, e.MessageID)
		}
		mu.Lock()
		defer mu.Unlock()
		if _, err := f.Write(ids); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})}
	return srv.Serve(l)
}
