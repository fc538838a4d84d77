package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/event"
)

// printJSON prints one document.
func (s *shell) printJSON(v any) error {
	e := json.NewEncoder(s.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// maxCell bounds a table's cell, in characters, but for the last of a row: one long
// id would put the columns behind it out of sight, in all rows.
const maxCell = 64

// table prints rows in columns under a head.
func (s *shell) table(head string, rows [][]string) error {
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.ReplaceAll(head, " | ", "\t"))
	for _, row := range rows {
		for i, cell := range row {
			row[i] = printable(cell)
			if i < len(row)-1 {
				row[i] = clip(row[i])
			}
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

func clip(cell string) string {
	if r := []rune(cell); len(r) > maxCell {
		return string(r[:maxCell-1]) + "…"
	}
	return cell
}

// printable keeps what clients and plugins write from moving the cursor or the
// columns, and from turning the direction of the text.
func printable(cell string) string {
	if cell == "" {
		return "-"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || unicode.Is(unicode.Bidi_Control, r) {
			return '?'
		}
		return r
	}, cell)
}

// plural counts something whose name takes an s.
func plural[N int | uint64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// bytesText is a size for people: 1.2 MB.
func bytesText[N int | int64 | uint64](n N) string {
	f, unit := float64(n), "B"
	for _, u := range []string{"kB", "MB", "GB", "TB"} {
		if f < 999.5 {
			break
		}
		f, unit = f/1000, u
	}
	if unit == "B" || f >= 99.5 {
		return fmt.Sprintf("%.0f %s", f, unit)
	}
	return fmt.Sprintf("%.1f %s", f, unit)
}

// span is a length of time for people: 12s, 3m, 5h, 3d.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}

// ago is how long ago something was.
func ago(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return span(max(0, time.Since(t))) + " ago"
}

// reason is one violation on a line.
func reason(v event.Violation) string {
	text := v.Message
	if v.Path != "" {
		text = v.Path + ": " + text
	}
	return printable(text + " [" + v.Code + "]")
}

// reasons is the first violation, and how many more there are.
func reasons(all []event.Violation) string {
	switch len(all) {
	case 0:
		return "-"
	case 1:
		return reason(all[0])
	default:
		return fmt.Sprintf("%s and %d more", reason(all[0]), len(all)-1)
	}
}

// problemsIn is everything that an error of a check says.
func problemsIn(err error) config.Problems {
	var ps config.Problems
	if !errors.As(config.Join(err), &ps) {
		return nil
	}
	return ps
}
