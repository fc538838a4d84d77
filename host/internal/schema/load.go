package schema

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"path"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"github.com/wellhead-io/wellhead/schemas"
)

const (
	// publishedURL is where the published schemas are said to be. They are
	// taken from the binary.
	publishedURL = "https://wellhead.io/schemas/"
	// folder is where a schema's own files seem to be, so that a $ref which
	// leaves them is seen to do so.
	folder = "file:///folder/"
)

// folderURL makes the URL of a schema called name.
func folderURL(name string) string {
	file, pointer, part := strings.Cut(name, "#")
	u := &url.URL{Scheme: "file", Path: "/folder/" + file}
	if part {
		u.RawQuery = url.QueryEscape(pointer)
	}
	return u.String()
}

// loader gives the library the documents that a schema refers to, and remembers
// what is wrong with them.
type loader struct {
	refs     fs.FS
	names    map[string]string // by URL
	homes    []home
	docs     []document
	problems Error
}

// home says that schemas whose $id is in folder id are files in folder dir, so
// that a relative $ref beside an absolute $id finds its file.
type home struct{ id, dir string }

// document is one schema that was read.
type document struct {
	url, name string
	doc       any
}

// load is what the library calls for a document that it does not have.
func (l *loader) load(u string) (io.ReadCloser, error) {
	name, raw, err := l.read(u)
	if err != nil {
		return nil, unreadableError{url: u, err: err}
	}
	l.names[u] = name
	if !l.add(u, name, raw) {
		return nil, l.problems
	}
	return io.NopCloser(bytes.NewReader(raw)), nil
}

func (l *loader) read(u string) (name string, raw []byte, err error) {
	if name, ok := strings.CutPrefix(u, publishedURL); ok {
		if raw, err := schemas.FS.ReadFile(name); err == nil {
			return name, raw, nil
		}
	}
	for _, h := range l.homes {
		if rest, ok := strings.CutPrefix(u, h.id); ok {
			u = h.dir + rest
			break
		}
	}
	escaped, inside := strings.CutPrefix(u, folder)
	name, err = url.PathUnescape(escaped)
	switch {
	case inside && err != nil:
		return "", nil, err
	case !inside && strings.HasPrefix(u, "file:"):
		return "", nil, fmt.Errorf("it leaves the folder that the schema may read")
	case !inside:
		return "", nil, fmt.Errorf("nothing is read from the network; save it as a file and refer to that")
	case l.refs == nil:
		return "", nil, fmt.Errorf("a file cannot be referred to from here; put the definition under $defs")
	}
	raw, err = fs.ReadFile(l.refs, path.Clean(name))
	return name, raw, err
}

// add takes a document in and judges it by the schema of its draft.
func (l *loader) add(u, name string, raw []byte) (ok bool) {
	doc, err := Decode(raw)
	if err != nil {
		l.problems = append(l.problems, Problem{File: name, Message: "not JSON: " + err.Error()})
		return false
	}
	l.docs = append(l.docs, document{url: u, name: name, doc: doc})
	object, _ := doc.(map[string]any)
	if id, ok := object["$id"].(string); ok {
		l.addHome(u, name, id)
	}
	meta, err := metaSchema(object["$schema"])
	if err != nil {
		l.problems = append(l.problems, Problem{File: name, Pointer: "/$schema", Keyword: "$schema", Message: err.Error()})
		return false
	}
	found := meta.Check(doc)
	for _, v := range found {
		l.problems = append(l.problems, Problem{
			File: name, Pointer: v.Path, Keyword: lastToken(v.Path), Message: regexReason(doc, v),
		})
	}
	return len(found) == 0
}

func (l *loader) addHome(u, name, id string) {
	base, err := url.Parse(u)
	if err != nil {
		return
	}
	abs, err := base.Parse(id)
	if err != nil || abs.String() == u {
		return
	}
	abs.Fragment = ""
	l.names[abs.String()] = name
	l.homes = append(l.homes, home{id: dirOf(abs.String()), dir: dirOf(u)})
}

// dirOf cuts a URL after the last slash of its path.
func dirOf(u string) string {
	u, _, _ = strings.Cut(u, "?")
	return u[:strings.LastIndexByte(u, '/')+1]
}

// metaSchema gives the schema of the draft that $schema names.
func metaSchema(declared any) (*Schema, error) {
	draft := jsonschema.Draft2020
	switch name, _ := declared.(string); strings.TrimSuffix(strings.Replace(name, "http://", "https://", 1), "#") {
	case jsonschema.Draft7.URL():
		draft = jsonschema.Draft7
	case jsonschema.Draft2020.URL():
	default:
		if declared != nil {
			return nil, fmt.Errorf("%v is not supported; use %s (or leave it out) or http://json-schema.org/draft-07/schema#",
				declared, jsonschema.Draft2020.URL())
		}
	}
	compiled, err := jsonschema.Compile(draft.URL())
	if err != nil {
		return nil, err
	}
	return &Schema{compiled: compiled}, nil
}
