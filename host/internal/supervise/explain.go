package supervise

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/hashicorp/go-plugin"

	"github.com/wellhead-io/wellhead/sdk/wire"
)

const (
	hintSDK     = "build the plugin on Wellhead's sdk, or see sdk/wire for the protocol"
	hintPrint   = "a plugin must not print on standard output, which carries the handshake: let it log to standard error; or the path names another program"
	hintRebuild = "rebuild the plugin with an sdk of this host's version, or install the host that fits it"
)

// explain says why a launch did not come to the end of its handshake. The
// process has ended; c is nil where it could not be started.
func (l *launch) explain(c *child, cause error, late bool) *Error {
	if c == nil {
		return l.explainFork(cause)
	}
	line := c.greeting.printed()
	how, byItself := c.exit()
	switch fields := strings.Split(line, "|"); {
	case line == "" && byItself:
		return l.spec.exited(c, how+" before the handshake")
	case line == "" && late:
		return l.spec.fault(CodeSilent,
			fmt.Sprintf("it did not finish the handshake within %s", l.timeout),
			hintSDK+"; run "+l.spec.Path+" by hand to see whether it hangs")
	case line == "":
		return l.spec.fault(CodeHandshake, "it closed its standard output without a handshake", hintSDK)
	case !isHandshake(fields):
		return l.spec.fault(CodeNoise,
			fmt.Sprintf("it printed %q on standard output instead of the handshake", shorten(line, 80)), hintPrint)
	case fields[0] != strconv.Itoa(plugin.CoreProtocolVersion):
		return l.spec.fault(CodeVersion, fmt.Sprintf("it speaks version %s of go-plugin's protocol, the host version %d",
			fields[0], plugin.CoreProtocolVersion), hintRebuild)
	case !knows(fields[1]):
		return l.spec.fault(CodeVersion, fmt.Sprintf("it speaks version %s of the source protocol, the host %s",
			fields[1], knownVersions()), hintRebuild)
	case byItself:
		return l.spec.exited(c, how+" right after the handshake")
	case late:
		return l.spec.fault(CodeSilent,
			fmt.Sprintf("it did not answer on its gRPC socket within %s", l.timeout), hintSDK)
	default:
		e := l.spec.fault(CodeHandshake, fmt.Sprintf("handshake: %v", cause), hintSDK)
		e.Err = cause
		return e
	}
}

// explainFork says why the executable could not be run.
func (l *launch) explainFork(cause error) *Error {
	var errno syscall.Errno
	if !errors.As(cause, &errno) {
		e := l.spec.fault(CodeLaunch, fmt.Sprintf("launch: %v", cause), "look at the host's log and its limits (ulimit -a)")
		e.Err = cause
		return e
	}
	// The fork has one error for the program and for its folder.
	if _, err := os.Stat(filepath.Join(l.spec.Dir, ".")); err != nil {
		e := l.spec.fault(CodeLaunch, "its working directory: "+err.Error(), "it is the config file's folder: let the host's user enter it")
		e.Err = err
		return e
	}
	code, hint := CodeNotExecutable, ""
	switch errno {
	case syscall.ENOEXEC:
		hint = fmt.Sprintf("it is no program for this machine: build it for %s/%s", runtime.GOOS, runtime.GOARCH)
	case syscall.EACCES, syscall.EPERM:
		hint = "let the host's user execute it, and look whether the file system is mounted noexec"
	case syscall.ENOENT:
		hint = "the file is there, so its interpreter or loader is missing: look at its first line, or run ldd on it"
	default:
		code, hint = CodeLaunch, "look at the host's limits on processes, files and memory (ulimit -a)"
	}
	e := l.spec.fault(code, "it could not be run: "+errno.Error(), hint)
	e.Err = cause
	return e
}

// exited says that the process ended by itself.
func (s *Spec) exited(c *child, how string) *Error {
	message := "it " + how
	if last := c.logs.last(); last != "" {
		message += "; its last words: " + last
	}
	hint := s.lookAtLog()
	if strings.Contains(how, "SIGKILL") {
		hint = "if nobody killed it, the kernel may have for want of memory: look at dmesg"
	}
	return s.fault(CodeExited, message, hint)
}

// isHandshake tells whether a line has the form
// core version | protocol version | network | address | …
func isHandshake(fields []string) bool {
	if len(fields) < 4 {
		return false
	}
	_, core := strconv.Atoi(fields[0])
	_, app := strconv.Atoi(fields[1])
	return core == nil && app == nil
}

func knows(version string) bool {
	for v := range wire.Plugins() {
		if strconv.Itoa(v) == version {
			return true
		}
	}
	return false
}

func knownVersions() string {
	versions := slices.Sorted(maps.Keys(wire.Plugins()))
	if len(versions) == 1 {
		return fmt.Sprintf("version %d", versions[0])
	}
	return fmt.Sprintf("versions %d to %d", versions[0], versions[len(versions)-1])
}

// shorten keeps the beginning of what a plugin says, at most so many bytes and
// what marks the cut.
func shorten(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
