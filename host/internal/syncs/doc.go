// Package syncs keeps what sources tell of their syncs: what each is doing, and
// its last runs. The runs are on disk, so that an operator sees tomorrow what
// went wrong tonight.
//
// A Book takes reports without waiting for the disk. What was told within a
// second before a crash may be missing; a run that was under way is shown as
// interrupted until the source goes on with it.
//
// How a sync works, and how far it has come, is the source's own business.
package syncs
