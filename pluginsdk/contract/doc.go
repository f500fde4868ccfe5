// Package contract says what both ends of the contract hold a plugin to: the host, and the fake host of plugintest. What one of them
// refuses the other refuses for the same reason, because they ask here.
package contract
