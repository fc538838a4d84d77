package collector

import (
	"errors"
	"net/http"

	"github.com/wellhead-io/wellhead/sdk"
	"github.com/wellhead-io/wellhead/sdk/ingest"
)

// settingsAge is for how long a client may keep its settings.
const settingsAge = "private, max-age=60"

// settings tells a browser or mobile library where to send its events. Both
// vendors' libraries read the same answer, each its own key; a library that
// does not find its key sends to its vendor.
func (c *Collector) settings(w http.ResponseWriter, r *http.Request) {
	key := r.PathValue("key")
	if !c.knows(key) {
		noSuchKey(w)
		return
	}
	scheme, host := c.proxies.base(r)
	api := apiSettings{APIKey: key, APIHost: host + "/v1", Protocol: scheme, RetryQueue: true, AddBundledMetadata: true, UnbundledIntegrations: []string{}}
	w.Header().Set("Cache-Control", settingsAge)
	ingest.WriteJSON(w, http.StatusOK, librarySettings{
		Integrations: map[string]apiSettings{
			"Segment.io":                 api,
			"Customer.io Data Pipelines": api,
		},
		RemotePlugins: []struct{}{},
	})
}

// knows reports whether some source has the key. One that is not running now
// will be: a library that hears nothing of it never starts on its page.
func (c *Collector) knows(key string) bool {
	_, err := c.find(key)
	return err == nil || errors.Is(err, sdk.ErrNotRunning)
}

// noSuchKey answers in plain text, which is what the libraries print.
func noSuchKey(w http.ResponseWriter) {
	http.Error(w, "no source has this API key", http.StatusNotFound)
}

// librarySettings are as the vendors' own endpoint gives them.
type librarySettings struct {
	Integrations map[string]apiSettings `json:"integrations"`
	// Metrics stay off: their address is not ours to choose.
	Metrics struct {
		SampleRate int `json:"sampleRate"`
	} `json:"metrics"`
	RemotePlugins []struct{} `json:"remotePlugins"`
}

// apiSettings say where events go.
type apiSettings struct {
	APIKey                string   `json:"apiKey"`
	APIHost               string   `json:"apiHost"`
	Protocol              string   `json:"protocol"`
	RetryQueue            bool     `json:"retryQueue"`
	AddBundledMetadata    bool     `json:"addBundledMetadata"`
	UnbundledIntegrations []string `json:"unbundledIntegrations"`
}
