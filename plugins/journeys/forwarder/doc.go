// Package forwarder is Customer.io's Track API, and the receiver of its
// reporting webhooks, as clients of Customer.io see them.
//
// A call is authenticated, held to Customer.io's rules and translated by
// package translate; its events are emitted as one group, with the call beside
// them as an Attachment, by which a destination can make it again at
// Customer.io. Each operation of a batch is a call of its own. A request is
// answered when the host has said what became of its events, in the form that
// the endpoint has at Customer.io. Events that the host refuses are durable in
// the quarantine: a batch names them, and other answers count them in the
// header Wellhead-Refused.
package forwarder
