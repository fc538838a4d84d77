package org

import "bytes"

// node says how a row is written: its fields, and its parents' below it.
type node struct {
	t      *table
	fields []shown
}

// shown is one member of a written row: a field, or a parent.
type shown struct {
	key    []byte // "Name":
	f      *field
	parent *node
}

func newNode(t *table, columns []column) *node {
	root := &node{t: t}
	for _, c := range columns {
		at := root
		for _, ref := range c.steps {
			at = at.child(ref, c.t)
		}
		at.fields = append(at.fields, shown{key: memberKey(c.f.name), f: c.f})
	}
	return root
}

func memberKey(name string) []byte { return []byte(`"` + name + `":`) }

func (nd *node) child(ref *field, t *table) *node {
	for _, s := range nd.fields {
		if s.parent != nil && s.f == ref {
			return s.parent
		}
	}
	next := &node{t: t}
	nd.fields = append(nd.fields, shown{key: memberKey(ref.relation), f: ref, parent: next})
	return next
}

// writer appends rows as JSON or CSV. It is one goroutine's, under the read
// lock.
type writer struct {
	org *Org
	// version is in the URL of each record: 67.0.
	version string
	values  [][]byte
}

// record appends a row as a REST answer shows it.
func (w *writer) record(b []byte, nd *node, t *table, n uint64, r *row) []byte {
	b = append(b, `{"attributes":{"type":"`...)
	b = append(b, t.name...)
	b = append(b, `","url":"/services/data/v`...)
	b = append(b, w.version...)
	b = append(b, `/sobjects/`...)
	b = append(b, t.name...)
	b = append(b, '/')
	b = t.appendID(b, n)
	b = append(b, `"}`...)
	w.load(t, r)
	for _, s := range nd.fields {
		if t != nd.t { // another of a polymorphic reference's objects
			if f, ok := t.find(s.f.name); ok && s.parent == nil {
				s.f = f
			} else {
				continue
			}
		}
		b = append(b, ',')
		b = append(b, s.key...)
		if s.parent == nil {
			b = w.field(b, t, s.f, n, r)
			continue
		}
		b = w.parentRecord(b, s, t, n, r)
		w.load(t, r)
	}
	return append(b, '}')
}

func (w *writer) parentRecord(b []byte, s shown, t *table, n uint64, r *row) []byte {
	next, m, row, ok := w.org.parent(t, s.f, n, r)
	if !ok {
		return append(b, "null"...)
	}
	return w.record(b, s.parent, next, m, row)
}

// load makes a row's stored values ready for field.
func (w *writer) load(t *table, r *row) {
	if len(w.values) < t.slots {
		w.values = make([][]byte, t.slots)
	}
	unpack(r.data, w.values)
}

func (w *writer) field(b []byte, t *table, f *field, n uint64, r *row) []byte {
	switch {
	case f.system == compound:
		return t.compound(b, f, n, r)
	case f.system == sysID:
		b = append(b, '"')
		b = t.appendID(b, n)
		return append(b, '"')
	case f.system != stored:
		return append(b, t.systemValue(f, n, r)...)
	}
	if f.slot >= len(w.values) {
		return append(b, "null"...)
	}
	v := w.values[f.slot]
	if v == nil && f.typ == "boolean" {
		return append(b, "false"...)
	}
	if v == nil {
		return append(b, "null"...)
	}
	return append(b, v...)
}

func (t *table) appendID(b []byte, n uint64) []byte {
	var id [18]byte
	return append(b, fillID(id[:0], t.prefix, n)...)
}

// compound appends an address as an object, null where all of it is.
func (t *table) compound(b []byte, f *field, n uint64, r *row) []byte {
	start, any := len(b), false
	for i, p := range f.parts {
		if i == 0 {
			b = append(b, '{')
		} else {
			b = append(b, ',')
		}
		b = append(b, memberKey(p.key)...)
		v := t.value(p.from, n, r)
		if v == nil {
			b = append(b, "null"...)
			continue
		}
		any = true
		b = append(b, v...)
	}
	if !any {
		return append(b[:start], "null"...)
	}
	return append(b, '}')
}

// csv appends a row as Bulk results show it: each value in quotes, null empty,
// datetimes with Z.
func (w *writer) csv(b []byte, columns []column, t *table, n uint64, r *row, delimiter byte) []byte {
	w.load(t, r)
	for i := range columns {
		if i > 0 {
			b = append(b, delimiter)
		}
		c := &columns[i]
		b = append(b, '"')
		switch {
		case len(c.steps) > 0:
			b = appendCSV(b, c.f, c.get(w.org, t, n, r))
		case c.f.system == sysID:
			b = t.appendID(b, n)
		case c.f.system != stored || c.f.typ == "boolean":
			b = appendCSV(b, c.f, t.value(c.f, n, r))
		default:
			b = appendCSV(b, c.f, w.values[c.f.slot])
		}
		b = append(b, '"')
	}
	return b
}

func appendCSV(b []byte, f *field, raw []byte) []byte {
	v := text(raw)
	if f.typ == "datetime" {
		v = bytes.TrimSuffix(v, []byte("+0000"))
		if len(v) > 0 {
			b = append(b, v...)
			b = append(b, 'Z')
		}
		return b
	}
	for {
		i := bytes.IndexByte(v, '"')
		if i < 0 {
			return append(b, v...)
		}
		b = append(b, v[:i+1]...)
		b = append(b, '"')
		v = v[i+1:]
	}
}
