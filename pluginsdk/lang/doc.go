// Package lang owns what Sigra and its plugins say to people, in their language: message catalogues in plain files.
//
// # For who writes pages and mails
//
//	//go:embed messages/*/*.txt
//	var messages embed.FS                               // messages/en/page.txt, messages/de/page.txt …
//
//	root, _ := fs.Sub(messages, "messages")
//	catalogues := lang.MustNew(root)                    // once; Manifest.Texts of a plugin
//	tag := catalogues.Match(acceptLanguage, preferred)  // preferred: the user's own choice, "" if there is none
//	l := catalogues.For(tag)
//	l.Text("page.login.title", "service", name)         // names and values of the placeholders, in turn
//	l.Plural("page.codes.left", n)                      // {count} is n, the form follows the language's rules
//	l.Code(), l.Direction()                             // <html lang="ar" dir="rtl">
//	l.Date(t), l.Day(t), l.Span(d)                      // 1 February 2026 at 03:04 UTC, 1 February 2026, 48 hours
//
// A text is plain text, never HTML: the template that shows it escapes it. Placeholders are for words within a
// sentence; links, codes and buttons are the template's, between two texts. A template takes l.Strict(), whose methods return
// errors, so that a wrong key or a forgotten placeholder stops the template (and the test that renders it) instead of showing to people:
//
//	{{.L.Text "page.login.title" "service" .Service}}   {{.L.Plural "page.codes.left" .Left}}
//
// Right-to-left languages get each value that has Latin letters or the like wrapped in Unicode isolates (UAX #9), so that
// an address in the middle of an Arabic sentence does not turn the words around it.
//
// # For who translates
//
// One folder per language, named by its BCP 47 tag, with as many files as one likes: messages/de/mail.txt.
//
//	# A line that starts with # is a comment.
//	mail.reset.subject = Reset your password for {service}
//	mail.reset.intro = A long text goes on
//	    in lines that start with white space.
//	mail.codes.left[one] = One code is left.
//	mail.codes.left[other] = {count} codes are left.
//
// Keys are lower-case words with dots between them, and a file holds keys that start with its own name (page.login.txt has
// page.login.…). {{ and }} are braces. The plural forms are CLDR's, for whole numbers: zero, one, two, few, many, other; a language
// has exactly those its rules use. A form for zero, one or two may leave {count} out.
//
// English is the source: it decides which keys there are, which have plural forms and which placeholders each knows. A built-in
// language has every key with the same placeholders.
//
// # For who runs Sigra
//
// A folder of the same shape replaces texts key by key and may add languages. It may have fewer keys than English (what
// is missing is said as before, or in English) and leave placeholders out, but no keys or placeholders that English doesn't have.
//
// The package refuses, with file and line, whatever is not exactly so: unknown, missing and double keys, unknown and missing
// placeholders, wrong plural forms, control characters. It refuses to know HTTP, HTML and who is asking.
package lang
