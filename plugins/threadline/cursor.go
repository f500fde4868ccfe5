package threadline

import (
	"encoding/base64"
	"encoding/binary"
	"errors"

	"github.com/google/uuid"
)

// cursor is a place between two entries of any timeline: the key of one of them.
type cursor struct {
	occurredAt int64
	auditID    string
}

func cursorOf(e Entry) *cursor {
	return &cursor{occurredAt: e.OccurredAt.UnixMicro(), auditID: e.AuditID}
}

// String gives the opaque text a client hands back. It holds nothing that the entry itself does not show.
func (c *cursor) String() string {
	if c == nil {
		return ""
	}
	id := uuid.MustParse(c.auditID)
	b := binary.BigEndian.AppendUint64(nil, uint64(c.occurredAt))
	return base64.RawURLEncoding.EncodeToString(append(b, id[:]...))
}

var errCursor = errors.New("this is not a cursor that a timeline gave out")

// parseCursor reads what String wrote; the empty text is no place.
func parseCursor(s string) (*cursor, error) {
	if s == "" {
		return nil, nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != 24 {
		return nil, errCursor
	}
	id, err := uuid.FromBytes(b[8:])
	if err != nil {
		return nil, errCursor
	}
	at := int64(binary.BigEndian.Uint64(b))
	if at < 0 {
		return nil, errCursor
	}
	return &cursor{occurredAt: at, auditID: id.String()}, nil
}
