//go:build unix && !linux

package process

// Without /proc and prlimit the limits of a block are not held; the log says so at each start.
const limitsHeld = false

func use(int) (Usage, bool) { return Usage{}, false }

func limitFiles(int, int) error { return nil }
