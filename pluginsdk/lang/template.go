package lang

import (
	"regexp"
	"strconv"
)

var templatePlace = regexp.MustCompile(`^(?:html/)?template: ?([a-z_-]+\.(?:html|txt)):(\d+)(?::\d+)?:? *`)

// TemplateError finds the place in what text/template or html/template say of a mistake; dir is where their names lie. Without a
// place, err comes back as it is.
func TemplateError(dir string, err error) error {
	s := err.Error()
	m := templatePlace.FindStringSubmatch(s)
	if m == nil {
		return err
	}
	line, _ := strconv.Atoi(m[2]) // digits
	return &Error{File: dir + m[1], Line: line, Problem: s[len(m[0]):]}
}
