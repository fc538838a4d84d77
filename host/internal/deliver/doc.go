// Package deliver brings accepted events to destinations: one loop per
// destination, each at its own pace, none slowing another.
//
// A [Loop] reads the journal from its cursor, sends what its route selects in
// batches that never wait to fill, and moves the cursor after success. The cursor
// is written after every batch (of a [destination.Flusher]: after each Flush) and
// synced at most every 100 ms. A kill therefore sends at most the batch in hand
// again, with the same message ids. What a [destination.Selector] does not take
// is passed over.
//
// # Failures
//
// [destination.Unavailable] is tried again without limit, with exponential
// backoff, jitter and the destination's own Retry-After.
//
// [destination.Failed] is tried three times. Then a few of the batch's events are
// sent alone, and the next one of the journal: if none passes, the destination is
// down and the batch stays together, to be tried again without limit. If one
// does, the batch is halved down to single events. One that fails alone is set
// aside while the others go on, and tried again beside them. Each of its failures
// counts only if something has passed since the one before; the tenth puts it into
// the quarantine. When nothing is left of the batch to compare it with, the next
// events of the journal are sent, one for each try.
//
// [destination.Refused] halves a batch at once; a refused single event goes to the
// quarantine. A destination that refuses everything is more likely set up wrongly:
// after each batch of which nothing passed the loop waits, a second at first and
// doubling to a minute, and shows that it needs attention. While the quarantine
// has no room the loop waits too.
//
// Order is the journal's, but for this: an event that a failed send had may be
// overtaken.
//
// # Bounds
//
// A loop holds one batch (the destination's bounds, by default 1000 events and
// 1 MiB, or one larger event), one frame of the journal, and up to 100 events and
// 1 MiB (or one larger event) that were read ahead and failed. On disk it keeps a
// cursor of 24 KiB and two attempt files of 4 MiB.
//
// The package knows no kind of destination, no route and no journal: it works
// on interfaces that it declares.
package deliver
