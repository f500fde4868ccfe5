// Package wire copies between the messages of the contract and the structs that plugin authors see, field by field, by name.
//
// UserID and user_id are one name, as are AMR and amr. Times, durations, JSON objects, nested structs, lists and maps of
// such are turned into each other; enums and oneofs are not, and are the caller's, who also has what is tagged `wire:"-"`.
// Alone says what has no counterpart, so that a test can hold that nothing is forgotten. The package refuses to know which
// messages there are.
package wire
