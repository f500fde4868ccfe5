package web

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/cookie"
	"github.com/sigra-auth/sigra/core/device"
	"github.com/sigra-auth/sigra/core/fault"
	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/principal"
)

// OwnDevices is the browsers that people have used their own account from.
type OwnDevices interface {
	Devices(ctx context.Context, p principal.Principal) ([]device.Device, error)
	ThisDevice(ctx context.Context, p principal.Principal, token string) (uuid.UUID, error)
	ForgetDevice(ctx context.Context, p principal.Principal, id uuid.UUID) error
}

// accountDevices is the browsers that the account of whoever is signed in has been used from.
type accountDevices struct {
	*ownKit
	flows OwnDevices
}

// Mount adds the page.
func (p *accountDevices) Mount(m *mounter) {
	m.page("/account/devices", own, p.devices)
	m.form("/account/devices", ownTakes, p.forgetDevice)
}

// browser is one that the account was used from.
type browser struct {
	ID          string
	Name        string
	This        bool
	First, Last time.Time
	Trusted     time.Time // zero: it is not
}

// devicesPage is what the page of them shows.
type devicesPage struct {
	Back Link
	List []browser
}

// browserName is what people know a browser by.
func browserName(l *lang.Language, userAgent string) string {
	name, system := device.Describe(userAgent)
	switch {
	case name != "" && system != "":
		return l.Text("page.account.devices.name", "browser", name, "system", system)
	case name+system != "":
		return name + system
	}
	return l.Text("page.account.devices.unknown")
}

func (p *accountDevices) devices(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	list, err := p.flows.Devices(r.Context(), who)
	if err != nil {
		p.Error(w, r, err)
		return
	}
	this, err := p.flows.ThisDevice(r.Context(), who, cookie.DeviceToken(r))
	if err != nil {
		p.Error(w, r, err)
		return
	}
	v := p.ownView(r, who, "page.account.devices.title")
	out := make([]browser, len(list))
	for i, d := range list {
		out[i] = browser{
			ID: d.ID.String(), Name: browserName(v.L.Language, d.UserAgent), This: d.ID == this,
			First: d.FirstSeenAt, Last: d.LastSeenAt, Trusted: d.TrustedUntil,
		}
	}
	v.Body = devicesPage{p.accountLink(v.L.Language), out}
	p.render(w, r, http.StatusOK, "devices", v)
}

func (p *accountDevices) forgetDevice(w http.ResponseWriter, r *http.Request, who principal.Principal) {
	id, err := uuid.Parse(r.PostForm.Get("id"))
	if err != nil {
		see(w, "/account/devices")
		return
	}
	err = p.flows.ForgetDevice(r.Context(), who, id)
	if err != nil && fault.KindOf(err) != fault.NotFound { // gone is gone
		p.refusedOwn(w, r, err, "/account/devices")
		return
	}
	see(w, "/account/devices?notice=browser-forgotten")
}
