package config

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
)

// source is a file being read: its text, what in it must not be shown, and the world its functions see.
type source struct {
	name    string
	dir     string // relative paths start here
	text    []byte
	hidden  []span // secrets in text, in order
	environ []string
}

// span is a piece of the text, in bytes.
type span struct{ start, end int }

func newSource(text []byte, name string, environ []string) *source {
	if environ == nil {
		environ = os.Environ()
	}
	return &source{name: name, dir: filepath.Dir(name), text: text, environ: environ}
}

// path resolves a path that was written in the file.
func (s *source) path(p string) string {
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(s.dir, p)
}

// lookup finds an environment variable. An empty one counts as not set: that is what a forgotten line in an env file or
// a compose file looks like.
func (s *source) lookup(name string) (string, bool) {
	for _, kv := range slices.Backward(s.environ) {
		if k, v, ok := strings.Cut(kv, "="); ok && k == name {
			return v, v != ""
		}
	}
	return "", false
}

// top is where a diagnostic about the file as a whole points.
func (s *source) top() hcl.Range {
	return hcl.Range{Filename: s.name, Start: hcl.InitialPos, End: hcl.InitialPos}
}

// secretAt reports whether a range touches something that must not be shown.
func (s *source) secretAt(r hcl.Range) bool {
	return slices.ContainsFunc(s.hidden, func(h span) bool {
		return r.Start.Byte < h.end && h.start < max(r.End.Byte, r.Start.Byte+1)
	})
}

// snippet returns the text of a range.
func (s *source) snippet(r hcl.Range) string {
	if r.Start.Byte < 0 || r.End.Byte > len(s.text) || r.Start.Byte > r.End.Byte {
		return ""
	}
	return string(s.text[r.Start.Byte:r.End.Byte])
}

// place fills in where d is and what stands there.
func (s *source) place(d Diagnostic, r hcl.Range) Diagnostic {
	if r.Start.Line < 1 || r.Start.Byte < 0 || r.Start.Byte > len(s.text) {
		r = s.top()
	}
	if r.End.Byte < r.Start.Byte || r.End.Byte > len(s.text) {
		r.End = r.Start
	}
	d.File, d.Line, d.Column = s.name, r.Start.Line, max(1, r.Start.Column)
	d.EndLine, d.EndColumn = r.End.Line, max(1, r.End.Column)
	d.Source, d.MarkStart, d.MarkLength = s.line(r.Start.Byte, r.End.Byte)
	return d
}

// line returns the line in which start lies as it may be shown, and the mark from start to end (or to the line's end).
func (s *source) line(start, end int) (shown string, mark, length int) {
	from := bytes.LastIndexByte(s.text[:start], '\n') + 1
	to := len(s.text)
	if i := bytes.IndexByte(s.text[start:], '\n'); i >= 0 {
		to = start + i
	}
	for to > from && s.text[to-1] == '\r' {
		to--
	}
	// A line can be as long as the file; only what is around the mark will be shown.
	for from < start-600 || from > 0 && from < start && !utf8.RuneStart(s.text[from]) {
		from = max(from+1, start-600)
	}
	to = min(to, start+1200)
	end = max(start, min(end, to))

	var b strings.Builder
	count := func() int { return utf8.RuneCountInString(b.String()) }
	mark, stop := -1, -1
	for at := from; at < to; {
		if at >= start && mark < 0 {
			mark = count()
		}
		if at >= end && stop < 0 {
			stop = count()
		}
		if h, ok := s.hiddenAt(at); ok {
			next := min(h.end, to)
			if mark < 0 && start < next {
				mark = count()
			}
			b.WriteString("[redacted]")
			if stop < 0 && end <= next {
				stop = count()
			}
			at = next
			continue
		}
		r, n := utf8.DecodeRune(s.text[at:to])
		b.WriteRune(r)
		at += n
	}
	if mark < 0 {
		mark = count()
	}
	if stop < 0 {
		stop = count()
	}
	return window(b.String(), mark, max(1, stop-mark))
}

func (s *source) hiddenAt(at int) (span, bool) {
	i, found := slices.BinarySearchFunc(s.hidden, at, func(h span, at int) int {
		switch {
		case h.end <= at:
			return -1
		case h.start > at:
			return 1
		}
		return 0
	})
	if !found {
		return span{}, false
	}
	return s.hidden[i], true
}

// window cuts a long line down to the part around the mark.
func window(line string, mark, length int) (string, int, int) {
	const width, before = 140, 50
	r := []rune(line)
	if len(r) <= width {
		return line, mark, length
	}
	from := max(0, mark-before)
	to := min(len(r), from+width)
	out := string(r[from:to])
	mark -= from
	length = max(1, min(length, to-from-mark))
	if to < len(r) {
		out += "…"
	}
	if from > 0 {
		out = "…" + out
		mark++
	}
	return out, mark, length
}
