package pluginhost

import (
	"context"

	"google.golang.org/grpc"

	"github.com/sigra-auth/sigra/core/topic"
	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
)

// Topics tells all nodes that something has changed; core/topic is one.
type Topics interface {
	Notify(ctx context.Context, space, name, payload string) error
	Watch(ctx context.Context, space, name string, f func(topic.Change) error) error
}

type topicsService struct {
	hostv1.UnimplementedTopicsServer
	*hostServices
}

// space is where a plugin's topics are: no other plugin hears of them.
func (s topicsService) space() string { return "plugin/" + s.name() }

func (s topicsService) Notify(ctx context.Context, r *hostv1.NotifyRequest) (*hostv1.NotifyResponse, error) {
	if s.h.cfg.Topics == nil {
		return nil, missing("topics")
	}
	return &hostv1.NotifyResponse{}, s.h.cfg.Topics.Notify(ctx, s.space(), r.GetTopic(), r.GetPayload())
}

// Watch goes on until the plugin ends it, or the process ends.
func (s topicsService) Watch(r *hostv1.WatchRequest, stream grpc.ServerStreamingServer[hostv1.WatchResponse]) error {
	if s.h.cfg.Topics == nil {
		return missing("topics")
	}
	return s.h.cfg.Topics.Watch(stream.Context(), s.space(), r.GetTopic(), func(c topic.Change) error {
		return stream.Send(&hostv1.WatchResponse{Payload: c.Payload, Reread: c.Reread})
	})
}
