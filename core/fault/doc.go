// Package fault is the one kind of error that may reach a user.
//
// Everything a person or a client program is told about a failure is a *Error: a Kind that decides the
// HTTP status and the gRPC code, a Code that programs compare, a Message written for people, and where it
// helps the Field that was wrong. The private cause stays inside for the log and is never rendered.
//
// Any other error is a defect or an outage: at the edge it becomes "internal" with a request id, so that no
// SQL text, path or stack trace is ever shown.
//
// The package refuses to know HTTP or gRPC; core/httpapi, core/web and core/pluginhost map a Kind once each.
package fault
