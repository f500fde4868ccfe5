package mailglass

import (
	"math/rand/v2"
	"time"
)

// jitter spreads waits by a fifth, so that what failed together does not come again together.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + time.Duration(rand.Int64N(int64(d)/5+1)) //nolint:gosec // no secret
}
