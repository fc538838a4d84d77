package replication

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wellhead-io/wellhead/sdk"
)

// SQLSTATEs, from https://www.postgresql.org/docs/current/errcodes-appendix.html.
const (
	objectInUse           = "55006"
	insufficientPrivilege = "42501"
	configurationLimit    = "53400"
	undefinedObject       = "42704"
	invalidPassword       = "28P01"
	invalidAuthorization  = "28000"
	tooManyConnections    = "53300"
)

// problem says an error in a person's words.
func (f *Follower) problem(err error) sdk.Problem {
	if p, ok := errors.AsType[sdk.Problem](err); ok {
		return p
	}
	p := sdk.Problem{Code: "replication", Path: "/replication", Message: err.Error(), Fix: "look at the server's log; it is tried again"}
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return sdk.Problem{Code: "connection", Path: "/url", Message: err.Error(), Fix: "see that the server runs and can be reached; it is tried again"}
	}
	p.Message = e.Message
	switch e.Code {
	case objectInUse:
		p.Code, p.Fix = "slot_in_use", "give each source a slot of its own: replication: {slot: NAME}"
	case insufficientPrivilege:
		p.Code, p.Fix = "permission", "as an administrator: ALTER ROLE the_user REPLICATION; and GRANT SELECT on the tables"
	case configurationLimit:
		p.Code, p.Fix = "slots_used_up", "raise max_replication_slots and max_wal_senders on the server and restart it, or drop a slot that nobody uses (pg_replication_slots)"
	case tooManyConnections:
		p.Code, p.Fix = "too_many_connections", "raise max_wal_senders or max_connections on the server; a source takes three connections"
	case invalidPassword, invalidAuthorization:
		p.Code, p.Path, p.Fix = "login", "/url", "mend user or password in url, or pg_hba.conf on the server"
	}
	return p
}

func bad(code, message, fix string, args ...any) sdk.Problem {
	return sdk.Problem{Code: code, Path: "/replication", Message: fmt.Sprintf(message, args...), Fix: fix}
}
