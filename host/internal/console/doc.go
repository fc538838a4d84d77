// Package console is how people and machines look at a running host: the admin
// API on a socket in data_dir, which the command line uses, and the endpoints
// /healthz, /readyz, /metrics and /oauth/callback on the console's listener.
//
// The admin API is HTTP and JSON on data_dir/admin.sock. Whoever may open the
// socket, the user that runs the host, may do everything:
//
//	GET  /status              Status
//	POST /send/{source}       events, one JSON value a line; answers a Verdict
//	GET  /tail                Records as they come, one a line
//	GET  /quarantine          a Page; with group=1 Groups
//	GET  /quarantine/{id...}  an Entry
//
//	GET  /consent/{source}         a Consent
//	POST /consent/{source}/begin   callback=URL; answers an Attempt
//	POST /consent/{source}/token   an AccessToken
//	POST /consent/{source}/revoke
//	GET  /attempts/{id}            the Grant, when a browser has brought it
//	POST /attempts/{id}/answer     code, state, error…; answers the Grant
//	POST /attempts/{id}/keep
//	POST /attempts/{id}/drop
//
// The listener is for this machine's monitoring. It answers nobody whose Host
// is not this machine, nor a web page of another origin, and it shows no
// event. /healthz tells that the process lives. /readyz answers 503 where events
// that come now are turned away, or where nobody is there to take them: a
// closed journal, a full disk, a plugin or a source that does not run, a
// destination at its max_lag that refuses, a full quarantine. What can wait for
// its mending, as a destination that is down, is in its answer but does not make
// it 503. /oauth/callback is where a browser brings the answer to a consent that
// was begun on the socket.
//
// What a host is stays behind the interface Host: the package asks, and puts
// the answers into HTTP and Prometheus words. Only it knows Prometheus.
package console
