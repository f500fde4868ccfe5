package wire

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

var (
	timeType     = reflect.TypeFor[time.Time]()
	durationType = reflect.TypeFor[time.Duration]()
	objectType   = reflect.TypeFor[map[string]any]()
	stampType    = reflect.TypeFor[*timestamppb.Timestamp]()
	spanType     = reflect.TypeFor[*durationpb.Duration]()
	structType   = reflect.TypeFor[*structpb.Struct]()
	messageType  = reflect.TypeFor[proto.Message]()
)

// From fills the struct that dst points to from a message; a nil message is a zero struct.
func From(dst any, src proto.Message) {
	to, from := reflect.ValueOf(dst).Elem(), reflect.ValueOf(src)
	to.SetZero()
	if from.IsNil() {
		return
	}
	for _, p := range pairsOf(to.Type(), from.Type().Elem()) {
		get(to.Field(p.plain), from.Elem().Field(p.message))
	}
}

// To fills a message from a struct, or a pointer to one. The error is of an object that is not JSON.
func To(dst proto.Message, src any) error {
	to, from := reflect.ValueOf(dst).Elem(), reflect.Indirect(reflect.ValueOf(src))
	for _, p := range pairsOf(from.Type(), to.Type()) {
		if err := set(to.Field(p.message), from.Field(p.plain)); err != nil {
			return fmt.Errorf("%s: %w", from.Type().Field(p.plain).Name, err)
		}
	}
	return nil
}

// pair is a field of the struct and its counterpart.
type pair struct{ plain, message int }

type key struct{ plain, message reflect.Type }

type cached struct {
	pairs []pair
	alone []string
}

var cache sync.Map // key → cached

func pairsOf(plain, message reflect.Type) []pair { return match(plain, message).pairs }

// Alone names the fields of both types that have no counterpart, of all nested ones too.
func Alone(plain any, message proto.Message) []string {
	return alone(reflect.TypeOf(plain), reflect.TypeOf(message).Elem(), map[key]bool{})
}

func alone(plain, message reflect.Type, seen map[key]bool) []string {
	if seen[key{plain, message}] {
		return nil
	}
	seen[key{plain, message}] = true
	c := match(plain, message)
	out := append([]string(nil), c.alone...)
	for _, p := range c.pairs {
		a, b := plain.Field(p.plain).Type, message.Field(p.message).Type
		for a.Kind() == reflect.Slice || a.Kind() == reflect.Pointer {
			a = a.Elem()
		}
		for b.Kind() == reflect.Slice {
			b = b.Elem()
		}
		if a.Kind() == reflect.Struct && a != timeType && b.Implements(messageType) {
			out = append(out, alone(a, b.Elem(), seen)...)
		}
	}
	return out
}

func match(plain, message reflect.Type) cached {
	k := key{plain, message}
	if c, ok := cache.Load(k); ok {
		return c.(cached)
	}
	var c cached
	names := map[string]int{}
	for i := range message.NumField() {
		f := message.Field(i)
		if f.IsExported() && f.Tag.Get("protobuf") != "" {
			names[strings.ToLower(f.Name)] = i
		}
	}
	for i := range plain.NumField() {
		f := plain.Field(i)
		if !f.IsExported() || f.Tag.Get("wire") == "-" {
			continue
		}
		name := strings.ToLower(f.Name)
		at, ok := names[name]
		if !ok || !fits(f.Type, message.Field(at).Type) {
			c.alone = append(c.alone, plain.Name()+"."+f.Name)
			continue
		}
		delete(names, name)
		c.pairs = append(c.pairs, pair{i, at})
	}
	for _, i := range names {
		if message.Field(i).Type.Kind() == reflect.Int32 && message.Field(i).Type.PkgPath() != "" {
			continue // an enum: the caller's
		}
		c.alone = append(c.alone, message.Name()+"."+message.Field(i).Name)
	}
	cache.Store(k, c)
	return c
}

