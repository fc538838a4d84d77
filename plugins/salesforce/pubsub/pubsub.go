// Package pubsub hears of an object's changes as they happen: Change Data
// Capture by Salesforce's Pub/Sub API. It tells which records changed and when.
// What they changed to is read from the org: an event holds only the changed
// fields, no formulas, and nothing at all where it tells of a gap.
package pubsub

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/wellhead-io/wellhead/plugins/salesforce/eventbus"
	"github.com/wellhead-io/wellhead/sdk"
)

var (
	// ErrGap means that the place from which to go on is not known any more:
	// changes since then have to be read in another way.
	ErrGap = errors.New("the change events since the last one have expired")
	// ErrTopic means that there are no change events of the object.
	ErrTopic = errors.New("no change events of the object")
	// ErrSilent means that not even a keepalive came.
	ErrSilent = errors.New("the subscription is silent")
	// ErrAuth means that the access token was not taken; the next one may be.
	ErrAuth = errors.New("the access token was refused")
	// ErrLimit means that the org's events of 24 hours are used up.
	ErrLimit = errors.New("the org's event delivery limit is reached")
)

const (
	// requested is the most events that are on their way.
	requested = 100
	// maxMessage bounds an answer: 100 events of 1 MB are allowed, though
	// Salesforce sends at most 3 MB at once.
	maxMessage = 16 << 20
	// silence is longer than the 270 s within which Salesforce sends a
	// keepalive.
	silence = 300 * time.Second
)

// Options of a Conn.
type Options struct {
	Endpoint  string // host:port
	Plaintext bool   // without TLS
	CAFile    string // of certificates to trust; empty: the system's
	Org       string // the org's id
	// Token returns the access token in use, and Reject replaces it.
	Token  func(context.Context) (sdk.Token, error)
	Reject func(sdk.Token)
	// Silence is the time without an answer after which a subscription ends; 0:
	// 300 s.
	Silence time.Duration
}

// Conn is a connection to the Pub/Sub API.
type Conn struct {
	Options
	grpc    *grpc.ClientConn
	api     eventbus.PubSubClient
	schemas schemas
}

// Dial makes a connection; it is opened when it is needed.
func Dial(o Options) (*Conn, error) {
	creds := insecure.NewCredentials()
	if !o.Plaintext {
		c := &tls.Config{MinVersion: tls.VersionTLS12}
		if o.CAFile != "" {
			pem, err := os.ReadFile(o.CAFile)
			if err != nil {
				return nil, err
			}
			c.RootCAs = x509.NewCertPool()
			if !c.RootCAs.AppendCertsFromPEM(pem) {
				return nil, fmt.Errorf("%s holds no certificate", o.CAFile)
			}
		}
		creds = credentials.NewTLS(c)
	}
	conn, err := grpc.NewClient(o.Endpoint, grpc.WithTransportCredentials(creds), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)))
	if err != nil {
		return nil, err
	}
	if o.Silence == 0 {
		o.Silence = silence
	}
	c := &Conn{Options: o, grpc: conn, api: eventbus.NewPubSubClient(conn)}
	c.schemas.fetch = c.schema
	return c, nil
}

// Reach looks whether the API answers at the endpoint. It sends no token: that it
// is refused will do. Bound it by ctx.
func (c *Conn) Reach(ctx context.Context) error {
	_, err := c.api.GetTopic(ctx, &eventbus.TopicRequest{TopicName: Topic("Account")})
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded:
		return errors.New(status.Convert(err).Message())
	}
	return nil
}

// Close ends the connection.
func (c *Conn) Close() { _ = c.grpc.Close() }

// Topic is that of an object's changes.
func Topic(object string) string {
	if name, custom := strings.CutSuffix(object, "__c"); custom {
		return "/data/" + name + "__ChangeEvent"
	}
	return "/data/" + object + "ChangeEvent"
}

// Change is one event.
type Change struct {
	Object string
	IDs    []string
	Time   time.Time // of the commit
	// All means that more records changed than are named: a transaction of over
	// 100,000 changes, or an event that cannot be read.
	All bool
	// Unchanged are the fields that the event could tell of and that are as they
	// were; nil: it is not known.
	Unchanged map[string]bool
}

