package org

import (
	"encoding/binary"
	"slices"
	"strconv"
	"time"
)

// table is an object's records. Record n is rows[n-1] for ever, so that Id order
// is the slice's and an id finds its row without a map.
type table struct {
	*shape
	access Access
	rows   []row
	// slots is how many stored values a row of any shape so far may have.
	slots     int
	deletions []deletion
	// purged is when the deletions were last forgotten.
	purged time.Time
}

// row is one record: 64 bytes and its values, which are never written to once
// they are there, so that a reader who copied the row needs no lock.
type row struct {
	// data is pack's.
	data []byte
	// The dates are seconds since 1970, as an org has no finer ones.
	created, modified, stamp int64
	createdBy, modifiedBy    uint32
	state                    state
	// locked is true while an open transaction has written to the row.
	locked bool
}

type state uint8

const (
	// pending is a row of a transaction that is not committed.
	pending state = iota
	live
	// binned is a row in the recycle bin, which only queryAll sees.
	binned
	gone
)

// binDays is how long the recycle bin keeps a row, and the log of deletions an
// id.
const binDays = 15 * 24 * time.Hour

type deletion struct {
	n  uint64
	at int64
}

// pack joins the values, by slot, of which nil is null: for each that is not,
// its slot, its length and its text.
func pack(values [][]byte) []byte {
	size := 0
	for _, v := range values {
		if v != nil {
			size += len(v) + 3
		}
	}
	out := make([]byte, 0, size)
	for slot, v := range values {
		if v != nil {
			out = binary.AppendUvarint(out, uint64(slot))
			out = binary.AppendUvarint(out, uint64(len(v)))
			out = append(out, v...)
		}
	}
	return slices.Clip(out)
}

// unpack sets values, which is as long as there are slots, to those in data.
func unpack(data []byte, values [][]byte) {
	clear(values)
	for len(data) > 0 {
		slot, n := binary.Uvarint(data)
		size, m := binary.Uvarint(data[n:])
		data = data[n+m:]
		values[slot] = data[:size:size]
		data = data[size:]
	}
}

// one is a single value in data, for conditions, which mostly need few.
func one(data []byte, want int) []byte {
	for len(data) > 0 {
		slot, n := binary.Uvarint(data)
		size, m := binary.Uvarint(data[n:])
		data = data[n+m:]
		if int(slot) == want {
			return data[:size]
		}
		data = data[size:]
	}
	return nil
}

func (t *table) id(n uint64) string { return makeID(t.prefix, n) }

// at is the row with this id, nil for an id of no row or another object.
func (t *table) at(id string) (uint64, *row) {
	n := number(id)
	if n == 0 || n > uint64(len(t.rows)) || id[:3] != t.prefix {
		return 0, nil
	}
	return n, &t.rows[n-1]
}

// sees reports whether a query finds the row: one of the recycle bin only where
// all is true, and only as long as the bin keeps it.
func (r *row) sees(all bool, now int64) bool {
	return r.state == live || all && r.state == binned && now-r.stamp < int64(binDays/time.Second)
}

// systemValue is a field of a row that is not stored: its JSON text.
func (t *table) systemValue(f *field, n uint64, r *row) []byte {
	switch f.system {
	case sysID:
		return quote(t.id(n))
	case sysIsDeleted:
		return strconv.AppendBool(nil, r.state != live)
	case sysCreatedDate:
		return quoteTime(r.created)
	case sysLastModifiedDate:
		return quoteTime(r.modified)
	case sysSystemModstamp:
		return quoteTime(r.stamp)
	case sysCreatedByID:
		return quote(makeID(userPrefix, uint64(r.createdBy)))
	case sysLastModifiedByID:
		return quote(makeID(userPrefix, uint64(r.modifiedBy)))
	}
	return nil
}

func quote(s string) []byte { return []byte(`"` + s + `"`) }

func quoteTime(at int64) []byte { return quote(time.Unix(at, 0).UTC().Format(restTime)) }

// value is any field of a row but a compound one; nil is null. A boolean is
// never null.
func (t *table) value(f *field, n uint64, r *row) []byte {
	if f.system != stored {
		return t.systemValue(f, n, r)
	}
	v := one(r.data, f.slot)
	if v == nil && f.typ == "boolean" {
		return []byte("false")
	}
	return v
}
