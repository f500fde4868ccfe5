// Package mail is the seam for messages to people: a typed message, a durable queue, and whichever Mailer is
// configured to send it.
//
//	flow (in its transaction) → Queue.Enqueue → mail_queue row → dispatcher (one node at a time) → Mailer.Send
//
//	queued ──claim──▶ sending ──┬─ accepted ─────────────────────────▶ sent
//	  ▲                         ├─ accepted by an Owner ─────────────▶ accepted ─ its report ─▶ sent or failed
//	  ▲                         ├─ surely not sent, before Deadline ─▶ queued (back-off with jitter)
//	  │                         ├─ refused for good ─────────────────▶ failed
//	  │                         └─ nobody knows ─┬─ first two times ─▶ queued, marked PossibleDuplicate
//	  │                                          └─ third time ──────▶ uncertain
//	  ├── Enqueue               (any of them past Deadline ──────────▶ expired)
//	  └── EnqueueDecoy          (a decoy, once it is claimed ────────▶ withheld)
//
// A message is queued in the transaction of the change it belongs to, so neither exists without the other. The
// payload holds codes and links and is sealed while it waits; it is erased as soon as the message is settled.
//
// What Send's error means is fixed by Mailer. Where nobody knows whether a message went out (a timeout after the
// body, a host killed between the hand-over and the note of it), losing a confirmation is worse than repeating it,
// so it is sent again, but never without PossibleDuplicate set: a mailer that can ask its server, or de-duplicate by the
// message's id, then does. After three such endings it is left alone and shown as uncertain.
//
// Each row is claimed by compare-and-swap, so that even two dispatchers can't send one message at the same time; the lease
// only keeps the others quiet. Nothing is sent after its deadline: an old sign-in code is worse than none.
//
// A flow that must not tell whether an address has an account queues a decoy for one that has none. It costs what a message costs, in the
// flow's transaction and afterwards, and no mailer ever sees it.
//
// What sends is core/mail/smtp, a plugin, or in development the Inbox: a table shown at /dev/mail, never the network. A site that has none of them
// has Nowhere, and its mails wait.
//
// # Letters
//
// The core's own messages are Letters: a purpose, and what it needs (a link, a code, a time). Words come from core/lang in the reader's language,
// templates put them together as text and HTML, and a site may replace both. A letter that lacks what its purpose needs is not written. Codes stand in the body alone, never in
// a subject or a link; nothing in a letter is fetched, tracks, or leads anywhere but to the letter's link; and what strangers chose (what their browser or
// passkey is called) is made fit to be shown under our name.
//
// The package refuses to know HTTP and to decide who gets mail. It refuses any message whose address, name or
// subject could become another header or recipient, before it is queued, so that no mailer has to be trusted with that.
package mail
