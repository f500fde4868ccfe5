package part

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/sigra-auth/sigra/core/store"
)

// Schema is what a package keeps in the database.
type Schema struct {
	Migrations store.Source
	Personal   []string       // tables that hold something about a person
	Impersonal []string       // the others
	Sealed     []SealedColumn // sealed anew after the keys were rotated
}

// SealedColumn is one column of values that the keyring has sealed.
type SealedColumn struct {
	// Name is the table and the column: "mail_queue.payload".
	Name string
	// Select gives the next rows' ids (UUID) and sealed values, by rising id: $1 is the id to start after, $2 the
	// number of rows. NULLs must be left out.
	Select string
	// Update replaces one value if it is still the one that was read: $1 the id, $2 the old value, $3 the new one.
	Update string
}

// Purpose is what the value in a row is sealed for: its column and its row. Whoever can write the table, and nothing else, can't put
// one row's value into another (ASVS 5.0 11.2.1, 11.3.3).
func (c SealedColumn) Purpose(id uuid.UUID) string { return c.Name + "/" + id.String() }

// Migrations lists the migrations of all parts.
func Migrations[H, C any](parts []Part[H, C]) []store.Source {
	var out []store.Source
	for _, p := range parts {
		if p.Schema.Migrations != nil {
			out = append(out, p.Schema.Migrations)
		}
	}
	return out
}

// check finds what is wrong with parts by themselves: names and tables belong to one of them each.
func check[H, C any](parts []Part[H, C]) error {
	names, tables := map[string]bool{}, map[string]string{}
	for _, p := range parts {
		if p.Name == "" || names[p.Name] {
			return fmt.Errorf("part %q: every part has a name of its own", p.Name)
		}
		names[p.Name] = true
		for _, list := range [][]string{p.Schema.Personal, p.Schema.Impersonal} {
			for _, t := range list {
				if other, taken := tables[t]; taken {
					return fmt.Errorf("part %q: the table %s belongs to part %q", p.Name, t, other)
				}
				tables[t] = p.Name
			}
		}
	}
	return nil
}
