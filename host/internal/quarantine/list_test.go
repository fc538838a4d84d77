package quarantine_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
	"github.com/wellhead-io/wellhead/host/internal/quarantine"
)

func TestListingMixesSourcesByTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, newDisk())
		var want []string
		for i := range 3000 {
			source := fmt.Sprint("s", i*7%5)
			add(t, q, refusal(source, i))
			want = append(want, fmt.Sprint("m", i))
			time.Sleep(time.Second)
		}
		if got := messageIDs(list(t, q, quarantine.Filter{OldestFirst: true})); !slices.Equal(got, want) {
			t.Errorf("oldest first is %v", got)
		}
		slices.Reverse(want)
		if got := messageIDs(list(t, q, quarantine.Filter{})); !slices.Equal(got, want) {
			t.Errorf("newest first is %v", got)
		}
		if got := messageIDs(list(t, q, quarantine.Filter{Limit: 7})); !slices.Equal(got, want[:7]) {
			t.Errorf("the first seven are %v", got)
		}
		since := time.Now().Add(-10 * time.Second)
		if got := messageIDs(list(t, q, quarantine.Filter{Since: since})); !slices.Equal(got, want[:10]) {
			t.Errorf("those of the last ten seconds are %v", got)
		}
	})
}

func TestSinceIsWhenItWasLastRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := open(t, newDisk())
		add(t, q, refusal("website", 1), refusal("website", 2))
		time.Sleep(time.Hour)
		f := quarantine.Filter{Since: time.Now(), OldestFirst: true}
		add(t, q, refusal("website", 1))
		if got := messageIDs(list(t, q, f)); !slices.Equal(got, []string{"m1"}) {
			t.Errorf("entries are %v", got)
		}
		add(t, q, refusal("website", 3))
		if got := messageIDs(list(t, q, f)); !slices.Equal(got, []string{"m1", "m3"}) {
			t.Errorf("entries are %v", got)
		}
		if g := groups(t, q, f); len(g) != 1 || g[0].Entries != 2 || g[0].Count != 3 {
			t.Errorf("groups are %+v", g)
		}
	})
}

func TestAPageStaysInPlaceWhileEntriesCome(t *testing.T) {
	q := open(t, newDisk())
	for i := range 10 {
		add(t, q, refusal("website", i))
	}
	first := list(t, q, quarantine.Filter{Limit: 4})
	add(t, q, refusal("website", 10), refusal("website", 11))
	setState(t, q, quarantine.StateDropped, first...)
	second := list(t, q, quarantine.Filter{Limit: 4, After: first[3].Cursor()})
	if got := messageIDs(second); !slices.Equal(got, []string{"m5", "m4", "m3", "m2"}) {
		t.Errorf("the second page is %v", got)
	}
}

func TestAForeignCursorIsRefused(t *testing.T) {
	q := open(t, newDisk())
	for _, c := range []quarantine.Cursor{"x", "1", "1/website", "website/1.0", "1/website/1"} {
		for _, err := range q.List(context.Background(), quarantine.Filter{After: c}) {
			if err == nil || !strings.Contains(err.Error(), string(c)) {
				t.Errorf("%q: %v", c, err)
			}
		}
	}
}

func TestGroupsCountByEventAndReason(t *testing.T) {
	d := newDisk()
	q := open(t, d)
	for i := range 3000 {
		r := refusal("website", i)
		r.Violations[0].Path = fmt.Sprintf("/properties/products/%d/price", i%50)
		if i%3 == 0 {
			r.Claim = []byte(strings.Replace(string(r.Claim), "Order Completed", "Signed Up", 1))
		}
		add(t, q, r)
	}
	r := refusal("shop", 1)
	r.Claim = []byte(`{"type":"identify","userId":7}`)
	r.Violations = []event.Violation{{Code: event.CodeSchema, Path: "/userId"}}
	add(t, q, r, r)

	for _, q := range []*quarantine.Quarantine{q, open(t, d.copy()), open(t, d.copy(), noCache)} {
		var got []string
		for _, g := range groups(t, q, quarantine.Filter{}) {
			got = append(got, fmt.Sprintf("%s %s %s %s %d %d", g.Source, g.Event, g.Code, g.Path, g.Entries, g.Count))
		}
		want := []string{
			"shop identify schema /userId 1 2",
			"website Order Completed plan /properties/products/*/price 2000 2000",
			"website Signed Up plan /properties/products/*/price 1000 1000",
		}
		if !slices.Equal(got, want) {
			t.Errorf("groups are %q", got)
		}
		if g := groups(t, q, quarantine.Filter{Source: "website", Event: "Signed Up"}); len(g) != 1 || g[0].Count != 1000 {
			t.Errorf("groups of one event are %+v", g)
		}
		if g := groups(t, q, quarantine.Filter{Code: event.CodeSchema}); len(g) != 1 || g[0].Source != "shop" {
			t.Errorf("groups of one code are %+v", g)
		}
	}
}

