package httpapi

import (
	"math"
	"time"

	"github.com/sigra-auth/sigra/core/ratelimit"
)

// Challenge is what a client is asked to do before its attempt is judged.
type Challenge struct {
	Kind       string    `json:"kind" enum:"proof_of_work,captcha" doc:"What is asked for."`
	Puzzle     string    `json:"puzzle,omitempty" doc:"Of a proof of work: what to solve, as docs/api.md says."`
	Difficulty int       `json:"difficulty,omitempty" doc:"Of a proof of work: how hard it is. One more is twice the work."`
	ExpiresAt  time.Time `json:"expires_at,omitzero" doc:"Of a proof of work: until when it can be redeemed."`
	Provider   string    `json:"provider,omitempty" doc:"Of a captcha: whose widget to show."`
	SiteKey    string    `json:"site_key,omitempty" doc:"Of a captcha: the site's public key."`
	Unproved   int       `json:"unproved_after,omitempty" doc:"After how many seconds an attempt without a proof will be judged, if nobody fails meanwhile."`
}

func challengeOf(d *ratelimit.Demand) *Challenge {
	c := d.Challenge
	return &Challenge{
		Kind: c.Kind, Puzzle: c.Puzzle, Difficulty: c.Difficulty, ExpiresAt: c.ExpiresAt, Provider: c.Provider, SiteKey: c.SiteKey,
		Unproved: int(math.Ceil(d.Unproved.Seconds())),
	}
}

// Proof is what a client answers to a challenge.
type Proof struct {
	Puzzle   string `json:"puzzle,omitempty" maxLength:"512" doc:"The puzzle as it was given."`
	Solution string `json:"solution,omitempty" maxLength:"8192" doc:"Its solution, or the token that the captcha's widget gave."`
}

func (p *Proof) proof() ratelimit.Proof {
	if p == nil {
		return ratelimit.Proof{}
	}
	return ratelimit.Proof{Challenge: p.Puzzle, Solution: p.Solution}
}
