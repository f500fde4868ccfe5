// Package pluginhost runs plugins: child processes that speak the contract in pluginsdk/proto, one per plugin block.
//
// It owns what is between a plugin block and the core: the life of each plugin (supervise), what it is told
// (settings, storage), what it may ask (grants and the host services), and one facade per seam, so that the core
// never sees a protobuf type and never waits on a plugin longer than it decided to. The program file and the child process
// are core/pluginhost/process's.
//
//	                         ┌──────────── failed ◀─────────────┐  exit, three health misses,
//	                         │ back-off     │                    │  a start that did not succeed
//	                         ▼              │ 5 in 10 minutes    │
//	declared ─▶ verified ─▶ starting ─▶ configured ─▶ ready ⇄ degraded
//	                                        │            │
//	                              quarantined (until reload or restart)
//	                                                     ▼
//	                                     draining ─▶ stopped
//
// Back-off is 0.5 s doubling to 60 s with jitter and starts anew after 60 s of ready. A block that is wrong in itself
// (a setting, a missing grant, a path somebody else owns) is failed without a retry until it changes.
//
// A reload (Apply) checks everything first: new processes are started and described, settings decoded and put to the
// plugins, and only then is anything changed for the core, all at once. A changed executable, grant or environment
// starts the new process before the old one is drained, so no request in flight is lost.
//
// What the package refuses: to trust a plugin. Its log lines are bounded and parsed tolerantly, its answers are
// limited in size, every call has a deadline, a bound on calls in flight and a breaker; its HTTP answers can't touch
// Sigra's cookies nor another path; it sees no credential of Sigra's and no variable of Sigra's environment. A plugin
// that is down, slow or hostile costs its own seams and nothing else. The package also refuses to know any plugin by
// name, and plugins never talk to each other through it.
package pluginhost
