// Package pluginv1 is generated from plugin.proto: the services a plugin serves to Sigra, each a seam with a version of its
// own, and the messages they share.
//
// Plugins in Go don't import it; the package pluginsdk turns it into plain types. It only grows: the golden descriptors in
// pluginsdk/testdata hold every name, number and type that has ever been in it.
package pluginv1
