package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of a row, in bytes. What comes from outside is cut to its limit; the rest is refused beyond it.
const (
	maxAction      = 128
	maxReason      = 128
	maxRequestID   = 64
	maxUserAgent   = 512
	maxID          = 200
	maxType        = 64
	maxDisplay     = 200
	maxMethod      = 64
	maxCorrelation = 200
	maxTargets     = 32
	maxMetadata    = 8192
	maxDepth       = 8
)

// problem is what is wrong with an entry.
type problem struct{ field, text string }

func (p *problem) Error() string { return p.field + ": " + p.text }

var (
	actionName = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$`)
	pluginName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)
	typeName   = regexp.MustCompile(`^[a-z][a-z0-9_.]*$`)
)

// pluginAction gives the catalogue entry that a plugin's own action would have.
func pluginAction(prefix, name string) (Action, *problem) {
	switch {
	case !pluginName.MatchString(prefix) || Reserved(prefix):
		return Action{}, &problem{"action", fmt.Sprintf("%q is no prefix a plugin may record under", prefix)}
	case len(name) > maxAction || !actionName.MatchString(name):
		return Action{}, &problem{"action", "An action is two or more dotted lower-case words, at most 128 bytes."}
	case !strings.HasPrefix(name, prefix+"."):
		return Action{}, &problem{"action", fmt.Sprintf("A plugin records below its own name: %s.…", prefix)}
	}
	return Action{Name: name, Category: prefix, CRUD: crudOf(name), Outcome: Success}, nil
}

// crudOf reads the letter from the words of a plugin's action, as a plugin has no other way to say it: the last word
// that is a known verb decides, and anything else is an update.
func crudOf(name string) string {
	letter := "u"
	for _, word := range strings.FieldsFunc(name, func(r rune) bool { return r == '.' || r == '_' }) {
		if c, ok := verbs[word]; ok {
			letter = c
		}
	}
	return letter
}

var verbs = map[string]string{
	"create": "c", "created": "c", "add": "c", "added": "c", "issue": "c", "issued": "c", "grant": "c", "granted": "c", "register": "c", "registered": "c",
	"read": "r", "view": "r", "viewed": "r", "export": "r", "exported": "r", "search": "r", "list": "r", "login": "r", "verify": "r", "verified": "r",
	"delete": "d", "deleted": "d", "remove": "d", "removed": "d", "revoke": "d", "revoked": "d", "purge": "d", "purged": "d", "expire": "d", "expired": "d",
}

func checkEntry(e Entry, outcome Outcome) *problem {
	switch outcome {
	case Success, Failure, Error:
	default:
		return &problem{"outcome", fmt.Sprintf("%q is none of success, failure, error", string(outcome))}
	}
	for _, f := range []struct {
		name, value string
		limit       int
	}{{"reason", e.Reason, maxReason}, {"auth_method", e.AuthMethod, maxMethod}, {"correlation_id", e.CorrelationID, maxCorrelation}} {
		if p := checkText(f.name, f.value, f.limit); p != nil {
			return p
		}
	}
	if e.Actor.Type == "" {
		return &problem{"actor.type", "is missing"}
	}
	if p := checkRef("actor", e.Actor); p != nil {
		return p
	}
	if e.Impersonator != nil {
		if p := checkRef("impersonator", *e.Impersonator); p != nil {
			return p
		}
	}
	if len(e.Targets) > maxTargets {
		return &problem{"targets", fmt.Sprintf("are %d; at most %d are kept", len(e.Targets), maxTargets)}
	}
	for i, t := range e.Targets {
		if p := checkRef(fmt.Sprintf("targets[%d]", i), t); p != nil {
			return p
		}
	}
	return nil
}

func checkRef(field string, r Ref) *problem {
	if len(r.Type) > maxType || !typeName.MatchString(r.Type) {
		return &problem{field + ".type", "is a lower-case word of at most 64 bytes"}
	}
	if p := checkText(field+".id", r.ID, maxID); p != nil {
		return p
	}
	return checkText(field+".role", r.Role, maxType)
}

func checkText(field, s string, limit int) *problem {
	if len(s) > limit {
		return &problem{field, fmt.Sprintf("has %d bytes; at most %d are kept", len(s), limit)}
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return &problem{field, "has a control character or is not UTF-8"}
	}
	return nil
}

// cut cleans text from outside and shortens it, at a rune's boundary, to a number of bytes.
func cut(s string, limit int) string {
	if len(s) <= limit && plain(s) {
		return s
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r // invalid bytes arrive as U+FFFD
	}, s)
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// address finds what looks like an email address: people may call themselves anything, and a display stays in the
// log after the account is gone.
var address = regexp.MustCompile(`[^\s@<>"'(),;:]+@[^\s@<>"'(),;:]+`)

func clean(r Ref) Ref {
	r.Display = cut(address.ReplaceAllString(r.Display, "[email]"), maxDisplay)
	return r
}

// metadata checks keys, depth and size, and gives the JSON along with what a reader of it will see. A plugin's
// action lists no keys and may carry any that name no secret.
func metadata(a Action, m map[string]any) (json.RawMessage, map[string]any, *problem) {
	if a.Metadata != nil || byName[a.Name].Name != "" {
		for k := range m {
			if !slices.Contains(a.Metadata, k) {
				return nil, nil, &problem{"metadata." + k, "is not among the keys the catalogue allows"}
			}
		}
	}
	b, err := json.Marshal(m)
	if err != nil {
		return nil, nil, &problem{"metadata", "can't be written as JSON"}
	}
	b = bytes.ReplaceAll(b, []byte(`\u0000`), []byte(`\ufffd`)) // JSONB has no NUL
	if len(b) > maxMetadata {
		return nil, nil, &problem{"metadata", fmt.Sprintf("has %d bytes as JSON; at most %d are kept", len(b), maxMetadata)}
	}
	var plain map[string]any
	if err := json.Unmarshal(b, &plain); err != nil {
		return nil, nil, &problem{"metadata", "can't be written as JSON"}
	}
	if p := checkKeys("metadata", plain, 1); p != nil {
		return nil, nil, p
	}
	return b, plain, nil
}

func checkKeys(path string, v any, depth int) *problem {
	if depth > maxDepth {
		return &problem{path, fmt.Sprintf("is nested deeper than %d", maxDepth)}
	}
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if Secret(k) {
				return &problem{path + "." + k, "names a secret; secrets are never recorded"}
			}
			if p := checkKeys(path+"."+k, e, depth+1); p != nil {
				return p
			}
		}
	case []any:
		for i, e := range v {
			if p := checkKeys(fmt.Sprintf("%s[%d]", path, i), e, depth+1); p != nil {
				return p
			}
		}
	}
	return nil
}
