package dedup

import (
	"slices"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// Stats is what an Index says of itself.
type Stats struct {
	// IDs is how many ids are remembered.
	IDs int64
	// Window is the age of the oldest of them.
	Window time.Duration
	// Slices is how many slices are on disk, and filters in memory.
	Slices int
	// Memory and Disk are in bytes; Memory counts what is reserved.
	Memory, Disk int64
	// Probes is how many buckets were read to look an id up, InVain how many of
	// them did not have it, since the index was opened.
	Probes, InVain uint64
	// Dropped is how many slices Open could not use, Damaged how many turned
	// out to be unreadable in part since.
	Dropped, Damaged int
	// Covered is what Index.Covered says.
	Covered event.Position
	// Stalled is why ids cannot be written to disk; nil: they can.
	Stalled error
}

// Stats takes about a microsecond.
func (x *Index) Stats() Stats {
	x.mu.RLock()
	defer x.mu.RUnlock()
	st := Stats{
		Slices: len(x.slices), Covered: x.covered(), Stalled: x.stalled,
		Memory: x.working.Load(),
		Probes: x.probes.Load(), InVain: x.misses.Load(),
		Dropped: x.dropped, Damaged: int(x.damaged.Load()),
	}
	oldest := x.clock.now
	for _, t := range []*table{x.open, x.frozen, x.spare} {
		if t == nil {
			continue
		}
		st.Memory += t.memory()
		st.IDs += int64(len(t.entries))
		if len(t.entries) > 0 {
			oldest = min(oldest, t.from)
		}
	}
	for _, s := range x.slices {
		st.IDs += int64(s.ids)
		oldest = min(oldest, s.from)
	}
	for _, s := range slices.Concat(x.slices, x.dead, x.markers()) {
		st.Memory += s.memory()
		st.Disk += s.size
	}
	st.Window = time.Duration(x.clock.now-oldest) * time.Millisecond
	return st
}

// markers is the marker, where there is one.
func (x *Index) markers() []*slice {
	if x.marker == nil {
		return nil
	}
	return []*slice{x.marker}
}
