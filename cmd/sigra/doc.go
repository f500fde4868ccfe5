// Command sigra is the whole product in one binary: the server, its command line, and the bundled satellites.
//
// Each command has a file of its own. wiring.go builds the parts and joins them; bundle.go is the only file that
// names the satellites, and the build tag core_only leaves it out. A satellite runs as a child process of this same
// binary, started with "plugin-serve NAME" and nothing else on its command line.
//
// Commands talk to a running Sigra over its control socket, with the operations of the administrative JSON API; only
// where none runs do they open the database themselves and call the same handlers in-process.
package main
