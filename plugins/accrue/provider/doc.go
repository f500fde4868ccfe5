// Package provider verifies what billing providers send to Accrue's webhooks: Stripe, Paddle, anybody who signs Standard Webhooks,
// and another Sigra.
//
// A verifier judges the bytes that came, before anything reads them, and gives the id by which the provider calls the
// event: the same event comes again and again, signed anew each time. Every secret that is set is tried, so that one can be
// replaced by another; an empty one never verifies.
//
//	stripe              Stripe-Signature: t=…,v1=…      HMAC-SHA256 of "t.body"
//	paddle              Paddle-Signature: ts=…;h1=…     HMAC-SHA256 of "ts:body"
//	standard_webhooks   webhook-id, -timestamp, -signature
//	sigra               Sigra-Webhook-Id, -Timestamp, -Signature: v1=…   HMAC-SHA256 of "id.timestamp.body"
//
// The package does not know what an event means, and keeps nothing.
package provider
