package fault_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/core/fault"
)

func TestFrom(t *testing.T) {
	t.Parallel()
	limited := fault.New(fault.RateLimited, "slow_down", "Try later.").At("email").After(3 * time.Second).Because(errors.New("bucket 7"))
	wrapped := fmt.Errorf("sign in: %w", limited)
	got := fault.From(wrapped)
	if got.Kind != fault.RateLimited || got.Field != "email" || got.RetryAfter != 3*time.Second {
		t.Errorf("From lost something: %+v", got)
	}
	if got.Error() != "email: slow_down: Try later.: bucket 7" {
		t.Errorf("the text for logs is %q", got.Error())
	}
	if !errors.Is(wrapped, fault.New(fault.RateLimited, "slow_down", "")) || errors.Is(wrapped, fault.New(fault.Denied, "slow_down", "")) {
		t.Error("Is compares kind and code")
	}
	other := fault.From(errors.New("SELECT secret FROM account"))
	if other.Kind != fault.Internal || other.Message != "Something went wrong on our side." {
		t.Errorf("an error that is no fault must not be shown: %+v", other)
	}
	if fault.From(nil) != nil || fault.KindOf(nil) != fault.Internal || fault.KindOf(wrapped) != fault.RateLimited {
		t.Error("nil and kinds")
	}
}

func TestError_copies(t *testing.T) {
	t.Parallel()
	base := fault.New(fault.Invalid, "bad", "Bad.")
	_ = base.At("x").After(time.Second).Because(errors.New("y"))
	if base.Field != "" || base.RetryAfter != 0 || errors.Unwrap(base) != nil {
		t.Error("a package variable was changed")
	}
	if fault.Kind(200).String() != "internal" || fault.TooLarge.String() != "too_large" {
		t.Error("names of kinds")
	}
}
