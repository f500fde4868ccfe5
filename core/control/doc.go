// Package control is how the command line asks a running Sigra: a typed client of the API in core/httpapi.
//
//	Dial(socket)        → the control socket of a running server   (data_dir/run/control.sock)
//	In(handler, name)   → the same operations in this process, where no server runs and the command opened the database
//
// Either way the caller is an operator: over the socket the server has checked the peer's credentials; in the process
// the command itself has opened the data. A command is written once and works both ways.
//
// Errors are sentences for the person at the terminal. One that the server answered is an *Error and carries the
// problem document; ErrNotRunning says that nobody listens.
//
// The package refuses to print, to parse flags and to retry, but for Tail, which goes on where it was after the
// connection broke.
package control
