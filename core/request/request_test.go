package request_test

import (
	"net/netip"
	"testing"

	"github.com/sigra-auth/sigra/core/request"
)

func TestFrom(t *testing.T) {
	t.Parallel()
	if got := request.From(t.Context()); got != (request.Info{}) || got.IPString() != "" {
		t.Errorf("outside of a request: %+v", got)
	}
	want := request.Info{ID: "r1", IP: netip.MustParseAddr("2001:db8::7"), UserAgent: "curl", Language: "de", Operator: "0/root"}
	ctx := request.With(t.Context(), want)
	if got := request.From(ctx); got != want || got.IPString() != "2001:db8::7" {
		t.Errorf("got %+v", got)
	}
}
