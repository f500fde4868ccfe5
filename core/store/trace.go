package store

import "context"

// traced is an engine that tells of every statement before it runs. See Config.Trace.
type traced struct {
	engine
	told func(query string)
}

func (e traced) Query(ctx context.Context, query string, args ...any) (Rows, error) {
	e.told(query)
	return e.engine.Query(ctx, query, args...)
}

func (e traced) QueryRow(ctx context.Context, query string, args ...any) Row {
	e.told(query)
	return e.engine.QueryRow(ctx, query, args...)
}

func (e traced) begin(ctx context.Context, serializable bool) (engineTx, error) {
	e.told("BEGIN")
	tx, err := e.engine.begin(ctx, serializable)
	if err != nil {
		return nil, err
	}
	return tracedTx{tx, e.told}, nil
}

type tracedTx struct {
	engineTx
	told func(query string)
}

func (t tracedTx) exec(ctx context.Context, query string, args ...any) (int64, error) {
	t.told(query)
	return t.engineTx.exec(ctx, query, args...)
}

func (t tracedTx) Query(ctx context.Context, query string, args ...any) (Rows, error) {
	t.told(query)
	return t.engineTx.Query(ctx, query, args...)
}

func (t tracedTx) QueryRow(ctx context.Context, query string, args ...any) Row {
	t.told(query)
	return t.engineTx.QueryRow(ctx, query, args...)
}

func (t tracedTx) commit(ctx context.Context) error {
	t.told("COMMIT")
	return t.engineTx.commit(ctx)
}

func (t tracedTx) rollback() error {
	t.told("ROLLBACK")
	return t.engineTx.rollback()
}
