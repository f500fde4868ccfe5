package httpapi_test

import (
	"testing"

	"github.com/sigra-auth/sigra/core/httpapi"
)

// BenchmarkNew is the API's part of Sigra's start.
func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		if _, err := httpapi.New(httpapi.Config{Callers: strangers(), Administrators: allowed{}}); err != nil {
			b.Fatal(err)
		}
	}
}
