package fast

// Kind is what a JSON value is. The zero Kind is a value that is not there.
type Kind uint8

// The kinds.
const (
	Absent Kind = iota
	Null
	Boolean
	Number
	String
	Object
	Array
)

func (k Kind) String() string {
	return [...]string{"nothing", "null", "a boolean", "a number", "a string", "an object", "an array"}[k]
}

// Value is where a value is: raw[Start:End]. Of a string that is without its
// quotes.
type Value struct {
	Start, End int
	Kind       Kind
	Escaped    bool // a string that has escapes
}

// sort is what a value is as far as a schema can tell by the sight of it.
type sort uint8

const (
	null sort = iota
	isFalse
	isTrue
	integer
	fraction
	text
	array
	object
	sorts
)

// every is the set of all sorts.
const every = 1<<sorts - 1

// kindOf tells what a valid value is by its first byte.
func kindOf(c byte) Kind {
	switch c {
	case '"':
		return String
	case '{':
		return Object
	case '[':
		return Array
	case 't', 'f':
		return Boolean
	case 'n':
		return Null
	}
	return Number
}
