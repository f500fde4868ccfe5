package breach

import (
	"context"
	"crypto/sha1" //nolint:gosec // the index of Pwned Passwords
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
)

// reader looks passwords up in one open file. It keeps nothing of it in memory and reads at offsets, so that any number may
// look at once, and a file that shrinks under it is an error and no crash, as it would be with a mapping.
type reader struct {
	file   io.ReaderAt
	header Header
}

// newReader reads the header and the table, which is enough to find a file that was cut short, or copied badly at its
// beginning or end. Check reads all of it.
func newReader(file io.ReaderAt, size int64) (*reader, error) {
	b := make([]byte, headerSize)
	if n, err := file.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	} else if n < headerSize {
		return nil, fmt.Errorf("%w: it is too short for one", ErrFile)
	}
	h, err := decodeHeader(b)
	if err != nil {
		return nil, err
	}
	if size != h.size() {
		return nil, fmt.Errorf("%w: it has %d bytes and should have %d", ErrFile, size, h.size())
	}
	r := &reader{file: file, header: h}
	_, err = r.table()
	return r, err
}

// table reads where the buckets start.
func (r *reader) table() ([]int64, error) {
	b := make([]byte, tableSize)
	if _, err := r.file.ReadAt(b, r.header.tableAt()); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if crc(b) != r.header.tableCRC {
		return nil, fmt.Errorf("%w: its table is damaged", ErrFile)
	}
	starts := make([]int64, buckets+1)
	for i := range starts {
		starts[i] = int64(binary.BigEndian.Uint64(b[8*i:]))
		if starts[i] < 0 || i > 0 && starts[i] < starts[i-1] {
			return nil, fmt.Errorf("%w: its table makes no sense", ErrFile)
		}
	}
	if starts[0] != 0 || starts[buckets] != r.header.Entries {
		return nil, fmt.Errorf("%w: its table makes no sense", ErrFile)
	}
	return starts, nil
}

// window is how many entries one read takes: a page. Hashes are spread so evenly that the right page is nearly always
// the first one.
const window = 4096 / entrySize

// has looks a hash up: one read in the table, and one page of the bucket where the hash should be.
func (r *reader) has(sum [sha1.Size]byte) (bool, error) {
	var b [16]byte
	if _, err := r.file.ReadAt(b[:], r.header.tableAt()+8*int64(binary.BigEndian.Uint16(sum[:]))); err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	lo, hi := int64(binary.BigEndian.Uint64(b[:])), int64(binary.BigEndian.Uint64(b[8:]))
	if lo < 0 || hi < lo || hi > r.header.Entries {
		return false, fmt.Errorf("%w: its table is damaged", ErrFile)
	}
	key := [entrySize]byte(sum[2:])
	share := float64(number(key)) / float64(uint64(1)<<(8*entrySize))
	guess := lo + int64(share*float64(hi-lo))
	page := make([]byte, window*entrySize)
	for lo < hi {
		from := min(max(guess-window/2, lo), max(hi-window, lo))
		n := int(min(hi-from, window))
		if _, err := r.file.ReadAt(page[:n*entrySize], headerSize+from*entrySize); err != nil {
			return false, err
		}
		at := func(i int) [entrySize]byte { return [entrySize]byte(page[i*entrySize:]) }
		i := sort.Search(n, func(i int) bool { return number(at(i)) >= number(key) })
		switch {
		case i < n && at(i) == key:
			return true, nil
		case i == 0: // before the page, or between it and the one before
			hi = from
		case i == n:
			lo = from + int64(n)
		default:
			return false, nil
		}
		guess = (lo + hi) / 2
	}
	return false, nil
}

func number(e [entrySize]byte) uint64 {
	return uint64(e[0])<<32 | uint64(e[1])<<24 | uint64(e[2])<<16 | uint64(e[3])<<8 | uint64(e[4])
}

// check reads everything and holds it against the checksum, and that the entries are in their order and buckets.
func (r *reader) check(ctx context.Context, progress func(entries int64)) error {
	starts, err := r.table()
	if err != nil {
		return err
	}
	sum := sha256.New()
	body := io.NewSectionReader(r.file, headerSize, r.header.size()-headerSize)
	page := make([]byte, (1<<20)/entrySize*entrySize)
	var last uint64
	bucket := 0
	for done := int64(0); done < r.header.Entries; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(int64(len(page)), (r.header.Entries-done)*entrySize)
		if _, err := io.ReadFull(body, page[:n]); err != nil {
			return err
		}
		sum.Write(page[:n])
		for i := int64(0); i < n; i += entrySize {
			first := false
			for starts[bucket+1] <= done+i/entrySize {
				bucket++
				first = true
			}
			v := number([entrySize]byte(page[i:]))
			if v <= last && !first && done+i > 0 {
				return fmt.Errorf("%w: entry %d is out of order", ErrFile, done+i/entrySize+1)
			}
			last = v
		}
		done += n / entrySize
		progress(done)
	}
	if _, err := io.Copy(sum, body); err != nil {
		return err
	}
	if [32]byte(sum.Sum(nil)) != r.header.Checksum {
		return fmt.Errorf("%w: its checksum is wrong", ErrFile)
	}
	return nil
}

// Check reads a whole file and reports what is wrong with it. progress is told how many entries were read.
func Check(ctx context.Context, path string, progress func(entries int64)) (Header, error) {
	f, r, err := open(path)
	if err != nil {
		return Header{}, err
	}
	defer func() { _ = f.Close() }()
	if err := r.check(ctx, progress); err != nil {
		return r.header, fmt.Errorf("%s: %w", path, err)
	}
	return r.header, nil
}

// open opens a file and reads its header and table.
func open(path string) (*os.File, *reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("%w: it is no regular file", ErrFile)
	}
	if err == nil {
		var r *reader
		if r, err = newReader(f, st.Size()); err == nil {
			return f, r, nil
		}
	}
	_ = f.Close()
	return nil, nil, fmt.Errorf("%s: %w", path, err)
}
