// Package row turns a row of a query or table into one call of the common spec.
//
// It knows no database: a row is the values of its columns as exact JSON, a nil
// one for NULL. Postgres writes those of PostgreSQL's text form; package
// database knows how the other databases' values are written.
//
// Of the columns, in any case and with or without underscores, userId,
// anonymousId, timestamp and messageId are fields of every call, event is one of
// track, groupId of group, previousId of alias and name of page and screen. The
// others are traits (identify, group) or properties (track, page, screen); a dot
// in a name nests.
package row

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/wellhead-io/wellhead/sdk"
)

// MaxColumns bounds a row; Segment's reverse ETL takes as many.
const MaxColumns = 512

// The calls that a row can become.
const (
	Identify = "identify"
	Group    = "group"
	Track    = "track"
	Page     = "page"
	Screen   = "screen"
	Alias    = "alias"
)

// Mapping says what a row becomes.
type Mapping struct {
	Source, Sync string
	Call         string
	Event        string   // the name of a track call without a column event
	Key          []string // the columns that identify a row
	JSON         []string // columns of text whose value is JSON
	Deleted      string   // the event of a deleted row; empty: Customer.io's own for the call
}

// Mapper turns the rows of one result into events. It is for one goroutine.
type Mapper struct {
	Mapping
	columns []string
	key     []int
	json    []bool
	fields  []field // of the call, in the order in which they are written
	body    []step  // traits or properties
	bodyKey string  // empty: the call has none
	prefix  []byte  // what every message id is made from

	content []byte
	hash    [sha256.Size]byte
	own     []byte // the row's own messageId, as JSON
	scratch []byte
}

type field struct {
	name   string
	column int
}

// step writes one part of the traits: a name and either the value of a column,
// or the beginning of an object; or the end of one.
type step struct {
	column int // -1: begins an object; -2: ends it
	text   string
}

// NewMapper returns the mapper of a result with these columns, or what is wrong,
// with paths within the sync's config.
func NewMapper(m Mapping, columns []string) (*Mapper, []sdk.Problem) {
	p := &Mapper{Mapping: m, columns: columns, json: make([]bool, len(columns))}
	var problems []sdk.Problem
	bad := func(path, message, fix string) {
		problems = append(problems, sdk.Problem{Code: "columns", Path: path, Message: message, Fix: fix})
	}
	if len(columns) > MaxColumns {
		bad("/query", fmt.Sprintf("the result has %d columns, at most %d become a call", len(columns), MaxColumns), "select fewer")
		return nil, problems
	}
	find := func(path, name string) int {
		i := Find(columns, name)
		if i < 0 {
			bad(path, fmt.Sprintf("the result has no column %q; it has %s", name, strings.Join(columns, ", ")), "select it")
		}
		return i
	}
	for _, name := range m.Key {
		p.key = append(p.key, find("/key", name))
	}
	for _, name := range m.JSON {
		if i := find("/json", name); i >= 0 {
			p.json[i] = true
		}
	}
	for _, name := range fieldsOf(m.Call) {
		for i, c := range columns {
			if plain(c) != plain(name) {
				continue
			}
			if slices.ContainsFunc(p.fields, func(f field) bool { return f.name == name }) {
				bad("/query", fmt.Sprintf("column %q is %s, and so is another", c, name), "select one of them")
				continue
			}
			p.fields = append(p.fields, field{name, i})
		}
	}
	if m.Call == Identify && p.field("userId") < 0 && p.field("anonymousId") < 0 && Find(columns, "email") < 0 {
		bad("/query", "no column says whom the row is about", `name one, such as: select id as "userId"`)
	}
	if m.Call == Group && p.field("groupId") < 0 {
		bad("/query", "no column says which group the row is", `name one, such as: select id as "groupId"`)
	}
	if m.Call == Track && p.field("event") < 0 && m.Event == "" {
		bad("/event", "is missing, and the result has no column event", "write the event's name here")
	}
	switch m.Call {
	case Identify, Group:
		p.bodyKey = "traits"
	case Track, Page, Screen:
		p.bodyKey = "properties"
	}
	if err := p.nest(); err != nil {
		bad("/query", err.Error(), "give the columns other names")
	}
	p.prefix = fmt.Appendf(nil, "%d %s %d %s ", len(m.Source), m.Source, len(m.Sync), m.Sync)
	return p, problems
}

// fieldsOf are a call's fields that a column can be.
func fieldsOf(call string) []string {
	fields := []string{"userId", "anonymousId", "timestamp", "messageId"}
	switch call {
	case Track:
		return append(fields, "event")
	case Group:
		return append(fields, "groupId")
	case Alias:
		return append(fields, "previousId")
	case Page, Screen:
		return append(fields, "name")
	}
	return fields
}

