// Package relyratest runs a foreign identity provider, SimpleSAMLphp, on loopback, for tests: its XML, its signatures and its
// pages are its own. The configuration in simplesamlphp/ is ours; nothing outside the test's folder is written.
package relyratest
