package main

import (
	"github.com/hashicorp/go-hclog"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/credential/password"
	"github.com/sigra-auth/sigra/core/credential/password/breach"
)

// breachList is where passwords are looked up.
type breachList interface {
	password.Breaches
	Close()
}

// openBreaches makes what the configuration names; nil when nothing is asked. Neither connects or reads before the first question.
func openBreaches(cfg config.BreachCheck, log hclog.Logger) (breachList, error) {
	switch cfg.Mode {
	case config.BreachFile:
		return breach.NewFile(cfg.File, log), nil
	case config.BreachOff:
		return nil, nil
	}
	return breach.NewAPI(breach.APIConfig{URL: cfg.URL, Timeout: cfg.Timeout, Logger: log})
}

// lookAtBreachFile says at the start, and not at the first new password, that the breach file is of no use. It is no reason
// to stay down.
func (p *parts) lookAtBreachFile() {
	f, ok := p.breaches.(*breach.File)
	if !ok {
		return
	}
	log := p.log.Named("breach")
	if h, err := f.Ready(); err != nil {
		log.Error("the breach file can't be used; passwords are accepted unchecked until it can", "error", err)
	} else {
		log.Info("passwords are looked up in a breach file", "passwords", h.Entries, "built", h.Built)
	}
}
