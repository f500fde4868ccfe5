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
	"sync/atomic"
	"time"

	"github.com/sigra-auth/sigra/pluginsdk"
)

// Settings is the config block.
type Settings struct {
	Folder string `sigra:"folder" doc:"Where mails are put, one file each."`
}

// Pickup sends mail.
type Pickup struct{ folder atomic.Pointer[string] }

var _ pluginsdk.Mailer = (*Pickup)(nil)

// Manifest says what it is. A plugin that implements Mailer takes all of Sigra's mail.
func (p *Pickup) Manifest() pluginsdk.Manifest {
	return pluginsdk.Manifest{Name: "pickup", Version: "1.0.0", Description: "Puts mails into a folder.", Settings: &Settings{}}
}

// Configure looks whether the folder is there.
func (p *Pickup) Configure(_ context.Context, _ *pluginsdk.Host, in pluginsdk.Settings) error {
	var s Settings
	if err := in.Decode(&s); err != nil {
		return err
	}
	if fi, err := os.Stat(s.Folder); err != nil || !fi.IsDir() {
		return pluginsdk.Diagnostic("folder", "There is no such folder.", "Make it, and let Sigra's user write to it.")
	}
	p.folder.Store(&s.Folder)
	return nil
}

// Send puts one message into the folder. The same message may come again: its idempotency key is the file's name.
func (p *Pickup) Send(_ context.Context, m pluginsdk.Message) error {
	if !m.Deadline.IsZero() && time.Now().After(m.Deadline) {
		return pluginsdk.Permanent(errors.New("it is too late for this message"))
	}
	folder := *p.folder.Load()
	file := filepath.Join(folder, url.PathEscape(m.IdempotencyKey)+".eml")
	if _, err := os.Stat(file); err == nil {
		return nil // it is there already
	}
	f, err := os.CreateTemp(folder, ".new-*")
	if err != nil {
		return pluginsdk.Retryable(err) // nothing was sent
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text(m))
	if err := errors.Join(err, f.Close()); err != nil {
		return pluginsdk.Retryable(err)
	}
	return pluginsdk.Retryable(os.Rename(f.Name(), file))
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
