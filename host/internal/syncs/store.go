package syncs

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// Store keeps small values by key, each replaced whole: after a crash a key has
// its old value or the new one. Get returns nil where a key has none.
type Store interface {
	Get(key string) ([]byte, error)
	Put(key string, value []byte) error
	Delete(key string) error
	Keys() ([]string, error)
}

// document is what the store has of one sync.
type document struct {
	Version   int       `json:"v"`
	Name      string    `json:"name"`
	State     State     `json:"state"`
	Succeeded time.Time `json:"succeeded,omitzero"`
	Runs      []record  `json:"runs"`
}

const documentVersion = 1

// storeKey is where a sync is kept. Its name may be longer than a key's part.
func storeKey(source event.SourceID, name string) string {
	sum := sha256.Sum256([]byte(name))
	return string(source) + "/" + hex.EncodeToString(sum[:16])
}

// load reads what is kept of the config's sources, and drops what is kept of
// those that left it long ago.
func (b *Book) load(configured []event.SourceID) error {
	keys, err := b.store.Keys()
	if err != nil {
		return fmt.Errorf("history of syncs: %w", err)
	}
	for _, key := range keys {
		name, _, _ := strings.Cut(key, "/")
		id := event.SourceID(name)
		e, err := b.read(key)
		if err != nil {
			b.log.Warn("history of a sync cannot be read and is begun anew", "code", "syncs_read", "source", name, "err", err)
			b.gone[key] = true
			continue
		}
		if slices.Contains(configured, id) {
			b.source(id).syncs[e.name] = e
		} else if time.Since(e.heard) > forgetAfter {
			b.gone[key] = true
		}
	}
	if len(b.gone) > 0 {
		b.poke()
	}
	return nil
}

// read reads a sync. Until its source tells, it is taken for one that it has.
func (b *Book) read(key string) (*entry, error) {
	raw, err := b.store.Get(key)
	if err != nil {
		return nil, err
	}
	var d document
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, err
	}
	if d.Version != documentVersion {
		return nil, fmt.Errorf("it has format %d, want %d", d.Version, documentVersion)
	}
	e := &entry{
		name: d.Name, state: stateOf(string(d.State)), succeeded: d.Succeeded, runs: d.Runs[max(0, len(d.Runs)-MaxRuns):],
		listed: true, heard: d.Succeeded, saved: time.Now(),
	}
	for _, r := range e.runs {
		e.heard = later(e.heard, later(r.Started, r.Ended))
	}
	return e, nil
}

// write writes what is worth it, or everything that has changed.
func (b *Book) write(everything bool) error {
	type change struct {
		key   string
		value []byte
		entry *entry
	}
	var changes []change
	var errs []error
	b.mu.Lock()
	gone := b.gone
	b.gone = map[string]bool{}
	for id, s := range b.sources {
		for _, e := range s.syncs {
			if !e.urgent && (!everything || !e.unsaved) {
				continue
			}
			value, err := json.Marshal(document{documentVersion, e.name, e.state, e.succeeded, e.runs})
			if err != nil {
				errs = append(errs, err)
				continue
			}
			e.unsaved, e.urgent, e.saved = false, false, time.Now()
			changes = append(changes, change{storeKey(id, e.name), value, e})
		}
	}
	b.mu.Unlock()

	for key := range gone {
		// What stays is read at the next start, and goes when room is wanted.
		if err := b.store.Delete(key); err != nil {
			errs = append(errs, err)
		}
	}
	for _, c := range changes {
		if err := b.store.Put(c.key, c.value); err != nil {
			errs = append(errs, err)
			b.mu.Lock()
			c.entry.unsaved, c.entry.urgent = true, true
			b.mu.Unlock()
		}
	}
	return errors.Join(errs...)
}
