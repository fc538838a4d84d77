// Package journeys is the destination that repeats, at Customer.io's Track API,
// the requests that a journeys source took in.
//
// # What is sent
//
// A journeys source keeps each request as the attachment of the events that it
// became, on the first of them:
//
//	{"method":"PUT","path":"/api/v1/customers/5%2B1?x=y","body":"<base64>"}
//
// path is escaped and has the query; body is absent where it is empty. The request
// is sent with these and with the credentials of this destination, one at a time in
// the journal's order, and so in order for each person. Only requests that the Track
// API knows are sent, and only to the configured host. Operations of
// POST /api/v2/entity that follow each other go together, as one POST /api/v2/batch.
//
// Events without an attachment are passed over: the later ones of a group, reports
// of Customer.io itself, and everything from sources of other kinds.
//
// # The answer
//
//	2xx                            taken
//	207 of a batch                 what batch_index names is refused, the others are taken
//	no answer, 408, 425, 429, 503  tried again without limit, in order
//	3xx, 401, 403, 407             tried again, and needs an operator's attention
//	other 5xx                      as 503 if GET /api/v1/accounts/region gets 5xx or nothing too;
//	                               else it may be the request: tried again, apart from the
//	                               others in the end
//	other 4xx                      refused: the event goes to the quarantine
//
// A batch that is refused as a whole, or whose 207 cannot be understood, is sent
// again one by one. What was sent and is not known to have arrived comes again after a
// failure or a kill, as the requests of one batch may; Customer.io drops a repeated
// event that carries an id.
package journeys
