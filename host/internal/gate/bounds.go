package gate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// bounds are the limits that the scanner holds, so that no validator ever sees
// what is beyond them.
type bounds struct {
	maxDepth    int  // of nested objects and arrays
	maxNumber   int  // characters of a number
	maxExponent int  // of a number, above or below 0
	maxString   int  // bytes of a string, escapes as written
	maxName     int  // bytes of a member's name, escapes as written
	anyNames    bool // names are not compared
}

const (
	// maxScanViolations and maxScanPaths bound what a hostile event can make
	// the scanner remember: their number, and the bytes of their paths.
	maxScanViolations = 1000
	maxScanPaths      = 256 << 10
)

// violate remembers a violation of the value that is within depth objects and
// arrays.
func (s *scanner) violate(depth int, code, format string, args ...any) {
	if len(s.violations) >= maxScanViolations-1 || s.spent > maxScanPaths {
		s.more++
		return
	}
	v := event.Violation{Code: code, Path: s.pointer(depth), Message: fmt.Sprintf(format, args...)}
	s.spent += len(v.Path)
	s.violations = append(s.violations, v)
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
	var b strings.Builder
	for _, step := range s.path[1 : depth+1] {
		b.WriteByte('/')
		if step.index >= 0 {
			b.WriteString(strconv.Itoa(step.index))
			continue
		}
		name := s.raw[step.start:step.end]
		if step.escaped {
			name = appendUnescaped(nil, name)
		}
		for _, c := range name {
			switch c {
			case '~':
				b.WriteString("~0")
			case '/':
				b.WriteString("~1")
			default:
				b.WriteByte(c)
			}
		}
	}
	return b.String()
}
