// Package collector is the common HTTP API of event collection, as the browser,
// mobile and server clients of Segment and Customer.io speak it.
//
// A request is authenticated by an API key (its write key), its body is split
// into events, and they are emitted on the stream of the key's source. It is
// answered when the host has said what became of each. The package judges no
// event: which are refused, and why, it hears from the host.
//
// It also gives the browser what it loads before it can send: the vendors' own
// libraries and the settings that point them back here.
package collector
