package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// sql prints what reading a table costs the plugin, with a host beside it, against
// psql and encoding/json. The measurement is a test of the host's, for its servers.
func sql(ctx context.Context, o *options) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-run", "^TestCostOfReadingATable$", "-v", "-timeout", "30m", "./host")
	cmd.Env = append(os.Environ(), "WELLHEAD_SQL_ROWS=1000000")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out[max(0, len(out)-4000):])
	}
	o.out.title("A table of PostgreSQL, read by the plugin sql into a file")
	for line := range strings.Lines(string(out)) {
		if _, cost, ok := strings.Cut(line, "cost: "); ok {
			o.out.text("%s", strings.TrimSpace(cost))
		}
	}
	return nil
}
