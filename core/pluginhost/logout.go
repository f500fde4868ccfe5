package pluginhost

import (
	"context"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/core/principal"
	"github.com/sigra-auth/sigra/core/request"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

const (
	logoutTimeout = 2 * time.Second // of each plugin, while a browser waits
	maxFrames     = 20              // of each plugin
)

// Farewell is what is left to do elsewhere when somebody has signed out.
type Farewell struct {
	Frames   []string // addresses to show in hidden frames
	Redirect string   // where the browser goes after that; empty: to where it was going
}

// SignedOut tells every plugin that wants to know that somebody's session has ended, one after the other: where one sends the browser on, the
// next is told to send it back there, so that it comes to all of them and in the end to returnTo. A plugin that fails is left out.
func (h *Host) SignedOut(ctx context.Context, who principal.Principal, returnTo string) Farewell {
	out := Farewell{}
	next := returnTo
	for _, p := range h.all() {
		if !p.offers(pluginv1.Logout_ServiceDesc.ServiceName) {
			continue
		}
		var resp *pluginv1.SignedOutResponse
		err := p.call(ctx, pluginv1.Logout_ServiceDesc.ServiceName, logoutTimeout, func(ctx context.Context, in *instance) (err error) {
			resp, err = pluginv1.NewLogoutClient(in.conn).SignedOut(ctx, &pluginv1.SignedOutRequest{
				Principal: h.principalTo(&who), SessionIds: []string{who.SessionID.String()}, ReturnTo: next, Request: requestTo(request.From(ctx)),
			})
			return err
		})
		if err != nil {
			p.log.Warn("sign-out not followed elsewhere", "user_id", who.UserID, "error", err)
			continue
		}
		for _, address := range resp.GetFrameUrls()[:min(len(resp.GetFrameUrls()), maxFrames)] {
			if to, ok := elsewhere(p, address); ok {
				out.Frames = append(out.Frames, to)
			}
		}
		if address := resp.GetRedirectUrl(); address != "" {
			if to, ok := elsewhere(p, address); ok {
				next, out.Redirect = to, to
			}
		}
	}
	return out
}

// hostName is what stands in a policy as it is.
var hostName = regexp.MustCompile(`^[A-Za-z0-9.-]+(:[0-9]{1,5})?$`)

// elsewhere judges an address that a browser is sent to for a plugin: https, or a path below one of its own routes. Where Sigra itself is
// reached by http, so may others be.
func elsewhere(p *plugin, address string) (string, bool) {
	u, err := url.Parse(address)
	ok := err == nil && len(address) <= 4096 && u.User == nil && u.Opaque == ""
	switch {
	case !ok:
	case u.Scheme == "" && u.Host == "":
		p.mu.Lock()
		m := p.manifest
		p.mu.Unlock()
		ok = strings.HasPrefix(address, "/") && m.serves(u.Path)
	default:
		ok = hostName.MatchString(u.Host) && (u.Scheme == "https" || u.Scheme == "http" && strings.HasPrefix(p.host.cfg.BaseURL, "http://"))
	}
	if !ok {
		p.host.metrics.answers.WithLabelValues(p.name, "logout").Inc()
		p.log.Warn("address of a sign-out left out: it is neither https nor below a route of the plugin", "address", printable(clip(address, 120)))
		return "", false
	}
	return u.String(), true
}
