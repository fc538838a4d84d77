package collector

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"text/template"
)

// vendor is a folder of Options.Scripts.
type vendor string

const (
	segment    vendor = "segment"
	customerio vendor = "customerio"
)

const (
	// mainScript is the library as a page loads it. It finds its key where the
	// vendors put it in, in place of keyPlace.
	mainScript = "standalone.js"
	keyPlace   = "__WRITE_KEY__"

	keptScripts = 64 // at most, of about 35 KB each
)

// scripts serves the vendors' browser libraries.
type scripts struct {
	files fs.FS

	mu   sync.Mutex
	kept map[scriptID]script
}

// scriptID names a file and the key that is put into it; empty: none.
type scriptID struct{ file, key string }

type script struct {
	etag string
	gzip []byte
}

func newScripts(files fs.FS) *scripts {
	return &scripts{files: files, kept: map[scriptID]script{}}
}

// snippet serves the library to a page that asks for it with its key.
func (c *Collector) snippet(v vendor) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		key := r.PathValue("key")
		if !c.knows(key) {
			noSuchKey(w)
			return
		}
		c.scripts.serve(w, r, scriptID{string(v) + "/" + mainScript, key})
	}
}

// chunk serves a part of the library, which it loads by itself when it needs it.
func (c *Collector) chunk(v vendor) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c.scripts.serve(w, r, scriptID{file: string(v) + "/" + r.PathValue("file")})
	}
}

func (s *scripts) serve(w http.ResponseWriter, r *http.Request, id scriptID) {
	sc, err := s.get(id)
	if err != nil {
		s.missing(w, id)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/javascript; charset=utf-8")
	h.Set("Cache-Control", age(id.file))
	h.Set("ETag", sc.etag)
	h.Set("Vary", "Accept-Encoding")
	if strings.Contains(r.Header.Get("If-None-Match"), sc.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body := sc.gzip
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
	} else if body, err = s.read(id); err != nil {
		s.missing(w, id)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
}

// age says for how long a script may be kept: for good where its name holds a
// hash of it, as those of Segment's chunks do.
func age(file string) string {
	if strings.Contains(file, ".bundle.") {
		return "public, max-age=31536000, immutable"
	}
	return "public, max-age=300"
}

// missing answers for a script that is not there, or for all of them.
func (s *scripts) missing(w http.ResponseWriter, id scriptID) {
	vendor, _, _ := strings.Cut(id.file, "/")
	if _, err := fs.Stat(s.files, vendor+"/"+mainScript); err == nil {
		http.Error(w, "the library has no such file", http.StatusNotFound)
		return
	}
	http.Error(w, "this plugin was built without the browser libraries: run `make build` in Wellhead's source, which fetches them", http.StatusServiceUnavailable)
}

// read returns a script with its key in place.
func (s *scripts) read(id scriptID) ([]byte, error) {
	if path.Ext(id.file) != ".js" {
		return nil, fs.ErrNotExist
	}
	plain, err := fs.ReadFile(s.files, id.file)
	if err != nil || id.key == "" {
		return plain, err
	}
	return bytes.ReplaceAll(plain, []byte(keyPlace), []byte(template.JSEscapeString(id.key))), nil
}

// get returns a script compressed, from those kept if it is there. The keys
// are configured ones, so there are no more scripts than an operator made.
func (s *scripts) get(id scriptID) (script, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sc, ok := s.kept[id]; ok {
		return sc, nil
	}
	plain, err := s.read(id)
	if err != nil {
		return script{}, err
	}
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(plain) // to memory: it cannot fail
	_ = z.Close()
	sum := sha256.Sum256(plain)
	sc := script{etag: `W/"` + hex.EncodeToString(sum[:8]) + `"`, gzip: out.Bytes()}
	if len(s.kept) >= keptScripts {
		clear(s.kept)
	}
	s.kept[id] = sc
	return sc, nil
}
