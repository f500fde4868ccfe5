package pluginhost

import "time"

// timing is what tests make shorter.
type timing struct {
	health  time.Duration // between two checks
	backoff time.Duration // the first
	sink    time.Duration
	head    time.Duration // of a route: to the answer's first byte
	idle    time.Duration // of a route: between two frames

	transactions    time.Duration // between two looks at those of plugins
	transaction     time.Duration // how long one may take
	idleTransaction time.Duration // how long one may rest
}

func defaultTiming() timing {
	return timing{health: healthEvery, backoff: firstBackoff, sink: sinkTimeout, head: headTimeout, idle: idleTimeout,
		transactions: lookEvery, transaction: maxTransaction, idleTransaction: maxIdle}
}
