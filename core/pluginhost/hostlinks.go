package pluginhost

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/part"
	"github.com/sigra-auth/sigra/core/store"
	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
)

type linksService struct {
	hostv1.UnimplementedLinksServer
	*hostServices
}

// The limits of links.
const (
	maxLinkText  = 255     // bytes of a purpose and a subject
	maxLinkData  = 4 << 10 // bytes
	maxLinks     = 10_000  // of one plugin that work still
	linkTokenLen = 32      // 256 bits (ASVS 5.0 6.5.4)
	minLinkTTL   = time.Minute
	maxLinkTTL   = 30 * 24 * time.Hour
)

// sealedLinks are the links' data, sealed anew after the keys were rotated.
var sealedLinks = part.SealedColumn{
	Name:   "plugin_link.data",
	Select: `SELECT id, data FROM plugin_link WHERE data IS NOT NULL AND id > $1 ORDER BY id LIMIT $2`,
	Update: `UPDATE plugin_link SET data = $3 WHERE id = $1 AND data = $2`,
}

var linkTokens = base64.RawURLEncoding.Strict()

// linkHash is how a token is found; nil: it is none.
func linkHash(token string) []byte {
	raw, err := linkTokens.DecodeString(token)
	if err != nil || len(raw) != linkTokenLen {
		return nil
	}
	sum := sha256.Sum256(raw)
	return sum[:]
}

// words checks what names links.
func (linksService) words(purpose, subject string) error {
	switch {
	case purpose == "" || len(purpose) > maxLinkText || purpose != printable(purpose):
		return fault.Newf(fault.Invalid, "invalid_purpose", "A purpose has 1 to %d printable bytes.", maxLinkText).At("purpose")
	case len(subject) > maxLinkText || subject != printable(subject):
		return fault.Newf(fault.Invalid, "invalid_subject", "A subject has at most %d printable bytes.", maxLinkText).At("subject")
	}
	return nil
}

func (s linksService) Issue(ctx context.Context, r *hostv1.IssueLinkRequest) (*hostv1.IssueLinkResponse, error) {
	if s.h.cfg.Keyring == nil {
		return nil, missing("a keyring")
	}
	if err := s.words(r.GetPurpose(), r.GetSubject()); err != nil {
		return nil, err
	}
	ttl := r.GetValidFor().AsDuration()
	u, err := url.Parse(r.GetPath())
	switch {
	case len(r.GetData()) > maxLinkData:
		return nil, fault.Newf(fault.TooLarge, "data_too_large", "At most %d bytes can be kept with a link.", maxLinkData).At("data")
	case ttl < minLinkTTL || ttl > maxLinkTTL:
		return nil, fault.New(fault.Invalid, "invalid_ttl", "A link works for 1 minute to 30 days.").At("valid_for")
	case err != nil || u.Scheme != "" || u.Host != "" || u.RawQuery != "" || u.Fragment != "" || !s.in.manifest.serves(u.Path):
		return nil, fault.New(fault.Invalid, "foreign_path", "A link leads below one of the plugin's own routes, without a query.").At("path")
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	raw := make([]byte, linkTokenLen)
	_, _ = rand.Read(raw) // never fails: crypto/rand ends the program instead
	token, sum := linkTokens.EncodeToString(raw), sha256.Sum256(raw)
	var data []byte
	if len(r.GetData()) > 0 {
		data = s.h.cfg.Keyring.Seal(r.GetData(), sealedLinks.Purpose(id))
	}
	now := s.h.now()
	until := now.Add(ttl).Truncate(time.Microsecond)
	err = s.h.cfg.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM plugin_link WHERE plugin = $1 AND expires_at <= $2`, s.name(), now); err != nil {
			return err
		}
		var n int
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM plugin_link WHERE plugin = $1`, s.name()).Scan(&n); err != nil {
			return err
		}
		if n >= maxLinks {
			return fault.Newf(fault.Conflict, "too_many_links", "%d links of this plugin work already.", n)
		}
		_, err := tx.Exec(ctx, `INSERT INTO plugin_link (id, token_hash, plugin, purpose, subject, data, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			id, sum[:], s.name(), r.GetPurpose(), r.GetSubject(), data, until)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("issue link: %w", err)
	}
	return &hostv1.IssueLinkResponse{Url: s.h.cfg.BaseURL + u.Path + "?token=" + token, Token: token, ExpiresAt: timeTo(until)}, nil
}

// link is what a token stands for.
type link struct {
	id      uuid.UUID
	subject string
	data    []byte
	expires time.Time
}

// find runs a query that gives a link by its token, and opens it; nil when there is none.
func (s linksService) find(row interface{ Scan(dest ...any) error }) (*link, error) {
	var l link
	err := row.Scan(&l.id, &l.subject, &l.data, &l.expires)
	if errors.Is(err, store.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find link: %w", err)
	}
	if len(l.data) > 0 {
		if s.h.cfg.Keyring == nil {
			return nil, missing("a keyring")
		}
		if l.data, _, err = s.h.cfg.Keyring.Open(l.data, sealedLinks.Purpose(l.id)); err != nil {
			return nil, fmt.Errorf("open link: %w", err)
		}
	}
	return &l, nil
}

func (s linksService) Peek(ctx context.Context, r *hostv1.PeekLinkRequest) (*hostv1.PeekLinkResponse, error) {
	l, err := s.find(s.h.cfg.DB.QueryRow(ctx, `SELECT id, subject, data, expires_at FROM plugin_link WHERE token_hash = $1 AND plugin = $2 AND purpose = $3 AND expires_at > $4`,
		linkHash(r.GetToken()), s.name(), r.GetPurpose(), s.h.now()))
	if err != nil || l == nil {
		return &hostv1.PeekLinkResponse{}, err
	}
	return &hostv1.PeekLinkResponse{Valid: true, Subject: l.subject, Data: l.data, ExpiresAt: timeTo(l.expires)}, nil
}

// Redeem deletes the row: of two at once one gets it.
func (s linksService) Redeem(ctx context.Context, r *hostv1.RedeemLinkRequest) (*hostv1.RedeemLinkResponse, error) {
	var l *link
	err := s.h.cfg.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		l, err = s.find(tx.QueryRow(ctx, `DELETE FROM plugin_link WHERE token_hash = $1 AND plugin = $2 AND purpose = $3 AND expires_at > $4 RETURNING id, subject, data, expires_at`,
			linkHash(r.GetToken()), s.name(), r.GetPurpose(), s.h.now()))
		return err
	})
	if err != nil || l == nil {
		return &hostv1.RedeemLinkResponse{}, err
	}
	return &hostv1.RedeemLinkResponse{Redeemed: true, Subject: l.subject, Data: l.data}, nil
}

func (s linksService) Revoke(ctx context.Context, r *hostv1.RevokeLinkRequest) (*hostv1.RevokeLinkResponse, error) {
	if err := s.words(r.GetPurpose(), r.GetSubject()); err != nil {
		return nil, err
	}
	var n int64
	err := s.h.cfg.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		n, err = tx.Exec(ctx, `DELETE FROM plugin_link WHERE plugin = $1 AND purpose = $2 AND subject = $3 AND expires_at > $4`, s.name(), r.GetPurpose(), r.GetSubject(), s.h.now())
		return err
	})
	return &hostv1.RevokeLinkResponse{Revoked: uint32(n)}, err
}
