package host

import (
	"context"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/supervise"
)

// Discovered is what a source could read.
type Discovered struct {
	Streams []supervise.Stream
	// Asked is when the service told it; zero: now.
	Asked time.Time
}

// Discover asks a source's plugin, launched for it, what the source could read or,
// where stream is not empty, about that one. What a service that people grant
// access to told in the last DiscoveredFor is told again, unless it is to be fresh.
func Discover(ctx context.Context, c *config.Config, source, stream string, fresh bool) (Discovered, error) {
	a, d, err := askSource(ctx, c, source)
	if err != nil {
		return Discovered{}, err
	}
	if err := a.fits(d); err != nil {
		return Discovered{}, err
	}
	kept := a.keptAnswer(ctx, d, stream)
	if !fresh {
		if known, ok := kept.read(time.Now()); ok {
			return known, nil
		}
	}
	tokens, err := a.tokens(ctx, d)
	if err != nil {
		return Discovered{}, err
	}
	found, err := supervise.Discover(ctx, *a.spec, a.log, tokens[event.SourceID(source)], stream)
	if err == nil && len(found) > 0 {
		kept.write(found, time.Now())
	}
	return Discovered{Streams: found}, config.Join(a.problem(err))
}
