package host_test

import (
	"net/http"
	"syscall"
	"testing"
	"time"
)

// A host that is killed while its plugin is stopped leaves nothing that could
// take a connection from its successor.
func TestAStoppedPluginDoesNotOutliveItsHost(t *testing.T) {
	s := newSite(t, manySources(1))
	h := s.start()
	s.post("/v1/track", "key-of-source-0", []byte(`{"userId":"u","event":"Before"}`))
	before := collectorGeneration(t, s.listen, 0)
	pids := children(t, h.cmd.Process.Pid)
	if len(pids) != 1 {
		t.Fatalf("plugins %v, want one", pids)
	}
	if err := syscall.Kill(pids[0], syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	h.kill()
	killed := time.Now()
	s.start()
	collectorGeneration(t, s.listen, before)
	t.Logf("the successor serves %s after the kill", time.Since(killed))
	for i := range 20 {
		a := s.post("/v1/track", "key-of-source-0", []byte(`{"userId":"u","event":"After"}`))
		if a.status != http.StatusOK {
			t.Errorf("request %d was answered %d %s", i, a.status, a.body)
		}
	}
	if state := stateOf(pids[0]); state != "" && state != "Z" {
		t.Errorf("process %d, the stopped plugin, is still there in state %s", pids[0], state)
	}
}
