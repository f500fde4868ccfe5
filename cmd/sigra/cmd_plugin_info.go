package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/sigra-auth/sigra/core/httpapi"
)

// showPlugin prints everything there is to say of a plugin; what there is nothing to say of is left out.
func showPlugin(w io.Writer, p httpapi.PluginInfo) {
	pinned := yes(p.PinnedBy == "block", "by sha256 in its block") + yes(p.PinnedBy == "lock", "by the lock file") +
		yes(p.Unpinned, "no: its binary is not held to a checksum")
	facts(w, "name", p.Name, "state", p.State, "detail", p.LastError, "version", p.Version, "description", p.Description, "source", p.Source,
		"sha256", p.SHA256, "pinned", pinned, "contract", p.Contract, "sdk", p.SDK, "pid", number(p.PID),
		"since", stamp(p.Since), "restarts", strconv.Itoa(p.Restarts), "failures", number(p.Failures), "next start", stamp(p.NextStart),
		"required", yes(p.Required, "yes: Sigra is not ready without it"), "seams", strings.Join(p.Seams, ", "), "not called", broken(p.Broken),
		"grants", strings.Join(p.Grants, ", "), "requires", strings.Join(p.Requires, ", "), "wants", strings.Join(p.Wants, ", "),
		"events", strings.Join(p.Events, ", "), "gates", strings.Join(p.Gates, ", "), "claims", strings.Join(p.Claims, ", "),
		"storage", yes(p.Storage, "a database of its own"), "environment", strings.Join(p.Env, ", "))
	section := func(head []string, rows [][]string) {
		if len(rows) > 0 {
			_, _ = fmt.Fprintln(w)
			table(w, "", head, rows)
		}
	}
	var rows [][]string
	for _, r := range p.Routes {
		rows = append(rows, []string{r.Path, strings.ReplaceAll(r.Access, "_", " ") + yes(r.Machine, ", for programs"), r.Title})
	}
	section([]string{"PATH", "FOR", "TITLE"}, rows)
	rows = nil
	for _, c := range p.Commands {
		rows = append(rows, []string{strings.TrimSpace("sigra " + p.Name + " " + c.Name + " " + c.Arguments), c.Summary})
	}
	section([]string{"COMMAND", ""}, rows)
	section([]string{"SETTING", "TYPE", "", "DEFAULT", "MEANING"}, settingRows(p.Settings))
	rows = nil
	for _, l := range p.Latencies {
		rows = append(rows, []string{l.Seam, strconv.FormatUint(l.Calls, 10), atMost(l.P50MS), atMost(l.P99MS)})
	}
	section([]string{"SEAM", "CALLS", "P50", "P99"}, rows)
	rows = nil
	for _, f := range p.Facts {
		rows = append(rows, []string{f.Name, f.Value})
	}
	section([]string{"FACT", ""}, rows)
	lines(w, "last crash"+yes(!p.CrashedAt.IsZero(), ", "+stamp(p.CrashedAt)+" UTC"), strings.Split(p.LastCrash, "\n"))
	lines(w, "last lines it wrote", p.Log)
}

func settingRows(schema json.RawMessage) (rows [][]string) {
	var settings []struct {
		Path, Type, Default, Description string
		Required, Secret                 bool
	}
	if json.Unmarshal(schema, &settings) != nil {
		return nil
	}
	for _, s := range settings {
		rows = append(rows, []string{s.Path, s.Type, strings.TrimPrefix(yes(s.Required, ", required")+yes(s.Secret, ", secret"), ", "), s.Default, s.Description})
	}
	return rows
}

func lines(w io.Writer, title string, text []string) {
	if len(text) == 0 || len(text) == 1 && text[0] == "" {
		return
	}
	_, _ = fmt.Fprintf(w, "\n%s:\n", title)
	for _, l := range text {
		_, _ = fmt.Fprintln(w, "  "+printable(l))
	}
}

func broken(seams []string) string {
	if len(seams) == 0 {
		return ""
	}
	return strings.Join(seams, ", ") + " (failed several times in a row; tried again at the next health check)"
}

// number is empty for nothing.
func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// atMost is an upper bound of a time: latencies are counted in buckets that double.
func atMost(ms float64) string { return fmt.Sprintf("≤ %.3g ms", ms) }
