package mail

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/core/fault"
)

// Nowhere is the mailer of a site that has none: what it is given waits for a better one. It says so in the log, at the first message and once an hour.
type Nowhere struct {
	Logger hclog.Logger // nil means silent

	mu   sync.Mutex
	said time.Time
}

var _ Mailer = (*Nowhere)(nil)

// Send sends nothing.
func (n *Nowhere) Send(context.Context, Message) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.Logger != nil && time.Since(n.said) > time.Hour {
		n.said = time.Now()
		n.Logger.Error("mail waits: there is no mail server in the configuration and no plugin that sends mail")
	}
	return fault.New(fault.Unavailable, "no_mailer", "No mail server is configured, and no plugin sends mail.")
}
