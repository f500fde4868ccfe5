package pluginsdk

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Decode fills the struct that v points to. It takes nothing it does not know: an unknown name, a missing or a
// wrong value is an error that points at the setting. Fields that are not set get their defaults; *v is not touched
// when there is an error.
func (s Settings) Decode(v any) error {
	rv := reflect.ValueOf(v)
	if rv.Kind() != reflect.Pointer || rv.IsNil() || rv.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("settings are decoded into a pointer to a struct, not %T", v)
	}
	fields, err := fieldsOf(rv.Type(), 0)
	if err != nil {
		return err
	}
	obj := map[string]any{}
	if len(s.json) > 0 {
		x, err := parseJSON(s.json)
		if err != nil {
			return fmt.Errorf("settings: %w", err)
		}
		m, ok := x.(map[string]any)
		if !ok && x != nil {
			return errors.New("settings are not a JSON object")
		}
		if m != nil {
			obj = m
		}
	}
	fresh := reflect.New(rv.Type().Elem()).Elem()
	fresh.Set(rv.Elem()) // what is tagged "-" stays as it is
	if err := decodeBlock(fresh, fields, obj, nil); err != nil {
		return err
	}
	rv.Elem().Set(fresh)
	return nil
}

func decodeBlock(dst reflect.Value, fields []field, obj map[string]any, path []string) error {
	var errs []error
	known := map[string]bool{}
	for _, f := range fields {
		known[f.name] = true
		at := append(path[:len(path):len(path)], f.name)
		v := obj[f.name]
		if v == nil {
			v = f.def
		}
		out := dst.Field(f.index)
		out.SetZero()
		var err error
		switch {
		case f.kind == attribute && v == nil && !f.optional:
			err = DiagnosticAt(at, "This setting is required.", "")
		case f.kind == attribute && v != nil:
			if e := assign(out, v); e != nil {
				detail := e.Error()
				if f.secret {
					detail = "" // it may quote the value
				}
				err = DiagnosticAt(at, "This setting has a wrong value.", detail)
			}
		case f.kind == block:
			err = decodeOne(out, f, v, at)
		case f.kind == blockList && v != nil:
			err = decodeList(out, f, v, at)
		case f.kind == blockMap && v != nil:
			err = decodeMap(out, f, v, at)
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	for name := range obj {
		if !known[name] {
			errs = append(errs, DiagnosticAt(append(path[:len(path):len(path)], name), "There is no such setting.", ""))
		}
	}
	return errors.Join(errs...)
}

func decodeOne(out reflect.Value, f field, v any, at []string) error {
	if v == nil {
		switch {
		case !f.optional:
			return DiagnosticAt(at, "This block is required.", "")
		case f.typ.Kind() == reflect.Pointer:
			return nil
		}
		// An optional block that is not there has its defaults, and zero for what has none.
		return decodeAbsent(out, f)
	}
	m, ok := v.(map[string]any)
	if !ok {
		return DiagnosticAt(at, "This must be a block.", "")
	}
	if f.typ.Kind() == reflect.Pointer {
		out.Set(reflect.New(f.typ.Elem()))
		out = out.Elem()
	}
	return decodeBlock(out, f.elem, m, at)
}

func decodeAbsent(out reflect.Value, f field) error {
	relaxed := make([]field, len(f.elem))
	for i, e := range f.elem {
		e.optional = true
		relaxed[i] = e
	}
	return decodeBlock(out, relaxed, nil, nil)
}

func decodeList(out reflect.Value, f field, v any, at []string) error {
	list, ok := v.([]any)
	if !ok {
		return DiagnosticAt(at, "This must be a list of blocks.", "")
	}
	var errs []error
	out.Set(reflect.MakeSlice(f.typ, len(list), len(list)))
	for i, e := range list {
		here := append(at[:len(at):len(at)], strconv.Itoa(i))
		m, ok := e.(map[string]any)
		if !ok {
			errs = append(errs, DiagnosticAt(here, "This must be a block.", ""))
			continue
		}
		errs = append(errs, decodeBlock(out.Index(i), f.elem, m, here))
	}
	return errors.Join(errs...)
}

func decodeMap(out reflect.Value, f field, v any, at []string) error {
	m, ok := v.(map[string]any)
	if !ok {
		return DiagnosticAt(at, "This must be blocks with labels.", "")
	}
	var errs []error
	out.Set(reflect.MakeMapWithSize(f.typ, len(m)))
	for label, e := range m {
		here := append(at[:len(at):len(at)], label)
		obj, ok := e.(map[string]any)
		if !ok {
			errs = append(errs, DiagnosticAt(here, "This must be a block.", ""))
			continue
		}
		one := reflect.New(f.typ.Elem()).Elem()
		errs = append(errs, decodeBlock(one, f.elem, obj, here))
		out.SetMapIndex(reflect.ValueOf(label).Convert(f.typ.Key()), one)
	}
	return errors.Join(errs...)
}

// assign puts one decoded JSON value into an attribute's field.
func assign(dst reflect.Value, v any) error {
	t := dst.Type()
	switch {
	case t.Kind() == reflect.Pointer:
		p := reflect.New(t.Elem())
		if err := assign(p.Elem(), v); err != nil {
			return err
		}
		dst.Set(p)
		return nil
	case t == durationType:
		s, ok := v.(string)
		if !ok {
			return errors.New(`expected a duration such as "30s"`)
		}
		d, err := time.ParseDuration(s)
		if err != nil {
			return fmt.Errorf(`%q is not a duration such as "30s" or "1h30m"`, s)
		}
		dst.SetInt(int64(d))
		return nil
	case t == secretType:
		s, ok := v.(string)
		if !ok {
			return errors.New("expected a string")
		}
		dst.Set(reflect.ValueOf(Secret{s}))
		return nil
	case reflect.PointerTo(t).Implements(textType):
		s, ok := v.(string)
		if !ok {
			return errors.New("expected a string")
		}
		return dst.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(s))
	}
	switch t.Kind() {
	case reflect.String:
		s, ok := v.(string)
		if !ok {
			return errors.New("expected a string")
		}
		dst.SetString(s)
	case reflect.Bool:
		b, ok := v.(bool)
		if !ok {
			return errors.New("expected true or false")
		}
		dst.SetBool(b)
	case reflect.Slice:
		list, ok := v.([]any)
		if !ok {
			return errors.New("expected a list")
		}
		out := reflect.MakeSlice(t, len(list), len(list))
		for i, e := range list {
			if err := assign(out.Index(i), e); err != nil {
				return fmt.Errorf("element %d: %w", i, err)
			}
		}
		dst.Set(out)
	case reflect.Map:
		m, ok := v.(map[string]any)
		if !ok {
			return errors.New("expected a map")
		}
		out := reflect.MakeMapWithSize(t, len(m))
		for k, e := range m {
			x := reflect.New(t.Elem()).Elem()
			if err := assign(x, e); err != nil {
				return fmt.Errorf("element %q: %w", k, err)
			}
			out.SetMapIndex(reflect.ValueOf(k).Convert(t.Key()), x)
		}
		dst.Set(out)
	default:
		return assignNumber(dst, v)
	}
	return nil
}

func assignNumber(dst reflect.Value, v any) error {
	n, ok := v.(json.Number)
	if !ok {
		return errors.New("expected a number")
	}
	outOfRange := fmt.Errorf("%s is out of range for this setting", n)
	switch {
	case dst.CanInt():
		i, err := wholeNumber(n)
		if err != nil {
			return err
		}
		if dst.OverflowInt(i) {
			return outOfRange
		}
		dst.SetInt(i)
	case dst.CanUint():
		i, err := wholeNumber(n)
		if err != nil {
			return err
		}
		if i < 0 || dst.OverflowUint(uint64(i)) {
			return outOfRange
		}
		dst.SetUint(uint64(i))
	case dst.CanFloat():
		x, err := n.Float64()
		if err != nil || dst.OverflowFloat(x) {
			return outOfRange
		}
		dst.SetFloat(x)
	default:
		return fmt.Errorf("type %s can't be a setting", dst.Type())
	}
	return nil
}

func wholeNumber(n json.Number) (int64, error) {
	if i, err := n.Int64(); err == nil {
		return i, nil
	}
	// 1e3 and 10.0 are whole too.
	x, err := n.Float64()
	if err != nil || x != math.Trunc(x) || math.Abs(x) >= 1<<53 {
		return 0, fmt.Errorf("%s is not a whole number that fits", n)
	}
	return int64(x), nil
}

func parseJSON(src []byte) (any, error) {
	dec := json.NewDecoder(strings.NewReader(string(src)))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if dec.More() {
		return nil, errors.New("text after the JSON value")
	}
	return v, nil
}
