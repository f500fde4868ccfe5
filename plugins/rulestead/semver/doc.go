// Package semver reads and compares versions by Semantic Versioning 2.0.0 (https://semver.org): precedence counts pre-releases, and
// build metadata never counts.
//
// Parse takes what the specification takes. ParseLoose takes what flagd takes besides: a leading v, and versions of one or two
// numbers, whose other numbers are zero. The package refuses ranges: who needs one combines comparisons.
package semver
