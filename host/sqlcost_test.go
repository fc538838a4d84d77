package host_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/plugins/sql/servers"
)

const costConfig = `
data_dir: data
console: {listen: "$CONSOLE"}
journal: {sync: 100ms}
plugins:
  sql: {path: "$BIN/plugins/sql"}
sources:
  warehouse:
    plugin: sql
    config: {url: "$URL", syncs: {rows: {call: identify, key: [id], cursor: updated_at, query: "select * from wide"}}}
    destinations: [archive]
destinations:
  archive: {type: file, path: events.jsonl}
`

// What the plugin costs to read a million rows of 20 columns, as a process with a
// host beside it, against psql's \copy and encoding/json of the same rows as
// maps. make bench runs it; by itself it is skipped.
func TestCostOfReadingATable(t *testing.T) {
	rows, err := strconv.Atoi(os.Getenv("WELLHEAD_SQL_ROWS"))
	if err != nil {
		t.Skip("for make bench: set WELLHEAD_SQL_ROWS")
	}
	server := servers.PostgreSQL(t)
	url := server.Database(t)
	db := server.Open(t, url)
	for _, text := range []string{
		fmt.Sprintf(`create table wide as select i as id, 'user-' || i as user_id, 'person' || i || '@example.com' as email, md5(i::text) as name, md5((i + 1)::text) as city,
			(i %% 90)::int as age, (i %% 7)::smallint as plan, i * 3 as score, (i / 7.0)::numeric(20, 6) as balance, (i / 3.0)::numeric(38, 10) as total, i / 11.0::float8 as ratio,
			i %% 2 = 0 as active, 'a line of text of some length, "quoted"' as note, '{"a": 1, "b": ["x", 2]}'::jsonb as settings, gen_random_uuid() as token, 'de' as country, 'gold' as tier,
			'2026-01-01'::date + (i %% 300)::int as born, '2026-01-01'::timestamptz + i * interval '1 s' as created_at, '2026-02-01'::timestamptz + i * interval '1 s' as updated_at
			from generate_series(1, %d) i`, rows),
		"alter table wide add primary key (id)", "create index on wide (updated_at, id)", "vacuum analyze wide",
	} {
		if _, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}

	table := filepath.Join(t.TempDir(), "rows.csv")
	psql := exec.Command("psql", "-X", "-q", url, "-c", `\copy wide to '`+table+`' csv header`)
	if out, err := psql.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	copied := psql.ProcessState.UserTime() + psql.ProcessState.SystemTime()
	encoded := encodeMaps(t, table)

	s := newSite(t, strings.ReplaceAll(costConfig, "$URL", url))
	began := time.Now()
	p := s.start()
	var plugin int
	eventually(t, "the plugin runs", func() bool {
		for _, pid := range children(t, p.cmd.Process.Pid) {
			if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err == nil && filepath.Base(exe) == "sql" {
				plugin = pid
			}
		}
		return plugin != 0
	})
	var used time.Duration
	deadline := time.Now().Add(20 * time.Minute)
	for done := false; !done; {
		if time.Now().After(deadline) {
			t.Fatal("not all rows are read within 20 minutes")
		}
		time.Sleep(200 * time.Millisecond) // how long the read takes is what is measured
		out, err := exec.Command(filepath.Join(binaries, "wellhead"), "sync", "list", "warehouse", "-c", s.path("wellhead.yaml"), "--json").Output()
		done = err == nil && strings.Contains(string(out), fmt.Sprintf(`"emitted": %d`, rows)) || strings.Contains(string(out), fmt.Sprintf(`"emitted":%d`, rows))
		used = cpuOfProcess(t, plugin)
	}
	took := time.Since(began)
	peak := peakOfProcess(t, plugin)
	p.stop()
	per := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / float64(rows) / 1000 }
	t.Logf("cost: %d rows of 20 columns in %.1f s; plugin %.2f µs of CPU a row and %d MB at most; psql %.2f + encoding/json %.2f = %.2f µs; ratio %.2f",
		rows, took.Seconds(), per(used), peak>>20, per(copied), per(encoded), per(copied+encoded), float64(used)/float64(copied+encoded))
}

// encodeMaps encodes the rows of a CSV file as maps and returns the CPU time of
// the encoding alone.
func encodeMaps(t *testing.T, table string) (used time.Duration) {
	t.Helper()
	f, err := os.Open(table)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	header, err := r.Read()
	if err != nil {
		t.Fatal(err)
	}
	number := map[string]bool{"id": true, "age": true, "plan": true, "score": true, "balance": true, "total": true, "ratio": true}
	page := make([]map[string]any, 0, 1000)
	encode := func() {
		began := ownCPU(t)
		for _, m := range page {
			b, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Discard.Write(b)
		}
		used += ownCPU(t) - began
		page = page[:0]
	}
	for {
		record, err := r.Read()
		if err == io.EOF {
			encode()
			return used
		}
		if err != nil {
			t.Fatal(err)
		}
		m := make(map[string]any, len(header))
		for i, name := range header {
			switch {
			case number[name]:
				m[name] = json.Number(record[i])
			case name == "active":
				m[name] = record[i] == "t"
			default:
				m[name] = record[i]
			}
		}
		if page = append(page, m); len(page) == cap(page) {
			encode()
		}
	}
}

func ownCPU(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cpuOfProcess is user and system time, from /proc, in ticks of 10 ms.
func cpuOfProcess(t *testing.T, pid int) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

func peakOfProcess(t *testing.T, pid int) uint64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	kb, _ := strconv.ParseUint(strings.Fields(rest)[0], 10, 64)
	return kb << 10
}
