package dedup_test

import (
	"strings"
	"testing"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/journal/dedup"
)

func TestKeysOfDifferentPairsDiffer(t *testing.T) {
	type pair struct {
		source event.SourceID
		id     string
	}
	pairs := []pair{
		{"", ""}, {"a", ""}, {"", "a"}, {"ab", "c"}, {"a", "bc"}, {"abc", ""}, {"", "abc"},
		{"a\x00", "b"}, {"a", "\x00b"}, {"\x01a", "b"}, {"A", "b"},
	}
	// Around the sizes at which KeyOf hashes in one piece or in many.
	for _, n := range []int{100, 126, 127, 128, 129, 255, 256, 257, 1000} {
		long := strings.Repeat("x", n)
		pairs = append(pairs, pair{"s", long}, pair{"sx", long[1:]}, pair{event.SourceID(long), "s"})
	}
	seen := map[dedup.Key]pair{}
	for _, p := range pairs {
		k := dedup.KeyOf(p.source, p.id)
		if other, ok := seen[k]; ok {
			t.Errorf("KeyOf(%.20q, %.20q) is KeyOf(%.20q, %.20q)", p.source, p.id, other.source, other.id)
		}
		seen[k] = p
	}
}

// Keys are on disk: they may not change.
func TestKeysStay(t *testing.T) {
	for id, want := range map[string]string{
		"ajs-next-0f4a5b2e":       "86401f4414e31386d79afae1c88321fb",
		strings.Repeat("x", 1000): "6c7c268a671b53a992cbd306402fa248",
	} {
		if got := dedup.KeyOf("website", id).String(); got != want {
			t.Errorf("KeyOf(website, %.20s) = %s, want %s", id, got, want)
		}
	}
}

func TestKeyOfDoesNotAllocate(t *testing.T) {
	for _, id := range []string{"ajs-next-0f4a5b2e", strings.Repeat("x", 1000)} {
		if n := testing.AllocsPerRun(100, func() { dedup.KeyOf("website", id) }); n != 0 {
			t.Errorf("KeyOf allocates %v times for an id of %d bytes", n, len(id))
		}
	}
}
