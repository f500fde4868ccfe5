// Package smtp hands one finished message to a mail server and says for sure what became of it.
//
// Until the dot after the message is sent, nothing was accepted: whatever fails before it can be tried again. A reply to the dot
// is the server's word. A connection that ends without one leaves the message uncertain (RFC 5321 §4.2.5, §4.5.4.1).
package smtp
