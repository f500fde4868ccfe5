package keyring_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/sigra-auth/sigra/core/keyring"
	"github.com/sigra-auth/sigra/core/part"
	"github.com/sigra-auth/sigra/core/secret"
	"github.com/sigra-auth/sigra/core/store"
	"github.com/sigra-auth/sigra/core/store/storetest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("SIGRA_TEST_KEYRING_DIR"); dir != "" { // this is a child of TestOpen_manyProcessesAgree
		os.Exit(child(dir))
	}
	goleak.VerifyTestMain(m)
}

// child opens the ring as a process of its own and prints the root key's fingerprint and a keyed hash.
func child(dir string) int {
	ctx := context.Background()
	db, err := store.Open(ctx, store.Config{DataDir: dir})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer func() { _ = db.Close() }()
	r, err := keyring.Open(ctx, keyring.Config{DB: db, DataDir: dir})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Printf("%s %x\n", r.Root(), r.MAC("test", []byte("x")))
	return 0
}

var sealedTable = fstest.MapFS{"migrations/2020010101_sealed.sql": {Data: []byte("-- +goose Up\nCREATE TABLE sealed (id UUID PRIMARY KEY, value BYTEA);\n")}}

var sources = []store.Source{keyring.Migrations, sealedTable}

func open(t testing.TB, db *store.DB, cfg keyring.Config) *keyring.Ring {
	t.Helper()
	cfg.DB = db
	if cfg.Root.IsZero() && cfg.DataDir == "" {
		cfg.DataDir = t.TempDir()
	}
	r, err := keyring.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func opens(r *keyring.Ring, sealed []byte, purpose, want string, wantStale bool) error {
	plain, stale, err := r.Open(sealed, purpose)
	if err != nil || string(plain) != want || stale != wantStale {
		return fmt.Errorf("%q, stale %t, %w; want %q, stale %t", plain, stale, err, want, wantStale)
	}
	return nil
}

func rotate(t testing.TB, r *keyring.Ring) keyring.Key {
	t.Helper()
	k, err := r.Rotate(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSealAndOpen(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		r := open(t, db, keyring.Config{})
		for _, plain := range []string{"", "x", strings.Repeat("long ", 10_000)} {
			sealed := r.Seal([]byte(plain), "totp")
			if len(sealed) != len(plain)+keyring.Overhead {
				t.Errorf("%d bytes became %d", len(plain), len(sealed))
			}
			if err := opens(r, sealed, "totp", plain, false); err != nil {
				t.Fatal(err)
			}
			if bytes.Equal(sealed, r.Seal([]byte(plain), "totp")) {
				t.Error("sealed twice, it looks the same")
			}
			for _, purpose := range []string{"", "totp ", "plugin.relyra/totp"} {
				if _, _, err := r.Open(sealed, purpose); !errors.Is(err, keyring.ErrSealed) {
					t.Errorf("opened for %q: %v", purpose, err)
				}
			}
		}
		sealed := r.Seal([]byte("secret"), "totp")
		for i := range sealed {
			for _, bit := range []byte{1, 0x80} {
				bent := bytes.Clone(sealed)
				bent[i] ^= bit
				if _, _, err := r.Open(bent, "totp"); !errors.Is(err, keyring.ErrSealed) {
					t.Fatalf("byte %d bent: %v", i, err)
				}
			}
			if _, _, err := r.Open(sealed[:i], "totp"); !errors.Is(err, keyring.ErrSealed) {
				t.Fatalf("cut to %d bytes: %v", i, err)
			}
		}
	})
}

func TestMAC(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, store.SQLite, sources...)
	root := keyring.NewRoot()
	r := open(t, db, keyring.Config{Root: root})
	a := r.MAC("email", []byte("x"))
	if len(a) != 32 || bytes.Equal(a, r.MAC("emai", []byte("lx"))) || bytes.Equal(a, r.MAC("email2", []byte("x"))) || bytes.Equal(a, r.MAC("email", []byte("y"))) {
		t.Error("purposes or messages are not kept apart")
	}
	rotate(t, r)
	if !bytes.Equal(a, r.MAC("email", []byte("x"))) || !bytes.Equal(a, open(t, db, keyring.Config{Root: root}).MAC("email", []byte("x"))) {
		t.Error("the hash changed with a rotation or a restart")
	}
}

