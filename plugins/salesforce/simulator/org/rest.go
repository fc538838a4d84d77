package org

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// cursors are the results of queries that have more than a page.
type cursors struct {
	mu   sync.Mutex
	last uint64
	all  map[string]*cursor
	ids  []string // the oldest first
}

type cursor struct {
	*result
	size    int
	created time.Time
}

const (
	cursorLife = 48 * time.Hour
	// maxCursors bounds their memory, 4 bytes a row each; an org has no such
	// bound since version 56.
	maxCursors = 500
	minPage    = 200
)

// serveQuery answers query and queryAll, and the pages after the first.
func (o *Org) serveQuery(c *call, all bool, locator string) {
	if c.r.Method != http.MethodGet {
		fail(c, failure("METHOD_NOT_ALLOWED", "HTTP Method '"+c.r.Method+"' not allowed. Allowed are GET"))
		return
	}
	if locator != "" {
		o.servePage(c, locator)
		return
	}
	if o.failed(c, c.r, atQuery) {
		return
	}
	o.stats.queries.Add(1)
	o.mu.RLock()
	found, err := o.query(c.r.URL.Query().Get("q"), all)
	o.mu.RUnlock()
	if err != nil {
		fail(c, err)
		return
	}
	page := &cursor{found, o.pageSize(c.r), o.Now()}
	id := ""
	if len(found.rows) > page.size {
		id = o.cursors.add(page)
	}
	o.writePage(c, page, id, 0)
}

// pageSize is the most rows of a page, of which Sforce-Query-Options may ask for
// fewer.
func (o *Org) pageSize(r *http.Request) int {
	size := o.options.PageSize
	for option := range strings.SplitSeq(r.Header.Get("Sforce-Query-Options"), ",") {
		if v, ok := strings.CutPrefix(strings.TrimSpace(option), "batchSize="); ok {
			if n, err := strconv.Atoi(v); err == nil {
				size = min(size, max(n, minPage))
			}
		}
	}
	return size
}

func (cs *cursors) add(c *cursor) string {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.all == nil {
		cs.all = map[string]*cursor{}
	}
	cs.last++
	id := makeID("0r8", cs.last)
	cs.all[id] = c
	if cs.ids = append(cs.ids, id); len(cs.ids) > maxCursors {
		delete(cs.all, cs.ids[0])
		cs.ids = cs.ids[1:]
	}
	return id
}

func (cs *cursors) find(id string, now time.Time) *cursor {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c := cs.all[id]
	if c == nil || now.Sub(c.created) > cursorLife {
		return nil
	}
	return c
}

// servePage answers a locator: a cursor's id, a dash and the row to begin at.
func (o *Org) servePage(c *call, locator string) {
	if o.failed(c, c.r, atPage) {
		return
	}
	id, offset, _ := strings.Cut(locator, "-")
	from, err := strconv.Atoi(offset)
	page := o.cursors.find(id, o.Now())
	if page == nil || err != nil || from < 0 || from >= len(page.rows) {
		fail(c, failure("INVALID_QUERY_LOCATOR", "invalid query locator"))
		return
	}
	o.writePage(c, page, id, from)
}

// pages are buffers for the answers of queries.
var pages = sync.Pool{New: func() any { b := make([]byte, 0, 1<<20); return &b }}

func (o *Org) writePage(c *call, page *cursor, id string, from int) {
	buf, _ := pages.Get().(*[]byte)
	defer pages.Put(buf)
	b := (*buf)[:0]
	b = append(b, `{"totalSize":`...)
	b = strconv.AppendInt(b, int64(page.total), 10)
	to := min(from+page.size, len(page.rows))
	if done := to == len(page.rows); done {
		b = append(b, `,"done":true`...)
	} else {
		b = fmt.Appendf(b, `,"done":false,"nextRecordsUrl":"/services/data/v%s/query/%s-%d"`, c.version, id, to)
	}
	b = append(b, `,"records":[`...)
	if !page.count {
		b = append(b, page.aggregate...)
		b = o.appendRecords(b, page.result, c.version, from, to)
	}
	b = append(b, `]}`...)
	*buf = b
	o.stats.pages.Add(1)
	c.Header().Set("Content-Type", "application/json;charset=UTF-8")
	o.send(c, c.r, http.StatusOK, b)
}

