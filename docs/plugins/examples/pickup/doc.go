// Pickup is the example of a Mailer in docs/plugins/authoring.md: it puts every mail as a file into a folder, where another program
// takes it from, as some mail servers have it.
//
// It owns the folder's files. It refuses messages that are too late, and never lets a file be seen half written.
package main
