package supervise

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// orphanPatience is how long a killed process group gets to be gone. More
	// than a moment it takes only in an uninterruptible system call.
	orphanPatience = 5 * time.Second
	orphanPoll     = 5 * time.Millisecond
)

// bootID names the time since the last boot; empty: not known.
func bootID() string {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
}

// startTime returns when a process started, in clock ticks since boot.
func startTime(pid int) (uint64, error) {
	s, err := readStat(pid)
	return s.start, err
}

// endOrphans kills a recorded process group and waits until it is gone. It
// returns how many processes there were. A group whose leader is another process
// than the recorded one is left alone, and so is one without a leader unless its
// processes carry the mark.
func endOrphans(ctx context.Context, p processRecord, mark string) (int, error) {
	deadline := time.Now().Add(orphanPatience)
	known := map[int]uint64{} // start times by process number
	for {
		if !orphans(p, mark, known) {
			return len(known), nil
		}
		// SIGKILL ends stopped processes too. There is no host to say goodbye to.
		if err := unix.Kill(-p.PID, unix.SIGKILL); err != nil && err != unix.ESRCH {
			return len(known), orphanError(p, err)
		}
		if time.Now().After(deadline) {
			return len(known), orphanError(p, fmt.Errorf("still there after %s", orphanPatience))
		}
		select {
		case <-ctx.Done():
			return len(known), context.Cause(ctx)
		case <-time.After(orphanPoll):
		}
	}
}

func orphanError(p processRecord, err error) *Error {
	return &Error{
		Code: CodeOrphan, Plugin: p.Plugin,
		Message: fmt.Sprintf("process group %d, which an earlier host left, cannot be ended: %v", p.PID, err),
		Hint:    fmt.Sprintf("end it by hand: kill -9 -%d", p.PID), Err: err,
	}
}

// orphans tells whether any process of a recorded group lives. It adds those that
// it recognises to known: a process that is about to end loses its environment,
// and with it the mark, before it closes its sockets.
func orphans(p processRecord, mark string, known map[int]uint64) bool {
	leader, err := readStat(p.PID)
	leaderless := err != nil
	if !leaderless && leader.start != p.Start {
		return false // the number was given away
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return false
	}
	lives := false
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		s, err := readStat(pid)
		if err != nil || s.group != p.PID || s.ended() {
			continue
		}
		if start, ok := known[pid]; ok && start == s.start || !leaderless || hasMark(pid, mark) {
			known[pid] = s.start
			lives = true
		}
	}
	return lives
}

// stat is what is needed of /proc/PID/stat.
type stat struct {
	state byte
	group int
	start uint64
}

// ended tells whether the process has ended and was only not reaped yet.
func (s stat) ended() bool { return s.state == 'Z' || s.state == 'X' }

func readStat(pid int) (stat, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	// The second field is the name in parentheses, which may hold anything.
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	if len(fields) < 20 {
		return stat{}, fmt.Errorf("/proc/%d/stat: %d fields after the name", pid, len(fields))
	}
	s := stat{state: fields[0][0]}
	if s.group, err = strconv.Atoi(fields[2]); err != nil {
		return stat{}, fmt.Errorf("/proc/%d/stat: process group: %w", pid, err)
	}
	if s.start, err = strconv.ParseUint(fields[19], 10, 64); err != nil {
		return stat{}, fmt.Errorf("/proc/%d/stat: start time: %w", pid, err)
	}
	return s, nil
}

// hasMark tells whether a process was started with the mark in its environment.
func hasMark(pid int, mark string) bool {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil || mark == "" {
		return false
	}
	want := []byte(envMark + "=" + mark)
	for pair := range bytes.SplitSeq(raw, []byte{0}) {
		if bytes.Equal(pair, want) {
			return true
		}
	}
	return false
}
