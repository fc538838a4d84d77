package console

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// registry has the host's metrics, and the process's own. Names and labels are
// stable: dashboards and alerts match on them.
func registry(h Host) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(
		collector{h},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return r
}

// collector makes metrics of one Status for each scrape, so that they agree
// with each other.
type collector struct{ host Host }

// Describe describes nothing: which metrics there are hangs on the config.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect asks the host.
func (c collector) Collect(to chan<- prometheus.Metric) {
	s, e := c.host.Status(), emitter{to}
	e.gauge("wellhead_build_info", "1, with the host's version.", 1, "version", s.Version)
	e.gauge("wellhead_start_time_seconds", "When the host was started.", unix(s.Started))
	e.gauge("wellhead_ready", "1 where /readyz answers 200.", oneIf(s.Ready))
	for p, n := range countProblems(s.Problems) {
		e.gauge("wellhead_problems", "Problems by code and place, as in wellhead status.", float64(n), "code", p.Code, "where", p.Where)
	}
	for i := range s.Sources {
		e.source(&s.Sources[i])
	}
	for i := range s.Plugins {
		e.plugin(&s.Plugins[i])
	}
	for i := range s.Destinations {
		e.destination(&s.Destinations[i])
	}
	e.journal(&s.Journal)
}

// countProblems counts those that have code and place in common: they are one
// metric.
func countProblems(all []Problem) map[Problem]int {
	counts := map[Problem]int{}
	for _, p := range all {
		counts[Problem{Code: p.Code, Where: p.Where}]++
	}
	return counts
}

func (e emitter) source(s *Source) {
	name := string(s.Name)
	const events = "Events since the host's start, by what became of them: accepted, duplicate, refused (quarantine), dropped (as configured), not_stored (sent again by the client)."
	for _, c := range []struct {
		outcome string
		n       uint64
	}{
		{"accepted", s.Accepted}, {"duplicate", s.Duplicates}, {"refused", s.Refused},
		{"dropped", s.Dropped}, {"not_stored", s.NotStored},
	} {
		e.counter("wellhead_source_events_total", events, c.n, "source", name, "outcome", c.outcome)
	}
	for code, n := range s.RefusedBy {
		e.counter("wellhead_source_refusals_total", "Refused and dropped events, by the code of their first violation.", n, "source", name, "code", code)
	}
	e.counter("wellhead_source_violating_total", "Accepted events that break the tracking plan (on_violation: deliver).", s.Violating, "source", name)
	e.counter("wellhead_source_clock_ignored_total", "Events whose sentAt was too absurd to correct a clock.", s.ClockIgnored, "source", name)
	e.counter("wellhead_source_restarts_total", "Restarts of the source's stream.", uint64(s.Restarts), "source", name)
	e.gauge("wellhead_source_up", "1 where the source runs.", oneIf(s.State == "running"), "source", name, "plugin", string(s.Plugin))
	for i := range s.Syncs {
		e.sync(name, &s.Syncs[i])
	}

	q := &s.Quarantine
	e.gauge("wellhead_quarantine_entries", "Open quarantine entries.", float64(q.Open), "source", name)
	e.gauge("wellhead_quarantine_bytes", "Bytes of open quarantine entries.", float64(q.Bytes), "source", name)
	e.gauge("wellhead_quarantine_limit_bytes", "Most bytes of open quarantine entries.", float64(q.Limit), "source", name)
	e.gauge("wellhead_quarantine_full", "1 where refused events get 503 for want of room.", oneIf(q.Full), "source", name)
	e.counter("wellhead_quarantine_lost_total", "Open entries that went by themselves.", q.Expired, "source", name, "reason", "age")
	e.counter("wellhead_quarantine_lost_total", "Open entries that went by themselves.", q.Dropped, "source", name, "reason", "space")
}

// sync has a source's syncs as labels: wire.MaxSyncs at most.
func (e emitter) sync(source string, s *Sync) {
	labels := []string{"source", source, "sync", s.Name}
	with := func(outcome string) []string { return append(labels[:4:4], "outcome", outcome) }
	e.gauge("wellhead_sync_running", "1 while a run of the sync is under way.", oneIf(s.State == "running"), labels...)
	e.gauge("wellhead_sync_last_success_timestamp_seconds", "When a run of the sync last ended well; 0: never.", unix(s.Succeeded), labels...)
	for outcome, n := range map[string]uint64{"done": s.Done, "failed": s.Failed} {
		e.counter("wellhead_sync_runs_total", "Runs of the sync that have ended, since the host's start.", n, with(outcome)...)
	}
	for outcome, n := range map[string]uint64{"read": s.RowsRead, "emitted": s.RowsEmitted, "refused": s.RowsRefused} {
		e.counter("wellhead_sync_rows_total", "Rows that the sync read, events of them that are stored, and what was refused, since the host's start.", n, with(outcome)...)
	}
}

