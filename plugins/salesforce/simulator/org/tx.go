package org

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Tx is a transaction that is open for a while: its writes get the time at
// which they are made, and are seen at Commit only, so that rows appear with a
// SystemModstamp below one that was seen before. As long as it is open,
// latestDateCovered stays at its start, and others cannot write to its rows.
type Tx struct {
	org     *Org
	started time.Time
	user    uint32
	key     string
	writes  []write
	// joined makes one change event of equal updates, strict refuses fields that
	// the describe calls read-only, as an API client meets it.
	joined, strict bool
	done           bool
}

// write is one write of a row that has yet to be committed.
type write struct {
	t      *table
	n      uint64
	kind   string
	values map[*field][]byte
	at     int64
}

// Begin opens a transaction of the admin user.
func (o *Org) Begin() *Tx {
	o.mu.Lock()
	defer o.mu.Unlock()
	tx := o.begin(adminNumber)
	o.open[tx] = struct{}{}
	return tx
}

func (o *Org) begin(user uint32) *Tx {
	return &Tx{org: o, started: o.Now(), user: user, key: o.nextKey()}
}

func (o *Org) nextKey() string {
	o.transactions++
	return fmt.Sprintf("%08x-0000-4000-8000-%012x", o.transactions, o.transactions)
}

// do runs one short transaction.
func (o *Org) do(user uint32, f func(*Tx) error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	tx := o.begin(user)
	err := f(tx)
	if err == nil {
		err = tx.commit()
	}
	if err != nil {
		tx.rollback()
	}
	return err
}

// Insert adds a row and says its id, under which it is found after Commit.
func (tx *Tx) Insert(object string, fields map[string]any) (string, error) {
	tx.org.mu.Lock()
	defer tx.org.mu.Unlock()
	return tx.insert(object, fields)
}

// Update changes a row at Commit.
func (tx *Tx) Update(object, id string, fields map[string]any) error {
	tx.org.mu.Lock()
	defer tx.org.mu.Unlock()
	return tx.update(object, id, fields)
}

// Delete moves a row into the recycle bin at Commit.
func (tx *Tx) Delete(object, id string) error {
	tx.org.mu.Lock()
	defer tx.org.mu.Unlock()
	return tx.remove(object, id, "DELETE")
}

// Commit makes the writes visible, all at once.
func (tx *Tx) Commit() error {
	tx.org.mu.Lock()
	defer tx.org.mu.Unlock()
	if tx.done {
		return failure("UNKNOWN_EXCEPTION", "the transaction is over")
	}
	if err := tx.commit(); err != nil {
		return err
	}
	delete(tx.org.open, tx)
	return nil
}

// Rollback forgets the writes. After Commit it does nothing.
func (tx *Tx) Rollback() {
	tx.org.mu.Lock()
	defer tx.org.mu.Unlock()
	tx.rollback()
	delete(tx.org.open, tx)
}

func (tx *Tx) rollback() {
	if tx.done {
		return
	}
	tx.done = true
	for _, w := range tx.writes {
		r := &w.t.rows[w.n-1]
		r.locked = false
		if w.kind == "CREATE" {
			*r = row{state: gone}
		}
	}
}

func (tx *Tx) insert(object string, fields map[string]any) (string, error) {
	t, err := tx.org.table(object)
	if err != nil {
		return "", err
	}
	values, err := tx.encode(t, fields, "createable")
	if err != nil {
		return "", err
	}
	if err := t.complete(values); err != nil {
		return "", err
	}
	at := tx.org.Now().Unix()
	t.rows = append(t.rows, row{locked: true, created: at, createdBy: tx.user})
	n := uint64(len(t.rows))
	tx.writes = append(tx.writes, write{t, n, "CREATE", values, at})
	return t.id(n), nil
}

