package audit

// Columns of the catalogue below, for reading it as a table.
const (
	hook, noHook = true, false // a webhook endpoint may name it
	line, noLine = true, false // AuditSink plugins (Threadline) get it by default
)

// catalogue is the whole list. Rules behind the two last columns: steps inside a flow, what stands in front of a factor
// and Sigra's own administration are no webhooks; the timeline gets what changed or proved something, and not what merely
// failed or was merely asked for, which strangers can cause at will.
//
// The columns: name, category, crud, usual outcome, what it means, metadata keys, webhook, timeline.
var catalogue = []Action{
	// authentication
	{"auth.register.success", "authentication", "c", Success, "An account was made by sign-up.", keys("method", "confirmation", "invitation", "breach_check"), hook, line},
	{"auth.register.failure", "authentication", "c", Failure, "A sign-up was refused.", keys("method", "gate", "gate_revision", "gate_explain", "breach_check"), hook, noLine},
	{"auth.login.success", "authentication", "c", Success, "Somebody signed in: a session began.", keys("method", "remember", "aal", "amr", "new_device", "rehashed", "connection", "plugin", "trusted_device"), hook, line},
	{"auth.login.failure", "authentication", "c", Failure, "A sign-in was refused.", keys("method", "gate", "gate_revision", "gate_explain", "failures", "connection", "plugin"), hook, noLine},
	{"auth.logout", "authentication", "d", Success, "Somebody signed out: the session ended.", keys("method"), hook, line},
	{"auth.password_reset_request", "authentication", "c", Success, "A way to set a new password was asked for.", keys("method", "channel"), noHook, noLine},
	{"auth.password_reset.success", "authentication", "u", Success, "A new password was set by a one-time link.", keys("method", "sessions_revoked", "session_ids", "first", "breach_check"), hook, line},
	{"auth.password_reset.failure", "authentication", "u", Failure, "Setting a new password by a one-time link was refused.", keys("method"), hook, noLine},
	{"auth.magic_link_request", "authentication", "c", Success, "A link to sign in was asked for.", keys("channel"), noHook, noLine},
	{"auth.magic_link_verify.success", "authentication", "u", Success, "A link or code to sign in was spent.", keys("method", "other_device"), hook, line},
	{"auth.magic_link_verify.failure", "authentication", "u", Failure, "A link or code to sign in was refused.", keys("method", "attempts"), hook, noLine},
	{"auth.confirmation_request", "authentication", "c", Success, "A new link and code to confirm an email address were asked for.", keys("channel"), noHook, noLine},
	{"auth.confirmation.success", "authentication", "u", Success, "An email address was confirmed.", keys("method"), hook, line},
	{"auth.confirmation.failure", "authentication", "u", Failure, "Confirming an email address was refused.", keys("method", "attempts"), hook, noLine},
	{"auth.magic_link_approve", "authentication", "u", Success, "A sign-in by link was approved on another device.", nil, noHook, line},
	{"auth.step_up_request", "authentication", "c", Success, "A code to step up with was asked for.", keys("channel"), noHook, noLine},
	{"auth.step_up.success", "authentication", "u", Success, "A session rose to a higher assurance.", keys("method", "aal", "purpose"), noHook, line},
	{"auth.step_up.failure", "authentication", "u", Failure, "A step-up was refused.", keys("method", "aal", "purpose", "gate", "gate_revision", "gate_explain"), noHook, noLine},

	// second factors
	{"mfa.enrollment.start", "mfa", "c", Success, "Adding a second factor began.", keys("method"), noHook, noLine},
	{"mfa.enrollment.complete", "mfa", "c", Success, "A second factor was added.", keys("method"), hook, line},
	{"mfa.enrollment.failure", "mfa", "c", Failure, "A code to end adding a second factor was refused.", keys("method"), noHook, noLine},
	{"mfa.enrollment.cancel", "mfa", "d", Success, "Adding a second factor was given up.", keys("method"), noHook, noLine},
	{"mfa.challenge.success", "mfa", "r", Success, "A second factor was proved.", keys("method"), noHook, noLine},
	{"mfa.challenge.failure", "mfa", "r", Failure, "Proving a second factor failed.", keys("method", "failures"), noHook, noLine},
	{"mfa.recovery_code.used", "mfa", "u", Success, "A recovery code was spent.", keys("remaining"), hook, line},
	{"mfa.recovery_code.regenerate", "mfa", "u", Success, "New recovery codes replaced the old ones.", keys("count"), hook, line},
	{"mfa.disable", "mfa", "d", Success, "A second factor was removed.", keys("method"), hook, line},

	// passkeys
	{"passkey.register.success", "passkey", "c", Success, "A passkey was added.", keys("aaguid", "discoverable", "user_verified", "backed_up", "conditional"), hook, line},
	{"passkey.register.failure", "passkey", "c", Failure, "Adding a passkey was refused.", keys("aaguid"), noHook, noLine},
	{"passkey.rename", "passkey", "u", Success, "A passkey was renamed.", nil, noHook, line},
	{"passkey.delete", "passkey", "d", Success, "A passkey was removed.", keys("remaining"), hook, line},
	{"passkey.sign_count_regression", "passkey", "r", Failure, "A passkey's counter fell: it may have been cloned.", keys("stored", "presented", "blocked"), hook, line},

	// sessions and devices
	{"session.revoke", "session", "d", Success, "A session was ended from elsewhere.", keys("cause", "plugin"), hook, line},
	{"session.revoke_all", "session", "d", Success, "All sessions of an account, or all others, were ended.", keys("cause", "count", "except_current", "session_ids"), hook, line},
	{"session.expire", "session", "d", Success, "Sessions of an account ended by themselves: unused for too long, or as old as they may get.", keys("count", "session_ids"), noHook, noLine},
	{"session.refresh_reuse", "session", "d", Failure, "A spent refresh credential was used again: its family was ended.", keys("count"), hook, line},
	{"session.organization_switch", "session", "u", Success, "Another organization, or none, became the active one of a session.", nil, noHook, line},
	{"trusted_device.add", "device", "c", Success, "A device was trusted to skip the second factor.", keys("days"), hook, line},
	{"trusted_device.revoke", "device", "d", Success, "A device is no longer trusted.", keys("cause", "count"), hook, line},

	// other identity providers
	{"oauth.link_request", "oauth", "c", Success, "A login at another provider waits for the account's own credential.", keys("provider", "connection"), noHook, noLine},
	{"oauth.link.success", "oauth", "c", Success, "A login at another provider was linked.", keys("provider", "connection"), hook, line},
	{"oauth.unlink.success", "oauth", "d", Success, "A login at another provider was unlinked.", keys("provider", "connection"), hook, line},
	{"oauth.login.success", "oauth", "r", Success, "Another provider vouched for somebody.", keys("provider", "connection", "created", "plugin", "aal", "amr", "acr", "attributes"), hook, line},
	{"oauth.login.failure", "oauth", "r", Failure, "A sign-in through another provider failed.", keys("provider", "connection", "stage", "plugin", "purpose", "aal", "required_aal", "max_age"), hook, noLine},

	// accounts
	{"account.update", "account", "u", Success, "An account's data was changed.", keys("fields", "scope"), hook, line},
	{"account.email_change.request", "account", "u", Success, "A new email address was asked for.", nil, noHook, line},
	{"account.email_change.failure", "account", "u", Failure, "A code to confirm a new email address was refused.", keys("method"), noHook, noLine},
	{"account.email_change.confirm", "account", "u", Success, "The email address was changed.", keys("sessions_revoked", "session_ids"), hook, line},
	{"account.username_change.success", "account", "u", Success, "The username was chosen, changed or taken away.", keys("via"), hook, line},
	{"account.username_change.failure", "account", "u", Failure, "A username was refused: somebody else has it.", keys("via"), noHook, noLine},
	{"account.email_change.undo", "account", "u", Success, "A change of the email address was undone.", keys("sessions_revoked", "session_ids", "removed"), hook, line},
	{"account.password_change.success", "account", "u", Success, "The password was changed.", keys("sessions_revoked", "session_ids", "forced", "breach_check"), hook, line},
	{"account.password_change.failure", "account", "u", Failure, "A change of the password was refused.", keys("failures", "breach_check"), noHook, noLine},
	{"account.deletion_schedule", "account", "u", Success, "An account's deletion was scheduled.", keys("execute_at", "days"), hook, line},
	{"account.deletion_cancel", "account", "u", Success, "An account's deletion was called off.", nil, hook, line},
	{"account.deletion_execute", "account", "d", Success, "An account was deleted.", keys("erased", "sessions_revoked", "session_ids"), hook, line},
	{"account.plugin_erase", "account", "d", Success, "A plugin removed what it held of a deleted account.", keys("plugin", "tries"), noHook, noLine},
	{"account.export", "account", "r", Success, "Everything held on an account was exported.", keys("format", "bytes"), hook, line},

	// machine access
	{"api_token.create", "token", "c", Success, "A personal API token was made.", keys("scopes", "expires_at"), hook, line},
	{"api_token.revoke", "token", "d", Success, "A personal API token was revoked.", keys("cause"), hook, line},
	{"service_account.create", "token", "c", Success, "A service account was made.", keys("scopes", "expires_at"), hook, line},
	{"service_account.revoke", "token", "d", Success, "A service account was revoked.", keys("cause"), hook, line},

	// organizations
	{"organization.create", "organization", "c", Success, "An organization was made.", nil, hook, line},
	{"organization.update", "organization", "u", Success, "An organization was changed.", keys("fields"), hook, line},
	{"organization.delete", "organization", "d", Success, "An organization was deleted.", keys("members"), hook, line},
	{"organization.domain_add", "organization", "c", Success, "An organization claimed a domain.", keys("domain"), hook, line},
	{"organization.domain_verify", "organization", "u", Success, "An organization proved that a domain is its own.", keys("domain"), hook, line},
	{"organization.domain_remove", "organization", "d", Success, "An organization gave a domain up.", keys("domain"), hook, line},
	{"membership.create", "organization", "c", Success, "Somebody joined an organization.", keys("membership_role", "kind", "owner", "via", "invitation_id", "gate", "gate_revision", "gate_explain"), hook, line},
	{"membership.update", "organization", "u", Success, "A membership was changed.", keys("membership_role", "previous_role", "kind", "owner", "status"), hook, line},
	{"membership.delete", "organization", "d", Success, "Somebody left an organization.", keys("membership_role", "cause"), hook, line},
	{"membership.refused", "organization", "c", Failure, "A gate refused a membership.", keys("via", "gate", "gate_revision", "gate_explain"), noHook, noLine},
	{"invitation.create", "organization", "c", Success, "Somebody was invited to an organization.", keys("membership_role", "kind", "expires_at", "resent"), hook, line},
	{"invitation.accept", "organization", "u", Success, "An invitation was accepted.", keys("membership_role"), hook, line},
	{"invitation.revoke", "organization", "d", Success, "An invitation was taken back.", keys("cause"), hook, line},

	// impersonation
	{"impersonation.start", "impersonation", "c", Success, "An administrator began to act as somebody.", keys("justification", "minutes", "read_only"), hook, line},
	{"impersonation.stop", "impersonation", "d", Success, "An administrator stopped acting as somebody.", keys("cause", "seconds"), hook, line},

	// webhook endpoints
	{"webhook_endpoint.create", "webhook", "c", Success, "A webhook endpoint was made.", keys("actions", "host"), noHook, line},
	{"webhook_endpoint.update", "webhook", "u", Success, "A webhook endpoint was changed.", keys("fields", "actions", "host"), noHook, line},
	{"webhook_endpoint.delete", "webhook", "d", Success, "A webhook endpoint was removed.", keys("host"), noHook, line},

	// security
	{"security.suspicious_login", "security", "r", Success, "A sign-in came from a new device on a new network.", keys("new_device", "new_network", "step_up"), hook, line},
	{"security.lockout", "security", "u", Success, "Too many failures: sign-in to an account was slowed or stopped.", keys("failures", "seconds", "scope"), hook, line},

	// administration of Sigra itself
	{"admin.user.create", "admin", "c", Success, "An administrator made an account.", keys("administrator", "via"), hook, line},
	{"admin.user.update", "admin", "u", Success, "An administrator changed an account.", keys("fields", "administrator"), hook, line},
	{"admin.user.disable", "admin", "u", Success, "An administrator disabled an account.", keys("sessions_revoked", "session_ids"), hook, line},
	{"admin.user.enable", "admin", "u", Success, "An administrator enabled an account again.", nil, hook, line},
	{"admin.user.delete", "admin", "d", Success, "An administrator ordered an account's deletion.", keys("erased", "sessions_revoked", "session_ids"), hook, line},
	{"admin.user.reset_link", "admin", "c", Success, "An administrator made a one-time link to set a password.", keys("expires_at"), noHook, line},
	{"admin.user.reset_factors", "admin", "d", Success, "An administrator removed an account's second factors.", keys("methods", "sessions_revoked", "session_ids"), hook, line},
	{"admin.user.revoke_sessions", "admin", "d", Success, "An administrator ended an account's sessions.", keys("count"), hook, line},
	{"admin.user.unlock", "admin", "u", Success, "An administrator lifted a lockout.", nil, noHook, line},
	{"admin.user.require_password_change", "admin", "u", Success, "An administrator ordered a new password at the next sign-in.", nil, noHook, line},
	{"admin.keys.rotate", "admin", "u", Success, "A new key was made; older ones only open what they sealed.", keys("key_id", "previous_key_id"), noHook, line},
	{"admin.application_key.create", "admin", "c", Success, "An application was given a key.", keys("key_id", "name"), noHook, line},
	{"admin.application_key.rotate", "admin", "u", Success, "An application was given another key; the old one ends.", keys("key_id", "previous_key_id", "name", "overlap"), noHook, line},
	{"admin.application_key.revoke", "admin", "d", Success, "An application's key was taken back.", keys("key_id", "name"), noHook, line},
	{"admin.signing_key.rotate", "admin", "u", Success, "Another key signs the tokens of sessions.", keys("key_id", "previous_key_id"), noHook, line},
	{"admin.keys.reseal", "admin", "u", Success, "Stored secrets were sealed anew under the current key.", keys("key_id", "resealed"), noHook, line},
	{"admin.reload", "admin", "u", Success, "The configuration was read again.", keys("added", "removed", "changed", "restarted", "diagnostics"), noHook, line},
	{"admin.mail.test", "admin", "r", Success, "An administrator sent a test message.", keys("outcome", "problem"), noHook, line},
	{"admin.migrate", "admin", "u", Success, "The database schema was brought up to date by hand.", keys("applied"), noHook, line},
	{"admin.plugin.restart", "admin", "u", Success, "A plugin was restarted.", keys("plugin"), noHook, line},
	{"admin.plugin.command", "admin", "u", Success, "A command of a plugin was run.", keys("plugin", "command"), noHook, line},
	{"admin.plugin.purge", "admin", "d", Success, "A removed plugin's data was deleted.", keys("plugin", "storage", "dead_letters"), noHook, line},
	{"admin.plugin.grant_refused", "admin", "r", Failure, "A plugin called a host service that was not granted to it.", keys("plugin", "grant", "service", "count"), noHook, line},
	{"admin.plugin.quarantine", "admin", "u", Error, "A plugin failed too often and was stopped until the next reload.", keys("plugin", "failures"), noHook, line},
	{"admin.dead_letter.replay", "admin", "u", Success, "Dead letters were delivered again.", keys("sink", "replayed", "failed", "missing"), noHook, line},
	{"admin.dead_letter.drop", "admin", "d", Success, "Dead letters were thrown away.", keys("sink", "dropped"), noHook, line},
	{"admin.audit.export", "admin", "r", Success, "Audit rows were exported.", keys("format", "rows", "filter"), noHook, line},
	{"admin.event.export", "admin", "r", Success, "Host-emitted events were exported.", keys("format", "rows", "filter"), noHook, line},
	{"admin.import", "admin", "c", Success, "Accounts were imported.", keys("created", "skipped", "refused", "dry_run"), noHook, line},
	{"admin.denied", "admin", "r", Failure, "Somebody without the right asked for an administrative operation.", keys("operation"), noHook, noLine},

	// Sigra's own housekeeping
	{"sigra.retention", "system", "d", Success, "Old rows were removed as the settings say.", keys("log", "rows", "before", "removed", "complete"), noHook, noLine},
}

// keys is only for reading: the metadata column.
func keys(names ...string) []string { return names }
