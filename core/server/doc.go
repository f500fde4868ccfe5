// Package server puts Sigra on the network: the router, what stands in front of every request, readiness, and an
// end that loses nothing.
//
// A request passes, outermost first:
//
//	1 edge        who asks: trusted proxies judged, request id made or taken over, language found,
//	              request.Info put in the context
//	2 observe     one access-log line and the metrics when it ends; streams are registered so that drain can end them
//	3 recover     a panic becomes 500 with the request id; the stack goes to the log only
//	4 headers     Content-Security-Policy and its companions, as defaults that a page may only replace knowingly
//	5 host        the Host must be one of base_url's: DNS rebinding ends here (not for probes)
//	6 router      gorilla/mux: core routes, then the plugins' (each with its own CSRF rule), then 404
//	7 limits      a bucket per address, and one more for the class that the route declares; RateLimit-* on the answer
//	8 origin      http.CrossOriginProtection: no state change on behalf of another site
//	9 body        size (what the route declares) and pace of the body, for core routes
//
// /metrics answers this machine only: a loopback peer that names a loopback host and comes through no proxy. Other machines
// need a listener of its own (Listeners.Metrics), which serves nothing else.
//
// The same handler serves the control socket, where steps 5, 7 and 8 are replaced by one question: is the peer root or
// the user Sigra runs as (SO_PEERCRED)? Such requests carry request.Info.Operator.
//
//	starting ── Serve ──▶ serving ── ctx done ──▶ draining ── all answered, or grace over ──▶ stopped
//	                                     │ /readyz fails at once; listeners close; streams are told to end;
//	                                     └ everything else in flight finishes
//
// The package refuses to answer for anybody: it knows no account and no session, and what it writes itself is health,
// readiness and refusals.
package server
