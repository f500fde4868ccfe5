package main

import (
	"math/rand/v2"

	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // the codec that understands questions
	"google.golang.org/grpc/mem"
)

// noise is a gRPC codec that understands what comes in and answers with bytes that mean nothing.
type noise struct{}

var _ encoding.CodecV2 = noise{}

func (noise) Name() string { return "proto" }

func (noise) Marshal(any) (mem.BufferSlice, error) {
	b := make([]byte, 64)
	for i := range b {
		b[i] = byte(rand.Uint32()) | 0x80 // a varint without an end
	}
	return mem.BufferSlice{mem.SliceBuffer(b)}, nil
}

func (noise) Unmarshal(data mem.BufferSlice, v any) error {
	return encoding.GetCodecV2("proto").Unmarshal(data, v)
}
