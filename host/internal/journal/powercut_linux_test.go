package journal_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/journal"
	"github.com/wellhead-io/wellhead/host/internal/journal/powercut"
)

// recorded is a trace of an appender.
type recorded struct {
	*powercut.Trace
	orders orders
	events []powercut.Event
}

func record(t *testing.T, inject string, o orders) recorded {
	t.Helper()
	o.Dir = t.TempDir()
	raw, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	logFile := filepath.Join(t.TempDir(), "strace")
	cmd, err := powercut.Command(t.Context(), powercut.Recording{Log: logFile, Inject: inject}, os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), appenderEnv+"="+string(raw))
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || !strings.Contains(cmd.ProcessState.String(), "killed") {
		t.Fatalf("the appender ended with %v: %s", err, out)
	}
	log, err := os.Open(logFile)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	cwd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	r := recorded{orders: o}
	if r.Trace, err = powercut.Parse(log, o.Dir, cwd); err != nil {
		t.Fatal(err)
	}
	if err := r.Verify(o.Dir); err != nil {
		t.Fatal(err)
	}
	if r.events, err = r.Events(); err != nil {
		t.Fatal(err)
	}
	return r
}

// told is what the appender had said when n of its calls had returned: by kind,
// the ids in order.
func (r recorded) told(n int) map[string][]string {
	var said bytes.Buffer
	for _, e := range r.events[:n] {
		if e.FD == 1 {
			said.Write(e.Output)
		}
	}
	told := make(map[string][]string)
	for lines := bufio.NewScanner(&said); lines.Scan(); {
		kind, ids, _ := strings.Cut(lines.Text(), " ")
		told[kind] = append(told[kind], strings.Fields(ids)...)
	}
	return told
}

// cutAt rebuilds the disk after n calls, opens what is on it, and returns what is
// missing of what the appender had said is durable.
func (r recorded) cutAt(t *testing.T, n int, l powercut.Loss) (missing []string) {
	t.Helper()
	dir := t.TempDir()
	if err := r.Rebuild(n, dir, l); err != nil {
		t.Fatal(err)
	}
	told := r.told(n)
	opts := with(filepath.Join(dir, "journal"))
	opts.MaxBytes = r.orders.MaxBytes
	for again := range 2 {
		j := open(t, opts)
		ids := j.ids(t)
		wantOnce(t, ids)
		missing = append(missing, without(r.kept(told["event"]), ids)...)
		for c := range 3 {
			name := fmt.Sprint(c)
			have := records(t, openLog(t, j, "quarantine/"+name, journal.LogOptions{}))
			missing = append(missing, without(of(told["record"], name), have)...)
		}
		j.append(t, track("web", fmt.Sprint("after the cut ", again)))
		j.stop()
	}
	missing = append(missing, missingState(t, filepath.Join(dir, "state"), told["state"])...)
	return missing
}

// kept are the ids that retention cannot have dropped.
func (r recorded) kept(ids []string) []string {
	const eventBytes = 150 // an event in its frame, at most
	if most := int(r.orders.MaxBytes/2) / eventBytes; r.orders.MaxBytes > 0 && len(ids) > most {
		return ids[len(ids)-most:]
	}
	return ids
}

// of are the ids of one client, in any round.
func of(ids []string, client string) (own []string) {
	for _, id := range ids {
		if id[2:3] == client {
			own = append(own, id)
		}
	}
	return own
}

// missingState are the clients' latest values that are neither there nor
// superseded: a value that was being put may be there already.
func missingState(t *testing.T, dir string, told []string) (missing []string) {
	t.Helper()
	s := openState(t, dir)
	for c := range 3 {
		name := fmt.Sprint(c)
		ids := of(told, name)
		if len(ids) == 0 {
			continue
		}
		value, err := s.Get(name)
		if err != nil || value == nil || before(string(value), ids[len(ids)-1]) {
			missing = append(missing, "state "+name)
		}
	}
	return missing
}

// before orders a client's ids, round/client-number.
func before(a, b string) bool {
	var ra, rb, c, na, nb int
	_, errA := fmt.Sscanf(a, "%d/%d-%d", &ra, &c, &na)
	_, errB := fmt.Sscanf(b, "%d/%d-%d", &rb, &c, &nb)
	return errors.Join(errA, errB) != nil || ra < rb || ra == rb && na < nb
}

