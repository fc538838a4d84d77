//go:build !linux

package supervise

import (
	"context"
	"errors"
)

// bootID is not known: without it nothing of an earlier host is ended here. The
// lifeline does that.
func bootID() string { return "" }

func startTime(int) (uint64, error) { return 0, errors.ErrUnsupported }

func endOrphans(context.Context, processRecord, string) (int, error) { return 0, nil }
