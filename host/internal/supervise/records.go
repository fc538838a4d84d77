package supervise

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

const (
	recordsFile    = "processes.json"
	recordsVersion = 1
	// envMark names the variable by which a process proves that this data_dir's
	// host launched it, or one of its ancestors.
	envMark = "WELLHEAD_HOST"
	// socketPrefix begins the name of the folder for gRPC sockets.
	socketPrefix = "wellhead-"
)

// records keeps in a file what a successor must know: which processes run, where
// their sockets are, and the last generation.
type records struct {
	path string
	log  *slog.Logger

	mu   sync.Mutex
	file runtimeFile
}

type runtimeFile struct {
	Version    int    `json:"version"`
	Generation uint64 `json:"generation"`
	BootID     string `json:"boot_id"`
	Mark       string `json:"mark"`
	// Sockets is the folder of the plugins' gRPC sockets.
	Sockets   string          `json:"sockets"`
	Processes []processRecord `json:"processes"`
}

// processRecord names a process group. A process number is given away again,
// together with the start time it names one process since boot.
type processRecord struct {
	Plugin event.PluginID `json:"plugin"`
	PID    int            `json:"pid"`
	Start  uint64         `json:"start"` // clock ticks since boot; 0: not known on this system
}

// openRecords reads what an earlier host left in dir, which it creates.
func openRecords(dir string, log *slog.Logger) (*records, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("plugin records: %w", err)
	}
	r := &records{path: filepath.Join(dir, recordsFile), log: log}
	raw, err := os.ReadFile(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, fmt.Errorf("plugin records: %w", err)
	}
	if err := json.Unmarshal(raw, &r.file); err != nil || r.file.Version != recordsVersion {
		// The parent-death signal is the first defence; this file is the second.
		log.Warn("the record of plugin processes is not readable and is begun anew",
			"path", r.path, "version", r.file.Version, "error", err)
		r.file = runtimeFile{}
	}
	return r, nil
}

// succeed ends the process groups that an earlier host left, waits until they
// are gone, and begins a record of this host's own.
func (r *records) succeed(ctx context.Context, sockets string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.file
	if old.BootID != "" && old.BootID == bootID() {
		for _, p := range old.Processes {
			ended, err := endOrphans(ctx, p, old.Mark)
			if err != nil {
				return err
			}
			if ended > 0 {
				r.log.Warn("ended processes of a plugin that an earlier host left",
					"plugin", p.Plugin, "pid", p.PID, "processes", ended)
			}
		}
	}
	if strings.HasPrefix(filepath.Base(old.Sockets), socketPrefix) {
		// What is not removed takes some bytes of a temporary folder.
		_ = os.RemoveAll(old.Sockets)
	}
	r.file = runtimeFile{
		Version: recordsVersion, Generation: old.Generation,
		BootID: bootID(), Mark: rand.Text(), Sockets: sockets,
	}
	return r.write()
}

// mark is the value of envMark in every process of this host.
func (r *records) mark() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.file.Mark
}

// next returns a process number that is greater than all before. It is at least
// the time in milliseconds, so that it grows even where the file was lost, and
// at least one more than the last, so that it grows even where the clock was set
// back.
func (r *records) next(now time.Time) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.file.Generation = max(r.file.Generation+1, uint64(now.UnixMilli()))
	return r.file.Generation
}

// add records a process before it can serve.
func (r *records) add(plugin event.PluginID, pid int) {
	start, _ := startTime(pid)
	r.change(func(f *runtimeFile) {
		f.Processes = append(f.Processes, processRecord{Plugin: plugin, PID: pid, Start: start})
	})
}

// remove forgets a process that has ended.
func (r *records) remove(pid int) {
	r.change(func(f *runtimeFile) {
		f.Processes = slices.DeleteFunc(f.Processes, func(p processRecord) bool { return p.PID == pid })
	})
}

func (r *records) change(f func(*runtimeFile)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.file)
	if err := r.write(); err != nil {
		// A full disk must not keep a plugin from telling its clients so.
		r.log.Warn("the record of plugin processes could not be written", "error", err)
	}
}

// write replaces the file.
func (r *records) write() error {
	raw, err := json.Marshal(r.file)
	if err != nil {
		return fmt.Errorf("plugin records: %w", err)
	}
	temp := r.path + ".new"
	if err := writeSynced(temp, raw); err != nil {
		return fmt.Errorf("plugin records: %w", err)
	}
	if err := os.Rename(temp, r.path); err != nil {
		return fmt.Errorf("plugin records: %w", err)
	}
	return nil
}

func writeSynced(path string, raw []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(raw); err != nil {
		return err
	}
	// A torn file would hide the generation; the processes do not outlive a power
	// cut anyway.
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

// socketFolder makes a folder, open to this user alone, for the plugins' gRPC
// sockets. The path of a unix socket may have some 100 bytes, and go-plugin adds
// about 40: a deep temporary folder does not do.
func socketFolder() (string, error) {
	// A relative one would be another folder to a plugin, which has a working
	// directory of its own.
	base, err := filepath.Abs(os.TempDir())
	if err != nil || len(base) > 40 {
		base = "/tmp"
	}
	dir, err := os.MkdirTemp(base, socketPrefix)
	if err != nil {
		return "", fmt.Errorf("folder for plugin sockets: %w", err)
	}
	return dir, nil
}
