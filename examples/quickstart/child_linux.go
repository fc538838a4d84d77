package main

import "syscall"

// diesWithParent ends a child when the quickstart is killed.
func diesWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} }
