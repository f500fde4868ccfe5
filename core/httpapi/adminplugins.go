package httpapi

import (
	"context"
	"net/http"

	"github.com/sigra-auth/sigra/core/audit"
	"github.com/sigra-auth/sigra/core/endpoint"
	"github.com/sigra-auth/sigra/core/ratelimit"
)

// Plugins is the plugin host as the API needs it. A name that no block and no stored data has is a fault of kind
// NotFound.
type Plugins interface {
	List(ctx context.Context) ([]PluginStatus, error)
	Info(ctx context.Context, name string) (PluginInfo, error)
	// Check starts the plugin beside the running one with the block as it is in the file now, asks it to describe and
	// configure itself, and stops it again. What is wrong is in the diagnostics.
	Check(ctx context.Context, name string) (PluginCheck, error)
	Restart(ctx context.Context, actor audit.Ref, name string) error
	// Purge deletes everything stored for a plugin whose block is gone or disabled; Conflict while it runs.
	Purge(ctx context.Context, actor audit.Ref, name string) error
}

// PluginList is all plugins.
type PluginList struct {
	Plugins []PluginStatus `json:"plugins" doc:"In the order of their blocks."`
}

type pluginPath struct {
	Name string `path:"name" maxLength:"64" pattern:"^[a-z][a-z0-9_-]*$" doc:"The plugin's name." example:"threadline"`
}

// adminPlugins is the administration of plugins.
type adminPlugins struct{ plugins Plugins }

// Mount adds the operations.
func (d adminPlugins) Mount(k *kit) {
	off := d.plugins == nil
	missing := map[int]string{http.StatusNotFound: "There is no such plugin."}
	register(k, operation{
		method: http.MethodGet, path: "/v1/admin/plugins", id: "list-plugins", tag: "plugins", off: off,
		limit: ratelimit.General, access: endpoint.Administrator,
		summary: "List plugins", description: "With their live state on this node.", ok: "All plugins.",
	}, func(ctx context.Context, _ asker, _ *none) (*struct{ Body PluginList }, error) {
		list, err := d.plugins.List(ctx)
		if err != nil {
			return nil, err
		}
		return &struct{ Body PluginList }{PluginList{Plugins: append([]PluginStatus{}, list...)}}, nil
	})
	register(k, operation{
		method: http.MethodGet, path: "/v1/admin/plugins/{name}", id: "get-plugin", tag: "plugins", off: off,
		limit: ratelimit.General, access: endpoint.Administrator,
		summary: "Show a plugin", description: "What it offers, what it may use, and the last lines it logged.", ok: "The plugin.", problems: missing,
	}, func(ctx context.Context, _ asker, in *pluginPath) (*struct{ Body PluginInfo }, error) {
		info, err := d.plugins.Info(ctx, in.Name)
		if err != nil {
			return nil, err
		}
		return &struct{ Body PluginInfo }{info}, nil
	})
	register(k, operation{
		method: http.MethodPost, path: "/v1/admin/plugins/{name}/check", id: "check-plugin", tag: "plugins", off: off,
		limit: ratelimit.General, access: endpoint.Administrator,
		summary: "Check a plugin", description: "Starts the plugin beside the running one with its block as the file has it now, and stops it again. Nothing changes.",
		ok: "What was found.", problems: missing,
	}, func(ctx context.Context, _ asker, in *pluginPath) (*struct{ Body PluginCheck }, error) {
		res, err := d.plugins.Check(ctx, in.Name)
		if err != nil {
			return nil, err
		}
		res.Diagnostics = append([]Diagnostic{}, res.Diagnostics...)
		return &struct{ Body PluginCheck }{res}, nil
	})
	register(k, operation{
		method: http.MethodPost, path: "/v1/admin/plugins/{name}/restart", id: "restart-plugin", tag: "plugins", off: off,
		limit: ratelimit.General, access: endpoint.Administrator,
		summary: "Restart a plugin", description: "Also ends its quarantine.", ok: "The plugin as it is now.", problems: missing,
	}, func(ctx context.Context, who asker, in *pluginPath) (*struct{ Body PluginInfo }, error) {
		if err := d.plugins.Restart(ctx, who.actor(), in.Name); err != nil {
			return nil, err
		}
		info, err := d.plugins.Info(ctx, in.Name)
		if err != nil {
			return nil, err
		}
		return &struct{ Body PluginInfo }{info}, nil
	})
	register(k, operation{
		method: http.MethodDelete, path: "/v1/admin/plugins/{name}/data", id: "purge-plugin", tag: "plugins", off: off, status: http.StatusNoContent,
		limit: ratelimit.General, access: endpoint.Administrator,
		summary: "Delete everything stored for a plugin", description: "Its tables, its small state and its cursors. Only for a plugin whose block is gone or disabled. There is no way back.",
		ok: "Everything is deleted.", problems: map[int]string{http.StatusNotFound: "Nothing is stored for such a plugin.", http.StatusConflict: "The plugin is running."},
	}, func(ctx context.Context, who asker, in *pluginPath) (*empty, error) {
		return nil, d.plugins.Purge(ctx, who.actor(), in.Name)
	})
}
