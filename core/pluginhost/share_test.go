package pluginhost_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sigra-auth/sigra/core/pluginhost"
	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
)

const kvPut = hostv1.KV_Put_FullMethodName

func shortly() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 100*time.Millisecond)
}

// Before, 64 questions of each plugin were in the database at once, and as many bytes as it liked to send.
func TestShare_aPluginLeavesTheDatabaseToOthers(t *testing.T) {
	t.Parallel()
	enter := pluginhost.Shares()
	var done []func(any)
	for i := range 20 {
		ctx, cancel := shortly()
		end, err := enter(ctx, "greedy", kvPut, nil)
		cancel()
		switch {
		case err == nil:
			done = append(done, end)
		case status.Code(err) != codes.ResourceExhausted:
			t.Fatal(err)
		case i < 4:
			t.Fatalf("refused after %d: %v", i, err)
		}
	}
	if len(done) != 4 {
		t.Errorf("%d at once", len(done))
	}
	ctx, cancel := shortly()
	defer cancel()
	end, err := enter(ctx, "modest", kvPut, nil)
	if err != nil {
		t.Fatalf("another plugin waits for it: %v", err)
	}
	end(nil)
	// What has others asked in between must not wait for what they ask.
	if end, err = enter(ctx, "greedy", hostv1.Gates_Ask_FullMethodName, nil); err != nil {
		t.Fatal(err)
	}
	end(nil)
	for _, d := range done {
		d(nil)
	}
}

func TestShare_callsAndBytesOfASecond(t *testing.T) {
	t.Parallel()
	enter := pluginhost.Shares()
	big := &hostv1.PutRequest{Value: make([]byte, 4<<20)}
	took := 0
	for range 12 {
		ctx, cancel := shortly()
		end, err := enter(ctx, "fat", kvPut, big)
		cancel()
		if err == nil {
			took++
			end(nil)
		} else if status.Code(err) != codes.ResourceExhausted {
			t.Fatal(err)
		}
	}
	if took < 7 || took > 9 {
		t.Errorf("%d messages of 4 MB in no time", took)
	}
	// Answers count as well: reading the whole log in a hurry is no different.
	for i := range 9 {
		ctx, cancel := shortly()
		end, err := enter(ctx, "reader", kvPut, nil)
		cancel()
		if err == nil {
			end(big)
		} else if i < 8 {
			t.Errorf("refused at %d: %v", i, err)
		}
	}
	refused := 0
	for range 5000 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		end, err := enter(ctx, "quick", kvPut, nil)
		cancel()
		if err != nil {
			refused++
			continue
		}
		end(nil)
	}
	if refused == 0 {
		t.Error("calls without end")
	}
	ctx, cancel := shortly()
	defer cancel()
	if end, err := enter(ctx, "modest", kvPut, nil); err != nil {
		t.Errorf("another plugin pays for them: %v", err)
	} else {
		end(nil)
	}
}
