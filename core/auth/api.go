package auth

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/core/account"
	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/gate"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/session"
	"github.com/sigra-auth/sigra/core/store"
)

// Settings of the flows. The zero value means the defaults.
type Settings struct {
	BaseURL            string        // where links point; required
	ServiceName        string        // default "Sigra"
	RegistrationClosed bool          // nobody may sign up
	DeferConfirmation  bool          // sign in at once, confirm later; tells who has an account
	ConfirmationTTL    time.Duration // default 48 h
	PasswordLinkTTL    time.Duration // default 72 h, of a link an administrator makes
}

// Registration is what somebody signs up with.
type Registration struct{ Email, Password string }

// Registered is the answer to every sign-up.
type Registered struct {
	Flow     string    // secret: what the same browser confirms with
	SignedIn *SignedIn // only with Settings.DeferConfirmation, and only for a new address
}

// Confirmation proves that an address is somebody's: Flow and Code, or Token and Flow, or Token and Password.
type Confirmation struct{ Token, Flow, Code, Password string }

// Credentials are an address and a password.
type Credentials struct {
	Email, Password string
	Remember        bool
}

// NewUser is an account that an administrator makes.
type NewUser struct {
	Email         string
	Administrator bool
}

// SignedIn is a new session with its token.
type SignedIn struct {
	Token      string // secret
	Principal  session.Principal
	Persistent bool
}

// Config of a Service.
type Config struct {
	DB       *store.DB
	Accounts *account.Store
	Sessions *session.Store
	Audit    session.Recorder
	Mail     *mail.Queue
	Gates    *gate.Table
	Settings Settings
	Now      func() time.Time
	Logger   hclog.Logger
}

// Service runs the flows.
type Service struct{ cfg Config }

var errTodo = errors.New("auth: not built yet")

func New(cfg Config) (*Service, error) { return &Service{cfg}, nil }
func (s *Service) Register(ctx context.Context, r Registration) (Registered, error) {
	return Registered{}, errTodo
}
func (s *Service) Confirm(ctx context.Context, c Confirmation) (SignedIn, error) {
	return SignedIn{}, errTodo
}
func (s *Service) SignIn(ctx context.Context, c Credentials) (SignedIn, error) {
	return SignedIn{}, errTodo
}
func (s *Service) SignOut(ctx context.Context, token string) error { return errTodo }
func (s *Service) ChangePassword(ctx context.Context, p session.Principal, current, next string) (SignedIn, error) {
	return SignedIn{}, errTodo
}
func (s *Service) SetPassword(ctx context.Context, token, password string) (SignedIn, error) {
	return SignedIn{}, errTodo
}
func (s *Service) CreateUser(ctx context.Context, actor audit.Ref, n NewUser) (account.Account, string, error) {
	return account.Account{}, "", errTodo
}
func (s *Service) ResetLink(ctx context.Context, actor audit.Ref, userID uuid.UUID) (string, error) {
	return "", errTodo
}
func (s *Service) Disable(ctx context.Context, actor audit.Ref, userID uuid.UUID) error {
	return errTodo
}
func (s *Service) Enable(ctx context.Context, actor audit.Ref, userID uuid.UUID) error {
	return errTodo
}
func (s *Service) Delete(ctx context.Context, actor audit.Ref, userID uuid.UUID) error {
	return errTodo
}
func (s *Service) RevokeSessions(ctx context.Context, actor audit.Ref, userID uuid.UUID) error {
	return errTodo
}
func (s *Service) Run(ctx context.Context) error { <-ctx.Done(); return nil }
