package payload

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// parser reads a body once, from its start to its end.
type parser struct {
	*reader
	body   *Body
	max    int  // events
	newRun bool // the next member does not continue the last part
}

func newParser(raw []byte, max int) *parser {
	r := newReader(raw)
	return &parser{reader: r, body: &Body{raw: raw, reader: r}, max: max}
}

func (p *parser) parse(read func() error) (*Body, error) {
	err := read()
	if err == nil {
		err = p.end()
	}
	if err != nil {
		return nil, p.explain(err)
	}
	return p.body, nil
}

func (p *parser) end() error {
	_, err := p.dec.ReadToken()
	if err == nil {
		return errors.New("there is more after its end")
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (p *parser) explain(err error) error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	if len(bytes.TrimSpace(p.body.raw)) == 0 {
		return &Error{CodeNotJSON, "the body is empty: send a JSON object"}
	}
	at := p.dec.InputOffset()
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		at, err = syntax.ByteOffset, syntax.Err
	}
	return &Error{CodeNotJSON, fmt.Sprintf("the body is not JSON: %v (at byte %d)", err, at)}
}

// batch reads the body of a batch.
func (p *parser) batch() error {
	if k := p.dec.PeekKind(); k != '{' && k != jsontext.KindInvalid {
		return notBatch()
	}
	seen := map[string]bool{}
	_, err := p.object(func(name span) error {
		switch key := string(p.name(name)); key {
		case "batch", "context", "integrations", "sentAt":
			if seen[key] {
				return &Error{CodeDuplicateKey, fmt.Sprintf("the batch names %q twice", key)}
			}
			seen[key] = true
			return p.batchMember(key)
		case "writeKey":
			v, err := p.value()
			p.body.topKey = str(p.at(v))
			return err
		default:
			return p.dec.SkipValue()
		}
	})
	if err == nil && !seen["batch"] {
		return notBatch()
	}
	return err
}

func notBatch() error {
	return &Error{CodeNotBatch, `the body of a batch is an object whose member "batch" is an array of events`}
}

func (p *parser) batchMember(key string) error {
	if key == "batch" {
		return p.events()
	}
	s, err := p.value()
	v := p.at(s)
	if err != nil || isNull(v) {
		return err
	}
	switch key {
	case "context":
		p.body.context = newObject(v)
	case "integrations":
		p.body.integrations = newObject(v)
	case "sentAt":
		p.body.sentAt = v
	}
	return nil
}

func (p *parser) events() error {
	if p.dec.PeekKind() != '[' {
		if err := p.dec.SkipValue(); err != nil {
			return err
		}
		return notBatch()
	}
	_, err := p.dec.ReadToken()
	for err == nil && p.dec.PeekKind() != ']' {
		if len(p.body.events) == p.max {
			return &Error{CodeTooManyEvents, fmt.Sprintf("the batch has more than %d events: send it in parts", p.max)}
		}
		err = p.event()
	}
	if err == nil {
		_, err = p.dec.ReadToken()
	}
	return err
}

// event reads the next value as an event.
func (p *parser) event() error {
	first := len(p.body.parts)
	e := event{first: first, object: p.dec.PeekKind() == '{'}
	var err error
	if e.object {
		p.newRun = true
		e.value, err = p.object(func(name span) error { return p.member(&e, name) })
	} else {
		e.value, err = p.value()
	}
	e.last = len(p.body.parts)
	p.body.events = append(p.body.events, e)
	return err
}

// member reads the value of an event's member.
func (p *parser) member(e *event, name span) error {
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
	v, err := p.value()
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

func (p *parser) sawKey(key string) {
	switch {
	case key == "":
	case p.body.itemKey == "":
		p.body.itemKey = key
	case p.body.itemKey != key:
		p.body.mixed = true
	}
}
