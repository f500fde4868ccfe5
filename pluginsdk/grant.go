package pluginsdk

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// Grant is something a plugin may ask of Sigra, named service.verb, or service.verb:scope where it can be bounded.
type Grant string

// The grants. Name them in Manifest.Requires or Manifest.Wants; routes are granted by Manifest.Routes.
const (
	IdentityRead  Grant = "identity.read"  // Host.Identity
	MembersWrite  Grant = "members.write"  // Host.Members
	SessionsRead  Grant = "sessions.read"  // Host.Sessions: Resolve, List, Check
	SessionsWrite Grant = "sessions.write" // Host.Sessions: Begin, Mint, Outcome, Revoke
	// SessionsAssure has Sigra believe the plugin's word that two factors were shown, and SessionsAdministrators lets it sign in administrators of
	// Sigra. Name them in Manifest.Wants: only the operator's block grants them, of a bundled plugin too.
	SessionsAssure         Grant = "sessions.assure"         // Host.Sessions: Mint
	SessionsAdministrators Grant = "sessions.administrators" // Host.Sessions: Mint
	AuditRecord            Grant = "audit.record"            // Host.Audit: Record
	AuditRead              Grant = "audit.read"              // Host.Audit: Read, Actions
	EventsPublish          Grant = "events.publish"          // Host.Events, for types below the plugin's own name; see Grant.Scoped
	MailSend               Grant = "mail.send"               // Host.Mail: Send
	MailReporting          Grant = "mail.report"             // Host.Mail: Report
	MailRead               Grant = "mail.read"               // Host.Mail: Catalogue
	NoticesSend            Grant = "notices.send"            // Host.Notices
	SealUse                Grant = "seal.use"                // Host.Seal
	LeaseHold              Grant = "lease.hold"              // Host.Lease and Host.Every
	KVUse                  Grant = "kv.use"                  // Host.KV
	TopicsUse              Grant = "topics.use"              // Host.Topics
	RateLimitTake          Grant = "ratelimit.take"          // Host.RateLimit
	ClaimsRead             Grant = "claims.read"             // Host.Claims: Collect
	ClaimsWrite            Grant = "claims.write"            // Host.Claims: Invalidate
	GatesAsk               Grant = "gates.ask"               // Host.Gates
	DomainsRead            Grant = "domains.read"            // Host.Domains: Get
	DomainsWrite           Grant = "domains.write"           // Host.Domains: Verify
	LinksUse               Grant = "links.use"               // Host.Links
	DirectoryWrite         Grant = "directory.write"         // Host.Directory
	PagesRender            Grant = "pages.render"            // Host.Pages
)

// Grants are all of them, in the order of the documentation.
func Grants() []Grant {
	return []Grant{
		IdentityRead, MembersWrite, SessionsRead, SessionsWrite, SessionsAssure, SessionsAdministrators, AuditRecord, AuditRead, EventsPublish, MailSend, MailReporting, MailRead, NoticesSend,
		SealUse, LeaseHold, KVUse, TopicsUse, RateLimitTake, ClaimsRead, ClaimsWrite, GatesAsk, DomainsRead, DomainsWrite, LinksUse, DirectoryWrite,
		PagesRender,
	}
}

// Scoped bounds a grant: EventsPublish.Scoped("billing") is to publish events below "billing.".
func (g Grant) Scoped(scope string) Grant { return g.Base() + Grant(":"+scope) }

// Base is the grant without its scope.
func (g Grant) Base() Grant {
	base, _, _ := strings.Cut(string(g), ":")
	return Grant(base)
}

// known reports whether there is such a grant. Only events.publish has scopes that a manifest can name.
func (g Grant) known() bool {
	_, scope, scoped := strings.Cut(string(g), ":")
	return slices.Contains(Grants(), g.Base()) && (!scoped || g.Base() == EventsPublish && scope != "")
}

// NotGrantedError says that a host service was asked for without its grant.
type NotGrantedError struct {
	Grant  Grant
	Plugin string   // the label of the plugin's block
	Grants []string // what the block grants already
}

// Error names the grant and the line to paste.
func (e *NotGrantedError) Error() string {
	return fmt.Sprintf("plugin %q is not granted %q; in its block in sigra.hcl write: %s", e.Plugin, e.Grant, e.Line())
}

// Line is the grants attribute with the missing grant in it.
func (e *NotGrantedError) Line() string {
	all := append([]string{string(e.Grant)}, e.Grants...)
	sort.Strings(all)
	all = slices.Compact(all)
	for i, g := range all {
		all[i] = fmt.Sprintf("%q", g)
	}
	return "grants = [" + strings.Join(all, ", ") + "]"
}
