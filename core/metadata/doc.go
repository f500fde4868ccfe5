// Package metadata owns what an application and its administrators keep with an account, and what people keep with their own:
// JSON objects in three scopes.
//
//	scope     read by                                        written by
//	public    the account's owner, the application           the application, administrators
//	private   administrators                                 administrators
//	user      the account's owner, the application           the account's owner, the application, administrators
//
// Who is who is the callers' to say. Each object has a size and, as the operator wishes, a JSON Schema, held against it as it
// would be after the change. It is replaced as a whole or by a merge patch (RFC 7396), and every change raises its
// version: whoever says which version they saw changes nothing else.
//
// A schema counts for what is written from then on; what is stored already stays as it is until it is changed.
//
// The package refuses to know what the objects mean, and writes no audit row: each change takes the transaction of the flow
// that audits it, and gives the names of the members that changed, which is all that may be written down.
package metadata
