// Package console is how people and machines look at a running host: the admin
// API on a socket in data_dir, which the command line uses, and the endpoints
// /healthz, /readyz and /metrics on the console's listener.
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
// The listener is for this machine's monitoring. It answers nobody whose Host
// is not this machine, nor a web page of another origin, and it shows no
// event.
//
// What a host is stays behind the interface Host: the package asks, and puts
// the answers into HTTP and Prometheus words. Only it knows Prometheus.
package console
