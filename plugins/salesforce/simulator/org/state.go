package org

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Open makes an org whose records, change events, grants and access tokens are
// in a file and outlive a kill of the process; a power cut may take the last of
// them. The file is a log that only grows, and belongs to one org at a time.
// What else POST /admin changes is forgotten at the end: faults, apps, describes
// and the clock.
func Open(path string, options Options) (*Org, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s is in use: end the other simulator, or choose another file", path), f.Close())
	}
	o, err := restore(f, options)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w: remove it for a new org", path, err), f.Close())
	}
	return o, nil
}

// entry is a line of the file: when the org was made, what one transaction
// wrote, or what became of a grant or a token.
type entry struct {
	// Made is when the org was, and Empty how; the first line has it.
	Made  time.Time `json:"made,omitzero"`
	Empty bool      `json:"empty,omitempty"`

	At     time.Time   `json:"at,omitzero"`
	Tx     string      `json:"tx,omitempty"`
	User   uint32      `json:"user,omitempty"`
	Joined bool        `json:"joined,omitempty"`
	Writes []keptWrite `json:"writes,omitempty"`

	Grant   *keptGrant   `json:"grant,omitempty"`
	Rotated string       `json:"rotated,omitempty"` // the refresh token that Grant replaces
	Revoked string       `json:"revoked,omitempty"` // refresh token
	Session *keptSession `json:"session,omitempty"`
	Ended   []string     `json:"ended,omitempty"` // access tokens
}

type keptWrite struct {
	Object string                     `json:"object"`
	N      uint64                     `json:"n"`
	Kind   string                     `json:"kind"` // a write's, or FORMULA
	Values map[string]json.RawMessage `json:"values,omitempty"`
	At     int64                      `json:"at"`
}

type keptGrant struct {
	App      string   `json:"app"`
	User     uint32   `json:"user"`
	Scopes   []string `json:"scopes"`
	Refresh  string   `json:"refresh"`
	Approval uint64   `json:"approval"`
}

type keptSession struct {
	Token   string    `json:"token"`
	App     string    `json:"app"`
	User    uint32    `json:"user"`
	Scopes  []string  `json:"scopes"`
	Issued  time.Time `json:"issued"`
	Expires time.Time `json:"expires"`
	Refresh string    `json:"refresh,omitempty"`
}

// keep appends to the org's file, where it has one. Its error is an answer's.
func (o *Org) keep(e entry) error {
	o.fileMu.Lock()
	defer o.fileMu.Unlock()
	if o.file == nil {
		return nil
	}
	b, err := json.Marshal(e)
	if err == nil {
		_, err = o.file.Write(append(b, '\n'))
	}
	if err != nil {
		return failure("UNKNOWN_EXCEPTION", "the simulator cannot keep its state: "+err.Error())
	}
	return nil
}

// restore makes the org that the file tells of, or begins the file.
func restore(f *os.File, options Options) (*Org, error) {
	r := bufio.NewReader(f)
	first, at, err := nextEntry(r)
	switch {
	case err != nil:
		return nil, err
	case at == 0:
		return begin(f, options)
	case first.Made.IsZero():
		return nil, errors.New("it is not the state of an org")
	}
	options.Empty = first.Empty
	o := newAt(first.Made, options)
	for {
		e, size, err := nextEntry(r)
		if err != nil {
			return nil, err
		}
		if size == 0 {
			break
		}
		o.redo(&e)
		at += size
	}
	o.clock.start, o.file = options.Start, f
	return o, f.Truncate(at) // what a kill left half written
}

func begin(f *os.File, options Options) (*Org, error) {
	made := options.Start
	if made.IsZero() {
		made = time.Now().UTC().Truncate(time.Second)
	}
	o := newAt(made, options)
	o.clock.start, o.file = options.Start, f
	if err := f.Truncate(0); err != nil {
		return nil, err
	}
	return o, o.keep(entry{Made: made, Empty: options.Empty})
}

// newAt makes an org as it was made at a time, where its clock stands.
func newAt(made time.Time, options Options) *Org {
	options.Start = made
	return New(options)
}

// nextEntry reads a line; its size is 0 at the end, also where that is no whole
// line.
func nextEntry(r *bufio.Reader) (e entry, size int64, err error) {
	line, err := r.ReadBytes('\n')
	if errors.Is(err, io.EOF) {
		return e, 0, nil
	}
	if err != nil {
		return e, 0, err
	}
	return e, int64(len(line)), json.Unmarshal(line, &e)
}

