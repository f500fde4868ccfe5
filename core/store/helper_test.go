package store_test

import "runtime"

func goexit() { runtime.Goexit() }
