package gate

import "github.com/wellhead-io/wellhead/host/internal/event"

// Scanner lets tests and benchmarks reach the scanner, with the default bounds.
type Scanner struct{ scanner scanner }

// Scan tells why raw is not JSON, and which bounds it breaks.
func (s *Scanner) Scan(raw []byte) (fault string, broken []event.Violation) {
	s.scanner.scan(raw, bounds{maxDepth: 64, maxNumber: 400, maxExponent: 400, maxString: 256 << 10, maxValues: 100_000, maxPaths: 16 << 20})
	return s.scanner.fault, s.scanner.broken()
}

// SetChecker replaces the checker of a type's published schema, for sources that
// are made afterwards.
func (g *Gate) SetChecker(t event.Type, c Checker) { g.checkers[t], g.program = c, nil }

// Long is the same source, all of whose claims go the long way.
func (s *Source) Long() *Source {
	long := *s
	long.program = nil
	return &long
}

// Knows tells whether a claim does not go the long way.
func (s *Source) Knows(claim event.Claim) bool { return new(quick).knows(s, claim) }
