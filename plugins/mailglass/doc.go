// Package mailglass is the satellite that sends Sigra's auth email and tracks nobody with it.
//
// Sigra hands it finished messages through the Mailer seam, and nothing else: it sees the mail of a password reset and never the
// event. Without its block Sigra's own mailer sends.
//
//	           guard              compose, seal, store                     Run
//	Send ──▶ findings? ──no──▶ one row in the outbox ──▶ accepted    queued ─────▶ sending ──▶ accepted ── reported
//	           │yes                                                    ▲             │
//	           ▼                                                       ├─ surely not ┤
//	        rejected: tracking_on_auth_stream                          │   accepted  ├──▶ failed    (never: bad address …)
//	                                                                 later           ├──▶ uncertain (the answer was lost)
//	                                                                                 └──▶ expired   (after its deadline)
//
// Send answers once the message is durable; from then on Mailglass owns every further attempt and reports the end. A message
// whose answer was lost after its last byte may have arrived: it is never sent again by itself. None is sent after its
// deadline: a link that no longer works is worse than no mail. What is queued is sealed, and wiped when it is done.
//
// The guard reads the final MIME of every message (package guard). Auth mail that would track its reader is not sent, whatever
// the settings say.
//
// Without an smtp block, messages go to an inbox that administrators see at /mailglass, and nowhere else.
//
// The package refuses to decide who gets which mail, and to know what a message is about beyond its purpose.
package mailglass