// plain is a name without case and underscores.
func plain(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

// Find returns the place of the column of this name, as it is written or else in
// another case; -1: there is none.
func Find(columns []string, name string) int {
	if i := slices.Index(columns, name); i >= 0 {
		return i
	}
	return slices.IndexFunc(columns, func(c string) bool { return strings.EqualFold(c, name) })
}

func (m *Mapper) field(name string) int {
	for _, f := range m.fields {
		if f.name == name {
			return f.column
		}
	}
	return -1
}

// nest makes the steps of the traits: each object is written where its first
// column stands.
func (m *Mapper) nest() error {
	type node struct {
		name     string
		column   int // -1: an object
		children []*node
	}
	root := &node{column: -1}
	for i, c := range m.columns {
		if slices.ContainsFunc(m.fields, func(f field) bool { return f.column == i }) || m.bodyKey == "" {
			continue
		}
		path := strings.Split(c, ".")
		if slices.Contains(path, "") {
			path = []string{c}
		}
		at := root
		for depth, name := range path {
			leaf := depth == len(path)-1
			j := slices.IndexFunc(at.children, func(n *node) bool { return n.name == name })
			if j >= 0 && (leaf || at.children[j].column >= 0) {
				return fmt.Errorf("two columns are %q", strings.Join(path[:depth+1], "."))
			}
			if j < 0 {
				j = len(at.children)
				at.children = append(at.children, &node{name: name, column: -1})
			}
			at = at.children[j]
		}
		at.column = i
	}
	var walk func(n *node)
	walk = func(n *node) {
		for i, c := range n.children {
			text := string(append(AppendText(nil, []byte(c.name)), ':'))
			if i > 0 {
				text = "," + text
			}
			m.body = append(m.body, step{c.column, text})
			if c.column < 0 {
				walk(c)
				m.body = append(m.body, step{column: -2})
			}
		}
	}
	walk(root)
	return nil
}

// Read takes in a row: one value for each column. What can become no call is an
// error that names the column. The other methods are about the row read last.
func (m *Mapper) Read(values [][]byte) error {
	for _, k := range m.key {
		if values[k] == nil {
			return fmt.Errorf("key %s is null", m.columns[k])
		}
	}
	b := m.content[:0]
	b = append(append(append(b, `{"type":"`...), m.Call...), '"')
	m.own = m.own[:0]
	var err error
	for _, f := range m.fields {
		v := values[f.column]
		if v == nil {
			continue
		}
		if f.name == "messageId" {
			m.own, err = appendID(m.own, v)
		} else {
			b = append(append(append(b, `,"`...), f.name...), `":`...)
			if f.name == "timestamp" {
				b, err = appendTimestamp(b, v)
			} else {
				b, err = appendID(b, v)
			}
		}
		if err != nil {
			return fmt.Errorf("column %s: %w", m.columns[f.column], err)
		}
	}
	if at := m.field("event"); m.Call == Track && (at < 0 || values[at] == nil) {
		b = AppendText(append(b, `,"event":`...), []byte(m.Event))
	}
	if m.bodyKey != "" {
		b = append(append(append(b, `,"`...), m.bodyKey...), `":{`...)
		for _, s := range m.body {
			b = append(b, s.text...)
			switch {
			case s.column == -1:
				b = append(b, '{')
			case s.column == -2:
				b = append(b, '}')
			case values[s.column] == nil:
				b = append(b, "null"...)
			case m.json[s.column]:
				if b, err = appendHeld(b, values[s.column]); err != nil {
					return fmt.Errorf("column %s: %w", m.columns[s.column], err)
				}
			default:
				b = append(b, values[s.column]...)
			}
		}
		b = append(b, '}')
	}
	m.content = b
	m.scratch = m.appendKey(m.scratch[:0], values)
	m.scratch = append(append(m.scratch, 0), b...)
	m.hash = sha256.Sum256(m.scratch)
	return nil
}

// Len is the length of the row's event in bytes.
func (m *Mapper) Len() int { return len(m.content) + len(`,"messageId":""}`) + max(idLen, len(m.own)) }

// Hash tells rows with other keys or contents apart.
func (m *Mapper) Hash() [16]byte { return [16]byte(m.hash[:16]) }

// AppendEvent appends the row's event. Its message id is made from source, sync,
// key, content and salt: a row that is to be told again, unchanged, needs another
// salt.
func (m *Mapper) AppendEvent(dst []byte, salt string) []byte {
	dst = append(dst, m.content...)
	dst = append(dst, `,"messageId":`...)
	if len(m.own) > 0 {
		dst = append(dst, m.own...)
	} else {
		dst = m.appendMessageID(dst, salt, m.hash[:])
	}
	return append(dst, '}')
}

const idLen = 26 // of a message id: sql-, and 128 bits in base64

func (m *Mapper) appendMessageID(dst []byte, salt string, of []byte) []byte {
	m.scratch = append(append(m.scratch[:0], m.prefix...), salt...)
	m.scratch = append(append(m.scratch, 0), of...)
	sum := sha256.Sum256(m.scratch)
	dst = append(dst, `"sql-`...)
	dst = base64.RawURLEncoding.AppendEncode(dst, sum[:16])
	return append(dst, '"')
}

// appendKey writes the values of the key as a JSON array.
func (m *Mapper) appendKey(dst []byte, values [][]byte) []byte {
	dst = append(dst, '[')
	for i, k := range m.key {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, values[k]...)
	}
	return append(dst, ']')
}

