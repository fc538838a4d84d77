package gate

import "github.com/wellhead-io/wellhead/host/internal/event"

// Scanner lets tests and benchmarks reach the scanner, with the default bounds.
type Scanner struct{ scanner scanner }

// Scan tells why raw is not JSON, and which bounds it breaks.
func (s *Scanner) Scan(raw []byte) (fault string, broken []event.Violation) {
	s.scanner.scan(raw, bounds{maxDepth: 64, maxNumber: 400, maxExponent: 400, maxString: 256 << 10, maxValues: 100_000, maxPaths: 16 << 20})
	return s.scanner.fault, s.scanner.broken()
}

// SetChecker replaces the checker of a type's published schema.
func (g *Gate) SetChecker(t event.Type, c Checker) { g.checkers[t] = c }
