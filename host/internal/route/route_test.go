package route_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/route"
)

func TestEventsGoOnlyWhereTheirSourceIsRouted(t *testing.T) {
	table, err := route.New(map[event.SourceID][]event.DestinationID{
		"website": {"hook", "archive"},
		"crm":     {"archive"},
		"unused":  nil,
	}, []event.DestinationID{"archive", "hook", "idle"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		destination event.DestinationID
		source      event.SourceID
		want        bool
	}{
		{"archive", "website", true},
		{"hook", "website", true},
		{"archive", "crm", true},
		{"hook", "crm", false},
		{"archive", "unused", false},
		{"idle", "website", false},
		{"archive", "removed", false},
		{"removed", "website", false},
	} {
		if got := table.Wants(c.destination, c.source); got != c.want {
			t.Errorf("%s wants %s: %v, want %v", c.destination, c.source, got, c.want)
		}
	}
	if got := table.Destinations("website"); !slices.Equal(got, []event.DestinationID{"archive", "hook"}) {
		t.Errorf("destinations of website: %v", got)
	}
	if got := table.Sources("archive"); !slices.Equal(got, []event.SourceID{"crm", "website"}) {
		t.Errorf("sources of archive: %v", got)
	}
}

func TestEveryUnknownDestinationIsNamedWithItsSource(t *testing.T) {
	_, err := route.New(map[event.SourceID][]event.DestinationID{
		"website": {"archive", "hok"},
		"crm":     {"archiv"},
	}, []event.DestinationID{"archive", "hook"})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"source website: destination hok", "source crm: destination archiv"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not tell %q", err, want)
		}
	}
}

func BenchmarkWants(b *testing.B) {
	table, err := route.New(map[event.SourceID][]event.DestinationID{"website": {"archive"}}, []event.DestinationID{"archive"})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		table.Wants("archive", "website")
	}
}