func TestRotate(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		ctx, root := context.Background(), keyring.NewRoot()
		r := open(t, db, keyring.Config{Root: root})
		old := r.Seal([]byte("old"), "p")
		var recorded keyring.Key
		k, err := r.Rotate(ctx, func(_ context.Context, tx *store.Tx, made keyring.Key) error {
			recorded = made
			var n int
			return tx.QueryRow(ctx, "SELECT count(*) FROM keyring_key WHERE id = $1 AND state = 'active'", made.ID).Scan(&n)
		})
		if err != nil || k != recorded || k.State != "active" {
			t.Fatal(err, k, recorded)
		}
		if err := errors.Join(opens(r, old, "p", "old", true), opens(r, r.Seal([]byte("new"), "p"), "p", "new", false)); err != nil {
			t.Fatal(err)
		}
		keys := r.Keys()
		if len(keys) != 2 || keys[0].ID != k.ID || keys[0].State != "active" || keys[1].State != "retired" || keys[0].CreatedAt.IsZero() {
			t.Fatalf("%+v", keys)
		}
		// What the caller records is part of it: if that fails, nothing has happened.
		no := errors.New("audit refused")
		if _, err := r.Rotate(ctx, func(context.Context, *store.Tx, keyring.Key) error { return no }); !errors.Is(err, no) {
			t.Fatal(err)
		}
		if len(r.Keys()) != 2 || r.Keys()[0].ID != k.ID {
			t.Fatal("a rotation that failed took effect")
		}
		// After a restart all is as it was.
		again := open(t, db, keyring.Config{Root: root})
		if err := opens(again, old, "p", "old", true); err != nil || again.Keys()[0].ID != k.ID {
			t.Fatal(err)
		}
	})
}

