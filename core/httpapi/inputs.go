package httpapi

import "github.com/google/uuid"

type emailInput struct {
	Body struct {
		Email string `json:"email" minLength:"1" maxLength:"320" doc:"The account's address." example:"ada@example.com"`
	} `nameHint:"Address"`
}

type flowInput struct {
	Body struct {
		Flow string `json:"flow" minLength:"1" maxLength:"512" doc:"What began it answered."`
	} `nameHint:"Flow"`
}

type ownIDInput struct {
	ID uuid.UUID `path:"id" format:"uuid" doc:"Which one."`
}

type tokenInput struct {
	Body struct {
		Token string `json:"token" minLength:"1" maxLength:"512" doc:"The token of the mailed link."`
	} `nameHint:"Token"`
}
