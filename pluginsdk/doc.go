// Package pluginsdk is all a plugin author imports.
//
// A plugin is a type that implements Plugin, and whichever of the seam interfaces it wants: AuditSink, EventSink,
// Mailer, Gate, Routes, LoginMethods, Claims. Serve finds out which, and runs it as a child process of Sigra:
//
//	func main() { pluginsdk.Serve(greeter.New()) }
//
// What a plugin may ask of Sigra comes as one *Host in Configure; every service of it is behind a grant in sigra.hcl.
//
// The package refuses to depend on Sigra's core: a plugin never links it.
package pluginsdk
