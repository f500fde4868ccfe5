package lang

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
)

// Merge makes one folder of several. A file that more than one has is the first one's.
func Merge(roots ...fs.FS) fs.FS { return merged(roots) }

type merged []fs.FS

var _ fs.ReadDirFS = merged(nil)

// Open implements fs.FS.
func (m merged) Open(name string) (fs.File, error) {
	for _, root := range m {
		f, err := root.Open(name)
		if !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// ReadDir implements fs.ReadDirFS.
func (m merged) ReadDir(name string) ([]fs.DirEntry, error) {
	var out []fs.DirEntry
	found := false
	for _, root := range m {
		entries, err := fs.ReadDir(root, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found = true
		for _, e := range entries {
			if !slices.ContainsFunc(out, func(have fs.DirEntry) bool { return have.Name() == e.Name() }) {
				out = append(out, e)
			}
		}
	}
	if !found {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
	}
	slices.SortFunc(out, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return out, nil
}
