package config

import _ "embed"

//go:embed example.hcl
var example string

// Example returns a configuration file that shows every setting with its default, commented for people. `sigra init` writes
// it, and sigra.hcl.example at the root of the repository is a copy. It runs as it stands: Default, and the timeline plugin.
func Example() string { return example }
