// Package powercut rebuilds what a disk may hold after a power cut, from a
// recording of a real process's file-system calls.
//
// strace records the calls (see Args). Parse reads them, and a Disk plays them
// up to a chosen point. What was synced by then is kept: a file's bytes by a
// sync of the file or by O_SYNC, a name by a sync of its directory and by
// nothing else. What was not is dropped, or each write, truncation and change
// of a directory is kept or dropped by chance: a disk may do either.
//
// It knows nothing of what the files mean. It is used by tests only.
package powercut
