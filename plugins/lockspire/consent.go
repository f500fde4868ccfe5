package lockspire

import (
	"cmp"
	"crypto/subtle"
	"database/sql"
	"errors"
	"net/http"
	"net/url"

	"github.com/sigra-auth/sigra/pluginsdk"
)

// The answers to an interaction.
const (
	answeredAllow = "allow"
	answeredDeny  = "deny"
	answeredDone  = "done" // without a question
)

// askConsent shows what the application wants. A request that is not stored yet is stored first, so that the page can be loaded again.
func (in *people) askConsent(w http.ResponseWriter, r *http.Request, v visit, who *pluginsdk.Principal) error {
	if v.id == "" {
		return in.interact(w, r, v.interaction)
	}
	ticket := newToken()
	switch bound, err := in.store.bind(r.Context(), v.id, who.SessionID, ticket); {
	case err != nil:
		return err
	case !bound:
		return &pageError{Status: http.StatusConflict, Code: "interaction_answered"}
	}
	if policy := consentPolicy(v); policy != "" {
		w.Header().Set("Content-Security-Policy", policy)
	}
	return in.page(w, r, http.StatusOK, "lockspire.consent.title", "consent.html", map[string]any{
		"Client": v.client, "Host": originOf(v.interaction.Request.RedirectURI), "Who": cmp.Or(who.Email, who.Display, who.UserID), "Scopes": v.interaction.Request.Scopes, "Ticket": ticket, "Action": r.URL.Path,
	})
}

// consentPolicy lets the form's answer lead to a native application at once: browsers open another program only for who has just
// pressed a button. Others are reached by a page in between, see leaveByPage.
func consentPolicy(v visit) string {
	if !v.client.Native() || v.interaction.Request.Mode == "form_post" {
		return ""
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self' " +
		originOf(v.interaction.Request.RedirectURI) + "; base-uri 'none'; frame-ancestors 'none'" // RFC 9700 §4.16: nobody frames it
}

// decide takes the answer to askConsent. Sigra lets no other site post here; the ticket makes sure that this very page was answered.
func (in *people) decide(w http.ResponseWriter, r *http.Request) error {
	v, err := in.pending(r)
	if err != nil {
		return err
	}
	params, err := form(w, r)
	if err != nil {
		return &pageError{Status: http.StatusBadRequest, Code: "invalid_request", Why: err.Error()}
	}
	who, ticket, said := person(r.Context()), params.Get("ticket"), params.Get("decision")
	if who == nil || v.interaction.SessionID == "" || v.interaction.SessionID != who.SessionID || who.ImpersonatorID != "" {
		return &pageError{Status: http.StatusBadRequest, Code: "interaction_elsewhere"}
	}
	if subtle.ConstantTimeCompare(v.interaction.Ticket, digest(ticket)) != 1 {
		return &pageError{Status: http.StatusConflict, Code: "interaction_stale"}
	}
	if said != answeredAllow && said != answeredDeny {
		return &pageError{Status: http.StatusBadRequest, Code: "invalid_request", Why: "decision is allow or deny"}
	}
	how := leaveByPage
	if consentPolicy(v) != "" {
		how = leaveAtOnce
	}
	q, c, now := &v.interaction.Request, v.client, in.now()
	// The same page answered again leads to the same place: the code follows from the ticket, which only this page has.
	text := derive(ticket, "code")
	switch v.interaction.Answer {
	case answeredAllow:
		return in.toClient(w, r, q.target(), url.Values{"code": {text}}, how)
	case answeredDeny:
		said = answeredDeny
	}
	e := pluginsdk.AuditEntry{Request: pluginsdk.RequestInfoFrom(r.Context()), IdempotencyKey: "consent/" + hexOf(digest(ticket))}.By(who)
	if said == answeredDeny {
		if v.interaction.Answer == "" {
			if _, err := answer(r.Context(), in.store.db, v.id, who.SessionID, ticket, answeredDeny); err != nil {
				return err
			}
			e.Outcome, e.Reason = "failure", "refused"
			if err := in.record(r.Context(), e, "consent.refuse", c, q.Scopes); err != nil {
				return err
			}
		}
		return in.toClient(w, r, q.target(), url.Values{"error": {"access_denied"}, "error_description": {"the person refused"}}, how)
	}
	_, err = in.issueCode(r.Context(), q, c, who, text, func(tx *sql.Tx) (bool, error) {
		if first, err := answer(r.Context(), tx, v.id, who.SessionID, ticket, answeredAllow); err != nil || !first {
			return false, err
		}
		have, err := in.store.consents(r.Context(), tx, who.UserID, c.ID)
		if err != nil {
			return false, err
		}
		scopes := q.Scopes
		if len(have) > 0 {
			scopes = union(have[0].Scopes, q.Scopes)
		}
		if err := putConsent(r.Context(), tx, who.UserID, c.ID, scopes, now); err != nil {
			return false, err
		}
		return true, in.record(r.Context(), e, "consent.grant", c, q.Scopes)
	})
	switch {
	case errors.Is(err, errNotActive):
		return in.toClient(w, r, q.target(), url.Values{"error": {"access_denied"}, "error_description": {"the account is not active"}}, how)
	case err != nil:
		return err
	}
	return in.toClient(w, r, q.target(), url.Values{"code": {text}}, how)
}
