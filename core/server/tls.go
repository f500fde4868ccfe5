package server

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// certCheck is how often a handshake looks whether the certificate's files changed.
const certCheck = 10 * time.Second

// Certificate is a certificate and key in files that may be replaced while Sigra runs, as certbot does.
type Certificate struct {
	certFile, keyFile string
	log               hclog.Logger

	mu       sync.Mutex
	cert     *tls.Certificate
	modified [2]time.Time
	looked   time.Time
}

// LoadCertificate reads the pair, and fails if it can't be used.
func LoadCertificate(certFile, keyFile string, log hclog.Logger) (*Certificate, error) {
	if log == nil {
		log = hclog.NewNullLogger()
	}
	c := &Certificate{certFile: certFile, keyFile: keyFile, log: log}
	if err := c.Reload(); err != nil {
		return nil, err
	}
	return c, nil
}

// Reload reads the files anew. When they can't be used, the certificate in use stays.
func (c *Certificate) Reload() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reload()
}

func (c *Certificate) reload() error {
	c.looked = time.Now()
	modified := c.stat()
	cert, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("server.tls: %w", err)
	}
	c.cert, c.modified = &cert, modified
	return nil
}

func (c *Certificate) stat() (m [2]time.Time) {
	for i, name := range []string{c.certFile, c.keyFile} {
		if fi, err := os.Stat(name); err == nil {
			m[i] = fi.ModTime()
		}
	}
	return m
}

func (c *Certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) > certCheck {
		c.looked = time.Now()
		if c.stat() != c.modified {
			if err := c.reload(); err != nil {
				c.log.Error("certificate not reloaded; the one before stays in use", "error", err)
			} else {
				c.log.Info("certificate reloaded", "cert_file", c.certFile)
			}
		}
	}
	return c.cert, nil
}

// Wrap makes a listener speak TLS with the certificate. TLS 1.2 is the least (ASVS 5.0 12.1.1; RFC 9325 §3.1.1), and
// Go's defaults choose the suites.
func (c *Certificate) Wrap(l net.Listener) net.Listener {
	return tls.NewListener(l, &tls.Config{
		MinVersion: tls.VersionTLS12, GetCertificate: c.get, NextProtos: []string{"h2", "http/1.1"},
	})
}
