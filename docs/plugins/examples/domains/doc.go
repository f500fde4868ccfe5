// Domains is the example of a Gate in docs/plugins/authoring.md: only people of some email domains may register and sign in.
//
// It owns the list of domains in its settings and nothing else. It refuses nobody for any other reason, and lets questions that it does
// not know pass.
package main
