package translate

import (
	"strings"
	"unicode/utf8"
)

// Customer.io's limits. Lengths are in bytes of what a string says.
const (
	maxID             = 150
	maxAttributes     = 300 // in one call
	maxAttributeName  = 150
	maxAttributeValue = 1000
	maxEventName      = 100
	maxPageName       = 500 // characters, for pages and screens: often a URL
	maxEventData      = 100_000
	maxSegmentIDs     = 1000
)

// limiter holds attributes to Customer.io's limits, one after another.
type limiter struct {
	field string
	count int
}

func (l *limiter) check(m member) *Error {
	if l.count++; l.count > maxAttributes {
		return &Error{ReasonTooMany, l.field, "cannot identify more than 300 attributes in one request"}
	}
	if len(m.name) > maxAttributeName {
		return tooLong(l.field, "attribute name cannot be longer than 150 bytes")
	}
	if len(m.value) <= maxAttributeValue || m.named("cio_subscription_preferences") {
		return nil // preferences have a member for each topic of the workspace
	}
	if !m.value.is('"') || m.value.longer(maxAttributeValue) {
		return tooLong(l.field, "value for attribute '%s' cannot be longer than 1000 bytes", m.name)
	}
	return nil
}

// checkAttributes holds all of an object's members to the limits.
func checkAttributes(field string, attributes value) *Error {
	if attributes.none() {
		return nil
	}
	if !attributes.is('{') {
		return invalid(field, "%s must be a hash", field)
	}
	limit := limiter{field: field}
	for m := range attributes.members() {
		if err := limit.check(m); err != nil {
			return err
		}
	}
	return nil
}

func oneOf(m member, names []string) bool {
	for _, name := range names {
		if m.named(name) {
			return true
		}
	}
	return false
}

// identifier returns a value that names somebody or something as a JSON
// string. Numbers are taken as their text.
func identifier(field string, v value) (value, *Error) {
	name := field + " attribute"
	switch {
	case v.none():
		return nil, &Error{ReasonRequired, field, name + " must be present"}
	case v.is('0'):
		v = quoted(v)
	case !v.is('"'):
		return nil, invalid(field, "%s must be a string value", name)
	}
	if len(v) == len(`""`) {
		return nil, invalid(field, "%s cannot be an empty string", name)
	}
	if v.longer(maxID) {
		return nil, tooLong(field, "%s cannot be longer than 150 bytes", name)
	}
	return v, nil
}

// pathIdentifier is identifier for a part of the path.
func pathIdentifier(field, text string) (value, *Error) {
	if !utf8.ValidString(text) {
		return nil, invalid(field, "%s attribute must be UTF-8", field)
	}
	return identifier(field, quote(text))
}

func quoted(number value) value {
	out := make([]byte, 0, len(number)+2)
	return append(append(append(out, '"'), number...), '"')
}

// eventName returns the name of an event as a JSON string, trimmed.
func eventName(v value, page bool) (value, *Error) {
	switch {
	case v.none():
		return nil, &Error{ReasonRequired, "name", "event name must not be blank"}
	case v.is('0'):
		return quoted(v), nil
	case !v.is('"'):
		return nil, invalid("name", "event name must be a string")
	}
	text := v.text()
	trimmed := strings.TrimSpace(text)
	switch {
	case trimmed == "":
		return nil, &Error{ReasonRequired, "name", "event name must not be blank"}
	case page && utf8.RuneCountInString(trimmed) >= maxPageName:
		return nil, tooLong("name", "event name must be less than 500 characters")
	case !page && len(trimmed) > maxEventName:
		return nil, tooLong("name", "event name cannot be longer than 100 bytes")
	case trimmed != text:
		return quote(trimmed), nil
	}
	return v, nil
}

// checkData holds the data of an event to Customer.io's limits.
func checkData(field string, data value) *Error {
	switch {
	case data.none():
		return nil
	case !data.is('{'):
		return invalid(field, "event data must be a hash")
	case len(data) > maxEventData:
		return tooLong(field, "event data cannot be longer than 100000 bytes")
	}
	return nil
}