// AppendKey writes what identifies a row: the values of its key, as a JSON array.
func (m *Mapper) AppendKey(dst []byte, values [][]byte) []byte { return m.appendKey(dst, values) }

// AppendIdentity writes what Deletion has to know of a row, as a JSON array.
func (m *Mapper) AppendIdentity(dst []byte, values [][]byte) []byte {
	dst = append(dst, '[')
	for i, c := range m.Identity() {
		if i > 0 {
			dst = append(dst, ',')
		}
		if v := values[c]; v != nil {
			dst = append(dst, v...)
		} else {
			dst = append(dst, "null"...)
		}
	}
	return append(dst, ']')
}

// OfIdentity returns the values of a row of which only the identity is known.
func (m *Mapper) OfIdentity(identity []byte) ([][]byte, error) {
	var have []json.RawMessage
	if err := json.Unmarshal(identity, &have); err != nil {
		return nil, err
	}
	columns := m.Identity()
	if len(have) != len(columns) {
		return nil, errors.New("the row was kept with other columns")
	}
	values := make([][]byte, len(m.columns))
	for i, c := range columns {
		if string(have[i]) != "null" {
			values[c] = have[i]
		}
	}
	return values, nil
}

// Identity returns the places of the columns that say which row it is and whom it
// is about: what Deletion has to know.
func (m *Mapper) Identity() []int {
	columns := slices.Clone(m.key)
	for _, name := range []string{"userId", "anonymousId", "groupId"} {
		if i := m.field(name); i >= 0 && !slices.Contains(columns, i) {
			columns = append(columns, i)
		}
	}
	return columns
}

// AppendDeletion appends the event of a row that is gone, as Customer.io has
// them: User Deleted, Object Deleted, Relationship Deleted, or Mapping.Deleted.
// What is not known any more may be nil in values. deletedAt, in RFC 3339, may be
// empty. It appends nothing where who belonged to what is not known.
func (m *Mapper) AppendDeletion(dst []byte, values [][]byte, deletedAt, salt string) []byte {
	user, anonymous, group := m.id(values, "userId"), m.id(values, "anonymousId"), m.id(values, "groupId")
	key := m.keyText(values)
	name, about := "Object Deleted", key
	switch m.Call {
	case Identify:
		name, about = "User Deleted", user
	case Group:
		about = group
		if m.field("userId") >= 0 {
			name = "Relationship Deleted"
			if user == nil || group == nil {
				return dst
			}
		}
	}
	if about == nil {
		about = key
	}
	if m.Deleted != "" {
		name = m.Deleted
	}
	b := AppendText(append(m.content[:0], `{"type":"track","event":`...), []byte(name))
	switch {
	case user != nil:
		b = append(append(b, `,"userId":`...), user...)
	case anonymous != nil:
		b = append(append(b, `,"anonymousId":`...), anonymous...)
	default:
		b = append(append(b, `,"anonymousId":`...), key...)
	}
	b = append(append(b, `,"properties":{"objectId":`...), about...)
	if deletedAt != "" {
		b = AppendText(append(b, `,"deletedAt":`...), []byte(deletedAt))
	}
	b = append(b, '}')
	m.content = b
	sum := sha256.Sum256(append(m.appendKey(nil, values), "\x00deleted"...))
	dst = append(append(dst, b...), `,"messageId":`...)
	return append(m.appendMessageID(dst, salt, sum[:]), '}')
}

// id is a field as a JSON string; nil: it is not known.
func (m *Mapper) id(values [][]byte, field string) []byte {
	i := m.field(field)
	if i < 0 || values[i] == nil {
		return nil
	}
	b, err := appendID(nil, values[i])
	if err != nil {
		return nil
	}
	return b
}

// keyText is the key as one JSON string.
func (m *Mapper) keyText(values [][]byte) []byte {
	b := []byte{'"'}
	for i, k := range m.key {
		if i > 0 {
			b = append(b, ':')
		}
		if v := values[k]; len(v) > 1 && v[0] == '"' {
			b = append(b, v[1:len(v)-1]...)
		} else {
			b = append(b, v...)
		}
	}
	return append(b, '"')
}
