// Package org is a Salesforce org in a box, for tests and for trying out what
// reads one: a store of records with describes that were recorded from a real
// org, and in front of it what such an org serves: OAuth, REST queries, Bulk API
// 2.0 queries and the Pub/Sub API.
//
//	o := org.New(org.Options{})
//	defer o.Close()
//	srv := httptest.NewServer(o)
//	o.SetBaseURL(srv.URL)
//	id, err := o.Insert("Contact", map[string]any{"LastName": "Hopper"})
//
// A test changes the org by its Go methods or by the same as JSON, POST
// /admin/NAME; Faults lists the failures that it can show. The org has a clock
// of its own, by which tokens, cursors, the recycle bin and events expire.
//
// What is simulated is what readers of an org meet, traps included: dates of
// whole seconds, transactions that commit late, formula fields that change
// without a new SystemModstamp, merges, hard deletes. Sources of the behaviour
// are Salesforce's documentation and reports of its users; where those are
// silent the simulator is strict. It knows nothing of triggers, validation
// rules, sharing, cascading deletes and files.
package org
