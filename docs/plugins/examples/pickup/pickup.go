package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
)

// Settings is the config block.
type Settings struct {
	Folder string `sigra:"folder" doc:"Where mails are put, one file each."`
}

// Pickup sends mail.
type Pickup struct{ folder string }

var _ pluginsdk.Mailer = (*Pickup)(nil)

// plugin says what it is. A plugin that implements Mailer takes all of Sigra's mail.
func plugin() pluginsdk.Plugin {
	return pluginsdk.Define(pluginsdk.Manifest{Name: "pickup", Version: "1.0.0", Description: "Puts mails into a folder."}, configure)
}

// configure looks whether the folder is there.
func configure(_ context.Context, _ *pluginsdk.Host, s Settings) (*Pickup, error) {
	if fi, err := os.Stat(s.Folder); err != nil || !fi.IsDir() {
		return nil, pluginsdk.Diagnostic("folder", "There is no such folder.", "Make it, and let Sigra's user write to it.")
	}
	return &Pickup{s.Folder}, nil
}

// Send puts one message into the folder. The same message may come again: its idempotency key is the file's name.
func (p *Pickup) Send(_ context.Context, m pluginsdk.Message) (sent pluginsdk.SendResponse, err error) {
	if !m.Deadline.IsZero() && time.Now().After(m.Deadline) {
		return sent, pluginsdk.Permanent(errors.New("it is too late for this message"))
	}
	file := filepath.Join(p.folder, url.PathEscape(m.IdempotencyKey)+".eml")
	if _, err := os.Stat(file); err == nil {
		return sent, nil // it is there already
	}
	f, err := os.CreateTemp(p.folder, ".new-*")
	if err != nil {
		return sent, pluginsdk.Retryable(err) // nothing was sent
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text(m))
	if err := errors.Join(err, f.Close()); err != nil {
		return sent, pluginsdk.Retryable(err)
	}
	return sent, pluginsdk.Retryable(os.Rename(f.Name(), file))
}

func text(m pluginsdk.Message) []byte {
	var b bytes.Buffer
	from, to := mail.Address{Name: m.From.Name, Address: m.From.Address}, mail.Address{Name: m.To.Name, Address: m.To.Address}
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nSubject: %s\r\n", &from, &to, mime.QEncoding.Encode("utf-8", m.Subject))
	b.WriteString("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	w := quotedprintable.NewWriter(&b)
	_, _ = w.Write([]byte(m.Text)) // a buffer takes everything
	_ = w.Close()
	return b.Bytes()
}
