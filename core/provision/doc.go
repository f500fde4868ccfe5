// Package provision makes and changes accounts and memberships for an organization's own directory (SCIM), which a plugin speaks for. An
// entry of a directory has an id of its own; the package keeps which account that is.
//
//	                     no account has the address ──▶ made: active where the organization has proven the domain, else unconfirmed
//	Put, a new id ───────┤
//	                     an account has it ──┬─ the organization has proven the domain ──▶ it is that account
//	                                         └─ else ──▶ account.ErrEmailTaken: nobody gets an account by naming its address
//
//	Put, a known id ─────▶ address, name, metadata ─┐  of an account that was made for the directory and is unconfirmed still, or
//	SetActive ───────────▶ the account stops, or    ├─ whose address lies in a proven domain; of any other only the membership
//	                       lives again              ┘
//
// An administrator of Sigra is nobody's directory's: nothing of theirs is changed but a membership. What the directory has not stopped it
// does not start again, so that an account which somebody else disabled stays so.
//
// Every change is one transaction with its audit row. Ways into an organization and out of it are core/membership's, with their gates. The
// package refuses to know what a plugin's grants are: its callers looked.
package provision
