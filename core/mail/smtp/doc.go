// Package smtp sends mail through a site's mail server: a mail.Mailer on wneessen/go-mail, with connections that are used again.
//
//	connect ─▶ greeting ─▶ EHLO ─▶ STARTTLS, EHLO ─▶ AUTH ─▶ ┌─ MAIL ─▶ RCPT ─▶ DATA ─▶ text ─▶ . ─┐ answer
//	   │          │          │           │            │      │   │       │       │       │        │   │
//	   └──────────┴──────────┴───────────┴────────────┴──────│───┴───────┴───────┴───────┘        │   ├─ 2xx  accepted
//	                 surely not sent: Unavailable            │   5xx to RCPT or DATA: Denied      │   ├─ 4xx  Unavailable
//	                                                         └── RSET, with the next message ─────┘   ├─ 5xx  Denied
//	                                                                                                  └─ none  nobody knows
//
// Up to the final dot a failure means that the message was surely not sent, and the queue tries again; from then on only the server's
// answer tells. What the server holds against us rather than against the message (no TLS, a bad certificate, a refused sign-in, a sender
// it does not take) is an operator's mistake: it is Unavailable as well, so that mails wait until it is mended, and is logged as an error once until
// the server takes mail again.
//
// The same message has the same Message-ID at the sender's domain, Date and boundary at every attempt, so that servers which look for duplicates find them;
// one whose earlier attempt may have been accepted says X-Sigra-Possible-Duplicate: yes.
//
// The package refuses to speak without TLS to anything but this machine (RFC 8314 §4.1), to go on when STARTTLS is missing or a certificate is not
// the host's, to send credentials before TLS, and to read more than a server can sensibly say.
package smtp
