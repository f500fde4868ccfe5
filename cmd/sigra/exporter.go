package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/httpapi"
	"github.com/sigra-auth/sigra/core/pluginhost"
)

// exporter gathers what the parts and the plugins hold of one person.
type exporter struct {
	*parts
	host func() *pluginhost.Host // nil: none run, and what they hold is missing
}

// Export implements httpapi.Exports.
func (e exporter) Export(ctx context.Context, actor audit.Ref, userID uuid.UUID) (httpapi.Export, error) {
	a, err := e.accounts.Get(ctx, userID)
	if err != nil {
		return httpapi.Export{}, err
	}
	if a.Status == account.Deleted {
		return httpapi.Export{}, account.ErrNotFound
	}
	out := httpapi.Export{Plugins: map[string]any{}}
	if out.Held, err = e.set.Export(ctx, e.db, a.Subject()); err != nil {
		return httpapi.Export{}, err
	}
	if e.host == nil {
		for _, b := range e.cfg.Plugins {
			if b.Enabled {
				out.Missing = append(out.Missing, b.Name)
			}
		}
	} else {
		held, missing := e.host().Subjects().Export(ctx, a.ID, a.Email)
		slices.Sort(missing)
		out.Missing = missing
		for name, text := range held {
			var v any
			if err := json.Unmarshal(text, &v); err != nil {
				return httpapi.Export{}, fmt.Errorf("read export of plugin %s: %w", name, err)
			}
			out.Plugins[name] = v
		}
	}
	whole, err := json.Marshal(out)
	if err != nil {
		return httpapi.Export{}, err
	}
	return out, e.note(ctx, audit.Entry{
		Action: "account.export", Actor: actor, Targets: []audit.Ref{{Type: "user", ID: a.ID.String()}}, Metadata: map[string]any{"format": "json", "bytes": len(whole)},
	})
}
