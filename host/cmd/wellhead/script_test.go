package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// The scripts under testdata/script read as a session at a shell. The test
// binary is wellhead, and the plugin that it launches, and a client of the
// console.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"wellhead":   main,
		"fakeplugin": fakePlugin,
		"get":        get,
		"code":       code,
		"simulator":  simulator,
		"org":        orgAdmin,
		"xdg-open":   browse,
	})
}

func TestScripts(t *testing.T) { testscript.Run(t, scripts("testdata/script")) }

// scripts are those in a folder, and what they have.
func scripts(dir string) testscript.Params {
	return testscript.Params{
		Dir:                 dir,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			plugin, err := exec.LookPath("fakeplugin")
			if err != nil {
				return err
			}
			env.Setenv("FAKEPLUGIN", plugin)
			// The race detector would sleep for a second at the end of each command.
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			for _, name := range []string{"CONSOLE", "LISTEN", "ORG"} {
				addr, err := freeAddr()
				if err != nil {
					return err
				}
				env.Setenv(name, addr)
			}
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name != "hangup" {
				return false, fmt.Errorf("no condition %s", name)
			}
			return !signal.Ignored(syscall.SIGHUP), nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"until": until},
	}
}

// until runs a command again and again until its output matches: until REGEXP
// COMMAND ARG…
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until REGEXP COMMAND ARG...")
	}
	want := regexp.MustCompile("(?m)" + args[0])
	patience, again := time.After(60*time.Second), time.NewTicker(50*time.Millisecond)
	defer again.Stop()
	for {
		err := ts.Exec(args[1], args[2:]...)
		out := ts.ReadFile("stdout") + ts.ReadFile("stderr")
		if want.MatchString(out) {
			return
		}
		select {
		case <-again.C:
		case <-patience:
			ts.Fatalf("no output matches %s; the last one (%v) is:\n%s", args[0], err, out)
		}
	}
}

// code runs a command and says whether its exit code is the one that is wanted:
// code N COMMAND ARG… In its output $WORK stands for the script's folder.
func code() {
	var out, errs bytes.Buffer
	cmd := exec.Command(os.Args[2], os.Args[3:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, &out, &errs
	_ = cmd.Run() // its exit code tells
	for _, stream := range []struct {
		from *bytes.Buffer
		to   *os.File
	}{{&out, os.Stdout}, {&errs, os.Stderr}} {
		_, _ = stream.to.Write(bytes.ReplaceAll(stream.from.Bytes(), []byte(os.Getenv("WORK")), []byte("$WORK")))
	}
	if got := strconv.Itoa(cmd.ProcessState.ExitCode()); got != os.Args[1] {
		fmt.Fprintf(os.Stderr, "exit code %s, want %s\n", got, os.Args[1])
		os.Exit(1)
	}
}

// get prints status and body of a URL.
func get() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, os.Args[1], nil)
	if err != nil {
		panic(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	defer res.Body.Close()
	fmt.Println(res.StatusCode)
	_, _ = io.Copy(os.Stdout, res.Body)
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
