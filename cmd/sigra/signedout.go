package main

import (
	"context"

	"github.com/sigra-auth/sigra/core/pluginhost"
	"github.com/sigra-auth/sigra/core/principal"
)

// signedOuts has plugins end elsewhere what ended here.
type signedOuts struct {
	host func() *pluginhost.Host // set when the server is put together
}

// SignedOut implements web.SignedOuts.
func (s signedOuts) SignedOut(ctx context.Context, who principal.Principal, returnTo string) (frames []string, next string) {
	f := s.host().SignedOut(ctx, who, returnTo)
	return f.Frames, f.Redirect
}