// fits reports whether the two can be turned into each other.
func fits(plain, message reflect.Type) bool {
	switch {
	case message == stampType:
		return plain == timeType
	case message == spanType:
		return plain == durationType
	case message == structType:
		return plain == objectType
	case message.Kind() == reflect.Int32 && message.PkgPath() != "":
		return false
	case message.Kind() == reflect.Slice && plain.Kind() == reflect.Slice:
		return message.Elem().Kind() == reflect.Uint8 && plain.Elem().Kind() == reflect.Uint8 || fits(plain.Elem(), message.Elem())
	case message.Kind() == reflect.Pointer:
		if plain.Kind() == reflect.Pointer {
			plain = plain.Elem()
		}
		return plain.Kind() == reflect.Struct && plain != timeType && message.Implements(messageType)
	case message.Kind() == reflect.Map:
		return plain.Kind() == reflect.Map && plain.Elem().Kind() == reflect.String && message.Elem().Kind() == reflect.String
	case message.Kind() == reflect.String, message.Kind() == reflect.Bool, message.Kind() == reflect.Float64:
		return plain.Kind() == message.Kind()
	}
	return integer(message.Kind()) && integer(plain.Kind()) && plain != durationType
}

func integer(k reflect.Kind) bool { return k >= reflect.Int && k <= reflect.Uint64 }

// get copies out of a message.
func get(to, from reflect.Value) {
	switch from.Type() {
	case stampType:
		if t := from.Interface().(*timestamppb.Timestamp); t != nil {
			to.Set(reflect.ValueOf(t.AsTime()))
		}
		return
	case spanType:
		if d := from.Interface().(*durationpb.Duration); d != nil {
			to.SetInt(int64(d.AsDuration()))
		}
		return
	case structType:
		if s := from.Interface().(*structpb.Struct); s != nil {
			to.Set(reflect.ValueOf(s.AsMap()))
		}
		return
	}
	switch from.Kind() {
	case reflect.Pointer:
		if from.IsNil() {
			return
		}
		if to.Kind() == reflect.Pointer {
			to.Set(reflect.New(to.Type().Elem()))
			to = to.Elem()
		}
		From(to.Addr().Interface(), from.Interface().(proto.Message))
	case reflect.Slice:
		if from.Len() == 0 {
			return
		}
		if from.Type().ConvertibleTo(to.Type()) {
			to.Set(from.Convert(to.Type()))
			return
		}
		out := reflect.MakeSlice(to.Type(), from.Len(), from.Len())
		for i := range from.Len() {
			get(out.Index(i), from.Index(i))
		}
		to.Set(out)
	default:
		to.Set(from.Convert(to.Type()))
	}
}

// set copies into a message.
func set(to, from reflect.Value) error {
	switch to.Type() {
	case stampType:
		if t := from.Interface().(time.Time); !t.IsZero() {
			to.Set(reflect.ValueOf(timestamppb.New(t)))
		}
		return nil
	case spanType:
		if d := time.Duration(from.Int()); d != 0 {
			to.Set(reflect.ValueOf(durationpb.New(d)))
		}
		return nil
	case structType:
		s, err := Struct(from.Interface().(map[string]any))
		if err == nil && s != nil {
			to.Set(reflect.ValueOf(s))
		}
		return err
	}
	switch to.Kind() {
	case reflect.Pointer:
		if from.Kind() == reflect.Pointer {
			if from.IsNil() {
				return nil
			}
			from = from.Elem()
		} else if from.IsZero() {
			return nil
		}
		m := reflect.New(to.Type().Elem())
		if err := To(m.Interface().(proto.Message), from.Interface()); err != nil {
			return err
		}
		to.Set(m)
	case reflect.Slice:
		if from.Len() == 0 {
			return nil
		}
		if from.Type().ConvertibleTo(to.Type()) {
			to.Set(from.Convert(to.Type()))
			return nil
		}
		out := reflect.MakeSlice(to.Type(), from.Len(), from.Len())
		for i := range from.Len() {
			if err := set(out.Index(i), from.Index(i)); err != nil {
				return err
			}
			if e := out.Index(i); e.Kind() == reflect.Pointer && e.IsNil() {
				e.Set(reflect.New(e.Type().Elem())) // a list has no holes
			}
		}
		to.Set(out)
	default:
		to.Set(from.Convert(to.Type()))
	}
	return nil
}

// Struct makes a protobuf struct of an object; nil of nil.
func Struct(m map[string]any) (*structpb.Struct, error) {
	if m == nil {
		return nil, nil
	}
	if s, err := structpb.NewStruct(m); err == nil {
		return s, nil
	}
	// Something that protobuf does not know by itself, such as a []string or a time: what JSON makes of it.
	b, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	s := &structpb.Struct{}
	if err := s.UnmarshalJSON(b); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	return s, nil
}
