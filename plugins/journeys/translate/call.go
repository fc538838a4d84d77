package translate

import (
	"errors"
	"net/url"
	"strings"

	"github.com/wellhead-io/wellhead/sdk"
)

// Kind is what a call to an endpoint is for.
type Kind int

// The kinds of endpoints.
const (
	Change      Kind = iota // it says what happened: it becomes events
	Batch                   // it holds several calls of Entity: see Operations
	Region                  // it asks for the account's region
	Credentials             // it asks whether the credentials are good
)

// Endpoint is one of the Track API's.
type Endpoint struct {
	Kind Kind
	// Version of the API, 1 or 2: it decides how errors are worded.
	Version int
	// Public tells that Customer.io takes the call without credentials.
	Public bool
	// NoContent tells that success is answered 204, without a body.
	NoContent bool

	method  string
	pattern []string // segments of the path; empty: any
	events  func(*call) *Error
}

// Entity is the endpoint of a single call of version 2. An operation of a
// batch is the same call.
var Entity = &Endpoint{Version: 2, method: "POST", pattern: segments("/api/v2/entity"), events: (*call).entity}

var endpoints = []*Endpoint{
	Entity,
	{Kind: Batch, Version: 2, method: "POST", pattern: segments("/api/v2/batch")},
	{Version: 1, method: "PUT", pattern: segments("/api/v1/customers/*"), events: (*call).customer},
	{Version: 1, method: "POST", pattern: segments("/api/v1/customers/*/events"), events: (*call).customerEvent},
	{Version: 1, method: "POST", pattern: segments("/api/v1/events"), events: (*call).anonymousEvent},
	{Version: 1, method: "DELETE", pattern: segments("/api/v1/customers/*"), events: (*call).deleteCustomer},
	{Version: 1, method: "PUT", pattern: segments("/api/v1/customers/*/devices"), events: (*call).addDevice},
	{Version: 1, method: "DELETE", pattern: segments("/api/v1/customers/*/devices/*"), events: (*call).deleteDevice},
	{Version: 1, method: "POST", pattern: segments("/api/v1/customers/*/suppress"), events: (*call).suppress},
	{Version: 1, method: "POST", pattern: segments("/api/v1/customers/*/unsuppress"), events: (*call).unsuppress},
	{Version: 1, method: "POST", pattern: segments("/api/v1/merge_customers"), events: (*call).mergeCustomers},
	{Version: 1, method: "POST", pattern: segments("/api/v1/segments/*/add_customers"), events: (*call).addToSegment},
	{Version: 1, method: "POST", pattern: segments("/api/v1/segments/*/remove_customers"), events: (*call).removeFromSegment},
	{Version: 1, method: "POST", pattern: segments("/api/v1/forms/*/submit"), NoContent: true, events: (*call).submitForm},
	{Version: 1, method: "POST", pattern: segments("/api/v1/metrics"), Public: true, events: (*call).metric},
	{Version: 1, method: "POST", pattern: segments("/api/v1/push/events"), Public: true, events: (*call).pushEvent},
	{Version: 1, method: "POST", pattern: segments("/unsubscribe/*"), Public: true, events: (*call).unsubscribe},
	{Kind: Region, Version: 1, method: "GET", pattern: segments("/api/v1/accounts/region")},
	{Kind: Credentials, Version: 1, method: "GET", pattern: segments("/auth")},
}

// ErrNoPath means that the API has nothing at the path.
var ErrNoPath = errors.New("the Track API has nothing at this path")

// MethodError means that the API takes other methods at the path.
type MethodError struct{ Allow string }

func (e *MethodError) Error() string { return "use " + e.Allow + " here" }

// Find returns the endpoint of a method and a path, which is escaped as it was
// sent, and the path as the endpoint has it: a slash too many before it or
// after it is borne with. Errors: ErrNoPath, *MethodError.
func Find(method, path string) (*Endpoint, string, error) {
	path = "/" + strings.TrimLeft(path, "/")
	parts := segments(path)
	e, err := find(method, parts)
	if last := len(parts) - 1; err != nil && last > 0 && parts[last] == "" {
		path = strings.TrimSuffix(path, "/")
		e, err = find(method, parts[:last])
	}
	return e, path, err
}

func find(method string, parts []string) (*Endpoint, error) {
	var allow []string
	for _, e := range endpoints {
		if !e.at(parts) {
			continue
		}
		if e.method == method {
			return e, nil
		}
		allow = append(allow, e.method)
	}
	if allow != nil {
		return nil, &MethodError{strings.Join(allow, ", ")}
	}
	return nil, ErrNoPath
}

func (e *Endpoint) at(parts []string) bool {
	if len(parts) != len(e.pattern) {
		return false
	}
	for i, p := range e.pattern {
		if p != "*" && p != parts[i] {
			return false
		}
	}
	return true
}

// segments splits an escaped path. A slash that is escaped is part of a
// segment.
func segments(path string) []string {
	return strings.Split(strings.TrimLeft(path, "/"), "/")
}

// Events returns what a call to the endpoint says, as calls of the common spec.
// path is escaped and query raw, as they were sent; the events may refer to
// body. A call may say nothing. Errors: *Error.
func (e *Endpoint) Events(path, query string, body []byte) ([]sdk.Event, error) {
	c := &call{query: query, raw: body}
	for i, p := range segments(path) {
		if i < len(e.pattern) && e.pattern[i] == "*" {
			text, err := url.PathUnescape(p)
			if err != nil {
				return nil, invalid("path", "the path is not escaped as a URL's")
			}
			c.params = append(c.params, text)
		}
	}
	if err := e.events(c); err != nil {
		return nil, err
	}
	return c.events, nil
}

// call is one call while it is translated.
type call struct {
	writer
	params []string // what the path names, decoded
	query  string
	raw    []byte
	body   value    // once read
	fields []member // of the body
}

// read reads the body, which is an object. A body that is empty has no members.
func (c *call) read() *Error {
	if len(c.raw) == 0 {
		return c.use(value(`{}`))
	}
	body, err := check(c.raw)
	if err != nil {
		return &Error{ReasonNotJSON, "", "the body is not JSON: " + err.Error()}
	}
	return c.use(body)
}

// use takes a body that has been read.
func (c *call) use(body value) *Error {
	if !body.is('{') {
		return invalid("", "the body must be a JSON object")
	}
	c.body = body
	for m := range body.members() {
		c.fields = append(c.fields, m)
	}
	return nil
}

// get returns the last member of this name of the body: where a name stands
// twice, that is what most readers of JSON take.
func (c *call) get(name string) value {
	for i := len(c.fields) - 1; i >= 0; i-- {
		if c.fields[i].named(name) {
			return c.fields[i].value
		}
	}
	return nil
}

// stamp takes the id and the time that the client gave the call.
func (c *call) stamp() *Error {
	var err *Error
	c.id, err = messageID(c.get("id"))
	c.timestamp = timestampOf(c.get("timestamp"))
	return err
}
