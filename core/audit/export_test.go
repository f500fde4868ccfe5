package audit

// QueryText is the SQL that a first page of a filter runs.
func QueryText(f Filter, limit int) (string, []any, error) { return f.sql(cursor{}, limit) }
