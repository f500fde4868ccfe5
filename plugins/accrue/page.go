package accrue

import (
	"bytes"
	"html/template"
	"net/http"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
)

var pages = template.Must(template.New("").Funcs(template.FuncMap{"seats": seatsText, "none": orNone, "day": func(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}}).Parse(`
{{define "accounts"}}<h1>Billing</h1>
<p>Accounts that a subscription was reported for.</p>
{{if .Rows}}<table><thead><tr><th scope="col">Account</th><th scope="col">Plan</th><th scope="col">Seats</th><th scope="col">In use</th></tr></thead><tbody>
{{range .Rows}}<tr><td><a href="/accrue/accounts/{{.Account}}">{{.Name}}</a></td><td>{{none .Plan}}{{if not .Entitled}} (not active){{end}}</td><td>{{seats .Seats}}</td><td>{{.Used}}</td></tr>
{{end}}</tbody></table>{{else}}<p>None yet. Post a <code>billing.subscription.created</code> event to <code>/v1/events</code>.</p>{{end}}
{{if .Next}}<p><a href="/accrue?after={{.Next}}">Next page</a></p>{{end}}
<p><a href="/accrue/events">Billing events</a></p>{{end}}

{{define "account"}}<h1>{{.Name}}</h1>
<dl><dt>Account</dt><dd>{{.E.Account}}</dd><dt>Entitled</dt><dd>{{if .E.Entitled}}Yes{{else}}No{{end}} ({{.E.Reason}})</dd>
<dt>Plan</dt><dd>{{none .E.Plan}}</dd><dt>Seats</dt><dd>{{.Used}} of {{seats .E.Seats}} in use</dd></dl>
{{if .E.Subscriptions}}<h2>Subscriptions</h2><table><thead><tr><th scope="col">Subscription</th><th scope="col">Status</th><th scope="col">Plan</th><th scope="col">Period ends</th></tr></thead><tbody>
{{range .E.Subscriptions}}<tr><td>{{.ID}}</td><td>{{.Status}}</td><td>{{none .Plan}}</td><td>{{day .PeriodEnd}}</td></tr>{{end}}</tbody></table>{{end}}
{{if .Seats}}<h2>Seats</h2><table><thead><tr><th scope="col">Holder</th><th scope="col">State</th><th scope="col">Since</th></tr></thead><tbody>
{{range .Seats}}<tr><td>{{.Who}}</td><td>{{.State}}</td><td>{{day .Since}}</td></tr>{{end}}</tbody></table>{{end}}
{{if .Next}}<p><a href="?after={{.Next}}">Next page</a></p>{{end}}
<p><a href="/accrue">All accounts</a></p>{{end}}

{{define "events"}}<h1>Billing events</h1>
<p>Webhooks of the last two weeks, the newest first: <a href="/accrue/events">all</a>, <a href="/accrue/events?state=dead">given up</a>, <a href="/accrue/events?alerts=1">to look at</a>.</p>
{{if .Webhooks}}<table><thead><tr><th scope="col">Received</th><th scope="col">Event</th><th scope="col">Type</th><th scope="col">State</th><th scope="col">To look at</th><th scope="col"></th></tr></thead><tbody>
{{range .Webhooks}}<tr><td>{{day .ReceivedAt}}</td><td>{{.Name}}</td><td>{{.Type}}</td><td>{{.State}}{{if .Effect}} ({{.Effect}}){{end}}</td><td>{{range .Alerts}}{{.}} {{end}}{{.Error}}</td>
<td>{{if eq .State "dead"}}<form method="post" action="/accrue/events/replay"><input type="hidden" name="event" value="{{.Name}}"><button type="submit">Apply again</button></form>{{end}}</td></tr>
{{end}}</tbody></table>{{else}}<p>None.</p>{{end}}
{{if .Orphans}}<h2>Customers without an account</h2><p>Say whose they are: <code>sigra accrue link PROVIDER CUSTOMER ACCOUNT</code>.</p><ul>{{range .Orphans}}<li>{{.}}</li>{{end}}</ul>{{end}}
<p><a href="/accrue">All accounts</a></p>{{end}}`))

