package relyra

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/plugins/relyra/saml"
)

const (
	// maxUpload is a form with metadata in it.
	maxUpload = 6 << 20

	// shownTraces is how many sign-ins a connection's page shows.
	shownTraces = 20
)

func (p *Relyra) listPage(w http.ResponseWriter, r *http.Request) error {
	connections, err := p.store.connections(r.Context(), actor(r).organization)
	if err != nil {
		return err
	}
	names, err := p.organizationNames(r.Context(), connections)
	if err != nil {
		return err
	}
	return p.page(w, r, http.StatusOK, "relyra.title", "list.html", map[string]any{"Connections": connections, "Organizations": names})
}

func (p *Relyra) newPage(w http.ResponseWriter, r *http.Request) error {
	return p.newForm(w, r, http.StatusOK, "")
}

func (p *Relyra) newForm(w http.ResponseWriter, r *http.Request, status int, problem string) error {
	return p.page(w, r, status, "relyra.new.title", "new.html", map[string]any{
		"Problem": problem, "Name": r.PostFormValue("name"), "Organization": r.PostFormValue("organization"), "Metadata": r.PostFormValue("metadata"),
		"AskOrganization": actor(r).organization == "",
	})
}

func (p *Relyra) createPage(w http.ResponseWriter, r *http.Request) error {
	metadata, err := uploaded(r)
	if err != nil {
		return p.newForm(w, r, http.StatusBadRequest, err.Error())
	}
	by := actor(r)
	organization := by.organization
	if organization == "" {
		slug := strings.TrimSpace(r.PostFormValue("organization"))
		o, found, err := p.host.Identity().OrganizationBySlug(r.Context(), slug)
		if err != nil {
			return err
		}
		if !found {
			return p.newForm(w, r, http.StatusUnprocessableEntity, errOrganization.Error())
		}
		organization = o.ID
	}
	c, err := p.create(r.Context(), by, organization, r.PostFormValue("name"), metadata)
	if text, ok := inWords(err); ok {
		return p.newForm(w, r, http.StatusUnprocessableEntity, text)
	} else if err != nil {
		return err
	}
	http.Redirect(w, r, rootOf(r)+"/"+c.ID.String(), http.StatusSeeOther)
	return nil
}

func (p *Relyra) connectionPage(w http.ResponseWriter, r *http.Request) error {
	return p.showConnection(w, r, http.StatusOK, "")
}

func (p *Relyra) showConnection(w http.ResponseWriter, r *http.Request, status int, problem string) error {
	c, err := p.named(r)
	if err != nil {
		return err
	}
	traces, err := p.store.traces(r.Context(), c.ID, shownTraces)
	if err != nil {
		return err
	}
	if err := p.follow(r.Context(), traces); err != nil {
		p.log.Warn("what became of sign-ins is not known yet", "error", err)
	}
	party, err := c.party(p.host.BaseURL(), nil)
	if err != nil {
		return err
	}
	at := c.addresses(p.host.BaseURL())
	type certificate struct{ Fingerprint, Until string }
	var certificates []certificate
	for _, cert := range party.IdentityProvider.Certificates {
		certificates = append(certificates, certificate{saml.Fingerprint(cert), cert.NotAfter.UTC().Format("2006-01-02")})
	}
	return p.page(w, r, status, "relyra.connection.title", "connection.html", map[string]any{
		"C": c, "Problem": problem, "Traces": traces, "EntityID": at.entity, "ACS": at.acs, "Metadata": at.metadata, "Certificates": certificates,
		"Insecure": !canUseCookies(p.host.BaseURL()),
	})
}

func (p *Relyra) named(r *http.Request) (*Connection, error) {
	id, err := uuid.Parse(r.PathValue("id"))
	if err != nil {
		return nil, errNoConnection
	}
	return p.find(r.Context(), actor(r), id)
}

func (p *Relyra) changePage(w http.ResponseWriter, r *http.Request) error {
	c, err := p.named(r)
	if err != nil {
		return err
	}
	metadata, err := uploaded(r)
	if err != nil && !errors.Is(err, errNoMetadata) {
		return p.showConnection(w, r, http.StatusBadRequest, err.Error())
	}
	by, to := actor(r), rootOf(r)+"/"+c.ID.String()
	switch r.PostFormValue("action") {
	case "enable":
		_, err = p.enable(r.Context(), by, c.ID)
	case "disable":
		_, err = p.disable(r.Context(), by, c.ID)
	case "delete":
		to, err = rootOf(r), p.remove(r.Context(), by, c.ID)
	case "update":
		until, bad := day(r.PostFormValue("allow_cbc_until"))
		if bad != nil {
			return p.showConnection(w, r, http.StatusUnprocessableEntity, bad.Error())
		}
		_, err = p.update(r.Context(), by, c.ID, metadata, func(c *Connection) {
			c.Config.AllowCBCUntil = until
			c.Name = r.PostFormValue("name")
			c.Config.AllowUnsolicited = r.PostFormValue("allow_unsolicited") != ""
			c.Config.JustInTime = r.PostFormValue("just_in_time") != ""
			c.Config.Exclusive = r.PostFormValue("exclusive") != ""
			c.Config.SignRequests = r.PostFormValue("sign_requests") != ""
			c.Config.RequireSignedResponse = r.PostFormValue("require_signed_response") != ""
			c.Config.RequireSignedAssertion = r.PostFormValue("require_signed_assertion") != ""
			c.Config.IgnoreCertificateDates = r.PostFormValue("ignore_certificate_dates") != ""
			c.Config.EmailAttribute = strings.TrimSpace(r.PostFormValue("email_attribute"))
			c.Config.SubjectAttribute = strings.TrimSpace(r.PostFormValue("subject_attribute"))
		})
	default:
		return shown{http.StatusBadRequest, "action"}
	}
	if text, ok := inWords(err); ok {
		return p.showConnection(w, r, http.StatusUnprocessableEntity, text)
	} else if err != nil {
		return err
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// day reads a date; empty is none.
func day(value string) (*time.Time, error) {
	if value == "" {
		return nil, nil
	}
	t, err := time.Parse("2006-01-02", value)
	if err != nil {
		return nil, errors.New("write the day as 2027-01-31")
	}
	return &t, nil
}

var errNoMetadata = errors.New("paste the identity provider's metadata, or choose the file")

// uploaded reads metadata from a form: pasted, or a file.
func uploaded(r *http.Request) ([]byte, error) {
	if err := r.ParseMultipartForm(maxUpload); err != nil && !errors.Is(err, http.ErrNotMultipart) {
		return nil, errors.New("the form can't be read; is the file larger than 5 MB?")
	}
	if pasted := strings.TrimSpace(r.PostFormValue("metadata")); pasted != "" {
		return []byte(pasted), nil
	}
	f, _, err := r.FormFile("file")
	if err != nil {
		return nil, errNoMetadata
	}
	defer func() { _ = f.Close() }()
	raw, err := io.ReadAll(f)
	if err != nil || len(raw) == 0 {
		return nil, errNoMetadata
	}
	return raw, nil
}
