package object

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wellhead-io/wellhead/plugins/salesforce/client"
	"github.com/wellhead-io/wellhead/sdk"
)

// The calls that a record can become.
const (
	Identify = "identify"
	Group    = "group"
	Track    = "track"
)

// Mapping says what a sync makes of a record.
type Mapping struct {
	Org, Sync string
	Call      string   // Identify, Group or Track
	Event     string   // the name of a track call
	UserID    string   // the field whose value is the userId; empty: the Id of an identify, none otherwise
	GroupID   string   // the field whose value is the groupId; empty: Id
	Fields    []string // of the traits or properties; empty: all that the object tells by default
	Deleted   string   // the event of a deleted record; empty: Customer.io's own for the call
}

// Mapper makes events of an object's records. It is not safe for concurrent use.
type Mapper struct {
	Mapping
	object  *Object
	columns []string
	outputs []output
	context []byte // between the members and the timestamp, up to the record's id

	id, clock, deleted, master  int // columns; -1: the object has none
	user, group                 int
	converted, contact, account int

	content, scratch []byte
}

// output is one member of the traits or properties.
type output struct {
	name   []byte // with quotes and colon
	kind   kind
	column int
	parts  []output // of a compound field
}

// Note is what there is to know of an event beside its record.
type Note struct {
	// Salt makes the messageId another one, for a state that comes back.
	Salt string
	// Master is the userId of the record that a merged one went into, where
	// NeedsMaster asks for it.
	Master string
}

// Print tells apart what records become.
type Print uint64

// NewMapper looks whether the object has what the mapping names. The paths of
// the problems are relative to the sync.
func NewMapper(o *Object, m Mapping) (*Mapper, []sdk.Problem) {
	p := &Mapper{Mapping: m, object: o}
	var problems []sdk.Problem
	need := func(name, path string) int {
		f := o.Field(name)
		switch {
		case f == nil:
			problems = append(problems, unknownField(o, name, path))
			return -1
		case kindOf(f.Type) == kindCompound || kindOf(f.Type) == kindBinary:
			problems = append(problems, sdk.Problem{Code: "unsuitable_field", Path: path,
				Message: fmt.Sprintf("%s.%s is of type %s, which cannot be an id", o.Name, name, f.Type), Fix: "name a text, number or reference field"})
			return -1
		}
		return p.column(name)
	}
	if !o.Queryable {
		problems = append(problems, sdk.Problem{Code: "not_queryable", Path: "/object",
			Message: o.Name + " cannot be queried", Fix: "choose another object; wellhead discover lists those that can"})
	}
	p.id = need("Id", "/object")
	p.clock, p.deleted, p.master = p.optional(o.Clock()), p.optional("IsDeleted"), p.optional("MasterRecordId")
	p.user, p.group = -1, -1
	p.converted, p.contact, p.account = -1, -1, -1
	switch {
	case m.UserID != "":
		p.user = need(m.UserID, "/user_id")
	case m.Call == Identify:
		p.user = p.id
	}
	switch {
	case m.GroupID != "":
		p.group = need(m.GroupID, "/group_id")
	case m.Call == Group:
		p.group = p.id
	}
	if o.Name == "Lead" && m.Call == Identify && o.Field("ConvertedContactId") != nil {
		p.converted = p.optional("IsConverted")
		p.contact = p.optional("ConvertedContactId")
		p.account = p.optional("ConvertedAccountId")
	}
	problems = append(problems, p.choose()...)
	if len(problems) > 0 {
		return nil, problems
	}
	p.context = appendText([]byte(`,"context":{"salesforce":{"org":`), []byte(m.Org))
	p.context = appendText(append(p.context, `,"sync":`...), []byte(m.Sync))
	p.context = appendText(append(p.context, `,"object":`...), []byte(o.Name))
	p.context = append(p.context, `,"id":`...)
	return p, nil
}

