package org

import (
	"errors"
	"net/http"
)

// Failure is an error as an org reports it.
type Failure struct {
	// Status is the HTTP status that comes with it.
	Status int
	// Code is the errorCode, such as INVALID_FIELD.
	Code    string
	Message string
	// Fields are those that are at fault, in answers to writes.
	Fields []string
}

func (f *Failure) Error() string { return f.Code + ": " + f.Message }

// statuses are of codes that come with another status than 400.
var statuses = map[string]int{
	"INVALID_SESSION_ID": 401, "INVALID_AUTH_HEADER": 401, "INVALID_JWT_FORMAT": 401,
	"REQUEST_LIMIT_EXCEEDED": 403, "API_DISABLED_FOR_ORG": 403, "API_CURRENTLY_DISABLED": 403, "TXN_SECURITY_METERING_ERROR": 403,
	"INSUFFICIENT_ACCESS": 403, "INSUFFICIENT_ACCESS_OR_READONLY": 403,
	"NOT_FOUND": 404, "ENTITY_IS_DELETED": 404, "METHOD_NOT_ALLOWED": 405, "UNSUPPORTED_API_VERSION": 410,
	"UNKNOWN_EXCEPTION": 500, "SERVER_UNAVAILABLE": 503, "INVALID_REPLICATION_DATE": 400,
}

func failure(code, message string, fields ...string) *Failure {
	status := statuses[code]
	if status == 0 {
		status = http.StatusBadRequest
	}
	return &Failure{Status: status, Code: code, Message: message, Fields: fields}
}

// asFailure is the failure in err; what is none is the simulator's own fault
// and shown as an org's internal error.
func asFailure(err error) *Failure {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f
	}
	return &Failure{Status: http.StatusInternalServerError, Code: "UNKNOWN_EXCEPTION", Message: err.Error()}
}

// body is the failure as REST answers tell it: an array of one.
func (f *Failure) body() []byte {
	entry := map[string]any{"message": f.Message, "errorCode": f.Code}
	if f.Fields != nil {
		entry["fields"] = f.Fields
	}
	b, err := marshal([]any{entry})
	if err != nil {
		return []byte(`[{"message":"unexpected","errorCode":"UNKNOWN_EXCEPTION"}]`)
	}
	return b
}
