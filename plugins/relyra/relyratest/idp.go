package relyratest

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"embed"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"html"
	"io"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

//go:embed simplesamlphp
var configuration embed.FS

// root is where Debian's package lies.
const root = "/usr/share/simplesamlphp/www"

// IdP is SimpleSAMLphp as it runs. People are alice, bob and admin, each with the password NAME-pass and an address at corp.example.
type IdP struct {
	URL string
	t   testing.TB
	dir string
	sps map[string]ServiceProvider
}

// ServiceProvider is what the identity provider is told of one.
type ServiceProvider struct {
	ACS               string `json:"AssertionConsumerService"`
	SLO               string `json:"SingleLogoutService,omitempty"`
	Certificate       string `json:"certData,omitempty"` // base64
	ValidateRequests  bool   `json:"validate.authnrequest,omitempty"`
	EncryptAssertions bool   `json:"assertion.encryption,omitempty"`
	SignAssertion     *bool  `json:"saml20.sign.assertion,omitempty"`
	SignResponse      *bool  `json:"saml20.sign.response,omitempty"`
	Algorithm         string `json:"signature.algorithm,omitempty"`
}

// New starts one; it ends with the test. Without SimpleSAMLphp the test fails: .ci/tools installs it.
func New(t testing.TB) *IdP {
	t.Helper()
	php, err := exec.LookPath("php")
	if _, missing := os.Stat(root); err != nil || missing != nil {
		t.Fatal("SimpleSAMLphp and php are missing: .ci/tools installs them (apt-get install --no-install-recommends simplesamlphp php-cli php-xml php-sqlite3 php-mbstring php-curl)")
	}
	i := &IdP{t: t, dir: t.TempDir(), sps: map[string]ServiceProvider{}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	_, port, err := net.SplitHostPort(address)
	i.must(err)
	i.URL = "http://localhost:" + port // another site than 127.0.0.1, to browsers
	i.prepare()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, php, "-d", "variables_order=EGPCS", "-d", "error_reporting=0", "-d", "display_errors=0", "-S", address, "-t", root)
	cmd.Env = append(os.Environ(), "IDP_URL="+i.URL, "IDP_STATE="+i.dir, "SP_JSON="+filepath.Join(i.dir, "sp.json"), "SIMPLESAMLPHP_CONFIG_DIR="+filepath.Join(i.dir, "simplesamlphp"))
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	deadline := time.Now().Add(60 * time.Second)
	for { // another process is waited for; nothing tells us
		res, err := http.Get(i.URL + "/saml2/idp/metadata.php") //nolint:noctx // of a test
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return i
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("SimpleSAMLphp does not answer: %v", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// prepare lays out its folder: configuration, key, and no service provider yet.
func (i *IdP) prepare() {
	i.t.Helper()
	for _, folder := range []string{"cert", "log", "data", "tmp", "sessions"} {
		i.must(os.MkdirAll(filepath.Join(i.dir, folder), 0o700))
	}
	i.must(fs.WalkDir(configuration, "simplesamlphp", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := configuration.ReadFile(path)
		if err != nil {
			return err
		}
		to := filepath.Join(i.dir, path)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		return os.WriteFile(to, b, 0o600)
	}))
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	i.must(err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "idp.example"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	i.must(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	i.must(err)
	i.must(os.WriteFile(filepath.Join(i.dir, "cert", "idp.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	i.must(os.WriteFile(filepath.Join(i.dir, "cert", "idp.crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600))
	i.write()
}

func (i *IdP) must(err error) {
	i.t.Helper()
	if err != nil {
		i.t.Fatal(err)
	}
}

func (i *IdP) write() {
	i.t.Helper()
	b, err := json.Marshal(i.sps)
	i.must(err)
	i.must(os.WriteFile(filepath.Join(i.dir, "sp.json"), b, 0o600))
}

// Trust tells it of a service provider, or of a change of one.
func (i *IdP) Trust(entityID string, sp ServiceProvider) {
	i.t.Helper()
	i.sps[entityID] = sp
	i.write()
}

// Metadata is what it publishes about itself.
func (i *IdP) Metadata() string {
	i.t.Helper()
	res, err := http.Get(i.URL + "/saml2/idp/metadata.php") //nolint:noctx // of a test
	i.must(err)
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	i.must(err)
	return string(b)
}

// Answer is the form that it has a browser post.
type Answer struct {
	Action string
	Form   url.Values
}

var (
	hidden = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`)
	action = regexp.MustCompile(`<form[^>]* action="([^"]+)"`)
)

// SignIn goes where the service provider sent a browser, signs somebody in on its page, and gives what the browser is to post.
func (i *IdP) SignIn(location, user, password string) Answer {
	i.t.Helper()
	jar, err := cookiejar.New(nil)
	i.must(err)
	browser := &http.Client{Jar: jar, Timeout: 30 * time.Second}
	page, at := i.read(browser.Get(location)) //nolint:noctx // of a test
	fields := fieldsOf(page)
	fields.Set("username", user)
	fields.Set("password", password)
	at.RawQuery = ""
	page, _ = i.read(browser.PostForm(at.String(), fields)) //nolint:noctx // of a test
	m := action.FindStringSubmatch(page)
	if m == nil || !strings.Contains(page, "SAMLResponse") {
		i.t.Fatalf("SimpleSAMLphp signed nobody in:\n%s\n%s", page, i.log())
	}
	return Answer{Action: html.UnescapeString(m[1]), Form: fieldsOf(page)}
}

func (i *IdP) read(res *http.Response, err error) (string, *url.URL) {
	i.t.Helper()
	i.must(err)
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	i.must(err)
	if res.StatusCode != http.StatusOK {
		i.t.Fatalf("SimpleSAMLphp: %s\n%s\n%s", res.Status, b, i.log())
	}
	at := *res.Request.URL
	return string(b), &at
}

func (i *IdP) log() string {
	b, _ := os.ReadFile(filepath.Join(i.dir, "log", "simplesamlphp.log"))
	return fmt.Sprintf("its log:\n%s", b)
}

func fieldsOf(page string) url.Values {
	fields := url.Values{}
	for _, m := range hidden.FindAllStringSubmatch(page, -1) {
		fields.Set(html.UnescapeString(m[1]), html.UnescapeString(m[2]))
	}
	return fields
}
