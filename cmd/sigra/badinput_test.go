package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// badRequest is something a client should not send, and what it gets.
type badRequest struct {
	name   string
	send   string // the bytes on the wire; HOST, TOKEN, ADMIN and LENGTH are filled in
	body   string // appended behind send; LENGTH is its length
	status []int  // any of these; none: any from 400 to 499
	page   bool   // a browser asks: the answer is a page
	wire   bool   // net/http refuses it before anybody of ours sees it, in plain text
	slow   bool   // the client stalls behind this
}

func badPost(path, contentType, body string) badRequest {
	return badRequest{send: "POST " + path + " HTTP/1.1\r\nHost: HOST\r\nContent-Type: " + contentType + "\r\nContent-Length: LENGTH\r\n\r\n", body: body}
}

func badJSON(name, path, body string, status ...int) badRequest {
	r := badPost(path, "application/json", body)
	r.name, r.status = name, status
	return r
}

func getAs(name, token, path string, status ...int) badRequest {
	return badRequest{name: name, status: status, send: "GET " + path + " HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer " + token + "\r\n\r\n"}
}

func byBrowser(name, method, path, headers, body string, status ...int) badRequest {
	return badRequest{name: name, status: status, page: true, body: body,
		send: method + " " + path + " HTTP/1.1\r\nHost: HOST\r\nAccept: text/html\r\n" + headers + "Content-Length: LENGTH\r\n\r\n"}
}

func byWire(name, send string, status ...int) badRequest {
	return badRequest{name: name, send: send, status: status, wire: true}
}

const form = "Content-Type: application/x-www-form-urlencoded\r\nSec-Fetch-Site: same-origin\r\n"

