package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/sdk/wire"
)

// checkTimeout bounds Check and Discover of one source, which speak with services
// outside.
const checkTimeout = 30 * time.Second

// Visit launches a plugin for one purpose: it is described, used by f, and
// ended. It gets no socket and runs no source. No host need run, and one that
// does is not disturbed. An error of the plugin is an *Error.
func Visit(ctx context.Context, spec Spec, log *slog.Logger,
	f func(context.Context, *wire.Description, wire.SourceClient) error,
) error {
	spec.Limits = spec.Limits.orDefault()
	timing := DefaultTiming()
	sockets, err := socketFolder()
	if err != nil {
		return err
	}
	// What is not removed takes some bytes of a temporary folder.
	defer func() { _ = os.RemoveAll(sockets) }()
	var forks sync.WaitGroup
	launching, stop := context.WithCancel(context.WithoutCancel(ctx))
	launcher := newLauncher()
	forks.Go(func() { launcher.run(launching) })
	defer forks.Wait()
	defer stop()

	l := &launch{
		spec: &spec, launcher: launcher, sockets: sockets, timeout: timing.Handshake,
		logs:     newLogSink(log.With("plugin", string(spec.Name))),
		launched: func(int) {},
	}
	p, err := l.start(ctx)
	if err != nil {
		return notLogged(&spec, err)
	}
	defer p.end(timing.Grace)
	d, err := describe(ctx, &spec, p.rpc, timing.Call)
	if err != nil {
		return err
	}
	return f(ctx, d, p.rpc)
}

// notLogged gives another remedy to an error whose remedy is the host's log: a
// plugin that is visited has none.
func notLogged(spec *Spec, err error) error {
	var e *Error
	if errors.As(err, &e) && e.Hint == spec.lookAtLog() {
		e.Hint = fmt.Sprintf("it gets no environment but plugins.%s.env", spec.Name)
	}
	return err
}

// Describe asks a plugin what it is.
func Describe(ctx context.Context, spec Spec, log *slog.Logger) (*wire.Description, error) {
	var description *wire.Description
	err := Visit(ctx, spec, log, func(_ context.Context, d *wire.Description, _ wire.SourceClient) error {
		description = d
		return nil
	})
	return description, err
}

// Checked is what a plugin found when it looked at a source's settings.
type Checked struct {
	Problems []Problem
	Samples  []Sample
}

// Sample is what the first records of a sync would become: events in JSON.
type Sample struct {
	Sync   string
	Events [][]byte
}

// maxSamples bounds the samples of a source; each is bounded by the size of the
// plugin's answer.
const maxSamples = 256

func samples(list []*wire.Sample) []Sample {
	var out []Sample
	for _, s := range list[:min(len(list), maxSamples)] {
		out = append(out, Sample{shorten(s.GetName(), maxText), s.GetEvents()})
	}
	return out
}

// Check asks a plugin to look at each source's settings from outside. It returns
// what it found by source; a source without an entry has no problems. Token gives the
// access token of a source, or nil; it may be nil itself.
func Check(ctx context.Context, spec Spec, log *slog.Logger, token func(event.SourceID) *wire.Token,
) (map[event.SourceID]Checked, error) {
	found := map[event.SourceID]Checked{}
	err := Visit(ctx, spec, log, func(ctx context.Context, d *wire.Description, rpc wire.SourceClient) error {
		var faults []error
		for i := range spec.Sources {
			source := &spec.Sources[i]
			request := &wire.CheckRequest{Source: spec.sourceConfig(source, d)}
			if token != nil {
				t := token(source.ID)
				request.AccessToken, request.InstanceUrl = t.GetAccessToken(), t.GetInstanceUrl()
			}
			answer, err := checkSource(ctx, rpc, request)
			if err != nil {
				e := spec.sourceFault(source.ID, CodeSourceFailed, "Check: "+rpcMessage(err), "")
				e.Err = err
				faults = append(faults, e)
				continue
			}
			if c := (Checked{problems(answer.GetProblems()), samples(answer.GetSamples())}); len(c.Problems) > 0 || len(c.Samples) > 0 {
				found[source.ID] = c
			}
		}
		return errors.Join(faults...)
	})
	return found, err
}

func checkSource(ctx context.Context, rpc wire.SourceClient, request *wire.CheckRequest) (*wire.CheckResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	return rpc.Check(ctx, request)
}

// Stream is one thing that a source could read.
type Stream struct {
	Name, Title string
	Schema      []byte // JSON Schema of one record; nil: not told
}

// Discover asks a plugin what its only source could read or, where stream is
// not empty, about that one. The token may be nil.
func Discover(ctx context.Context, spec Spec, log *slog.Logger, token *wire.Token, stream string) ([]Stream, error) {
	var found []Stream
	err := Visit(ctx, spec, log, func(ctx context.Context, d *wire.Description, rpc wire.SourceClient) error {
		source := &spec.Sources[0]
		ctx, cancel := context.WithTimeout(ctx, checkTimeout)
		defer cancel()
		answer, err := rpc.Discover(ctx, &wire.DiscoverRequest{
			Source: spec.sourceConfig(source, d), AccessToken: token.GetAccessToken(), InstanceUrl: token.GetInstanceUrl(), Stream: stream,
		})
		switch {
		case status.Code(err) == codes.Unimplemented:
			return spec.sourceFault(source.ID, CodeNothingToDiscover, fmt.Sprintf("its plugin %s cannot tell what there is to read", spec.Name), "")
		case err != nil:
			e := spec.sourceFault(source.ID, CodeSourceFailed, rpcMessage(err), "")
			e.Err = err
			return e
		}
		for _, s := range answer.GetStreams() {
			if stream == "" || s.GetName() == stream || len(answer.GetStreams()) == 1 {
				found = append(found, Stream{s.GetName(), s.GetTitle(), s.GetSchema()})
			}
		}
		return nil
	})
	return found, err
}
