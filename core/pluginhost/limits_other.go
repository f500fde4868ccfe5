//go:build unix && !linux

package pluginhost

// Without /proc and prlimit the limits of a block are not held; the log says so at each start.
const limitsHeld = false

func use(int) (usage, bool) { return usage{}, false }

func limitFiles(int, int) error { return nil }
