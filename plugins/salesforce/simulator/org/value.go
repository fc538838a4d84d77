package org

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	// restTime is the form of datetimes in REST answers; that of Bulk CSV ends
	// in Z.
	restTime = "2006-01-02T15:04:05.000+0000"
	bulkTime = "2006-01-02T15:04:05.000Z"
	dateForm = "2006-01-02"
	timeForm = "15:04:05.000Z"
)

// encode makes a value's stored form: the JSON text that a REST answer shows,
// nil for null. Text that is empty is null, as in an org.
func encode(f *field, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		if v == "" {
			return nil, nil
		}
	case time.Time:
		return encodeTime(f, v)
	}
	switch f.typ {
	case "boolean":
		return encodeBool(f, v)
	case "int", "long":
		return encodeInt(f, v)
	case "double", "currency", "percent":
		return encodeDouble(f, v)
	}
	s, ok := v.(string)
	if !ok {
		if f.typ != "anyType" {
			return nil, wrongType(f, v)
		}
		return json.Marshal(v)
	}
	switch f.typ {
	case "datetime", "date", "time":
		return parseTime(f, s)
	case "id", "reference":
		id, ok := canonicalID(s)
		if !ok {
			return nil, failure("MALFORMED_ID", fmt.Sprintf("%s: id value of incorrect type: %s", f.meta["label"], s), f.name)
		}
		s = id
	}
	if limit, _ := asInt(f.meta["length"]); limit > 0 && utf8.RuneCountInString(s) > limit {
		return nil, failure("STRING_TOO_LONG", fmt.Sprintf("%s: data value too large: %.40s (max length=%d)", f.meta["label"], s, limit), f.name)
	}
	return jsontext.AppendQuote(nil, s)
}

func wrongType(f *field, v any) error {
	return failure("JSON_PARSER_ERROR", fmt.Sprintf("Cannot deserialize instance of %s from %v value %.40v", f.typ, fmt.Sprintf("%T", v), v), f.name)
}

func encodeBool(f *field, v any) ([]byte, error) {
	switch fmt.Sprint(v) {
	case "true":
		return []byte("true"), nil
	case "false":
		return []byte("false"), nil
	}
	return nil, wrongType(f, v)
}

func encodeInt(f *field, v any) ([]byte, error) {
	s := numberText(v)
	if _, err := strconv.ParseInt(s, 10, 64); err != nil {
		return nil, wrongType(f, v)
	}
	return []byte(s), nil
}

// encodeDouble keeps each digit that it is given; a whole number gets the .0
// with which Salesforce writes it.
func encodeDouble(f *field, v any) ([]byte, error) {
	s := numberText(v)
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return nil, wrongType(f, v)
	}
	if !strings.ContainsAny(s, ".eE") {
		s += ".0"
	}
	return []byte(s), nil
}

func numberText(v any) string {
	switch v := v.(type) {
	case json.Number:
		return v.String()
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	default:
		return fmt.Sprint(v)
	}
}

func encodeTime(f *field, t time.Time) ([]byte, error) {
	switch f.typ {
	case "datetime":
		return []byte(`"` + t.UTC().Format(restTime) + `"`), nil
	case "date":
		return []byte(`"` + t.UTC().Format(dateForm) + `"`), nil
	case "time":
		return []byte(`"` + t.UTC().Format(timeForm) + `"`), nil
	}
	return nil, wrongType(f, t)
}

var timeForms = map[string][]string{
	"datetime": {"2006-01-02T15:04:05.999999999Z07:00", "2006-01-02T15:04:05.999999999Z0700"},
	"date":     {dateForm},
	"time":     {"15:04:05.999Z", "15:04:05.999"},
}

func parseTime(f *field, s string) ([]byte, error) {
	for _, form := range timeForms[f.typ] {
		if t, err := time.Parse(form, s); err == nil {
			return encodeTime(f, t)
		}
	}
	return nil, wrongType(f, s)
}

// decode is a stored value as Get gives it out.
func decode(raw []byte) any {
	if raw == nil {
		return nil
	}
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil
	}
	return v
}

// text is a stored value's content without quotes: what CSV and conditions
// read. It allocates only where the text has escapes.
func text(raw []byte) []byte {
	if len(raw) < 2 || raw[0] != '"' {
		return raw
	}
	inner := raw[1 : len(raw)-1]
	for _, c := range inner {
		if c == '\\' {
			out, err := jsontext.AppendUnquote(nil, raw)
			if err != nil {
				return inner
			}
			return out
		}
	}
	return inner
}

func asInt(v any) (int, bool) {
	switch v := v.(type) {
	case float64:
		return int(v), true
	case int:
		return v, true
	}
	return 0, false
}
