package gate

import "github.com/wellhead-io/wellhead/host/internal/schema/fast"

// kind and member are those of package fast, which finds members as the scanner
// does.
type (
	kind   = fast.Kind
	member = fast.Value
)

const (
	absent  = fast.Absent
	null    = fast.Null
	boolean = fast.Boolean
	number  = fast.Number
	text    = fast.String
	object  = fast.Object
	array   = fast.Array
)

// memberID is a member of an event that the gate reads or writes itself.
type memberID uint8

const (
	none memberID = iota
	memberType
	memberMessageID
	memberUserID
	memberAnonymousID
	memberGroupID
	memberPreviousID
	memberEvent
	memberTimestamp
	memberOriginalTimestamp
	memberSentAt
	memberReceivedAt
	memberSourceID
	memberProperties
	memberTraits
	memberTraitsEmail
	memberContext
	memberContextViolations
	memberCount
)

// places are where members are in an event: the names that lead to each.
var places = [memberCount][]string{
	memberType:              {"type"},
	memberMessageID:         {"messageId"},
	memberUserID:            {"userId"},
	memberAnonymousID:       {"anonymousId"},
	memberGroupID:           {"groupId"},
	memberPreviousID:        {"previousId"},
	memberEvent:             {"event"},
	memberTimestamp:         {"timestamp"},
	memberOriginalTimestamp: {"originalTimestamp"},
	memberSentAt:            {"sentAt"},
	memberReceivedAt:        {"receivedAt"},
	memberSourceID:          {"sourceId"},
	memberProperties:        {"properties"},
	memberTraits:            {"traits"},
	memberTraitsEmail:       {"traits", "email"},
	memberContext:           {"context"},
	memberContextViolations: {"context", "violations"},
}

// topMembers are the event's own members by name, nestedMembers those of a
// member.
var topMembers, nestedMembers = func() (map[string]memberID, map[memberID]map[string]memberID) {
	top, nested := make(map[string]memberID), make(map[memberID]map[string]memberID)
	for id, path := range places {
		switch len(path) {
		case 1:
			top[path[0]] = memberID(id)
		case 2:
			nested[top[path[0]]] = map[string]memberID{path[1]: memberID(id)}
		}
	}
	return top, nested
}()

// found is what was found in a claim that is JSON, by whatever read it.
type found struct {
	raw        []byte
	begin, end int  // of the value, without the space around it
	lines      bool // a line break between tokens was seen
	members    [memberCount]member
}

// given tells whether a member is there with a value other than null.
func (f *found) given(id memberID) bool { return f.members[id].Kind > null }

// filled tells whether a member is there, and neither null nor an empty string.
func (f *found) filled(id memberID) bool {
	m := f.members[id]
	return m.Kind > null && (m.Kind != text || m.End > m.Start)
}

// value gives a member's value as it stands in the text; of a string what is
// between its quotes, unescaped.
func (f *found) value(id memberID) []byte {
	m := f.members[id]
	value := f.raw[m.Start:m.End]
	if m.Escaped {
		return fast.AppendUnescaped(nil, value)
	}
	return value
}
