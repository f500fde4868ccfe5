package plugintest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sigra-auth/sigra/pluginsdk"
	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
)

type fakeKV struct {
	hostv1.UnimplementedKVServer
	f *Fake
}

type kvEntry struct {
	value   []byte
	version int64
	expires time.Time
}

func (s fakeKV) live(key string) (kvEntry, bool) {
	e, ok := s.f.kv[key]
	return e, ok && (e.expires.IsZero() || s.f.Clock.Now().Before(e.expires))
}

func (s fakeKV) Get(_ context.Context, req *hostv1.GetRequest) (*hostv1.GetResponse, error) {
	e, ok := s.live(req.GetKey())
	if !ok {
		return &hostv1.GetResponse{}, nil
	}
	return &hostv1.GetResponse{Entry: &hostv1.Entry{Key: req.GetKey(), Value: e.value, Version: e.version}}, nil
}

func (s fakeKV) Put(_ context.Context, req *hostv1.PutRequest) (*hostv1.PutResponse, error) {
	if k := len(req.GetKey()); k == 0 || k > 512 || len(req.GetValue()) > 64<<10 {
		return nil, status.Error(codes.InvalidArgument, "a key has 1 to 512 bytes, a value at most 64 KiB")
	}
	e, ok := s.live(req.GetKey())
	if !ok {
		e = kvEntry{}
	}
	if want := req.GetIfVersion(); want != pluginsdk.AnyVersion && want != e.version {
		return &hostv1.PutResponse{Version: e.version}, nil
	}
	s.f.version++
	e = kvEntry{value: req.GetValue(), version: s.f.version}
	if ttl := req.GetTtl().AsDuration(); ttl > 0 {
		e.expires = s.f.Clock.Now().Add(ttl)
	}
	put(&s.f.kv, req.GetKey(), e)
	return &hostv1.PutResponse{Stored: true, Version: e.version}, nil
}

func (s fakeKV) Delete(_ context.Context, req *hostv1.DeleteRequest) (*hostv1.DeleteResponse, error) {
	e, ok := s.live(req.GetKey())
	if !ok || (req.GetIfVersion() != pluginsdk.AnyVersion && req.GetIfVersion() != e.version) {
		return &hostv1.DeleteResponse{}, nil
	}
	delete(s.f.kv, req.GetKey())
	return &hostv1.DeleteResponse{Deleted: true}, nil
}

func (s fakeKV) List(_ context.Context, req *hostv1.ListRequest) (*hostv1.ListResponse, error) {
	resp := &hostv1.ListResponse{}
	for _, key := range slices.Sorted(maps.Keys(s.f.kv)) {
		e, ok := s.live(key)
		if !ok || !strings.HasPrefix(key, req.GetPrefix()) || key <= req.GetAfter() {
			continue
		}
		if len(resp.Entries) == int(req.GetLimit()) {
			break
		}
		resp.Entries = append(resp.Entries, &hostv1.Entry{Key: key, Value: e.value, Version: e.version})
	}
	return resp, nil
}
