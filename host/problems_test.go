package host

import (
	"strings"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/consent"
	"github.com/wellhead-io/wellhead/host/internal/console"
	"github.com/wellhead-io/wellhead/host/internal/deliver"
	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/quarantine"
	"github.com/wellhead-io/wellhead/host/internal/supervise"
)

// The host is unready where events are turned away, and only there.
func TestOnlyWhatTurnsEventsAwayMakesTheHostUnready(t *testing.T) {
	r := &running{intake: &intake{lanes: map[event.SourceID]*lane{"web": {}}}}
	kept := func(q quarantine.SourceStatus) []console.Problem {
		return r.quarantineProblems(&snapshot{quarantine: map[event.SourceID]quarantine.SourceStatus{q.Source: q}})
	}
	failed := &supervise.Error{Code: "source_failed", Message: "no route to host", Hint: "look at the network"}
	down := &deliver.Failure{Code: "unavailable", Error: "connection refused", Tries: 5, Since: time.Unix(0, 0)}
	for name, c := range map[string]struct {
		problems []console.Problem
		codes    string // in order; a ! marks what makes the host unready
	}{
		"a source runs":              {sourceProblems(&supervise.SourceStatus{State: supervise.Running, Error: failed}, true), ""},
		"a source has just failed":   {sourceProblems(&supervise.SourceStatus{State: supervise.Running, Error: failed, Failures: 1}, true), "source_failed"},
		"a push source fails":        {sourceProblems(&supervise.SourceStatus{State: supervise.BackingOff, Error: failed}, true), "!source_failed"},
		"a push source starts again": {sourceProblems(&supervise.SourceStatus{State: supervise.Starting, Error: failed}, true), "!source_starting"},
		"a poll source fails":        {sourceProblems(&supervise.SourceStatus{State: supervise.BackingOff, Error: failed}, false), "source_failed"},
		"a poll source starts again": {sourceProblems(&supervise.SourceStatus{State: supervise.Starting, Error: failed}, false), "source_starting"},
		"a poll source starts":       {sourceProblems(&supervise.SourceStatus{State: supervise.Starting}, false), "!source_starting"},
		"a source waits for consent": {consentProblems(&supervise.SourceStatus{State: supervise.NeedsConsent}, nil), "needs_consent"},
		"a consent is refused":       {consentProblems(&supervise.SourceStatus{State: supervise.Running}, &consent.Error{Code: "consent_expired", Final: true}), "needs_consent"},
		"a token cannot be had now":  {consentProblems(&supervise.SourceStatus{State: supervise.Running}, &consent.Error{Code: "login_rate"}), "login_rate"},
		"a source complains": {sourceProblems(&supervise.SourceStatus{
			State: supervise.Running, Problems: []supervise.Problem{{Code: "slow"}, {Code: "quota"}},
		}, true), "slow quota"},

		"a destination is down":          {loopProblems(&deliver.Status{State: deliver.Retrying, Failure: down}, "web"), "unavailable"},
		"a destination wants attention":  {loopProblems(&deliver.Status{State: deliver.Attention, Failure: down}, "web"), "unavailable"},
		"a destination is full":          {loopProblems(&deliver.Status{Full: true, Failure: down}, "web"), "!destination_full unavailable"},
		"a quarantine is nearly full":    {kept(quarantine.SourceStatus{Source: "web", Nearing: true}), "quarantine_nearly_full"},
		"a quarantine is full":           {kept(quarantine.SourceStatus{Source: "web", Nearing: true, Full: true}), "!quarantine_full"},
		"a quarantine cannot be used":    {kept(quarantine.SourceStatus{Source: "web", Problem: "no such device"}), "!quarantine_unreadable"},
		"the quarantine of nobody":       {kept(quarantine.SourceStatus{Source: "gone", Full: true}), "quarantine_full"},
		"a quarantine with much in it":   {kept(quarantine.SourceStatus{Source: "web", Entries: 7}), ""},
		"a plugin fails again and again": {[]console.Problem{pluginProblem(&supervise.Error{Code: "plugin_crash_loop"}, true)}, "!plugin_crash_loop"},
	} {
		var codes []string
		for _, p := range c.problems {
			code := p.Code
			if p.Unready {
				code = "!" + code
			}
			codes = append(codes, code)
		}
		if got := strings.Join(codes, " "); got != c.codes {
			t.Errorf("%s: %q, want %q", name, got, c.codes)
		}
	}
}

func TestProblemsSayWhereWhatAndWhatToDo(t *testing.T) {
	for _, c := range []struct {
		problems []console.Problem
		want     string
	}{
		{
			loopProblems(&deliver.Status{Name: "hook", Full: true, LagBytes: 12, LagAge: 90 * time.Second}, "crm, web"),
			"destination hook: it is at its max_lag, 12 bytes and 1m30s behind, so crm, web get 503; mend the destination, raise its max_lag, or set at_limit: skip [destination_full]",
		},
		{
			loopProblems(&deliver.Status{Name: "hook", Failure: &deliver.Failure{Code: "forbidden", Error: "403", Hint: "mend the key", Tries: 1, Since: time.Unix(0, 0)}}, ""),
			"destination hook: 403 (1 try since 1970-01-01T00:00:00Z); mend the key [forbidden]",
		},
		{
			[]console.Problem{pluginProblem(&supervise.Error{Code: "plugin_missing", Plugin: "crm", Path: "/opt/crm", Message: "there is no such file", Hint: "build it"}, true)},
			"plugin crm: /opt/crm: there is no such file; build it [plugin_missing]",
		},
		{
			sourceProblems(&supervise.SourceStatus{Source: "crm", State: supervise.Running, Problems: []supervise.Problem{
				{Code: "login", Path: "/password", Message: "it is refused", Fix: "ask for another"},
			}}, true),
			"source crm: /password: it is refused; ask for another [login]",
		},
		{
			consentProblems(&supervise.SourceStatus{Source: "crm", State: supervise.NeedsConsent}, &consent.Error{Code: "consent_expired", Message: "it is revoked", Hint: "consent anew: wellhead connect SOURCE", Final: true}),
			"source crm: it waits for a person to grant access: it is revoked [consent_expired]; consent anew: wellhead connect crm [needs_consent]",
		},
	} {
		if len(c.problems) != 1 || c.problems[0].Error() != c.want {
			t.Errorf("got %v\nwant %s", c.problems, c.want)
		}
	}
}
