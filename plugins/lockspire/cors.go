package lockspire

import (
	"net/http"
	"slices"
)

// cors lets the pages of single-page applications call the endpoints for programs: from the origins of their redirect URIs, without cookies. It
// reports whether the request was a preflight, which it has answered then.
func (in *programs) cors(w http.ResponseWriter, r *http.Request) (preflight bool, err error) {
	w.Header().Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	preflight = r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
	if origin != "" {
		var known bool
		if known, err = in.browserOrigin(r, origin); known {
			w.Header().Set("Access-Control-Allow-Origin", origin)
			w.Header().Set("Access-Control-Expose-Headers", "WWW-Authenticate, Retry-After")
			if preflight {
				w.Header().Set("Access-Control-Allow-Methods", "GET, POST")
				w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
				w.Header().Set("Access-Control-Max-Age", "600")
			}
		}
	}
	if preflight {
		w.WriteHeader(http.StatusNoContent)
	}
	return preflight, err
}

func (in *programs) browserOrigin(r *http.Request, origin string) (bool, error) {
	after := ""
	for {
		clients, err := in.store.clients(r.Context(), after, pageLimit)
		if err != nil {
			return false, err
		}
		for _, c := range clients {
			after = c.ID
			if c.Kind == Browser && !c.Disabled && slices.ContainsFunc(c.Config.RedirectURIs, func(u string) bool { return originOf(u) == origin }) {
				return true, nil
			}
		}
		if len(clients) < pageLimit {
			return false, nil
		}
	}
}

// pageLimit is how many rows a list shows or reads at once.
const pageLimit = 100
