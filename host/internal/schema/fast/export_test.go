package fast

import (
	"math/big"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// Build builds the program of one schema as the library has it.
func Build(s *jsonschema.Schema) *Program { return build([]*jsonschema.Schema{s}, nil, Root{}) }

// Formats are the formats that the program knows.
var Formats = formats

// EndOfText finds the end of a string.
var EndOfText = endOfText

// Compare compares numbers of a schema; false: they have too many digits.
func Compare(a, b *big.Rat) (int, bool) {
	x, ok := decimalOf(a)
	y, also := decimalOf(b)
	return x.compare(y), ok && also
}
