// Package captcha lets a captcha provider stand where the built-in proof of work stands: its Verifier is a
// ratelimit.Verifier, so whoever asks for proofs need not know which of the two it is.
//
//	page ──▶ the provider's widget ──▶ token ──▶ Verify: POST secret and token to the provider ──▶ {"success": true}
//
// The providers are data (Turnstile, HCaptcha): they share one protocol and differ in addresses and names. A token is taken once, as
// the provider promises; that it is taken once here too, ratelimit.Spend sees to, because a promise across a network may
// be late.
//
// What can't be found out is refused: a provider that is down, slow or says nothing that can be read makes the answer "try again
// shortly", never a yes. Calls have a deadline, a bound on how many run at once and on what is read of an answer; redirects are
// not followed, and the token is no part of any log line.
//
// The package refuses to show anything, to choose when a captcha is asked for, and to send people's addresses to a provider
// unless it is told to.
package captcha