// complete sets what an insert leaves to the org, and reports required fields
// that are missing.
func (t *table) complete(values map[*field][]byte) error {
	var missing []string
	for _, f := range t.fields {
		if f.system != stored || values[f] != nil {
			continue
		}
		if f.name == "OwnerId" {
			values[f] = quote(makeID(userPrefix, adminNumber))
			continue
		}
		nillable, _ := f.meta["nillable"].(bool)
		createable, _ := f.meta["createable"].(bool)
		defaulted, _ := f.meta["defaultedOnCreate"].(bool)
		if !nillable && createable && !defaulted {
			missing = append(missing, f.name)
		}
	}
	if missing != nil {
		return failure("REQUIRED_FIELD_MISSING", "Required fields are missing: ["+strings.Join(missing, ", ")+"]", missing...)
	}
	return nil
}

// lock finds a row for a write and keeps others from it.
func (tx *Tx) lock(object, id string, states ...state) (*table, uint64, error) {
	t, err := tx.org.table(object)
	if err != nil {
		return nil, 0, err
	}
	n, r := t.at(id)
	if r == nil || r.state == gone || r.state == pending && !tx.owns(t, n) {
		return nil, 0, failure("NOT_FOUND", "Provided external ID field does not exist or is not accessible: "+id)
	}
	if r.locked && !tx.owns(t, n) {
		return nil, 0, failure("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record or 1 records: "+id)
	}
	if !r.locked && !slices.Contains(states, r.state) {
		if r.state == binned {
			return nil, 0, failure("ENTITY_IS_DELETED", "entity is deleted")
		}
		return nil, 0, failure("UNDELETE_FAILED", "Entity is not in the recycle bin")
	}
	r.locked = true
	return t, n, nil
}

func (tx *Tx) owns(t *table, n uint64) bool {
	return slices.ContainsFunc(tx.writes, func(w write) bool { return w.t == t && w.n == n })
}

func (tx *Tx) update(object, id string, fields map[string]any) error {
	t, err := tx.org.table(object)
	if err != nil {
		return err
	}
	values, err := tx.encode(t, fields, "updateable")
	if err != nil {
		return err
	}
	return tx.set(object, id, values)
}

// set is an update whose values are encoded.
func (tx *Tx) set(object, id string, values map[*field][]byte) error {
	t, n, err := tx.lock(object, id, live)
	if err == nil {
		tx.writes = append(tx.writes, write{t, n, "UPDATE", values, tx.org.Now().Unix()})
	}
	return err
}

// remove is DELETE, UNDELETE or PURGE, which empties a row out of the bin.
func (tx *Tx) remove(object, id, kind string) error {
	from := map[string][]state{"DELETE": {live}, "UNDELETE": {binned}, "PURGE": {live, binned}}[kind]
	t, n, err := tx.lock(object, id, from...)
	if err == nil {
		tx.writes = append(tx.writes, write{t, n, kind, nil, tx.org.Now().Unix()})
	}
	return err
}

// commit keeps the writes and makes them visible.
func (tx *Tx) commit() error {
	at := tx.org.Now()
	if err := tx.org.keep(tx.kept(at)); err != nil {
		return err
	}
	tx.apply(at)
	return nil
}

func (tx *Tx) apply(at time.Time) {
	tx.done = true
	commit := at.Truncate(time.Millisecond)
	var changes []Change
	for _, w := range tx.writes {
		c, ok := tx.show(w)
		if !ok {
			continue
		}
		if last := len(changes) - 1; tx.joined && last >= 0 && sameUpdate(&changes[last], &c) {
			changes[last].IDs = append(changes[last].IDs, c.IDs...)
			continue
		}
		c.Commit, c.Tx, c.sequence = commit, tx.key, len(changes)+1
		changes = append(changes, c)
	}
	tx.org.record(changes)
}

// sameUpdate is asked of updates to the same values: one event tells of both
// where they changed the same fields.
func sameUpdate(a, b *Change) bool {
	return a.Type == "UPDATE" && b.Type == "UPDATE" && a.Object == b.Object && slices.Equal(a.Fields, b.Fields) && slices.Equal(a.Nulled, b.Nulled)
}