// appendRecords writes rows as they are now.
func (o *Org) appendRecords(b []byte, found *result, version string, from, to int) []byte {
	o.mu.RLock()
	defer o.mu.RUnlock()
	w := writer{org: o, version: version}
	first := true
	for _, n := range found.rows[from:to] {
		r := &found.t.rows[n-1]
		if r.state == gone {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = w.record(b, found.shown, found.t, uint64(n), r)
	}
	o.stats.rows.Add(int64(to - from))
	return b
}

// serveObjects answers sobjects and what is below.
func (o *Org) serveObjects(c *call) {
	if len(c.path) == 1 {
		o.describeGlobal(c)
		return
	}
	o.mu.RLock()
	t, ok := o.tables[strings.ToLower(c.path[1])]
	ok = ok && !t.access.NoRead
	o.mu.RUnlock()
	if !ok {
		notFound(c)
		return
	}
	switch {
	case len(c.path) == 2 && c.r.Method == http.MethodPost:
		o.create(c, c.path[1])
	case len(c.path) == 2:
		o.mu.RLock()
		entry := t.global(c.version)
		o.mu.RUnlock()
		o.json(c, c.r, http.StatusOK, map[string]any{"objectDescribe": entry, "recentItems": []any{}})
	case c.path[2] == "describe" && len(c.path) == 3:
		o.describe(c, t)
	case c.path[2] == "deleted":
		o.replicated(c, func() (any, error) { return o.deleted(c, t) })
	case c.path[2] == "updated":
		o.replicated(c, func() (any, error) { return o.updated(c, t) })
	case len(c.path) == 3:
		o.serveRecord(c, t, c.path[2])
	default:
		notFound(c)
	}
}

// unchanged answers 304 where the client has seen what is from that time.
func (o *Org) unchanged(c *call, changed time.Time) bool {
	changed = changed.UTC().Truncate(time.Second)
	c.Header().Set("Last-Modified", changed.Format(http.TimeFormat))
	since, err := http.ParseTime(c.r.Header.Get("If-Modified-Since"))
	if err != nil || changed.After(since) {
		return false
	}
	c.WriteHeader(http.StatusNotModified)
	return true
}

func (o *Org) describeGlobal(c *call) {
	o.mu.RLock()
	var entries []map[string]any
	var changed time.Time
	for _, t := range o.tables {
		if !t.access.NoRead {
			entries = append(entries, t.global(c.version))
		}
		if t.changed.After(changed) {
			changed = t.changed
		}
	}
	o.mu.RUnlock()
	if o.unchanged(c, changed) {
		return
	}
	o.stats.describes.Add(1)
	slices.SortFunc(entries, func(a, b map[string]any) int { return strings.Compare(str(a["name"]), str(b["name"])) })
	o.json(c, c.r, http.StatusOK, map[string]any{"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": entries})
}

func (o *Org) describe(c *call, t *table) {
	o.mu.RLock()
	s := t.shape
	o.mu.RUnlock()
	if o.unchanged(c, s.changed) {
		return
	}
	o.stats.describes.Add(1)
	b, err := s.describe(c.version)
	if err != nil {
		fail(c, err)
		return
	}
	c.Header().Set("Content-Type", "application/json;charset=UTF-8")
	o.send(c, c.r, http.StatusOK, b)
}

func readFields(c *call) (map[string]any, error) {
	d := json.NewDecoder(c.r.Body)
	d.UseNumber()
	var fields map[string]any
	if err := d.Decode(&fields); err != nil {
		return nil, failure("JSON_PARSER_ERROR", "Unexpected character or end of input: "+err.Error())
	}
	delete(fields, "attributes")
	return fields, nil
}

func (o *Org) create(c *call, object string) {
	fields, err := readFields(c)
	if err != nil {
		fail(c, err)
		return
	}
	var id string
	err = o.do(c.user, func(tx *Tx) (err error) {
		tx.strict = true
		id, err = tx.insert(object, fields)
		return err
	})
	if err != nil {
		fail(c, err)
		return
	}
	o.json(c, c.r, http.StatusCreated, map[string]any{"id": id, "success": true, "errors": []any{}})
}

// serveRecord answers for one record.
func (o *Org) serveRecord(c *call, t *table, id string) {
	if full, ok := canonicalID(id); ok {
		id = full
	}
	var err error
	switch c.r.Method {
	case http.MethodGet:
		o.readRecord(c, t, id)
		return
	case http.MethodPatch:
		var fields map[string]any
		if fields, err = readFields(c); err == nil {
			err = o.do(c.user, func(tx *Tx) error {
				tx.strict = true
				return tx.update(t.name, id, fields)
			})
		}
	case http.MethodDelete:
		err = o.do(c.user, func(tx *Tx) error { return tx.remove(t.name, id, "DELETE") })
	default:
		err = failure("METHOD_NOT_ALLOWED", "HTTP Method '"+c.r.Method+"' not allowed. Allowed are HEAD,GET,PATCH,DELETE")
	}
	if err != nil {
		fail(c, err)
		return
	}
	c.WriteHeader(http.StatusNoContent)
}

func (o *Org) readRecord(c *call, t *table, id string) {
	list := "FIELDS(ALL)"
	if asked := c.r.URL.Query().Get("fields"); asked != "" {
		list = asked
	}
	if _, ok := canonicalID(id); !ok {
		id = "" // of no record
	}
	o.mu.RLock()
	found, err := o.query("SELECT "+list+" FROM "+t.name+" WHERE Id = '"+id+"' LIMIT 1", true)
	deleted := err == nil && len(found.rows) == 1 && found.t.rows[found.rows[0]-1].state != live
	o.mu.RUnlock()
	switch {
	case err != nil:
		fail(c, err)
	case deleted:
		fail(c, failure("ENTITY_IS_DELETED", "entity is deleted"))
	case len(found.rows) == 0:
		fail(c, failure("NOT_FOUND", "Provided external ID field does not exist or is not accessible: "+id))
	default:
		c.Header().Set("Content-Type", "application/json;charset=UTF-8")
		o.send(c, c.r, http.StatusOK, o.appendRecords(nil, found, c.version, 0, 1))
	}
}
