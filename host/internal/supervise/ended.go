package supervise

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// errSilent is the cause of an Error about a source that said nothing for too long.
var errSilent = errors.New("silent")

// errDrainLate ends a stream that was not drained in time.
var errDrainLate = errors.New("not drained in time")

// processExit is how long a broken stream waits to learn that its process ended.
const processExit = time.Second

// intakeFault says that the host's own side of a stream failed.
func (s *source) intakeFault(operation string, err error) *Error {
	e := s.fault(CodeSourceIntake, operation+": "+err.Error(), "look at the host's own health")
	e.Err = err
	return e
}

func (s *stream) protocol(what string) *Error {
	return s.source.fault(CodeSourceProtocol, what, "it breaks the wire protocol: tell the plugin's author")
}

// ended says why the plugin's end of a stream is closed.
func (s *source) ended(err error) *Error {
	if errors.Is(err, io.EOF) {
		return s.fault(CodeSourceEnded, "its Run returned without being asked to", s.tenure.entry.spec.lookAtLog())
	}
	code, hint := CodeSourceFailed, ""
	if status.Code(err) == codes.ResourceExhausted {
		hint = "if a batch is too large: raise limits.request, or let the plugin send smaller ones"
	}
	e := s.fault(code, rpcMessage(err), hint)
	e.Err = err
	return e
}

// processEnds tells whether a stream broke because its process ends. A source is
// not to be blamed for it.
func (s *source) processEnds(ctx context.Context, err error) bool {
	if status.Code(errors.Unwrap(err)) != codes.Unavailable {
		return false
	}
	select {
	case <-ctx.Done():
		return true
	case <-s.tenure.process.child.done:
		return true
	case <-time.After(processExit):
		return false
	}
}

// rpcMessage is what the other end said, without gRPC's wrapping.
func rpcMessage(err error) string {
	st, ok := status.FromError(err)
	if !ok {
		return err.Error()
	}
	message := shorten(st.Message(), maxText)
	if st.Code() == codes.Unknown || st.Code() == codes.OK {
		return message
	}
	return message + " (" + st.Code().String() + ")"
}

// callMessage is rpcMessage for a call with a time bound.
func callMessage(err error, timeout time.Duration) string {
	if status.Code(err) == codes.DeadlineExceeded {
		return "no answer within " + timeout.String()
	}
	return rpcMessage(err)
}
