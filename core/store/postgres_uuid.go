package store

import (
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

// uuidCodec lets uuid.UUID travel in binary. Without it pgx finds that the type can read and write itself as text and goes
// by way of that, which costs more than the rest of a row.
type uuidCodec struct{ pgtype.UUIDCodec }

func registerUUID(m *pgtype.Map) {
	m.RegisterType(&pgtype.Type{Name: "uuid", OID: pgtype.UUIDOID, Codec: uuidCodec{}})
}

func (c uuidCodec) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if _, ok := value.(uuid.UUID); ok && format == pgtype.BinaryFormatCode {
		return uuidPlan{}
	}
	return c.UUIDCodec.PlanEncode(m, oid, format, value)
}

func (c uuidCodec) PlanScan(m *pgtype.Map, oid uint32, format int16, target any) pgtype.ScanPlan {
	if format == pgtype.BinaryFormatCode {
		switch target.(type) {
		case *uuid.UUID, **uuid.UUID:
			return uuidPlan{}
		}
	}
	return c.UUIDCodec.PlanScan(m, oid, format, target)
}

type uuidPlan struct{}

func (uuidPlan) Encode(value any, buf []byte) ([]byte, error) {
	u := value.(uuid.UUID)
	return append(buf, u[:]...), nil
}

// Scan leaves a uuid.UUID as it is when the column is NULL, as its own Scan does.
func (uuidPlan) Scan(src []byte, target any) error {
	if src != nil && len(src) != len(uuid.UUID{}) {
		return fmt.Errorf("a UUID of %d bytes", len(src))
	}
	switch t := target.(type) {
	case *uuid.UUID:
		copy(t[:], src)
	case **uuid.UUID:
		*t = nil
		if src != nil {
			u := uuid.UUID(src)
			*t = &u
		}
	}
	return nil
}
