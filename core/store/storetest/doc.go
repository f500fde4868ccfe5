// Package storetest gives tests real databases: a SQLite file and a Postgres database each, migrated and empty, that nobody else
// uses until the test ends.
//
// A migrated Postgres database is copied from a template once and then lent to one test after the other, emptied in between: creating
// and dropping one took most of the time of a test of SQL. Databases are kept apart by the migrations in them and locked by the process
// that has them, so that packages tested at the same time share the pool. One whose schema a test has changed is made anew.
//
// Postgres is either the cluster that SIGRA_TEST_POSTGRES names (the url of a superuser) or a private one, made on
// first use below the temporary folder and shared by all test processes of the same user, so that `go test ./...`
// needs no preparation. It survives between runs; a dead or broken one is thrown away and made anew, and databases
// that killed tests left behind are dropped. Its durability is switched off: a test that kills the database itself
// starts its own cluster with StartPostgres.
//
//	state folder  <tmp>/sigra-test-postgres-<uid>/
//	  lock        held while the cluster is looked for, made or cleaned
//	  url         the superuser's url, with a random password; 0600
//	  data/       the cluster, owned by "postgres" when the tests run as root (Postgres refuses root)
//	  own-*/      clusters of StartPostgres, removed when the process that made them is gone
//
// Missing Postgres programs fail the test and say what to install. They never skip it: a suite that passed on one
// database has not passed.
//
// The package refuses to be anything but a test's helper: only _test files and benchmarks import it.
package storetest
