package source

import (
	"errors"

	"github.com/wellhead-io/wellhead/plugins/sql/database"
	"github.com/wellhead-io/wellhead/sdk"
)

// fault makes a database's errors those for a person, without the URL's secrets.
type fault struct {
	url  string
	sync string // the path of the sync; empty: of the source
}

func (f fault) problem(err error) sdk.Problem {
	var p sdk.Problem
	if !errors.As(err, &p) {
		e := database.Explain(err)
		p = sdk.Problem{Code: string(e.Kind), Message: e.Message, Fix: e.Fix}
		switch e.Kind {
		case database.Unreachable, database.LoginRefused, database.WrongURL:
			p.Path = "/url"
			return f.clean(p)
		case database.Refused:
			p.Path = "/query"
		}
	}
	if f.sync == "" && p.Path == "/query" {
		p.Path = ""
	}
	p.Path = f.sync + p.Path
	return f.clean(p)
}

func (f fault) clean(p sdk.Problem) sdk.Problem {
	scrub := database.Scrub(f.url)
	p.Message, p.Fix = scrub(p.Message), scrub(p.Fix)
	return p
}
