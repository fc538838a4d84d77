package console

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// Client asks the host of a data_dir. Close it after use.
type Client struct {
	http *http.Client
}

// NoHostError tells that no host answers.
type NoHostError struct {
	Socket string
	Err    error
}

func (e *NoHostError) Error() string {
	return fmt.Sprintf("no host is running: nobody answers on %s", e.Socket)
}

// Unwrap gives the cause.
func (e *NoHostError) Unwrap() error { return e.Err }

// Dial looks whether a host runs on a data_dir. The error is a *NoHostError
// where none does.
func Dial(ctx context.Context, dir string) (*Client, error) {
	c, err := dialAdmin(ctx, dir)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, &NoHostError{SocketPath(dir), err}
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("this user may not open %s; run the command as the host's user", SocketPath(dir))
	case err != nil:
		return nil, fmt.Errorf("connect to the host: %w", err)
	}
	c.Close()
	transport := &http.Transport{
		DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return dialAdmin(ctx, dir) },
		IdleConnTimeout: idleTimeout,
	}
	return &Client{&http.Client{Transport: transport}}, nil
}

// Close gives the connections back.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status asks how the host is.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.get(ctx, "/status", nil, &s)
}

// Send hands events to a source: at most MaxSendEvents, each without a line
// feed, and together at most MaxSendBytes with one line feed each.
func (c *Client) Send(ctx context.Context, source event.SourceID, events [][]byte) (v Verdict, err error) {
	body := bytes.Join(events, []byte("\n"))
	res, err := c.do(ctx, http.MethodPost, "/send/"+url.PathEscape(string(source)), bytes.NewReader(body))
	if err != nil {
		return v, err
	}
	defer res.Body.Close()
	return v, decode(res.Body, &v)
}

// Quarantine lists entries, without their claims.
func (c *Client) Quarantine(ctx context.Context, f QuarantineFilter) (p Page, err error) {
	return p, c.get(ctx, "/quarantine", f.query(), &p)
}

// QuarantineGroups counts the open entries by what they have in common. Of the
// filter it heeds Source, Destination, Code, Event and Since.
func (c *Client) QuarantineGroups(ctx context.Context, f QuarantineFilter) (g []Group, err error) {
	q := f.query()
	q.Set("group", "1")
	return g, c.get(ctx, "/quarantine", q, &g)
}

// QuarantineEntry returns one entry.
func (c *Client) QuarantineEntry(ctx context.Context, id string) (e Entry, err error) {
	return e, c.get(ctx, (&url.URL{Path: "/quarantine/" + id}).EscapedPath(), nil, &e)
}

// Tail calls emit with every record that matches from now on, until ctx ends or
// emit fails. It returns that error, or io.ErrUnexpectedEOF where the host ends
// it.
func (c *Client) Tail(ctx context.Context, f TailFilter, emit func(Record) error) error {
	q := url.Values{"source": {string(f.Source)}, "type": {string(f.Type)}, "event": {f.Event}}
	if f.Refused {
		q.Set("refused", "1")
	}
	res, err := c.do(ctx, http.MethodGet, "/tail?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	records := json.NewDecoder(bufio.NewReader(res.Body))
	for {
		var r Record
		if err := records.Decode(&r); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return io.ErrUnexpectedEOF
		}
		if err := emit(r); err != nil {
			return err
		}
	}
}

func (c *Client) get(ctx context.Context, path string, q url.Values, to any) error {
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	res, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	return decode(res.Body, to)
}

// post sends a form.
func (c *Client) post(ctx context.Context, path string, form url.Values, to any) error {
	res, err := c.do(ctx, http.MethodPost, path, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	return decode(res.Body, to)
}

// do returns a good answer; any other one becomes an *Error.
func (c *Client) do(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://wellhead"+path, body)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the host: %w", err)
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer res.Body.Close()
	e := &Error{}
	if json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(e) != nil || e.Code == "" {
		return nil, fmt.Errorf("the host answered %s %s with %s; is it of another version than this command?", method, path, res.Status)
	}
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	return nil, e
}

func decode(from io.Reader, to any) error {
	if err := json.NewDecoder(from).Decode(to); err != nil {
		return fmt.Errorf("read the host's answer: %w", err)
	}
	return nil
}
