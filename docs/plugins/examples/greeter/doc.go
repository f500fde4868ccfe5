// Greeter is the plugin that docs/plugins/authoring.md builds step by step: it greets whoever opens its page and tells
// them how often they have signed in.
//
// It owns one table, the count of sign-ins per person, kept from Sigra's audit log. It refuses to greet people who are not
// signed in.
package main
