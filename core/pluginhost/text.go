package pluginhost

import "github.com/sigra-auth/sigra/core/pluginhost/process"

// printable drops from a plugin's text what could steer a terminal or fake another line of the log.
func printable(s string) string { return process.Printable(s) }
