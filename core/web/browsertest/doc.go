// Package browsertest lets tests use pages in a real Chromium, as people do: tabs with profiles of their own, the steps of a person in
// them, and the looks in which people see them. What the browser's console complains about fails the test.
//
// The tests of a package share one browser, which runs while any of them uses it; starting one takes longer than most tests. A test that
// needs flags of its own gets its own browser.
//
// It refuses to know any page of Sigra's, and to skip: a machine without Chromium fails the tests.
package browsertest
