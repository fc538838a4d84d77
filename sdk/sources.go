package sdk

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"

	"github.com/wellhead-io/wellhead/sdk/wire"
)

// Sources finds the running stream of a source that a client speaks to. It is
// safe for concurrent use.
type Sources struct {
	probe  wire.Probe
	log    *slog.Logger
	secret []byte // of this process; keys are looked up by their mac under it

	mu      sync.RWMutex
	byKey   map[[sha256.Size]byte]keyed
	known   map[string]bool
	streams map[string]*Stream
	plugin  json.RawMessage
	serving chan struct{} // closed by the first Serve
	leaving bool          // every stream finishes, and none has come since
	changed func()        // called after each change, without the lock
}

type keyed struct {
	mac    [sha256.Size]byte
	source string
}

func newSources(p Plugin, log *slog.Logger) *Sources {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails: crypto/rand ends the process instead
	return &Sources{
		probe:   wire.Probe{Plugin: p.Name, Version: p.Version, Protocol: wire.ProtocolVersion},
		log:     log,
		secret:  secret,
		known:   map[string]bool{},
		streams: map[string]*Stream{},
		serving: make(chan struct{}),
	}
}

// ByKey returns the stream of the source that has this API key. The time that
// it takes says nothing of any key. Errors: ErrUnknownKey, ErrNotRunning.
func (s *Sources) ByKey(key string) (*Stream, error) {
	mac := s.mac(key)
	s.mu.RLock()
	defer s.mu.RUnlock()
	k, ok := s.byKey[mac]
	if !ok || subtle.ConstantTimeCompare(k.mac[:], mac[:]) != 1 {
		return nil, ErrUnknownKey
	}
	return s.running(k.source)
}

// ByName returns the stream of the source with this name. Errors:
// ErrUnknownKey where there is none, ErrNotRunning.
func (s *Sources) ByName(name string) (*Stream, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if !s.known[name] {
		return nil, ErrUnknownKey
	}
	return s.running(name)
}

// Only returns the stream of the plugin's only source, for requests that name
// none. Errors: ErrUnknownKey where there are several sources or none,
// ErrNotRunning.
func (s *Sources) Only() (*Stream, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.known) == 1 {
		for name := range s.known {
			return s.running(name)
		}
	}
	return nil, ErrUnknownKey
}

// PluginConfig decodes the config that stands beside the plugin's path.
func (s *Sources) PluginConfig(v any) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return decodeStrict("plugin config", s.plugin, v)
}

// Log returns a logger for what concerns no single source, such as requests
// without a key. Its lines appear in the host's log with the plugin's name.
func (s *Sources) Log() *slog.Logger { return s.log }

// Probe answers the host's question who serves this socket, and passes every
// other request on. A Listener's server must have it.
func (s *Sources) Probe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != wire.ProbePath {
			next.ServeHTTP(w, r)
			return
		}
		s.mu.RLock()
		probe := s.probe
		s.mu.RUnlock()
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(probe)
	})
}

// running is called with the lock held.
func (s *Sources) running(name string) (*Stream, error) {
	stream := s.streams[name]
	if stream == nil || stream.isDraining() {
		return nil, ErrNotRunning
	}
	return stream, nil
}

func (s *Sources) serve(m *wire.ServeRequest) {
	byKey := make(map[[sha256.Size]byte]keyed)
	known := make(map[string]bool)
	for _, source := range m.Sources {
		known[source.Source] = true
		for _, key := range source.Keys {
			mac := s.mac(key)
			byKey[mac] = keyed{mac: mac, source: source.Source}
		}
	}
	s.mu.Lock()
	s.byKey, s.known, s.plugin = byKey, known, m.Plugin
	s.probe.Generation = m.Generation
	select {
	case <-s.serving:
	default:
		close(s.serving)
	}
	s.mu.Unlock()
	s.changed()
}

func (s *Sources) add(name string, stream *Stream) {
	s.mu.Lock()
	s.streams[name] = stream
	s.leaving = false
	s.mu.Unlock()
	s.changed()
}

func (s *Sources) remove(name string, stream *Stream) {
	s.mu.Lock()
	if s.streams[name] == stream {
		delete(s.streams, name)
	}
	s.mu.Unlock()
	s.changed()
}

// drain notes that a stream finishes. Once all do, the process is about to end.
func (s *Sources) drain() {
	s.mu.Lock()
	s.leaving = true
	for _, stream := range s.streams {
		s.leaving = s.leaving && stream.isDraining()
	}
	s.mu.Unlock()
	s.changed()
}

func (s *Sources) isLeaving() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.leaving
}

// mac is one hash, not an HMAC: what it returns leaves the process no more than
// the secret does, so that nobody has one to lengthen.
func (s *Sources) mac(key string) [sha256.Size]byte {
	room := make([]byte, 0, 128)
	return sha256.Sum256(append(append(room, s.secret...), key...))
}
