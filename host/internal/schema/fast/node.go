package fast

import (
	"math/bits"
	"regexp"
	"sync/atomic"
)

// hard is the bit of what must hold whatever else does.
const hard uint64 = 1

// node is the program for one value: all schemas that apply to it, taken
// together. Each alternative among them has a bit, which is set where the value
// fails it.
type node struct {
	fails   [sorts]uint64 // what a value of a sort fails by being of it
	unknown uint8         // the sorts of which the program cannot tell
	texts   []textCheck
	words   words
	numbers []numberCheck
	object  *objectRules
	array   *arrayRules
	rules   []rule // in an order in which each finds its bits judged

	readsTexts bool // there is something in texts or words
}

// nowhere is the program of which no value is known to be good.
var nowhere = &node{unknown: every}

// anything is the program of a value of which nothing is said, nor of what is in
// it. What it says of objects and arrays is that of most nodes.
var anything = func() *node {
	n := &node{}
	n.object = &objectRules{other: &member{child: child{node: n}, index: -1, note: -1, part: -1}}
	n.array = &arrayRules{rest: child{node: n}}
	return n
}()

// rule draws a conclusion from bits that are judged.
type rule struct {
	op   op
	a, b uint64
	bit  uint64 // is set where the rule is broken
}

type op uint8

const (
	anyHolds   op = iota // something of a
	oneHolds             // exactly one thing of a
	noneHolds            // nothing of a
	thenHolds            // where a holds, b
	otherHolds           // where a does not hold, b
)

// settle adds to the bits that a value has set those that follow from them.
func (n *node) settle(failed uint64) uint64 {
	if len(n.rules) == 0 { // as mostly
		return failed
	}
	return n.conclude(failed)
}

func (n *node) conclude(failed uint64) uint64 {
	for i := range n.rules {
		r := &n.rules[i]
		var broken bool
		switch r.op {
		case anyHolds:
			broken = failed&r.a == r.a
		case oneHolds:
			broken = bits.OnesCount64(r.a&^failed) != 1
		case noneHolds:
			broken = failed&r.a != r.a
		case thenHolds:
			broken = failed&r.a == 0 && failed&r.b != 0
		case otherHolds:
			broken = failed&r.a != 0 && failed&r.b != 0
		}
		if broken {
			failed |= r.bit
		}
	}
	return failed
}

// child is the program of a value within a value.
type child struct {
	node *node
	// up has, for each alternative of the node from bit 1 on, the parent's bits
	// that fail with it.
	up []uint64
}

// lift turns what a child failed into what its parent fails by that.
func (c *child) lift(failed uint64) (parent uint64) {
	if failed == 0 {
		return 0
	}
	for i, bits := range c.up {
		if failed>>(i+1)&1 != 0 {
			parent |= bits
		}
	}
	return parent
}

// member is what a node says of one name.
type member struct {
	child
	name   string
	hash   uint64
	quoted string // the name as it is mostly written, with quotes and colon
	fail   uint64 // is failed by the member being there
	index  int    // among the members of its object; -1: of no name
	note   int    // where its value is noted; -1: nowhere
	part   int    // of the parts, which may say more of it; -1: none
	// next is the index of the member that came after this one when it was last
	// seen. Any value is right: it only tells where to look first.
	next atomic.Uint32
}

// objectRules are what a node says of an object.
type objectRules struct {
	members  []*member
	names    nameTable
	first    atomic.Uint32 // as member.next, of the first member
	other    *member       // of any name that is not known
	patterns []*regexp.Regexp
	matched  []*member // instead of other: by the set of the patterns that match
	namesAre *child    // what each name must be
	required []required
	counts   []countCheck
}

// required are members that must be there. Only the first 64 members can be.
type required struct {
	members uint64
	bit     uint64
}

// arrayRules are what a node says of an array.
type arrayRules struct {
	first  []child // of the items at its beginning
	rest   child
	counts []countCheck
	unique uint64 // is failed by two items that are equal
}

// countCheck bounds the number of items or members.
type countCheck struct {
	min, max int // max < 0: no bound
	bit      uint64
}

func countFails(checks []countCheck, n int) (failed uint64) {
	for i := range checks {
		if c := &checks[i]; n < c.min || c.max >= 0 && n > c.max {
			failed |= c.bit
		}
	}
	return failed
}
