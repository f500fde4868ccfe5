package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/mail"
)

func (c *cli) mailCommand() *cobra.Command {
	return group("mail", "Outgoing mail", c.mailQueueCommand(), c.mailTestCommand(), c.mailPreviewCommand(), c.mailTemplatesCommand())
}

func (c *cli) mailQueueCommand() *cobra.Command {
	return &cobra.Command{
		Use: "queue", Short: "Show what sends mail, what waits and what became of the rest", Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, done, err := c.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			q, err := client.MailQueue(cmd.Context())
			if err != nil {
				return err
			}
			return c.show(q, func(w io.Writer) {
				facts(w, "sent by", q.Mailer, "waiting", strconv.Itoa(q.Queued+q.Sending), "oldest", utc(q.Oldest),
					"sent", strconv.Itoa(q.Sent), "refused", strconv.Itoa(q.Failed), "expired", strconv.Itoa(q.Expired),
					"accepted", strconv.Itoa(q.Accepted), "uncertain", strconv.Itoa(q.Uncertain), "decoys", strconv.Itoa(q.Withheld))
			})
		},
	}
}

func (c *cli) mailTestCommand() *cobra.Command {
	return &cobra.Command{
		Use: "test ADDRESS", Short: "Send a test message and show what the mail server answers", Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			client, done, err := c.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			res, err := client.TestMail(cmd.Context(), a[0])
			if err != nil {
				return err
			}
			err = c.show(res, func(w io.Writer) {
				said := map[string]string{
					"sent": "Sent.", "refused": "Refused: it will not be taken like this.", "unavailable": "Not sent: it could be tried again.",
					"uncertain": "Unclear: the message may have gone out or not.",
				}[res.Outcome]
				_, _ = fmt.Fprintln(w, strings.TrimSpace(said+" "+printable(res.Message)))
				facts(w, "through", res.Mailer, "answer", res.Answer, "code", res.Code)
			})
			if err == nil && res.Outcome != "sent" {
				return exitError{status: 1}
			}
			return err
		},
	}
}

// preview is a message as it would be sent.
type preview struct {
	Purpose  string `json:"purpose"`
	Language string `json:"language"`
	Subject  string `json:"subject"`
	Text     string `json:"text"`
	HTML     string `json:"html"`
}

func (c *cli) mailPreviewCommand() *cobra.Command {
	var language, out string
	cmd := &cobra.Command{
		Use: "preview [PURPOSE]", Short: "Show what the mails say, with the site's own texts and templates", Args: args(cobra.MaximumNArgs(1)),
		Long: "Show what a mail says, made up of examples; without a purpose, list them all. With --out, write text and HTML into files: of the purpose, or of all.\n" +
			"It needs neither a server nor a database.",
		RunE: func(cmd *cobra.Command, a []string) error {
			list, err := c.previews(a, language)
			if err != nil {
				return err
			}
			if out != "" {
				return c.writePreviews(list, out)
			}
			return c.show(list, func(w io.Writer) {
				if len(a) == 0 {
					var rows [][]string
					for _, p := range list {
						rows = append(rows, []string{p.Purpose, p.Language, p.Subject})
					}
					table(w, "", []string{"PURPOSE", "LANGUAGE", "SUBJECT"}, rows)
					return
				}
				for i, p := range list {
					if i > 0 {
						_, _ = fmt.Fprintln(w, "\n"+strings.Repeat("-", 76)+"\n")
					}
					_, _ = fmt.Fprintf(w, "%s\n\n%s", p.Subject, p.Text)
				}
			})
		},
	}
	cmd.Flags().StringVar(&language, "language", "", `in this language, or "all" (default mail.language)`)
	cmd.Flags().StringVar(&out, "out", "", "write files into this folder")
	return cmd
}

func (c *cli) previews(purposes []string, language string) ([]preview, error) {
	cfg, _, err := c.load()
	if err != nil {
		return nil, err
	}
	w, diags := readWords(cfg)
	if diags.HasErrors() {
		return nil, exitError{2, diagnosticsError{diags}}
	}
	if len(purposes) == 0 {
		purposes = mail.Purposes()
	} else if !slices.Contains(mail.Purposes(), purposes[0]) {
		msg := fmt.Sprintf("there is no mail %q", printable(purposes[0]))
		if near := config.Suggest(purposes[0], mail.Purposes()); near != "" {
			msg += fmt.Sprintf("; did you mean %q?", near)
		}
		return nil, exitError{2, errors.New(msg)}
	}
	languages := []string{language}
	switch {
	case language == "":
		languages = []string{w.catalogues.Default().Code()}
	case language == "all":
		languages = w.catalogues.Codes()
	case !slices.Contains(w.catalogues.Codes(), language):
		return nil, exitError{2, fmt.Errorf("there are no texts in the language %q; there are %s", printable(language), strings.Join(w.catalogues.Codes(), ", "))}
	}
	var out []preview
	for _, p := range purposes {
		for _, l := range languages {
			d := mail.Sample(p, cfg.Server.BaseURL)
			d.Language = l
			m, err := w.letters.Write(d)
			if err != nil {
				return nil, err
			}
			out = append(out, preview{p, l, m.Subject, m.Text, m.HTML})
		}
	}
	return out, nil
}

func (c *cli) writePreviews(list []preview, dir string) error {
	files := map[string][]string{"files": {}}
	for _, p := range list {
		below := filepath.Join(dir, p.Language)
		if err := os.MkdirAll(below, 0o755); err != nil {
			return err
		}
		for ending, body := range map[string]string{".txt": p.Subject + "\n\n" + p.Text, ".html": p.HTML} {
			path := filepath.Join(below, p.Purpose+ending)
			if err := os.WriteFile(path, []byte(body), 0o644); err != nil {
				return err
			}
			files["files"] = append(files["files"], path)
		}
	}
	slices.Sort(files["files"])
	return c.show(files, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "Wrote %s below %s.\n", count(len(files["files"]), "file", "files"), dir)
	})
}

func (c *cli) mailTemplatesCommand() *cobra.Command {
	return &cobra.Command{
		Use: "templates DIR", Short: "Write the built-in templates and texts into a folder, to start your own from", Args: args(cobra.ExactArgs(1)),
		Long: "Write the built-in mail templates to DIR/templates and the texts of pages and mails to DIR/messages. Keep the files and lines you change, and name the two\n" +
			"folders in the configuration: mail { templates = … } and messages = … . Nothing that is there is overwritten.",
		RunE: func(_ *cobra.Command, a []string) error {
			return c.writeFolders(a[0], map[string]fs.FS{"templates": mail.Templates(), "messages": lang.Messages()})
		},
	}
}

// writeFolders writes what is built in, to start one's own from.
func (c *cli) writeFolders(dir string, folders map[string]fs.FS) error {
	var written []string
	for name, from := range folders {
		if err := fs.WalkDir(from, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := fs.ReadFile(from, path)
			if err != nil {
				return err
			}
			to := filepath.Join(dir, name, filepath.FromSlash(path))
			written = append(written, to)
			return writeFresh(to, b)
		}); err != nil {
			return err
		}
	}
	slices.Sort(written)
	return c.show(map[string][]string{"files": written}, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "Wrote %s below %s.\n", count(len(written), "file", "files"), dir)
	})
}

// writeFresh writes a file that must not be there yet, and the folders above it.
func writeFresh(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, os.ErrExist) {
		return exitError{2, fmt.Errorf("%s is there already; name a folder without it", path)}
	}
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}
