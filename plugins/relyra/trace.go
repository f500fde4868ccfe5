package relyra

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/plugins/relyra/saml"
)

// Trace is what became of one response, in an administrator's words.
type Trace struct {
	ID           uuid.UUID `json:"id"`
	ConnectionID uuid.UUID `json:"connection_id"`
	OccurredAt   time.Time `json:"occurred_at"`
	Step         string    `json:"step"`           // how far it came: decode, validate, signature, replay, map, session
	Gate         saml.Gate `json:"gate,omitempty"` // what refused it
	Detail       string    `json:"detail,omitempty"`
	Expected     string    `json:"expected,omitempty"`
	Received     string    `json:"received,omitempty"`
	Subject      string    `json:"subject,omitempty"`
	MintID       string    `json:"-"`
	// Outcome is what became of a sign-in at Sigra: signed_in, tested, refused or expired; empty while that is open, and where it never came so far.
	Outcome       string `json:"outcome,omitempty"`
	OutcomeReason string `json:"outcome_reason,omitempty"`
}

// stepOf says where on its way a message meets a gate.
func stepOf(gate saml.Gate) string {
	switch gate {
	case saml.GateTooLarge, saml.GateEncoding, saml.GateDoctype, saml.GateComment, saml.GateNotWellFormed, saml.GateNamespace, saml.GateTooDeep, saml.GateTooMany,
		saml.GateBinding, saml.GateDuplicateParameter:
		return "decode"
	case saml.GateNoCertificate, saml.GateCertificateExpired, saml.GateSignatureMissing, saml.GateSignatureCount, saml.GateSignaturePosition, saml.GateSignatureMalformed,
		saml.GateAlgorithm, saml.GateTransform, saml.GateReferenceCount, saml.GateReferenceURI, saml.GateDigestOfEmptyInput, saml.GateDigestMismatch,
		saml.GateSignatureInvalid, saml.GateEncryptionMalformed, saml.GateDecryptionFailed:
		return "signature"
	case saml.GateReplay:
		return "replay"
	case gateEmail, gateDomain, gateIdentity:
		return "map"
	case gateSession:
		return "session"
	}
	return "validate"
}

// The gates after those of the package saml.
const (
	gateEmail    saml.Gate = "email"
	gateDomain   saml.Gate = "domain"
	gateIdentity saml.Gate = "identity"
	gateSession  saml.Gate = "session"
)

func (s *store) trace(ctx context.Context, t Trace) error {
	_, err := s.db.ExecContext(ctx, `INSERT INTO relyra_trace (id, connection_id, occurred_at, step, gate, detail, expected, received, subject, mint_id)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		t.ID.String(), t.ConnectionID.String(), t.OccurredAt.UnixMicro(), t.Step, string(t.Gate), t.Detail, t.Expected, t.Received, t.Subject, t.MintID)
	if err != nil {
		return fmt.Errorf("write trace: %w", err)
	}
	return nil
}

// traces are the last of a connection, the newest first.
func (s *store) traces(ctx context.Context, connection uuid.UUID, most int) ([]Trace, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT id, occurred_at, step, gate, detail, expected, received, subject, mint_id, outcome, outcome_reason FROM relyra_trace
		WHERE connection_id = $1 ORDER BY id DESC LIMIT $2`, connection.String(), most)
	if err != nil {
		return nil, fmt.Errorf("read traces: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var out []Trace
	for rows.Next() {
		t := Trace{ConnectionID: connection}
		var id string
		var at int64
		if err := rows.Scan(&id, &at, &t.Step, &t.Gate, &t.Detail, &t.Expected, &t.Received, &t.Subject, &t.MintID, &t.Outcome, &t.OutcomeReason); err != nil {
			return nil, fmt.Errorf("read traces: %w", err)
		}
		if t.ID, err = uuid.Parse(id); err != nil {
			return nil, fmt.Errorf("read traces: %w", err)
		}
		t.OccurredAt = time.UnixMicro(at).UTC()
		out = append(out, t)
	}
	return out, rows.Err()
}
