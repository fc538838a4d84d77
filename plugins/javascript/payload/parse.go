package payload

import (
	"errors"
	"fmt"
)

// parser reads a body once, from its start to its end.
type parser struct {
	reader
	body   *Body
	max    int  // events
	newRun bool // the next member does not continue the last part
}

func newParser(raw []byte, max int) *parser {
	return &parser{reader: reader{raw: raw}, body: &Body{raw: raw}, max: max}
}

func (p *parser) parse(read func() error) (*Body, error) {
	err := read()
	if err == nil && !p.atEnd() {
		err = errSyntax
	}
	if errors.Is(err, errSyntax) {
		err = p.explain()
	}
	if err != nil {
		return nil, err
	}
	return p.body, nil
}

// atEnd tells whether nothing but white space is left.
func (p *parser) atEnd() bool {
	p.peek()
	return p.pos == len(p.raw)
}

// explain says why the body is not JSON.
func (p *parser) explain() error {
	if p.pos = 0; p.atEnd() {
		return &Error{CodeNotJSON, "the body is empty: send a JSON object"}
	}
	at, err := syntaxError(p.raw)
	return &Error{CodeNotJSON, fmt.Sprintf("the body is not JSON: %v (at byte %d)", err, at)}
}

// batch reads the body of a batch.
func (p *parser) batch() error {
	if c := p.peek(); c != '{' {
		if p.pos < len(p.raw) && begins(c) {
			return notBatch()
		}
		return errSyntax
	}
	if err := p.enter(); err != nil {
		return err
	}
	seen := map[string]bool{}
	for first := true; ; first = false {
		name, ok, err := p.member(first)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if err := p.batchMember(p.name(name), seen); err != nil {
			return err
		}
	}
	if !seen["batch"] {
		return notBatch()
	}
	return nil
}

func notBatch() error {
	return &Error{CodeNotBatch, `the body of a batch is an object whose member "batch" is an array of events`}
}

// batchMember reads the value of a batch's member.
func (p *parser) batchMember(name []byte, seen map[string]bool) error {
	key := string(name)
	switch key {
	case "batch", "context", "integrations", "sentAt":
		if seen[key] {
			return &Error{CodeDuplicateKey, fmt.Sprintf("the batch names %q twice", key)}
		}
		seen[key] = true
	}
	if key == "batch" {
		return p.events()
	}
	s, err := p.value()
	v := p.at(s)
	switch {
	case err != nil:
		return err
	case key == "writeKey":
		p.body.topKey = str(v)
	case isNull(v):
	case key == "context":
		p.body.context = newObject(v)
	case key == "integrations":
		p.body.integrations = newObject(v)
	case key == "sentAt":
		p.body.sentAt = v
	}
	return nil
}

func (p *parser) events() error {
	if p.peek() != '[' {
		if _, err := p.value(); err != nil {
			return err
		}
		return notBatch()
	}
	if err := p.enter(); err != nil {
		return err
	}
	for first := true; ; first = false {
		if ok, err := p.more(first, ']'); !ok {
			return err
		}
		if len(p.body.events) == p.max {
			return &Error{CodeTooManyEvents, fmt.Sprintf("the batch has more than %d events: send it in parts", p.max)}
		}
		if err := p.event(); err != nil {
			return err
		}
	}
}

// event reads the next value as an event.
func (p *parser) event() error {
	e := event{first: len(p.body.parts), object: p.peek() == '{'}
	var err error
	if e.object {
		err = p.members(&e)
	} else {
		e.value, err = p.value()
	}
	e.last = len(p.body.parts)
	p.body.events = append(p.body.events, e)
	return err
}

// members reads the members of an event.
func (p *parser) members(e *event) error {
	p.newRun = true
	e.value.start = p.pos
	if err := p.enter(); err != nil {
		return err
	}
	for first := true; ; first = false {
		name, ok, err := p.member(first)
		if err != nil {
			return err
		}
		if !ok {
			e.value.end = p.pos
			return nil
		}
		if err := p.eventMember(e, name); err != nil {
			return err
		}
	}
}

// eventMember reads the value of an event's member.
func (p *parser) eventMember(e *event, name span) error {
	var kind members
	var cut, channel bool
	switch string(p.name(name)) {
	case "writeKey":
		cut = true
	case "context":
		kind = memberContext
	case "integrations":
		kind = memberIntegrations
	case "sentAt":
		kind = memberSentAt
	case "type":
		if p.body.typ != "" {
			kind = memberType
		}
	case "channel":
		channel = true
	}
	v, err := p.eventValue(e, kind)
	switch {
	case err != nil:
		return err
	case cut:
		e.cut = true
		p.newRun = true
		p.sawKey(str(p.at(v)))
	case kind != run:
		e.twice |= e.has & kind
		e.has |= kind
		p.body.parts = append(p.body.parts, part{kind, v})
		p.newRun = true
	case p.newRun:
		p.body.parts = append(p.body.parts, part{run, span{name.start, v.end}})
		p.newRun = false
	default:
		p.body.parts[len(p.body.parts)-1].end = v.end
	}
	if channel {
		e.channel = v
	}
	return nil
}

// eventValue reads the value of a member, and of a context what counts in it.
func (p *parser) eventValue(e *event, kind members) (span, error) {
	if kind != memberContext || p.peek() != '{' {
		return p.value()
	}
	start := p.pos
	if err := p.enter(); err != nil {
		return span{}, err
	}
	for first := true; ; first = false {
		name, ok, err := p.member(first)
		if !ok {
			return span{start, p.pos}, err
		}
		v, err := p.value()
		if err != nil {
			return span{}, err
		}
		e.context.see(p.name(name), p.at(v))
	}
}

func (p *parser) sawKey(key string) {
	switch {
	case key == "":
	case p.body.itemKey == "":
		p.body.itemKey = key
	case p.body.itemKey != key:
		p.body.mixed = true
	}
}
