package audit_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sigra-auth/sigra/core/audit"
)

var update = flag.Bool("update", false, "write docs/audit-events.md anew")

// The fan-out matrix of the architecture, row by row.
const matrix = `
| event                          | audit row    | tap | webhooks | timeline |
| auth.login.success             | yes          | yes | opt-in   | yes |
| auth.login.failure             | yes          | yes | opt-in   | no  |
| auth.password_reset.success    | yes          | yes | opt-in   | yes |
| mfa.challenge.success          | yes          | yes | no       | no  |
| account.deletion_execute       | yes          | yes | opt-in   | yes |
| billing.subscription.upgraded  | not Sigra's  | no  | no       | no  |
`

func TestCatalogue_fanOutMatrix(t *testing.T) {
	t.Parallel()
	for _, line := range strings.Split(strings.TrimSpace(matrix), "\n")[1:] {
		cells := strings.Split(strings.Trim(line, "| "), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		name := cells[0]
		a, known := audit.Lookup(name)
		// Every row that exists reaches the tap: there is nothing to choose there.
		got := fmt.Sprint(known, known, a.Webhook, a.Timeline)
		want := fmt.Sprint(cells[1] == "yes", cells[2] == "yes", cells[3] == "opt-in", cells[4] == "yes")
		if got != want {
			t.Errorf("%s: audit row, tap, webhooks, timeline are %s; want %s", name, got, want)
		}
		if known != audit.Reserved(name) {
			t.Errorf("%s: reserved is %v", name, audit.Reserved(name))
		}
		if known && audit.Delivered(name) != a.Timeline {
			t.Errorf("%s: delivered is %v", name, audit.Delivered(name))
		}
	}
}

// Every action the architecture lists, with its short forms.
const listed = `auth.register.success|failure auth.login.success|failure auth.logout auth.password_reset_request
auth.password_reset.success|failure auth.magic_link_request auth.magic_link_verify.success|failure auth.confirmation.success|failure
auth.step_up.success|failure mfa.enrollment.start|complete|cancel mfa.challenge.success|failure mfa.recovery_code.used mfa.disable
passkey.register.success passkey.rename passkey.delete passkey.sign_count_regression session.revoke session.revoke_all
trusted_device.add|revoke oauth.link.success oauth.unlink.success oauth.login.success|failure account.email_change.request|confirm
account.password_change.success account.deletion_schedule account.deletion_cancel account.deletion_execute api_token.create|revoke service_account.create|revoke
organization.create|update|delete membership.create|update|delete invitation.create|accept|revoke impersonation.start|stop
webhook_endpoint.create|update|delete security.suspicious_login security.lockout
admin.user.create|disable|enable admin.keys.rotate admin.plugin.restart|purge|grant_refused admin.reload admin.dead_letter.replay admin.audit.export`

func TestCatalogue_everyListedAction(t *testing.T) {
	t.Parallel()
	for _, f := range strings.Fields(listed) {
		dot := strings.LastIndex(f, ".")
		for _, last := range strings.Split(f[dot+1:], "|") {
			if name := f[:dot+1] + last; !known(name) {
				t.Errorf("%s is not in the catalogue", name)
			}
		}
	}
}

func known(name string) bool { _, ok := audit.Lookup(name); return ok }

func TestCatalogue_wellFormed(t *testing.T) {
	t.Parallel()
	name := regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$`)
	seen := map[string]bool{}
	for _, a := range audit.Catalogue() {
		if !name.MatchString(a.Name) || len(a.Name) > 128 || seen[a.Name] {
			t.Errorf("%q is no name, or there twice", a.Name)
		}
		seen[a.Name] = true
		if a.Category == "" || !strings.Contains("crud", a.CRUD) || len(a.CRUD) != 1 || !strings.HasSuffix(a.Description, ".") {
			t.Errorf("%s: category %q, crud %q, description %q", a.Name, a.Category, a.CRUD, a.Description)
		}
		if a.Outcome != audit.Success && a.Outcome != audit.Failure && a.Outcome != audit.Error {
			t.Errorf("%s: outcome %q", a.Name, a.Outcome)
		}
		for _, k := range a.Metadata {
			if audit.Secret(k) {
				t.Errorf("%s: the metadata key %q names a secret and could never be recorded", a.Name, k)
			}
		}
		if (strings.HasSuffix(a.Name, ".failure") || a.Outcome != audit.Success) && strings.HasPrefix(a.Name, "auth.") && a.Timeline {
			t.Errorf("%s: failures of a sign-in are not on the timeline by default", a.Name)
		}
		if strings.HasPrefix(a.Name, "sigra.") && a.Webhook {
			t.Errorf("%s: housekeeping is no webhook", a.Name)
		}
	}
}

func TestReservedPrefixes(t *testing.T) {
	t.Parallel()
	want := strings.Fields("account admin api_token auth impersonation invitation membership mfa oauth organization passkey security service_account session sigra trusted_device webhook_endpoint")
	if got := audit.ReservedPrefixes(); !slices.Equal(got, want) {
		t.Errorf("reserved are %v;\nwant %v", got, want)
	}
}

func TestSecret(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]bool{
		"password": true, "PASSWORD": true, "Pass-Word": true, "new_password": true, "password_hash": true, "passwordConfirmation": true,
		"token": true, "accessToken": true, "refresh_tokens": true, "session_token": true, "TOKEN2": true, "bearer_token": true, "id_token": true,
		"secret": true, "client-secret": true, "totp_secret": true, "secret_key": true, "code": true, "totp_code": true, "backup_codes": true,
		"api_key": true, "apikey": true, "private_key": true, "credential": true, "cookie": true, "Authorization": true, "otp": true, "pin": true,
		"token_id": false, "key_id": false, "status_code": false, "country_code": false, "method": false, "count": false, "aal": false,
		"membership_role": false, "provider": false, "reason": false, "tokens_revoked": false, "": false,
	} {
		if got := audit.Secret(key); got != want {
			t.Errorf("Secret(%q) is %v", key, got)
		}
	}
}

const docPath = "../../docs/audit-events.md"

// The page is made from the catalogue: go generate ./core/audit writes it anew.
func TestDocs_areCurrent(t *testing.T) {
	t.Parallel()
	want := page()
	if *update {
		if err := os.MkdirAll(filepath.Dir(docPath), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(docPath, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(docPath)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("docs/audit-events.md is not what the catalogue says (%v); run: go generate ./core/audit", err)
	}
}

var titles = map[string]string{
	"authentication": "Authentication", "mfa": "Second factors", "passkey": "Passkeys", "session": "Sessions", "device": "Trusted devices",
	"oauth": "Other identity providers", "account": "Accounts", "token": "Machine access", "organization": "Organizations",
	"impersonation": "Impersonation", "webhook": "Webhook endpoints", "security": "Security", "admin": "Administration", "system": "Housekeeping",
}

func page() []byte {
	var b bytes.Buffer
	b.WriteString(`# Audit events

<!-- Made from the catalogue in core/audit by "go generate ./core/audit". Do not edit. -->

Every change of identity state writes one of these rows, in the same transaction as the change. Each row has an id (UUIDv7), the time
(UTC, microseconds), the action, its outcome (` + "`success`, `failure` or `error`" + `) with a reason, the actor, the impersonator if there is one,
the targets, the organization, the session, the request id, a correlation id, the client's address and user agent, the method of
authentication, metadata, and its position in the log.

- **Metadata** are the only keys that a row of the action may carry, at most 8192 bytes as JSON. A key that names a password, token, secret,
  code or the like is refused at any depth.
- **Webhook** means that an endpoint which names the action gets it. None gets anything it did not name.
- **Timeline** means that plugins that take audit rows (Threadline) get it by default. A plugin block changes that for itself:
  ` + "`events { include = [\"auth.login.failure\"] }`" + `.
- The telemetry tap ` + "`sigra.audit.log`" + ` sees every row.
- **Kind** is what the action does to its target: c(reate), r(ead), u(pdate), d(elete).

Plugins record below their own names, and their rows go to the other plugins that take audit rows. Host-emitted events
(` + "`billing.subscription.upgraded`" + ` and any other name that does not begin with one of the words below) are the application's: they are stored, they
go only to the plugins that subscribed to them, and they appear in no audit log.

Reserved first words: `)
	for i, p := range audit.ReservedPrefixes() {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "`%s`", p)
	}
	b.WriteString(".\n")
	category := ""
	for _, a := range audit.Catalogue() {
		if a.Category != category {
			category = a.Category
			fmt.Fprintf(&b, "\n## %s\n\nCategory `%s`.\n\n| action | meaning | kind | outcome | metadata | webhook | timeline |\n|---|---|---|---|---|---|---|\n", titles[category], category)
		}
		keys := make([]string, len(a.Metadata))
		for i, k := range a.Metadata {
			keys[i] = "`" + k + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s |\n", a.Name, a.Description, a.CRUD, a.Outcome, strings.Join(keys, ", "),
			map[bool]string{true: "opt-in", false: "no"}[a.Webhook], map[bool]string{true: "yes", false: "no"}[a.Timeline])
	}
	return b.Bytes()
}
