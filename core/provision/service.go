package provision

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/flow"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/membership"
	"github.com/sigra-auth/sigra/core/metadata"
	"github.com/sigra-auth/sigra/core/org"
	"github.com/sigra-auth/sigra/core/store"
)

// Migrations makes the table of this package.
//
//go:embed migrations
var Migrations embed.FS

// maxText bounds what a directory calls things, in bytes.
const maxText = 255

var (
	// ErrNotFound says that the directory provides no such account.
	ErrNotFound  = fault.New(fault.NotFound, "directory_user_not_found", "The directory provides no such account.").At("external_id")
	errAdmin     = fault.New(fault.Denied, "directory_administrator", "A directory changes no account of an administrator of this service.").At("external_id")
	errForeign   = fault.New(fault.Denied, "directory_foreign_account", "The account was not made for this directory, and its address is in no domain that the organization has proven.").At("external_id")
	errDomain    = fault.New(fault.Denied, "directory_domain", "The address is in no domain that the organization has proven.").At("email")
	errOtherID   = fault.New(fault.Conflict, "directory_user_exists", "The account has another id in this directory.").At("external_id")
	errAttribute = fault.New(fault.Invalid, "invalid_attributes", "The attributes are no JSON object.").At("attributes")
)

// Config of a Service. Both are needed.
type Config struct {
	Kit     *flow.Kit
	Members *membership.Service
}

// Service provides accounts. Safe for concurrent use.
type Service struct {
	kit     *flow.Kit
	members *membership.Service
}

// New makes a Service.
func New(cfg Config) (*Service, error) {
	if cfg.Kit == nil || cfg.Members == nil {
		return nil, errors.New("provision: the kit of the flows and the organizations are needed")
	}
	s := &Service{kit: cfg.Kit, members: cfg.Members}
	cfg.Kit.OnErase(s.Erase)
	return s, nil
}

// Directory is which directory speaks, and in which request of its own.
type Directory struct {
	Plugin         string
	OrganizationID uuid.UUID
	CorrelationID  string
}

// name is what an account that the directory stopped says of who did.
func (d Directory) name() string { return d.Plugin + " " + d.OrganizationID.String() }

func (d Directory) entry() audit.Entry {
	return audit.Entry{Actor: audit.Ref{Type: "plugin", ID: d.Plugin}, OrganizationID: d.OrganizationID, CorrelationID: d.CorrelationID}
}

func (d Directory) actor() membership.Actor {
	return membership.Actor{Plugin: d.Plugin, Correlation: d.CorrelationID}
}

// User is an account as a directory sees it.
type User struct {
	ExternalID string
	AccountID  uuid.UUID
	Email      string
	Username   string
	Display    string
	Active     bool
	Attributes map[string]any // nil, in Put: they stay as they are
	Role       string         // of the membership; empty: none
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

func clean(s, field string, required bool) (string, error) {
	s = strings.TrimSpace(s)
	if required && s == "" || len(s) > maxText || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return "", fault.Newf(fault.Invalid, "invalid_"+field, "This is empty, longer than %d bytes, or not one line of text.", maxText).At(field)
	}
	return s, nil
}

// link is a row.
type link struct {
	account              uuid.UUID
	username             string
	active, made         bool
	createdAt, updatedAt time.Time
}

const linkColumns = `account_id, username, active, made, created_at, updated_at`

func (s *Service) find(ctx context.Context, q store.Querier, d Directory, externalID string) (l link, err error) {
	err = q.QueryRow(ctx, `SELECT `+linkColumns+` FROM directory_user WHERE plugin = $1 AND organization_id = $2 AND external_id = $3`, d.Plugin, d.OrganizationID, externalID).
		Scan(&l.account, &l.username, &l.active, &l.made, &l.createdAt, &l.updatedAt)
	if errors.Is(err, store.ErrNoRows) {
		return l, ErrNotFound
	}
	if err != nil {
		return l, fmt.Errorf("find directory user: %w", err)
	}
	return l, nil
}

// proven reports whether the organization has proven the domain of an address.
func (s *Service) proven(ctx context.Context, q store.Querier, d Directory, email string) (bool, error) {
	owner, err := s.kit.Orgs.OwnerOf(ctx, q, email)
	if errors.Is(err, org.ErrNoDomain) {
		return false, nil
	}
	return err == nil && owner == d.OrganizationID, err
}

