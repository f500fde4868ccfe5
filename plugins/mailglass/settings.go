package mailglass

import (
	"strings"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"

	"github.com/sigra-auth/sigra/plugins/mailglass/smtp"
)

// settings is the config block.
type settings struct {
	Origins     []string      `sigra:"origins,optional" doc:"where links may lead beside server.base_url"`
	Concurrency int           `sigra:"concurrency,optional,default=4" doc:"messages sent at once by one node, 1 to 64"`
	RetryFirst  time.Duration `sigra:"retry_first,optional,default=30s" doc:"the first wait after a failed attempt; each further one is longer, up to an hour"`
	SMTP        *smtpSettings `sigra:"smtp" doc:"the server that sends; without it messages go to the inbox at /mailglass"`
}

// smtpSettings say how the server is reached.
type smtpSettings struct {
	Host     string           `sigra:"host" doc:"name of the server"`
	Port     int              `sigra:"port,optional,default=587" doc:"465 for implicit TLS"`
	TLS      string           `sigra:"tls,optional,default=starttls" doc:"starttls, implicit, or none to this machine"`
	Username string           `sigra:"username,optional,default="`
	Password pluginsdk.Secret `sigra:"password,optional,default="`
	CAFile   string           `sigra:"ca_file,optional,default=" doc:"certificates to trust in place of the system's, in PEM"`
	Timeout  time.Duration    `sigra:"timeout,optional,default=30s" doc:"for each step of a conversation"`
}

// check finds what no schema can.
func (s settings) check() error {
	switch {
	case s.Concurrency < 1 || s.Concurrency > 64:
		return pluginsdk.Diagnostic("concurrency", "Concurrency out of range", "Send 1 to 64 messages at once.")
	case s.RetryFirst < time.Second || s.RetryFirst > time.Hour:
		return pluginsdk.Diagnostic("retry_first", "Wait out of range", "The first wait is 1 second to 1 hour.")
	case s.SMTP == nil:
		return nil
	}
	m := s.SMTP
	switch {
	case strings.TrimSpace(m.Host) == "" || strings.ContainsAny(m.Host, " /:"):
		return pluginsdk.Diagnostic("smtp.host", "Not a host name", "Write the name of the mail server alone; the port has a setting of its own.")
	case m.Port < 1 || m.Port > 65535:
		return pluginsdk.Diagnostic("smtp.port", "Port out of range", "A port is 1 to 65535.")
	case !smtp.ValidTLS(m.TLS):
		return pluginsdk.Diagnostic("smtp.tls", "Unknown way to protect the connection", "Use starttls, implicit or none.")
	case m.TLS == smtp.None && !smtp.Local(m.Host):
		return pluginsdk.Diagnostic("smtp.tls", "The connection would not be protected", "tls = \"none\" is for a server on this machine. Use starttls or implicit.")
	case (m.Username == "") != (m.Password.Reveal() == ""):
		return pluginsdk.Diagnostic("smtp.username", "Half of a sign-in", "Set username and password, or neither.")
	case m.Timeout < time.Second || m.Timeout > 5*time.Minute:
		return pluginsdk.Diagnostic("smtp.timeout", "Timeout out of range", "The timeout is 1 second to 5 minutes.")
	}
	return nil
}
