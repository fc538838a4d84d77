package translate

import "fmt"

// Reasons of an Error. They are stable.
const (
	ReasonNotJSON  = "not_json"
	ReasonRequired = "required"
	ReasonInvalid  = "invalid"
	ReasonTooLong  = "too_long"
	ReasonTooMany  = "too_many"
)

// Error is why a call is not taken. Customer.io would not take it either.
type Error struct {
	Reason  string
	Field   string // of the call, by the API's names, never by the client's; empty: the body as a whole
	Message string // in Customer.io's own words where they are known; it may repeat the name of an attribute
}

func (e *Error) Error() string { return e.Message }

func required(field string) *Error {
	return &Error{ReasonRequired, field, field + " must be present"}
}

func invalid(field, format string, args ...any) *Error {
	return &Error{ReasonInvalid, field, fmt.Sprintf(format, args...)}
}

func tooLong(field, format string, args ...any) *Error {
	return &Error{ReasonTooLong, field, fmt.Sprintf(format, args...)}
}
