package store

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// sqliteArgs turns what Postgres takes natively into what SQLite stores: times become microseconds since 1970,
// JSON becomes text.
func sqliteArgs(args []any) []any {
	out := args
	set := func(i int, v any) {
		if &out[0] == &args[0] { // the caller's slice stays as it is
			out = slices.Clone(args)
		}
		out[i] = v
	}
	for i, a := range args {
		switch v := a.(type) {
		case time.Time:
			set(i, v.UnixMicro())
		case *time.Time:
			if v == nil {
				set(i, nil)
			} else {
				set(i, v.UnixMicro())
			}
		case json.RawMessage:
			if v == nil {
				set(i, nil)
			} else {
				set(i, string(v))
			}
		case []byte:
			if v == nil { // the driver would store an empty blob
				set(i, nil)
			}
		}
	}
	return out
}

// sqliteDest does the same the other way.
func sqliteDest(dest []any) []any {
	out := dest
	set := func(i int, v any) {
		if &out[0] == &dest[0] {
			out = slices.Clone(dest)
		}
		out[i] = v
	}
	for i, d := range dest {
		switch v := d.(type) {
		case *time.Time:
			set(i, microTime{v})
		case **time.Time:
			set(i, microTimePtr{v})
		case *json.RawMessage:
			set(i, blob{(*[]byte)(v)})
		case *[]byte:
			set(i, blob{v})
		}
	}
	return out
}

// blob keeps NULL, which is nil, apart from empty, which the driver also gives as a nil slice.
type blob struct{ b *[]byte }

func (b blob) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*b.b = nil
	case []byte:
		*b.b = append(make([]byte, 0, len(v)), v...)
	case string:
		*b.b = []byte(v)
	default:
		return fmt.Errorf("a column of bytes holds %T", src)
	}
	return nil
}

type microTime struct{ t *time.Time }

func (m microTime) Scan(src any) error {
	us, ok := src.(int64)
	if !ok {
		return fmt.Errorf("a time column holds %T", src)
	}
	*m.t = time.UnixMicro(us).UTC()
	return nil
}

type microTimePtr struct{ t **time.Time }

func (m microTimePtr) Scan(src any) error {
	if src == nil {
		*m.t = nil
		return nil
	}
	var t time.Time
	if err := (microTime{&t}).Scan(src); err != nil {
		return err
	}
	*m.t = &t
	return nil
}
