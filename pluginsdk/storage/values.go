package storage

import (
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// toSQLite turns what Postgres takes natively into what SQLite stores: times become microseconds since 1970, JSON
// becomes text.
func toSQLite(v any) (driver.Value, error) {
	switch x := v.(type) {
	case json.RawMessage:
		return jsonText(x), nil
	case *json.RawMessage:
		if x == nil {
			return nil, nil
		}
		return jsonText(*x), nil
	}
	out, err := driver.DefaultParameterConverter.ConvertValue(v)
	if err != nil {
		return nil, err
	}
	if t, ok := out.(time.Time); ok {
		return t.UnixMicro(), nil
	}
	return out, nil
}

func jsonText(j json.RawMessage) driver.Value {
	if j == nil {
		return nil
	}
	return string(j)
}

// sqliteRows is what modernc's rows implement and is used here.
type sqliteRows interface {
	driver.Rows
	driver.RowsColumnTypeDatabaseTypeName
	driver.RowsColumnTypeScanType
}

// rows does the same the other way, by the declared types of the columns.
type rows struct {
	sqliteRows
	kinds []columnKind
}

type columnKind uint8

const (
	plain columnKind = iota
	timeColumn
	jsonColumn
)

func wrapRows(inner driver.Rows, err error) (driver.Rows, error) {
	if err != nil {
		return nil, err
	}
	full, ok := inner.(sqliteRows)
	if !ok {
		_ = inner.Close()
		return nil, fmt.Errorf("the SQLite driver's rows lack what database/sql offers: %T", inner)
	}
	r := &rows{sqliteRows: full, kinds: make([]columnKind, len(full.Columns()))}
	for i := range r.kinds {
		switch name := strings.ToUpper(full.ColumnTypeDatabaseTypeName(i)); {
		case strings.HasPrefix(name, "TIMESTAMP"), name == "DATETIME":
			r.kinds[i] = timeColumn
		case name == "JSON", name == "JSONB":
			r.kinds[i] = jsonColumn
		}
	}
	return r, nil
}

// Next implements driver.Rows.
func (r *rows) Next(dest []driver.Value) error {
	if err := r.sqliteRows.Next(dest); err != nil {
		return err
	}
	for i, k := range r.kinds {
		switch k {
		case timeColumn:
			if us, ok := dest[i].(int64); ok {
				dest[i] = time.UnixMicro(us).UTC()
			}
		case jsonColumn:
			if s, ok := dest[i].(string); ok {
				dest[i] = []byte(s)
			}
		}
	}
	return nil
}

// ColumnTypeScanType implements driver.RowsColumnTypeScanType.
func (r *rows) ColumnTypeScanType(i int) reflect.Type {
	switch r.kinds[i] {
	case timeColumn:
		return reflect.TypeFor[time.Time]()
	case jsonColumn:
		return reflect.TypeFor[[]byte]()
	}
	return r.sqliteRows.ColumnTypeScanType(i)
}

// Time is a destination for Scan that takes a time from an expression, whose type SQLite does not know. NULL leaves the
// zero time.
func Time(t *time.Time) sql.Scanner { return &timeDest{t} }

type timeDest struct{ t *time.Time }

// Scan implements sql.Scanner.
func (d *timeDest) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*d.t = time.Time{}
	case time.Time:
		*d.t = v.UTC()
	case int64:
		*d.t = time.UnixMicro(v).UTC()
	default:
		return fmt.Errorf("a time can't be made from %T", src)
	}
	return nil
}
