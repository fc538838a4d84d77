// Command conduit is the boundary of Conduit's standalone connectors by itself:
// a connector, in a process of its own, hands records to a host by Conduit's
// connector protocol, and the host acknowledges each. Nothing is judged, kept or
// delivered. Without arguments it is the connector; with -host FILE it is the
// host, and the connector's records hold what FILE holds.
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/conduitio/conduit-commons/opencdc"
	"github.com/conduitio/conduit-connector-protocol/pconnector"
	"github.com/conduitio/conduit-connector-protocol/pconnector/client"
	"github.com/conduitio/conduit-connector-protocol/pconnector/server"
	clientv2 "github.com/conduitio/conduit-connector-protocol/pconnector/v2/client"
	"github.com/hashicorp/go-hclog"
)

// batch is how many records are handed over at once.
const batch = 100

func main() {
	file := flag.String("host", "", "be the host, and let records hold what this file holds")
	flag.Parse()
	if err := run(*file); err != nil {
		log.Fatal(err)
	}
}

func run(file string) error {
	if file == "" {
		return server.Serve(
			func() pconnector.SpecifierPlugin { return specifier{} },
			func() pconnector.SourcePlugin { return &source{} },
			func() pconnector.DestinationPlugin { return nil },
		)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := host(ctx, file); ctx.Err() == nil {
		return err
	}
	return nil
}

// host launches the connector and prints, again and again, how many records it
// has acknowledged. When ctx ends it ends the connector too.
func host(ctx context.Context, file string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	launched, err := client.New(hclog.NewNullLogger(), self,
		client.WithEnvVar(pconnector.EnvConduitConnectorID, "bench"),
		client.WithEnvVar(recordFile, file))
	if err != nil {
		return err
	}
	defer launched.Kill()
	rpc, err := launched.Client()
	if err != nil {
		return err
	}
	dispensed, err := rpc.Dispense("source")
	if err != nil {
		return err
	}
	src, ok := dispensed.(pconnector.SourcePlugin)
	if !ok {
		return fmt.Errorf("the connector's source is a %T", dispensed)
	}
	if _, err := src.Configure(ctx, pconnector.SourceConfigureRequest{}); err != nil {
		return err
	}
	if _, err := src.Open(ctx, pconnector.SourceOpenRequest{}); err != nil {
		return err
	}
	stream := src.(*clientv2.SourcePluginClient).NewStream()
	if err := src.Run(ctx, stream); err != nil {
		return err
	}
	var acked atomic.Uint64
	go func() {
		for range time.Tick(20 * time.Millisecond) {
			fmt.Println(acked.Load())
		}
	}()
	for {
		got, err := stream.Client().Recv()
		if err != nil {
			return err
		}
		positions := make([]opencdc.Position, len(got.Records))
		for i := range got.Records {
			positions[i] = got.Records[i].Position
		}
		if err := stream.Client().Send(pconnector.SourceRunRequest{AckPositions: positions}); err != nil {
			return err
		}
		acked.Add(uint64(len(positions)))
	}
}

// recordFile names the environment variable of the connector that says where
// what a record holds is.
const recordFile = "BENCH_RECORD"

type specifier struct{}

func (specifier) Specify(context.Context, pconnector.SpecifierSpecifyRequest) (pconnector.SpecifierSpecifyResponse, error) {
	return pconnector.SpecifierSpecifyResponse{Specification: pconnector.Specification{Name: "bench"}}, nil
}

// source hands over records as fast as its stream takes them.
type source struct {
	pconnector.SourcePlugin
}

func (*source) Configure(context.Context, pconnector.SourceConfigureRequest) (pconnector.SourceConfigureResponse, error) {
	return pconnector.SourceConfigureResponse{}, nil
}

func (*source) Open(context.Context, pconnector.SourceOpenRequest) (pconnector.SourceOpenResponse, error) {
	return pconnector.SourceOpenResponse{}, nil
}

func (s *source) Run(ctx context.Context, run pconnector.SourceRunStream) error {
	data, err := os.ReadFile(os.Getenv(recordFile))
	if err != nil {
		return err
	}
	stream := run.Server()
	lost := make(chan error, 1)
	go func() {
		for {
			if _, err := stream.Recv(); err != nil {
				lost <- err
				return
			}
		}
	}()
	for n := uint64(0); ; {
		records := make([]opencdc.Record, batch)
		for i := range records {
			n++
			records[i] = opencdc.Record{
				Position:  binary.BigEndian.AppendUint64(nil, n),
				Operation: opencdc.OperationCreate,
				Payload:   opencdc.Change{After: opencdc.RawData(data)},
			}
		}
		if err := stream.Send(pconnector.SourceRunResponse{Records: records}); err != nil {
			return errors.Join(err, ctx.Err())
		}
		select {
		case err := <-lost:
			return err
		default:
		}
	}
}
