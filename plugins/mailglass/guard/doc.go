// Package guard finds what would track the reader of a finished message: NoTrackingOnAuthStream.
//
// It reads the final MIME, after every template and every adapter has had its hand in it, the way a mail client would: encodings
// undone, Outlook's conditional comments as the live markup that they are, style sheets with their escapes. Whatever a client
// would fetch by itself is a finding, from our own origin too, and so is every link that does not lead straight to a configured
// origin. A message without findings can be opened and its links followed without anybody learning of it but the service itself.
//
// A finding names the part, the line and the element. There is no way to let one pass on auth mail: the message is not sent.
//
// The package refuses to mend a message: what a template gets wrong is for its author to put right.
package guard
