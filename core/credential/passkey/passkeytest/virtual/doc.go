// Package virtual is for tests in a real Chromium: the authenticators that the browser makes up by itself when it is told to by the
// DevTools protocol, and the ways in which other browsers differ from it.
//
// It refuses to know any page, and whether a test goes on when something fails: see Do.
package virtual
