package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/wellhead-io/wellhead/sdk"
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
	case "syncs":
		sdk.Serve(sdk.Plugin{Name: "fake", Version: "1.2.3", Source: syncing{}})
		return
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
		"tables": {"type": "array", "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "every": {"type": "integer"}}, "additionalProperties": false}},
		"version": {"type": "string", "pattern": "^[0-9]+[.][0-9]$", "examples": ["67.0"]},
		"pause": {"anyOf": [{"const": 0}, {"type": "string"}], "examples": ["5m", "7d"]},
		"login": {"required": ["user"], "properties": {"user": {"examples": [{"name": "ada"}]}}}
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
	case "salesforce":
		d.Consent = "salesforce"
		d.ConfigSchema = []byte(`{"type": "object", "properties": {"login_url": {}, "auth": {"type": "object"}, "interval": {}}, "additionalProperties": false}`)
	case "bad schema":
		d.ConfigSchema = []byte(`{"type": "objekt"}`)
	}
	return d, nil
}

func (f *fake) Check(_ context.Context, r *wire.CheckRequest) (*wire.CheckResponse, error) {
	var c struct {
		Password string
		Auth     json.RawMessage
	}
	if err := json.Unmarshal(r.GetSource().GetConfig(), &c); err != nil {
		return nil, err
	}
	if f.mode == "salesforce" && (c.Auth != nil || r.GetAccessToken() == "" || r.GetInstanceUrl() == "") {
		return nil, errors.New("it has the host's secrets, or no token")
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
	start, err := s.Recv()
	if err != nil {
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
	case "salesforce":
		if strings.Contains(string(start.GetStart().GetSource().GetConfig()), "auth") {
			return errors.New("it has the host's secrets")
		}
		return useTokens(s)
	case "groups":
		if err := say(groups()); err != nil {
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

// useTokens tells in its health what the API says of the token that it gets, and
// rejects each that is refused, until there is none.
func useTokens(s wire.Source_RunServer) error {
	for {
		if err := s.Send(&wire.FromSource{Message: &wire.FromSource_TokenRequest{TokenRequest: &wire.TokenRequest{}}}); err != nil {
			return err
		}
		m, err := s.Recv()
		if err != nil {
			return err
		}
		t := m.GetToken()
		switch {
		case m.GetDrain() != nil:
			return s.Send(&wire.FromSource{Message: &wire.FromSource_Drained{Drained: &wire.Drained{}}})
		case t.GetError() == wire.NeedsConsent:
			return errors.New("needs consent")
		}
		said := t.GetError()
		if said == "" {
			if said, err = askAPI(s.Context(), t); err != nil {
				return err
			}
			if said != "200 OK" {
				if err := s.Send(&wire.FromSource{Message: &wire.FromSource_TokenRejected{TokenRejected: &wire.TokenRejected{AccessToken: t.GetAccessToken()}}}); err != nil {
					return err
				}
			}
		}
		health := &wire.Health{Problems: []*wire.Problem{{Code: "api", Message: "the API says " + said}}}
		if err := s.Send(&wire.FromSource{Message: &wire.FromSource_Health{Health: health}}); err != nil {
			return err
		}
		select {
		case <-time.After(200 * time.Millisecond): // as a source that polls
		case <-s.Context().Done():
			return s.Context().Err()
		}
	}
}

func askAPI(ctx context.Context, t *wire.Token) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.GetInstanceUrl()+"/services/data/v60.0/limits", http.NoBody)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+t.GetAccessToken())
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	return res.Status, res.Body.Close()
}

// flood hands over batches as fast as it can and waits for nothing.
func flood(say func(*wire.FromSource) error) error {
	for seq := uint64(1); ; seq++ {
		if err := say(batch(seq)); err != nil {
			return err
		}
	}
}

// groups is a batch of two groups of two events. Of the second the gate refuses
// the last.
func groups() *wire.FromSource {
	m := batch(1)
	b := m.GetBatch()
	b.Events = [][]byte{
		[]byte(`{"type":"identify","userId":"u-1","messageId":"good-1"}`),
		[]byte(`{"type":"track","event":"Row Added","userId":"u-1","messageId":"good-2"}`),
		[]byte(`{"type":"identify","userId":"u-2","messageId":"bad-1"}`),
		[]byte(`{"type":"track","userId":"u-2","messageId":"bad-2"}`),
	}
	b.Groups = []*wire.Group{
		{First: 0, Count: 2, Attachment: []byte(`{"method":"PUT","path":"/api/v1/customers/u-1"}`)},
		{First: 2, Count: 2, Attachment: []byte(`{"method":"PUT","path":"/api/v1/customers/u-2"}`)},
	}
	return m
}

func batch(seq uint64) *wire.FromSource {
	return &wire.FromSource{Message: &wire.FromSource_Batch{Batch: &wire.Batch{
		Seq: seq, Events: [][]byte{[]byte(fmt.Sprintf(`{"type":"track","event":"Flood","userId":"u","messageId":"flood-%d"}`, seq))},
	}}}
}
