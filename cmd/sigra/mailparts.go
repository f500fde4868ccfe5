package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/lang"
	"github.com/sigra-auth/sigra/core/mail"
	"github.com/sigra-auth/sigra/core/mail/smtp"
	"github.com/sigra-auth/sigra/core/web"
)

// words are what Sigra says to people: the texts of pages and mails, and the letters made of them.
type words struct {
	catalogues *lang.Catalogues
	letters    *mail.Letters
}

// readWords reads the texts and templates that the configuration names. Every mistake in them is a diagnostic with file and line.
func readWords(cfg *config.Config) (w words, diags config.Diagnostics) {
	overrides, err := folder(cfg.Messages)
	if err == nil {
		w.catalogues, err = lang.Load(overrides)
	}
	if err != nil {
		return words{}, wordsDiagnostics(err, "messages", cfg.Messages)
	}
	if w.catalogues, err = w.catalogues.WithDefault(cfg.Mail.Language); err != nil {
		return words{}, config.Diagnostics{{Severity: config.Error, Setting: "mail.language", Summary: "mail.language: " + err.Error(), Detail: "A folder of that name below messages adds a language."}}
	}
	templates, err := folder(cfg.Mail.Templates)
	if err == nil {
		w.letters, err = mail.NewLetters(mail.LettersConfig{Service: cfg.Mail.ServiceName, Catalogues: w.catalogues, Templates: templates})
	}
	if err != nil {
		return words{}, wordsDiagnostics(err, "mail.templates", cfg.Mail.Templates)
	}
	return w, nil
}

// folder opens a folder; nil where the setting is left out.
func folder(path string) (fs.FS, error) {
	if path == "" {
		return nil, nil
	}
	if fi, err := os.Stat(path); err != nil {
		return nil, err
	} else if !fi.IsDir() {
		return nil, errors.New(path + " is not a folder")
	}
	return os.DirFS(path), nil
}

// readPages opens the folder of templates and assets that the configuration names, and looks at them. Every mistake in them is a
// diagnostic with file and line.
func readPages(cfg *config.Config, texts *lang.Catalogues) (fs.FS, config.Diagnostics) {
	override, err := folder(cfg.Pages)
	if err == nil && override != nil {
		err = web.Check(texts, override)
	}
	if err != nil {
		return nil, wordsDiagnostics(err, "pages", cfg.Pages)
	}
	return override, nil
}

// contents tell whether something in a folder is different.
func contents(path string) string {
	if path == "" {
		return ""
	}
	sum := sha256.New()
	err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		_, _ = fmt.Fprintf(sum, "%s %x ", name, sha256.Sum256(b))
		return err
	})
	return fmt.Sprintf("%x %v", sum.Sum(nil), err)
}

// replacedBy are the folders of an adopter's own, by setting.
func replacedBy(cfg *config.Config) map[string]string {
	return map[string]string{"messages": contents(cfg.Messages), "mail.templates": contents(cfg.Mail.Templates), "pages": contents(cfg.Pages)}
}

func wordsDiagnostics(err error, setting, dir string) (out config.Diagnostics) {
	var all []error
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		all = many.Unwrap()
	} else {
		all = []error{err}
	}
	for _, err := range all {
		d := config.Diagnostic{Severity: config.Error, Setting: setting, File: dir, Summary: setting + ": " + err.Error()}
		var mistake *lang.Error
		if errors.As(err, &mistake) {
			d.File, d.Line, d.Summary = filepath.Join(dir, filepath.FromSlash(mistake.File)), mistake.Line, mistake.Problem
		}
		if d.Line > 0 {
			d.Column, d.EndLine, d.EndColumn = 1, d.Line, 1
		}
		out = append(out, d)
	}
	return out
}

// newMailer makes what sends mail when no plugin does: the development inbox, the site's mail server, or nothing yet.
func newMailer(cfg *config.Config, inbox *mail.Inbox, log hclog.Logger) (mail.Mailer, error) {
	m := cfg.Mail
	switch {
	case m.Dev:
		return inbox, nil
	case m.SMTP.Enabled():
		return newSMTP(m.SMTP, log.Named("smtp"))
	}
	return &mail.Nowhere{Logger: log}, nil
}

func newSMTP(s config.SMTP, log hclog.Logger) (*smtp.Sender, error) {
	return smtp.New(smtp.Config{
		Host: s.Host, Port: s.Port, TLS: smtp.TLS(s.TLS), Username: s.Username, Password: s.Password, CAFile: s.CAFile,
		Timeout: s.Timeout, Pool: s.Pool, Hello: s.Hello, Logger: log,
	})
}

// mailMetrics counts how attempts to send ended. Purposes of plugins are one, so that they can't make any number of series.
func mailMetrics(reg prometheus.Registerer) func(purpose, outcome string) {
	if reg == nil {
		return nil
	}
	total := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sigra_mail_total", Help: "Attempts to send a mail, by how they ended: sent, retry, failed, expired, uncertain, withheld (a decoy).",
	}, []string{"purpose", "outcome"})
	reg.MustRegister(total)
	known := mail.Purposes()
	return func(purpose, outcome string) {
		if !slices.Contains(known, purpose) {
			purpose = "other"
		}
		total.WithLabelValues(purpose, outcome).Inc()
	}
}

// queueMetrics shows what waits to be sent.
type queueMetrics struct {
	queue           *mail.Queue
	log             hclog.Logger
	waiting, oldest *prometheus.Desc
}

func newQueueMetrics(q *mail.Queue, log hclog.Logger) *queueMetrics {
	return &queueMetrics{
		queue: q, log: log,
		waiting: prometheus.NewDesc("sigra_mail_queue_messages", "Mails that wait to be sent.", nil, nil),
		oldest:  prometheus.NewDesc("sigra_mail_queue_oldest_seconds", "How long the oldest of them has waited; 0 when none does.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (m *queueMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- m.waiting
	ch <- m.oldest
}

// Collect implements prometheus.Collector.
func (m *queueMetrics) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	n, oldest, err := m.queue.Waiting(ctx)
	if err != nil {
		m.log.Warn("mail metrics not collected", "error", err)
		return
	}
	age := 0.0
	if !oldest.IsZero() {
		age = time.Since(oldest).Seconds()
	}
	ch <- prometheus.MustNewConstMetric(m.waiting, prometheus.GaugeValue, float64(n))
	ch <- prometheus.MustNewConstMetric(m.oldest, prometheus.GaugeValue, age)
}
