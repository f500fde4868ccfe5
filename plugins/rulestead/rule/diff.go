package rule

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"
)

// Change is one place in which definitions differ.
type Change struct {
	Path []string        `json:"path"`           // such as flags, new-login, rules, 0, percentage
	From json.RawMessage `json:"from,omitempty"` // absent: it is added
	To   json.RawMessage `json:"to,omitempty"`   // absent: it is removed
}

// Diff lists what is different, by path. The elements of lists are compared place by place.
func Diff(from, to Definitions) []Change {
	var out []Change
	differ(nil, treeOf(from), treeOf(to), &out)
	return out
}

func treeOf(d Definitions) any {
	text, err := json.Marshal(d)
	if err != nil {
		return nil // can't be: it was read from JSON
	}
	n := json.NewDecoder(bytes.NewReader(text))
	n.UseNumber()
	var out any
	_ = n.Decode(&out)
	return out
}

// absent stands for what isn't there, and is not null.
type absent struct{}

func differ(path []string, from, to any, out *[]Change) {
	a, isObject := from.(map[string]any)
	b, also := to.(map[string]any)
	if isObject && also {
		keys := maps.Clone(a)
		maps.Copy(keys, b)
		for _, k := range slices.Sorted(maps.Keys(keys)) {
			differ(append(path, k), memberOf(a, k), memberOf(b, k), out)
		}
		return
	}
	x, isList := from.([]any)
	y, also := to.([]any)
	if isList && also {
		for i := range max(len(x), len(y)) {
			differ(append(path, strconv.Itoa(i)), elementOf(x, i), elementOf(y, i), out)
		}
		return
	}
	if !reflect.DeepEqual(from, to) {
		*out = append(*out, Change{slices.Clone(path), written(from), written(to)})
	}
}

func memberOf(m map[string]any, k string) any {
	if v, ok := m[k]; ok {
		return v
	}
	return absent{}
}

func elementOf(l []any, i int) any {
	if i < len(l) {
		return l[i]
	}
	return absent{}
}

func written(v any) json.RawMessage {
	if _, ok := v.(absent); ok {
		return nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil // can't be: it was read from JSON
	}
	return b
}
