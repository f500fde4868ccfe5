package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/apitoken"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// ApplicationKeys is the keys of applications as the API needs them; *apitoken.Store is one.
type ApplicationKeys interface {
	List(ctx context.Context) ([]apitoken.Key, error)
	Create(ctx context.Context, actor audit.Ref, name string, expires time.Time) (apitoken.Key, string, error)
	Rotate(ctx context.Context, actor audit.Ref, id uuid.UUID, overlap time.Duration) (apitoken.Key, string, error)
	Revoke(ctx context.Context, actor audit.Ref, id uuid.UUID) error
}

// ApplicationKey is an application's key without its secret.
type ApplicationKey struct {
	ID         uuid.UUID `json:"id" format:"uuid" doc:"The key's id."`
	Name       string    `json:"name" doc:"What the application is called."`
	Hint       string    `json:"hint" doc:"The key's last characters."`
	CreatedAt  time.Time `json:"created_at" doc:"When it was made."`
	ExpiresAt  time.Time `json:"expires_at,omitzero" doc:"Missing: it does not expire."`
	LastUsedAt time.Time `json:"last_used_at,omitzero" doc:"To the minute. Missing: never."`
}

// ApplicationKeyList is all of them.
type ApplicationKeyList struct {
	Keys []ApplicationKey `json:"keys" doc:"The keys that are good."`
}

// NewApplicationKey is a key with its secret, which is told once.
type NewApplicationKey struct {
	ApplicationKey
	Key string `json:"key" doc:"What the application shows. It can't be read again." example:"sigra_app_…"`
}

type createApplicationKeyInput struct {
	Body struct {
		Name      string    `json:"name" minLength:"1" maxLength:"64" doc:"What the application is called." example:"shop"`
		ExpiresAt time.Time `json:"expires_at,omitzero" doc:"Left out, it does not expire."`
	} `nameHint:"CreateApplicationKey"`
}

type applicationKeyInput struct {
	ID uuid.UUID `path:"key_id" format:"uuid" doc:"The key's id."`
}

type rotateApplicationKeyInput struct {
	applicationKeyInput
	Body struct {
		Overlap int `json:"overlap" minimum:"0" maximum:"2592000" doc:"For how many seconds the old key goes on."`
	} `nameHint:"RotateApplicationKey"`
}

// adminApplications is what applications show.
type adminApplications struct{ keys ApplicationKeys }

// Mount adds the operations.
func (d adminApplications) Mount(k *kit) {
	off := d.keys == nil
	made := func(key apitoken.Key, token string, err error) (*struct{ Body NewApplicationKey }, error) {
		if err != nil {
			return nil, err
		}
		return &struct{ Body NewApplicationKey }{NewApplicationKey{ApplicationKey(key), token}}, nil
	}
	register(k, operation{
		method: http.MethodGet, path: "/v1/admin/application-keys", id: "list-application-keys", tag: "system", off: off,
		limit: ratelimit.General, access: endpoint.Administrator,
		summary: "List the keys of applications", description: "By name. What they show can't be read again.", ok: "The keys.",
	}, func(ctx context.Context, _ asker, _ *none) (*struct{ Body ApplicationKeyList }, error) {
		all, err := d.keys.List(ctx)
		if err != nil {
			return nil, err
		}
		out := &struct{ Body ApplicationKeyList }{ApplicationKeyList{Keys: []ApplicationKey{}}}
		for _, key := range all {
			out.Body.Keys = append(out.Body.Keys, ApplicationKey(key))
		}
		return out, nil
	})
	register(k, operation{
		method: http.MethodPost, path: "/v1/admin/application-keys", id: "create-application-key", tag: "system", off: off, status: http.StatusCreated,
		limit: ratelimit.General, access: endpoint.Administrator, recent: true, maxBody: smallBody,
		summary:     "Give an application a key",
		description: "With it an application reports events, reads and writes accounts' public and user metadata, and checks sessions without regard to limits of its address.",
		ok:          "The key, told this once.", problems: map[int]string{http.StatusConflict: "`too_many_application_keys`: there are 100."},
	}, func(ctx context.Context, who asker, in *createApplicationKeyInput) (*struct{ Body NewApplicationKey }, error) {
		return made(d.keys.Create(ctx, who.actor(), in.Body.Name, in.Body.ExpiresAt))
	})
	register(k, operation{
		method: http.MethodPost, path: "/v1/admin/application-keys/{key_id}/rotate", id: "rotate-application-key", tag: "system", off: off, status: http.StatusCreated,
		limit: ratelimit.General, access: endpoint.Administrator, recent: true, maxBody: smallBody,
		summary: "Give an application another key", description: "The old one goes on for the overlap, so that the application can be changed over.",
		ok: "The new key, told this once.", problems: map[int]string{http.StatusNotFound: "There is no such key.", http.StatusConflict: "`too_many_application_keys`: there are 100."},
	}, func(ctx context.Context, who asker, in *rotateApplicationKeyInput) (*struct{ Body NewApplicationKey }, error) {
		return made(d.keys.Rotate(ctx, who.actor(), in.ID, time.Duration(in.Body.Overlap)*time.Second))
	})
	register(k, operation{
		method: http.MethodDelete, path: "/v1/admin/application-keys/{key_id}", id: "revoke-application-key", tag: "system", off: off, status: http.StatusNoContent,
		limit: ratelimit.General, access: endpoint.Administrator, recent: true,
		summary: "Revoke an application's key", description: "It is good for nothing from the next request on, on other nodes within a second.",
		ok: "It is gone.", problems: map[int]string{http.StatusNotFound: "There is no such key."},
	}, func(ctx context.Context, who asker, in *applicationKeyInput) (*empty, error) {
		return nil, d.keys.Revoke(ctx, who.actor(), in.ID)
	})
}