// choose makes the outputs.
func (m *Mapper) choose() []sdk.Problem {
	var problems []sdk.Problem
	names := m.Fields
	if len(names) == 0 && !m.membership() {
		for i := range m.object.Fields {
			if m.object.byDefault(&m.object.Fields[i]) {
				names = append(names, m.object.Fields[i].Name)
			}
		}
	}
	for i, name := range names {
		f := m.object.Field(name)
		if f == nil {
			problems = append(problems, unknownField(m.object, name, fmt.Sprintf("/fields/%d", i)))
			continue
		}
		switch k := kindOf(f.Type); k {
		case kindBinary:
			problems = append(problems, sdk.Problem{Code: "unsuitable_field", Path: fmt.Sprintf("/fields/%d", i),
				Message: fmt.Sprintf("%s.%s holds binary data, which is not read", m.object.Name, name), Fix: "leave it out"})
		case kindCompound:
			out := output{name: member(name), kind: k}
			for _, c := range m.object.components(f) {
				out.parts = append(out.parts, output{name: member(c.member), kind: kindOf(c.field.Type), column: m.column(c.field.Name)})
			}
			m.outputs = append(m.outputs, out)
		default:
			m.outputs = append(m.outputs, output{name: member(name), kind: k, column: m.column(name)})
		}
	}
	return problems
}

func unknownField(o *Object, name, path string) sdk.Problem {
	p := sdk.Problem{Code: string(client.UnknownField), Path: path, Message: fmt.Sprintf("%s has no field %q, or the connected user may not see it", o.Name, name)}
	p.Fix = "see Setup > Object Manager > " + o.Label + " > Fields & Relationships for its API name, and Set Field-Level Security there"
	if near := Nearest(name, o.names()); near != "" {
		p.Fix = fmt.Sprintf("did you mean %s? Otherwise %s", near, p.Fix)
	}
	return p
}

func member(name string) []byte { return append(appendText(nil, []byte(name)), ':') }

// column returns where a field stands among the columns.
func (m *Mapper) column(name string) int {
	if i := slices.Index(m.columns, name); i >= 0 {
		return i
	}
	m.columns = append(m.columns, name)
	return len(m.columns) - 1
}

func (m *Mapper) optional(name string) int {
	if m.object.Field(name) == nil {
		return -1
	}
	return m.column(name)
}

// membership reports whether the call says who belongs to a group rather than
// what a group is.
func (m *Mapper) membership() bool { return m.Call == Group && m.UserID != "" }

// Columns returns the fields to select, in the order of a Record's values.
func (m *Mapper) Columns() []string { return m.columns }

// Object returns the object whose records the mapper knows.
func (m *Mapper) Object() *Object { return m.object }

// ID returns a record's Id.
func (m *Mapper) ID(r *Record) string { return string(r.Values[m.id]) }

// Time returns when a record changed last; zero where the object does not tell.
func (m *Mapper) Time(r *Record) time.Time {
	if m.clock < 0 {
		return time.Time{}
	}
	t, err := client.ParseTime(string(r.Values[m.clock]))
	if err != nil {
		return time.Time{}
	}
	return t
}

// Deleted reports whether a record lies in the recycle bin or was merged.
func (m *Mapper) Deleted(r *Record) bool {
	return m.deleted >= 0 && string(r.Values[m.deleted]) == "true"
}

// NeedsMaster returns the Id of the record that this one was merged into, where
// its userId has to be asked for; else "".
func (m *Mapper) NeedsMaster(r *Record) string {
	if m.Call != Identify || m.user == m.id || m.master < 0 || !m.Deleted(r) {
		return ""
	}
	return string(r.Values[m.master])
}

// User returns the userId of a record, "" where it has none.
func (m *Mapper) User(r *Record) string {
	if m.user < 0 {
		return ""
	}
	return string(r.Values[m.user])
}

// Needs reports whether a record becomes another call when some of its fields
// changed, of which those that did not are given. It does where it is not known.
func (m *Mapper) Needs(unchanged map[string]bool) bool {
	for i, name := range m.columns {
		own := i == m.clock || i == m.deleted || i == m.master
		if i == m.id || own && !m.tells(i) {
			continue
		}
		if f := m.object.Field(name); !unchanged[name] && (f.Compound == "" || !unchanged[f.Compound]) {
			return true
		}
	}
	return false
}

