package host

import (
	"context"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/deliver"
	"github.com/wellhead-io/wellhead/host/internal/event"
)

// destinationsDir is where the delivery loops keep their cursors.
func destinationsDir(dir string) string { return filepath.Join(dir, "destinations") }

// forgetRemoved returns a loop that drops the state of destinations which left
// the config a week ago, at once and every day. A disabled one has not left.
func forgetRemoved(dir string, configured []config.Destination, log *slog.Logger) func(context.Context) error {
	var names []event.DestinationID
	for i := range configured {
		names = append(names, event.DestinationID(configured[i].Name))
	}
	return func(ctx context.Context) error {
		daily := time.NewTicker(24 * time.Hour)
		defer daily.Stop()
		for {
			dropped, err := deliver.Prune(destinationsDir(dir), names, time.Now())
			if err != nil {
				log.Warn("state of removed destinations stays", "code", "prune", "reason", err)
			}
			for _, name := range dropped {
				log.Info("state of a destination dropped, which left the config a week ago", "destination", string(name))
			}
			select {
			case <-ctx.Done():
				return nil
			case <-daily.C:
			}
		}
	}
}
