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

// topMember tells which member of interest an event's own member is.
func topMember(name []byte) memberID {
	switch string(name) {
	case "type":
		return memberType
	case "messageId":
		return memberMessageID
	case "userId":
		return memberUserID
	case "anonymousId":
		return memberAnonymousID
	case "groupId":
		return memberGroupID
	case "previousId":
		return memberPreviousID
	case "event":
		return memberEvent
	case "timestamp":
		return memberTimestamp
	case "originalTimestamp":
		return memberOriginalTimestamp
	case "sentAt":
		return memberSentAt
	case "receivedAt":
		return memberReceivedAt
	case "sourceId":
		return memberSourceID
	case "properties":
		return memberProperties
	case "traits":
		return memberTraits
	case "context":
		return memberContext
	}
	return none
}

// nestedMember is topMember for a member of the event's member top.
func nestedMember(top memberID, name []byte) memberID {
	switch {
	case top == memberTraits && string(name) == "email":
		return memberTraitsEmail
	case top == memberContext && string(name) == "violations":
		return memberContextViolations
	}
	return none
}

// given tells whether a member is there with a value other than null.
func (s *scanner) given(id memberID) bool { return s.members[id].Kind > null }

// filled tells whether a member is there, and neither null nor an empty string.
func (s *scanner) filled(id memberID) bool {
	m := s.members[id]
	return m.Kind > null && (m.Kind != text || m.End > m.Start)
}

// value gives a member's value as it stands in the text; of a string what is
// between its quotes, unescaped.
func (s *scanner) value(id memberID) []byte {
	m := s.members[id]
	value := s.raw[m.Start:m.End]
	if m.Escaped {
		return fast.AppendUnescaped(nil, value)
	}
	return value
}
