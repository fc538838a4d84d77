package host

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/config"
)

func TestStateOfARemovedDestinationGoesWithoutARestart(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"disabled", "removed"} {
		if err := os.MkdirAll(filepath.Join(destinationsDir(dir), name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	here := func(name string) bool {
		_, err := os.Stat(filepath.Join(destinationsDir(dir), name))
		return err == nil
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		loop := forgetRemoved(dir, []config.Destination{{Name: "disabled"}}, slog.New(slog.DiscardHandler))
		done := make(chan error, 1)
		go func() { done <- loop(ctx) }()
		time.Sleep(6*24*time.Hour + time.Hour)
		if !here("removed") {
			t.Error("dropped within a week")
		}
		time.Sleep(2 * 24 * time.Hour)
		if here("removed") || !here("disabled") {
			t.Errorf("after more than a week: removed is here: %v, disabled: %v", here("removed"), here("disabled"))
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
