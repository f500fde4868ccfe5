// Package smtptest is a mail server for tests: a real one, on a real socket with real TLS, that can be told to misbehave at any step of the conversation.
//
//	server := smtptest.Start(t, smtptest.Config{TLS: smtptest.StartTLS, User: "sigra", Password: "secret"})
//	server.On("RCPT", func(e smtptest.Event) smtptest.Action { return smtptest.Say("450 4.7.1 Greylisted") })
//
// It owns its certificate authority, keeps what it accepted, and ends with the test. It refuses to deliver anything to anybody.
package smtptest
