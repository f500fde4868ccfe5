// Seats is the example of an EventSink in docs/plugins/authoring.md: it keeps how many seats each customer has bought, from the events
// that the application sends to Sigra.
//
// It owns one table. It refuses, for good, events whose data it can't understand, and lets an older event change nothing that a newer
// one has set.
package main
