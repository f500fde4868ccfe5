package config

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// problem says what is wrong with a value, as the rest of a sentence that the setting's name begins; what would be right; and
// what was probably meant.
type problem struct {
	is, want, try string
	warn          bool
}

var durationParts = regexp.MustCompile(`^(\d+(?:\.\d+)?)\s*([A-Za-zµ]*)`)

var durationUnits = map[string]time.Duration{
	"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": day, "w": 7 * day,
}

var unitAliases = map[string]string{
	"sec": "s", "secs": "s", "second": "s", "seconds": "s", "min": "m", "mins": "m", "minute": "m", "minutes": "m",
	"hr": "h", "hrs": "h", "hour": "h", "hours": "h", "day": "d", "days": "d", "week": "w", "weeks": "w",
	"S": "s", "M": "m", "H": "h", "D": "d", "W": "w", "millisecond": "ms", "milliseconds": "ms", "msec": "ms",
}

// ParseDuration reads a length of time: numbers with the units ms, s, m, h, d and w, such as "30m", "60d" or "1h30m"; and "0".
func ParseDuration(s string) (time.Duration, error) {
	d, p := parseDuration(s)
	if p != nil {
		return 0, fmt.Errorf("%q %s", s, p.is)
	}
	return d, nil
}

const (
	durationWant = `A number and its unit (ms, s, m, h, d, w) in quotes, such as "30m".`
	sizeWant     = `A number and its unit in quotes, such as "1MiB": B, KiB, MiB, GiB (1024 each) or kB, MB, GB (1000 each).`
	rateWant     = `A number and a time in quotes, such as "30/1m" for 30 a minute (1 to 1000000, in 1s to 30d), or "0" for no limit.`
)

func parseDuration(s string) (time.Duration, *problem) {
	const want = durationWant
	if s == "0" {
		return 0, nil
	}
	if s == "" {
		return 0, &problem{is: "is an empty text, not a duration", want: want}
	}
	if strings.HasPrefix(s, "-") {
		return 0, &problem{is: "can't be less than nothing", want: want}
	}
	var sum float64
	fixed, wrong := "", ""
	for rest := s; rest != ""; {
		m := durationParts.FindStringSubmatch(rest)
		if m == nil {
			return 0, &problem{is: "is no duration", want: want}
		}
		unit := m[2]
		if unit == "" {
			return 0, &problem{is: "is a duration without a unit", want: want}
		}
		if durationUnits[unit] == 0 {
			if unitAliases[unit] == "" {
				return 0, &problem{is: fmt.Sprintf("has a unit that is not known: %q", unit), want: want}
			}
			unit, wrong = unitAliases[unit], "has a unit that is not known"
		}
		if len(m[0]) != len(m[1])+len(m[2]) {
			wrong = "has a space between number and unit"
		}
		n, _ := strconv.ParseFloat(m[1], 64)
		sum += n * float64(durationUnits[unit])
		fixed += m[1] + unit
		rest = rest[len(m[0]):]
		if t := strings.TrimLeft(rest, " "); t != rest {
			wrong, rest = "has a space in it", t
		}
	}
	if wrong != "" {
		return 0, &problem{is: wrong, want: want, try: fixed}
	}
	if sum >= math.MaxInt64/2 {
		return 0, &problem{is: "is longer than anyone will wait"}
	}
	return time.Duration(math.Round(sum)), nil
}

// FormatDuration writes a duration as ParseDuration reads it: "60d", "36h", "1h30m".
func FormatDuration(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	if d >= 2*day && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	s := d.String() // "36h0m0s", "1h30m0s", "1m30s"
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

var sizeParts = regexp.MustCompile(`^(\d+(?:\.\d+)?)(\s*)([A-Za-z]*)$`)

var sizeUnits = map[string]int64{
	"B": 1, "KiB": kib, "MiB": mib, "GiB": gib, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9,
}

// ParseSize reads a number of bytes with its unit: "64KiB", "1MiB", "10MB".
func ParseSize(s string) (int64, error) {
	n, p := parseSize(s)
	if p != nil {
		return 0, fmt.Errorf("%q %s", s, p.is)
	}
	return n, nil
}

func parseSize(s string) (int64, *problem) {
	const want = sizeWant
	m := sizeParts.FindStringSubmatch(s)
	if m == nil {
		if strings.HasPrefix(s, "-") {
			return 0, &problem{is: "can't be less than nothing", want: want}
		}
		return 0, &problem{is: "is no size", want: want}
	}
	if m[3] == "" {
		return 0, &problem{is: "is a size without a unit", want: want}
	}
	unit, ok := sizeUnits[m[3]]
	if !ok {
		guess := map[string]string{"b": "B", "k": "KiB", "kib": "KiB", "kb": "kB", "m": "MiB", "mib": "MiB", "mb": "MB", "g": "GiB", "gib": "GiB", "gb": "GB"}[strings.ToLower(m[3])]
		p := &problem{is: fmt.Sprintf("has a unit that is not known: %q", m[3]), want: want}
		if guess != "" {
			p.try = m[1] + guess
		}
		return 0, p
	}
	if m[2] != "" {
		return 0, &problem{is: "has a space between number and unit", want: want, try: m[1] + m[3]}
	}
	n, _ := strconv.ParseFloat(m[1], 64)
	if n*float64(unit) >= math.MaxInt64/2 {
		return 0, &problem{is: "is larger than any memory"}
	}
	return int64(n * float64(unit)), nil
}

// FormatSize writes a number of bytes as ParseSize reads it.
func FormatSize(n int64) string {
	for _, u := range []struct {
		name string
		size int64
	}{{"GiB", gib}, {"MiB", mib}, {"KiB", kib}} {
		if n >= u.size && n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}

// String writes a rate as it stands in the file: "30/1m", or "0" for no limit.
func (r Rate) String() string {
	if r.Count == 0 {
		return "0"
	}
	return strconv.Itoa(r.Count) + "/" + FormatDuration(r.Per)
}

func parseRate(s string) (Rate, *problem) {
	const want = rateWant
	if s == "0" {
		return Rate{}, nil
	}
	count, per, ok := strings.Cut(s, "/")
	n, err := strconv.Atoi(count)
	if !ok || err != nil {
		p := &problem{is: "is no rate", want: want}
		if err == nil {
			p.is, p.try = "is a number without a time", s+"/1m"
		}
		return Rate{}, p
	}
	if _, alone := durationUnits[per]; alone {
		return Rate{}, &problem{is: "has a time without a number", want: want, try: count + "/1" + per}
	}
	d, p := parseDuration(per)
	switch {
	case p != nil:
		p.is, p.want = "has a time that can't be read: it "+p.is, want
		if p.try != "" {
			p.try = count + "/" + p.try
		}
		return Rate{}, p
	case n < 1 || n > 1_000_000:
		return Rate{}, &problem{is: "must allow from 1 to 1000000", want: want}
	case d < time.Second || d > 30*day:
		return Rate{}, &problem{is: "must count over a time from 1s to 30d", want: want}
	}
	return Rate{Count: n, Per: d}, nil
}
