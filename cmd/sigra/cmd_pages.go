package main

import (
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/sigra-auth/sigra/core/web"
)

func (c *cli) pagesCommand() *cobra.Command {
	return &cobra.Command{
		Use: "pages DIR", Short: "Write the built-in pages into a folder, to start your own from", Args: args(cobra.ExactArgs(1)),
		Long: "Write the built-in templates to DIR/templates, and style sheet, scripts and logo to DIR/assets. Keep the files you change, and name the folder in\n" +
			"the configuration: pages = … . Nothing that is there is overwritten.",
		RunE: func(_ *cobra.Command, a []string) error {
			return c.writeFolders(a[0], map[string]fs.FS{".": web.Builtin()})
		},
	}
}
