// Command bare is what the benchmarks measure Sigra against.
//
//	bare serve ADDR URL   a net/http server that answers the session check with the same lookup and the same answer,
//	                      and does nothing else: no limits, no log, no metrics, no headers
//	bare hash WORKERS     for each number that it reads, so many argon2id hashes with the default parameters; prints the
//	                      CPU time each took, in nanoseconds
package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/crypto/argon2"
	_ "modernc.org/sqlite"
)

func main() {
	switch {
	case len(os.Args) == 4 && os.Args[1] == "serve":
		serve(os.Args[2], os.Args[3])
	case len(os.Args) == 3 && os.Args[1] == "hash":
		workers, _ := strconv.Atoi(os.Args[2])
		for n := 0; ; {
			if _, err := fmt.Scanln(&n); err != nil {
				return
			}
			fmt.Println(hash(n, workers))
		}
	default:
		log.Fatal("usage: bare serve ADDR URL | bare hash WORKERS")
	}
}

// hash works in a process that goes on, as the server does: a fresh one would pay for its first pages.
func hash(n, workers int) int64 {
	password, salt := []byte("correct horse battery staple"), make([]byte, 16)
	n = max(n/workers, 1)
	before := cpu()
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range n {
				argon2.IDKey(password, salt, 2, 19456, 1, 32)
			}
		})
	}
	wg.Wait()
	return int64(cpu()-before) / int64(n*workers)
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		log.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

const query = `SELECT s.id, s.account_id, s.organization_id, s.impersonator_id, s.aal, s.amr, s.persistent,
	s.auth_time, s.created_at, s.last_seen_at, s.expires_at, a.status, coalesce(a.email, ''), a.administrator
	FROM session s JOIN account a ON a.id = s.account_id WHERE s.token_hash = $1`

// answer is the shape of Sigra's.
type answer struct {
	Kind          string    `json:"kind"`
	UserID        uuid.UUID `json:"user_id"`
	SessionID     uuid.UUID `json:"session_id"`
	Email         string    `json:"email"`
	Display       string    `json:"display"`
	Administrator bool      `json:"administrator"`
	AAL           string    `json:"aal"`
	AMR           []string  `json:"amr"`
	AuthTime      time.Time `json:"auth_time"`
	CreatedAt     time.Time `json:"created_at"`
	ExpiresAt     time.Time `json:"expires_at"`
}

type session struct {
	answer
	org, imp   *uuid.UUID
	amr        string
	persistent bool
	seen       time.Time
	status     string
}

func serve(addr, dsn string) {
	lookup := postgres
	if strings.HasPrefix(dsn, "sqlite:") {
		lookup = sqlite
	}
	find, err := lookup(dsn)
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /v1/session", func(w http.ResponseWriter, r *http.Request) {
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		raw, err := base64.RawURLEncoding.DecodeString(token)
		if !ok || err != nil {
			http.Error(w, "unauthenticated", http.StatusUnauthorized)
			return
		}
		sum := sha256.Sum256(raw)
		var s session
		if err := find(r.Context(), sum[:], &s); err != nil || s.status != "active" || !time.Now().Before(s.ExpiresAt) {
			http.Error(w, "unauthenticated", http.StatusUnauthorized)
			return
		}
		s.Kind, s.Display, s.AMR = "user", s.Email, strings.Fields(s.amr)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s.answer)
	})
	log.Fatal(http.ListenAndServe(addr, mux))
}

type finder func(ctx context.Context, hash []byte, s *session) error

func postgres(dsn string) (finder, error) {
	pc, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	pc.MaxConns = 16
	pc.ConnConfig.RuntimeParams["application_name"] = "bare"
	pool, err := pgxpool.NewWithConfig(context.Background(), pc)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, hash []byte, s *session) error {
		return pool.QueryRow(ctx, query, hash).Scan(&s.SessionID, &s.UserID, &s.org, &s.imp, &s.AAL, &s.amr, &s.persistent,
			&s.AuthTime, &s.CreatedAt, &s.seen, &s.ExpiresAt, &s.status, &s.Email, &s.Administrator)
	}, nil
}

func sqlite(dsn string) (finder, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", "file:"+u.Path+"?_pragma=busy_timeout(5000)&_pragma=query_only(1)&_pragma=cache_size(-8192)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(4)
	db.SetMaxIdleConns(4)
	stmt, err := db.Prepare(query)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, hash []byte, s *session) error {
		var auth, created, seen, expires int64 // the columns hold microseconds
		err := stmt.QueryRowContext(ctx, hash).Scan(&s.SessionID, &s.UserID, &s.org, &s.imp, &s.AAL, &s.amr, &s.persistent,
			&auth, &created, &seen, &expires, &s.status, &s.Email, &s.Administrator)
		s.AuthTime, s.CreatedAt, s.ExpiresAt = time.UnixMicro(auth).UTC(), time.UnixMicro(created).UTC(), time.UnixMicro(expires).UTC()
		return err
	}, nil
}
