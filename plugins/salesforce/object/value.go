package object

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// kind is how values of a field are written.
type kind uint8

const (
	kindText kind = iota // and every type that is not known
	kindBool
	kindInt
	kindNumber
	kindTime
	kindMulti
	kindBinary
	kindCompound
)

func kindOf(typ string) kind {
	switch typ {
	case "boolean":
		return kindBool
	case "int", "long":
		return kindInt
	case "double", "currency", "percent":
		return kindNumber
	case "datetime":
		return kindTime
	case "multipicklist":
		return kindMulti
	case "base64":
		return kindBinary
	case "address", "location":
		return kindCompound
	}
	return kindText
}

// Record is one row. Values stand in the order of a Mapper's columns, as text:
// of a JSON string its content, of anything else its JSON; empty means null,
// as Salesforce knows no empty text.
type Record struct {
	Values [][]byte
}

// Fill takes a record as REST answers it. Columns that it lacks become null.
func (r *Record) Fill(columns []string, rest json.RawMessage) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(rest, &members); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	if cap(r.Values) < len(columns) {
		r.Values = make([][]byte, len(columns))
	}
	r.Values = r.Values[:len(columns)]
	for i, name := range columns {
		r.Values[i] = text(members[name])
	}
	return nil
}

// text returns the content of a JSON value.
func text(raw json.RawMessage) []byte {
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return nil
	case raw[0] == '"':
		b, _ := jsontext.AppendUnquote(nil, raw) // invalid UTF-8 is replaced
		return b
	}
	return raw
}

// appendValue writes a value as JSON.
func appendValue(to []byte, k kind, v []byte) []byte {
	if len(v) == 0 {
		return append(to, "null"...)
	}
	switch k {
	case kindBool:
		if s := string(v); s == "true" || s == "false" {
			return append(to, v...)
		}
	case kindInt, kindNumber:
		if out, ok := appendDecimal(to, v); ok {
			return out
		}
	case kindTime:
		if out, ok := appendTime(to, v); ok {
			return out
		}
	case kindMulti:
		to = append(to, '[')
		for i, item := range bytes.Split(v, []byte{';'}) {
			if i > 0 {
				to = append(to, ',')
			}
			to = appendText(to, item)
		}
		return append(to, ']')
	}
	return appendText(to, v)
}

// appendText writes a JSON string. NUL bytes, which some records hold and few
// databases take, are left out; invalid UTF-8 is replaced.
func appendText(to, v []byte) []byte {
	if bytes.IndexByte(v, 0) >= 0 {
		v = bytes.ReplaceAll(v, []byte{0}, nil)
	}
	to, _ = jsontext.AppendQuote(to, v)
	return to
}

// appendTime writes REST's 2024-09-24T03:26:07.000+0000 and Bulk's
// 2024-09-24T03:26:07.000Z alike, as RFC 3339.
func appendTime(to, v []byte) ([]byte, bool) {
	v = bytes.TrimSuffix(bytes.TrimSuffix(v, []byte("+0000")), []byte("Z"))
	if len(v) < len("2024-09-24T03:26:07") || v[4] != '-' || v[10] != 'T' || bytes.ContainsAny(v[11:], "+-\"\\") {
		return to, false
	}
	to = append(to, '"')
	to = append(to, v...)
	if len(v) == len("2024-09-24T03:26:07") {
		to = append(to, ".000"...)
	}
	return append(to, `Z"`...), true
}

// appendDecimal writes a number without exponent and without zeros that say
// nothing, as REST and Bulk differ in both (1.0E7, 10000000.0, 10000000). No
// digit is lost. It refuses what is no number, or has more than 400 digits to
// add.
func appendDecimal(to, v []byte) ([]byte, bool) {
	if isPlainInt(v) {
		return append(to, v...), true
	}
	negative := false
	if v[0] == '-' || v[0] == '+' {
		negative, v = v[0] == '-', v[1:]
	}
	exponent := 0
	if i := bytes.IndexAny(v, "eE"); i >= 0 {
		n, err := strconv.Atoi(string(v[i+1:]))
		if err != nil || n > 400 || n < -400 {
			return to, false
		}
		exponent, v = n, v[:i]
	}
	whole, fraction, _ := bytes.Cut(v, []byte{'.'})
	if len(whole)+len(fraction) == 0 || !digits(whole) || !digits(fraction) {
		return to, false
	}
	all := append(append(make([]byte, 0, len(whole)+len(fraction)), whole...), fraction...)
	point := len(whole) + exponent // digits before the point
	for len(all) > 0 && all[0] == '0' {
		all, point = all[1:], point-1
	}
	all = bytes.TrimRight(all, "0")
	if len(all) == 0 {
		return append(to, '0'), true
	}
	if negative {
		to = append(to, '-')
	}
	if point <= 0 {
		to = append(to, '0', '.')
		for range -point {
			to = append(to, '0')
		}
		return append(to, all...), true
	}
	if point >= len(all) {
		to = append(to, all...)
		for range point - len(all) {
			to = append(to, '0')
		}
		return to, true
	}
	to = append(to, all[:point]...)
	to = append(to, '.')
	return append(to, all[point:]...), true
}

// isPlainInt reports whether v is a JSON integer already.
func isPlainInt(v []byte) bool {
	d := v
	if d[0] == '-' {
		d = d[1:]
	}
	return len(d) > 0 && digits(d) && (d[0] != '0' || len(v) == 1)
}

func digits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
