package process

import (
	"os"
	"strconv"
	"syscall"
)

// keepDescriptors marks every descriptor of this process as its own, so that a child gets none but those it is given.
// Go marks what it opens; what Sigra was itself started with (a shell's redirection, a supervisor's pipe or socket) is
// not marked, and would be open in every plugin.
func keepDescriptors() error {
	open, err := os.ReadDir("/dev/fd")
	if err != nil {
		return err
	}
	for _, e := range open {
		if n, err := strconv.Atoi(e.Name()); err == nil && n > 2 {
			syscall.CloseOnExec(n)
		}
	}
	return nil
}
