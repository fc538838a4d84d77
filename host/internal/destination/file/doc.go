// Package file is the destination that appends events to a file as JSON Lines:
// one event per line, as it was accepted.
//
// # What is kept
//
// Send writes, Flush syncs. The mark that Flush returns names the file by its
// inode, the length that is good, and a checksum of the last bytes before it.
// Resume cuts the file to that length, so that a kill or a power cut leaves
// neither a torn line nor one twice. The device number is no part of the mark:
// on some file systems it changes with every boot.
//
// # What is never cut
//
// A file that is not the one of the mark, or that is shorter, or that ends
// otherwise, belongs to someone else by now. It is renamed to NAME.TIME.aside, and a
// new one begins. A file that was moved away stays where it is; one that was
// removed while it was written is begun again, with what it had lost since the last mark.
// Where there is no mark (the first start, or the host's state was removed),
// events are appended to what is there, after a newline if its last line has none.
// Each of these is reported. The file is locked, so that two destinations with one
// path do not spoil it.
//
// # Rotation
//
// A file that has reached its size is renamed to NAME.TIME, TIME in UTC and such
// as 20261124T070102.123Z, never one that exists, and always later than those that
// exist. Of these, keep are kept; the older ones are removed beside the sending,
// in steps, since to free a gigabyte at once stalls every other sync of the disk.
//
// The next file is made, empty, as .NAME.next before the mark that ends the
// current one. That mark names it. So whatever instant a kill strikes, the next
// start sees by the inodes alone how far the turn had come, completes it and
// empties the next file, whose events come again.
package file
