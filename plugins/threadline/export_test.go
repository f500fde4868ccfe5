package threadline

import (
	"database/sql"
	"net/url"

	"github.com/sigra-auth/sigra/pluginsdk"
)

// Question is the query that answers a timeline's parameters for a viewer; nil is an administrator.
func Question(d pluginsdk.Dialect, viewer *pluginsdk.Ref, q url.Values, limit int) (text string, args []any, err error) {
	f, err := parseFilter(q, limit)
	if err != nil {
		return "", nil, err
	}
	if viewer != nil {
		f.viewer = &ref{viewer.Type, viewer.ID}
	}
	text, args = (&store{db: (*sql.DB)(nil), dialect: d}).question(f)
	return text, args, nil
}

// ContentHash is what redelivered rows are compared by.
func ContentHash(row pluginsdk.AuditRow) (string, error) {
	in, err := prepare(row)
	return in.hash, err
}

// Names of things that must be in the catalogue.
var (
	Titles     = titles
	Categories = categories
	Browser    = browser
	Words      = words
	Plain      = plain
)
