// Package webhook is the destination that posts events as JSON to a URL.
//
// # The request
//
// The body is {"events":[…]}, each event as it was accepted, in journal order.
// The headers are
//
//	Content-Type: application/json
//	Wellhead-Batch: 1042.7-1043.2
//	Wellhead-Signature: t=1764000000,v1=5257a8…
//
// Wellhead-Batch names the positions of the first and the last event. After a
// failure or a restart events may come again in other batches: messageId is what
// tells a duplicate. The signature is there where a secret is configured. To check it, compute the
// HMAC-SHA256 of t, a dot and the body as it came, keyed with the secret, and
// compare its hex form with v1 in constant time; refuse a t that is minutes old.
//
// # The answer
//
// Any 2xx takes the batch, whatever its body.
//
//	no answer, 408, 425, 429, 503         tried again without limit
//	3xx, 401, 403, 404, 405, 407, 410     tried again, and needs an operator's attention
//	other 5xx                             tried again, then in halves
//	413 and other 4xx                     refused: halved, a single event goes to the quarantine
//
// Retry-After is respected, in seconds or as a date. Redirects are not followed: they
// would carry events to a place that nobody configured.
package webhook
