package pluginhost

import (
	"time"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// attachedTimeout is the deadline of every call to a plugin under a debugger: somebody is reading at a breakpoint.
const attachedTimeout = 15 * time.Minute

// attachedBrokerID is the number under which the host's services are offered to a plugin that runs by itself. Each
// attachment has its own, so that a plugin that was attached to before, by this host or another, dials anew.
func (h *Host) attachedBrokerID() uint32 {
	return uint32(time.Now().Unix())<<8 | h.attachments.Add(1)&0xff
}

// patience is how long a call may take: there is none too long for somebody who looks at it in a debugger.
func (p *plugin) patience(usual time.Duration) time.Duration {
	if in := p.current.Load(); in != nil && in.proc.Attached() {
		return attachedTimeout
	}
	return usual
}

// transport is how the host's services are secured: as the plugin's are.
func transport(cfg *goplugin.ClientConfig) credentials.TransportCredentials {
	if cfg.TLSConfig == nil {
		return insecure.NewCredentials()
	}
	return credentials.NewTLS(cfg.TLSConfig)
}
