package httpapi

import "github.com/danielgtaylor/huma/v2"

// annotations describes the members of schemas whose types belong to other packages, which say nothing for a document.
var annotations = map[string]map[string]string{
	"AuditRow": {
		"id": "The row's id, a UUIDv7.", "occurred_at": "When it happened, UTC, to the microsecond.", "action": "What happened: a dotted name from the catalogue, or one below a plugin's name.",
		"category": "The action's category.", "crud": "Whether it created, read, updated or deleted: c, r, u or d.", "outcome": "success, failure or error.",
		"reason": "Why it failed, as a code.", "actor": "Who did it.", "impersonator": "The administrator who acted in the actor's name.", "targets": "What it was done to.",
		"organization_id": "The organization it happened in.", "session_id": "The session it happened in.", "request_id": "The request that did it.",
		"correlation_id": "Rows of one flow share it.", "ip": "The client's address.", "user_agent": "The client's user agent.",
		"auth_method": "How the actor had proved who they are (RFC 8176).", "metadata": "What the catalogue allows for this action.", "position": "The row's place in the log in commit order: the id of its message in GET /v1/audit/stream.",
	},
	"Ref": {
		"type": "user, session, organization, operator, system, anonymous and so on.", "id": "Its id; absent for anonymous and system.",
		"role": "Which of several targets it is.", "display": "A label for people; never an address.",
	},
	"RelayCursor": {
		"sink": "The sink's name.", "log": "The log it reads: audit_log or host_event.", "position": "The last row it is done with.", "lag_rows": "Rows after that, wanted or not; counted up to 100000.",
		"lag_seconds": "Age of the oldest of them.", "dead_letters": "Rows it refused for good.", "delivered": "Rows it took, ever.", "attached": "Whether this node could run it.",
		"runner": "The node that runs it.", "runs_here": "Whether that is this node.", "failures": "Deliveries that failed in a row, up to now.", "retry_at": "When it is tried again.",
		"last_error": "Why the last delivery failed.", "last_error_at": "When.", "updated_at": "When it last moved.", "detached_at": "Since when no configuration names it.",
		"held_back": "An open transaction that keeps committed rows from being read.",
	},
	"Holder": {"age": "How long it has been open, in nanoseconds.", "application": "Its application_name.", "database": "The database it is in.", "pid": "Its server process."},
	"DeadLetter": {
		"sink": "The sink.", "id": "The row's id.", "log": "The row's log.", "kind": "The row's action or the event's type.", "position": "The row's place in its log.",
		"reason": "What the sink said.", "attempts": "How often it was delivered.", "failed_at": "When it was last refused.",
	},
}

// annotate puts the descriptions into the document.
func annotate(schemas huma.Registry) {
	for name, members := range annotations {
		s := schemas.Map()[name]
		if s == nil {
			continue
		}
		for member, text := range members {
			p := s.Properties[member]
			if p == nil {
				continue
			}
			if p.Ref != "" {
				// A reference says nothing of its own in huma's schema; wrapped, it can.
				s.Properties[member] = &huma.Schema{AllOf: []*huma.Schema{p}, Description: text}
				continue
			}
			p.Description = text
		}
	}
}
