package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/console"
)

type statusCommand struct {
	configFlag
	jsonFlag
}

// Run shows the running host.
func (c *statusCommand) Run(ctx context.Context, s *shell) error {
	client, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	st, err := client.Status(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		err = s.printJSON(st)
	} else {
		err = s.printStatus(&st)
	}
	if err == nil && !st.Ready {
		return errTold
	}
	return err
}

func (s *shell) printStatus(st *console.Status) error {
	ready := "ready"
	if !st.Ready {
		ready = "not ready"
	}
	fmt.Fprintf(s.out, "wellhead %s, pid %d, up %s: %s\n", st.Version, st.PID, span(time.Since(st.Started)), ready)
	for _, p := range st.Problems {
		fmt.Fprintf(s.out, "  %s\n", printable(p.Error()))
	}
	for _, table := range []struct {
		head string
		rows [][]string
	}{
		{"SOURCE | PLUGIN | STATE | ACCEPTED | DUPLICATES | REFUSED | DROPPED | NOT STORED | QUARANTINE", sourceRows(st)},
		{"PLUGIN | STATE | PID | VERSION | RESTARTS | LISTEN", pluginRows(st)},
		{"DESTINATION | TYPE | STATE | BEHIND | EVENTS/S | DELIVERED | RETRIES | REFUSED | SKIPPED | LAST", destinationRows(st)},
	} {
		if len(table.rows) == 0 {
			continue
		}
		fmt.Fprintln(s.out)
		if err := s.table(table.head, table.rows); err != nil {
			return err
		}
	}
	fmt.Fprintf(s.out, "\n%s\n", journalLine(&st.Journal))
	for _, line := range remarks(st) {
		fmt.Fprintln(s.out, printable(line))
	}
	return nil
}

// remarks are what is no problem but worth to know.
func remarks(st *console.Status) []string {
	var out []string
	for i := range st.Sources {
		for _, p := range st.Sources[i].Progress {
			line := fmt.Sprintf("source %s: %s: %d", st.Sources[i].Name, p.Stream, p.Done)
			if p.Total > 0 {
				line += fmt.Sprintf(" of %d", p.Total)
			}
			if p.Message != "" {
				line += ", " + p.Message
			}
			out = append(out, line)
		}
	}
	for i := range st.Sources {
		for j := range st.Sources[i].Syncs {
			if y := &st.Sources[i].Syncs[j]; y.Progress != nil {
				out = append(out, fmt.Sprintf("source %s: sync %s: %s", st.Sources[i].Name, y.Name, howFar(y)))
			}
		}
	}
	for i := range st.Plugins {
		if p := &st.Plugins[i]; p.State == "running" && p.LastError != "" {
			out = append(out, fmt.Sprintf("plugin %s failed %s: %s", p.Name, ago(p.ErrorAt), p.LastError))
		}
	}
	for i := range st.Destinations {
		if d := &st.Destinations[i]; d.Notice != "" {
			out = append(out, fmt.Sprintf("destination %s, %s: %s", d.Name, ago(d.NoticeAt), d.Notice))
		}
	}
	return out
}

func sourceRows(st *console.Status) [][]string {
	rows := make([][]string, 0, len(st.Sources))
	for i := range st.Sources {
		src := &st.Sources[i]
		kept := "-"
		if q := &src.Quarantine; q.Open > 0 {
			kept = fmt.Sprintf("%d open, %s", q.Open, bytesText(q.Bytes))
		}
		rows = append(rows, []string{
			string(src.Name), string(src.Plugin), words(src.State), count(src.Accepted), count(src.Duplicates),
			count(src.Refused), count(src.Dropped), count(src.NotStored), kept,
		})
	}
	return rows
}

func pluginRows(st *console.Status) [][]string {
	rows := make([][]string, 0, len(st.Plugins))
	for i := range st.Plugins {
		p := &st.Plugins[i]
		pid, state := "-", words(p.State)
		if p.PID > 0 {
			pid = strconv.Itoa(p.PID)
		}
		if wait := time.Until(p.RetryAt); !p.RetryAt.IsZero() && wait > 0 {
			state += ", next try in " + span(wait+time.Second)
		}
		rows = append(rows, []string{string(p.Name), state, pid, p.Version, strconv.Itoa(p.Restarts), p.Listen})
	}
	return rows
}

func destinationRows(st *console.Status) [][]string {
	rows := make([][]string, 0, len(st.Destinations))
	for i := range st.Destinations {
		d := &st.Destinations[i]
		behind := "-"
		if d.LagBytes > 0 {
			behind = bytesText(d.LagBytes) + ", " + span(time.Duration(d.LagSeconds*float64(time.Second)))
		}
		last := "-"
		if d.Delivered > 0 {
			last = ago(d.LastDelivered)
		}
		rows = append(rows, []string{
			string(d.Name), d.Type, words(d.State), behind, fmt.Sprintf("%.1f", d.Rate), count(d.Delivered),
			count(d.Retried), count(d.Quarantined), count(d.Skipped), last,
		})
	}
	return rows
}

func journalLine(j *console.Journal) string {
	line := "journal: closed"
	if j.Open {
		line = "journal: open"
	}
	line += fmt.Sprintf(", %s on disk", bytesText(j.Bytes))
	if !j.Oldest.IsZero() {
		line += ", oldest " + ago(j.Oldest)
	}
	line += fmt.Sprintf(", %s free", bytesText(j.Free))
	return line + fmt.Sprintf("; %d message ids remembered, over %s", j.DedupIDs, span(time.Duration(j.DedupWindow*float64(time.Second))))
}

func count(n uint64) string { return strconv.FormatUint(n, 10) }

func words(state string) string { return strings.ReplaceAll(state, "_", " ") }
