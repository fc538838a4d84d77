package dedup

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// load reads the slices that join without a hole from the oldest on, and removes
// what else the index has left in its directory. Other files are left alone.
func (x *Index) load() error {
	names, err := x.disk.List()
	if err != nil {
		return err
	}
	var whole []*slice
	var bad []span
	var remove []string
	for _, name := range names {
		final := strings.TrimSuffix(name, unfinished)
		sp, ours := spanOf(final)
		if !ours {
			continue
		}
		if final != name {
			remove = append(remove, name)
			continue
		}
		s, err := openSlice(x.disk, name)
		switch {
		case err == nil:
			whole = append(whole, s)
		case errors.Is(err, errCorrupt):
			x.logDropped(name, err)
			bad = append(bad, sp)
			remove = append(remove, name)
		default: // such as too many open files: no reason to drop anything
			for _, s := range whole {
				_ = s.close()
			}
			return err
		}
	}
	kept, merged, cut := chain(whole, bad)
	for _, s := range cut {
		x.logDropped(s.name, errors.New("it follows a slice that is missing or was dropped"))
	}
	for _, s := range slices.Concat(merged, cut) {
		_ = s.close()
		remove = append(remove, s.name)
	}
	x.setSlices(kept)
	return x.clear(remove)
}

func (x *Index) logDropped(name string, err error) {
	x.dropped++
	x.o.Log.Warn("dropped a slice of the dedup index", "code", CodeDropped, "file", name, "error", err,
		"remedy", "none needed after a crash: the journal is read again; otherwise check the disk")
}

func (x *Index) clear(names []string) error {
	if len(names) == 0 {
		return nil
	}
	for _, name := range names {
		if err := x.disk.Remove(name); err != nil {
			return fmt.Errorf("remove %s: %w", name, err)
		}
	}
	return x.disk.Sync()
}

// chain sorts slices, given those that are bad, to: kept, which join without a
// hole, oldest first; merged, whose ids are in one of kept, since a crash came
// between a merge and the end of its input; and cut, which follow a hole.
func chain(whole []*slice, bad []span) (kept, merged, cut []*slice) {
	slices.SortFunc(whole, func(a, b *slice) int {
		return cmp.Or(cmp.Compare(a.after, b.after), cmp.Compare(b.upTo, a.upTo))
	})
	var upTo event.Position // the end of the widest slice so far
	var wide []*slice
	for _, s := range whole {
		if s.upTo <= upTo {
			merged = append(merged, s)
			continue
		}
		upTo = s.upTo
		wide = append(wide, s)
	}
	for i, s := range wide {
		if i > 0 && s.after != wide[i-1].upTo || lost(bad, wide, s) {
			return wide[:i], merged, wide[i:]
		}
	}
	return wide, merged, nil
}

// lost reports whether a bad slice that no whole one replaces lies before s.
func lost(bad []span, whole []*slice, s *slice) bool {
	for _, b := range bad {
		replaced := slices.ContainsFunc(whole, func(w *slice) bool { return w.after <= b.after && b.upTo <= w.upTo })
		if !replaced && b.after < s.upTo {
			return true
		}
	}
	return false
}
