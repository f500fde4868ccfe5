package breach_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/credential/password/breach"
)

func password(i int) [sha1.Size]byte { return sha1.Sum(fmt.Appendf(nil, "password %d", i)) }

// list makes a list in order of so many passwords and some others; the i-th was seen i+1 times.
func list(n int, more ...[sha1.Size]byte) string {
	lines := make([]string, 0, n+len(more))
	for i := range n {
		sum := password(i)
		lines = append(lines, fmt.Sprintf("%X:%d\r\n", sum[:], i+1))
	}
	for _, m := range more {
		lines = append(lines, fmt.Sprintf("%X:1\r\n", m[:]))
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func build(t testing.TB, text string, minCount uint32) (string, breach.Header) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "breach.bin")
	h, err := breach.Build(t.Context(), breach.BuildConfig{
		From: strings.NewReader(text), Out: path, MinCount: minCount, Now: func() time.Time { return time.Date(2026, 11, 26, 12, 0, 0, 5, time.UTC) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return path, h
}

func TestFile(t *testing.T) {
	t.Parallel()
	const n = 20_000
	zero, ones := [sha1.Size]byte{}, [sha1.Size]byte(bytes.Repeat([]byte{0xff}, sha1.Size))
	path, made := build(t, list(n, zero, ones), 1)
	checked, err := breach.Check(t.Context(), path, func(int64) {})
	if err != nil || checked != made || made.Entries != n+2 || !made.Built.Equal(time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)) {
		t.Fatalf("made %+v, checked %+v, %v", made, checked, err)
	}
	if st, err := os.Stat(path); err != nil || st.Size() != 128+5*(n+2)+8*65537 {
		t.Errorf("%d bytes, %v", st.Size(), err)
	}
	f := breach.NewFile(path, nil)
	defer f.Close()
	for i := range 2 * n {
		want := 0
		if i < n {
			want = 1
		}
		if got, err := f.Count(t.Context(), password(i)); got != want || err != nil {
			t.Fatalf("password %d: %d, %v", i, got, err)
		}
	}
	for _, sum := range [][sha1.Size]byte{zero, ones} {
		if got, err := f.Count(t.Context(), sum); got != 1 || err != nil {
			t.Errorf("%x: %d, %v", sum, got, err)
		}
	}
}

// Passwords are spread evenly and the search counts on it; where they are not it still finds each.
func TestFile_uneven(t *testing.T) {
	t.Parallel()
	var sums [][sha1.Size]byte
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 8_000 {
		var s [sha1.Size]byte
		binary.BigEndian.PutUint16(s[:], 0x1234) // one bucket
		binary.BigEndian.PutUint32(s[3:], uint32(i*i)+r.Uint32N(2))
		sums = append(sums, s)
	}
	path, h := build(t, list(0, sums...), 1)
	f := breach.NewFile(path, nil)
	defer f.Close()
	for i, s := range sums {
		if got, err := f.Count(t.Context(), s); got != 1 || err != nil {
			t.Fatalf("entry %d of %d: %d, %v", i, h.Entries, got, err)
		}
		s[2]++
		if got, err := f.Count(t.Context(), s); got != 0 || err != nil {
			t.Fatalf("not entry %d: %d, %v", i, got, err)
		}
	}
	if _, err := breach.Check(t.Context(), path, func(int64) {}); err != nil {
		t.Error(err)
	}
}

func TestBuild_minCount(t *testing.T) {
	t.Parallel()
	path, h := build(t, list(1000), 900)
	f := breach.NewFile(path, nil)
	defer f.Close()
	if ready, err := f.Ready(); err != nil || ready != h || h.Entries != 101 || h.MinCount != 900 {
		t.Errorf("%+v, %v", ready, err)
	}
	for i, want := range map[int]int{898: 0, 899: 900, 999: 900} {
		if got, err := f.Count(t.Context(), password(i)); got != want || err != nil {
			t.Errorf("password %d: %d, %v; want %d", i, got, err, want)
		}
	}
}

func TestBuild_lines(t *testing.T) {
	t.Parallel()
	a, b := strings.Repeat("0", 39)+"1", strings.Repeat("A", 40)
	for _, c := range []struct {
		name, text, problem string
		entries             int64
	}{
		{"LF", a + ":1\n" + b + ":2\n", "", 2},
		{"no line break at the end", a + ":1\n" + b + ":2", "", 2},
		{"small letters", strings.ToLower(b) + ":2\n", "", 1},
		{"the same twice", a + ":1\n" + a + ":3\n" + b + ":2\n", "", 2},
		{"the same in what is kept", "00000000000000AAAA" + a[18:] + ":1\n" + "00000000000000BBBB" + a[18:] + ":1\n", "", 1},
		{"never seen", a + ":0\n" + b + ":2\n", "", 1},
		{"seen more often than can be counted", a + ":9999999999\n", "", 1},
		{"out of order", b + ":1\n" + a + ":1\n", "line 2: its hash comes before the one on the line above", 0},
		{"no count", a + "\n", "line 1: it is not SHA1:COUNT", 0},
		{"an empty count", a + ":\n", "line 1: it is not SHA1:COUNT", 0},
		{"a sign", a + ":+1\n", "line 1", 0},
		{"an endless count", a + ":99999999999\n", "line 1", 0},
		{"NTLM", a[:32] + ":1\n", "line 1", 0},
		{"a digit too many", a + "0:1\n", "line 1", 0},
		{"no digits", strings.Repeat("G", 40) + ":1\n", "line 1", 0},
		{"an empty line", a + ":1\n\n" + b + ":1\n", "line 2", 0},
		{"a line without end", a + ":1\n" + strings.Repeat("0", 2<<20), "line 2", 0},
		{"nothing", "", "of 0 lines none has a password to keep", 0},
		{"nothing seen", a + ":0\n", "of 1 lines none has a password to keep", 0},
	} {
		dir := t.TempDir()
		out := filepath.Join(dir, "out")
		if err := os.WriteFile(out, []byte("what was there"), 0o600); err != nil {
			t.Fatal(err)
		}
		h, err := breach.Build(t.Context(), breach.BuildConfig{From: strings.NewReader(c.text), Out: out})
		switch {
		case c.problem == "" && (err != nil || h.Entries != c.entries):
			t.Errorf("%s: %d entries, %v; want %d", c.name, h.Entries, err, c.entries)
		case c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem)):
			t.Errorf("%s: %v, want %q", c.name, err, c.problem)
		case c.problem != "":
			if was, _ := os.ReadFile(out); string(was) != "what was there" {
				t.Errorf("%s: a failed build has changed what was there", c.name)
			}
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
			t.Errorf("%s: left behind %v, %v", c.name, left, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	dir := t.TempDir()
	_, err := breach.Build(ctx, breach.BuildConfig{From: strings.NewReader(list(70_000)), Out: filepath.Join(dir, "out"), Progress: func(int64, int64) { cancel() }})
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	_, err = breach.Build(ctx, breach.BuildConfig{From: strings.NewReader(list(70_000)), Out: filepath.Join(dir, "out2")})
	if left, _ := os.ReadDir(dir); !errors.Is(err, context.Canceled) || len(left) > 1 {
		t.Errorf("cancelled before: %v, left behind %v", err, left)
	}
}

// Every byte that is wrong is found: in the header and the table when the file is opened, elsewhere when it is checked.
func TestFile_damaged(t *testing.T) {
	t.Parallel()
	path, h := build(t, list(1000), 1)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := breach.Lookup(good, password(0)); err != nil {
		t.Fatal(err)
	}
	table := 128 + 5*int(h.Entries)
	wrong := func(what string, b []byte) {
		t.Helper()
		if _, err := breach.Lookup(b); !errors.Is(err, breach.ErrFile) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for i := range good {
		if i > 128+40 && i < table-40 || i > table+40 && i < len(good)-40 {
			if i%19_997 != 0 {
				continue
			}
		}
		b := bytes.Clone(good)
		b[i] ^= 0x10
		wrong(fmt.Sprintf("byte %d", i), b)
	}
	for _, n := range []int{0, 1, 7, 8, 127, 128, 133, table, len(good) - 1} {
		wrong(fmt.Sprintf("cut after %d", n), good[:n])
	}
	wrong("longer", append(bytes.Clone(good), 0))
	wrong("a list", []byte(list(10)))
	for what, b := range map[string][]byte{
		"a table that runs backwards":          breach.Forge(make([]byte, 50), []int64{0, 5, 3, 10}),
		"a table that goes beyond":             breach.Forge(make([]byte, 50), []int64{0, 5, 11}),
		"a table of negative numbers":          breach.Forge(make([]byte, 50), []int64{0, -1, 10}),
		"a table that does not begin":          breach.Forge(make([]byte, 50), []int64{1, 10}),
		"a table that does not end":            breach.Forge(make([]byte, 50), []int64{0, 9}),
		"the same entry twice":                 breach.Forge(make([]byte, 50), []int64{0, 10}),
		"entries that are not in order":        breach.Forge([]byte("AAAABAAAAA"), []int64{0, 2}),
		"no entries":                           breach.Forge(nil, []int64{0}),
		"more than there can be":               bytes.Replace(good, good[8:16], []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 1),
		"another version":                      append([]byte("SIGRABR\x02"), good[8:]...),
		"a version that nobody has thought of": append([]byte("SIGRABR\xff"), good[8:]...),
	} {
		wrong(what, b)
	}
}

// A new file in the place of the old one is used from the next look-up on, and what is no file is an error until there is one.
func TestFile_replaced(t *testing.T) {
	t.Parallel()
	one, _ := build(t, list(100), 1)
	two, _ := build(t, list(200), 1)
	path := filepath.Join(t.TempDir(), "breach.bin")
	f := breach.NewFile(path, nil)
	defer f.Close()
	want := func(n int, ok bool) {
		t.Helper()
		if got, err := f.Count(t.Context(), password(150)); got != n || (err == nil) != ok {
			t.Errorf("%d, %v; want %d", got, err, n)
		}
	}
	put := func(from string) {
		t.Helper()
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(path+".new", b, 0o600)
		}
		if err == nil {
			err = os.Rename(path+".new", path)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	want(0, false)
	if _, err := f.Ready(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("not there: %v", err)
	}
	put(one)
	want(0, true)
	put(two)
	want(1, true)
	put(os.Args[0]) // this program
	want(0, false)
	if _, err := f.Ready(); !errors.Is(err, breach.ErrFile) || !strings.Contains(err.Error(), path) {
		t.Errorf("not one: %v", err)
	}
	put(two)
	want(1, true)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	want(0, false)
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	want(0, false)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	put(one)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				if got, err := f.Count(t.Context(), password(50)); got != 1 || err != nil {
					t.Errorf("while it is replaced: %d, %v", got, err)
				}
			}
		})
	}
	for i := range 50 {
		put([]string{one, two}[i%2])
	}
	wg.Wait()
	f.Close()
	want(0, false)
}

// The reader is given files in which only the checksums are right.
func FuzzFile(f *testing.F) {
	f.Add([]byte("AAAAABBBBBCCCCC"), int64(0), int64(1), int64(3), []byte("aaaaaaaaaaaaaaaaaaaa"))
	f.Add(make([]byte, 5*2000), int64(0), int64(2000), int64(2000), make([]byte, 20))
	f.Add([]byte("AAAAA"), int64(-1), int64(1<<62), int64(1), make([]byte, 20))
	f.Fuzz(func(t *testing.T, entries []byte, a, b, c int64, sum []byte) {
		if len(entries) > 1<<16 {
			return
		}
		file := breach.Forge(entries, []int64{a, b, c})
		var s [20]byte
		copy(s[:], sum)
		_, _ = breach.Lookup(file, s, [20]byte{}, [20]byte{0, 1})
		if len(sum) > 0 { // and as it is
			_, _ = breach.Lookup(append(file[:len(file)/2], sum...), s)
			_, _ = breach.Lookup(sum, s)
		}
	})
}

// Whatever a list holds: a file that checks, or an error.
func FuzzBuild(f *testing.F) {
	f.Add(list(3))
	f.Add("0000000000000000000000000000000000000001:1\n0000000000000000000000000000000000000001:99999999999")
	f.Add("\n:\r\n")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		out := filepath.Join(dir, "out")
		h, err := breach.Build(t.Context(), breach.BuildConfig{From: strings.NewReader(text), Out: out})
		if err != nil {
			return
		}
		if got, err := breach.Check(t.Context(), out, func(int64) {}); err != nil || got != h {
			t.Fatalf("%q: %v", text, err)
		}
		first, _, _ := strings.Cut(text, ":")
		sum, err := hex.DecodeString(first)
		if err != nil {
			t.Fatalf("%q was taken", text)
		}
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if found, err := breach.Lookup(b, [20]byte(sum)); err != nil || !found[0] && !strings.Contains(text, ":0") {
			t.Fatalf("%q: its first is not found, %v", text, err)
		}
	})
}

// What looking a password up costs in a file of a hundred million passwords' density per bucket (1 500), all of it in the
// page cache.
func BenchmarkCount(b *testing.B) {
	var sums [][sha1.Size]byte
	for i := range 1500 * 64 {
		s := password(i)
		s[0], s[1] = 7, s[1]%64
		sums = append(sums, s)
	}
	path, _ := build(b, list(0, sums...), 1)
	f := breach.NewFile(path, nil)
	defer f.Close()
	i := 0
	for b.Loop() {
		if n, err := f.Count(b.Context(), sums[i%len(sums)]); n != 1 || err != nil {
			b.Fatal(n, err)
		}
		i++
	}
}

// Lines a second, from memory to disk.
func BenchmarkBuild(b *testing.B) {
	const n = 1 << 20
	text := list(n)
	out := filepath.Join(b.TempDir(), "out")
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := breach.Build(b.Context(), breach.BuildConfig{From: strings.NewReader(text), Out: out}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}
