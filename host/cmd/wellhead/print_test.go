package main

import (
	"bytes"
	"strings"
	"testing"
)

// What clients write moves neither the cursor nor the columns of others.
func TestATableKeepsItsShape(t *testing.T) {
	var out bytes.Buffer
	s := &shell{out: &results{to: &out}}
	if err := s.table("A | B", [][]string{{"\x1b[2J\u202ex", "1"}, {strings.Repeat("é", 1000), strings.Repeat("r", 100)}}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	if !strings.HasPrefix(lines[1], "?[2J?x ") {
		t.Errorf("%q", lines[1])
	}
	if want := strings.Repeat("é", maxCell-1) + "…  " + strings.Repeat("r", 100); lines[2] != want {
		t.Errorf("%q", lines[2])
	}
}
