package breach

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // the index of Pwned Passwords
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"
)

// BuildConfig is what Build works with.
type BuildConfig struct {
	From     io.Reader // lines SHA1:COUNT in the order of the hashes, as Pwned Passwords has them
	Out      string    // the file to write; one that is there is replaced when all is done
	MinCount uint32    // leave out what was seen less often; 0 is 1
	// Progress is told, every now and then, how many lines were read and entries written; nil: nobody is.
	Progress func(lines, entries int64)
	Now      func() time.Time // nil means the clock
}

// Build makes a breach file of a list. Nothing is at Out before all of it is there.
func Build(ctx context.Context, cfg BuildConfig) (_ Header, err error) {
	if cfg.MinCount == 0 {
		cfg.MinCount = 1
	}
	if cfg.Progress == nil {
		cfg.Progress = func(int64, int64) {}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	dir := filepath.Dir(cfg.Out)
	tmp, err := os.CreateTemp(dir, ".breach-*")
	if err != nil {
		return Header{}, err
	}
	defer func() {
		if err != nil {
			_ = tmp.Close()
			_ = os.Remove(tmp.Name())
		}
	}()
	w := &writer{out: bufio.NewWriterSize(tmp, 1<<20), sum: sha256.New(), starts: make([]int64, 0, buckets+1)}
	if _, err = tmp.Seek(headerSize, io.SeekStart); err != nil {
		return Header{}, err
	}
	if err = w.lines(ctx, cfg); err != nil {
		return Header{}, err
	}
	h, err := w.finish()
	if err != nil {
		return Header{}, err
	}
	h.MinCount, h.Built = cfg.MinCount, cfg.Now().UTC().Truncate(time.Second)
	if _, err = tmp.WriteAt(h.encode(), 0); err != nil {
		return Header{}, err
	}
	if err = errors.Join(tmp.Chmod(0o644), tmp.Sync(), tmp.Close()); err != nil { // nothing in it is secret
		return Header{}, err
	}
	if err = os.Rename(tmp.Name(), cfg.Out); err != nil {
		return Header{}, err
	}
	return h, syncDir(dir)
}

// syncDir makes the rename last through a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// writer writes entries behind where the header will be.
type writer struct {
	out    *bufio.Writer
	sum    hash.Hash
	batch  []byte  // written, not summed yet
	starts []int64 // of the buckets so far
	n      int64
	last   [2 + entrySize]byte
}

// lines reads the list.
func (w *writer) lines(ctx context.Context, cfg BuildConfig) error {
	in := bufio.NewReaderSize(cfg.From, 1<<20)
	var before, sum [sha1.Size]byte
	var n int64
	for {
		line, err := in.ReadSlice('\n')
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("line %d: %w", n+1, err)
		}
		end := errors.Is(err, io.EOF)
		if end && len(line) == 0 {
			break
		}
		n++
		count, err := parseLine(line, &sum)
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if c := bytes.Compare(sum[:], before[:]); c < 0 {
			return fmt.Errorf("line %d: its hash comes before the one on the line above. The list must be in the order of the hashes: "+
				"download it so, or sort it with `LC_ALL=C sort`", n)
		}
		before = sum
		if count >= cfg.MinCount {
			if err := w.entry(sum); err != nil {
				return err
			}
		}
		if n%(1<<16) == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			cfg.Progress(n, w.n)
		}
		if end {
			break
		}
	}
	cfg.Progress(n, w.n)
	if w.n == 0 {
		return fmt.Errorf("of %d lines none has a password to keep", n)
	}
	return nil
}

var errLine = errors.New("it is not SHA1:COUNT, 40 hexadecimal digits, a colon and a number")

// parseLine reads SHA1:COUNT.
func parseLine(line []byte, sum *[sha1.Size]byte) (count uint32, err error) {
	line = bytes.TrimSuffix(line, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) < 42 || len(line) > 51 || line[40] != ':' {
		return 0, errLine
	}
	if _, err := hex.Decode(sum[:], line[:40]); err != nil {
		return 0, errLine
	}
	var n uint64
	for _, c := range line[41:] {
		if c < '0' || c > '9' {
			return 0, errLine
		}
		n = 10*n + uint64(c-'0')
	}
	return uint32(min(n, 1<<32-1)), nil
}

// entry adds a hash, unless its first seven bytes are those of the last one.
func (w *writer) entry(sum [sha1.Size]byte) error {
	key := [2 + entrySize]byte(sum[:])
	if w.n > 0 && key == w.last {
		return nil
	}
	w.last = key
	for bucket := int(binary.BigEndian.Uint16(key[:])); len(w.starts) <= bucket; {
		w.starts = append(w.starts, w.n)
	}
	w.n++
	return w.write(key[2:])
}

func (w *writer) write(b []byte) error {
	if w.batch = append(w.batch, b...); len(w.batch) >= 1<<16 { // SHA-256 takes five bytes at a time very slowly
		w.sum.Write(w.batch)
		w.batch = w.batch[:0]
	}
	_, err := w.out.Write(b)
	return err
}

// finish writes the table.
func (w *writer) finish() (Header, error) {
	for len(w.starts) <= buckets {
		w.starts = append(w.starts, w.n)
	}
	table := make([]byte, 0, tableSize)
	for _, s := range w.starts {
		table = binary.BigEndian.AppendUint64(table, uint64(s))
	}
	if err := w.write(table); err != nil {
		return Header{}, err
	}
	w.sum.Write(w.batch)
	if err := w.out.Flush(); err != nil {
		return Header{}, err
	}
	return Header{Entries: w.n, Checksum: [32]byte(w.sum.Sum(nil)), tableCRC: crc(table)}, nil
}