// cuts are n places for a cut: behind random calls, of which half have just
// changed names or said something.
func (r recorded) cuts(n int, random *rand.Rand) []int {
	var special []int
	for i, e := range r.events {
		switch e.Name {
		case "rename", "renameat", "unlinkat", "mkdirat", "fsync", "ftruncate":
			special = append(special, i+1)
		case "write":
			if e.FD == 1 {
				special = append(special, i+1)
			}
		}
	}
	cuts := []int{len(r.events)}
	for len(cuts) < n {
		if len(cuts)%2 == 0 {
			cuts = append(cuts, special[random.IntN(len(special))])
		} else {
			cuts = append(cuts, random.IntN(len(r.events)+1))
		}
	}
	return cuts
}

// newSeed is a random source whose seed is printed, or $WELLHEAD_SEED.
func newSeed(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	if given := os.Getenv("WELLHEAD_SEED"); given != "" {
		var err error
		if seed, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatalf("WELLHEAD_SEED: %v", err)
		}
	}
	t.Logf("seed %d: repeat with WELLHEAD_SEED=%d", seed, seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// syncFaults makes one sync in so many fail.
const syncFaults = "fsync:error=EIO:when=25+23"

func TestAfterAPowerCutEverythingAcknowledgedIsThere(t *testing.T) {
	cuts := 10
	if os.Getenv("WELLHEAD_LONG") != "" {
		cuts = 100
	}
	for _, c := range []struct {
		name, inject string
		orders       orders
	}{
		{"several blocks", "", orders{Events: 40, MaxBytes: 120 << 10}},
		{"blocks dropped by retention", "", orders{Events: 80, MaxBytes: 40 << 10}},
		{"syncs fail", syncFaults, orders{Events: 20}},
		{"synced on demand", "", orders{Events: 20, MaxBytes: 120 << 10, Interval: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			random := newSeed(t)
			r := record(t, c.inject, c.orders)
			for i, n := range r.cuts(cuts, random) {
				l := powercut.Loss{}
				if i%3 != 0 {
					l = powercut.Loss{Random: random, Keep: []float64{0.1, 0.5, 0.9}[random.IntN(3)]}
				}
				if missing := r.cutAt(t, n, l); len(missing) > 0 {
					t.Fatalf("cut %d behind call %d of %d, keeping %v of what was not synced: acknowledged and not there: %q",
						i, n, len(r.events), l.Keep, missing)
				}
			}
		})
	}
}

// TestEachSyncIsNeeded leaves one out and must see a loss: otherwise the test
// above proves nothing.
func TestEachSyncIsNeeded(t *testing.T) {
	r := record(t, "", orders{Events: 40, MaxBytes: 120 << 10})
	journalDir := filepath.Join(r.orders.Dir, "journal")
	main, log := streamDir(journalDir, "journal"), streamDir(journalDir, "log-quarantine=2f1")
	is := func(path string) func(string) bool { return func(p string) bool { return p == path } }
	blockOf := func(stream string) func(string) bool {
		return func(p string) bool {
			return filepath.Dir(p) == filepath.Join(stream, "msgs") && filepath.Ext(p) == ".blk"
		}
	}
	for name, noSync := range map[string]func(string) bool{
		"the journal's blocks":      blockOf(main),
		"the directory of blocks":   is(filepath.Join(main, "msgs")),
		"the directory of streams":  is(filepath.Dir(main)),
		"the journal's directory":   is(journalDir),
		"a log's blocks":            blockOf(log),
		"a log's directory":         is(log),
		"the directory of a state":  is(filepath.Join(r.orders.Dir, "state")),
		"the directory of them all": is(r.orders.Dir),
	} {
		t.Run(name, func(t *testing.T) {
			if len(r.cutAt(t, len(r.events), powercut.Loss{NoSync: noSync})) == 0 {
				t.Error("nothing was lost without the syncs")
			}
		})
	}
}

// TestADirectoryIsSyncedForEachNewBlock leaves out all syncs of the directory of
// blocks but the first ones, from when the journal was opened.
func TestADirectoryIsSyncedForEachNewBlock(t *testing.T) {
	r := record(t, "", orders{Events: 40, MaxBytes: 120 << 10})
	blocks := filepath.Join(streamDir(filepath.Join(r.orders.Dir, "journal"), "journal"), "msgs")
	syncs := 0
	l := powercut.Loss{NoSync: func(path string) bool {
		if path == blocks {
			syncs++
		}
		return path == blocks && syncs > 1
	}}
	if len(r.cutAt(t, len(r.events), l)) == 0 {
		t.Errorf("nothing was lost; there were %d syncs", syncs)
	}
}

// TestAfterAFailedSyncThePagesAreWrittenAgain syncs them again only, and must see
// a loss.
func TestAfterAFailedSyncThePagesAreWrittenAgain(t *testing.T) {
	r := record(t, syncFaults, orders{Events: 20, NoRewrite: true})
	if len(r.cutAt(t, len(r.events), powercut.Loss{})) == 0 {
		t.Error("nothing was lost")
	}
}
