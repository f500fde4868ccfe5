package pluginhost_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sigra-auth/sigra/core/pluginhost"
	pluginv1 "github.com/sigra-auth/sigra/pluginsdk/proto/sigra/plugin/v1"
)

func header(name string, values ...string) *pluginv1.Header {
	return &pluginv1.Header{Name: name, Values: values}
}

func TestAnswerHead_whatAPluginMaySay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   *pluginv1.Header
		want []string // of the same name; nil: taken out
	}{
		{header("content-type", "text/html; charset=utf-8"), []string{"text/html; charset=utf-8"}},
		{header("Content-Type", "text/html;;;=", "text/plain"), []string{"text/plain"}},
		{header("Content-Type", "text/html", "text/plain"), []string{"text/html"}},
		{header("Content-Length", "5"), []string{"5"}},
		{header("Content-Length", "5", "6"), []string{"5"}},
		{header("Content-Length", "+5"), nil}, {header("Content-Length", "05"), nil}, {header("Content-Length", "-1"), nil}, {header("Content-Length", "5, 5"), nil},
		{header("Location", "/greeter"), []string{"/greeter"}}, {header("Location", "com.example.app:/cb"), []string{"com.example.app:/cb"}},
		{header("Location", "JavaScript:alert(1)"), nil}, {header("Refresh", "0; url=data:text/html,x"), nil}, {header("Refresh", "0; url=/x"), []string{"0; url=/x"}},
		{header("WWW-Authenticate", "Bearer"), []string{"Bearer"}}, {header("DPoP-Nonce", "n"), []string{"n"}}, {header("X-Plugin-Any", "1"), []string{"1"}},
		{header("X-Accel-Redirect", "/secret"), nil}, {header("X-Accel-Buffering", "no"), nil}, {header("x-accel-expires", "@1"), nil}, {header("X-Sendfile", "/etc/passwd"), nil},
		{header("X-LIGHTTPD-send-file", "/x"), nil}, {header("X-Reproxy-URL", "http://10.0.0.1"), nil}, {header("Surrogate-Control", "x"), nil}, {header("CDN-Cache-Control", "x"), nil},
		{header("X-Litespeed-Cache", "x"), nil}, {header("Clear-Site-Data", "*"), nil}, {header("Strict-Transport-Security", "max-age=0"), nil}, {header("Alt-Svc", "clear"), nil},
		{header("Service-Worker-Allowed", "/"), nil}, {header("Sourcemap", "/x"), nil}, {header("X-Forwarded-For", "1.2.3.4"), nil}, {header("Sigra-User", "root"), nil}, {header("Trailer", "X-Plugin-A"), nil},
		{header("Date", "yesterday"), nil}, {header("Server", "x"), nil}, {header("X-Plugin-A b", "c"), nil}, {header("Etag", "a\r\nb"), nil}, {header("X-Request-Id", "x"), nil},
	} {
		got, _, err := pluginhost.AnswerHead("greeter", nil, c.in)
		if err != nil || !slices.Equal(got[http.CanonicalHeaderKey(c.in.GetName())], c.want) || len(got) > 1 {
			t.Errorf("%v became %v, %v", c.in, got, err)
		}
	}
	many := make([]*pluginv1.Header, 65)
	for _, in := range [][]*pluginv1.Header{many, {header("X-Plugin-A", strings.Repeat("a", 17<<10))}, {header("X-Anything", strings.Repeat("a", 17<<10))}} {
		if _, _, err := pluginhost.AnswerHead("greeter", nil, in...); err == nil {
			t.Error("a head that is too large was taken")
		}
	}
}

// Before, a plugin could fill a browser with cookies until every request to Sigra was refused for its length.
func TestAnswerHead_cookiesOfABrowser(t *testing.T) {
	t.Parallel()
	browser := map[string]string{}
	var order []string
	for i := range 200 {
		var sent []string
		for _, name := range order {
			sent = append(sent, name+"="+browser[name])
		}
		line := "__Host-greeter-" + strings.Repeat("n", i%50) + "=" + strings.Repeat("v", 7*i%1500) + "; Secure; Path=/"
		got, _, err := pluginhost.AnswerHead("greeter", []string{strings.Join(sent, "; ")}, header("Set-Cookie", line))
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range got["Set-Cookie"] {
			c, err := http.ParseSetCookie(l)
			if err != nil {
				t.Fatal(err)
			}
			order = slices.DeleteFunc(order, func(n string) bool { return n == c.Name && c.MaxAge < 0 })
			if delete(browser, c.Name); c.MaxAge >= 0 {
				if browser[c.Name] = c.Value; !slices.Contains(order, c.Name) {
					order = append(order, c.Name)
				}
			}
		}
		total := 0
		for n, v := range browser {
			total += len(n) + len(v) + 1
		}
		if len(browser) > 8 || total > 2<<10 {
			t.Fatalf("after %d answers the browser keeps %d cookies of %d bytes", i+1, len(browser), total)
		}
	}
	if len(browser) == 0 {
		t.Error("no cookie was let through")
	}
	// A neighbour whose name begins alike is somebody else.
	if got, _, _ := pluginhost.AnswerHead("greeter", nil, header("Set-Cookie", "__Host-greeter_two-x=1; Secure; Path=/")); len(got) != 0 {
		t.Errorf("another plugin's cookie: %v", got)
	}
}
