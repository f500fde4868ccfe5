package inspect_test

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/sigra-auth/sigra/plugins/relyra/inspect"
	"github.com/sigra-auth/sigra/plugins/relyra/saml"
)

// TestProducts: metadata and a response in the shape of each of ten products are accepted, and read as their documentation says.
func TestProducts(t *testing.T) {
	t.Parallel()
	var all struct {
		Clock  time.Time `json:"clock"`
		Shapes []struct {
			Product         string   `json:"product"`
			IdP             string   `json:"idp_entity_id"`
			SSO             string   `json:"sso_url"`
			ACS             string   `json:"acs_url"`
			SP              string   `json:"sp_entity_id"`
			NameID          string   `json:"name_id"`
			Email           string   `json:"email"`
			EmailAttribute  string   `json:"email_attribute"`
			Groups          []string `json:"groups"`
			GroupsAttribute string   `json:"groups_attribute"`
			Files           struct {
				Metadata string `json:"metadata"`
				Response string `json:"response"`
			} `json:"files"`
		} `json:"shapes"`
	}
	read(t, filepath.Join(vectors, "products/index.json"), &all)
	if len(all.Shapes) != 10 {
		t.Fatalf("%d products", len(all.Shapes))
	}
	for _, shape := range all.Shapes {
		t.Run(shape.Product, func(t *testing.T) {
			t.Parallel()
			m, err := saml.ReadMetadata(all.Clock, content(t, "products/"+shape.Files.Metadata), saml.Trust{})
			if err != nil {
				t.Fatal(err)
			}
			if m.EntityID != shape.IdP || m.SSO[0].Location != shape.SSO {
				t.Errorf("metadata of %q at %+v, want %q at %q", m.EntityID, m.SSO, shape.IdP, shape.SSO)
			}
			file, err := inspect.Load(filepath.Join(vectors, "index.json"))
			if err != nil {
				t.Fatal(err)
			}
			file = file.With(inspect.State{OpenRequests: []string{"_req-5f1c2d"}})
			file.SP.EntityID, file.SP.ACS, file.IdP.EntityID = shape.SP, shape.ACS, shape.IdP
			got, err := file.Judge(all.Clock, inspect.Response, content(t, "products/"+shape.Files.Response))
			if err != nil || got.Verdict != "accept" {
				t.Fatalf("%+v %v", got, err)
			}
			if got.Identity.Value != shape.NameID {
				t.Errorf("signed in %q, want %q", got.Identity.Value, shape.NameID)
			}
			a := saml.Assertion{Attributes: got.Identity.Attributes}
			if email := a.Values(shape.EmailAttribute); !slices.Equal(email, []string{shape.Email}) {
				t.Errorf("email %q, want %q", email, shape.Email)
			}
			if groups := a.Values(shape.GroupsAttribute); shape.GroupsAttribute != "" && !slices.Equal(groups, shape.Groups) {
				t.Errorf("groups %q, want %q", groups, shape.Groups)
			}
		})
	}
}
