package host_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// When the disk is full, clients hear 503; when there is space again, intake
// resumes by itself, and nothing that was acknowledged is missing.
func TestIntakeResumesWhenTheDiskHasSpaceAgain(t *testing.T) {
	disk := smallDisk(t, "96m")
	s := newSite(t, strings.Replace(manySources(1), "data_dir: data", "data_dir: "+disk+"/data", 1))
	h := s.start()
	client := newLoadClient(s.listen, "key-of-source-0", 20)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var clients errgroup.Group
	clients.Go(func() error { return client.run(ctx, "fill") })
	eventually(t, "events are acknowledged", func() bool { return len(client.ids()) > 0 })

	ballast := filepath.Join(disk, "ballast")
	fill(t, ballast)
	eventually(t, "clients hear 503", func() bool { return client.statuses[http.StatusServiceUnavailable].Load() > 0 })
	full := len(client.ids())
	wait(t, 2*time.Second)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	eventually(t, "intake resumes", func() bool { return len(client.ids()) > full+1000 })
	cancel()
	if err := clients.Wait(); err != nil {
		t.Error(err)
	}
	acked := client.ids()
	eventually(t, "everything acknowledged in the file", func() bool { return len(s.archived()) >= len(acked) })
	h.stop()
	archived := s.archived()
	checkLedger(t, "file", acked, archived)
	if other := client.otherStatuses(http.StatusOK, http.StatusServiceUnavailable, http.StatusTooManyRequests); len(other) > 0 {
		t.Errorf("other answers: %v", other)
	}
}

// smallDisk mounts a file system in memory.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatalf("mount a tmpfs on %s: %v (this test needs root: sudo make test)", dir, err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

// fill writes a file until the disk is full.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 64<<10)
	for {
		if _, err := f.Write(block); err != nil {
			return
		}
	}
}
