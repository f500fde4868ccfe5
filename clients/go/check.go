package sigra

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// maxAnswer bounds what is read of an answer.
const maxAnswer = 1 << 20

// Check says whose a request is: ErrNobody for nobody's, any other error where Sigra can't be asked. A bearer token counts before the cookie.
func (c *Client) Check(r *http.Request) (*Session, error) {
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		if strings.Count(bearer, ".") == 2 {
			return c.Verify(r.Context(), bearer)
		}
		return c.ask(r.Context(), "Authorization", "Bearer "+bearer)
	}
	cookie, err := r.Cookie(c.cookie)
	if err != nil || cookie.Value == "" {
		return nil, ErrNobody
	}
	return c.ask(r.Context(), "Cookie", c.cookie+"="+cookie.Value)
}

// answered is what the session check answers.
type answered struct {
	Kind           string    `json:"kind"`
	UserID         string    `json:"user_id"`
	SessionID      string    `json:"session_id"`
	OrganizationID string    `json:"organization_id"`
	Role           string    `json:"role"`
	ImpersonatorID string    `json:"impersonator_id"`
	Email          string    `json:"email"`
	Display        string    `json:"display"`
	AAL            string    `json:"aal"`
	AMR            []string  `json:"amr"`
	AuthTime       time.Time `json:"auth_time"`
	ExpiresAt      time.Time `json:"expires_at"`
}

func (c *Client) ask(ctx context.Context, header, value string) (*Session, error) {
	var a answered
	status, err := c.get(ctx, "/v1/session", &a, header, value)
	switch {
	case err != nil:
		return nil, err
	case status == http.StatusUnauthorized || status == http.StatusOK && (a.Kind != "user" || a.UserID == ""):
		return nil, ErrNobody
	case status != http.StatusOK:
		return nil, fmt.Errorf("sigra: the session check answered %d", status)
	}
	return &Session{
		UserID: a.UserID, SessionID: a.SessionID, Email: a.Email, Name: a.Display, AAL: a.AAL, AMR: a.AMR, AuthTime: a.AuthTime, ExpiresAt: a.ExpiresAt,
		OrganizationID: a.OrganizationID, Role: a.Role, ImpersonatorID: a.ImpersonatorID,
	}, nil
}

// get reads JSON from Sigra. What comes with another status than 200 is not read.
func (c *Client) get(ctx context.Context, path string, into any, header ...string) (status int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.internal+path, nil)
	if err != nil {
		return 0, err
	}
	if c.appKey != "" {
		r.Header.Set("Sigra-Application-Key", c.appKey)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := c.http.Do(r)
	if err != nil {
		return 0, fmt.Errorf("sigra: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer)) // so that the connection can be used again
		return res.StatusCode, nil
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(into); err != nil {
		return 0, fmt.Errorf("sigra: the answer to %s can't be read: %w", path, err)
	}
	return res.StatusCode, nil
}
