// Package event keeps host-emitted events: what the application tells Sigra under names that are not Sigra's, such as
// billing.subscription.upgraded. They are stored durably and go only to the plugins that subscribed to them. They write
// no audit row and reach no other sink.
//
//	application ── Publish ──▶ host_event ── Read, in commit order ──▶ relay ──▶ plugins that subscribed
//
// An event's id is chosen by the application and is its idempotency key: the same id with the same content is a
// duplicate and stored once, the same id with other content is a conflict and refused. A batch is stored whole or not
// at all. The memory of an id lasts as long as its row: retention forgets both.
//
// Names below any of Sigra's own prefixes are refused, so an application (or whoever stole its key) can never
// make a plugin believe that a sign-in happened.
//
// The package refuses to interpret an event's data.
package event
