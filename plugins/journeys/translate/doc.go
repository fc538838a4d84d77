// Package translate turns calls of Customer.io's Track API, and its reporting
// webhooks, into calls of the common spec. It is pure: it knows nothing of
// HTTP, of keys or of the host.
//
// Attributes, event data and what else the client may name freely are copied
// as the bytes that they are, so that numbers of any size and unknown members
// survive. A call is held to Customer.io's own rules and is refused in its own
// words; what the common spec demands beyond them the host judges.
//
// # What becomes of a call
//
//	customers, person identify      identify; each relationship a group
//	customers delete                track User Deleted
//	suppress, unsuppress            track User Suppressed, User Unsuppressed
//	events, person event            track; page and screen by their type
//	devices, add_device             track Device Created or Updated, with context.device
//	devices delete, delete_device   track Device Deleted, with context.device
//	add_relationships               a group for each
//	delete_relationships            a track Relationship Deleted for each
//	merge_customers, person merge   alias
//	object identify                 group; each relationship another
//	object delete                   track Object Deleted
//	metrics, push/events, delivery  track Report Delivery Event
//	forms                           identify and track Form Submitted
//	segments                        a track Segment Member Added or Removed for each
//	unsubscribe                     track Unsubscribed or Subscribed
//	reporting webhooks              track, such as Email Link Clicked
//
// A person is named by userId: the id, the email address or, as version 1 does
// it, Customer.io's own id after cio_. What a call tells Customer.io to do with
// it, rather than what happened, has no word in the common spec: _update, and
// _timestamp, which becomes the event's time. An event that names nobody is
// passed on as it is, and the host refuses it.
//
// The properties of a webhook are its data under its own names, which are not
// those of other vendors' events: renaming them would have to guess.
//
// # The golden files
//
// testdata has a file for each endpoint and action. In it stand pairs: a
// section "request", whose first line is the method and the path and whose
// rest, after an empty line, is the body; and what becomes of it, either a
// section "events", one JSON object after another, or a section "error" with
// reason, field and message. Webhooks have "POST /webhooks". Text before the
// first section says what the file is about. go test -update writes what the
// code answers.
package translate
