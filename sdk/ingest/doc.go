// Package ingest is what every source that is spoken to over HTTP does with a
// request: read its body within bounds of size and memory, find the key in its
// header, and say what an Emit that failed means to the client.
//
// Each API has its own form of answers: what is wrong with a request is a Problem,
// which the source words as its clients expect.
package ingest
