// Package powercut rebuilds what a disk may hold after a power cut, from the
// system calls of the real processes that wrote to it. It serves tests.
//
// Command runs a process under strace; Parse reads the log. A cut is a place
// between two calls: Rebuild writes the directory as it may be found after it.
//
//   - What a file's fsync, fdatasync, sync or O_SYNC write has covered is there.
//     A call covers what had returned before it began.
//   - A name is there after an fsync of its directory, a rename of two
//     directories after that of either. An fsync of the file alone gives it no
//     name.
//   - Nothing else is sure. A Loss says what becomes of it: all of it is lost, or
//     a random part of it: single pages of a write, single names, in any order.
//   - After a failed fsync of a file, the bytes that it was to cover count as
//     lost until they are written again, as Linux treats them.
//
// Verify compares the model's idea of the disk, nothing lost, with the real one
// after the process has ended, so that a call which the model does not know
// cannot make a test pass.
package powercut
