// Package pluginsdk is all a plugin author imports.
//
// A plugin is a type that implements Plugin, and whichever of the seam interfaces it wants: AuditSink, EventSink,
// Mailer, Gate, Routes, LoginMethods, Claims. Serve finds out which, and runs it as a child process of Sigra:
//
//	func main() { pluginsdk.Serve(greeter.New()) }
//
// What a plugin may ask of Sigra comes as one *Host in Configure; every service of it is behind a grant in sigra.hcl.
// Its settings are a struct with sigra tags, see SettingsOf. A database of its own comes from the package
// pluginsdk/storage, tests from pluginsdk/plugintest. docs/plugins/authoring.md builds one step by step.
//
// # The life of a plugin
//
//	process started ──handshake──▶ Describe ──▶ Configure ⟲ ──▶ calls of the seams ──▶ Stop ──▶ process ends
//
// Describe answers from the manifest and reaches the host at once. Configure opens the storage the first time, then
// hands over settings, and is called again when they change, while calls go on. Stop refuses new calls, lets those in
// flight end, cancels what is left, calls the plugin's own Stop and closes the database, all within the time that the
// host gives. A host that dies takes the plugin with it within a second.
//
// # What every call has around it
//
// A deadline, set by the host, in its context. A guard that turns a panic into an INTERNAL answer and a stack in the
// log. Errors that say what to make of them: Retryable, Permanent, Denied; errors.go maps them to gRPC codes and back and
// is the only place that does.
//
// # What it refuses
//
// It depends on nothing of Sigra's core and on no database driver, and shows no protobuf to the author; a test holds the
// list of what it links.
package pluginsdk
