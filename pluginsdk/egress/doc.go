// Package egress is how a plugin calls URLs that somebody else chose: webhooks, metadata documents, pictures. Its client connects to public
// addresses only, and checks each one after the name was resolved, right before the connection is made; so neither an address that is
// written in an odd way nor a name that resolves differently the second time reaches what only this machine can reach (SSRF, DNS rebinding).
//
//	client := egress.Client(egress.Config{})           // no redirects, 10 seconds, 1 MiB
//	res, err := client.Get(url)
//	if refused := (*egress.Refused)(nil); errors.As(err, &refused) { … }
//
// What the operator lets Sigra reach beyond that (egress.allow in sigra.hcl) goes into Config.Allow.
//
// It is the twin of a package in Sigra's core, and held to the same verdicts by one table, testdata/addresses.txt. The package refuses to
// follow redirects unless asked to, to keep cookies, and to judge what an answer says.
package egress
