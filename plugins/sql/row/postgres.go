package row

import (
	"encoding/base64"
	"encoding/hex"
)

// Postgres is a type of PostgreSQL, by which values in its text form become JSON.
// The session has to have DateStyle ISO, TimeZone UTC, IntervalStyle iso_8601 and
// bytea_output hex; a logical replication connection takes them as any other does.
//
//	bool                        true, false
//	int2, int4, int8, oid       number
//	numeric, float4, float8     number, every digit kept; NaN, Infinity and -Infinity as strings
//	json, jsonb                 as it is
//	bytea                       string in base64
//	timestamptz                 "2026-11-24T18:02:03.123456Z", in UTC; infinity and -infinity as strings
//	timestamp                   "2026-11-24T18:02:03.123456", without a zone
//	date, time, timetz          "2026-11-24", "18:02:03.123456", "18:02:03.123456+02"
//	interval                    ISO 8601, "P1DT2H"
//	arrays of these             arrays, nested where they have dimensions
//	text, uuid, enums, others   string as PostgreSQL writes it
type Postgres struct {
	write func(dst, text []byte) []byte
	array bool
	comma byte
}

// The types by their number, from pg_type.dat of PostgreSQL, where they are fixed.
var postgresTypes = map[uint32]struct {
	write func(dst, text []byte) []byte
	array uint32
}{
	16:   {appendPostgresBool, 1000},
	17:   {appendBytea, 1001},
	18:   {AppendText, 1002}, // "char"
	19:   {AppendText, 1003}, // name
	20:   {AppendNumber, 1016},
	21:   {AppendNumber, 1005},
	23:   {AppendNumber, 1007},
	25:   {AppendText, 1009},
	26:   {AppendNumber, 1028},
	114:  {AppendJSON, 199},
	700:  {AppendNumber, 1021},
	701:  {AppendNumber, 1022},
	869:  {AppendText, 1041}, // inet
	1042: {AppendText, 1014}, // bpchar
	1043: {AppendText, 1015}, // varchar
	1082: {AppendText, 1182}, // date
	1083: {AppendText, 1183}, // time
	1114: {appendPostgresTime, 1115},
	1184: {appendPostgresInstant, 1185},
	1186: {AppendText, 1187}, // interval
	1266: {AppendText, 1270}, // timetz
	1700: {AppendNumber, 1231},
	2950: {AppendText, 2951}, // uuid
	3802: {AppendJSON, 3807},
}

var postgresArrays = func() map[uint32]Postgres {
	all := map[uint32]Postgres{}
	for _, t := range postgresTypes {
		all[t.array] = Postgres{write: t.write, array: true, comma: ','}
	}
	return all
}()

// PostgresType returns the type of this number. One that is not PostgreSQL's own,
// or seldom used, is a string.
func PostgresType(oid uint32) Postgres {
	if t, ok := postgresTypes[oid]; ok {
		return Postgres{write: t.write}
	}
	if t, ok := postgresArrays[oid]; ok {
		return t
	}
	return Postgres{write: AppendText}
}

// IsArray reports whether values are arrays.
func (t Postgres) IsArray() bool { return t.array }

// Array returns the type of arrays of this one.
func (t Postgres) Array() Postgres { return Postgres{write: t.write, array: true, comma: ','} }

// Append appends a value, which is not NULL, as JSON.
func (t Postgres) Append(dst, text []byte) []byte {
	if !t.array {
		return t.write(dst, text)
	}
	out, rest, ok := t.appendArray(dst, arrayBody(text), 0)
	if !ok || len(rest) > 0 {
		return AppendText(dst, text)
	}
	return out
}

// arrayBody is an array without the bounds that PostgreSQL writes where they do
// not begin with 1: [0:1]={1,2}.
func arrayBody(text []byte) []byte {
	if len(text) > 0 && text[0] == '[' {
		for i, c := range text {
			if c == '=' {
				return text[i+1:]
			}
		}
	}
	return text
}

// maxDimensions is PostgreSQL's MAXDIM.
const maxDimensions = 6

// appendArray reads an array at the beginning of text: {1,NULL,"a \"b\""}.
func (t Postgres) appendArray(dst, text []byte, depth int) (out, rest []byte, ok bool) {
	if len(text) < 2 || text[0] != '{' || depth == maxDimensions {
		return dst, text, false
	}
	dst, text = append(dst, '['), text[1:]
	if text[0] == '}' {
		return append(dst, ']'), text[1:], true
	}
	var item []byte
	for len(text) > 0 {
		switch text[0] {
		case '{':
			if dst, text, ok = t.appendArray(dst, text, depth+1); !ok {
				return dst, text, false
			}
		case '"':
			i := 1
			for item = item[:0]; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
				if i < len(text) {
					item = append(item, text[i])
				}
			}
			if i >= len(text) {
				return dst, text, false
			}
			dst, text = t.write(dst, item), text[i+1:]
		default:
			i := 0
			for i < len(text) && text[i] != t.comma && text[i] != '}' {
				i++
			}
			if string(text[:i]) == "NULL" {
				dst = append(dst, "null"...)
			} else {
				dst = t.write(dst, text[:i])
			}
			text = text[i:]
		}
		if len(text) == 0 {
			break
		}
		switch text[0] {
		case t.comma:
			dst, text = append(dst, ','), text[1:]
		case '}':
			return append(dst, ']'), text[1:], true
		default:
			return dst, text, false
		}
	}
	return dst, text, false
}

func appendPostgresBool(dst, text []byte) []byte {
	if string(text) == "t" {
		return append(dst, "true"...)
	}
	return append(dst, "false"...)
}

func appendBytea(dst, text []byte) []byte {
	if len(text) < 2 || text[0] != '\\' || text[1] != 'x' {
		return AppendText(dst, text)
	}
	b := make([]byte, hex.DecodedLen(len(text)-2))
	if _, err := hex.Decode(b, text[2:]); err != nil {
		return AppendText(dst, text)
	}
	return AppendBytes(dst, b)
}

// AppendBytes appends a string in base64.
func AppendBytes(dst, b []byte) []byte {
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, b)
	return append(dst, '"')
}

// appendPostgresTime writes 2026-11-24 18:02:03.123456 with a T.
func appendPostgresTime(dst, text []byte) []byte {
	const date = len("2026-11-24")
	if len(text) <= date || text[date] != ' ' {
		return AppendText(dst, text) // infinity, a year of five digits
	}
	dst = append(append(dst, '"'), text[:date]...)
	dst = append(append(dst, 'T'), text[date+1:]...)
	return append(dst, '"')
}

// appendPostgresInstant writes 2026-11-24 18:02:03.123456+00 with T and Z.
func appendPostgresInstant(dst, text []byte) []byte {
	const zone = "+00"
	if n := len(text) - len(zone); n > 0 && string(text[n:]) == zone {
		dst = appendPostgresTime(dst, text[:n])
		return append(dst[:len(dst)-1], `Z"`...)
	}
	return appendPostgresTime(dst, text)
}
