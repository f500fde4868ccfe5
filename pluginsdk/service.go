package pluginsdk

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	hostv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/host/v1"
)

// Service is something a plugin may ask of Sigra. Its text is the grant that opens it.
type Service string

// The host services. Name them in Manifest.Requires or Manifest.Wants.
const (
	IdentityRead  Service = "identity.read"  // Host.Identity
	SessionsWrite Service = "sessions.write" // Host.Sessions
	AuditRecord   Service = "audit.record"   // Host.Audit: Record
	AuditRead     Service = "audit.read"     // Host.Audit: Read
	EventsPublish Service = "events.publish" // Host.Events
	MailSend      Service = "mail.send"      // Host.Mail
	SealService   Service = "seal"           // Host.Seal
	LeaseService  Service = "lease"          // Host.Lease
	KVService     Service = "kv"             // Host.KV
	PagesService  Service = "pages"          // Host.Pages
)

// services maps each to the gRPC service that serves it: one grant, one service.
var services = []struct {
	grant Service
	grpc  string
}{
	{IdentityRead, hostv1.Identity_ServiceDesc.ServiceName},
	{SessionsWrite, hostv1.Sessions_ServiceDesc.ServiceName},
	{AuditRecord, hostv1.Audit_ServiceDesc.ServiceName},
	{AuditRead, hostv1.AuditLog_ServiceDesc.ServiceName},
	{EventsPublish, hostv1.Events_ServiceDesc.ServiceName},
	{MailSend, hostv1.Mail_ServiceDesc.ServiceName},
	{SealService, hostv1.Seal_ServiceDesc.ServiceName},
	{LeaseService, hostv1.Lease_ServiceDesc.ServiceName},
	{KVService, hostv1.KV_ServiceDesc.ServiceName},
	{PagesService, hostv1.Pages_ServiceDesc.ServiceName},
}

// Services are all host services, in the order of the documentation.
func Services() []Service {
	out := make([]Service, len(services))
	for i, s := range services {
		out[i] = s.grant
	}
	return out
}

// GRPC is the full name of the gRPC service behind s, empty for one this SDK does not know.
func (s Service) GRPC() string {
	for _, x := range services {
		if x.grant == s {
			return x.grpc
		}
	}
	return ""
}

// ServiceOf is the host service that a full gRPC service name stands for.
func ServiceOf(grpcName string) (Service, bool) {
	for _, x := range services {
		if x.grpc == grpcName {
			return x.grant, true
		}
	}
	return "", false
}

// NotGrantedError says that a host service was asked for without its grant.
type NotGrantedError struct {
	Service Service
	Plugin  string   // the label of the plugin's block
	Grants  []string // what the block grants already
}

// Error names the grant and the line to paste.
func (e *NotGrantedError) Error() string {
	return fmt.Sprintf("plugin %q is not granted %q; in its block in sigra.hcl write: %s", e.Plugin, e.Service, e.Line())
}

// Line is the grants attribute with the missing grant in it.
func (e *NotGrantedError) Line() string {
	all := append([]string{string(e.Service)}, e.Grants...)
	sort.Strings(all)
	all = slices.Compact(all)
	for i, g := range all {
		all[i] = fmt.Sprintf("%q", g)
	}
	return "grants = [" + strings.Join(all, ", ") + "]"
}
