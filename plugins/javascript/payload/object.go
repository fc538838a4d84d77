package payload

import "slices"

// object is what a batch says once, for each of its events to get. It has
// members only where it is a JSON object.
type object struct {
	raw     []byte // nil: there is none
	members [][]byte
	index   map[string]int // of a member, by its name
	context contextSeen    // where it is a context
	present []bool         // which of the members the event in hand has itself
}

// contextSeen is what counts of a context for the client's address.
type contextSeen struct {
	ip         bool // it has a member ip
	direct     bool // the client, server or not, wants its address kept
	saysDirect bool // whether it does, is said
}

func (c *contextSeen) see(name, value []byte) {
	switch string(name) {
	case "ip":
		c.ip = true
	case "direct":
		c.direct, c.saysDirect = string(value) == "true", true
	}
}

func newObject(raw []byte) object {
	o := object{raw: raw, index: map[string]int{}}
	if raw[0] != '{' {
		return o
	}
	eachMember(raw, func(name []byte, member, value span) {
		o.index[string(name)] = len(o.members)
		o.members = append(o.members, raw[member.start:member.end])
		o.context.see(name, raw[value.start:value.end])
	})
	o.present = make([]bool, len(o.members))
	return o
}

// gain is what the object of an event gets.
type gain struct {
	whole []byte   // the value, where the event has none
	add   [][]byte // or the members that the event's own value lacks
	size  int      // bytes, at most; 0: nothing
}

func (g *gain) plus(member []byte) {
	g.add = append(g.add, member)
	g.size += len(member) + len(",")
}

// or returns what counts of a context that gets what it lacks from another.
func (c contextSeen) or(other contextSeen) contextSeen {
	c.ip = c.ip || other.ip
	if !c.saysDirect {
		c.direct = other.direct
	}
	return c
}

// missing returns what an event's own value, nil where it has none, lacks.
func (o *object) missing(own []byte) gain {
	switch {
	case own == nil && o.raw != nil && o.raw[0] != '{':
		return gain{whole: o.raw, size: len(o.raw)}
	case own == nil:
		return gain{add: slices.Clip(o.members), size: len(o.raw)}
	case own[0] != '{' || len(o.members) == 0:
		return gain{}
	}
	clear(o.present)
	eachMember(own, func(name []byte, _, _ span) {
		if i, ok := o.index[string(name)]; ok {
			o.present[i] = true
		}
	})
	var g gain
	for i, m := range o.members {
		if !o.present[i] {
			g.plus(m)
		}
	}
	return g
}
