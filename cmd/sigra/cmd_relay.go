package main

import "github.com/spf13/cobra"

func (c *cli) relayCommand() *cobra.Command {
	return group("relay", "Delivery of the audit log and of events to plugins")
}
