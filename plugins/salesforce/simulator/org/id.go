package org

import "strings"

// digits are those of record ids, in the order in which ORDER BY Id sorts them.
const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

const (
	// instance is the part of each id that names the server where it was made.
	instance = "000"
	idDigits = 9
)

// makeID is the 18 character id of the n-th record of the objects with this key
// prefix.
func makeID(prefix string, n uint64) string {
	var b [18]byte
	return string(fillID(b[:0], prefix, n))
}

// fillID is makeID into an empty slice.
func fillID(b []byte, prefix string, n uint64) []byte {
	b = append(append(b, prefix...), instance...)
	b = append(b, "000000000"...)
	for i := len(b) - 1; n > 0 && i >= len(b)-idDigits; i-- {
		b[i] = digits[n%62]
		n /= 62
	}
	return appendChecksum(b)
}

// appendChecksum makes 18 characters of 15: each of the last three tells which
// letters of five are capitals.
func appendChecksum(id []byte) []byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
	for chunk := range 3 {
		bits := 0
		for i, c := range id[chunk*5 : chunk*5+5] {
			if c >= 'A' && c <= 'Z' {
				bits |= 1 << i
			}
		}
		id = append(id, alphabet[bits])
	}
	return id
}

// canonicalID is the 18 character form of an id of 15 or 18, and whether s has
// the form of an id at all.
func canonicalID(s string) (string, bool) {
	if len(s) != 15 && len(s) != 18 {
		return "", false
	}
	for i := range len(s) {
		if strings.IndexByte(digits, s[i]) < 0 {
			return "", false
		}
	}
	if len(s) == 18 {
		return s, true
	}
	return string(appendChecksum([]byte(s))), true
}

// number is the n of an id that makeID made, 0 of any other.
func number(id string) uint64 {
	if len(id) < 15 || id[3:6] != instance {
		return 0
	}
	var n uint64
	for i := 6; i < 15; i++ {
		d := strings.IndexByte(digits, id[i])
		if d < 0 {
			return 0
		}
		n = n*62 + uint64(d)
	}
	return n
}
