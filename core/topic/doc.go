// Package topic tells all nodes of one database that something has changed.
//
// A topic has a name, a version that every Notify raises by one, and the payload of the last. Notify is one statement, whose row lock
// gives all notifications of a topic one order; every node that has watchers looks at the versions several times a second, and at
// once after a Notify of its own:
//
//	Notify ──▶ version + 1, payload ──▶ every node's look ──┬─ one more than last seen ──▶ the payload
//	                                                        └─ more than that ───────────▶ reread: something was missed
//
// So nothing is ever lost silently, and nothing piles up: neither rows nor queues grow with the notifications, and a watcher that is
// slow is told once of all that it missed.
//
// The package refuses to carry what must not be missed: state lies where it belongs, and a topic says that it is worth a look.
package topic
