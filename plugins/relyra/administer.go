package relyra

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/plugins/relyra/saml"
	"github.com/sigra-auth/sigra/pluginsdk"
	"github.com/sigra-auth/sigra/pluginsdk/storage"
)

// acting is who changes a connection, and of which organization they may: of any, if organization is empty.
type acting struct {
	audit        pluginsdk.AuditEntry
	organization string
}

// may says whether c is theirs. To others it does not exist.
func (a acting) may(c *Connection) bool {
	return a.organization == "" || a.organization == c.OrganizationID
}

// keyPurpose binds what is sealed to what it is for.
const keyPurpose = "sp_key"

// create makes a draft from metadata, with a key of its own.
func (p *Relyra) create(ctx context.Context, by acting, organization, name string, metadata []byte) (*Connection, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if by.organization != "" && by.organization != organization {
		return nil, errOrganization
	}
	switch found, err := p.host.Identity().Organizations(ctx, organization); {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, errOrganization
	}
	m, err := p.read(metadata)
	if err != nil {
		return nil, err
	}
	now := p.now().Truncate(time.Microsecond)
	c := &Connection{ID: uuid.Must(uuid.NewV7()), OrganizationID: organization, Name: name, Status: Draft, Config: Config{JustInTime: true}, CreatedAt: now, UpdatedAt: now}
	c.Config.take(m)
	k, err := p.newKey(ctx, c)
	if err != nil {
		return nil, err
	}
	return c, p.change(ctx, by, c, "create", func(tx *sql.Tx) error {
		if err := insertConnection(ctx, tx, c); err != nil {
			return err
		}
		return insertKey(ctx, tx, c.ID, k, now)
	})
}

// read takes metadata that an administrator vouches for.
func (p *Relyra) read(metadata []byte) (*saml.Metadata, error) {
	m, err := saml.ReadMetadata(p.now(), metadata, saml.Trust{})
	if err != nil {
		return nil, err
	}
	for _, e := range append(append([]saml.Endpoint{}, m.SSO...), m.SLO...) {
		if !canUseCookies(e.Location) { // a person's sign-in does not go over the wire in clear
			return nil, &saml.Refusal{Gate: saml.GateEndpoint, Detail: "an endpoint of the identity provider is not https", Received: e.Location}
		}
	}
	return m, nil
}

// edit changes a connection under its lock.
func (p *Relyra) edit(ctx context.Context, by acting, id uuid.UUID, verb string, f func(*Connection) error) (*Connection, error) {
	var c *Connection
	err := storage.Tx(ctx, p.store.db, func(tx *sql.Tx) (err error) {
		if c, err = locked(ctx, tx, id); err != nil {
			return err
		}
		if !by.may(c) {
			return errNoConnection
		}
		if err := f(c); err != nil {
			return err
		}
		c.UpdatedAt = p.now().Truncate(time.Microsecond)
		if verb == "delete" {
			err = deleteConnection(ctx, tx, id)
		} else {
			err = updateConnection(ctx, tx, c)
		}
		if err != nil {
			return err
		}
		return p.record(ctx, by, c, verb)
	})
	return c, err
}

// change is edit for what is not there yet.
func (p *Relyra) change(ctx context.Context, by acting, c *Connection, verb string, f func(*sql.Tx) error) error {
	return storage.Tx(ctx, p.store.db, func(tx *sql.Tx) error {
		if err := f(tx); err != nil {
			return err
		}
		return p.record(ctx, by, c, verb)
	})
}

// record writes the audit row before the change is committed: a change without its row can't be, and a row whose change failed to commit
// says what was tried.
func (p *Relyra) record(ctx context.Context, by acting, c *Connection, verb string) error {
	e := by.audit
	e.Action, e.Outcome, e.OrganizationID = name+".connection."+verb, "success", c.OrganizationID
	e.Targets = []pluginsdk.Ref{{Type: "saml_connection", ID: c.ID.String(), Display: c.Name}, {Type: "organization", ID: c.OrganizationID}}
	fingerprints := []string{}
	for _, der := range c.Config.Certificates {
		if cert, err := x509.ParseCertificate(der); err == nil {
			fingerprints = append(fingerprints, saml.Fingerprint(cert))
		}
	}
	e.Metadata = map[string]any{"name": c.Name, "idp_entity_id": c.Config.EntityID, "certificates": fingerprints}
	e.IdempotencyKey = uuid.Must(uuid.NewV7()).String()
	_, err := p.host.Audit().Record(ctx, e)
	return err
}

