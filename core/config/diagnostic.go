package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Severity says whether a file can be used as it is.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // it can't
	Warning Severity = "warning" // it can, but somebody should look
)

// Diagnostic is one mistake, with the place it was made. It holds everything needed to show it, so one that was sent as
// JSON is shown alike at the other end.
type Diagnostic struct {
	Severity   Severity `json:"severity"`
	Summary    string   `json:"summary"`                // what is wrong, in one line
	Detail     string   `json:"detail,omitempty"`       // what was expected; may have several lines
	Suggestion string   `json:"did_you_mean,omitempty"` // what to write instead
	Setting    string   `json:"setting,omitempty"`      // "server.listen"; "plugin.source" of any plugin
	Plugin     string   `json:"plugin,omitempty"`       // whose block it is in

	File      string `json:"file"`
	Line      int    `json:"line"` // from 1; 0 when the file itself could not be read
	Column    int    `json:"column"`
	EndLine   int    `json:"end_line"`
	EndColumn int    `json:"end_column"`

	// Source is the line, with secrets taken out and cut to what fits; the mark counts characters in it.
	Source     string `json:"source,omitempty"`
	MarkStart  int    `json:"mark_start,omitempty"`
	MarkLength int    `json:"mark_length,omitempty"`
}

// Diagnostics are all the mistakes of a file, in its order.
type Diagnostics []Diagnostic

// HasErrors reports whether any of them is an error.
func (ds Diagnostics) HasErrors() bool {
	return slices.ContainsFunc(ds, func(d Diagnostic) bool { return d.Severity == Error })
}

// Err returns the diagnostics as an error if there is an error among them, else nil.
func (ds Diagnostics) Err() error {
	if !ds.HasErrors() {
		return nil
	}
	return errors.New(ds.String())
}

// String shows all of them, without colour.
func (ds Diagnostics) String() string {
	var b strings.Builder
	_ = ds.Render(&b, false)
	return strings.TrimRight(b.String(), "\n")
}

// Render writes all of them for people.
func (ds Diagnostics) Render(w io.Writer, colour bool) error {
	for i, d := range ds {
		if i > 0 {
			if _, err := io.WriteString(w, "\n"); err != nil {
				return err
			}
		}
		if err := d.render(w, colour); err != nil {
			return err
		}
	}
	return nil
}

// String shows one of them, without colour.
func (d Diagnostic) String() string {
	var b strings.Builder
	_ = d.render(&b, false)
	return strings.TrimRight(b.String(), "\n")
}

// Position is file:line:column, as editors jump to it.
func (d Diagnostic) Position() string {
	if d.Line == 0 {
		return d.File
	}
	return fmt.Sprintf("%s:%d:%d", d.File, d.Line, d.Column)
}

func (d Diagnostic) render(w io.Writer, colour bool) error {
	const red, yellow, bold, off = "\x1b[31m", "\x1b[33m", "\x1b[1m", "\x1b[0m"
	paint := func(s string, codes ...string) string {
		if !colour {
			return s
		}
		return strings.Join(codes, "") + s + off
	}
	accent := red
	if d.Severity == Warning {
		accent = yellow
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s %s\n", paint(visible(d.Position()), bold), paint(string(d.Severity)+":", accent, bold), visible(d.Summary))
	if d.Source != "" {
		gutter := fmt.Sprintf("%5d | ", d.Line)
		fmt.Fprintf(&b, "\n%s%s\n%s%s%s\n", gutter, visible(d.Source), strings.Repeat(" ", len(gutter)-2)+"| ",
			indentLike(d.Source, d.MarkStart), paint(strings.Repeat("^", max(1, d.MarkLength)), accent))
	}
	if d.Suggestion != "" || d.Detail != "" {
		b.WriteString("\n")
	}
	if d.Suggestion != "" {
		s := d.Suggestion
		if !strings.ContainsAny(s, "\"(") {
			s = fmt.Sprintf("%q", s)
		}
		fmt.Fprintf(&b, "  Did you mean %s?\n", visible(s))
	}
	for line := range strings.Lines(d.Detail) {
		b.WriteString(strings.TrimRight("  "+visible(strings.TrimRight(line, "\n")), " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// indentLike is the blank before the caret: tabs where the line has tabs, so that both align however wide a tab is.
func indentLike(line string, n int) string {
	var b strings.Builder
	for _, r := range line {
		if n == 0 {
			break
		}
		if r == '\t' {
			b.WriteByte('\t')
		} else {
			b.WriteByte(' ')
		}
		n--
	}
	return b.String() + strings.Repeat(" ", n)
}

// visible takes out what could move a terminal's cursor or turn the direction of text: a file under suspicion is
// being shown here.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return r
		case r < ' ', r >= 0x7f && r < 0xa0, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x200e, r == 0x200f:
			return utf8.RuneError
		}
		return r
	}, s)
}

// mostShown is how many diagnostics anybody will read.
const mostShown = 100

// sorted puts diagnostics in the order of the file, drops repetitions, and cuts a flood.
func (ds Diagnostics) sorted() Diagnostics {
	slices.SortStableFunc(ds, func(a, b Diagnostic) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	ds = slices.CompactFunc(ds, func(a, b Diagnostic) bool {
		return a.File == b.File && a.Line == b.Line && a.Column == b.Column && a.Summary == b.Summary
	})
	if len(ds) > mostShown+1 {
		last := ds[mostShown]
		last.Severity = Error
		last.Summary, last.Detail, last.Suggestion = "the mistakes from here on are not shown", fmt.Sprintf("There are more than %d.", mostShown), ""
		ds = append(ds[:mostShown:mostShown], last)
	}
	return ds
}