func (e emitter) plugin(p *Plugin) {
	name := string(p.Name)
	e.gauge("wellhead_plugin_up", "1 where the plugin's process serves.", oneIf(p.State == "running"), "plugin", name)
	e.gauge("wellhead_plugin_crash_loop", "1 where the plugin fails again and again.", oneIf(p.State == "crash_loop"), "plugin", name)
	e.counter("wellhead_plugin_restarts_total", "Restarts of the plugin's process.", uint64(p.Restarts), "plugin", name)
}

func (e emitter) destination(d *Destination) {
	name := string(d.Name)
	e.gauge("wellhead_destination_up", "1 where the destination takes what it gets.", oneIf(d.State == "running"), "destination", name)
	e.gauge("wellhead_destination_full", "1 where the lag is at max_lag and the sources routed here get 503.", oneIf(d.Full), "destination", name)
	e.gauge("wellhead_destination_lag_bytes", "Bytes of the journal that the destination lacks.", float64(d.LagBytes), "destination", name)
	e.gauge("wellhead_destination_lag_frames", "Frames of the journal that the destination lacks.", float64(d.LagFrames), "destination", name)
	e.gauge("wellhead_destination_lag_seconds", "Age of the oldest event that the destination lacks.", d.LagSeconds, "destination", name)
	e.gauge("wellhead_destination_last_delivered_timestamp_seconds", "When the destination last took something; 0: never.", unix(d.LastDelivered), "destination", name)
	e.counter("wellhead_destination_delivered_total", "Events that the destination has taken.", d.Delivered, "destination", name)
	e.counter("wellhead_destination_retries_total", "Sends that failed and were tried again.", d.Retried, "destination", name)
	e.counter("wellhead_destination_refused_total", "Events that the destination refused for good, now in quarantine.", d.Quarantined, "destination", name)
	e.counter("wellhead_destination_skipped_total", "Events passed over at max_lag (at_limit: skip).", d.Skipped, "destination", name)
	e.counter("wellhead_destination_gap_frames_total", "Frames that the journal had dropped before they were delivered.", d.GapFrames, "destination", name)
}

func (e emitter) journal(j *Journal) {
	e.gauge("wellhead_journal_open", "1 where the journal takes events.", oneIf(j.Open))
	e.gauge("wellhead_journal_bytes", "Size of the journal on disk.", float64(j.Bytes))
	e.gauge("wellhead_journal_first_frame", "Number of the oldest frame.", float64(j.First))
	e.counter("wellhead_journal_frames_total", "Number of the newest frame.", j.Last)
	e.gauge("wellhead_journal_oldest_timestamp_seconds", "When the oldest frame was written; 0: there is none.", unix(j.Oldest))
	e.gauge("wellhead_journal_queued_bytes", "Bytes that wait to be durable.", float64(j.Queued))
	e.gauge("wellhead_journal_sync_seconds", "Time of the last syncs to disk, by quantile.", j.SyncP50, "quantile", "0.5")
	e.gauge("wellhead_journal_sync_seconds", "Time of the last syncs to disk, by quantile.", j.SyncP99, "quantile", "0.99")
	e.counter("wellhead_journal_lost_frames_total", "Stored frames that readers have found damaged or missing.", j.LostFrames)
	e.counter("wellhead_journal_cut_bytes_total", "Bytes that recoveries have cut off block files.", uint64(j.CutBytes))
	e.gauge("wellhead_disk_free_bytes", "Free bytes on the journal's disk.", float64(j.Free))
	e.gauge("wellhead_disk_reserve_bytes", "Bytes on the journal's disk that are kept free.", float64(j.Reserve))
	e.gauge("wellhead_dedup_ids", "Message ids that are remembered.", float64(j.DedupIDs))
	e.gauge("wellhead_dedup_window_seconds", "For how long the oldest id has been remembered: the real window.", j.DedupWindow)
}

// emitter writes metrics. Labels are names and values by turns.
type emitter struct{ to chan<- prometheus.Metric }

func (e emitter) gauge(name, help string, value float64, labels ...string) {
	e.emit(name, help, sample{prometheus.GaugeValue, value}, labels)
}

func (e emitter) counter(name, help string, n uint64, labels ...string) {
	e.emit(name, help, sample{prometheus.CounterValue, float64(n)}, labels)
}

type sample struct {
	kind  prometheus.ValueType
	value float64
}

func (e emitter) emit(name, help string, s sample, labels []string) {
	names, values := make([]string, 0, len(labels)/2), make([]string, 0, len(labels)/2)
	for i := 0; i < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, labels[i+1])
	}
	e.to <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, names, nil), s.kind, s.value, values...)
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// unix is a time in seconds; 0 for the zero time.
func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
