// Package lang owns what Sigra says to people: the message catalogues of its pages and mails, in each language it speaks.
//
// How catalogues are written, read, replaced and asked is pluginsdk/lang's, which plugins share. The package refuses to know
// HTTP, HTML and who is asking.
package lang
