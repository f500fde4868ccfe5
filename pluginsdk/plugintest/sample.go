package plugintest

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
)

//go:embed testdata/catalogue.json
var catalogueJSON []byte

// Action is an entry of Sigra's catalogue of audit actions.
type Action struct {
	Action   string `json:"action"`
	Category string `json:"category"`
	CRUD     string `json:"crud"`
	Outcome  string `json:"outcome"`
}

// Catalogue is every action that Sigra records, as this version of the SDK knows it.
func Catalogue() []Action {
	var out []Action
	if err := json.Unmarshal(catalogueJSON, &out); err != nil {
		panic(fmt.Sprintf("the embedded catalogue is broken: %v", err)) // it is tested
	}
	return out
}

// Epoch is where every Clock begins.
var Epoch = time.Date(2026, 3, 14, 9, 26, 53, 589793000, time.UTC)

// Clock stands still until it is moved. Its zero value stands at Epoch.
type Clock struct {
	mu    sync.Mutex
	moved time.Duration
}

// Now is the time it shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Epoch.Add(c.moved)
}

// Advance moves it.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moved += d
}

// People to ask as.
var (
	// Ada is a signed-in user.
	Ada = &pluginsdk.Principal{
		Kind: "user", UserID: "0195a4c5-0000-7000-8000-0000000000ad", SessionID: "0195a4c5-0000-7000-8000-00000000005e",
		Email: "ada@example.com", Display: "Ada", AAL: "aal1", AMR: []string{"pwd"}, AuthTime: Epoch,
	}
	// Root is an administrator of Sigra.
	Root = &pluginsdk.Principal{
		Kind: "user", UserID: "0195a4c5-0000-7000-8000-000000000001", SessionID: "0195a4c5-0000-7000-8000-000000000002",
		Email: "root@example.com", Display: "Root", Administrator: true, AAL: "aal2", AMR: []string{"pwd", "otp"}, AuthTime: Epoch,
	}
)

// Rows makes one audit row for every action in the catalogue, all about Ada, a second apart, in the order of delivery.
func Rows() []pluginsdk.AuditRow { return RowsFrom(0, len(Catalogue())) }

// RowsFrom makes n rows, beginning with number first. The same number is always the same row.
func RowsFrom(first, n int) []pluginsdk.AuditRow {
	actions := Catalogue()
	out := make([]pluginsdk.AuditRow, n)
	for i := range out {
		k := first + i
		a := actions[k%len(actions)]
		at := Epoch.Add(time.Duration(k) * time.Second)
		out[i] = pluginsdk.AuditRow{
			ID:         fmt.Sprintf("%08x-%04x-7000-8000-%012x", uint32(at.UnixMilli()>>16), uint16(at.UnixMilli()), k),
			OccurredAt: at, Action: a.Action, Category: a.Category, CRUD: a.CRUD, Outcome: a.Outcome,
			Actor:          pluginsdk.Ref{Type: "user", ID: Ada.UserID, Display: Ada.Display},
			Targets:        []pluginsdk.Ref{{Type: "user", ID: Ada.UserID, Role: "subject"}, {Type: "session", ID: Ada.SessionID}},
			OrganizationID: "0195a4c5-0000-7000-8000-0000000000c0", SessionID: Ada.SessionID,
			RequestID: fmt.Sprintf("req-%d", k), IP: "192.0.2.7", UserAgent: "plugintest/1", AuthMethod: "pwd",
			Metadata: map[string]any{"number": float64(k)}, Position: fmt.Sprintf("%040x", k+1),
		}
		if a.Outcome != "success" {
			out[i].Reason = "sample"
		}
	}
	return out
}

// Events makes n host-emitted events of a type.
func Events(typ string, n int) []pluginsdk.Event {
	out := make([]pluginsdk.Event, n)
	for i := range out {
		at := Epoch.Add(time.Duration(i) * time.Second)
		out[i] = pluginsdk.Event{
			ID: fmt.Sprintf("%s-%d", typ, i), Type: typ, OccurredAt: at, ReceivedAt: at.Add(time.Millisecond), Subject: Ada.UserID,
			Source: "app", Data: fmt.Appendf(nil, `{"number":%d}`, i), Position: fmt.Sprintf("%040x", i+1),
		}
	}
	return out
}

// SampleAsk is a whole question of its kind, asked by Ada.
func SampleAsk(q pluginsdk.Question) pluginsdk.Ask {
	a := pluginsdk.Ask{
		Question: q, Principal: Ada, Subject: pluginsdk.Ref{Type: "user", ID: Ada.UserID}, AttemptID: "attempt-1",
		Request:    pluginsdk.RequestInfo{RequestID: "plugintest", IP: "192.0.2.7", UserAgent: "plugintest", Language: "en"},
		Device:     &pluginsdk.Device{ID: "device-1", Known: true},
		Attributes: map[string]any{"plan": "pro"},
	}
	switch q {
	case pluginsdk.Registration:
		a.Principal, a.Registration = nil, &pluginsdk.RegistrationContext{EmailDomain: "example.com", Via: "form"}
	case pluginsdk.Login:
		a.Login = &pluginsdk.LoginContext{EmailDomain: "example.com", Method: "password", AMR: []string{"pwd"}}
	case pluginsdk.SessionStepUp:
		a.StepUp = &pluginsdk.StepUpContext{Method: "totp", AAL: "aal2"}
	case pluginsdk.MemberAdd, pluginsdk.MemberRemove:
		a.Member = &pluginsdk.MemberContext{
			OrganizationID: "0195a4c5-0000-7000-8000-00000000000f", UserID: Ada.UserID, Email: Ada.Email, Role: "member", Kind: "member", Via: "direct", Members: 3,
		}
	case pluginsdk.UserDelete:
		a.UserDelete = &pluginsdk.UserDeleteContext{EmailDomain: "example.com"}
	case pluginsdk.TokenIssue:
		a.Token = &pluginsdk.TokenContext{Kind: "oauth", ClientID: "app", ClientName: "App", Scopes: []string{"openid"}, Audience: "https://api.example.com"}
	case pluginsdk.RouteAccess:
		a.Route = &pluginsdk.RouteContext{Scheme: "https", Host: "app.example.com", Method: "GET", Path: "/reports"}
	}
	return a
}
