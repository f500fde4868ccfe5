// Package plugintest tests a plugin the way Sigra runs it: over a real gRPC connection, with host services that are
// fakes, in the test's own process.
//
//	func TestGreeter(t *testing.T) {
//		run := plugintest.Start(t, greeter.New(), plugintest.Config{Settings: `{"greeting": "hi"}`})
//		resp, err := run.Client(plugintest.Ada).Get("http://sigra/greeter")
//		…
//	}
//
//	func TestConformance(t *testing.T) {
//		plugintest.Conform(t, func() pluginsdk.Plugin { return greeter.New() }, plugintest.Options{})
//	}
//
// Start stands for a running Sigra with one plugin: it describes, configures and, at the end of the test, stops it.
// Fake is the host: accounts, an audit log, mail that goes nowhere, grants that are enforced as Sigra enforces them.
// Rows has a row for every action in Sigra's catalogue; Clock is a clock that stands still.
//
// Conform holds a plugin to what every plugin must do: answer Describe alike each time, survive redelivery, cancelled
// and slow and concurrent calls, refuse bad settings and keep the earlier ones, stop in time in the middle of a batch, and
// leave no goroutine behind.
//
// # Databases
//
// A plugin with storage is run on SQLite, and on Postgres too when SIGRA_TEST_POSTGRES holds the URL of a server
// where the user may create schemas. Options.RequirePostgres makes its absence a failure; Sigra's own Makefile sets the
// variable.
//
// The package refuses to be linked into a plugin: it is for tests.
package plugintest