// show makes one write visible; ok is false of what Change Data Capture does
// not tell, the emptying of the bin.
func (tx *Tx) show(w write) (c Change, ok bool) {
	r := &w.t.rows[w.n-1]
	r.locked = false
	c = Change{Object: w.t.name, Type: w.kind, IDs: []string{w.t.id(w.n)}, shape: w.t.shape}
	wasLive := r.state == live
	switch w.kind {
	case "CREATE", "UPDATE":
		r.state = live
		w.t.merge(r, w.values, &c)
	case "UNDELETE":
		r.state = live
		c.values = make([][]byte, w.t.slots)
		unpack(r.data, c.values)
		w.t.name2fields(&c)
	case "DELETE", "PURGE":
		r.state = binned
		if w.kind == "PURGE" {
			c.Type, r.state = "DELETE", gone
		}
		if wasLive {
			w.t.deleted(w.n, w.at)
		}
	}
	r.modified, r.modifiedBy, r.stamp = w.at, tx.user, w.at
	c.row = *r
	c.row.data = nil
	if w.kind == "PURGE" {
		r.data = nil
		return c, wasLive
	}
	return c, true
}

// merge lays new values over a row's, and notes in c which differ.
func (t *table) merge(r *row, values map[*field][]byte, c *Change) {
	all := make([][]byte, t.slots)
	unpack(r.data, all)
	c.values = make([][]byte, t.slots)
	for _, f := range t.fields {
		v, set := values[f]
		if !set || bytes.Equal(all[f.slot], v) && (all[f.slot] == nil) == (v == nil) {
			continue
		}
		all[f.slot], c.values[f.slot] = v, v
		if v == nil {
			c.Nulled = append(c.Nulled, f.name)
		} else {
			c.Fields = append(c.Fields, f.name)
		}
	}
	if name := t.fullName(all); name != nil && !bytes.Equal(name, all[t.byName["name"].slot]) {
		slot := t.byName["name"].slot
		all[slot], c.values[slot] = name, name
	}
	r.data = pack(all)
}

// fullName is the Name of an object whose records are people, which is made of
// the first name and the last; nil for other objects.
func (t *table) fullName(values [][]byte) []byte {
	first, last := t.byName["firstname"], t.byName["lastname"]
	if name := t.byName["name"]; first == nil || last == nil || name == nil {
		return nil
	}
	full := strings.TrimSpace(string(text(values[first.slot])) + " " + string(text(values[last.slot])))
	if full == "" {
		return nil
	}
	quoted, err := jsontext.AppendQuote(nil, full)
	if err != nil {
		return nil
	}
	return quoted
}

// encode turns a record as clients write it into stored values, refusing what
// may not be set. may is createable or updateable.
func (tx *Tx) encode(t *table, fields map[string]any, may string) (map[*field][]byte, error) {
	out := make(map[*field][]byte, len(fields))
	for name, v := range fields {
		f, ok := t.find(name)
		if !ok {
			return nil, failure("INVALID_FIELD", fmt.Sprintf("No such column '%s' on sobject of type %s", name, t.name))
		}
		allowed, _ := f.meta[may].(bool)
		if f.system != stored || f.calculated || tx.strict && !allowed {
			return nil, failure("INVALID_FIELD_FOR_INSERT_UPDATE", fmt.Sprintf("Unable to create/update fields: %s. Please check the security settings of this field "+
				"and verify that it is read/write for your profile or permission set.", f.name), f.name)
		}
		raw, err := encode(f, v)
		if err != nil {
			return nil, err
		}
		out[f] = raw
	}
	return out, nil
}

func (t *table) name2fields(c *Change) {
	for _, f := range t.fields {
		if f.system == stored && c.values[f.slot] != nil {
			c.Fields = append(c.Fields, f.name)
		}
	}
}

// deleted notes a deletion and forgets those that the log no longer tells.
func (t *table) deleted(n uint64, at int64) {
	oldest := at - int64(binDays/time.Second)
	drop := 0
	for drop < len(t.deletions) && t.deletions[drop].at < oldest {
		drop++
	}
	t.deletions = append(t.deletions[drop:], deletion{n, at})
}
