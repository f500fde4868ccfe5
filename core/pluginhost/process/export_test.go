package process

import "os/exec"

// OpenAndSwap opens and hashes path, lets swap do what it wants, and runs what was opened.
func OpenAndSwap(path, pin string, swap func()) (string, error) {
	p, err := (&programs{}).open(path, pin)
	if err != nil {
		return "", err
	}
	defer p.Close()
	swap()
	cmd := &exec.Cmd{Args: []string{path}}
	execDescriptor(cmd, p)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

var ParseLogLine = parseLogLine
