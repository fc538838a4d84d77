package powercut

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// calls are those that change files, descriptors or processes.
var calls = []string{
	"open", "openat", "openat2", "creat", "close", "close_range", "dup", "dup2", "dup3", "fcntl", "lseek",
	"write", "pwrite64", "writev", "pwritev", "pwritev2",
	"truncate", "ftruncate", "fallocate", "copy_file_range", "sendfile", "splice", "mmap",
	"fsync", "fdatasync", "sync", "syncfs", "sync_file_range",
	"rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir",
	"link", "linkat", "symlink", "symlinkat", "mkdir", "mkdirat", "bind",
	"chdir", "fchdir", "clone", "clone3", "fork", "vfork", "execve",
}

// Recording is how a process is recorded.
type Recording struct {
	// Log is the file that strace writes. Everything that the process writes goes
	// there in full, so keep it small.
	Log string
	// Inject makes calls fail, as strace's option -e inject= takes it, such as
	// "fsync:error=EIO:when=10+10"; empty: none.
	Inject string
}

// Args are strace's arguments before the command that it is to record.
func Args(r Recording) []string {
	args := []string{
		"-f", "-qq", "--seccomp-bpf", "-ttt", "-xx", "-s", "67108864",
		"-e", "trace=" + strings.Join(calls, ","), "-e", "signal=none", "-o", r.Log,
	}
	if r.Inject != "" {
		args = append(args, "-e", "inject="+r.Inject)
	}
	return append(args, "--")
}

// Command is a process, args[0] and its arguments, which is recorded with all its
// children.
func Command(ctx context.Context, r Recording, args ...string) (*exec.Cmd, error) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		return nil, fmt.Errorf("recording system calls needs strace (apt-get install strace): %w", err)
	}
	return exec.CommandContext(ctx, strace, append(Args(r), args...)...), nil
}
