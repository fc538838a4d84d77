package consent

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// Options is what a Keeper works with.
type Options struct {
	// Dir is data_dir, which belongs to this process. Grants are in its folder
	// consent, and the key in its file key.
	Dir string
	// Key is used instead of the file's, as KeyVariable has it; empty: the file's,
	// which is made where it is missing.
	Key string
	Log *slog.Logger
	// Lease is nil where nobody else works on Dir.
	Lease Lease
	// Transport carries what is asked of Salesforce; nil: the network.
	Transport http.RoundTripper
}

// Keeper keeps the grants of all sources, and the consents that are on their
// way. Its methods may be called from any goroutine.
type Keeper struct {
	Options
	store *store

	mu       sync.Mutex
	sources  map[event.SourceID]*Source
	attempts map[string]*attempt // by id
}

// Open makes a Keeper, and the key where there is none yet. A key that cannot be
// had is an error of those sources that need it, and of no other.
func Open(o Options) *Keeper {
	if o.Lease == nil {
		o.Lease = newLocalLease()
	}
	if o.Transport == nil {
		o.Transport = newTransport()
	}
	k := &Keeper{Options: o, store: openStore(o.Dir, o.Key), sources: map[event.SourceID]*Source{}, attempts: map[string]*attempt{}}
	if _, err := k.store.ready(); err != nil {
		o.Log.Error("no source can get an access token", "error", err)
	}
	return k
}

// Configure tells what a source's config says of its consent. Settings other than
// those before begin a new Source; grants stay.
func (k *Keeper) Configure(name event.SourceID, s Settings) error {
	a, err := newApp(name, s, k.Transport)
	if err != nil {
		return fmt.Errorf("source %s: %w", name, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	version := s.version(a.key)
	if have := k.sources[name]; have != nil && have.version == version {
		return nil
	}
	source := &Source{
		name: name, app: a, version: version, store: k.store, lease: k.Lease, log: k.Log, changed: make(chan struct{}),
	}
	if _, err := source.read(); err != nil {
		k.Log.Error("the source gets no access token", "source", name, "error", err)
	}
	k.sources[name] = source
	return nil
}

// Source returns a configured source, or nil.
func (k *Keeper) Source(name event.SourceID) *Source {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.sources[name]
}

// Close waits until what was asked of Salesforce is on disk, or ctx ends.
func (k *Keeper) Close(ctx context.Context) error {
	k.mu.Lock()
	sources := slices.Collect(maps.Values(k.sources))
	k.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, s := range sources {
			s.close()
		}
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