// redo does again what an entry tells, at its time. Nobody else has the org yet.
func (o *Org) redo(e *entry) {
	o.clock.start = e.At
	if len(e.Writes) > 0 {
		o.redoWrites(e)
	}
	a := o.oauth
	switch g := a.grants[e.Rotated]; {
	case g != nil && e.Grant != nil:
		delete(a.grants, e.Rotated)
		g.refresh = e.Grant.Refresh
		a.grants[g.refresh] = g
	case e.Grant != nil && a.apps[e.Grant.App] != nil:
		a.approvals = e.Grant.Approval
		a.grants[e.Grant.Refresh] = &grant{a.apps[e.Grant.App], e.Grant.User, e.Grant.Scopes, e.Grant.Refresh, e.Grant.Approval}
	}
	if g := a.grants[e.Revoked]; g != nil {
		a.drop(g)
	}
	if s := e.Session; s != nil && a.apps[s.App] != nil {
		a.access[s.Token] = &session{s.Token, a.apps[s.App], s.User, s.Scopes, s.Issued, s.Expires, a.grants[s.Refresh]}
	}
	for _, token := range e.Ended {
		delete(a.access, token)
	}
}

// redoWrites commits a transaction again. A field that there is no more, since
// its addition was forgotten, is left out.
func (o *Org) redoWrites(e *entry) {
	tx := &Tx{org: o, started: e.At, user: e.User, key: e.Tx, joined: e.Joined}
	_, _ = fmt.Sscanf(e.Tx, "%x-", &o.transactions)
	for _, k := range e.Writes {
		t, err := o.table(k.Object)
		if err != nil {
			continue
		}
		for uint64(len(t.rows)) < k.N { // between are those that were rolled back
			t.rows = append(t.rows, row{state: gone})
		}
		if k.Kind == "CREATE" {
			t.rows[k.N-1] = row{created: k.At, createdBy: e.User}
		}
		values := map[*field][]byte{}
		for name, raw := range k.Values {
			if f, ok := t.byName[strings.ToLower(name)]; ok && string(raw) == "null" {
				values[f] = nil
			} else if ok {
				values[f] = raw
			}
		}
		if k.Kind == "FORMULA" {
			t.merge(&t.rows[k.N-1], values, &Change{})
			continue
		}
		tx.writes = append(tx.writes, write{t, k.N, k.Kind, values, k.At})
	}
	tx.apply(e.At)
}

// kept is what the file has of a transaction.
func (tx *Tx) kept(at time.Time) entry {
	e := entry{At: at, Tx: tx.key, User: tx.user, Joined: tx.joined}
	for _, w := range tx.writes {
		e.Writes = append(e.Writes, keptWrite{w.t.name, w.n, w.kind, keptValues(w.values), w.at})
	}
	return e
}

func keptValues(values map[*field][]byte) map[string]json.RawMessage {
	out := make(map[string]json.RawMessage, len(values))
	for f, raw := range values {
		if raw == nil {
			raw = []byte("null")
		}
		out[f.name] = raw
	}
	return out
}

// kept is what the file has of an approval, or of the refresh token that takes
// the place of another.
func (a *oauth) kept(g *grant, rotated string) entry {
	return entry{At: a.org.Now(), Rotated: rotated, Grant: &keptGrant{g.app.ClientID, g.user, g.scopes, g.refresh, g.approval}}
}

func (a *oauth) keptSession(s *session) entry {
	k := &keptSession{Token: s.token, App: s.app.ClientID, User: s.user, Scopes: s.scopes, Issued: s.issued, Expires: s.expires}
	if s.grant != nil {
		k.Refresh = s.grant.refresh
	}
	return entry{At: a.org.Now(), Session: k}
}

// end ends access tokens.
func (a *oauth) end(tokens ...string) {
	for _, token := range tokens {
		delete(a.access, token)
	}
	a.note(entry{At: a.org.Now(), Ended: tokens})
}

func (a *oauth) endAll() { a.end(slices.Collect(maps.Keys(a.access))...) }

// note is keep where nobody can be answered.
func (a *oauth) note(e entry) {
	if err := a.org.keep(e); err != nil {
		a.org.log.Error(err.Error())
	}
}
