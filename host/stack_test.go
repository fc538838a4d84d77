package host

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestPartsStopFromTheTopEachWithinItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []string
		s := newStack(slog.New(slog.DiscardHandler))
		for _, name := range []string{"journal", "deliver"} {
			s.run(name, time.Second, func(ctx context.Context) error {
				<-ctx.Done()
				order = append(order, name)
				return ctx.Err()
			})
		}
		release := make(chan struct{})
		s.run("plugins", time.Second, func(context.Context) error {
			<-release
			return nil
		})
		err := s.unwind()
		if want := []string{"deliver", "journal"}; !slices.Equal(order, want) {
			t.Errorf("stopped %v, want %v", order, want)
		}
		if err == nil || !strings.Contains(err.Error(), "stop plugins: not within 1s") {
			t.Errorf("error %v", err)
		}
		close(release)
	})
}

func TestALoopThatEndsByItselfIsAFailure(t *testing.T) {
	s := newStack(slog.New(slog.DiscardHandler))
	s.run("console", time.Second, func(context.Context) error { return errors.New("address in use") })
	if err := <-s.failed; err.Error() != "console: address in use" {
		t.Errorf("error %v", err)
	}
	_ = s.unwind()
}