// Subscribe hears of a topic's changes behind a place, nil being now. handle
// gets what came, possibly nothing, and the place behind it; more is asked for
// when it returns, so that what is on its way stays bounded. Subscribe returns
// when ctx ends or the stream does: it is called again then.
func (c *Conn) Subscribe(ctx context.Context, topic string, replay []byte, handle func([]Change, []byte) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ctx, token, err := c.authorize(ctx)
	if err != nil {
		return err
	}
	silent := errors.New("silent")
	ctx, stop := context.WithCancelCause(ctx)
	watchdog := time.AfterFunc(c.Silence, func() { stop(silent) })
	defer watchdog.Stop()
	stream, err := c.api.Subscribe(ctx)
	if err != nil {
		return c.judge(err, nil, token)
	}
	first := &eventbus.FetchRequest{TopicName: topic, ReplayPreset: eventbus.ReplayPreset_LATEST, NumRequested: requested}
	if replay != nil {
		first.ReplayPreset, first.ReplayId = eventbus.ReplayPreset_CUSTOM, replay
	}
	err = stream.Send(first)
	for err == nil {
		var r *eventbus.FetchResponse
		watchdog.Reset(c.Silence)
		if r, err = stream.Recv(); err != nil {
			break
		}
		watchdog.Stop() // handle may take its time
		var changes []Change
		place := r.GetLatestReplayId()
		for _, e := range r.GetEvents() {
			change, err := c.schemas.read(ctx, e.GetEvent())
			if err != nil && ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				change = Change{All: true}
			}
			changes = append(changes, change)
			place = e.GetReplayId()
		}
		if err := handle(changes, place); err != nil {
			return err
		}
		if want := requested - r.GetPendingNumRequested(); want > requested/2 || r.GetPendingNumRequested() == 0 {
			err = stream.Send(&eventbus.FetchRequest{TopicName: topic, NumRequested: want})
		}
	}
	if errors.Is(context.Cause(ctx), silent) {
		return ErrSilent
	}
	if err != nil && status.Code(err) == codes.Unknown {
		_, err = stream.Recv() // of a failed Send the answer has the reason
	}
	return c.judge(err, stream.Trailer(), token)
}

// authorize puts into ctx what every call needs.
func (c *Conn) authorize(ctx context.Context) (context.Context, sdk.Token, error) {
	t, err := c.Token(ctx)
	if err != nil {
		return nil, t, err
	}
	return metadata.AppendToOutgoingContext(ctx, "accesstoken", t.AccessToken, "instanceurl", t.InstanceURL, "tenantid", c.Org), t, nil
}

func (c *Conn) schema(ctx context.Context, id string) (string, error) {
	info, err := c.api.GetSchema(ctx, &eventbus.SchemaRequest{SchemaId: id})
	if err != nil {
		return "", err
	}
	return info.GetSchemaJson(), nil
}

// judge makes an error of this package's of the end of a stream.
func (c *Conn) judge(err error, trailer metadata.MD, token sdk.Token) error {
	code := strings.Join(trailer.Get("error-code"), " ")
	reason := status.Convert(err).Message()
	if i := strings.Index(reason, "rpcId"); i > 0 {
		reason = strings.TrimSpace(reason[:i])
	}
	if len(reason) > 300 {
		reason = reason[:300]
	}
	kind := error(nil)
	switch {
	case strings.Contains(code, "replayid"):
		kind = ErrGap
	case strings.Contains(code, "topic"):
		kind = ErrTopic
	case strings.Contains(code, "limit"):
		kind = ErrLimit
	case strings.Contains(code, "auth"), status.Code(err) == codes.Unauthenticated:
		c.Reject(token)
		kind = ErrAuth
	case status.Code(err) == codes.NotFound, status.Code(err) == codes.PermissionDenied:
		kind = ErrTopic
	}
	if kind == nil {
		return fmt.Errorf("change events: %s: %s", status.Code(err), reason)
	}
	return fmt.Errorf("%w: %s", kind, reason)
}
