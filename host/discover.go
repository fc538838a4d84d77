package host

import (
	"context"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/supervise"
)

// Discover asks a source's plugin, launched for it, what the source could read or,
// where stream is not empty, about that one.
func Discover(ctx context.Context, c *config.Config, source, stream string) ([]supervise.Stream, error) {
	a, d, err := askSource(ctx, c, source)
	if err != nil {
		return nil, err
	}
	if err := a.fits(d); err != nil {
		return nil, err
	}
	tokens, err := a.tokens(ctx, d)
	if err != nil {
		return nil, err
	}
	found, err := supervise.Discover(ctx, *a.spec, a.log, tokens[event.SourceID(source)], stream)
	return found, config.Join(a.problem(err))
}
