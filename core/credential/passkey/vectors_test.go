package passkey_test

import (
	"encoding/hex"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/sigra-auth/sigra/core/credential/passkey"
)

// vectors reads the test vectors of WebAuthn L3 §16 out of the source of the library that this module is built with:
// composite literals whose fields are strings.
func vectors(t *testing.T, function string) []map[string]string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/go-webauthn/webauthn").Output()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(strings.TrimSpace(string(dir)), "protocol", "specification_vectors_e2e_test.go")
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out []map[string]string
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Name.Name != function {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			lit, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			v := map[string]string{}
			for _, e := range lit.Elts {
				pair, ok := e.(*ast.KeyValueExpr)
				if !ok {
					continue
				}
				name, ok := pair.Key.(*ast.Ident)
				value, isText := pair.Value.(*ast.BasicLit)
				if ok && isText && value.Kind == token.STRING {
					if v[name.Name], err = strconv.Unquote(value.Value); err != nil {
						t.Fatal(err)
					}
				}
			}
			if v["challenge"] != "" {
				out = append(out, v)
			}
			return true
		})
	}
	if len(out) < 10 {
		t.Fatalf("only %d vectors in %s of %s", len(out), function, path)
	}
	return out
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// notOurs are the registrations that Sigra must refuse, by their beginning: algorithms that it does not offer, pages in
// frames, and attestations whose makers exist in the specification only.
var notOurs = []struct {
	prefix string
	reason passkey.Reason
}{
	{"NoneES256CrossOrigin", passkey.ReasonCrossOrigin}, {"NoneES256TopOrigin", passkey.ReasonCrossOrigin},
	{"PackedES384", passkey.ReasonKey}, {"PackedES512", passkey.ReasonKey}, {"PackedMLDSA", passkey.ReasonKey}, {"PackedEd448", passkey.ReasonKey},
	{"AndroidKey", passkey.ReasonAttestation}, {"TPM", passkey.ReasonAttestation}, {"AppleAnonymous", passkey.ReasonAttestation},
}

func expected(name string) passkey.Reason {
	for _, n := range notOurs {
		if strings.HasPrefix(name, n.prefix) {
			return n.reason
		}
	}
	return ""
}

func vectorJudge(t *testing.T) *passkey.Judge {
	t.Helper()
	j, err := passkey.NewJudge(passkey.Settings{RPID: "example.org", Origin: "https://example.org", CeremonyTTL: passkey.DefaultCeremonyTTL})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func response(t *testing.T, id string, members map[string]string) []byte {
	t.Helper()
	r := map[string]string{}
	for name, value := range members {
		r[name] = b64.EncodeToString(unhex(t, value))
	}
	text := b64.EncodeToString(unhex(t, id))
	b, err := json.Marshal(map[string]any{"id": text, "rawId": text, "type": "public-key", "response": r, "clientExtensionResults": map[string]any{}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestVectors_registration(t *testing.T) {
	t.Parallel()
	j := vectorJudge(t)
	accepted := 0
	for _, v := range vectors(t, "TestSpecVectors_Registration_E2E") {
		answer := response(t, v["credentialID"], map[string]string{"attestationObject": v["attestationObject"], "clientDataJSON": v["clientDataJSON"]})
		reg, err := j.Registration(unhex(t, v["challenge"]), []byte("handle"), answer, false)
		switch want := expected(v["name"]); {
		case want != "":
			refused(t, v["name"], err, want)
		case err != nil:
			t.Errorf("%s: %v", v["name"], err)
		case hex.EncodeToString(reg.CredentialID) != v["credentialID"]:
			t.Errorf("%s: %+v", v["name"], reg)
		default:
			accepted++
		}
		if _, err := j.Registration(make([]byte, 32), []byte("handle"), answer, false); passkey.ReasonOf(err) != passkey.ReasonChallenge {
			t.Errorf("%s with another challenge: %v", v["name"], err)
		}
	}
	t.Logf("%d accepted", accepted)
	if accepted < 6 {
		t.Errorf("only %d accepted", accepted)
	}
}

func TestVectors_login(t *testing.T) {
	t.Parallel()
	j := vectorJudge(t)
	accepted := 0
	for _, v := range vectors(t, "TestSpecVectors_Authentication_E2E") {
		data := unhex(t, v["authenticatorData"])
		reg := passkey.Stored(unhex(t, v["credentialID"]), unhex(t, v["credentialPubKey"]), data[32]&8 != 0)
		members := map[string]string{"authenticatorData": v["authenticatorData"], "clientDataJSON": v["clientDataJSON"], "signature": v["signature"]}
		a, err := j.Login(unhex(t, v["challenge"]), []byte("handle"), response(t, v["credentialID"], members), reg, false)
		if want := expected(v["name"]); want == passkey.ReasonCrossOrigin {
			refused(t, v["name"], err, want)
			continue
		}
		// A key that could not be registered here may verify all the same: registration is where it is refused.
		if err != nil {
			t.Errorf("%s: %v", v["name"], err)
			continue
		}
		if a.UserVerified != (data[32]&4 != 0) {
			t.Errorf("%s: %+v", v["name"], a)
		}
		accepted++
		members["signature"] = v["signature"][:len(v["signature"])-2] + "00"
		if members["signature"] == v["signature"] {
			continue
		}
		if _, err := j.Login(unhex(t, v["challenge"]), []byte("handle"), response(t, v["credentialID"], members), reg, false); passkey.ReasonOf(err) != passkey.ReasonSignature {
			t.Errorf("%s with another signature: %v", v["name"], err)
		}
	}
	t.Logf("%d accepted", accepted)
	if accepted < 8 {
		t.Errorf("only %d accepted", accepted)
	}
}
