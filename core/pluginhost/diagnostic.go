package pluginhost

import (
	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2"
)

func errorAt(r hcl.Range, summary, detail string) *hcl.Diagnostic {
	d := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail}
	if r != (hcl.Range{}) {
		d.Subject = &r
	}
	return d
}

func warningAt(r hcl.Range, summary, detail string) *hcl.Diagnostic {
	d := errorAt(r, summary, detail)
	d.Severity = hcl.DiagWarning
	return d
}

// nearest is the word of known that name was probably meant to be; empty when none is near.
func nearest(name string, known []string) string {
	best, at := "", 3
	for _, k := range known {
		if d := levenshtein.Distance(name, k, nil); d < at {
			best, at = k, d
		}
	}
	return best
}
