// Package inspect judges messages of SAML from files, with nothing running: the same verdicts and reasons that the service gives, for
// `sigra relyra inspect` and for the page that shows what went wrong. It opens no connection and remembers nothing.
//
// A connection's file is JSON:
//
//	{
//	  "skew_seconds": 120,
//	  "sp":  {"entity_id": "…", "acs_url": "…", "slo_url": "…", "decryption_key": "sp.key"},
//	  "idp": {"entity_id": "…", "certificates": {"current": "idp.crt"}},
//	  "connection": {"open_requests": ["_id"], "require_signed_assertion": true}
//	}
//
// Files are named from where the connection's file lies; a certificate or a key may also stand there itself, as PEM. The message may be
// XML, a form's value in base64, or the query of a redirect.
package inspect
