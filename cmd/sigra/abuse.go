package main

import (
	"fmt"

	"github.com/sigra-auth/sigra/core/ratelimit"
	"github.com/sigra-auth/sigra/core/ratelimit/captcha"
)

// openAbuse makes what stands between an account and those who guess at it.
func (p *parts) openAbuse() (err error) {
	cfg := p.cfg.Abuse
	switch {
	case cfg.Captcha.Provider != "":
		provider, ok := captcha.Find(cfg.Captcha.Provider)
		if !ok {
			return fmt.Errorf("captcha: there is no provider %q", cfg.Captcha.Provider)
		}
		if p.captcha, err = captcha.New(captcha.Config{
			Provider: provider, SiteKey: cfg.Captcha.SiteKey, Secret: cfg.Captcha.Secret, URL: cfg.Captcha.URL, Hostname: cfg.Captcha.Hostname,
			SendIP: cfg.Captcha.SendIP, Timeout: cfg.Captcha.Timeout, Logger: p.log.Named("captcha"),
		}); err != nil {
			return err
		}
		p.proofs = p.captcha
	case cfg.ProofOfWork.Difficulty > 0:
		if p.proofs, err = ratelimit.NewPuzzles(ratelimit.PuzzleConfig{
			Marks: p.keys, Difficulty: cfg.ProofOfWork.Difficulty, Max: cfg.ProofOfWork.MaxDifficulty, TTL: cfg.ProofOfWork.TTL,
		}); err != nil {
			return err
		}
	}
	names := usernames(p.cfg).Names()
	if p.failures, err = ratelimit.NewBackoff(ratelimit.BackoffConfig{
		Name: "sign_in", After: quota(cfg.Backoff.After), First: cfg.Backoff.First, Longest: cfg.Backoff.Longest,
		Hard: quota(cfg.HardLockout), Verifier: p.proofs,
	}.Shared(names)); err != nil {
		return err
	}
	p.pairs, err = ratelimit.NewPair(ratelimit.PairConfig{Quota: quota(p.cfg.RateLimit.SignInAccount).Shared(names)})
	return err
}