// accountRow is one line of the list of accounts.
type accountRow struct {
	entitlements
	Name string
	Used int64
}

func (in *instance) accountsPage(w http.ResponseWriter, r *http.Request) {
	accounts, err := in.store.accounts(r.Context(), r.URL.Query().Get("after"), pageLimit+1)
	if err != nil {
		in.fail(w, r, err)
		return
	}
	cut := page(accounts, account.String)
	names, err := in.names(r, cut.Items...)
	if err != nil {
		in.fail(w, r, err)
		return
	}
	var rows []accountRow
	for _, a := range cut.Items {
		row := accountRow{Name: names[a]}
		if row.entitlements, err = in.entitlements(r.Context(), in.store.db, a); err == nil {
			row.Used, err = in.inUse(r, a)
		}
		if err != nil {
			in.fail(w, r, err)
			return
		}
		rows = append(rows, row)
	}
	in.render(w, r, "accounts", "Billing", map[string]any{"Rows": rows, "Next": cut.Next})
}

// seatRow is one line of an organization's seats.
type seatRow struct {
	seat
	Who string
}

func (in *instance) accountPage(w http.ResponseWriter, r *http.Request) {
	acc, err := parseAccount(r.PathValue("account"))
	if err != nil {
		problem(w, http.StatusNotFound, "not_found", err.Error())
		return
	}
	e, err := in.entitlements(r.Context(), in.store.db, acc)
	if err != nil {
		in.fail(w, r, err)
		return
	}
	used, err := in.inUse(r, acc)
	if err != nil {
		in.fail(w, r, err)
		return
	}
	names, err := in.names(r, acc)
	if err != nil {
		in.fail(w, r, err)
		return
	}
	seats, err := in.store.seats(r.Context(), acc.ID, r.URL.Query().Get("after"), pageLimit+1)
	if err != nil {
		in.fail(w, r, err)
		return
	}
	cut := page(seats, func(s seat) string { return s.Holder })
	var ids []string
	for _, s := range cut.Items {
		if id := s.UserID(); id != "" {
			ids = append(ids, id)
		}
	}
	users, err := in.host.Identity().Users(r.Context(), ids...)
	if err != nil {
		in.fail(w, r, err)
		return
	}
	emails := map[string]string{}
	for _, u := range users {
		emails[u.ID] = u.Email
	}
	var rows []seatRow
	for _, s := range cut.Items {
		who := emails[s.UserID()]
		if who == "" {
			who = s.Holder
		}
		rows = append(rows, seatRow{s, who})
	}
	in.render(w, r, "account", names[acc], map[string]any{"Name": names[acc], "E": e, "Used": used, "Seats": rows, "Next": cut.Next})
}

// inUse counts the seats that are taken, by the settings.
func (in *instance) inUse(r *http.Request, acc account) (int64, error) {
	if acc.Kind != organizationAccount {
		return 0, nil
	}
	u, err := in.store.usage(r.Context(), in.store.db, acc.ID, in.settings.CountServices)
	return in.settings.used(u, true), err
}

// names are what people call accounts.
func (in *instance) names(r *http.Request, accounts ...account) (map[account]string, error) {
	out := map[account]string{}
	var organizations []string
	for _, a := range accounts {
		out[a] = a.String()
		if a.Kind == organizationAccount {
			organizations = append(organizations, a.ID)
		}
	}
	found, err := in.host.Identity().Organizations(r.Context(), organizations...)
	for _, o := range found {
		out[account{organizationAccount, o.ID}] = o.Name
	}
	return out, err
}

func (in *instance) render(w http.ResponseWriter, r *http.Request, name, title string, data any) {
	var body bytes.Buffer
	if err := pages.ExecuteTemplate(&body, name, data); err != nil {
		in.fail(w, r, err)
		return
	}
	out, err := in.host.Pages().Render(r.Context(), pluginsdk.Page{
		Title: title, BodyHTML: body.String(), Principal: pluginsdk.RequestPrincipal(r.Context()), Path: "/accrue", Request: pluginsdk.RequestInfoFrom(r.Context()),
	})
	if err != nil {
		in.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte(out.HTML))
}
