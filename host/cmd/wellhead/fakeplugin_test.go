package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"

	"github.com/wellhead-io/wellhead/sdk/wire"
)

// fakePlugin is the main function of a plugin that behaves, or misbehaves, as
// the variable FAKE says, which a config gives it by env:.
func fakePlugin() {
	switch os.Getenv("FAKE") {
	case "crash":
		fmt.Fprintln(os.Stderr, "the database file is gone")
		os.Exit(3)
	case "hang":
		untilHostEnds()
	case "noise":
		fmt.Println("Welcome to my plugin!")
		untilHostEnds()
	case "version":
		fmt.Println("1|99|unix|/nowhere|grpc|")
		untilHostEnds()
	case "garbage":
		garbage()
	}
	if os.Getenv(wire.EnvLifeline) != "" { // else a person has started it
		go untilHostEnds()
	}
	wire.Serve(&fake{mode: os.Getenv("FAKE")})
	// An exit would take a second under the race detector, which a clean
	// environment cannot tell otherwise.
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

// untilHostEnds exits at the end of the lifeline.
func untilHostEnds() {
	fd, err := strconv.Atoi(os.Getenv(wire.EnvLifeline))
	if err != nil {
		panic(err)
	}
	_, _ = io.Copy(io.Discard, os.NewFile(uintptr(fd), "lifeline"))
	os.Exit(0)
}

// garbage says hello as it should, and then answers with random bytes.
func garbage() {
	l, err := net.Listen("unix", os.Getenv("PLUGIN_UNIX_SOCKET_DIR")+"/s")
	if err != nil {
		panic(err)
	}
	fmt.Printf("1|1|unix|%s|grpc|\n", l.Addr())
	go untilHostEnds()
	for {
		c, err := l.Accept()
		if err != nil {
			panic(err)
		}
		_, _ = io.CopyN(c, rand.Reader, 64<<10)
		c.Close()
	}
}

// fake is a source plugin.
type fake struct {
	wire.UnimplementedSourceServer
	mode string
}

// What the fake takes under config.
const (
	fakePluginSchema = `{"type": "object", "properties": {"workers": {"type": "integer", "minimum": 1}, "region": {"enum": ["eu", "us"]}}, "additionalProperties": false}`
	fakeConfigSchema = `{"type": "object", "properties": {
		"url": {"type": "string", "format": "uri"}, "password": {"type": "string"},
		"tables": {"type": "array", "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "every": {"type": "integer"}}, "additionalProperties": false}}
	}, "additionalProperties": false}`
)

func (f *fake) Describe(context.Context, *wire.DescribeRequest) (*wire.Description, error) {
	d := &wire.Description{
		Name: "fake", Version: "1.2.3", PluginSchema: []byte(fakePluginSchema), ConfigSchema: []byte(fakeConfigSchema),
		Events: []*wire.EventSchema{{Type: "track", Event: "Row Added"}, {Type: "identify"}}, MaxSilenceMs: 90_000,
	}
	switch f.mode {
	case "listens":
		d.Listens = true
	case "plain":
		d.PluginSchema, d.ConfigSchema = nil, nil
	case "bad schema":
		d.ConfigSchema = []byte(`{"type": "objekt"}`)
	}
	return d, nil
}

func (f *fake) Check(_ context.Context, r *wire.CheckRequest) (*wire.CheckResponse, error) {
	var c struct{ Password string }
	if err := json.Unmarshal(r.GetSource().GetConfig(), &c); err != nil {
		return nil, err
	}
	if c.Password != "wrong" {
		return &wire.CheckResponse{}, nil
	}
	return &wire.CheckResponse{Problems: []*wire.Problem{{
		Code: "login", Path: "/password", Message: "the database refuses this password", Fix: "ask its owner for the right one",
	}}}, nil
}

func (f *fake) Serve(context.Context, *wire.ServeRequest) (*wire.ServeResponse, error) {
	return &wire.ServeResponse{}, nil
}

func (f *fake) Run(s wire.Source_RunServer) error {
	if _, err := s.Recv(); err != nil {
		return err
	}
	say := func(m *wire.FromSource) error { return s.Send(m) }
	if err := say(&wire.FromSource{Message: &wire.FromSource_Started{Started: &wire.Started{}}}); err != nil {
		return err
	}
	switch f.mode {
	case "flood":
		return flood(say)
	case "seq":
		// A batch out of its order, and then silence.
		if err := say(batch(7)); err != nil {
			return err
		}
	case "sick":
		health := &wire.Health{Problems: []*wire.Problem{{Code: "slow", Message: "the database is slow", Fix: "add an index"}}}
		if err := say(&wire.FromSource{Message: &wire.FromSource_Health{Health: health}}); err != nil {
			return err
		}
		progress := &wire.Progress{Stream: "people", Done: 3, Total: 9, Message: "reading"}
		if err := say(&wire.FromSource{Message: &wire.FromSource_Progress{Progress: progress}}); err != nil {
			return err
		}
	}
	for {
		m, err := s.Recv()
		if err != nil {
			return err
		}
		if m.GetDrain() != nil {
			return say(&wire.FromSource{Message: &wire.FromSource_Drained{Drained: &wire.Drained{}}})
		}
	}
}

// flood hands over batches as fast as it can and waits for nothing.
func flood(say func(*wire.FromSource) error) error {
	for seq := uint64(1); ; seq++ {
		if err := say(batch(seq)); err != nil {
			return err
		}
	}
}

func batch(seq uint64) *wire.FromSource {
	return &wire.FromSource{Message: &wire.FromSource_Batch{Batch: &wire.Batch{
		Seq: seq, Events: [][]byte{[]byte(fmt.Sprintf(`{"type":"track","event":"Flood","userId":"u","messageId":"flood-%d"}`, seq))},
	}}}
}
