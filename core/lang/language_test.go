package lang_test

import (
	"strings"
	"testing"
	"time"
)

func TestPlural(t *testing.T) {
	t.Parallel()
	c := load(t, nil)
	for _, x := range []struct {
		code string
		n    int
		want string
	}{
		{"en", 0, "0 hours"}, {"en", 1, "1 hour"}, {"en", 2, "2 hours"}, {"fr", 0, "0 heure"}, {"fr", 2, "2 heures"}, {"de", 1, "1 Stunde"},
		{"ar", 0, "0 ساعة"}, {"ar", 1, "ساعة واحدة"}, {"ar", 2, "ساعتين"}, {"ar", 3, "3 ساعات"}, {"ar", 11, "11 ساعة"}, {"ar", 100, "100 ساعة"}, {"ar", 103, "103 ساعات"},
		{"en", -1, "-1 hour"}, {"en", 1 << 40, "1099511627776 hours"},
	} {
		if got := c.For(c.Match(x.code, "")).Plural("language.hours", x.n); got != x.want {
			t.Errorf("%s, %d: %q, want %q", x.code, x.n, got, x.want)
		}
	}
}

func TestDate(t *testing.T) {
	t.Parallel()
	c := load(t, nil)
	at := time.Date(2026, 2, 1, 5, 4, 59, 0, time.FixedZone("", 2*60*60))
	for code, want := range map[string]string{
		"en": "1 February 2026 at 03:04 UTC", "de": "1. Februar 2026 um 03:04 Uhr UTC", "fr": "1 février 2026 à 03:04 UTC", "es": "1 de febrero de 2026 a las 03:04 UTC",
		"ar": "1 فبراير 2026 الساعة 03:04 بالتوقيت العالمي",
	} {
		l := c.For(c.Match(code, ""))
		if got := l.Date(at); got != want {
			t.Errorf("%s: %q", code, got)
		}
		if !strings.Contains(want, l.Day(at)) {
			t.Errorf("%s: %q", code, l.Day(at))
		}
	}
}

func TestSpan(t *testing.T) {
	t.Parallel()
	l := load(t, nil).Default()
	for d, want := range map[time.Duration]string{
		0: "1 minute", time.Second: "1 minute", time.Minute: "1 minute", 10 * time.Minute: "10 minutes", time.Hour: "60 minutes", 90 * time.Minute: "90 minutes",
		2 * time.Hour: "2 hours", 150 * time.Minute: "150 minutes", 24 * time.Hour: "24 hours", 48 * time.Hour: "48 hours", 50 * time.Hour: "50 hours",
		72 * time.Hour: "3 days", 73*time.Hour + time.Minute: "73 hours", 30 * 24 * time.Hour: "30 days",
	} {
		if got := l.Span(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}

func TestText_mistakesOfTheCaller(t *testing.T) {
	t.Parallel()
	c := load(t, files(map[string]string{"de/x.txt": "language.day = {{{day}}} {month}"}))
	l := c.For(c.Match("de", ""))
	for _, x := range []struct {
		key  string
		args []any
		want string
		ok   bool
	}{
		{"language.name", nil, "Deutsch", true},
		{"language.day", []any{"day", 7, "month", "<b>"}, "{7} <b>", true},
		{"language.day", []any{"day", 7, "month", "{day}", "more", "x"}, "{7} {day}", true},
		{"language.day", []any{"day", 7}, "{7} {month}", false},
		{"language.day", []any{"day", 7, "month", "x", "odd"}, "{7} x", false},
		{"language.nothing", nil, "⟨language.nothing⟩", false},
		{"language.hours", nil, "⟨language.hours⟩", false},
	} {
		if got := l.Text(x.key, x.args...); got != x.want {
			t.Errorf("%s %v: %q, want %q", x.key, x.args, got, x.want)
		}
		if _, err := l.Strict().Text(x.key, x.args...); (err == nil) != x.ok {
			t.Errorf("%s %v: %v", x.key, x.args, err)
		}
	}
	if _, err := l.Strict().Plural("language.name", 1); err == nil {
		t.Error("a plain text was counted")
	}
	if s, err := l.Strict().Plural("language.hours", 2); err != nil || s != "2 Stunden" {
		t.Errorf("%q, %v", s, err)
	}
	if !l.Has("language.hours") || l.Has("language.nothing") {
		t.Error("Has")
	}
}

// A Latin word in the middle of an Arabic sentence stands apart, numbers and Arabic words don't.
func TestText_isolatesOtherDirections(t *testing.T) {
	t.Parallel()
	c := load(t, nil)
	ar, en := c.For(c.Match("ar", "")), c.For(c.Match("en", ""))
	if got := ar.Text("language.day", "day", 1, "month", "May", "year", "٢٠٢٦"); got != "1 \u2068May\u2069 ٢٠٢٦" {
		t.Errorf("%q", got)
	}
	if got := en.Text("language.day", "day", 1, "month", "مايو", "year", 2); strings.ContainsAny(got, "\u2068\u2069") {
		t.Errorf("%q", got)
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	c := load(t, nil)
	for _, x := range []struct{ accept, preferred, want string }{
		{"", "", "en"}, {"de-CH,de;q=0.9,en;q=0.8", "", "de"}, {"nl,fr;q=0.5,en;q=0.3", "", "fr"}, {"ar-EG", "", "ar"}, {"es-419", "", "es"},
		{"en-US,en;q=0.5", "de", "de"}, {"de", "fr-CA", "fr"}, {"de", "ja", "de"}, {"zh", "", "en"}, {"*", "", "en"}, {"de;q=0", "", "en"}, {"fr;q=0,de;q=0.1", "", "de"},
		{"\x00\xff", "not a language!", "en"}, {"de;q=nonsense,fr", "", "en"}, {strings.Repeat("de,", 1000), "", "de"}, {strings.Repeat("d", 5000), "", "en"},
		{"en-u-rg-gbzzzz", "", "en"}, {"de-u-co-phonebk", "", "de"},
	} {
		if got := c.Match(x.accept, x.preferred).String(); got != x.want {
			t.Errorf("%.40q, %q: %s, want %s", x.accept, x.preferred, got, x.want)
		}
	}
}

func TestWithDefault(t *testing.T) {
	t.Parallel()
	c := load(t, nil)
	de, err := c.WithDefault("de")
	if err != nil {
		t.Fatal(err)
	}
	if de.Default().Code() != "de" || de.Match("zh", "").String() != "de" || de.Match("en", "").String() != "en" || c.Default().Code() != "en" {
		t.Errorf("%s, %s", de.Default().Code(), de.Match("zh", ""))
	}
	if got := de.For(de.Match("fr", "")).Name(); got != "Français" {
		t.Error(got)
	}
	if _, err := c.WithDefault("ja"); err == nil || !strings.Contains(err.Error(), "ar, de, en, es, fr") {
		t.Errorf("%v", err)
	}
}
