package payload

import (
	"bytes"
	"net/netip"
	"strconv"
)

// Origin says where a request came from.
type Origin struct {
	// IP is the client's address. The zero Addr: not known.
	IP netip.Addr
	// Client tells that browsers and mobile apps speak like this, so that the
	// address is a user's. A server's own address is not put into its events.
	Client bool
}

// Raw returns event i as it was sent, but for the write key.
func (b *Body) Raw(i int) []byte {
	e := &b.events[i]
	if !e.cut {
		return b.at(e.value)
	}
	return b.write(e, changes{})
}

// Event returns event i as the host is to judge it: without the write key,
// with the type of its path, with what its batch says for all events, and with
// the client's address where that is a user's. What the event says itself wins.
func (b *Body) Event(i int, from Origin) []byte {
	e := &b.events[i]
	if !e.object {
		return b.at(e.value)
	}
	c := b.changes(e, from)
	if !e.cut && c.what == 0 {
		return b.at(e.value)
	}
	return b.write(e, c)
}

// changes are what an event gets.
type changes struct {
	what         members
	context      gain
	integrations gain
}

func (b *Body) changes(e *event, from Origin) changes {
	var c changes
	context := b.own(e, memberContext)
	c.context = b.context.missing(context)
	c.integrations = b.integrations.missing(b.own(e, memberIntegrations))
	canHold := c.context.whole == nil && (context == nil || context[0] == '{')
	if canHold && from.IP.IsValid() && b.wantsIP(e, e.context.or(b.context.context), from) {
		c.context.plus(strconv.AppendQuote([]byte(`"ip":`), from.IP.String()))
	}
	if c.context.size > 0 {
		c.what |= memberContext
	}
	if c.integrations.size > 0 {
		c.what |= memberIntegrations
	}
	if b.sentAt != nil && b.own(e, memberSentAt) == nil {
		c.what |= memberSentAt
	}
	if b.typ != "" && str(b.own(e, memberType)) != b.typ {
		c.what |= memberType
	}
	c.what &^= e.twice
	return c
}

// own returns the event's value of a member; nil where it is null or absent.
func (b *Body) own(e *event, kind members) []byte {
	if e.has&kind == 0 {
		return nil
	}
	for _, p := range b.parts[e.first:e.last] {
		if p.kind == kind && !isNull(b.at(p.span)) {
			return b.at(p.span)
		}
	}
	return nil
}

// wantsIP reports whether the address that the event came from belongs to its
// user and is not given yet.
func (b *Body) wantsIP(e *event, seen contextSeen, from Origin) bool {
	if seen.ip || seen.direct {
		return !seen.ip
	}
	switch str(b.at(e.channel)) {
	case "browser", "mobile":
		return true
	case "server":
		return false
	default:
		return from.Client
	}
}

// write puts an event together. A member that changes keeps its place.
func (b *Body) write(e *event, c changes) []byte {
	size := b.span(e) + c.context.size + c.integrations.size + len(b.sentAt) + len(b.typ) + len(`,"integrations":,"context":,"sentAt":,"type":""`)
	out := append(make([]byte, 0, size), '{')
	for _, p := range b.parts[e.first:e.last] {
		out = comma(out)
		switch {
		case p.kind == run:
			out = append(out, b.at(p.span)...)
		case c.what&p.kind != 0:
			out = b.member(out, p.kind, b.at(p.span), c)
		default:
			out = append(out, p.kind.prefix()...)
			out = append(out, b.at(p.span)...)
		}
	}
	for _, kind := range []members{memberType, memberContext, memberIntegrations, memberSentAt} {
		if c.what&kind != 0 && e.has&kind == 0 {
			out = b.member(comma(out), kind, nil, c)
		}
	}
	return append(out, '}')
}

func (b *Body) span(e *event) int { return e.value.end - e.value.start }

// member appends a member that changes; own is the value that it had.
func (b *Body) member(out []byte, kind members, own []byte, c changes) []byte {
	out = append(out, kind.prefix()...)
	switch kind {
	case memberType:
		return strconv.AppendQuote(out, b.typ)
	case memberSentAt:
		return append(out, b.sentAt...)
	case memberContext:
		return c.context.appendTo(out, own)
	default:
		return c.integrations.appendTo(out, own)
	}
}

// prefix returns the member's name and colon.
func (m members) prefix() string {
	switch m {
	case memberType:
		return `"type":`
	case memberContext:
		return `"context":`
	case memberIntegrations:
		return `"integrations":`
	default:
		return `"sentAt":`
	}
}

func comma(out []byte) []byte {
	if out[len(out)-1] == '{' {
		return out
	}
	return append(out, ',')
}

// appendTo appends own, an object or nothing, with what it gains.
func (g *gain) appendTo(out, own []byte) []byte {
	if g.whole != nil {
		return append(out, g.whole...)
	}
	out = append(out, '{')
	if own != nil && own[0] == '{' {
		out = append(out, bytes.TrimSpace(own[1:len(own)-1])...)
	}
	for _, m := range g.add {
		out = append(comma(out), m...)
	}
	return append(out, '}')
}
