package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

var shells = []string{"bash", "zsh", "fish", "powershell"}

const completionHelp = `Print a script that completes sigra's commands and flags in your shell.

  bash        source <(sigra completion bash)
  zsh         source <(sigra completion zsh)
  fish        sigra completion fish | source
  powershell  sigra completion powershell | Out-String | Invoke-Expression

To have it in every new shell, put that line into your shell's start-up file.`

func (c *cli) completionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "completion SHELL", Short: "Print shell completion: bash, zsh, fish or powershell", Long: completionHelp, Args: args(cobra.ExactArgs(1)),
		ValidArgs: shells, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, a []string) error {
			root := cmd.Root()
			switch a[0] {
			case "bash":
				return root.GenBashCompletionV2(c.out, true)
			case "zsh":
				return root.GenZshCompletion(c.out)
			case "fish":
				return root.GenFishCompletion(c.out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(c.out)
			}
			return exitError{2, fmt.Errorf("there is no completion for %q; there is for %s", printable(a[0]), strings.Join(shells, ", "))}
		},
	}
}
