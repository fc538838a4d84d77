package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// Bounds on one Send. A client that has more sends it in parts.
const (
	MaxSendBytes  = 16 << 20
	MaxSendEvents = 1000
)

const (
	// sendTimeout is for the body of a Send and its verdict.
	sendTimeout = time.Minute
	// slowReader is how long a tail may take to read one write.
	slowReader = 10 * time.Second
)

// admin answers on the socket.
type admin struct {
	host Host
	log  *slog.Logger
}

func adminHandler(h Host, log *slog.Logger) http.Handler {
	a := admin{h, log}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, h.Status()) })
	mux.HandleFunc("POST /send/{source}", a.send)
	mux.HandleFunc("GET /tail", a.tail)
	mux.HandleFunc("GET /quarantine", a.quarantine)
	mux.HandleFunc("GET /quarantine/{id...}", a.entry)
	a.consentRoutes(mux)
	mux.HandleFunc("GET /syncs/{source}", a.syncs)
	mux.HandleFunc("POST /syncs/{source}/{action}", a.syncCommand)
	return mux
}

func (a admin) send(w http.ResponseWriter, r *http.Request) {
	// It fails only where there is no connection to wait for.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(sendTimeout))
	ctx, cancel := context.WithTimeout(r.Context(), sendTimeout)
	defer cancel()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxSendBytes))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		answerError(w, a.log, &Error{Code: CodeTooLarge, Message: fmt.Sprintf("more than %d bytes", MaxSendBytes), Hint: "send it in parts"})
		return
	case err != nil:
		answerError(w, a.log, &Error{Code: CodeBadRequest, Message: "read the body: " + err.Error()})
		return
	}
	events := nonEmptyLines(body)
	if len(events) > MaxSendEvents {
		answerError(w, a.log, &Error{Code: CodeTooLarge, Message: fmt.Sprintf("more than %d events", MaxSendEvents), Hint: "send them in parts"})
		return
	}
	verdict, err := a.host.Send(ctx, event.SourceID(r.PathValue("source")), events)
	if err != nil {
		answerError(w, a.log, err)
		return
	}
	answer(w, http.StatusOK, verdict)
}

func nonEmptyLines(body []byte) [][]byte {
	var out [][]byte
	for line := range bytes.Lines(body) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			out = append(out, line)
		}
	}
	return out
}

func (a admin) tail(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f := TailFilter{
		Source: event.SourceID(q.Get("source")), Type: event.Type(q.Get("type")),
		Event: q.Get("event"), Refused: isSet(q, "refused"),
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	rc := http.NewResponseController(w)
	lines := encoder(w)
	err := a.host.Tail(r.Context(), f, func(records []Record) error {
		if err := rc.SetWriteDeadline(time.Now().Add(slowReader)); err != nil {
			return err
		}
		for i := range records {
			if err := lines.Encode(&records[i]); err != nil {
				return err
			}
		}
		return rc.Flush()
	})
	var refused *Error
	if errors.As(err, &refused) { // before the first record
		answerError(w, a.log, err)
		return
	}
	a.log.Debug("admin API: a tail has ended", "error", err)
}

func (a admin) quarantine(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f, err := parseFilter(q)
	if err != nil {
		answerError(w, a.log, err)
		return
	}
	var found any
	if isSet(q, "group") {
		found, err = a.host.QuarantineGroups(r.Context(), f)
	} else {
		found, err = a.host.Quarantine(r.Context(), f)
	}
	if err != nil {
		answerError(w, a.log, err)
		return
	}
	answer(w, http.StatusOK, found)
}

func (a admin) entry(w http.ResponseWriter, r *http.Request) {
	e, err := a.host.QuarantineEntry(r.Context(), r.PathValue("id"))
	if err != nil {
		answerError(w, a.log, err)
		return
	}
	answer(w, http.StatusOK, e)
}

func isSet(q url.Values, name string) bool { return q.Get(name) == "1" || q.Get(name) == "true" }

func parseFilter(q url.Values) (QuarantineFilter, error) {
	f := QuarantineFilter{
		Source: event.SourceID(q.Get("source")), Destination: event.DestinationID(q.Get("destination")),
		Code: q.Get("code"), Event: q.Get("event"), State: q.Get("state"),
		OldestFirst: isSet(q, "oldest_first"), After: q.Get("after"), Limit: MaxPage,
	}
	if text := q.Get("since"); text != "" {
		t, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return f, &Error{Code: CodeBadRequest, Message: fmt.Sprintf("since %q is no RFC 3339 time", text)}
		}
		f.Since = t
	}
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > MaxPage {
			return f, &Error{Code: CodeBadRequest, Message: fmt.Sprintf("limit %q is no number from 1 to %d", text, MaxPage)}
		}
		f.Limit = n
	}
	return f, nil
}

// query is what parseFilter reads.
func (f QuarantineFilter) query() url.Values {
	q := url.Values{}
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	set("source", string(f.Source))
	set("destination", string(f.Destination))
	set("code", f.Code)
	set("event", f.Event)
	set("state", f.State)
	set("after", f.After)
	if !f.Since.IsZero() {
		set("since", f.Since.Format(time.RFC3339Nano))
	}
	if f.OldestFirst {
		set("oldest_first", "1")
	}
	if f.Limit > 0 {
		set("limit", strconv.Itoa(f.Limit))
	}
	return q
}
