// Package npmtest brings programs of npm's to tests that speak with them: a certified identity provider, a certified relying party. What they are is
// fixed by a lock file in the test's own folder.
//
//	test ──▶ Install(testdata/oidc-provider) ──▶ the user's cache, once per content ──▶ node runs there
//
// The package refuses to be part of the product, and to run what a package wants run while it is installed.
package npmtest
