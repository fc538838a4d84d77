package console

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"
)

// Codes of the admin API's errors. They are stable. Besides, a Send has the
// reasons for which nothing is stored, as the wire protocol names them, and a
// consent the codes of what stands against it.
const (
	CodeBadRequest         = "bad_request"
	CodeUnknownSource      = "unknown_source"
	CodeUnknownDestination = "unknown_destination"
	CodeUnknownSync        = "unknown_sync"
	CodeNotFound           = "not_found"
	CodeTooLarge           = "too_large"
	CodeInternal           = "internal"
)

// Error is why the host did not do what it was asked for.
type Error struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	// RetryAfter is after how long asking again may help; 0: it does not.
	RetryAfter time.Duration `json:"-"`
}

// Error writes everything on one line: what, remedy and code.
func (e *Error) Error() string {
	s := e.Message
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s + " [" + e.Code + "]"
}

func (e *Error) status() int {
	switch e.Code {
	case CodeBadRequest:
		return http.StatusBadRequest
	case CodeUnknownSource, CodeUnknownDestination, CodeUnknownSync, CodeNotFound:
		return http.StatusNotFound
	case CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case CodeInternal:
		return http.StatusInternalServerError
	}
	if e.RetryAfter > 0 {
		return http.StatusServiceUnavailable
	}
	return http.StatusConflict
}

// answerError tells a client why it gets nothing.
func answerError(w http.ResponseWriter, log *slog.Logger, err error) {
	var e *Error
	if !errors.As(err, &e) {
		log.Warn("admin API: a request failed", "error", err)
		e = &Error{Code: CodeInternal, Message: err.Error(), Hint: "look at the host's log"}
	}
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
	answer(w, e.status(), e)
}

// answer writes v as JSON.
func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// What cannot be written has nobody to read it.
	_ = encoder(w).Encode(v)
}

// encoder writes JSON values, one a line, with the characters of events as they
// are.
func encoder(w io.Writer) *json.Encoder {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e
}
