package console

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// Syncs are the syncs of one source, by name, each with its last runs.
type Syncs struct {
	Source event.SourceID `json:"source"`
	State  string         `json:"state"` // of the source
	Syncs  []Sync         `json:"syncs"`
}

// Sync is one query or object of a source that becomes one kind of call.
type Sync struct {
	Name string `json:"name"`
	// State is idle, running, paused, failed (its last run did) or unknown (its
	// source does not run).
	State string    `json:"state"`
	Due   time.Time `json:"due,omitzero"` // when it runs next by itself
	// Succeeded is when a run last ended well.
	Succeeded time.Time `json:"succeeded,omitzero"`
	Progress  *Progress `json:"progress,omitempty"` // of the run that is under way
	Runs      []SyncRun `json:"runs"`               // the newest first

	// Counts since the host's start.
	Done        uint64 `json:"done"` // runs that ended well
	Failed      uint64 `json:"failed"`
	RowsRead    uint64 `json:"rows_read"`
	RowsEmitted uint64 `json:"rows_emitted"`
	RowsRefused uint64 `json:"rows_refused"`
}

// SyncRun is one run of a sync.
type SyncRun struct {
	ID   string `json:"id"`
	Kind string `json:"kind,omitempty"` // backfill, incremental, …
	// State is running, done, failed or interrupted (its source stopped meanwhile).
	State   string     `json:"state"`
	Started time.Time  `json:"started"`
	Ended   time.Time  `json:"ended,omitzero"`
	Read    uint64     `json:"read"`    // rows
	Emitted uint64     `json:"emitted"` // events that are stored
	Refused uint64     `json:"refused"`
	Error   *SyncError `json:"error,omitempty"`
}

// SyncError is why a run failed.
type SyncError struct {
	Code    string `json:"code,omitempty"`
	Path    string `json:"path,omitempty"` // JSON Pointer into the source's config
	Message string `json:"message"`
	Fix     string `json:"fix,omitempty"`
}

// Text is everything on one line.
func (e *SyncError) Text() string {
	s := e.Message
	if e.Path != "" {
		s = e.Path + ": " + s
	}
	if e.Fix != "" {
		s += "; " + e.Fix
	}
	if e.Code != "" {
		s += " [" + e.Code + "]"
	}
	return s
}

// SyncAction is what a sync is asked to do: run, pause, resume or reset.
type SyncAction string

// SyncAnswer is what a source answers for one sync.
type SyncAnswer struct {
	Sync  string `json:"sync"`
	Error *Error `json:"error,omitempty"` // why it was not done; nil: it was
}

// commandTimeout is for a source's answers.
const commandTimeout = 40 * time.Second

func (a admin) syncs(w http.ResponseWriter, r *http.Request) {
	found, err := a.host.Syncs(event.SourceID(r.PathValue("source")))
	if err != nil {
		answerError(w, a.log, err)
		return
	}
	answer(w, http.StatusOK, found)
}

func (a admin) syncCommand(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), commandTimeout)
	defer cancel()
	answers, err := a.host.SyncCommand(ctx, event.SourceID(r.PathValue("source")),
		r.URL.Query().Get("sync"), SyncAction(r.PathValue("action")))
	if err != nil {
		answerError(w, a.log, err)
		return
	}
	answer(w, http.StatusOK, answers)
}

// Syncs asks for the syncs of a source.
func (c *Client) Syncs(ctx context.Context, source event.SourceID) (s Syncs, err error) {
	return s, c.get(ctx, "/syncs/"+url.PathEscape(string(source)), nil, &s)
}

// SyncCommand asks a source to do something with one of its syncs, or with all
// where none is named, and returns its answers.
func (c *Client) SyncCommand(ctx context.Context, source event.SourceID, sync string, action SyncAction) (a []SyncAnswer, err error) {
	path := "/syncs/" + url.PathEscape(string(source)) + "/" + url.PathEscape(string(action)) + "?" + url.Values{"sync": {sync}}.Encode()
	res, err := c.do(ctx, http.MethodPost, path, nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return a, decode(res.Body, &a)
}
