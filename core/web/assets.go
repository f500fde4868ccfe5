package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/sigra-auth/sigra/core/lang"
)

//go:embed templates assets
var embedded embed.FS

// mediaTypes of what may lie in assets/; anything else is refused at start, so that nothing is served under a guessed type.
var mediaTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg",
	".webp": "image/webp", ".woff2": "font/woff2", ".ico": "image/x-icon", ".js": "text/javascript; charset=utf-8",
}

// assets are served below a path that names their content, so a browser may keep them for ever.
type assets struct {
	version string
	files   map[string]asset
}

type asset struct {
	body []byte
	kind string
	etag string
}

// loadAssets reads every asset, those of the overriding folder in place of the built-in ones and besides them.
func loadAssets(override fs.FS) (*assets, error) {
	a := &assets{files: map[string]asset{}}
	for _, from := range []fs.FS{embedded, override} {
		if from == nil {
			continue
		}
		err := fs.WalkDir(from, "assets", func(name string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) && name == "assets" {
				return fs.SkipAll // an overriding folder may hold templates only
			}
			if err != nil || d.IsDir() {
				return err
			}
			kind, ok := mediaTypes[path.Ext(name)]
			if !ok {
				return &lang.Error{File: name, Problem: "assets are style sheets, images, fonts and scripts"}
			}
			body, err := fs.ReadFile(from, name)
			if err != nil {
				return err
			}
			sum := sha256.Sum256(body)
			a.files[strings.TrimPrefix(name, "assets/")] = asset{body, kind, `"` + hex.EncodeToString(sum[:12]) + `"`}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	all := sha256.New()
	for _, name := range sortedKeys(a.files) {
		_, _ = fmt.Fprintln(all, name, a.files[name].etag)
	}
	a.version = hex.EncodeToString(all.Sum(nil)[:6])
	return a, nil
}

// url is where an asset is served.
func (a *assets) url(name string) (string, error) {
	if _, ok := a.files[name]; !ok {
		return "", fmt.Errorf("there is no asset %q", name)
	}
	return "/assets/" + a.version + "/" + name, nil
}

// serveAsset serves those there are now.
func (p *renderer) serveAsset(w http.ResponseWriter, r *http.Request) {
	p.skin.Load().assets.ServeHTTP(w, r)
}

// otherVersion begins the path that another node has, or had, for an asset: a page that is open keeps its looks.
var otherVersion = regexp.MustCompile(`^[0-9a-f]{12}/`)

// ServeHTTP serves /assets/{version}/name. The path without a version works too, kept only briefly, for style sheets
// and templates written by hand.
func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/assets/")
	caching := "public, max-age=300"
	if rest, ok := strings.CutPrefix(name, a.version+"/"); ok {
		name, caching = rest, "public, max-age=31536000, immutable" // RFC 8246
	} else if at := otherVersion.FindString(name); at != "" {
		name, caching = name[len(at):], "no-cache"
	}
	f, ok := a.files[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Cache-Control", caching)
	h.Set("ETag", f.etag)
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox") // an SVG opened by itself runs nothing
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.body))
}
