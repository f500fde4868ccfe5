package browsertest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// Look is a way of looking at a page.
type Look struct {
	Name          string
	Width, Height int64
	Scheme        string // light or dark
}

// Looks are the ways in which people look at a page.
var Looks = []Look{
	{"phone-light", 360, 800, "light"}, {"phone-dark", 360, 800, "dark"},
	{"desktop-light", 1280, 800, "light"}, {"desktop-dark", 1280, 800, "dark"},
}

// Shots holds in every look that nothing sticks out of the screen and, if also is not nil, what it finds. It takes pictures into the
// folder SIGRA_SCREENSHOTS where that is set.
func Shots(t testing.TB, name string, in []Look, also func(ctx context.Context, target *chromedp.Target, l Look) error) Step {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		for _, l := range in {
			view := emulation.SetDeviceMetricsOverrideParams{Width: l.Width, Height: l.Height, DeviceScaleFactor: 1, Mobile: l.Width < 600}
			if _, err := cdp.Call(ctx, target, emulation.SetDeviceMetricsOverride, view); err != nil {
				return err
			}
			media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
				{Name: "prefers-color-scheme", Value: l.Scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
			}}
			if _, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, media); err != nil {
				return err
			}
			// Against the width that was asked for: a phone's browser makes its own wider for what does not fit.
			wide, err := chromedp.Evaluate[bool](fmt.Sprintf(`document.documentElement.scrollWidth > %d`, l.Width))(ctx, target)
			if err != nil {
				return err
			}
			if wide {
				t.Errorf("%s at %s is wider than the screen", name, l.Name)
			}
			if also != nil {
				if err := also(ctx, target, l); err != nil {
					return err
				}
			}
			if err := picture(ctx, target, name+"-"+l.Name); err != nil {
				return err
			}
		}
		return nil
	})
}

// picture is taken of the whole page, where pictures are wanted.
func picture(ctx context.Context, target *chromedp.Target, name string) error {
	dir := os.Getenv("SIGRA_SCREENSHOTS")
	if dir == "" {
		return nil
	}
	all := true
	shot, err := cdp.Call(ctx, target, page.CaptureScreenshot, page.CaptureScreenshotParams{CaptureBeyondViewport: &all})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name+".png"), shot.Data, 0o600)
}
