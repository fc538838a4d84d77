package ingest

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// answerTime is how long a client may take to read an answer.
const answerTime = 15 * time.Second

// WriteJSON answers with v, whose encoding cannot fail. A client that does not
// read the answer loses its connection, so that it cannot hold for long what its
// request holds.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	// It fails only where there is no connection, as in tests.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTime))
	w.WriteHeader(status)
	_, _ = w.Write(b)
}
