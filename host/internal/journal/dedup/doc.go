// Package dedup remembers which events the journal has: an on-disk index from
// a 128-bit key (source and message id) to the event's position.
//
// # Shape
//
// Ids enter an open table in memory. When it is full, or old, it is frozen:
// written to disk by Run as a slice, sorted by key, with a filter that stays in
// memory. Neighbouring slices are merged until they hold a sixteenth of MaxIDs
// or span a sixteenth of Window, so that a lookup asks some twenty filters and
// expiry, which drops whole slices, is still fine grained. Each id is written
// twice in its life, at about 50 bytes together; nothing is ever updated in
// place.
//
// # What is durable
//
// A slice says which positions of the journal it covers: all after one, up to
// and including another. Slices join without a hole. A slice is published only
// when Options.Synced has said that the journal is durable up to its last
// position, so the index on disk is never ahead of the journal. What is in
// memory only is found again by reading the journal after Covered.
//
// A slice that is torn, corrupt or missing is dropped when the index is opened,
// and with it all that follow it: Covered falls back to before it, and reading
// the journal from there brings all of them back. An unreadable page that a
// lookup meets later is answered as "not held" (an event twice is better than
// an event lost) and marks the slice, so that the next Open drops it.
//
// # Time
//
// The age of an id is counted on the index's own clock. That clock follows the
// times given to Add, but never goes back, and takes a step larger than a
// twenty-fourth of the window (at least a minute) for what it is: a clock that
// was set, a machine that slept or a host that was down, not time in which
// clients could have retried. Such a step counts as nothing, however often it
// comes, and while nothing is added the clock follows the monotonic clock. So no
// leap can empty the index; ids are then held for longer than the window, never
// for less, while MaxIDs bounds their number.
//
// # Full disk
//
// Add never fails and never forgets. The room in memory is bounded by Reserve,
// which the committer calls before it writes a frame: it waits while the open
// table is full and the one before it is not yet on disk, and answers ErrStalled
// with the cause when the disk refuses it, so that the journal closes its
// intake. Run tries again by itself and Reserve succeeds as soon as Run did.
package dedup
