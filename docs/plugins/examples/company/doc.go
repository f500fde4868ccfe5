// Company is the example of LoginMethods in docs/plugins/authoring.md: people of a company are offered its own way to sign in.
//
// It owns the path below which that way begins. It refuses to send anybody to an address other than the one in its settings; completing
// the sign-in, with Sigra's Sessions service, is left out.
package main
