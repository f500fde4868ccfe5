// Package scaffold writes the beginning of a plugin: a Go module of its own that builds, passes its test and runs under
// Sigra, with the lines to paste into sigra.hcl. It is what `sigra plugin new` does.
//
// It owns the templates and the rules for names. It refuses names that Sigra would refuse later, folders that hold
// something already, and to overwrite any file; when something goes wrong half-way, nothing is left behind.
package scaffold
