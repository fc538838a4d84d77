package journeys

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// request is one request to the Track API.
type request struct {
	event  int // index of its event in the batch
	method string
	path   string // escaped, with the query
	body   []byte
	// operation is whether it can go into a batch: it is then one JSON object.
	operation bool
}

const (
	entity = "/api/v2/entity"
	// maxBody is Customer.io's limit of 500kb for the body of a batch, in the
	// narrower reading.
	maxBody     = 500_000
	beforeBatch = `{"batch":[`
	afterBatch  = `]}`
)

// read reads an attachment. Its errors show nothing of what is in it.
func read(attachment []byte) (request, error) {
	var a struct {
		Method, Path string
		Body         []byte
	}
	if json.Unmarshal(attachment, &a) != nil {
		return request{}, errors.New("the attachment is not a request as a journeys source keeps it")
	}
	if !known(a.Method, a.Path) {
		return request{}, errors.New("the attachment's method and path are not of the Track API")
	}
	return request{
		method: a.Method, path: a.Path, body: a.Body,
		operation: a.Path == entity && json.Valid(a.Body) && bytes.TrimLeft(a.Body, " \t\r\n")[0] == '{',
	}, nil
}

// shapes are the requests of the Track API that change something, as its OpenAPI
// description has them. POST /api/v2/batch is none: a source keeps its operations
// one by one.
var shapes = []struct{ method, path string }{
	{http.MethodPost, entity},
	{http.MethodPut, "/api/v1/customers/*"},
	{http.MethodDelete, "/api/v1/customers/*"},
	{http.MethodPost, "/api/v1/customers/*/events"},
	{http.MethodPut, "/api/v1/customers/*/devices"},
	{http.MethodDelete, "/api/v1/customers/*/devices/*"},
	{http.MethodPost, "/api/v1/customers/*/suppress"},
	{http.MethodPost, "/api/v1/customers/*/unsuppress"},
	{http.MethodPost, "/api/v1/events"},
	{http.MethodPost, "/api/v1/merge_customers"},
	{http.MethodPost, "/api/v1/metrics"},
	{http.MethodPost, "/api/v1/push/events"},
	{http.MethodPost, "/api/v1/forms/*/submit"},
	{http.MethodPost, "/api/v1/segments/*/add_customers"},
	{http.MethodPost, "/api/v1/segments/*/remove_customers"},
	{http.MethodPost, "/unsubscribe/*"},
}

// known tells whether the Track API has such a request. Its path is then safe to
// put after a URL's host: it begins with a slash, and leads nowhere else.
func known(method, path string) bool {
	if strings.ContainsFunc(path, func(r rune) bool { return r <= ' ' || r > '~' || r == '#' || r == '\\' }) {
		return false
	}
	path, _, _ = strings.Cut(path, "?")
	for _, s := range shapes {
		if s.method == method && matches(s.path, path) {
			return true
		}
	}
	return false
}

// matches compares segment by segment; a * is one that names something.
func matches(shape, path string) bool {
	for {
		want, shapeRest, more := strings.Cut(shape, "/")
		got, pathRest, moreToo := strings.Cut(path, "/")
		if more != moreToo || got != want && (want != "*" || !isName(got)) {
			return false
		}
		if !more {
			return true
		}
		shape, path = shapeRest, pathRest
	}
}

// isName tells whether an escaped segment names something, wherever it is
// unescaped on its way: a person's id may hold a slash, but no way up.
func isName(segment string) bool {
	name, err := url.PathUnescape(segment)
	if err != nil || name == "" {
		return false
	}
	for part := range strings.FieldsFuncSeq(name, func(r rune) bool { return r == '/' || r == '\\' }) {
		if part == "." || part == ".." {
			return false
		}
	}
	return true
}

// together returns how many of the first requests go in one: at least one.
func together(requests []request) int {
	n, size := 0, len(beforeBatch)+len(afterBatch)
	for _, r := range requests {
		if size += len(r.body) + 1; !r.operation || size > maxBody {
			break
		}
		n++
	}
	return max(n, 1)
}

// joined is the body of a batch of operations.
func joined(operations []request) []byte {
	size := len(beforeBatch) + len(afterBatch)
	for _, r := range operations {
		size += len(r.body) + 1
	}
	b := append(make([]byte, 0, size), beforeBatch...)
	for i, r := range operations {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, r.body...)
	}
	return append(b, afterBatch...)
}
