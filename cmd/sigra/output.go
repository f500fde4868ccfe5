package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// show prints v as JSON where that was asked for, and otherwise as text has it.
func (c *cli) show(v any, text func(w io.Writer)) error {
	if c.json {
		enc := json.NewEncoder(c.out)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(v)
	}
	text(c.out)
	return nil
}

// table prints rows in columns, or a sentence when there are none.
func table(w io.Writer, none string, head []string, rows [][]string) {
	if len(rows) == 0 {
		_, _ = fmt.Fprintln(w, none)
		return
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(tw, strings.Join(head, "\t"))
	for _, r := range rows {
		for i := range r {
			r[i] = printable(r[i])
		}
		_, _ = fmt.Fprintln(tw, strings.Join(r, "\t"))
	}
	_ = tw.Flush()
}

// facts prints names with values, leaving out empty ones.
func facts(w io.Writer, pairs ...string) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			_, _ = fmt.Fprintf(tw, "%s\t%s\n", pairs[i], printable(pairs[i+1]))
		}
	}
	_ = tw.Flush()
}

// printable keeps what others wrote from steering the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '\uFFFD'
		}
		return r
	}, s)
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

// utc is stamp where no heading tells the zone.
func utc(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return stamp(t) + " UTC"
}

// count is a number with its noun.
func count[N int | int64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.FormatInt(int64(n), 10) + " " + many
}

func yes(b bool, text string) string {
	if b {
		return text
	}
	return ""
}

// isTerminal reports whether somebody is looking.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

// progress tells, on the terminal only, how far a long work is.
type progress struct {
	w    io.Writer
	what string
	n    int
	last time.Time
}

func (c *cli) progress(what string) *progress {
	if c.json || !isTerminal(c.err) {
		return &progress{}
	}
	return &progress{w: c.err, what: what}
}

func (p *progress) add(n int) {
	p.n += n
	if p.w != nil && time.Since(p.last) > 200*time.Millisecond {
		p.last = time.Now()
		_, _ = fmt.Fprintf(p.w, "\r%d %s", p.n, p.what)
	}
}

func (p *progress) end() {
	if p.w != nil {
		_, _ = fmt.Fprintf(p.w, "\r%d %s\n", p.n, p.what)
	}
}
