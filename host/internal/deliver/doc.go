// Package deliver brings accepted events to destinations: one loop per
// destination, each at its own pace, none slowing another.
//
// A [Loop] reads the journal from its cursor, sends what its route selects in
// batches that are never waited for, and moves the cursor after success. The
// cursor is written after every batch (of a [destination.Flusher]: after each
// Flush) and synced at most every 100 ms. A kill therefore sends at most
// the batches in hand again, with the same message ids.
//
// # Failures
//
// [destination.Unavailable] is tried again without limit, with exponential backoff,
// jitter and the destination's own Retry-After.
//
// [destination.Failed] is tried three times, then in halves, down to single
// events. A single event that keeps failing is set aside while the
// rest of the batch goes on; each of its failures counts only if another event
// has passed since the one before, and at ten it goes to the quarantine. When
// the rest of the batch has passed, the next events of the journal are sent one by one as the others.
// So a destination that fails everything is down, and nothing is quarantined.
//
// [destination.Refused] halves a batch at once; a refused single event goes to the
// quarantine. A destination that refuses everything is more likely set up
// wrongly: after each batch of which nothing passed the loop waits, a second at
// first and doubling to a minute, and shows that it needs attention.
//
// Order is the journal's, but for events that had to be set aside.
//
// # Bounds
//
// A loop holds one batch (the destination's bounds, by default 1000 events and
// 1 MiB, or one larger event), one frame of the journal, and at most 100 single
// events that are read ahead while others fail. What it keeps on disk is a
// cursor of 24 KiB and two attempt files of 4 MiB.
//
// The package knows no kind of destination, no route and no journal: it works
// on interfaces that it declares.
package deliver
