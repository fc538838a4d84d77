package supervise

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// Codes of what can go wrong with a plugin or a source. They are stable:
// operators and tests match on them.
const (
	CodeMissing       = "plugin_missing"
	CodeNotExecutable = "plugin_not_executable"
	CodeChecksum      = "plugin_checksum"
	CodeLaunch        = "plugin_launch"
	CodeExited        = "plugin_exited"
	CodeNoise         = "plugin_noise"
	CodeHandshake     = "plugin_handshake"
	CodeVersion       = "plugin_version"
	CodeSilent        = "plugin_silent"
	CodeDescribe      = "plugin_describe"
	CodeConfig        = "plugin_config"
	CodeConnection    = "plugin_connection"
	CodeServe         = "plugin_serve"
	CodeProbe         = "plugin_probe"
	CodeListen        = "plugin_listen"
	CodeCertificate   = "plugin_certificate"
	CodeCrashLoop     = "plugin_crash_loop"
	CodeNotRunning    = "plugin_not_running"
	CodeOrphan        = "plugin_orphan"

	CodeSourceFailed = "source_failed"
	// CodeNothingToDiscover is of a source whose plugin has no Discover.
	CodeNothingToDiscover = "nothing_to_discover"
	CodeSourceEnded       = "source_ended"
	CodeSourceSilent      = "source_silent"
	CodeSourceProtocol    = "source_protocol"
	CodeSourceIntake      = "source_intake"
	CodeSourceDrain       = "source_drain"

	// Why a source did not do what it was asked for; a source has codes of its own
	// besides.
	CodeCommandNotRunning = "command_not_running"
	CodeCommandUnanswered = "command_unanswered"
	CodeCommandRefused    = "command_refused"
)

// Error tells an operator what is wrong with a plugin or one of its sources,
// where, and what to do.
type Error struct {
	Code    string         `json:"code"`
	Plugin  event.PluginID `json:"plugin"`
	Source  event.SourceID `json:"source,omitempty"` // empty: the plugin as a whole
	Path    string         `json:"path,omitempty"`   // of the executable
	Message string         `json:"message"`
	Hint    string         `json:"hint,omitempty"`
	// Err is the cause that other packages may match on; nil: none.
	Err error `json:"-"`
}

// Error writes everything on one line: place, what, remedy and code.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "plugin %s", e.Plugin)
	if e.Path != "" {
		fmt.Fprintf(&b, " (%s)", e.Path)
	}
	if e.Source != "" {
		fmt.Fprintf(&b, ": source %s", e.Source)
	}
	b.WriteString(": " + e.Message)
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	b.WriteString(" [" + e.Code + "]")
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// hint is the remedy as an attribute of a log line, which has none where there is
// none.
func (e *Error) hint() slog.Attr {
	if e.Hint == "" {
		return slog.Attr{}
	}
	return slog.String("hint", e.Hint)
}

// lookAtLog is the remedy where only the plugin's own log may know more.
func (s *Spec) lookAtLog() string {
	return fmt.Sprintf("look in the host's log for plugin=%s", s.Name)
}

// fault makes an Error about the plugin as a whole.
func (s *Spec) fault(code, message, hint string) *Error {
	return &Error{Code: code, Plugin: s.Name, Path: s.Path, Message: message, Hint: hint}
}

// sourceFault makes an Error about one source.
func (s *Spec) sourceFault(source event.SourceID, code, message, hint string) *Error {
	return &Error{Code: code, Plugin: s.Name, Source: source, Message: message, Hint: hint}
}
