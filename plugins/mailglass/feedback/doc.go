// Package feedback reads what mail providers report of the messages that Mailglass handed them: Postmark, SendGrid, Mailgun, Amazon SES by
// SNS, and Resend.
//
// A verifier judges a request before anything of it is believed, and a reader turns what it says into events that are the same for all
// providers. Judge then says what follows for a message that is known here:
//
//	request ──Verify──▶ Report ──Read──▶ Event… ──Judge(delivery)──▶ Judged: state, suppression, alarm
//
// Three rules hold whatever a provider says. Only an address that a known message went to can be suppressed: a forged bounce must lock nobody
// out. A message of the transactional stream that was opened, clicked or unsubscribed from proves that somebody tracks it. The link that
// was clicked may hold a live token: it is not read at all. Codes that nobody knows are transient, types that nobody knows change nothing.
//
// The package keeps nothing, and calls nobody but for the certificates of SNS, by the function that it is given.
package feedback
