package gate

import (
	"context"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/principal"
)

// Describe tells what is kept of a user that gates may decide by: their public and private metadata, as one object. It is asked only where
// somebody answers the question.
type Describe func(ctx context.Context, userID uuid.UUID) (map[string]any, error)

// DescribeWith has every question about a user carry what is kept of them. It is called before anything is asked.
func (t *Table) DescribeWith(d Describe) { t.describe = d }

// described adds to a question what is kept of its user: of who acts, or else of whom it is about. What the one who asks says stays where
// the user's own has no such name.
func (t *Table) described(ctx context.Context, a Ask) (Ask, error) {
	if t.describe == nil {
		return a, nil
	}
	id := uuid.Nil
	switch {
	case a.Principal != nil && a.Principal.Kind == principal.User:
		id = a.Principal.UserID
	case a.Subject.Type == "user":
		id, _ = uuid.Parse(a.Subject.ID) // an unknown user's is none
	}
	if id == uuid.Nil {
		return a, nil
	}
	own, err := t.describe(ctx, id)
	if err != nil {
		return a, err
	}
	all := make(map[string]any, len(own)+len(a.Attributes))
	for k, v := range a.Attributes {
		all[k] = v
	}
	for k, v := range own {
		all[k] = v
	}
	a.Attributes = all
	return a, nil
}
