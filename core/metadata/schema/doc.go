// Package schema reads JSON objects with bounds on what they may cost, and holds them against JSON Schemas.
//
// A schema is the operator's, and is trusted to be sensible; what is held against it is anybody's. Schemas refer to
// themselves and to the drafts' own meta-schemas, and to nothing else: no reference is ever fetched, from the network or from
// disk. A refusal names the place as a JSON Pointer (RFC 6901) and the rule, never a value.
package schema