func badRequests() []badRequest {
	deep := strings.Repeat(`{"a":`, 9_000) + "1" + strings.Repeat("}", 9_000)
	login := func(name, body string, status ...int) badRequest { return badJSON(name, "/v1/login", body, status...) }
	typed := func(name, contentType, body string, status ...int) badRequest {
		r := badPost("/v1/login", contentType, body)
		r.name, r.status = name, status
		return r
	}
	right := `{"email":"ada@example.org","password":"` + testPassword + `"}`
	all := []badRequest{
		// JSON
		login("no body", "", 400),
		login("not JSON", "hello", 400),
		login("cut JSON", `{"email":"ada@example.org","pass`, 400),
		login("a trailing comma", `{"email":"ada@example.org",}`, 400),
		login("two values", right+right, 400),
		login("an array", `[`+right+`]`, 400, 422),
		login("a string", `"ada@example.org"`, 400, 422),
		login("null", `null`, 400, 422),
		login("a number for a text", `{"email":1,"password":"x"}`, 422),
		login("an object for a text", `{"email":{"$ne":""},"password":{"$ne":""}}`, 422),
		login("an unknown field", `{"email":"ada@example.org","password":"`+testPassword+`","admin":true}`, 422),
		login("a repeated field", `{"email":"ada@example.org","email":"bob@example.org","password":"x"}`, 400, 422),
		login("a field missing", `{"email":"ada@example.org"}`, 422),
		login("invalid UTF-8", "{\"email\":\"ada\xff\xfe@example.org\",\"password\":\"x\"}", 400, 422),
		login("a lone surrogate", `{"email":"\ud800@example.org","password":"x"}`, 400, 401, 422),
		login("NUL in an address", `{"email":"ada\u0000@example.org","password":"x"}`, 400, 422),
		login("NUL in a password", `{"email":"ada@example.org","password":"a\u0000b"}`, 400, 422),
		login("a raw NUL", "{\"email\":\"ada\x00@example.org\",\"password\":\"x\"}", 400, 422),
		login("a BOM", "\xef\xbb\xbf"+right, 400),
		login("UTF-16", "\xff\xfe{\x00}\x00", 400),
		login("deep JSON", deep, 400, 413, 422),
		login("a deep array", strings.Repeat("[", 60_000), 400, 413),
		login("a huge number", `{"email":1e999999,"password":"x"}`, 400, 422),
		login("SQL in an address", `{"email":"' OR 1=1; DROP TABLE account; --","password":"x"}`, 401, 422),
		login("a template in an address", `{"email":"{{.}}${jndi:ldap://x}<script>@example.org","password":"x"}`, 401, 422),
		login("a long password", `{"email":"ada@example.org","password":"`+strings.Repeat("x", 60_000)+`"}`, 401, 413, 422),
		login("a body too large", `{"email":"ada@example.org","password":"`+strings.Repeat("x", 2<<20)+`"}`, 413),
		badJSON("sign-up without an address", "/v1/register", `{"email":"","password":"`+testPassword+`"}`, 422),
		badJSON("sign-up with two addresses", "/v1/register", `{"email":"a@example.org, b@example.org","password":"`+testPassword+`"}`, 422),
		badJSON("a line break in an address", "/v1/register", `{"email":"a@example.org\r\nBcc: b@example.org","password":"`+testPassword+`"}`, 422),
		badJSON("a short password", "/v1/register", `{"email":"new@example.org","password":"short"}`, 422),
		badJSON("a confirmation with nothing", "/v1/confirm", `{}`, 400, 401, 422),
		badJSON("a confirmation with nonsense", "/v1/confirm", `{"flow":"x","code":"abc"}`, 400, 401, 404, 410, 422),
		badJSON("a token of 100 kB", "/v1/confirm", `{"token":"`+strings.Repeat("A", 60_000)+`"}`, 400, 401, 404, 410, 413, 422),
		badJSON("a set-password link that is none", "/v1/password/set", `{"token":"../../etc/passwd","password":"`+testPassword+`"}`, 400, 401, 404, 410, 422),

		// Content types and encodings
		typed("a form", "application/x-www-form-urlencoded", "email=ada%40example.org&password=x", 415),
		typed("text", "text/plain", right, 415),
		typed("XML", "application/xml", "<login/>", 415),
		typed("no such type", "nonsense", right, 415),
		typed("multipart without end", "multipart/form-data; boundary=x", "--x\r\n", 415),
		typed("another charset", "application/json; charset=utf-16", right),
		{name: "compressed", status: []int{400, 415}, body: "\x1f\x8b\x08\x00",
			send: "POST /v1/login HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: LENGTH\r\n\r\n"},

		// Framing
		{name: "both lengths", body: "2\r\n{}\r\n0\r\n\r\n",
			send: "POST /v1/login HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n"},
		{name: "a chunk that is no number", body: "zz\r\n{}\r\n0\r\n\r\n", status: []int{400},
			send: "POST /v1/login HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"},
		byWire("two lengths", "POST /v1/login HTTP/1.1\r\nHost: HOST\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
		byWire("a negative length", "POST /v1/login HTTP/1.1\r\nHost: HOST\r\nContent-Length: -1\r\n\r\n", 400),
		byWire("a length with a sign", "POST /v1/login HTTP/1.1\r\nHost: HOST\r\nContent-Length: +2\r\n\r\n{}", 400),
		byWire("an encoding we don't know", "POST /v1/login HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: xchunked\r\n\r\n", 501),
		byWire("chunked twice", "POST /v1/login HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, 501),
		byWire("a space before the colon", "GET / HTTP/1.1\r\nHost: HOST\r\nContent-Length : 5\r\n\r\n", 400),
		byWire("a folded header", "GET / HTTP/1.1\r\nHost: HOST\r\nX-A: b\r\n c\x00: d\r\n\r\n", 400),
		byWire("NUL in a header", "GET / HTTP/1.1\r\nHost: HOST\r\nX-A: b\x00c\r\n\r\n", 400),
		byWire("not HTTP", "hello\r\n\r\n", 400),
		byWire("TLS on a plain port", "\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n", 400),
		byWire("another version", "GET / HTTP/3.7\r\nHost: HOST\r\n\r\n", 505, 400),
		byWire("the HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, 405, 421, 505),
		byWire("no host", "GET / HTTP/1.1\r\n\r\n", 400),
		byWire("two hosts", "GET / HTTP/1.1\r\nHost: HOST\r\nHost: evil.example\r\n\r\n", 400),
		byWire("a bad host", "GET / HTTP/1.1\r\nHost: a b<script>\r\n\r\n", 400),
		byWire("a header of 2 MB", "GET / HTTP/1.1\r\nHost: HOST\r\nX-A: "+strings.Repeat("x", 2<<20)+"\r\n\r\n", 431),
		byWire("a path of 2 MB", "GET /"+strings.Repeat("x", 2<<20)+" HTTP/1.1\r\nHost: HOST\r\n\r\n", 431, 414),
		byWire("40 000 headers", "GET / HTTP/1.1\r\nHost: HOST\r\n"+strings.Repeat("X-A: bbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n", 40_000)+"\r\n", 431),
		byWire("an escape that is none", "GET /%zz HTTP/1.1\r\nHost: HOST\r\n\r\n", 400),

		// Hosts, methods, paths
		{name: "a host that is not ours", send: "POST /v1/login HTTP/1.1\r\nHost: evil.example\r\nContent-Type: application/json\r\nContent-Length: LENGTH\r\n\r\n", body: `{"email":"x"}`},
		{name: "no such method", send: "FROBNICATE /v1/login HTTP/1.1\r\nHost: HOST\r\n\r\n", status: []int{405}},
		{name: "a method that is not for this", send: "DELETE /v1/login HTTP/1.1\r\nHost: HOST\r\n\r\n", status: []int{405}},
		{name: "TRACE", send: "TRACE /v1/session HTTP/1.1\r\nHost: HOST\r\n\r\n", status: []int{405}},
		{name: "CONNECT", send: "CONNECT example.org:443 HTTP/1.1\r\nHost: HOST\r\n\r\n", status: []int{400, 404, 405, 421}},
		{name: "a proxy request", send: "GET http://evil.example/v1/session HTTP/1.1\r\nHost: HOST\r\n\r\n"},
		{name: "up and away", send: "GET /v1/../../../../etc/passwd HTTP/1.1\r\nHost: HOST\r\n\r\n", status: []int{400, 404}},
		{name: "up and away, escaped", send: "GET /v1/%2e%2e%2f%2e%2e%2fetc%2fpasswd HTTP/1.1\r\nHost: HOST\r\n\r\n", status: []int{400, 404}},
		{name: "out of the assets", send: "GET /assets/..%5c..%5croot.key HTTP/1.1\r\nHost: HOST\r\n\r\n", status: []int{400, 404}},
		{name: "the key in data_dir", send: "GET /root.key HTTP/1.1\r\nHost: HOST\r\n\r\n", status: []int{404}},
		{name: "NUL in a path", send: "GET /v1/session%00.json HTTP/1.1\r\nHost: HOST\r\n\r\n", status: []int{400, 404}},
		{name: "invalid UTF-8 in a path", send: "GET /%ff%fe HTTP/1.1\r\nHost: HOST\r\n\r\n", status: []int{400, 404}},
		{name: "another case", send: "GET /V1/SESSION HTTP/1.1\r\nHost: HOST\r\n\r\n", status: []int{404}},
		{name: "an id that is none", send: "GET /v1/admin/users/%27%20OR%201=1 HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer ADMIN\r\n\r\n"},

		// Who asks
		{name: "the control API without being anybody", send: "POST /v1/admin/reload HTTP/1.1\r\nHost: HOST\r\nContent-Length: 0\r\n\r\n", status: []int{401}},
		{name: "a token that is none", send: "GET /v1/session HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer \xff\xfe\r\n\r\n", status: []int{401}},
		getAs("a token of 10 kB", strings.Repeat("A", 10_000), "/v1/session", 401),
		byWire("a token of 100 kB", "GET /v1/session HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer "+strings.Repeat("A", 100_000)+"\r\n\r\n", 431),
		{name: "another scheme", send: "GET /v1/session HTTP/1.1\r\nHost: HOST\r\nAuthorization: Basic YWRhOmFkYQ==\r\n\r\n", status: []int{401}},
		{name: "two tokens", send: "GET /v1/session HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer x\r\nAuthorization: Bearer TOKEN\r\n\r\n", status: []int{400, 401}},
		{name: "a cookie that is none", send: "GET /v1/session HTTP/1.1\r\nHost: HOST\r\nCookie: __Host-sigra_session=%00;;;=\r\n\r\n", status: []int{401}},
		{name: "an operator by header", send: "GET /v1/admin/status HTTP/1.1\r\nHost: HOST\r\nX-Sigra-Operator: root\r\nX-Forwarded-For: 127.0.0.1\r\nX-Real-IP: ::1\r\n\r\n", status: []int{401}},
		getAs("somebody else's place", "TOKEN", "/v1/audit", 403),
		{name: "a request from another site", status: []int{403},
			send: "POST /v1/logout HTTP/1.1\r\nHost: HOST\r\nCookie: __Host-sigra_session=TOKEN\r\nOrigin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\nContent-Length: 0\r\n\r\n"},

		// Queries
		getAs("a cursor that is none", "ADMIN", "/v1/audit?cursor=nonsense"),
		getAs("a cursor with SQL", "ADMIN", "/v1/audit?cursor="+url.QueryEscape("0' UNION SELECT 1 --")),
		getAs("a limit too large", "ADMIN", "/v1/audit?limit=100000", 422),
		getAs("a limit that is none", "ADMIN", "/v1/audit?limit=ten", 422),
		getAs("a limit beyond numbers", "ADMIN", "/v1/audit?limit=99999999999999999999999", 422),
		getAs("a time that is none", "ADMIN", "/v1/audit?from=yesterday", 422),
		getAs("a time beyond time", "ADMIN", "/v1/audit?from=99999999-01-01T00:00:00Z", 422),
		getAs("an id in a filter that is none", "ADMIN", "/v1/audit?session_id=1", 422),
		getAs("a filter that is none", "ADMIN", "/v1/audit?actoin=auth.logout", 422),
		getAs("a filter given twice", "ADMIN", "/v1/audit?limit=1&limit=2", 400, 422),
		getAs("NUL in a filter", "ADMIN", "/v1/audit?action=%00", 400, 422),
		getAs("invalid UTF-8 in a filter", "ADMIN", "/v1/audit?action=%ff%fe", 400, 422),
		getAs("a query with escapes that are none", "ADMIN", "/v1/audit?action=%zz", 400, 422),
		getAs("a query with a semicolon", "ADMIN", "/v1/audit?action=a;limit=1", 400, 422),
		getAs("an export in no format", "ADMIN", "/v1/audit/export?format=xml", 422),
		getAs("a stream from nowhere", "ADMIN", "/v1/audit/stream?after=nonsense", 400, 422),
		{name: "a stream with a bad Last-Event-ID", status: []int{400, 422},
			send: "GET /v1/audit/stream HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer ADMIN\r\nAccept: text/event-stream\r\nLast-Event-ID: ../../x'--\r\n\r\n"},
		{name: "a stream with a Last-Event-ID of 8 kB", status: []int{400, 422},
			send: "GET /v1/audit/stream HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer ADMIN\r\nLast-Event-ID: " + strings.Repeat("f", 8000) + "\r\n\r\n"},
		getAs("events from nowhere", "ADMIN", "/v1/admin/events?after=nonsense"),
		getAs("a dead letter's place that is none", "ADMIN", "/v1/admin/relay/x/dead-letters?after=nonsense", 422),
		getAs("a user's page beyond the end", "ADMIN", "/v1/admin/users?cursor="+strings.Repeat("A", 5000)),
		{name: "an event without an id", status: []int{422}, body: `[{"type":"billing.plan.upgraded"}]`,
			send: "POST /v1/events HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer ADMIN\r\nContent-Type: application/json\r\nContent-Length: LENGTH\r\n\r\n"},
		{name: "an event of Sigra's own", body: `[{"id":"x","type":"auth.login.success"}]`,
			send: "POST /v1/events HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer ADMIN\r\nContent-Type: application/json\r\nContent-Length: LENGTH\r\n\r\n"},
		{name: "an event with NUL", body: `[{"id":"x\u0000","type":"billing.plan.upgraded","data":{"a":"\u0000"}}]`,
			send: "POST /v1/events HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer ADMIN\r\nContent-Type: application/json\r\nContent-Length: LENGTH\r\n\r\n"},

		// Pages
		byBrowser("a page that is not there", "GET", "/nothing", "", "", 404),
		{name: "a page by another method", send: "PUT /login HTTP/1.1\r\nHost: HOST\r\nContent-Length: 0\r\n\r\n", status: []int{405}},
		byBrowser("a form as JSON", "POST", "/login", "Content-Type: application/json\r\nSec-Fetch-Site: same-origin\r\n", right),
		byBrowser("a form with bad escapes", "POST", "/login", form, "email=%zz&password=x"),
		byBrowser("a form with invalid UTF-8", "POST", "/login", form, "email=%ff%fe%40example.org&password=x"),
		byBrowser("a form with NUL", "POST", "/login", form, "email=ada%00%40example.org&password=x"),
		byBrowser("a form without fields", "POST", "/login", form, ""),
		byBrowser("a form too large", "POST", "/register", form, "email="+strings.Repeat("x", 2<<20), 413),
		byBrowser("a form from another site", "POST", "/login", "Content-Type: application/x-www-form-urlencoded\r\nOrigin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\n", "email=ada%40example.org&password=x", 403),
		byBrowser("a sign-up of a thousand fields", "POST", "/register", form, strings.Repeat("email=a%40example.org&", 1000)+"password=x"),
		byBrowser("a link that is none", "POST", "/confirm", form, "token=nonsense&password=x"),
		byBrowser("a link without a token", "GET", "/confirm", "", ""),
		byBrowser("a mail that is not there", "GET", "/dev/mail/..%2f..%2fetc%2fpasswd", "", ""),

		// Clients that stall
		{name: "a body that never comes", slow: true, status: []int{400, 408},
			send: "POST /v1/login HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"email\":"},
		{name: "a form that never comes", slow: true, page: true, status: []int{400, 408, 422},
			send: "POST /login HTTP/1.1\r\nHost: HOST\r\nAccept: text/html\r\n" + form + "Content-Length: 100\r\n\r\nemail="},
	}
	if bundled() {
		all = append(all,
			getAs("a plugin's cursor that is none", "TOKEN", "/threadline/v1/timeline?after=nonsense", 400),
			getAs("a plugin's parameter that is none", "TOKEN", "/threadline/v1/timeline?lmit=1", 400),
			getAs("a plugin's limit too large", "TOKEN", "/threadline/v1/timeline?limit=100000", 400),
			getAs("NUL to a plugin", "TOKEN", "/threadline/v1/timeline?action=%00", 400),
			getAs("a plugin's path with escapes", "TOKEN", "/threadline/..%2fv1%2fadmin"),
			getAs("a plugin's entry that is none", "TOKEN", "/threadline/v1/entries/%27--", 404),
			getAs("a plugin's page for nobody", "nonsense", "/threadline/v1/timeline", 401),
			badRequest{name: "a plugin by another method", status: []int{405}, send: "DELETE /threadline/v1/timeline HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer TOKEN\r\n\r\n"},
		)
	}
	return all
}

// insides is what must never be in an answer: the language, the database, the file system.
var insides = regexp.MustCompile(`(?i)panic|goroutine|runtime error|\.go:\d|\b(select|insert into|update|delete from)\b.{1,60}\b(from|values|set|where)\b|SQLSTATE|sqlite|pgx|` +
	`\*?\b(json|http|url|fmt|httpapi|fault|errors|huma|uuid|strconv|time|mime)\.[A-Z]\w+|unmarshal|strconv|15:04:05|invalid UUID|root\.key|/tmp/|sigra\.db`)

func TestBadInput(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, database string) {
		t.Parallel()
		s := setup{database: database}
		if bundled() {
			s.plugins = threadlineBlock
		}
		in := newInstance(t, s)
		in.start()
		ada := in.signUp("ada@example.org")
		admin := in.admin("root@example.org")
		in.mailTo("root@example.org", "password_changed")
		before := in.state(admin.Token)
		all := badRequests()
		if len(all) < 60 {
			t.Fatalf("only %d", len(all))
		}
		fill := strings.NewReplacer("HOST", in.addr, "TOKEN", ada.Token, "ADMIN", admin.Token)
		t.Run("requests", func(t *testing.T) {
			for _, r := range all {
				t.Run(r.name, func(t *testing.T) {
					t.Parallel()
					r.check(t, in, fill)
				})
			}
		})

		if after := in.state(admin.Token); after != before {
			t.Errorf("something changed:\nbefore %s\nafter  %s", before, after)
		}
		in.must(http.StatusOK, "GET", "/v1/session", ada.Token, nil)
		if _, err := in.signIn("ada@example.org"); err != nil {
			t.Errorf("nobody can sign in any more: %v", err)
		}
		if log := in.log(); strings.Contains(log, "panic") || strings.Contains(log, "goroutine ") || strings.Contains(log, "[ERROR]") {
			t.Errorf("the log has a panic or an error:\n%s", tail(grep(log, "panic", "goroutine", "[ERROR]"), 3000))
		}
	})
}

func grep(log string, words ...string) string {
	var out []string
	for line := range strings.SplitSeq(log, "\n") {
		if slices.ContainsFunc(words, func(w string) bool { return strings.Contains(line, w) }) {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

// state is everything a bad request could have changed.
func (in *instance) state(admin string) string {
	in.t.Helper()
	var users struct {
		Users []struct{ ID, Email, Status string }
	}
	in.must(http.StatusOK, "GET", "/v1/admin/users", admin, nil).decode(in.t, &users)
	var mails struct{ Messages []inboxMessage }
	in.must(http.StatusOK, "GET", "/v1/dev/mail", "", nil).decode(in.t, &mails)
	var purposes []string
	for _, m := range mails.Messages {
		purposes = append(purposes, m.Purpose+" to "+m.To)
	}
	var events, keys any
	in.must(http.StatusOK, "GET", "/v1/admin/events", admin, nil).decode(in.t, &events)
	in.must(http.StatusOK, "GET", "/v1/admin/keys", admin, nil).decode(in.t, &keys)
	var changes []string
	for _, row := range in.auditLog(admin) {
		if row.Outcome == "success" && row.Action != "admin.audit.export" { // made by looking here
			changes = append(changes, row.Action)
		}
	}
	b, err := json.Marshal([]any{users, purposes, events, keys, changes})
	if err != nil {
		in.t.Fatal(err)
	}
	return string(b)
}

func (r badRequest) check(t *testing.T, in *instance, fill *strings.Replacer) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", in.addr, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(60 * time.Second))
	go func() { // the answer may come before everything is sent, and the connection be closed then
		_, _ = io.WriteString(conn, strings.ReplaceAll(fill.Replace(r.send), "LENGTH", strconv.Itoa(len(r.body)))+r.body)
	}()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	_ = res.Body.Close()
	if err != nil {
		t.Errorf("the answer broke off: %v", err)
	}
	if ok := slices.Contains(r.status, res.StatusCode) || len(r.status) == 0 && res.StatusCode >= 400 && res.StatusCode < 500; !ok {
		t.Errorf("answered %d, want %v: %s", res.StatusCode, r.status, tail(string(body), 600))
	}
	if m := insides.Find(body); m != nil {
		t.Errorf("the answer shows Sigra's inside (%q): %s", m, tail(string(body), 1000))
	}
	kind := res.Header.Get("Content-Type")
	switch {
	case r.wire:
	case r.page:
		if !strings.HasPrefix(kind, "text/html") || !bytes.Contains(body, []byte("<h1>")) {
			t.Errorf("a browser got %s: %s", kind, tail(string(body), 400))
		}
	default:
		var p struct {
			Type, Title, Detail, Code string
			Status                    int
			RequestID                 string `json:"request_id"`
		}
		if err := json.Unmarshal(body, &p); err != nil || kind != "application/problem+json" {
			t.Errorf("the answer is no problem document: %s %s", kind, tail(string(body), 400))
		} else if p.Status != res.StatusCode || p.Title == "" || p.Detail == "" || p.Code == "" {
			t.Errorf("the problem is not whole: %s", body)
		}
		if p.RequestID != res.Header.Get("X-Request-Id") && p.RequestID != "" {
			t.Errorf("the problem's request id is %s, the header's %s", p.RequestID, res.Header.Get("X-Request-Id"))
		}
		if testing.Verbose() {
			t.Log(fmt.Sprint(res.StatusCode), p.Code, p.Detail)
		}
	}
}
