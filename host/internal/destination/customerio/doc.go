// Package customerio is the destination that sends events to Customer.io's Data
// Pipelines API, or to any other endpoint that takes what Segment's takes, such as
// another Wellhead's collector.
//
// # The request
//
//	POST /v1/batch
//	Authorization: Basic <key and a colon, in base64>
//	Content-Type: application/json
//	Content-Encoding: gzip
//	X-Strict-Mode: 1
//
//	{"batch":[…],"sentAt":"2026-11-24T08:23:06.705Z"}
//
// /v1/batch follows url, or https://cdp.customer.io, or https://cdp-eu.customer.io.
// The events are in journal order. Each has its members as they were accepted, name
// and value byte for byte, but for four. receivedAt and sourceId are Wellhead's own;
// a receiver sets its own. sentAt and originalTimestamp are by the clock of the first
// client. A receiver takes timestamp as receivedAt - (sentAt - timestamp), and
// timestamp is right by the host's clock already: with the client's sentAt it would
// be corrected twice, and an event that waited for an outage to end would move by
// the time that it waited. So the request's sentAt is this host's clock, and what a
// receiver adds to timestamp is the time that the request was under way.
//
// Without strict mode Customer.io answers 200 to a wrong key and to events that it
// does not take. A key of the other region gets 200, and nothing is stored: that the
// region is right is for the operator to look at once.
//
// # Bounds
//
// Customer.io and Segment take 32 KB an event and 500 KB a request, and Customer.io
// answers 200 to more and drops it. So an event beyond max_event is not sent: it is
// refused, alone. A request has at most batch.bytes of events, and at most 2,560
// bytes more.
//
// # The answer
//
//	2xx                                       taken
//	no answer, 408, 425, 429, 460, 503        tried again without limit
//	3xx, 401 to 405, 407, 410, 415            tried again, and needs an operator's attention
//	other 5xx                                 as 503 if an empty batch gets 5xx or nothing too;
//	                                          else tried again, then in halves
//	400, 413, 422 and other 4xx               refused: halved, a single event goes to the quarantine
//
// 460 is what Segment's clients read as a connection that broke on its way.
// Retry-After is respected, in seconds or as a date. Redirects are not followed.
//
// A Wellhead names the events that it refused, in an answer with the header
// Wellhead-Refused. Only these go to the quarantine; it has the others.
//
// What was sent and is not known to have arrived comes again, with the same
// messageId, by which a receiver drops the second: a Wellhead for its dedup.window,
// Segment for at least 24 hours, Customer.io for a time that it does not state.
package customerio