func (p *Relyra) enable(ctx context.Context, by acting, id uuid.UUID) (*Connection, error) {
	return p.edit(ctx, by, id, "enable", func(c *Connection) error {
		c.Status = Enabled
		return c.checkEnable(p.now())
	})
}

func (p *Relyra) disable(ctx context.Context, by acting, id uuid.UUID) (*Connection, error) {
	return p.edit(ctx, by, id, "disable", func(c *Connection) error { c.Status = Disabled; return nil })
}

func (p *Relyra) remove(ctx context.Context, by acting, id uuid.UUID) error {
	_, err := p.edit(ctx, by, id, "delete", func(c *Connection) error {
		if c.Status == Enabled {
			return errDeleteFirst
		}
		return nil
	})
	return err
}

// update sets name and policy, and takes newer metadata if there are any.
func (p *Relyra) update(ctx context.Context, by acting, id uuid.UUID, metadata []byte, f func(*Connection)) (*Connection, error) {
	var m *saml.Metadata
	if len(metadata) > 0 {
		var err error
		if m, err = p.read(metadata); err != nil {
			return nil, err
		}
	}
	return p.edit(ctx, by, id, "update", func(c *Connection) error {
		f(c)
		if m != nil {
			c.Config.take(m)
		}
		if c.Status == Enabled {
			if err := c.checkEnable(p.now()); err != nil {
				return err
			}
		}
		return checkName(c.Name)
	})
}

// find gives a connection that is theirs.
func (p *Relyra) find(ctx context.Context, by acting, id uuid.UUID) (*Connection, error) {
	c, err := p.store.connection(ctx, id)
	if err != nil {
		return nil, err
	}
	if !by.may(c) {
		return nil, errNoConnection
	}
	return c, nil
}

// keyLife is how long a certificate of ours is valid. Few identity providers look; those that do have to be told of a new one by hand.
const keyLife = 10 * 365 * 24 * time.Hour

// newKey makes a key for a connection; the private part is sealed by the host.
func (p *Relyra) newKey(ctx context.Context, c *Connection) (sealedKey, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return sealedKey{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return sealedKey{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: c.ID.String()}, NotBefore: p.now().Add(-time.Hour), NotAfter: p.now().Add(keyLife),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return sealedKey{}, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return sealedKey{}, err
	}
	sealed, err := p.host.Seal().Seal(ctx, pkcs8, keyPurpose)
	return sealedKey{certificate: der, sealed: sealed}, err
}

// reseal follows a rotation of the host's keys.
func (p *Relyra) reseal(ctx context.Context, old sealedKey, plain []byte) error {
	sealed, err := p.host.Seal().Seal(ctx, plain, keyPurpose)
	if err != nil {
		return err
	}
	return p.store.replaceKey(ctx, old, sealed)
}

// keysOf opens our keys of a connection.
func (p *Relyra) keysOf(ctx context.Context, connection uuid.UUID) ([]key, error) {
	sealed, err := p.store.keys(ctx, connection)
	if err != nil {
		return nil, err
	}
	var out []key
	for _, s := range sealed {
		plain, stale, err := p.host.Seal().Open(ctx, s.sealed, keyPurpose)
		if err != nil {
			return nil, fmt.Errorf("open key: %w", err)
		}
		if stale {
			if err := p.reseal(ctx, s, plain); err != nil {
				return nil, fmt.Errorf("seal key again: %w", err)
			}
		}
		parsed, err := x509.ParsePKCS8PrivateKey(plain)
		if err != nil {
			return nil, fmt.Errorf("open key: %w", err)
		}
		private, ok := parsed.(*rsa.PrivateKey)
		if !ok {
			return nil, errors.New("open key: not an RSA key")
		}
		cert, err := x509.ParseCertificate(s.certificate)
		if err != nil {
			return nil, fmt.Errorf("open key: %w", err)
		}
		out = append(out, key{certificate: cert, private: private})
	}
	return out, nil
}
