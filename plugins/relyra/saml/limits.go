package saml

// Limits bound what one message may cost before anything in it is trusted.
type limits struct {
	bytes      int // of the XML
	elements   int
	depth      int
	attributes int // of one element
	prefixes   int // declared in the whole document
}

var (
	// messageLimits hold for responses and logout messages. The largest real ones carry a few hundred groups.
	messageLimits = limits{bytes: 1 << 20, elements: 5_000, depth: 32, attributes: 32, prefixes: 16}

	// metadataLimits hold for metadata, which an administrator chose to load: federations publish aggregates.
	metadataLimits = limits{bytes: 5 << 20, elements: 100_000, depth: 32, attributes: 64, prefixes: 64}
)

const (
	maxEncryptedKeys = 4  // each one that is tried costs an RSA operation for each of our keys
	maxPrefixList    = 16 // names in one InclusiveNamespaces PrefixList
	maxRelayState    = 80 // bytes (bindings §3.4.3)
)
