package main

import "context"

// follow hears of changes as they happen.
func (r *runner) follow(context.Context, string) {}
