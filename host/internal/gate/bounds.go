package gate

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/schema/fast"
)

// bounds are the limits that the scanner holds, so that no validator ever sees
// what is beyond them.
type bounds struct {
	maxDepth    int  // of nested objects and arrays
	maxNumber   int  // characters of a number
	maxExponent int  // of a number, above or below 0
	maxString   int  // bytes of a string or a name, escapes as written
	maxValues   int  // of the whole text
	maxPaths    int  // bytes of the paths of all values together
	anyNames    bool // names are not compared
}

const (
	// maxKept is the most violations that the scanner remembers of a text.
	maxKept = 1000
	// maxPointer is the most bytes of a path in a violation. What would have a
	// longer one is named by the nearest value above it.
	maxPointer = 1 << 10
)

// violate remembers a violation of the value that is within depth objects and
// arrays.
func (s *scanner) violate(depth int, code, format string, args ...any) {
	if len(s.violations) >= maxKept-1 {
		s.more++
		return
	}
	s.violations = append(s.violations, event.Violation{
		Code: code, Path: s.pointer(depth), Message: fmt.Sprintf(format, args...),
	})
}

// countValue holds the bounds of the whole text. A validator makes a path for
// each value that it judges, and may make an error of each.
func (s *scanner) countValue(depth int) {
	s.values++
	s.paths += s.path[depth].length
	if s.crowded || s.values <= s.maxValues && s.paths <= s.maxPaths {
		return
	}
	s.crowded = true
	if s.values > s.maxValues {
		s.violate(0, event.CodeTooLarge, "event of more than %d values", s.maxValues)
	} else {
		s.violate(0, event.CodeTooLarge, "event whose values have paths of more than %d bytes together", s.maxPaths)
	}
}

// broken gives the violations that the scan found.
func (s *scanner) broken() []event.Violation {
	vs := s.violations
	if s.more > 0 {
		vs = append(vs, event.Violation{
			Code:    vs[len(vs)-1].Code,
			Message: fmt.Sprintf("and %d more violations", s.more),
		})
	}
	return vs
}

// unsafe tells whether the text has something that a validator must not see.
func (s *scanner) unsafe() bool {
	return slices.ContainsFunc(s.violations, func(v event.Violation) bool {
		return v.Code != event.CodeDuplicateKey
	}) || s.more > 0
}

// pointer writes the path of the value that is within depth objects and arrays
// as a JSON Pointer.
func (s *scanner) pointer(depth int) string {
	var b []byte
	for _, step := range s.path[1 : depth+1] {
		if step.length > maxPointer {
			break
		}
		b = append(b, '/')
		if step.index >= 0 {
			b = strconv.AppendInt(b, int64(step.index), 10)
			continue
		}
		name := s.raw[step.start:step.end]
		if step.escaped {
			name = fast.AppendUnescaped(nil, name)
		}
		for _, c := range name {
			switch c {
			case '~':
				b = append(b, "~0"...)
			case '/':
				b = append(b, "~1"...)
			default:
				b = append(b, c)
			}
		}
	}
	return string(b)
}
