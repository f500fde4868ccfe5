// Package erasure owns what plugins have yet to remove of people whose accounts were deleted.
//
//	the deletion's transaction ──Enqueue──▶ a row per plugin ──Due──▶ the plugin is asked ──Done──▶ gone
//	                                                          ▲            │ it can't, or is not there
//	                                                          └────────────┘ later, for as long as it takes
//
// There is a row for each plugin of the configuration, running or not: one that was down or disabled at the deletion is asked when it is
// back. Whom a row is about is sealed, and goes with the row.
//
// The package refuses to know how a plugin is asked.
package erasure