// Whoever holds a public API key can send events with as many names as he likes.
func TestInventedNamesCostNoMemoryAndNoCount(t *testing.T) {
	const many = 5000
	for _, names := range []int{200, many} {
		d := newDisk()
		q := open(t, d)
		for i := range many {
			r := refusal("website", i)
			r.Claim = bytes.Replace(r.Claim, []byte("Order Completed"), fmt.Appendf(nil, "Invented %d", i%names), 1)
			r.Claim = append(r.Claim, make([]byte, 2000)...)
			if i%4 == 0 {
				r.Violations[0].Code = event.CodeUnplanned
			}
			add(t, q, r)
		}
		stop(t, q)
		if n := len(d.cache["quarantine/website"]); n > 64<<10 {
			t.Errorf("%d names: the summary has %d bytes", names, n)
		}
		for _, q := range []*quarantine.Quarantine{q, open(t, d.copy()), open(t, d.copy(), noCache)} {
			g := groups(t, q, quarantine.Filter{})
			counts := make(map[string]int)
			for _, g := range g {
				counts[g.Code] += g.Entries
			}
			if len(g) > 300 || counts[event.CodeUnplanned] != many/4 || counts[event.CodePlan] != many-many/4 {
				t.Errorf("%d names: %d groups, by code %v", names, len(g), counts)
			}
			for _, i := range []int{3, 150, names - 1} {
				f := quarantine.Filter{Event: fmt.Sprint("Invented ", i)}
				if got := list(t, q, f); len(got) != many/names || got[len(got)-1].MessageID != fmt.Sprint("m", i) {
					t.Errorf("entries of %q are %v", f.Event, messageIDs(got))
				}
				if g := groups(t, q, f); len(g) != 1 || g[0].Event != f.Event || g[0].Entries != many/names {
					t.Errorf("groups of %q are %+v", f.Event, g)
				}
			}
		}
	}
}

