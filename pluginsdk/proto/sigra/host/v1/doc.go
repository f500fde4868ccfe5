// Package hostv1 is generated from host.proto: the services Sigra serves to a plugin, one server per plugin, each service
// behind one grant.
//
// Plugins in Go don't import it; *pluginsdk.Host turns it into plain types. It only grows, as package pluginv1 does.
package hostv1
