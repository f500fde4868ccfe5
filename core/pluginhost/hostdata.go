package pluginhost

import (
	"context"
	"net/url"
	"slices"
	"time"

	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/request"
	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

// ---- Seal, Lease ---------------------------------------------------------------------------------------------

type sealService struct {
	hostv1.UnimplementedSealServer
	*hostServices
}

const maxPlaintext = 64 << 10

// purpose binds what is sealed to the plugin: no other can open it, and the core can't be made to.
func (s sealService) purpose(own string) (string, error) {
	if len(own) > 128 || own != printable(own) {
		return "", fault.New(fault.Invalid, "invalid_purpose", "A purpose has at most 128 printable characters.").At("purpose")
	}
	return "plugin/" + s.name() + "/" + own, nil
}

func (s sealService) Seal(_ context.Context, r *hostv1.SealRequest) (*hostv1.SealResponse, error) {
	if s.h.cfg.Keyring == nil {
		return nil, missing("a keyring")
	}
	purpose, err := s.purpose(r.GetPurpose())
	if err != nil {
		return nil, err
	}
	if len(r.GetPlaintext()) > maxPlaintext {
		return nil, fault.Newf(fault.TooLarge, "plaintext_too_large", "At most %d bytes can be sealed.", maxPlaintext).At("plaintext")
	}
	return &hostv1.SealResponse{Sealed: s.h.cfg.Keyring.Seal(r.GetPlaintext(), purpose)}, nil
}

func (s sealService) Open(_ context.Context, r *hostv1.OpenRequest) (*hostv1.OpenResponse, error) {
	if s.h.cfg.Keyring == nil {
		return nil, missing("a keyring")
	}
	purpose, err := s.purpose(r.GetPurpose())
	if err != nil {
		return nil, err
	}
	plain, stale, err := s.h.cfg.Keyring.Open(r.GetSealed(), purpose)
	if err != nil {
		return nil, fault.New(fault.Invalid, "not_sealed", "This was not sealed by this plugin for this purpose, or it was changed.").At("sealed").Because(err)
	}
	return &hostv1.OpenResponse{Plaintext: plain, Stale: stale}, nil
}

type leaseService struct {
	hostv1.UnimplementedLeaseServer
	*hostServices
}

func (s leaseService) lease(own string) (string, error) {
	if own == "" || len(own) > 128 || own != printable(own) {
		return "", fault.New(fault.Invalid, "invalid_name", "A lease's name has 1 to 128 printable characters.").At("name")
	}
	return "plugin/" + s.name() + "/" + own, nil
}

func (s leaseService) Acquire(ctx context.Context, r *hostv1.AcquireRequest) (*hostv1.AcquireResponse, error) {
	if s.h.cfg.Leases == nil {
		return nil, missing("leases")
	}
	name, err := s.lease(r.GetName())
	if err != nil {
		return nil, err
	}
	ttl := r.GetTtl().AsDuration()
	if ttl < 2*time.Second || ttl > 5*time.Minute {
		return nil, fault.New(fault.Invalid, "invalid_ttl", "A lease lasts 2 seconds to 5 minutes.").At("ttl")
	}
	held, token, err := s.h.cfg.Leases.Acquire(ctx, name, ttl)
	if err != nil {
		return nil, err
	}
	return &hostv1.AcquireResponse{Held: held, Token: token}, nil
}

func (s leaseService) Release(ctx context.Context, r *hostv1.ReleaseRequest) (*hostv1.ReleaseResponse, error) {
	if s.h.cfg.Leases == nil {
		return nil, missing("leases")
	}
	name, err := s.lease(r.GetName())
	if err != nil {
		return nil, err
	}
	return &hostv1.ReleaseResponse{}, s.h.cfg.Leases.Release(ctx, name)
}

// ---- KV, Pages -----------------------------------------------------------------------------------------------

type kvService struct {
	hostv1.UnimplementedKVServer
	*hostServices
}

func (s kvService) Get(ctx context.Context, r *hostv1.GetRequest) (*hostv1.GetResponse, error) {
	e, err := s.h.kv.get(ctx, s.name(), r.GetKey())
	if err != nil || e == nil {
		return &hostv1.GetResponse{}, err
	}
	return &hostv1.GetResponse{Entry: &hostv1.Entry{Key: e.key, Value: e.value, Version: e.version}}, nil
}

func (s kvService) Put(ctx context.Context, r *hostv1.PutRequest) (*hostv1.PutResponse, error) {
	stored, version, err := s.h.kv.put(ctx, s.name(), r.GetKey(), r.GetValue(), r.GetIfVersion(), r.GetTtl().AsDuration())
	return &hostv1.PutResponse{Stored: stored, Version: version}, err
}

func (s kvService) Delete(ctx context.Context, r *hostv1.DeleteRequest) (*hostv1.DeleteResponse, error) {
	deleted, err := s.h.kv.delete(ctx, s.name(), r.GetKey(), r.GetIfVersion())
	return &hostv1.DeleteResponse{Deleted: deleted}, err
}

func (s kvService) List(ctx context.Context, r *hostv1.ListRequest) (*hostv1.ListResponse, error) {
	entries, err := s.h.kv.list(ctx, s.name(), r.GetPrefix(), r.GetAfter(), int(r.GetLimit()))
	if err != nil {
		return nil, err
	}
	out := &hostv1.ListResponse{}
	for _, e := range entries {
		out.Entries = append(out.Entries, &hostv1.Entry{Key: e.key, Value: e.value, Version: e.version})
	}
	return out, nil
}

type pagesService struct {
	hostv1.UnimplementedPagesServer
	*hostServices
}

func (s pagesService) Render(ctx context.Context, r *hostv1.RenderRequest) (*hostv1.RenderResponse, error) {
	if s.h.cfg.Pages == nil {
		return nil, missing("pages")
	}
	p, err := principalFrom(r.GetPrincipal())
	if err != nil {
		return nil, err
	}
	page := Page{
		Title: r.GetTitle(), BodyHTML: r.GetBodyHtml(), Principal: p, Path: r.GetPath(), Styles: r.GetStyles(), Scripts: r.GetScripts(),
		Language: orElse(r.GetLanguage(), orElse(r.GetRequest().GetLanguage(), request.From(ctx).Language)),
	}
	for _, address := range slices.Concat(page.Styles, page.Scripts) {
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "" || u.Host != "" || !s.in.manifest.serves(u.Path) {
			return nil, fault.New(fault.Invalid, "foreign_asset", "Styles and scripts lie below one of the plugin's own routes.").At("styles")
		}
	}
	out, err := s.h.cfg.Pages.Render(ctx, page)
	if err != nil {
		return nil, err
	}
	return &hostv1.RenderResponse{Html: out.HTML, Language: out.Language, Direction: out.Direction}, nil
}

func (s pagesService) SignIn(_ context.Context, r *hostv1.SignInRequest) (*hostv1.SignInResponse, error) {
	if s.h.cfg.Pages == nil {
		return nil, missing("pages")
	}
	var age time.Duration
	if r.GetMaxAge() != nil {
		age = r.GetMaxAge().AsDuration()
	}
	aal := r.GetRequiredAal()
	for _, value := range r.GetAcrValues() {
		if aal == "" && (value == principal.AAL1 || value == principal.AAL2) {
			aal = value
		}
	}
	if aal != "" && aal != principal.AAL1 && aal != principal.AAL2 {
		return nil, fault.New(fault.Invalid, "invalid_aal", "An assurance level is aal1 or aal2.").At("required_aal")
	}
	if len(r.GetUiLocales()) > 50 {
		return nil, fault.New(fault.Invalid, "too_many_locales", "At most 50 languages are looked at.").At("ui_locales")
	}
	to, err := s.h.cfg.Pages.SignIn(SignIn{
		ReturnTo: r.GetReturnTo(), MaxAge: age, RequiredAAL: aal, Fresh: r.GetFresh(), LoginHint: r.GetLoginHint(), Languages: r.GetUiLocales(),
		SelectAccount: r.GetSelectAccount(), ClientName: r.GetClientName(), CancelTo: r.GetCancelTo(),
	})
	if err != nil {
		return nil, err
	}
	return &hostv1.SignInResponse{Url: to}, nil
}

// principalFrom is only for showing a page: nothing is decided by what a plugin says of a principal.
func principalFrom(p *pluginv1.Principal) (*principal.Principal, error) {
	if p == nil {
		return nil, nil
	}
	user, err := idFrom(p.GetUserId(), "principal.user_id")
	if err != nil {
		return nil, err
	}
	sess, err := idFrom(p.GetSessionId(), "principal.session_id")
	if err != nil {
		return nil, err
	}
	return &principal.Principal{Kind: principal.Kind(p.GetKind()), UserID: user, SessionID: sess, Email: p.GetEmail(), Display: p.GetDisplay(), Administrator: p.GetAdministrator(), AAL: p.GetAal(), AMR: p.GetAmr()}, nil
}
