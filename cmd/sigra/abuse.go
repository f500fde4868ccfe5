package main

import (
	"fmt"

	"github.com/sigra-auth/sigra/core/config"
	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/ratelimit/captcha"
)

// openAbuse makes what stands between an account and those who guess at it.
func (p *parts) openAbuse() (err error) {
	rules, captcha, err := p.abuse(p.cfg.Abuse)
	if err != nil {
		return err
	}
	p.captcha = captcha
	if p.failures, err = ratelimit.NewBackoff(rules); err != nil {
		return err
	}
	p.pairs, err = ratelimit.NewPair(ratelimit.PairConfig{Quota: quota(p.cfg.RateLimit.SignInAccount).Shared(usernames(p.cfg).Names())})
	return err
}

// reloadAbuse changes it while running. Failures there are stay; a proof of the former kind is taken no more, and the answer asks for
// one of the new.
func (p *parts) reloadAbuse(cfg config.Abuse) error {
	rules, captcha, err := p.abuse(cfg)
	if err == nil {
		err = p.failures.Configure(rules)
	}
	if err != nil {
		return err
	}
	if p.captcha != nil {
		p.captcha.Close()
	}
	p.captcha = captcha
	return nil
}

// abuse makes what a configuration asks for; the captcha is nil where it asks for none.
func (p *parts) abuse(cfg config.Abuse) (rules ratelimit.BackoffConfig, asked *captcha.Verifier, err error) {
	rules = ratelimit.BackoffConfig{
		Name: "sign_in", After: quota(cfg.Backoff.After), First: cfg.Backoff.First, Longest: cfg.Backoff.Longest, Hard: quota(cfg.HardLockout),
	}
	switch {
	case cfg.Captcha.Provider != "":
		provider, ok := captcha.Find(cfg.Captcha.Provider)
		if !ok {
			return rules, nil, fmt.Errorf("captcha: there is no provider %q", cfg.Captcha.Provider)
		}
		if asked, err = captcha.New(captcha.Config{
			Provider: provider, SiteKey: cfg.Captcha.SiteKey, Secret: cfg.Captcha.Secret, URL: cfg.Captcha.URL, Hostname: cfg.Captcha.Hostname,
			SendIP: cfg.Captcha.SendIP, Timeout: cfg.Captcha.Timeout, Logger: p.log.Named("captcha"),
		}); err == nil {
			rules.Verifier = asked
		}
	case cfg.ProofOfWork.Difficulty > 0:
		rules.Verifier, err = ratelimit.NewPuzzles(ratelimit.PuzzleConfig{
			Marks: p.keys, Difficulty: cfg.ProofOfWork.Difficulty, Max: cfg.ProofOfWork.MaxDifficulty, TTL: cfg.ProofOfWork.TTL,
		})
	}
	return rules.Shared(usernames(p.cfg).Names()), asked, err
}
