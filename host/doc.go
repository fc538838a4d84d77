// Package host is Wellhead's host process: it wires the rooms and runs them.
//
// # An event's journey
//
// A client speaks to a plugin (package supervise keeps its process alive and
// owns its sockets). The plugin hands over a batch of claims. The gate turns
// each claim into an envelope or a refusal; refusals go to the quarantine,
// envelopes to the journal, which writes the batches of all sources together
// and syncs them once. Only then does the plugin hear the verdict, and answer
// its client. Each destination has a loop of its own (package deliver) that
// reads the journal from its cursor, asks route which events are its own,
// sends them and moves the cursor.
//
// A source that reads a person's org asks for access tokens. Package consent has
// what that person granted, and renews the tokens; no plugin sees more.
//
// This package is the hallway: the only one that knows every room.
package host
