// Package process runs the operating system's side of a plugin: one child process per start, from the check of its program
// file to the removal of its socket folder.
//
// It owns the program file and whether it may run (program), who the process runs as (user), what it inherits (environ,
// descriptors), its private socket folder (folder), the handshake line on its standard output, its log on standard error,
// the limits of its block, how it ends and why (process, limits), processes that it leaves behind (reaper, orphans), and
// attaching to a plugin that somebody runs under a debugger (attach).
//
//	Launcher.Open ─▶ Program ─▶ Launcher.New ─▶ Process ─▶ Start ─▶ Exited ─▶ Close
//
// A Process is started once. It implements go-plugin's runner.Runner, because the default one hands down the whole
// environment and standard input, polls for the end, kills one process of a group, parses standard error with a parser
// that panics, and lets the child outlive a killed host.
//
// The package refuses to know the contract: it speaks no gRPC, reads no manifest and decides no restart. That is
// core/pluginhost, which uses it.
package process
