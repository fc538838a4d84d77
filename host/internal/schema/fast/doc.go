// Package fast tells of most good JSON texts that they are good, in one pass over
// their bytes and without allocating. It does what package schema does, twenty
// times as fast, but for one thing: it never says no. What it does not take for
// good is for package schema to judge, with the library that gives the reasons;
// so only a false yes would be wrong, and there must be none.
//
// # Programs
//
// New builds a Program from schemas as the library has compiled them. A program
// is a graph of nodes. A node stands for a value and for all schemas that apply
// to it at once: those that $ref, allOf, anyOf, if and the others lead to at the
// same place are taken together, and so are what they say of each member and of
// each item, in the nodes below. There is one node for each set of schemas that
// can meet, so that a schema which refers to itself has a finite program.
//
// Everything in a node that a good value may fail has a bit: each branch of an
// anyOf, a condition, what depends on a member. Bit 0 is for what must hold
// whatever else does. A value sets the bits of the checks that it fails; when it
// has been read, the node's rules draw their conclusions ("where all branches
// have failed, so has what they are branches of"), and the parent is told. So no
// branch is tried and taken back, and it makes no difference whether the member
// that decides between branches comes first or last.
//
// What can be told by the first byte is not checked at all: a node has, for each
// sort of value, the bits that it fails by being of it, which holds type, and
// enum and const for all but strings and numbers. The sorts that a node's
// schemas say something about which this package does not know (unevaluated
// members, contains, a format it has no function for, and few others) are marked;
// a value of such a sort ends the run, and one that has no such value does not.
//
// # Parts
//
// Of an event's properties, more must hold than the schemas say, by the event's
// name; and the name may come after them. So a program has parts: the machine
// asks its user which one holds when it comes to such a member, and where that is
// not known yet, reads the member a second time at the end.
//
// # Machines
//
// A Machine runs programs. It reads like any recursive JSON parser, and holds on
// its way what an event's reader needs: limits, UTF-8, names that are not there
// twice. It notes where members are that its user needs.
//
// Names are what most of an event consists of. Each member remembers which one
// came after it last, and the next name is first compared with that, whole, with
// its quotes and its colon; else it is hashed and looked up. Whether a name is
// new in its object is a bit for the first 64 that the program knows, and its
// hash for others, where equal hashes count as equal names. Strings are searched
// eight bytes at a time. Numbers are compared exactly, as decimals of up to 19
// digits. An escape in a name, an object with more than 128 names that have no
// bit, a number with more digits where they matter: all that is odd ends the run.
//
// # Proof
//
// Tests hold programs against the library: on the official JSON Schema Test
// Suite, and on random schemas and documents, both made and mutated, 300,000 in
// each run of the tests and 10 million by make fuzz. In a run of 10 million, v5 took
// half for good and the programs two thirds of those, and nothing that v5 refused.
package fast
