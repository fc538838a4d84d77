package config

import (
	"fmt"
	"strings"
)

// Suggest is the hint for a word that is none of the known ones: the nearest of
// them, or all of them; empty where none is known.
func Suggest(word string, known []string) string {
	if near := nearest(word, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	if len(known) == 0 {
		return ""
	}
	return "known here: " + strings.Join(known, ", ")
}

// nearest returns the known word that a person most likely meant; empty: none.
func nearest(word string, known []string) string {
	const longest = 64 // no key or name of ours is longer
	if len(word) > longest {
		return ""
	}
	folded := fold(word)
	best, bestDistance := "", 1+max(1, len(folded)/3)
	for _, k := range known {
		if len(k) > longest {
			continue
		}
		if d := editDistance(folded, fold(k)); d < bestDistance {
			best, bestDistance = k, d
		}
	}
	if best != "" {
		return best
	}
	for _, k := range known {
		if len(k) >= 3 && strings.HasPrefix(folded, fold(k)) { // certificate: cert
			return k
		}
	}
	return ""
}

// fold makes maxBytes, max-bytes and max_bytes one word.
func fold(s string) string {
	return strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToLower(s))
}

// editDistance counts the insertions, deletions, substitutions and swaps of
// neighbours that turn a into b.
func editDistance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			substitute := last[j-1]
			if a[i-1] != b[j-1] {
				substitute++
			}
			row[j] = min(substitute, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