func TestRotate_otherNodesFollow(t *testing.T) {
	t.Parallel()
	for _, d := range storetest.Migrated(t, sources...) {
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			root := keyring.NewRoot()
			a := open(t, storetest.Dial(t, d.URL), keyring.Config{Root: root})
			b := open(t, storetest.Dial(t, d.URL), keyring.Config{Root: root})
			if err := opens(b, a.Seal([]byte("first"), "p"), "p", "first", false); err != nil {
				t.Fatal(err)
			}
			rotate(t, a)
			// b has never heard of the key and finds it in the table.
			if err := opens(b, a.Seal([]byte("second"), "p"), "p", "second", false); err != nil {
				t.Fatal(err)
			}
			rotate(t, b)
			if err := a.Refresh(context.Background()); err != nil || a.Keys()[0].ID != b.Keys()[0].ID {
				t.Fatal("not the same active key", err)
			}
			// Both at once, several times: one is active in the end and everything opens everywhere.
			var mu sync.Mutex
			var sealed [][]byte
			var wg sync.WaitGroup
			for _, r := range []*keyring.Ring{a, b} {
				wg.Go(func() {
					for range 5 {
						rotate(t, r)
						mu.Lock()
						sealed = append(sealed, r.Seal([]byte("x"), "p"))
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			for _, r := range []*keyring.Ring{a, b} {
				if err := r.Refresh(context.Background()); err != nil {
					t.Fatal(err)
				}
				active := 0
				for _, k := range r.Keys() {
					if k.State == "active" {
						active++
					}
				}
				if active != 1 || len(r.Keys()) != 13 {
					t.Errorf("%d active of %d", active, len(r.Keys()))
				}
				for _, s := range sealed {
					if _, _, err := r.Open(s, "p"); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
}

// Invented key ids don't become a query each.
func TestOpen_floodOfUnknownKeys(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, store.SQLite, sources...)
	r := open(t, db, keyring.Config{})
	sealed := r.Seal([]byte("x"), "p")
	start := time.Now()
	for range 20_000 {
		id := uuid.New()
		copy(sealed[1:], id[:])
		if _, _, err := r.Open(sealed, "p"); !errors.Is(err, keyring.ErrSealed) {
			t.Fatal(err)
		}
	}
	if d := time.Since(start); d > 30*time.Second {
		t.Errorf("20000 unknown keys took %s", d)
	}
}

func reseal(t testing.TB, ctx context.Context, r *keyring.Ring) (keyring.Resealed, error) {
	t.Helper()
	return r.Reseal(ctx, []part.SealedColumn{{
		Name:   "sealed.value",
		Select: `SELECT id, value FROM sealed WHERE id > $1 AND value IS NOT NULL ORDER BY id LIMIT $2`,
		Update: `UPDATE sealed SET value = $3 WHERE id = $1 AND value = $2`,
	}})
}

// ending is an output that ends something when it is written to.
type ending func()

func (e ending) Write(p []byte) (int, error) { e(); return len(p), nil }

func TestReseal(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		ctx, root := context.Background(), keyring.NewRoot()
		r := open(t, db, keyring.Config{Root: root})
		ids := make([]uuid.UUID, 350)
		err := db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
			for i := range ids {
				if i == 150 {
					if _, err := tx.Exec(ctx, "INSERT INTO sealed (id, value) VALUES ($1, $2)", uuid.Must(uuid.NewV7()), []byte("garbage")); err != nil {
						return err
					}
				}
				ids[i] = uuid.Must(uuid.NewV7())
				if _, err := tx.Exec(ctx, "INSERT INTO sealed (id, value) VALUES ($1, $2)", ids[i], r.Seal([]byte(ids[i].String()), "sealed.value/"+ids[i].String())); err != nil {
					return err
				}
			}
			_, err := tx.Exec(ctx, "INSERT INTO sealed (id, value) VALUES ($1, NULL)", uuid.Must(uuid.NewV7()))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		rotate(t, r)
		// Killed after the first batch: a new process begins again and finishes.
		killed, kill := context.WithCancel(ctx)
		r = open(t, db, keyring.Config{Root: root, Logger: hclog.New(&hclog.LoggerOptions{Output: ending(kill)})}) // at the garbage
		_, err = r.Reseal(killed, []part.SealedColumn{{
			Name:   "sealed.value",
			Select: `SELECT id, value FROM sealed WHERE id > $1 AND value IS NOT NULL ORDER BY id LIMIT $2`,
			Update: `UPDATE sealed SET value = $3 WHERE id = $1 AND value = $2`,
		}})
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		r = open(t, db, keyring.Config{Root: root})
		got, err := reseal(t, ctx, r)
		if want := (keyring.Resealed{Seen: 351, Changed: 250, Failed: 1}); err != nil || got != want {
			t.Fatalf("%+v, want %+v, %v", got, want, err)
		}
		if got, err := reseal(t, ctx, r); err != nil || got.Changed != 0 {
			t.Fatalf("%+v, %v", got, err)
		}
		for _, id := range ids {
			var value []byte
			if err := db.QueryRow(ctx, "SELECT value FROM sealed WHERE id = $1", id).Scan(&value); err != nil {
				t.Fatal(err)
			}
			if err := opens(r, value, "sealed.value/"+id.String(), id.String(), false); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestRootKey_changes(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		first, second := keyring.NewRoot(), keyring.NewRoot()
		r := open(t, db, keyring.Config{Root: first})
		sealed, hash := r.Seal([]byte("x"), "p"), r.MAC("p", []byte("x"))
		rotate(t, r)
		if _, err := keyring.Open(ctx, keyring.Config{DB: db, Root: second}); err == nil || !strings.Contains(err.Error(), r.Root()) || !strings.Contains(err.Error(), "old_root_keys") {
			t.Fatal("a wrong root key:", err)
		}
		r = open(t, db, keyring.Config{Root: second, OldRoots: []keyring.Secret{first}})
		if err := opens(r, sealed, "p", "x", true); err != nil || !bytes.Equal(hash, r.MAC("p", []byte("x"))) {
			t.Fatal(err)
		}
		// All is wrapped anew: the first is needed no more, and is worth nothing.
		if err := opens(open(t, db, keyring.Config{Root: second}), sealed, "p", "x", true); err != nil {
			t.Fatal(err)
		}
		if _, err := keyring.Open(ctx, keyring.Config{DB: db, Root: first}); err == nil {
			t.Fatal("the old root key still opens")
		}
	})
}

func TestRootKey_lost(t *testing.T) {
	t.Parallel()
	storetest.Each(t, sources, func(t *testing.T, db *store.DB) {
		ctx, dir := context.Background(), t.TempDir()
		sealed := open(t, db, keyring.Config{DataDir: dir}).Seal([]byte("x"), "p")
		file := filepath.Join(dir, keyring.RootFile)
		saved, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o600 {
			t.Fatal(st.Mode(), err)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			_, err = keyring.Open(ctx, keyring.Config{DB: db, DataDir: dir})
			if err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "Restore") || !strings.Contains(err.Error(), "no new key was made") {
				t.Fatal(err)
			}
			if entries, _ := os.ReadDir(dir); len(entries) != 0 {
				t.Fatal("something was made:", entries)
			}
		}
		if err := os.WriteFile(file, saved, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := opens(open(t, db, keyring.Config{DataDir: dir}), sealed, "p", "x", false); err != nil {
			t.Fatal(err)
		}
		// The same key, given by the configuration.
		if err := opens(open(t, db, keyring.Config{Root: secret.New(string(saved))}), sealed, "p", "x", false); err != nil {
			t.Fatal(err)
		}
		// A file that stays behind when the configuration's key wins is not looked at.
		if err := os.WriteFile(file, []byte("garbage"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := opens(open(t, db, keyring.Config{Root: secret.New(string(saved)), DataDir: dir}), sealed, "p", "x", false); err != nil {
			t.Fatal(err)
		}
	})
}

func TestRootKey_badFiles(t *testing.T) {
	t.Parallel()
	good := keyring.NewRoot().Reveal()
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		want string
	}{
		"readable by others": {good, 0o644, "chmod 600"},
		"by the group":       {good, 0o640, "chmod 600"},
		"empty":              {"", 0o600, "damaged"},
		"a password":         {"correct horse battery staple", 0o600, "damaged"},
		"too short":          {"c2hvcnQ=", 0o600, "damaged"},
		"two lines":          {good + "\n" + good, 0o600, "damaged"},
		"cut":                {good[:40], 0o600, "damaged"},
		"not random":         {strings.Repeat("00", 32), 0o600, "damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, dir := storetest.Open(t, store.SQLite, sources...), t.TempDir()
			file := filepath.Join(dir, keyring.RootFile)
			if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(file, c.mode); err != nil {
				t.Fatal(err)
			}
			_, err := keyring.Open(context.Background(), keyring.Config{DB: db, DataDir: dir})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), file) {
				t.Fatal(err)
			}
			if c.text != "" && strings.Contains(err.Error(), c.text) {
				t.Error("the error quotes the key")
			}
			if b, _ := os.ReadFile(file); string(b) != c.text {
				t.Error("the file was touched")
			}
		})
	}
	if os.Geteuid() == 0 {
		t.Run("of another user", func(t *testing.T) {
			t.Parallel()
			db, dir := storetest.Open(t, store.SQLite, sources...), t.TempDir()
			file := filepath.Join(dir, keyring.RootFile)
			if err := errors.Join(os.WriteFile(file, []byte(good), 0o600), os.Chown(file, 12345, 12345)); err != nil {
				t.Fatal(err)
			}
			if _, err := keyring.Open(context.Background(), keyring.Config{DB: db, DataDir: dir}); err == nil || !strings.Contains(err.Error(), "12345") {
				t.Fatal(err)
			}
		})
	}
}

func TestRootKey_texts(t *testing.T) {
	t.Parallel()
	const hexed = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1dfeff"
	for text, ok := range map[string]bool{
		hexed: true, strings.ToUpper(hexed): true, " " + hexed + "\n": true,
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd/v8=": true, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd/v8": true, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd_v8": true,
		"": false, hexed[:62]: false, hexed + "00": false, strings.Repeat("ab", 32): false, "hunter2": false,
	} {
		if err := keyring.CheckRoot(secret.New(text)); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		} else if err != nil && text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%q is quoted: %v", text, err)
		}
	}
}

// Many processes start on one empty data folder at the same time.
func TestOpen_manyProcessesAgree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db, err := store.Open(context.Background(), store.Config{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Migrate(context.Background(), sources...)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	said := make([]string, 6)
	var wg sync.WaitGroup
	for i := range said {
		wg.Go(func() {
			cmd := exec.Command(self)
			cmd.Env = append(os.Environ(), "SIGRA_TEST_KEYRING_DIR="+dir)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Error(err)
			}
			said[i] = string(out)
		})
	}
	wg.Wait()
	for _, s := range said {
		if s != said[0] || len(s) < 70 {
			t.Fatalf("they differ:\n%s", strings.Join(said, ""))
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".root.key-*")); len(left) > 0 {
		t.Error("left behind:", left)
	}
}

// Two nodes with a folder each and one database: the second must be given the first one's key, whoever is first.
func TestOpen_nodesWithDifferentRootKeys(t *testing.T) {
	t.Parallel()
	url := storetest.PostgresURL(t)
	if _, err := storetest.Dial(t, url).Migrate(context.Background(), sources...); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	errs := make([]error, 3)
	for i := range errs {
		db, dir := storetest.Dial(t, url), t.TempDir()
		wg.Go(func() { _, errs[i] = keyring.Open(context.Background(), keyring.Config{DB: db, DataDir: dir}) })
	}
	wg.Wait()
	failed := 0
	for _, err := range errs {
		if err != nil {
			failed++
			if !strings.Contains(err.Error(), "root key") {
				t.Error(err)
			}
		}
	}
	if failed != 2 {
		t.Errorf("%d of 3 nodes refused to start: %v", failed, errs)
	}
}

func TestOpen_damagedTable(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]string{
		"bits":     "UPDATE keyring_key SET wrapped = CAST(substr(wrapped, 1, 40) || substr(wrapped, 40) AS BLOB) WHERE kind = 'seal'",
		"empty":    "UPDATE keyring_key SET wrapped = x'' WHERE kind = 'mac'",
		"swapped":  "UPDATE keyring_key SET wrapped = (SELECT k.wrapped FROM keyring_key k WHERE k.kind = 'mac') WHERE kind = 'seal'",
		"no key":   "DELETE FROM keyring_key WHERE kind = 'mac'",
		"inactive": "UPDATE keyring_key SET state = 'retired' WHERE kind = 'seal'",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, root := storetest.Open(t, store.SQLite, sources...), keyring.NewRoot()
			open(t, db, keyring.Config{Root: root})
			err := db.Tx(context.Background(), func(ctx context.Context, tx *store.Tx) error {
				n, err := tx.Exec(ctx, sql)
				if n != 1 {
					t.Errorf("%d rows changed", n)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := keyring.Open(context.Background(), keyring.Config{DB: db, Root: root}); err == nil {
				t.Fatal("opened")
			}
		})
	}
}

func FuzzOpen(f *testing.F) {
	db := storetest.Open(f, store.SQLite, sources...)
	r := open(f, db, keyring.Config{})
	good := r.Seal([]byte("secret"), "p")
	f.Add(good, "p")
	f.Add(good[:len(good)-1], "p")
	f.Add([]byte{1}, "")
	f.Add([]byte(nil), "p")
	f.Fuzz(func(t *testing.T, sealed []byte, purpose string) {
		plain, _, err := r.Open(sealed, purpose)
		if err != nil && !errors.Is(err, keyring.ErrSealed) {
			t.Fatal(err)
		}
		if err == nil && (!bytes.Equal(sealed, good) || purpose != "p" || string(plain) != "secret") {
			t.Fatalf("a forgery opened: %x for %q gives %q", sealed, purpose, plain)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	r := open(b, storetest.Open(b, store.SQLite, sources...), keyring.Config{})
	plain := make([]byte, 64)
	for b.Loop() {
		r.Seal(plain, "p")
	}
}
