// Package telemetry is how Sigra is watched: the process's logger, its Prometheus registry, and the audit log as an
// OpenTelemetry source of log records and counters.
//
//	committed audit row ──tap──▶ Source.Audit ──▶ Prometheus   sigra_audit_rows_total{action,outcome}
//	                                         └──▶ OTLP/HTTP    log records, sigra.audit.rows (only with an endpoint)
//
// Audit returns at once, always. A collector that is slow or gone costs rows there and nothing here: the queue is
// bounded, drops its oldest and counts failures. The audit log itself is the record that loses nothing.
//
// What leaves the process names accounts, sessions and organizations by their ids alone. No email address, network
// address, user agent, metadata or secret is in a Record, and a value that looks like an email address is left out.
//
// Without an endpoint no goroutine and no connection exists. Close sends what is queued.
//
// The package refuses to know the audit log: whoever subscribes to the tap turns its rows into Records.
package telemetry
