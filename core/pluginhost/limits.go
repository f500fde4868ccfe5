package pluginhost

import (
	"fmt"
	"syscall"
	"time"

	"github.com/sigra-auth/sigra/core/config"
)

// How closely a plugin's process is held to the limits of its block. None of it needs a privilege: what is resident and
// what was used is read from the kernel, and a process group of one's own may be paused and killed.
const (
	watchEvery = 250 * time.Millisecond // memory
	cpuEvery   = 50 * time.Millisecond
	longPause  = 500 * time.Millisecond // well below a health check's deadline
	cpuBurst   = time.Second            // of unused share that may be spent at once
)

// usage is what a process and its living children have used.
type usage struct {
	memory int64         // bytes resident; shared pages count in each process
	cpu    time.Duration // since they began
}

// watch holds the process to its limits until it has ended.
//
// Memory over the limit is the end of the process: a Go program can't be told to live with less, and RLIMIT_AS counts
// address space, of which Go reserves much more than it uses. Too much CPU pauses the group: a token bucket fills with
// the share, and while it is empty the group is stopped. When this host dies in such a pause, the kernel continues a
// group that lost its last tie to its session, and the lifeline ends it.
func (p *process) watch(l config.PluginLimits, ended <-chan struct{}) {
	every := watchEvery
	if l.CPU > 0 {
		every = cpuEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	budget, last, before := time.Duration(float64(cpuBurst)*l.CPU), time.Now(), time.Duration(0)
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
		}
		u, ok := use(p.pid)
		if !ok {
			continue // it is ending
		}
		if l.Memory > 0 && u.memory > l.Memory {
			p.condemn("memory", fmt.Sprintf("killed: it used %s of memory, and its block allows %s", config.FormatSize(u.memory>>20<<20), config.FormatSize(l.Memory)))
			return
		}
		if l.CPU <= 0 {
			continue
		}
		now := time.Now()
		budget += time.Duration(float64(now.Sub(last)) * l.CPU)
		budget = min(budget, time.Duration(float64(cpuBurst)*l.CPU))
		budget -= max(u.cpu-before, 0) // children that ended take theirs with them
		last, before = now, u.cpu
		if budget < 0 {
			p.pause(min(time.Duration(float64(-budget)/l.CPU), longPause), ended)
		}
	}
}

// pause stops the process group for a while.
func (p *process) pause(d time.Duration, ended <-chan struct{}) {
	if syscall.Kill(-p.pid, syscall.SIGSTOP) != nil {
		return
	}
	p.paused.Add(int64(d))
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ended:
	case <-t.C:
	}
	_ = syscall.Kill(-p.pid, syscall.SIGCONT)
}

// condemn kills the process group for a reason that is kept for the operator.
func (p *process) condemn(why, text string) {
	select {
	case <-p.exited:
		return
	default:
	}
	if p.sentence.CompareAndSwap(nil, &sentence{text}) && p.killed != nil {
		p.killed(why)
	}
	p.killGroup()
}

// sentence is why the host killed a process.
type sentence struct{ text string }

// measure puts what a plugin uses into the metrics.
func (p *plugin) measure(in *instance) {
	if u, ok := use(in.proc.pid); ok {
		p.host.metrics.memory.WithLabelValues(p.name).Set(float64(u.memory))
		p.host.metrics.cpu.WithLabelValues(p.name).Set(u.cpu.Seconds())
	}
}