// may says why the directory changes nothing of an account; nil: it may.
func (s *Service) may(ctx context.Context, q store.Querier, d Directory, a account.Account) error {
	if a.Administrator {
		return errAdmin
	}
	ok, err := s.proven(ctx, q, d, a.Email)
	if err == nil && !ok {
		err = errForeign
	}
	return err
}

// Put makes or changes an account by its id in the directory, and reports whether the id is new there.
func (s *Service) Put(ctx context.Context, d Directory, u User) (out User, created bool, err error) {
	if u, err = checked(u); err != nil {
		return out, false, err
	}
	if _, err := s.kit.Orgs.Get(ctx, d.OrganizationID); err != nil {
		return out, false, err
	}
	attempt, err := s.ask(ctx, d, u)
	if err != nil {
		return out, false, err
	}
	made := false
	err = s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		created, made = false, false
		// Two requests for one id meet here.
		if err := s.kit.Orgs.Lock(ctx, tx, d.OrganizationID); err != nil {
			return err
		}
		l, err := s.find(ctx, tx, d, u.ExternalID)
		if errors.Is(err, ErrNotFound) {
			created = true
			l, made, err = s.add(ctx, tx, d, u, attempt)
		}
		if err != nil {
			return err
		}
		if err := s.update(ctx, tx, d, u, l, created); err != nil {
			return err
		}
		if !made {
			return nil
		}
		return attempt.Commit(ctx, tx)
	})
	ended := err
	if err == nil && !made {
		ended = errNobodyMade
	}
	attempt.End(ctx, ended)
	if err != nil {
		return out, false, err
	}
	out, err = s.Get(ctx, d, u.ExternalID)
	return out, created, err
}

// errNobodyMade is what became of an attempt at an account that is there already.
var errNobodyMade = errors.New("no account was made")

func checked(u User) (User, error) {
	var err error
	if u.ExternalID, err = clean(u.ExternalID, "external_id", true); err != nil {
		return u, err
	}
	if u.Username, err = clean(u.Username, "username", false); err != nil {
		return u, err
	}
	if u.Display, err = clean(u.Display, "display", false); err != nil {
		return u, err
	}
	if r := []rune(u.Display); len(r) > account.MaxDisplay {
		u.Display = string(r[:account.MaxDisplay])
	}
	u.Email, err = account.ParseEmail(u.Email)
	return u, err
}

// ask puts the registration to the gates where an account is about to be made.
func (s *Service) ask(ctx context.Context, d Directory, u User) (*gate.Attempt, error) {
	if !s.kit.Gated(gate.Registration) {
		return nil, nil
	}
	if _, err := s.find(ctx, s.kit.DB, d, u.ExternalID); !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	if _, err := s.kit.Accounts.FindByEmailIn(ctx, s.kit.DB, u.Email); !account.IsNotFound(err) {
		return nil, err
	}
	attempt, err := s.kit.Allowed(ctx, gate.Ask{Question: gate.Registration, Context: map[string]any{
		"method": "directory", "via": "plugin", "provider": d.Plugin, "email": u.Email, "email_domain": flow.EmailDomain(u.Email),
	}})
	return attempt, flow.Public(err)
}

