package host

import (
	"os"
	"runtime/debug"

	"github.com/wellhead-io/wellhead/host/internal/config"
)

const (
	// baseMemory is what Go's memory in a host with one destination stays below
	// under load, garbage included: it has 30 to 40 MB in use then. The program's
	// text, 27 MB, and the dedup index's filters, 40 MB for 20 million ids, are
	// beside it.
	baseMemory = 64 << 20
	// loopMemory is what a further destination may hold while it catches up:
	// blocks of the journal and a batch.
	loopMemory = 32 << 20
	// eventsInHand is how many events of the largest size may be in hand.
	eventsInHand = 16
)

// limitMemory makes the collector work harder before the heap grows beyond what
// the host needs, where it would else let garbage double it. It is a soft limit: a
// host that needs more gets it. GOMEMLIMIT in the environment takes its place.
func limitMemory(c *config.Config) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	limit := int64(baseMemory) + eventsInHand*int64(c.Limits.Event)
	if n := len(c.Destinations); n > 1 {
		limit += loopMemory * int64(n-1)
	}
	debug.SetMemoryLimit(limit)
}
