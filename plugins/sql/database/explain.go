package database

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// FaultKind is what a fault is about; the values are stable codes.
type FaultKind string

// The kinds of faults.
const (
	Unreachable  FaultKind = "unreachable"
	LoginRefused FaultKind = "login_refused"
	WrongURL     FaultKind = "wrong_url"
	Refused      FaultKind = "query_refused" // the query is wrong, or not permitted
	Slow         FaultKind = "timeout"
	Failed       FaultKind = "database"
)

// Fault is an error of a database, for a person. Message may hold secrets of the
// URL: see Scrub.
type Fault struct {
	Kind    FaultKind
	Message string
	Fix     string
}

const (
	fixNetwork = "look at host and port in the url, and whether the network and the database let this machine in"
	fixLogin   = "look at user, password and database in the url"
	fixQuery   = "mend the query; try it with a client of the database as the same user"
	fixTime    = "make the query faster, with an index on the cursor, or timeout longer"
)

// explainers know the errors of one driver each.
var explainers = []func(error) (Fault, bool){explainPostgres}

// Explain says what an error of this package is for a person.
func Explain(err error) Fault {
	for _, explain := range explainers {
		if f, ok := explain(err); ok {
			return f
		}
	}
	var network net.Error
	switch {
	case errors.Is(err, errRowSize):
		return Fault{Failed, err.Error(), "select fewer or shorter columns"}
	case errors.Is(err, context.DeadlineExceeded):
		return Fault{Slow, "the database did not answer in time", fixTime}
	case errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET):
		return Fault{Unreachable, err.Error(), fixNetwork}
	}
	return Fault{Failed, err.Error(), ""}
}

// explainPostgres goes by the classes of SQLSTATE, PostgreSQL's appendix A.
func explainPostgres(err error) (Fault, bool) {
	var e *pgconn.PgError
	var connect *pgconn.ConnectError
	switch connecting := errors.As(err, &connect); {
	case errors.As(err, &e):
		f := Fault{Failed, e.Message, ""}
		switch class := e.Code[:min(2, len(e.Code))]; {
		case e.Code == "57014":
			f.Kind, f.Fix = Slow, fixTime
		case e.Code == "25006":
			f = Fault{Refused, "the query writes: " + e.Message, "select only"}
		case class == "28" || class == "3D":
			f.Kind, f.Fix = LoginRefused, fixLogin
		case connecting:
			f.Kind, f.Fix = Unreachable, fixNetwork
		case class == "42" || class == "22" || class == "25" || class == "0A" || class == "26":
			f.Kind, f.Fix = Refused, fixQuery
		}
		if e.Hint != "" && f.Kind == Refused {
			f.Message += " (" + e.Hint + ")"
		}
		return f, true
	case connecting:
		return Fault{Unreachable, err.Error(), fixNetwork}, true
	}
	return Fault{}, false
}
