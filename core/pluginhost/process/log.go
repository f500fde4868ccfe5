package process

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

const (
	maxLogLine   = 8 << 10
	maxLogPairs  = 32
	logRate      = 200 // lines per second that reach the host's log
	keptLines    = 64
	maxKeptLine  = 1 << 10
	droppedEvery = time.Second
)

// Log reads what a plugin writes to its standard error: hclog JSON, a panic, or anything else. go-plugin's own
// reader is never given a byte of it, as a line such as {"@level": 5} makes it panic the host.
type Log struct {
	log     hclog.Logger
	now     func() time.Time
	dropped func(int) // metrics; may be nil

	mu      sync.Mutex
	last    []string // the last lines as they came, for the crash report
	panics  bool
	tokens  float64
	at      time.Time
	skipped int
	warned  time.Time
}

// NewLog makes a Log that passes lines on to log; dropped counts those that came too fast, and may be nil.
func NewLog(log hclog.Logger, now func() time.Time, dropped func(int)) *Log {
	return &Log{log: log, now: now, dropped: dropped, tokens: logRate, at: now()}
}

// read takes lines until r ends. It never stops reading early, so a plugin can't block on a full pipe.
func (l *Log) read(r io.Reader) {
	br := bufio.NewReaderSize(r, maxLogLine)
	for {
		line, err := br.ReadSlice('\n')
		cut := errors.Is(err, bufio.ErrBufferFull)
		if len(line) > 0 {
			l.line(bytes.TrimRight(line, "\r\n"), cut)
		}
		for errors.Is(err, bufio.ErrBufferFull) { // the rest of a line too long is thrown away
			_, err = br.ReadSlice('\n')
		}
		if err != nil {
			l.flush()
			return
		}
	}
}

func (l *Log) line(b []byte, cut bool) {
	if len(b) == 0 {
		return
	}
	kept := b
	if len(kept) > maxKeptLine {
		kept = kept[:maxKeptLine]
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.last) == keptLines {
		l.last = slices.Delete(l.last, 0, 1)
	}
	l.last = append(l.last, Printable(string(kept)))
	if !l.allow() {
		return
	}
	level, msg, pairs := parseLogLine(b, l.panics)
	if level == hclog.NoLevel { // not JSON
		level = plainLevel(msg, &l.panics)
	}
	if cut {
		pairs = append(pairs, "truncated", true)
	}
	if level < hclog.Trace || level > hclog.Error {
		level = hclog.Info
	}
	l.log.Log(level, msg, pairs...)
}

// allow is a token bucket; what it refuses is counted and reported once a second at most.
func (l *Log) allow() bool {
	now := l.now()
	l.tokens = min(logRate, l.tokens+now.Sub(l.at).Seconds()*logRate)
	l.at = now
	if l.tokens < 1 {
		l.skipped++
		if l.dropped != nil {
			l.dropped(1)
		}
		if now.Sub(l.warned) >= droppedEvery {
			l.reportSkipped(now)
		}
		return false
	}
	l.tokens--
	return true
}

func (l *Log) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reportSkipped(l.now())
}

func (l *Log) reportSkipped(now time.Time) {
	if l.skipped == 0 {
		return
	}
	l.log.Warn("plugin logs too fast, lines dropped", "dropped", l.skipped, "limit_per_second", logRate)
	l.skipped, l.warned = 0, now
}

// Tail is the last lines, oldest first.
func (l *Log) Tail() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.last)
}

// parseLogLine understands hclog's JSON and anything that resembles it. A level of NoLevel means the line is plain text.
func parseLogLine(b []byte, inPanic bool) (hclog.Level, string, []any) {
	if inPanic || len(b) == 0 || b[0] != '{' {
		return hclog.NoLevel, Printable(string(b)), nil
	}
	var raw map[string]any
	if err := json.Unmarshal(b, &raw); err != nil {
		return hclog.NoLevel, Printable(string(b)), nil
	}
	text := func(keys ...string) string {
		for _, k := range keys {
			if v, ok := raw[k]; ok {
				delete(raw, k)
				if s, ok := v.(string); ok {
					return s
				}
				return fmt.Sprint(v)
			}
		}
		return ""
	}
	msg := text("@message", "msg", "message")
	level := hclog.LevelFromString(text("@level", "level"))
	if level == hclog.NoLevel {
		level = hclog.Info
	}
	delete(raw, "@timestamp")
	if m := text("@module"); m != "" {
		raw["module"] = m
	}
	keys := make([]string, 0, len(raw))
	for k := range raw {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	if len(keys) > maxLogPairs {
		keys = keys[:maxLogPairs]
	}
	pairs := make([]any, 0, 2*len(keys))
	for _, k := range keys {
		v := raw[k]
		switch s := v.(type) {
		case string:
			v = Printable(s)
		case map[string]any, []any:
			v = Printable(fmt.Sprint(s))
		}
		pairs = append(pairs, Printable(k), v)
	}
	return level, Printable(msg), pairs
}

// plainLevel guesses the level of a line that is not JSON. A Go panic is an error, with all that follows it.
func plainLevel(line string, inPanic *bool) hclog.Level {
	switch {
	case *inPanic:
		return hclog.Error
	case strings.HasPrefix(line, "panic: "), strings.HasPrefix(line, "fatal error: "), strings.HasPrefix(line, "SIGSEGV"), strings.HasPrefix(line, "runtime: "):
		*inPanic = true
		return hclog.Error
	case strings.HasPrefix(line, "[TRACE]"):
		return hclog.Trace
	case strings.HasPrefix(line, "[DEBUG]"):
		return hclog.Debug
	case strings.HasPrefix(line, "[WARN]"):
		return hclog.Warn
	case strings.HasPrefix(line, "[ERROR]"):
		return hclog.Error
	}
	return hclog.Info
}
