// Package part is how a package joins Sigra: one registration says everything that has to be done for it, so that nothing
// can be forgotten in one of several lists.
//
//	Part ──┬── Schema (what is true before anything is open)
//	       │     Migrations, Personal and Impersonal tables, Sealed columns
//	       │
//	       └── Open ──▶ Hooks (what an open part can do)
//	             Run and Clean in the background, Reload, Export and Erase of a person, Close
//
// A package that owns tables says so with a function Schema of its own. cmd/sigra lists the parts from the ground up, as a part may use
// those before it; a Set holds the open ones and walks them: Open, Reload and Export in that order, Erase and Close in the
// opposite one.
//
// A table is personal when a row of it is about a person, be it under a pseudonym or as a hash of something that could be guessed. A
// part with such a table can't be opened without Export and Erase, and a test holds that each table of both databases belongs to
// exactly one part.
//
// The package refuses to know any part, to read the configuration, and to decide who may be erased and when: that is a flow's.
package part
