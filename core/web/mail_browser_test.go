package web_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/sigra-auth/sigra/core/mail"
)

// TestMailBrowser looks at every mail as programs for mail show its HTML, narrow and wide, light and dark, and from right to left.
func TestMailBrowser(t *testing.T) {
	t.Parallel()
	letters, err := mail.NewLetters(mail.LettersConfig{Service: "Sigra"})
	if err != nil {
		t.Fatal(err)
	}
	post := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d := mail.Sample(r.FormValue("purpose"), "https://id.example.test")
		d.Language = r.FormValue("language")
		if d.Link != "" { // as long as real ones
			d.Link += "-which-is-as-long-as-a-real-one-in-a-mail"
		}
		m, err := letters.Write(d)
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, m.HTML)
	}))
	t.Cleanup(post.Close)
	run := runner(t, chrome(t))
	for _, purpose := range mail.Purposes() {
		for language, in := range map[string][]look{"en": looks, "ar": {looks[0], looks[3]}} {
			run(purpose+" "+language, chromedp.Navigate(post.URL+"/mail?language="+language+"&purpose="+purpose), there("main h1"),
				until("document.documentElement.lang === "+quote(language)), shots(t, "90-mail-"+purpose+"-"+language, in...))
		}
	}
}
