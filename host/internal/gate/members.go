package gate

// kind is what a JSON value is. The zero kind is a value that is not there.
type kind uint8

const (
	absent kind = iota
	null
	boolean
	number
	text
	object
	array
)

func (k kind) String() string {
	return [...]string{"nothing", "null", "a boolean", "a number", "a string", "an object", "an array"}[k]
}

// member is where a value of interest is: raw[start:end]. Of a string that is
// without its quotes.
type member struct {
	start, end int
	kind       kind
	escaped    bool // a string that has escapes
}

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
func (s *scanner) given(id memberID) bool { return s.members[id].kind > null }

// filled tells whether a member is there, and neither null nor an empty string.
func (s *scanner) filled(id memberID) bool {
	m := s.members[id]
	return m.kind > null && (m.kind != text || m.end > m.start)
}

// value gives a member's value as it stands in the text; of a string what is
// between its quotes, unescaped.
func (s *scanner) value(id memberID) []byte {
	m := s.members[id]
	value := s.raw[m.start:m.end]
	if m.escaped {
		return appendUnescaped(nil, value)
	}
	return value
}
