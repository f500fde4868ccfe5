package relyra

import (
	"slices"
	"strings"

	"github.com/sigra-auth/sigra/plugins/relyra/saml"
)

// methodOf says in the words of RFC 8176 what an authentication context is. What is not here says nothing.
var methodOf = map[string][]string{
	"urn:oasis:names:tc:SAML:2.0:ac:classes:Password":                                {"pwd"},
	"urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport":              {"pwd"},
	"urn:oasis:names:tc:SAML:2.0:ac:classes:X509":                                    {"hwk"},
	"urn:oasis:names:tc:SAML:2.0:ac:classes:TLSClient":                               {"hwk"},
	"urn:oasis:names:tc:SAML:2.0:ac:classes:SmartcardPKI":                            {"sc", "pin", "mfa"},
	"urn:oasis:names:tc:SAML:2.0:ac:classes:MobileTwoFactorContract":                 {"mfa"},
	"urn:oasis:names:tc:SAML:2.0:ac:classes:MobileTwoFactorUnregistered":             {"mfa"},
	"urn:oasis:names:tc:SAML:2.0:ac:classes:TimeSyncToken":                           {"otp"},
	"urn:oasis:names:tc:SAML:2.0:ac:classes:Kerberos":                                {"wia"},
	"urn:federation:authentication:windows":                                          {"wia"},
	"https://refeds.org/profile/mfa":                                                 {"mfa"}, // REFEDS MFA Profile v1.2
	"http://schemas.microsoft.com/claims/multipleauthn":                              {"mfa"},
	"http://schemas.microsoft.com/ws/2008/06/identity/authenticationmethod/password": {"pwd"},
}

// methodsAttribute is where Entra ID and AD FS list every method beside the context.
const methodsAttribute = "http://schemas.microsoft.com/claims/authnmethodsreferences"

// methods are what the identity provider says it checked. Whether two factors are believed is the operator's to say, see the grant
// sessions.assure.
func methods(a *saml.Assertion) []string {
	var out []string
	for _, said := range append([]string{a.AuthnContext}, a.Values(methodsAttribute)...) {
		for _, m := range methodOf[strings.TrimSpace(said)] {
			if !slices.Contains(out, m) {
				out = append(out, m)
			}
		}
	}
	return out
}
