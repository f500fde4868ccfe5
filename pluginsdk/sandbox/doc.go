// Package sandbox lets a plugin give up, for good, what it does not need: with Landlock, on Linux, without any privilege.
// What an attacker makes of the plugin's process afterwards has no more rights than that.
//
//	func (p *Plugin) Configure(ctx context.Context, host *pluginsdk.Host, in pluginsdk.Settings) error {
//		…
//		_, err := sandbox.Restrict(host.Logger(), sandbox.Rights{
//			Read:    append(sandbox.Certificates, sandbox.Names...),
//			Connect: []uint16{443},
//		})
//		return err
//	}
//
// Call it when everything is open that must be: the plugin's database is. It may be called again, which can only take
// away more. What is always kept: what is open already, the folder of the sockets to Sigra, the folders of files that are
// open for writing (a SQLite database makes files beside itself), /dev/null, and the time zones. Programs can't be started
// any more.
//
// A kernel that can't do all of this does what it can, and the log says which part is missing: reading and writing since
// Linux 5.13, TCP ports since 6.7, signals and abstract sockets since 6.12. Names are still looked up by UDP, which no
// kernel here restricts. On other systems nothing is restricted, and the log says so.
//
// The package refuses to guess what a plugin needs: what is not named is gone.
package sandbox
