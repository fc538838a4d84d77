//go:build race

package wire

// Poison fills memory that is given back to be used again, so that tests under
// the race detector see who still uses it.
func Poison(b []byte) {
	for i := range b {
		b[i] = '#'
	}
}