// tells reports whether a column is among the traits or properties.
func (m *Mapper) tells(column int) bool {
	return slices.ContainsFunc(m.outputs, func(o output) bool { return o.kind != kindCompound && o.column == column })
}

// Digest is the same for two mappers that make the same of a record.
func (m *Mapper) Digest() string {
	h := sha256.New()
	for _, o := range m.outputs {
		fmt.Fprintf(h, "%s%d %v\n", o.name, o.kind, o.parts)
	}
	fmt.Fprint(h, m.columns)
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// Calculated reports whether formulas are among what a record becomes: they
// change without the record being changed.
func (m *Mapper) Calculated() bool {
	return slices.ContainsFunc(m.columns, func(c string) bool { return m.object.Field(c).Calculated })
}

// Append appends the events that a record becomes.
func (m *Mapper) Append(to []sdk.Event, r *Record, n Note) ([]sdk.Event, Print) {
	a := appender{m: m, r: r, note: n, to: to}
	if m.clock >= 0 {
		m.scratch = appendValue(m.scratch[:0], kindTime, r.Values[m.clock])
		a.stamp = string(m.scratch)
	}
	switch {
	case m.Deleted(r):
		a.deletion(a.stamp)
	default:
		a.live()
	}
	return a.to, a.print
}

// AppendDeletion appends the events of a record of which only the Id is left.
func (m *Mapper) AppendDeletion(to []sdk.Event, id string, at time.Time, n Note) ([]sdk.Event, Print) {
	r := &Record{Values: make([][]byte, len(m.columns))}
	r.Values[m.id] = []byte(id)
	a := appender{m: m, r: r, note: n, to: to}
	if !at.IsZero() {
		a.stamp = `"` + at.UTC().Format("2006-01-02T15:04:05.000Z") + `"`
	}
	a.deletion(a.stamp)
	return a.to, a.print
}

// appender makes the events of one record.
type appender struct {
	m     *Mapper
	r     *Record
	note  Note
	stamp string // as JSON; empty: the object has no clock
	to    []sdk.Event
	print Print
}

func (a *appender) value(column int) []byte {
	if column < 0 {
		return nil
	}
	return a.r.Values[column]
}

func (a *appender) live() {
	m := a.m
	if m.Call == Group && len(a.value(m.group)) == 0 {
		return // belongs to none
	}
	a.begin(m.Call)
	if m.Call == Track {
		a.text("event", []byte(m.Event))
	}
	a.who()
	if m.Call == Group || m.group >= 0 {
		a.text("groupId", a.value(m.group))
	}
	if len(m.outputs) > 0 {
		a.members(map[bool]string{true: "properties", false: "traits"}[m.Call == Track])
	}
	a.end(false)
	a.conversion()
}

// conversion tells which contact a converted lead has become, and of which
// account. Leads that go by another id than their own keep it.
func (a *appender) conversion() {
	m := a.m
	if m.converted < 0 || string(a.value(m.converted)) != "true" || len(a.value(m.contact)) == 0 {
		return
	}
	user := a.value(m.user)
	if m.user == m.id {
		user = a.value(m.contact)
		a.begin("alias")
		a.text("previousId", a.value(m.id))
		a.text("userId", user)
		a.end(false)
	}
	if len(a.value(m.account)) > 0 && len(user) > 0 {
		a.begin(Group)
		a.text("userId", user)
		a.text("groupId", a.value(m.account))
		a.end(false)
	}
}

// deletion tells that a record is no more. Names and members are those of
// Customer.io's semantic events.
func (a *appender) deletion(at string) {
	m := a.m
	master := a.value(m.master)
	if m.Call == Identify && len(master) > 0 {
		winner := []byte(a.note.Master)
		if m.user == m.id {
			winner = master
		}
		if loser := a.value(m.user); len(winner) > 0 && len(loser) > 0 && !bytes.Equal(winner, loser) {
			a.begin("alias")
			a.text("previousId", loser)
			a.text("userId", winner)
			a.end(false)
			return
		}
	}
	name, about := "User Deleted", a.value(m.user)
	switch {
	case m.membership():
		name, about = "Relationship Deleted", a.value(m.group)
		if len(about) == 0 || len(a.value(m.user)) == 0 {
			return // who belonged to what is not known any more
		}
	case m.Call == Group:
		name, about = "Object Deleted", a.value(m.group)
	case m.Call == Track:
		name, about = "Object Deleted", a.value(m.id)
	}
	if len(about) == 0 {
		about = a.value(m.id)
	}
	if m.Mapping.Deleted != "" {
		name = m.Mapping.Deleted
	}
	a.begin(Track)
	a.text("event", []byte(name))
	a.who()
	m.content = append(m.content, `,"properties":{"objectId":`...)
	m.content = appendText(m.content, about)
	if len(master) > 0 {
		m.content = append(m.content, `,"mergedInto":`...)
		m.content = appendText(m.content, master)
	}
	if at != "" {
		m.content = append(m.content, `,"deletedAt":`...)
		m.content = append(m.content, at...)
	}
	m.content = append(m.content, '}')
	a.end(true)
}

// who says whom the event is about: the record itself, anonymously, where the
// user is not known.
func (a *appender) who() {
	if user := a.value(a.m.user); len(user) > 0 {
		a.text("userId", user)
		return
	}
	a.text("anonymousId", a.value(a.m.id))
}

func (a *appender) begin(call string) {
	a.m.content = append(a.m.content[:0], `,"type":"`...)
	a.m.content = append(a.m.content, call...)
	a.m.content = append(a.m.content, '"')
}

func (a *appender) text(name string, v []byte) {
	m := a.m
	m.content = append(append(append(m.content, ',', '"'), name...), '"', ':')
	m.content = appendText(m.content, v)
}

func (a *appender) members(name string) {
	m := a.m
	m.content = append(append(append(m.content, ',', '"'), name...), `":{`...)
	for i := range m.outputs {
		o := &m.outputs[i]
		if i > 0 {
			m.content = append(m.content, ',')
		}
		m.content = append(m.content, o.name...)
		if o.kind == kindCompound {
			a.compound(o)
			continue
		}
		m.content = appendValue(m.content, o.kind, a.value(o.column))
	}
	m.content = append(m.content, '}')
}

// compound writes an address as REST would: null where all its parts are.
func (a *appender) compound(o *output) {
	m := a.m
	if !slices.ContainsFunc(o.parts, func(p output) bool { return len(a.value(p.column)) > 0 }) {
		m.content = append(m.content, "null"...)
		return
	}
	m.content = append(m.content, '{')
	for i := range o.parts {
		p := &o.parts[i]
		if i > 0 {
			m.content = append(m.content, ',')
		}
		m.content = append(m.content, p.name...)
		m.content = appendValue(m.content, p.kind, a.value(p.column))
	}
	m.content = append(m.content, '}')
}

// end gives the event its messageId: of a deletion by its time, of anything
// else by its content, so that it is the same however it was read.
func (a *appender) end(deletion bool) {
	m := a.m
	m.content = append(m.content, m.context...)
	m.content = appendText(m.content, a.value(m.id))
	m.content = append(m.content, "}}"...)
	if a.stamp != "" && a.stamp != "null" {
		m.content = append(append(m.content, `,"timestamp":`...), a.stamp...)
	}
	m.content = append(m.content, '}')

	m.scratch = m.scratch[:0]
	for _, s := range []string{m.Org, m.Sync, string(a.value(m.id)), a.stamp, a.note.Salt} {
		m.scratch = append(append(m.scratch, s...), 0)
	}
	if deletion {
		m.scratch = append(m.scratch, "deleted"...)
	} else {
		m.scratch = append(m.scratch, m.content...)
	}
	sum := sha256.Sum256(m.scratch)
	a.print ^= Print(binary.LittleEndian.Uint64(sum[16:]))

	e := make(sdk.Event, 0, len(m.content)+52)
	e = append(e, `{"messageId":"sf-`...)
	e = hex.AppendEncode(e, sum[:16])
	e = append(e, '"')
	a.to = append(a.to, append(e, m.content...))
}

// Select returns the SOQL of some columns, without a condition.
func (m *Mapper) Select(columns []string) string {
	return "SELECT " + strings.Join(columns, ", ") + " FROM " + m.object.Name
}
