package main

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/wellhead-io/wellhead/plugins/salesforce/client"
	"github.com/wellhead-io/wellhead/plugins/salesforce/object"
	"github.com/wellhead-io/wellhead/plugins/salesforce/sync"
	"github.com/wellhead-io/wellhead/sdk"
)

//go:embed config.schema.json
var configSchema []byte

// config is a source's. The host keeps auth to itself.
type config struct {
	LoginURL   string          `json:"login_url"`
	Auth       json.RawMessage `json:"auth"`
	APIVersion string          `json:"api_version"`
	Interval   duration        `json:"interval"`
	Refresh    duration        `json:"refresh"`
	Reconcile  duration        `json:"reconcile"`
	Quota      struct {
		StopAt percent `json:"stop_at"`
	} `json:"quota"`
	PubSub struct {
		Enabled   bool   `json:"enabled"`
		Endpoint  string `json:"endpoint"`
		Plaintext bool   `json:"plaintext"`
		CAFile    string `json:"ca_file"`
	} `json:"pubsub"`
	Syncs map[string]syncConfig `json:"syncs"`
}

type syncConfig struct {
	Object  string   `json:"object"`
	Call    string   `json:"call"`
	Event   string   `json:"event"`
	UserID  string   `json:"user_id"`
	GroupID string   `json:"group_id"`
	Fields  []string `json:"fields"`
	Where   string   `json:"where"`
	Deletes deletes  `json:"deletes"`
}

// templates are the syncs of a source that names none.
var templates = map[string]syncConfig{
	"contacts": {Object: "Contact", Call: object.Identify},
	"leads":    {Object: "Lead", Call: object.Identify},
	"accounts": {Object: "Account", Call: object.Group},
	"members":  {Object: "Contact", Call: object.Group, UserID: "Id", GroupID: "AccountId"},
}

func readConfig(s *sdk.Settings) (config, error) {
	c := config{APIVersion: client.DefaultVersion, Interval: duration(5 * time.Minute), Refresh: duration(24 * time.Hour), Reconcile: duration(24 * time.Hour)}
	c.Quota.StopAt = 0.8
	c.PubSub.Endpoint = "api.pubsub.salesforce.com:7443"
	if err := s.Config(&c); err != nil {
		return c, err
	}
	if len(c.Syncs) == 0 {
		c.Syncs = templates
	}
	return c, nil
}

const (
	// leastInterval keeps a source from using up the org's requests by itself: a
	// look at nothing new takes some three for each sync.
	leastInterval = 10 * time.Second
	// leastHere is that of a simulator on this machine, which has no quota to spare.
	leastHere = time.Second
)

// problems says what is wrong with the settings beside the syncs. What has the
// wrong form the schema refuses.
func (c *config) problems() []sdk.Problem {
	var all []sdk.Problem
	bad := func(path, message, fix string) {
		all = append(all, sdk.Problem{Code: "wrong_value", Path: path, Message: message, Fix: fix})
	}
	least := leastInterval
	if u, err := url.Parse(c.LoginURL); err == nil && isLoopback(u.Hostname()) {
		least = leastHere
	}
	if d := time.Duration(c.Interval); d < least {
		bad("/interval", fmt.Sprintf("%s would use up the org's API requests of 24 hours", d),
			fmt.Sprintf("write %s or more, such as 5m; pubsub: {enabled: true} brings changes within a second", least))
	}
	if host, _, err := net.SplitHostPort(c.PubSub.Endpoint); c.PubSub.Plaintext && (err != nil || !isLoopback(host)) {
		bad("/pubsub/plaintext", "would send the access token to "+c.PubSub.Endpoint+" unencrypted", "remove it: it is for a simulator on this machine, such as endpoint: 127.0.0.1:8096")
	}
	return all
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// names are those of the syncs, in order.
func (c *config) names() []string { return slices.Sorted(maps.Keys(c.Syncs)) }

// spec says what one sync reads.
func (c *config) spec(org, name string) (sync.Spec, []sdk.Problem) {
	s := c.Syncs[name]
	m := object.Mapping{Org: org, Sync: name, Call: s.Call, Event: s.Event, UserID: s.UserID, GroupID: s.GroupID, Fields: s.Fields, Deleted: s.Deletes.event}
	spec := sync.Spec{Mapping: m, Object: s.Object, Where: strings.TrimSpace(s.Where), Deletes: !s.Deletes.off,
		Refresh: time.Duration(c.Refresh), Reconcile: time.Duration(c.Reconcile)}
	var problems []sdk.Problem
	bad := func(path, message, fix string) {
		problems = append(problems, sdk.Problem{Code: "wrong_value", Path: path, Message: message, Fix: fix})
	}
	if !client.ValidName(s.Object) {
		bad("/object", fmt.Sprintf("%q is no API name of an object", s.Object), "name an object such as Contact or Invoice__c")
	}
	if what := unbalanced(spec.Where); what != "" {
		bad("/where", what, "mend where: it must be one whole condition, such as (Email != null OR Phone != null) AND Name != 'Test'")
	}
	switch s.Call {
	case object.Identify, object.Group:
		if s.Event != "" {
			bad("/event", "event is for call: track", "leave it out")
		}
	case object.Track:
		spec.Event = cmp.Or(s.Event, s.Object+" Updated")
	default:
		bad("/call", fmt.Sprintf("%q is no call", s.Call), "identify, group or track")
	}
	return spec, problems
}

// unbalanced says what keeps a condition of SOQL from standing within brackets,
// as it does in every query; empty: nothing. Strings are in single quotes, and a
// backslash escapes what follows it
// (https://developer.salesforce.com/docs/atlas.en-us.soql_sosl.meta/soql_sosl/sforce_api_calls_soql_select_quotedstringescapes.htm).
func unbalanced(where string) string {
	open, quoted := 0, false
	for i := 0; i < len(where); i++ {
		switch c := where[i]; {
		case quoted && c == '\\':
			i++
		case c == '\'':
			quoted = !quoted
		case quoted:
		case c == '(':
			open++
		case c == ')':
			if open--; open < 0 {
				return fmt.Sprintf("the ) at character %d closes nothing", utf8.RuneCountInString(where[:i])+1)
			}
		}
	}
	switch {
	case quoted:
		return "a ' is open at the end"
	case open > 0:
		return "a ( is open at the end"
	}
	return ""
}

// deletes is true, false, or the name of the event.
type deletes struct {
	off   bool
	event string
}

func (d *deletes) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case "true", "null":
		*d = deletes{}
	case "false":
		*d = deletes{off: true}
	default:
		return json.Unmarshal(b, &d.event)
	}
	return nil
}

// duration is written as 5m, 24h or 7d; 0 is never.
type duration time.Duration

func (d *duration) UnmarshalJSON(b []byte) error {
	if string(b) == "0" {
		*d = 0
		return nil
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseFloat(days, 64)
		if err != nil || !(n >= 0 && n <= 3650) { // NaN is neither
			return fmt.Errorf("%q is no duration", s)
		}
		*d = duration(n * 24 * float64(time.Hour))
		return nil
	}
	v, err := time.ParseDuration(s)
	if err != nil || v < 0 {
		return fmt.Errorf("%q is no duration", s)
	}
	*d = duration(v)
	return nil
}

// percent is a share, written as 80%.
type percent float64

func (p *percent) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	n, err := strconv.ParseFloat(strings.TrimSuffix(s, "%"), 64)
	if err != nil || !strings.HasSuffix(s, "%") || !(n > 0 && n <= 100) {
		return fmt.Errorf("%q is no share from 1%% to 100%%", s)
	}
	*p = percent(n / 100)
	return nil
}
