package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/keyring"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/sessionjwt"
)

// Keys is the keyring as the API needs it.
type Keys interface {
	Keys() []keyring.Key
	Root() string // the root key's fingerprint
	// RotateKeys makes a new data key and lets everything be sealed with it anew, in the background.
	RotateKeys(ctx context.Context, actor audit.Ref) (keyring.Key, error)
	// SigningKeys are those of the tokens of sessions.
	SigningKeys() []sessionjwt.Key
	// RotateSigningKey has the next of them sign. It is refused while verifiers may not know it.
	RotateSigningKey(ctx context.Context, actor audit.Ref) error
}

// KeyInfo is one data key.
type KeyInfo struct {
	ID        uuid.UUID `json:"id" format:"uuid" doc:"The key's id, part of everything sealed with it."`
	State     string    `json:"state" enum:"active,retired" doc:"Active keys seal; retired ones only open."`
	CreatedAt time.Time `json:"created_at" doc:"When it was made."`
}

// KeyList is the keyring.
type KeyList struct {
	Root string    `json:"root" doc:"The root key's fingerprint. The root key wraps the others and is never in the database."`
	Keys []KeyInfo `json:"keys" doc:"The data keys."`
	// Signing keys are published at /.well-known/jwks.json.
	Signing []SigningKey `json:"signing" doc:"The keys that sign tokens of sessions."`
}

// SigningKey is one of them.
type SigningKey struct {
	ID    uuid.UUID `json:"id" format:"uuid" doc:"The key's id: kid in a token's header."`
	State string    `json:"state" enum:"next,current,retired" doc:"next: published, and signs later. current: signs. retired: published for what it has signed."`
	Since time.Time `json:"since" doc:"Since when it is in this state."`
}

func keyInfo(k keyring.Key) KeyInfo { return KeyInfo{ID: k.ID, State: k.State, CreatedAt: k.CreatedAt} }

func signingKeys(k Keys) []SigningKey {
	out := []SigningKey{}
	for _, s := range k.SigningKeys() {
		out = append(out, SigningKey{s.ID, string(s.State), s.Since})
	}
	return out
}

// adminKeys is the keyring.
type adminKeys struct{ keys Keys }

// Mount adds the operations.
func (d adminKeys) Mount(k *kit) {
	off := d.keys == nil
	register(k, operation{
		method: http.MethodGet, path: "/v1/admin/keys", id: "list-keys", tag: "system", off: off,
		limit: ratelimit.General, access: endpoint.Administrator,
		summary: "List the keys", description: "Ids and states only; no secret key ever leaves the server.", ok: "The keys.",
	}, func(_ context.Context, _ asker, _ *none) (*struct{ Body KeyList }, error) {
		out := &struct{ Body KeyList }{KeyList{Root: d.keys.Root(), Keys: []KeyInfo{}, Signing: signingKeys(d.keys)}}
		for _, k := range d.keys.Keys() {
			out.Body.Keys = append(out.Body.Keys, keyInfo(k))
		}
		return out, nil
	})
	register(k, operation{
		method: http.MethodPost, path: "/v1/admin/keys/rotate", id: "rotate-keys", tag: "system", off: off, status: http.StatusCreated,
		limit: ratelimit.General, access: endpoint.Administrator, recent: true,
		summary: "Make a new data key", description: "New secrets are sealed with it at once; those there are, in the background. Old keys stay for opening.", ok: "The new key.",
	}, func(ctx context.Context, who asker, _ *none) (*struct{ Body KeyInfo }, error) {
		k, err := d.keys.RotateKeys(ctx, who.actor())
		if err != nil {
			return nil, err
		}
		return &struct{ Body KeyInfo }{keyInfo(k)}, nil
	})
	register(k, operation{
		method: http.MethodPost, path: "/v1/admin/keys/signing/rotate", id: "rotate-signing-key", tag: "system", off: off,
		limit: ratelimit.General, access: endpoint.Administrator, recent: true,
		summary: "Have the next key sign tokens of sessions", description: "It happens by itself every thirty days. Tokens that the current key has signed stay good.", ok: "The keys as they are now.",
		problems: map[int]string{http.StatusConflict: "`key_too_new`: the next key was published less than 20 minutes ago, and verifiers may not know it yet."},
	}, func(ctx context.Context, who asker, _ *none) (*struct{ Body []SigningKey }, error) {
		if err := d.keys.RotateSigningKey(ctx, who.actor()); err != nil {
			return nil, err
		}
		return &struct{ Body []SigningKey }{signingKeys(d.keys)}, nil
	})
}