func TestMemoryHoldsNoEntries(t *testing.T) {
	d := newDisk()
	q := open(t, d)
	const batches, batch = 100, 200
	for i := range batches {
		var rs []event.Refusal
		for k := range batch {
			r := refusal("website", i*batch+k)
			r.Claim = append(r.Claim, make([]byte, 1500)...)
			rs = append(rs, r)
		}
		add(t, q, rs...)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	q = open(t, d, noCache)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if n := status(t, q, "website").Entries; n != batches*batch {
		t.Errorf("%d entries", n)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
		t.Errorf("%d entries, 40 MB, take %d bytes of memory", batches*batch, grown)
	}
}

func TestEventNames(t *testing.T) {
	q := open(t, newDisk())
	for claim, want := range map[string]string{
		`{"type":"track","event":"Order \"x\""}`:                               `Order "x"`,
		` { "event" : "A" , "context":{"type":"x","l":["}"]}, "type":"track"}`: "A",
		`{"type":"page","name":"Home","event":"no"}`:                           "page",
		`{"type":"track"}`:                                            "track",
		`{"type":"track","event":7}`:                                  "track",
		`{"properties":"\\","type":"group"}`:                          "group",
		`{"a":"\"","type":"alias","cut":[{"b`:                         "alias",
		`{"type":"track","event":"` + strings.Repeat("é", 200) + `"}`: strings.Repeat("é", 60),
		`[1,2]`:               "",
		`{"type"`:             "",
		`{"type":"screen`:     "",
		`{"a":tru e,"type":1`: "",
		``:                    "",
		`"`:                   "",
		"{\"type\":\"\xff\"}": "\ufffd",
		`{"a":"\`:             "",
	} {
		r := refusal("website", 0)
		r.Claim, r.Size = []byte(claim), len(claim)
		add(t, q, r)
		if got := list(t, q, quarantine.Filter{Limit: 1})[0]; got.Event != want || string(got.Claim) != claim {
			t.Errorf("%s is named %q, want %q", claim, got.Event, want)
		}
	}
}

// What is read may change places between a look at where it is and the reading.
func TestReadingWhatIsBeingMoved(t *testing.T) {
	for name, read := range map[string]func(*quarantine.Quarantine, time.Time) []string{
		"newest first": func(q *quarantine.Quarantine, _ time.Time) []string {
			got := messageIDs(list(t, q, quarantine.Filter{Event: "Order Completed"}))
			slices.Reverse(got)
			return got
		},
		"oldest first": func(q *quarantine.Quarantine, _ time.Time) []string {
			return messageIDs(list(t, q, quarantine.Filter{Event: "Order Completed", OldestFirst: true}))
		},
		"groups": func(q *quarantine.Quarantine, first time.Time) (ids []string) {
			// All but the first, so that the entries must be read to count them.
			ids = []string{"m0"}
			for _, g := range groups(t, q, quarantine.Filter{Since: first.Add(1), Event: "Order Completed"}) {
				for range g.Entries {
					ids = append(ids, fmt.Sprint("m", len(ids)))
				}
			}
			return ids
		},
		"show": func(q *quarantine.Quarantine, _ time.Time) []string {
			id, _ := quarantine.ParseID("website/3.0")
			e, err := q.Show(context.Background(), id)
			if err != nil || e.MessageID != "m2" {
				t.Errorf("shown is %+v, %v", e, err)
			}
			return []string{"m0", "m1", "m2", "m3", "m4"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDisk()
			q := open(t, d, maxBytes(1<<20), spare(3<<20))
			for i := range 5 {
				add(t, q, refusal("website", i))
			}
			first := list(t, q, quarantine.Filter{OldestFirst: true})[0].FirstSeen
			l := d.logs["website"]
			l.onRead(func() {
				for i := range 60 {
					r := large("website", 1000+i)
					r.Claim = bytes.Replace(r.Claim, []byte("Order Completed"), []byte("Other"), 1)
					add(t, q, r)
					setState(t, q, quarantine.StateDropped, list(t, q, quarantine.Filter{Event: "Other"})...)
				}
			})
			if got := read(q, first); !slices.Equal(got, []string{"m0", "m1", "m2", "m3", "m4"}) {
				t.Errorf("read %v", got)
			}
			if l.records('m') == 0 {
				t.Error("nothing was moved")
			}
		})
	}
}

// Readers see every entry that is open all the while exactly once, whatever is
// added, closed and moved meanwhile.
func TestReadersAmongChanges(t *testing.T) {
	q := open(t, newDisk(), maxBytes(1<<20), spare(3<<20))
	const kept = 300
	for i := range kept {
		add(t, q, refusal("website", i))
	}
	id := list(t, q, quarantine.Filter{})[kept/2].ID
	done := make(chan struct{})
	var wg sync.WaitGroup
	for reader := range 4 {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				seen := make(map[string]int)
				for e, err := range q.List(context.Background(), quarantine.Filter{OldestFirst: reader%2 == 0}) {
					if err != nil {
						t.Error(err)
						return
					}
					seen[e.MessageID]++
				}
				for i := range kept {
					if n := seen[fmt.Sprint("m", i)]; n != 1 {
						t.Errorf("m%d is listed %d times", i, n)
						return
					}
				}
				if _, err := q.Show(context.Background(), id); err != nil {
					t.Error(err)
				}
				if g := groups(t, q, quarantine.Filter{Since: time.Unix(1, 0)}); g[0].Entries < kept {
					t.Errorf("groups are %+v", g)
				}
				q.Status()
			}
		})
	}
	for i := range 150 {
		add(t, q, large("website", 1000+i), refusal("website", i))
		setState(t, q, quarantine.StateDropped, list(t, q, quarantine.Filter{Limit: 1})...)
	}
	close(done)
	wg.Wait()
}
