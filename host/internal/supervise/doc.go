// Package supervise keeps plugin processes alive and speaks with them.
//
// There is one process for each entry under plugins:. The package binds the
// entry's socket, launches the process, opens one stream for each source, says
// Serve, watches that work is done, restarts what stopped, and drains at the
// end. A socket outlives the processes that serve it: while a plugin restarts,
// connections wait in the socket's backlog.
//
// What a batch contains is none of its business: it hands batches to an Intake
// in the order in which they came and sends the verdicts back in that order.
//
//	Supervisor   all plugins; Listen, Run, Status
//	entry        one entry under plugins: launch, tenure, back off, again
//	tenure       the time of one process: its streams, Serve, probe, drain
//	source       one source in a tenure: stream, back off, again
//	stream       one Run stream
//	process      a launched process behind go-plugin
//	child        the operating system's side of it
package supervise
