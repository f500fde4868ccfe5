package rulestead

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"

	"github.com/sigra-auth/sigra/plugins/rulestead/rule"
)

// actor is who changes something, and how.
type actor struct {
	ref        pluginsdk.Ref
	impersonal bool // an administrator who acts for somebody else
	info       pluginsdk.RequestInfo
}

// name is how people read who it was.
func (a actor) name() string {
	if a.ref.Display != "" {
		return a.ref.Display
	}
	return person(a.ref)
}

// submitted is what came of definitions that somebody wants: a version, or a change that waits.
type submitted struct {
	version version
	changed bool
	change  *change
}

// submit is the one way for definitions to come into force. Where changes need approvals it makes one that waits, and so it does with
// those for later.
func (in *instance) submit(ctx context.Context, d rule.Definitions, base int64, by actor, comment string, at *time.Time) (submitted, error) {
	if _, err := rule.Compile(0, d); err != nil {
		return submitted{}, err
	}
	if in.settings.Approvals == 0 && at == nil {
		v, changed, err := in.store.apply(ctx, d, base, by.name(), comment)
		if err == nil && changed {
			err = in.published(ctx, v.Number, by, comment)
		}
		return submitted{version: v, changed: changed}, err
	}
	c, err := in.store.propose(ctx, d, base, by.ref, by.name(), comment, at)
	if errors.Is(err, errSame) {
		n, err := in.store.latest(ctx)
		return submitted{version: version{Number: n}}, err
	}
	if err != nil {
		return submitted{}, err
	}
	return submitted{change: &c}, in.recordChange(ctx, "propose", c.ID, by, comment, nil)
}

// published makes a version that was stored the snapshot, here at once and elsewhere within a second, and records who did.
func (in *instance) published(ctx context.Context, n int64, by actor, comment string) error {
	if err := in.load(ctx); err != nil {
		return err
	}
	if err := in.host.Topics().Notify(ctx, versionTopic, strconv.FormatInt(n, 10)); err != nil {
		in.log.Warn("other nodes were not told of the new version and will find it themselves", "version", n, "error", err)
	}
	_, err := in.host.Audit().Record(ctx, pluginsdk.AuditEntry{
		Action: "rulestead.definitions.change", Outcome: "success", Actor: by.ref, IdempotencyKey: "version/" + strconv.FormatInt(n, 10), Request: by.info,
		Metadata: map[string]any{"version": n, "previous_version": n - 1, "comment": comment},
	})
	return err
}

func (in *instance) recordChange(ctx context.Context, what string, id int64, by actor, comment string, refused error) error {
	e := pluginsdk.AuditEntry{
		Action: "rulestead.change." + what, Outcome: "success", Actor: by.ref, Request: by.info, Metadata: map[string]any{"change": id, "comment": comment},
		IdempotencyKey: fmt.Sprintf("change/%d/%s/%s", id, what, person(by.ref)),
	}
	if refused != nil {
		e.Outcome, e.IdempotencyKey = "failure", fmt.Sprintf("%s/%d", e.IdempotencyKey, in.store.now().UnixNano())
		if e.Reason = "own_change"; errors.Is(refused, errImpersonal) {
			e.Reason = "impersonation"
		}
	}
	_, err := in.host.Audit().Record(ctx, e)
	return err
}

// approve approves a change. Refusals are recorded: somebody tried to get around the second pair of eyes.
func (in *instance) approve(ctx context.Context, id int64, by actor) (change, error) {
	c, err := in.store.change(ctx, id)
	if err == nil && by.impersonal {
		err = errImpersonal
	}
	if err == nil {
		c, err = in.store.approve(ctx, id, by.ref, by.name(), in.settings.Approvals)
	}
	switch {
	case errors.Is(err, errOwnChange), errors.Is(err, errImpersonal):
		return c, errors.Join(err, in.recordChange(ctx, "approve", id, by, "", err))
	case err != nil:
		return c, err
	}
	if err := in.recordChange(ctx, "approve", id, by, "", nil); err != nil {
		return c, err
	}
	if c.State == changeApplied {
		return c, in.published(ctx, c.Version, by, fmt.Sprintf("change %d: %s", c.ID, c.Comment))
	}
	return c, nil
}

func (in *instance) reject(ctx context.Context, id int64, by actor) (change, error) {
	if by.impersonal {
		return change{}, errImpersonal
	}
	c, err := in.store.reject(ctx, id, by.name())
	if err != nil {
		return c, err
	}
	return c, in.recordChange(ctx, "reject", id, by, "", nil)
}

// applyDue applies the changes whose time has come. Every node tries: one of them finds each still open.
func (in *instance) applyDue(ctx context.Context) error {
	list, err := in.store.due(ctx, in.settings.Approvals)
	if err != nil {
		return err
	}
	for _, c := range list {
		if c.State != changeApplied {
			in.log.Warn("a change was not applied at its time: the definitions changed under it", "change", c.ID)
			continue
		}
		if err := in.published(ctx, c.Version, actor{ref: pluginsdk.Ref{Type: "system"}}, fmt.Sprintf("change %d: %s", c.ID, c.Comment)); err != nil {
			return err
		}
	}
	return nil
}

// kill turns a flag off at once, on every node and without approval. Turning it on again is a change like all others. Where changes
// need approvals it can't be what opens a gate: with the flag off, every gate that it decides for has to deny.
func (in *instance) kill(ctx context.Context, key string, by actor, comment string) (version, bool, error) {
	n, err := in.store.latest(ctx)
	if err != nil {
		return version{}, false, err
	}
	d, err := in.store.definitions(ctx, n)
	if err != nil {
		return version{}, false, err
	}
	f, ok := d.Flags[key]
	if !ok {
		return version{}, false, fmt.Errorf("there is no flag %q", key)
	}
	if gate := opens(d, key, map[string]bool{}); gate != "" && in.settings.Approvals > 0 {
		return version{}, false, fmt.Errorf("with %s off, the gate %s may let more people in than now: make a change of it, which needs approval", key, gate)
	}
	f.Enabled = false
	d.Flags[key] = f
	if comment == "" {
		comment = "killed " + key
	}
	v, changed, err := in.store.apply(ctx, d, n, by.name(), comment)
	if err != nil || !changed {
		return v, false, err
	}
	return v, true, in.published(ctx, v.Number, by, comment)
}

// opens gives a gate that might let more people in with a flag off: the flag itself where it does not deny then, or one that depends
// on it and does not deny, or whose prerequisite is met by its being off.
func opens(d rule.Definitions, key string, seen map[string]bool) string {
	if seen[key] {
		return ""
	}
	seen[key] = true
	off := d.Flags[key].Off
	if d.Flags[key].Gate != nil && !equal(off, json.RawMessage(`"`+rule.Deny+`"`)) {
		return key
	}
	for other, f := range d.Flags {
		for _, p := range f.Prerequisites {
			if p.Flag != key {
				continue
			}
			if f.Gate != nil && equal(p.Value, off) {
				return other
			}
			if gate := opens(d, other, seen); gate != "" {
				return gate
			}
		}
	}
	return ""
}

func equal(a, b json.RawMessage) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}
