package pluginhost

import "github.com/sigra-auth/sigra/core/part"

// Schema says what the package keeps. Only the plugin itself knows whom its values are about, so it is the plugin that erases them.
func Schema() part.Schema {
	return part.Schema{Migrations: Migrations, Impersonal: []string{"plugin_kv", "plugin_link", "plugin_use", "plugin_hop"}, Sealed: []part.SealedColumn{sealedLinks}}
}