// add makes the account of a new id, or finds it.
func (s *Service) add(ctx context.Context, tx *store.Tx, d Directory, u User, attempt *gate.Attempt) (link, bool, error) {
	// Who owns the domain hands out its mailboxes. Elsewhere a directory makes nothing and learns nothing: the answer is the same whether
	// somebody has the address or not.
	proven, err := s.proven(ctx, tx, d, u.Email)
	if err == nil && !proven {
		err = errDomain
	}
	if err != nil {
		return link{}, false, err
	}
	a, made, err := s.kit.Accounts.Create(ctx, tx, account.NewAccount{Email: u.Email, Status: account.Active, Display: u.Display})
	if err != nil {
		return link{}, false, err
	}
	switch {
	case !made && a.Status == account.Unconfirmed && !a.Administrator:
		// A sign-up that nobody confirmed, of whoever: the account is the owner of the mailbox's now, without what was put there.
		if a, err = s.kit.Lock(ctx, tx, a.ID); err != nil {
			return link{}, false, err
		}
		if _, err := s.kit.Accounts.Activate(ctx, tx, a.ID); err != nil {
			return link{}, false, err
		}
		if err := s.kit.Reclaim(ctx, tx, a); err != nil {
			return link{}, false, err
		}
	case made:
		e := d.entry()
		e.Action, e.Targets, e.Metadata = "admin.user.create", []audit.Ref{flow.User(a.ID)}, map[string]any{"administrator": false, "via": "directory"}
		if attempt != nil {
			e.CorrelationID = attempt.ID
		}
		if err := s.kit.Record(ctx, tx, e); err != nil {
			return link{}, false, err
		}
	}
	now := s.kit.Now()
	l := link{account: a.ID, username: u.Username, active: true, made: made, createdAt: now, updatedAt: now}
	rows, err := tx.Exec(ctx, `INSERT INTO directory_user (plugin, organization_id, external_id, `+linkColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)
		ON CONFLICT DO NOTHING`, d.Plugin, d.OrganizationID, u.ExternalID, l.account, l.username, true, l.made, now)
	if err != nil {
		return link{}, false, fmt.Errorf("add directory user: %w", err)
	}
	if rows == 0 {
		return link{}, false, errOtherID
	}
	return l, made, nil
}

// update brings an account in line with what the directory says.
func (s *Service) update(ctx context.Context, tx *store.Tx, d Directory, u User, l link, fresh bool) error {
	a, err := s.kit.Lock(ctx, tx, l.account)
	if err != nil {
		return err
	}
	if err := s.may(ctx, tx, d, a); err != nil {
		return err
	}
	var fields []string
	if u.Email != a.Email {
		if err := s.move(ctx, tx, d, a, u.Email); err != nil {
			return err
		}
		fields = append(fields, "email")
	}
	if u.Display != "" && u.Display != a.Display {
		if err := s.kit.Accounts.SetDisplay(ctx, tx, a.ID, u.Display); err != nil {
			return err
		}
		fields = append(fields, "display")
	}
	if len(fields) > 0 {
		e := d.entry()
		e.Action, e.Targets, e.Metadata = "admin.user.update", []audit.Ref{flow.User(a.ID)}, map[string]any{"fields": fields}
		if err := s.kit.Record(ctx, tx, e); err != nil {
			return err
		}
	}
	if u.Attributes != nil {
		if err := s.describe(ctx, tx, d, a, u.Attributes); err != nil {
			return err
		}
	}
	if err := s.activate(ctx, tx, d, l, a, u.Active); err != nil {
		return err
	}
	if fresh && u.Active == l.active {
		return nil
	}
	_, err = tx.Exec(ctx, `UPDATE directory_user SET username = $4, active = $5, updated_at = $6 WHERE plugin = $1 AND organization_id = $2 AND external_id = $3`,
		d.Plugin, d.OrganizationID, u.ExternalID, u.Username, u.Active, s.kit.Now())
	return err
}

// move gives an account another address, in a domain that the organization has proven. Its person is told at the old one, and signed out.
func (s *Service) move(ctx context.Context, tx *store.Tx, d Directory, a account.Account, email string) error {
	ok, err := s.proven(ctx, tx, d, email)
	if err == nil && !ok {
		err = errDomain
	}
	if err != nil {
		return err
	}
	if err := s.kit.Accounts.ChangeEmail(ctx, tx, a.ID, email); err != nil {
		return err
	}
	n, err := s.kit.End(ctx, tx, a, flow.Everything, uuid.Nil, d.entry(), "email_changed")
	if err != nil {
		return err
	}
	if len(n) > 0 {
		e := d.entry()
		e.Action, e.Targets, e.Metadata = "session.revoke_all", []audit.Ref{flow.User(a.ID)}, n.All(map[string]any{"cause": "email_changed"})
		if err := s.kit.Record(ctx, tx, e); err != nil {
			return err
		}
	}
	return s.kit.Notice(ctx, tx, a, mail.Letter{Purpose: mail.EmailChanged, Address: email})
}

// describe keeps the directory's attributes as the account's public metadata, below the plugin's name.
func (s *Service) describe(ctx context.Context, tx *store.Tx, d Directory, a account.Account, attributes map[string]any) error {
	have, err := s.kit.Metadata.Get(ctx, tx, a.ID, metadata.Public)
	if err != nil {
		return err
	}
	object := map[string]any{}
	if err := json.Unmarshal(have.Value, &object); err != nil {
		return fmt.Errorf("read public metadata: %w", err)
	}
	object[d.Plugin] = attributes
	text, err := json.Marshal(object)
	if err != nil {
		return errAttribute
	}
	_, err = s.kit.ChangeMetadata(ctx, tx, d.entry(), a.ID, metadata.Change{Scope: metadata.Public, Replace: text})
	return err
}

// activate stops an account, with its sessions and links, or lets it live again where it was the directory that stopped it.
func (s *Service) activate(ctx context.Context, tx *store.Tx, d Directory, l link, a account.Account, on bool) error {
	e := d.entry()
	e.Targets = []audit.Ref{flow.User(a.ID)}
	switch {
	case on == l.active:
		return nil
	case on:
		changed, err := s.kit.Accounts.EnableBy(ctx, tx, a.ID, d.name())
		if err != nil || !changed {
			return err
		}
		e.Action = "admin.user.enable"
		return s.kit.Record(ctx, tx, e)
	}
	changed, err := s.kit.Accounts.DisableBy(ctx, tx, a.ID, d.name())
	if err != nil || !changed {
		return err
	}
	ended, err := s.kit.End(ctx, tx, a, flow.Everything, uuid.Nil, d.entry(), "disabled")
	if err != nil {
		return err
	}
	e.Action, e.Metadata = "admin.user.disable", ended.In(map[string]any{})
	return s.kit.Record(ctx, tx, e)
}

// SetActive stops an account, or lets it live again. Of an account that the directory may not change it is the membership that is suspended
// or resumed.
func (s *Service) SetActive(ctx context.Context, d Directory, externalID string, on bool) (User, error) {
	foreign := uuid.Nil
	err := s.kit.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		foreign = uuid.Nil
		if err := s.kit.Orgs.Lock(ctx, tx, d.OrganizationID); err != nil {
			return err
		}
		l, err := s.find(ctx, tx, d, externalID)
		if err != nil {
			return err
		}
		a, err := s.kit.Lock(ctx, tx, l.account)
		if err != nil {
			return err
		}
		switch err := s.may(ctx, tx, d, a); {
		case errors.Is(err, errForeign), errors.Is(err, errAdmin):
			foreign = a.ID
		case err != nil:
			return err
		default:
			if err := s.activate(ctx, tx, d, l, a, on); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, `UPDATE directory_user SET active = $4, updated_at = $5 WHERE plugin = $1 AND organization_id = $2 AND external_id = $3`,
			d.Plugin, d.OrganizationID, externalID, on, s.kit.Now())
		return err
	})
	if err == nil && foreign != uuid.Nil {
		turn := s.members.Suspend
		if on {
			turn = s.members.Resume
		}
		if err = turn(ctx, d.actor(), d.OrganizationID, foreign); errors.Is(err, org.ErrNotMember) {
			err = nil
		}
	}
	if err != nil {
		return User{}, err
	}
	return s.Get(ctx, d, externalID)
}

// PutMembership gives an account of the directory a place in its organization, or another role there.
func (s *Service) PutMembership(ctx context.Context, d Directory, externalID, role string) (org.Membership, error) {
	l, err := s.find(ctx, s.kit.DB, d, externalID)
	if err != nil {
		return org.Membership{}, err
	}
	if err := s.mayAdmit(ctx, d, l.account); err != nil {
		return org.Membership{}, err
	}
	m, err := s.members.Add(ctx, d.actor(), membership.NewMember{OrganizationID: d.OrganizationID, AccountID: l.account, Role: role, Provisioned: true})
	if !errors.Is(err, org.ErrMember) {
		return m, err
	}
	m, err = s.kit.Orgs.Find(ctx, s.kit.DB, d.OrganizationID, l.account)
	if err != nil || role == "" || m.Role == role {
		return m, err
	}
	return s.members.ChangeMember(ctx, d.actor(), d.OrganizationID, l.account, org.MemberChange{Role: &role})
}

// mayAdmit refuses a place to an account that has left the organization's domains: it is no longer the directory's to place. Who is a member
// stays one.
func (s *Service) mayAdmit(ctx context.Context, d Directory, id uuid.UUID) error {
	_, err := s.kit.Orgs.Find(ctx, s.kit.DB, d.OrganizationID, id)
	if !errors.Is(err, org.ErrNotMember) {
		return err
	}
	a, err := s.kit.Accounts.Get(ctx, id)
	if err == nil {
		err = s.may(ctx, s.kit.DB, d, a)
	}
	if errors.Is(err, errAdmin) {
		err = nil // administrators are members like anybody
	}
	return err
}

// DeleteMembership takes an account of the directory out of its organization; the account stays.
func (s *Service) DeleteMembership(ctx context.Context, d Directory, externalID string) (bool, error) {
	l, err := s.find(ctx, s.kit.DB, d, externalID)
	if err != nil {
		return false, err
	}
	err = s.members.Remove(ctx, d.actor(), d.OrganizationID, l.account)
	if errors.Is(err, org.ErrNotMember) {
		return false, nil
	}
	return err == nil, err
}
