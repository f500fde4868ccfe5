package lockspire

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/storage"
)

// register makes a client, and its secret if it has one: the only time that anybody sees it.
func (in *registrar) register(ctx context.Context, by pluginsdk.AuditEntry, c *Client) (secret string, err error) {
	if err := c.check(); err != nil {
		return "", err
	}
	var id [12]byte
	_, _ = rand.Read(id[:])
	now := in.now()
	c.ID, c.CreatedAt, c.UpdatedAt = "ls_"+hex.EncodeToString(id[:]), now, now
	return secret, storage.Tx(ctx, in.store.db, func(tx *sql.Tx) error {
		if err := insertClient(ctx, tx, c); err != nil {
			return err
		}
		if c.Config.AuthMethod != authNone {
			secret = newToken()
			if err := insertSecret(ctx, tx, c.ID, clientSecret{ID: uuid.NewString(), Hash: digest(secret), CreatedAt: now}); err != nil {
				return err
			}
		}
		return in.record(ctx, by, "client.create", c, c.Config.Scopes)
	})
}

// rotateSecret gives a client another secret; those it has go on being valid for a while.
func (in *registrar) rotateSecret(ctx context.Context, by pluginsdk.AuditEntry, c *Client, overlap time.Duration) (secret string, err error) {
	if c.Config.AuthMethod == authNone {
		return "", errNoSecret
	}
	now := in.now()
	secret = newToken()
	return secret, storage.Tx(ctx, in.store.db, func(tx *sql.Tx) error {
		if err := expireSecrets(ctx, tx, c.ID, now.Add(overlap)); err != nil {
			return err
		}
		if err := insertSecret(ctx, tx, c.ID, clientSecret{ID: uuid.NewString(), Hash: digest(secret), CreatedAt: now}); err != nil {
			return err
		}
		return in.record(ctx, by, "client.rotate_secret", c, nil)
	})
}

// setStatus disables a client, and ends all it has, or enables it.
func (in *registrar) setStatus(ctx context.Context, by pluginsdk.AuditEntry, c *Client, disabled bool) error {
	verb, status := "client.enable", statusActive
	if disabled {
		verb, status = "client.disable", statusDisabled
	}
	c.Disabled = disabled
	return storage.Tx(ctx, in.store.db, func(tx *sql.Tx) error {
		if err := setClientStatus(ctx, tx, c.ID, status, in.now()); err != nil {
			return err
		}
		if disabled {
			if err := endOfClient(ctx, tx, c.ID, endClient, in.now()); err != nil {
				return err
			}
		}
		return in.record(ctx, by, verb, c, nil)
	})
}

// remove deletes a client with all it has.
func (in *registrar) remove(ctx context.Context, by pluginsdk.AuditEntry, c *Client) error {
	return storage.Tx(ctx, in.store.db, func(tx *sql.Tx) error {
		if err := deleteClient(ctx, tx, c.ID); err != nil {
			return err
		}
		return in.record(ctx, by, "client.delete", c, nil)
	})
}

func (in *registrar) clientsPage(w http.ResponseWriter, r *http.Request) error {
	clients, err := in.store.clients(r.Context(), r.URL.Query().Get("after"), pageLimit+1)
	if err != nil {
		return err
	}
	next := ""
	if len(clients) > pageLimit {
		clients = clients[:pageLimit]
		next = clients[pageLimit-1].ID
	}
	return in.page(w, r, http.StatusOK, "lockspire.admin.title", "clients.html", map[string]any{"Clients": clients, "Next": next, "Root": adminPath, "Issuer": in.issuer()})
}

func (in *registrar) clientPage(w http.ResponseWriter, r *http.Request) error {
	c, err := in.store.client(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	secrets, err := in.store.secrets(r.Context(), c.ID)
	if err != nil {
		return err
	}
	return in.page(w, r, http.StatusOK, "lockspire.admin.title", "client.html", map[string]any{"Client": c, "Secrets": secrets, "Root": adminPath, "Issuer": in.issuer()})
}

func (in *registrar) changeClient(w http.ResponseWriter, r *http.Request) error {
	params, err := form(w, r)
	if err != nil {
		return &pageError{Status: http.StatusBadRequest, Code: "invalid_request", Why: err.Error()}
	}
	c, err := in.store.client(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	by := pluginsdk.AuditEntry{Request: pluginsdk.RequestInfoFrom(r.Context())}.By(pluginsdk.RequestPrincipal(r.Context()))
	to := adminPath + "/clients/" + c.ID
	switch params.Get("action") {
	case "disable", "enable":
		err = in.setStatus(r.Context(), by, c, params.Get("action") == "disable")
	case "delete":
		if !c.Disabled {
			return &pageError{Status: http.StatusConflict, Code: "disable_first"}
		}
		err, to = in.remove(r.Context(), by, c), adminPath
	default:
		return &pageError{Status: http.StatusBadRequest, Code: "invalid_request", Why: "unknown action"}
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}
