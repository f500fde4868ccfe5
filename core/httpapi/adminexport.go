package httpapi

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// Exports gathers what is held of one person.
type Exports interface {
	// Export gives it, and writes an audit row. A NotFound fault for what is no account.
	Export(ctx context.Context, actor audit.Ref, userID uuid.UUID) (Export, error)
}

// Export is everything that is held of one person, without credentials.
type Export struct {
	Held    map[string]any `json:"held" doc:"What Sigra holds, by the part that holds it."`
	Plugins map[string]any `json:"plugins" doc:"What plugins hold, by the names of their blocks."`
	Missing []string       `json:"missing,omitempty" doc:"Plugins that did not answer: what they hold is not in here. Try again."`
}

// adminExport is the export of accounts.
type adminExport struct{ exports Exports }

// Mount adds the operation.
func (d adminExport) Mount(k *kit) {
	register(k, operation{
		method: http.MethodGet, path: "/v1/admin/users/{user_id}/export", id: "export-user", tag: "users", off: d.exports == nil,
		limit: ratelimit.General, access: endpoint.Administrator, recent: true,
		summary:     "Export everything that is held of a person",
		description: "What Sigra and its plugins hold of the person, for them: no passwords, secrets or other credentials. It is audited as account.export.",
		ok:          "The person's data.", problems: map[int]string{http.StatusNotFound: "There is no such account."},
	}, func(ctx context.Context, who asker, in *userPath) (*struct{ Body Export }, error) {
		out, err := d.exports.Export(ctx, who.actor(), in.ID)
		if err != nil {
			return nil, err
		}
		return &struct{ Body Export }{out}, nil
	})
}
