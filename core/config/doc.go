// Package config turns sigra.hcl into typed settings.
//
// The file is HCL. Load and Parse read it, check every setting, and return either a *Config that holds together or
// the list of everything that is wrong with it: all mistakes at once, each a Diagnostic with its file, line and column, the
// source line with a caret, what was expected and, where a word is nearly right, "did you mean".
//
//	bytes --scan--> tokens --parse--> blocks --decode--> Config --check--> settings that agree with each other
//	          |               |                  |                  |
//	     too deep, too    syntax errors     unknown, wrong     contradictions
//	     big, loops                         type, range
//
// Each step runs on what the one before could make sense of, so one missing brace does not hide five misspelled settings.
//
// Two functions are known: env("NAME") and file("path"). Values that came out of them are never repeated in a message, and
// a source line that holds a secret is shown with the secret taken out.
//
// What is inside a plugin block belongs to two owners. The host's own settings (source, sha256, grants …) are decoded here. The
// nested config block is the plugin's: it is kept undecoded in Plugin.Config, and Plugin.Decode reads it once the plugin
// has said what it takes, with the same functions and the same diagnostics.
//
// The package refuses to start anything, to open the database or to know which plugins exist. It touches the disk
// only to read what the file names (file("…"), certificates, the checksum of an unpinned plugin).
package config
