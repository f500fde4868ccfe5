package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
)

// profileEnv names, without its end, the file that a server writes its CPU profile to.
const profileEnv = "SIGRA_TEST_PROFILE"

// profiled is main with a CPU profile and, at the end, a profile of what was allocated.
func profiled(base string) int {
	base += "_" + strconv.Itoa(os.Getpid())
	f, err := os.Create(base + ".cpu")
	if err == nil {
		err = pprof.StartCPUProfile(f)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := run(context.Background(), os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr})
	pprof.StopCPUProfile()
	_ = f.Close()
	if f, err = os.Create(base + ".mem"); err == nil {
		runtime.GC()
		_ = pprof.Lookup("allocs").WriteTo(f, 0)
		_ = f.Close()
	}
	return code
}
