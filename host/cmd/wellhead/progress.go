package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wellhead-io/wellhead/host/internal/console"
	"github.com/wellhead-io/wellhead/host/internal/event"
)

const (
	// lookEvery is how often a followed source is asked, lineEvery how often a line
	// is printed where lines cannot be drawn anew.
	lookEvery = 500 * time.Millisecond
	lineEvery = 5 * time.Second
	// rateOver is the time over which a rate is measured.
	rateOver = 10 * time.Second
	// maxBars is how many lines are drawn anew: more might scroll away.
	maxBars = 20
)

// watch is what is followed: syncs of a source, until each has ended a run since
// a time and none is under way; the zero time: until none is.
type watch struct {
	client *console.Client
	source event.SourceID
	names  []string
	since  time.Time
}

// followed shows how far syncs are until they have ended, and then how. The error
// is errTold where one failed.
func (s *shell) followed(ctx context.Context, w *watch, asJSON bool) error {
	ended, err := s.follow(ctx, w)
	if err != nil {
		return err
	}
	if asJSON {
		err = s.printJSON(ended)
	} else {
		s.printEnds(ended, w.since)
	}
	for _, y := range ended {
		if len(y.Runs) > 0 && y.Runs[0].State == "failed" && !y.Runs[0].Ended.Before(w.since) {
			return cmp.Or(err, errTold)
		}
	}
	return err
}

// follow shows how far syncs are, and returns them when they have ended.
func (s *shell) follow(ctx context.Context, w *watch) ([]*console.Sync, error) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	screen := newScreen(s.errs)
	meters := map[string]*meter{}
	for {
		found, err := w.client.Syncs(ctx, w.source)
		if err != nil {
			return nil, err
		}
		var open, ended []*console.Sync
		for i := range found.Syncs {
			y := &found.Syncs[i]
			switch {
			case !slices.Contains(w.names, y.Name):
			case w.waitsFor(y):
				open = append(open, y)
			default:
				ended = append(ended, y)
			}
		}
		var lines []string
		for _, y := range open {
			if meters[y.Name] == nil {
				meters[y.Name] = &meter{}
			}
			lines = append(lines, meters[y.Name].line(y, time.Now(), screen.width))
		}
		screen.draw(lines, len(open) == 0)
		if len(open) == 0 {
			return ended, nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// waitsFor tells whether a sync has something to wait for.
func (w *watch) waitsFor(y *console.Sync) bool {
	ended := w.since.IsZero() || y.State == "paused"
	for i := range y.Runs {
		r := &y.Runs[i]
		if r.State == "running" {
			return true
		}
		ended = ended || !r.Ended.Before(w.since)
	}
	return !ended
}

// printEnds tells how followed runs have ended.
func (s *shell) printEnds(list []*console.Sync, since time.Time) {
	for _, y := range list {
		if len(y.Runs) == 0 || y.Runs[0].Ended.Before(since) {
			fmt.Fprintf(s.out, "%s: %s\n", printable(y.Name), y.State)
			continue
		}
		r := &y.Runs[0]
		line := fmt.Sprintf("%s: %s %s in %s: %d read, %d emitted, %d refused", y.Name, r.Kind, r.State, took(r), r.Read, r.Emitted, r.Refused)
		if r.Error != nil {
			line += "; " + r.Error.Text()
		}
		fmt.Fprintln(s.out, printable(line))
	}
}

// howFar is the progress of a sync in words.
func howFar(y *console.Sync) string {
	p := y.Progress
	line := fmt.Sprintf("%d", p.Done)
	if p.Total > 0 {
		line += fmt.Sprintf(" of %d", p.Total)
	}
	if p.Message != "" {
		line += ", " + p.Message
	}
	return line
}

// meter measures how fast a sync is.
type meter struct{ samples []sample }

type sample struct {
	at   time.Time
	done uint64
}

// line shows how far a sync is: as a bar where there is room for one and the end
// is known.
func (m *meter) line(y *console.Sync, now time.Time, width int) string {
	if len(y.Runs) == 0 || y.Runs[0].State != "running" && y.Progress == nil {
		return y.Name + ": waits for its run"
	}
	done, total := y.Runs[0].Read, uint64(0)
	if y.Progress != nil {
		done, total = y.Progress.Done, y.Progress.Total
	}
	perSecond := m.rate(done, now)
	left := ""
	if total > done && perSecond > 0 {
		left = ", " + span(time.Duration(float64(total-done)/perSecond*float64(time.Second))) + " left"
	}
	speed := fmt.Sprintf("%.0f/s%s", perSecond, left)
	if total == 0 {
		return fmt.Sprintf("%s: %s %d, %s", y.Name, y.Runs[0].Kind, done, speed)
	}
	percent := int(min(1, float64(done)/float64(total)) * 100)
	if width == 0 {
		return fmt.Sprintf("%s: %s %d of %d (%d %%), %s", y.Name, y.Runs[0].Kind, done, total, percent, speed)
	}
	full := percent / 5
	return fmt.Sprintf("%s [%s%s] %3d %% of %d, %s", y.Name, strings.Repeat("=", full), strings.Repeat(" ", 20-full), percent, total, speed)
}

// rate is rows per second, lately.
func (m *meter) rate(done uint64, now time.Time) float64 {
	if n := len(m.samples); n > 0 && done < m.samples[n-1].done {
		m.samples = nil // another run
	}
	m.samples = append(m.samples, sample{now, done})
	for len(m.samples) > 2 && now.Sub(m.samples[1].at) >= rateOver {
		m.samples = m.samples[1:]
	}
	first := m.samples[0]
	took := now.Sub(first.at).Seconds()
	if took <= 0 {
		return 0
	}
	return float64(done-first.done) / took
}

// screen is where progress is shown: lines that are drawn anew on a terminal, now
// and then a line elsewhere.
type screen struct {
	to     io.Writer
	width  int // 0: no terminal
	drawn  int // lines that stand there
	last   time.Time
	before string
}

func newScreen(to io.Writer) *screen { return &screen{to: to, width: columns(to)} }

// draw shows the lines; at last, that there is nothing more to show.
func (c *screen) draw(lines []string, last bool) {
	if c.width == 0 {
		text := strings.Join(lines, "\n")
		if last || text == c.before || time.Since(c.last) < lineEvery {
			return
		}
		c.last, c.before = time.Now(), text
		for _, line := range lines {
			fmt.Fprintln(c.to, printable(line))
		}
		return
	}
	if more := len(lines) - maxBars; more > 0 {
		lines = append(lines[:maxBars:maxBars], fmt.Sprintf("and %d more", more))
	}
	var b strings.Builder
	if c.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\x1b[J", c.drawn)
	}
	for _, line := range lines {
		b.WriteString(fit(printable(line), c.width-1) + "\n")
	}
	c.drawn = len(lines)
	_, _ = io.WriteString(c.to, b.String())
}

// fit keeps a line from being broken into two.
func fit(line string, most int) string {
	if runes := []rune(line); len(runes) > most {
		return string(runes[:most])
	}
	return line
}

// columns is how wide a terminal is; 0: it is none.
func columns(stream any) int {
	f, ok := stream.(*os.File)
	if !ok {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	switch {
	case err != nil:
		return 0
	case size.Col == 0:
		return 80
	default:
		return int(size.Col)
	}
}
