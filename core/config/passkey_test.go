package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sigra-auth/sigra/core/config"
)

// aboutPasskeys leaves out what is said of other things that have no name yet.
func aboutPasskeys(t *testing.T, src string) (out config.Diagnostics) {
	t.Helper()
	_, ds := parse(t, src)
	for _, d := range ds {
		if strings.HasPrefix(d.Setting, "passkey.") {
			out = append(out, d)
		}
	}
	return out
}

func TestPasskey_rpID(t *testing.T) {
	t.Parallel()
	at := func(host string) string {
		return in("server.base_url", fmt.Sprintf("%q", "https://"+host)) + in("mail.dev", "false")
	}
	for src, want := range map[string]string{
		"":                                   "localhost",
		in("server.listen", `"localhost:0"`): "localhost",
		at("id.example.com"):                 "id.example.com",
		at("ID.Example.com:8443"):            "id.example.com",
		at("intranet"):                       "intranet",
		at("id.example.com") + in("passkey.rp_id", `"example.com"`):      "example.com",
		at("id.example.com") + in("passkey.rp_id", `"ID.EXAMPLE.COM"`):   "id.example.com",
		at("a.b.example.co.uk") + in("passkey.rp_id", `"example.co.uk"`): "example.co.uk",
		at("me.github.io") + in("passkey.rp_id", `"me.github.io"`):       "me.github.io",
		in("server.listen", `"127.0.0.1:8484"`):                          "",
		at("192.0.2.1"):                                                  "",
		at("[2001:db8::1]"):                                              "",
	} {
		c, ds := parse(t, src)
		if ds.HasErrors() || c.Passkey.RPID != want || c.Passkey.Enabled != (want != "") {
			t.Errorf("%s: %+v, want %q\n%s", src, c, want, ds)
		}
	}
	for src, want := range map[string]string{
		at("id.example.com") + in("passkey.rp_id", `"example.org"`):               "neither id.example.com nor",
		at("id.example.com") + in("passkey.rp_id", `"ample.com"`):                 "neither id.example.com nor",
		at("id.example.com") + in("passkey.rp_id", `"a.id.example.com"`):          "neither id.example.com nor",
		at("id.example.com") + in("passkey.rp_id", `"com"`):                       "nobody can own",
		at("id.example.co.uk") + in("passkey.rp_id", `"co.uk"`):                   "nobody can own",
		at("me.github.io") + in("passkey.rp_id", `"github.io"`):                   "nobody can own",
		at("192.0.2.1") + in("passkey.rp_id", `"example.com"`):                    "is an IP address",
		in("passkey.rp_id", `"127.0.0.1"`):                                        "is an IP address",
		in("passkey.rp_id", `"https://example.com"`):                              "is an address, not a domain",
		in("passkey.rp_id", `"localhost:8484"`):                                   "is no domain",
		in("passkey.rp_id", `""`):                                                 "is no domain",
		in("passkey.rp_id", `"exämple.com"`):                                      "is no domain",
		in("passkey.related_origins", `["http://example.com"]`):                   "must be https",
		in("passkey.related_origins", `["example.com"]`):                          "has no scheme",
		in("passkey.related_origins", `["https://example.com/login"]`):            "must end after the host",
		in("passkey.related_origins", `["https://192.0.2.1"]`):                    "IP address",
		in("passkey.related_origins", `["http://localhost:8484"]`):                "base_url among them",
		in("passkey.related_origins", `["https://a.de", "https://A.de:443"]`):     "twice",
		in("passkey.allowed_aaguids", `["00000000-0000-0000-0000-000000000000"]`): "no AAGUID",
		in("passkey.allowed_aaguids", `["ee882879721c491397753dfcce97072a"]`):     "no AAGUID",
		in("passkey.related_origins", `["https://a.de", "https://b.de", "https://c.de", "https://d.de", "https://e.de", "https://f.de"]`): "6 different names",
	} {
		ds := aboutPasskeys(t, src)
		if len(ds) != 1 || !ds.HasErrors() || !strings.Contains(ds.String(), want) {
			t.Errorf("%s: want one error with %q:\n%s", src, want, ds)
		}
	}
	if ds := aboutPasskeys(t, at("192.0.2.1")+in("passkey.enabled", "true")); len(ds) != 1 || ds.HasErrors() || !strings.Contains(ds.String(), "there are no passkeys at an IP address") {
		t.Errorf("want a warning:\n%s", ds)
	}
	five := in("passkey.related_origins", `["https://example.de", "https://www.example.fr", "https://example.co.uk:8443", "https://b.de", "https://c.de", "https://d.de", "https://e.de"]`)
	if c := valid(t, five); len(c.Passkey.RelatedOrigins) != 7 || c.Passkey.RelatedOrigins[2] != "https://example.co.uk:8443" {
		t.Errorf("%+v", c.Passkey)
	}
	c := valid(t, in("passkey.allowed_aaguids", `["EE882879-721C-4913-9775-3DFCCE97072A"]`))
	if len(c.Passkey.AllowedAAGUIDs) != 1 || c.Passkey.AllowedAAGUIDs[0].String() != "ee882879-721c-4913-9775-3dfcce97072a" {
		t.Errorf("%+v", c.Passkey)
	}
	c = valid(t, "passkey {\n enabled = false\n require_user_verification = true\n block_on_regression = true\n}")
	if p := c.Passkey; p.Enabled || !p.RequireUserVerification || !p.BlockOnRegression || p.MaxPerAccount != config.Default().Passkey.MaxPerAccount {
		t.Errorf("%+v", p)
	}
}
