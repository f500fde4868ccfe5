package process

import (
	"fmt"
	"time"

	"github.com/sigra-auth/sigra/core/config"
)

// watchEvery is how often the memory of a process is looked at.
const watchEvery = 250 * time.Millisecond

// Usage is what a process and its living children have used.
type Usage struct {
	Memory int64         // bytes resident; shared pages count in each process
	CPU    time.Duration // since they began
}

// Usage reads what the process uses; ok is false when it is gone, or where it can't be known.
func (p *Process) Usage() (u Usage, ok bool) { return use(p.pid) }

// watchMemory ends the process when it uses more memory than its block allows: a Go program can't be told to live with
// less, and RLIMIT_AS counts address space, of which Go reserves much more than it uses.
func (p *Process) watchMemory(limit int64, ended <-chan struct{}) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
		}
		if u, ok := use(p.pid); ok && u.Memory > limit {
			p.killFor("memory", fmt.Sprintf("killed: it used %s of memory, and its block allows %s", config.FormatSize(u.Memory>>20<<20), config.FormatSize(limit)))
			return
		}
	}
}
