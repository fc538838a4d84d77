// Package consent keeps the grants by which people let sources read their
// Salesforce orgs, and makes access tokens of them.
//
// A [Keeper] has a grant for each source: encrypted in a file of its own under
// data_dir, so that a source gets access tokens and never the refresh token. An
// [Attempt] is a consent on its way: begun, answered by Salesforce, shown to a
// person, and only then kept. A [Source] gives tokens, one refresh at a time.
//
// What holds at every instant, also under kill -9: a refresh token that
// Salesforce has rotated is on disk before anyone uses the access token that
// came with it. A refusal that only a person can mend is remembered, and
// Salesforce is not asked again until that person has acted.
//
// The package knows the config of a source's auth, and Salesforce's errors with
// what mends them. It knows no plugin and no console.
package consent
