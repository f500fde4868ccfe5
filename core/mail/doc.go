// Package mail is the seam for messages to people: a typed message, a durable queue, and whichever Mailer is
// configured to send it.
//
//	flow (in its transaction) → Queue.Enqueue → mail_queue row → dispatcher (one node at a time) → Mailer.Send
//
// A message is queued in the transaction of the change it belongs to, so neither exists without the other. The
// payload holds codes and links and is sealed while it waits. Without a configured mailer the development inbox
// takes the mail: a table shown at /dev/mail, never the network.
//
// The package refuses to know HTTP and to decide who gets mail.
package mail
