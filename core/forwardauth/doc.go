// Package forwardauth decides whether somebody gets to a page of an application, for a proxy that asks before it passes a
// request on.
//
//	proxy ──▶ core/server (reads what the proxy says) ──▶ Rules.Find ──▶ Rule.Judge ──▶ gate "route" ──▶ answer
//
// The first rule that matches host, path and method counts. What no rule matches is for whoever is signed in, so that
// what somebody forgot is not open.
//
// The package refuses to know HTTP, and to be a policy language: it compares who somebody is with what a rule names.
// What goes beyond is a plugin's, which is asked with the question "route".
package forwardauth
