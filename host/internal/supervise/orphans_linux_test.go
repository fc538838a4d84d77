package supervise_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestAKilledHostLeavesNothingThatServes(t *testing.T) {
	for _, test := range []struct {
		name      string
		mode      string
		child     bool
		stopped   bool
		stopChild bool
	}{
		{name: "plugin that ignores the lifeline", mode: "deaf"},
		{name: "stopped plugin", stopped: true},
		{name: "plugin with a child", child: true},
		{name: "stopped plugin with a stopped child", child: true, stopped: true, stopChild: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			mode := test.mode
			if mode == "" {
				mode = "good"
			}
			dir, address := t.TempDir(), freeAddress(t)
			host := hostCommand(t, dir, address, mode)
			before := startHost(t, host)
			child := 0
			if test.child {
				child = atoi(t, request(t, "POST", address, "/child"))
			}
			if test.stopChild {
				stop(t, child)
			}
			if test.stopped {
				stop(t, before.PID)
			}
			kill(t, host.Process.Pid)
			_ = host.Wait()
			within(t, patience, "the kernel ends the plugin", func() bool { return !alive(before.PID) })

			// The successor, in this process.
			in, logs := newIntake(), &buffer{}
			spec := fakeSpec(t, "good")
			spec.Listen = address
			o := options(t, in, logs, spec)
			o.Dir = dir
			began := time.Now()
			r := startWith(t, in, logs, o)
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("bound after %s", took)
			}
			if alive(before.PID) || child != 0 && alive(child) {
				t.Errorf("plugin %d or its child %d lives", before.PID, child)
			}
			if pid := atoi(t, request(t, "GET", address, "/pid")); pid == before.PID {
				t.Error("the orphan answers")
			}
			if after := r.running(); after.Generation <= before.Generation {
				t.Errorf("generation %d after %d", after.Generation, before.Generation)
			}
			if old := before.Listen; old != address {
				t.Errorf("served %s", old)
			}
		})
	}
}

// orphan is a process group that no parent-death signal ends: what an earlier
// host would leave on a system without it.
func orphan(t *testing.T, script, mark string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sh", "-c", script)
	cmd.Env = append(os.Environ(), "WELLHEAD_HOST="+mark)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	return cmd
}

// record writes what an earlier host would have recorded of a process.
func record(t *testing.T, dir string, pid int, start uint64, boot string) {
	t.Helper()
	raw, err := json.Marshal(map[string]any{
		"version": 1, "generation": 5, "boot_id": boot, "mark": "the-mark",
		"processes": []any{map[string]any{"plugin": "fake", "pid": pid, "start": start}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "processes.json"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOnlyRecordedProcessesAreEnded(t *testing.T) {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	boot := strings.TrimSpace(string(raw))
	// The leader is gone when its child has become another program; the group is not.
	const leaves = `sleep 1000 & while ! grep -q sleep /proc/$!/comm; do :; done`
	for _, test := range []struct {
		name       string
		script     string
		mark       string
		boot       string
		otherStart bool
		ended      bool
	}{
		{name: "leader", script: "sleep 1000 & wait", boot: boot, ended: true},
		{name: "stopped leader", script: "kill -STOP $$", boot: boot, ended: true},
		{name: "another process by now", script: "sleep 1000 & wait", boot: boot, otherStart: true},
		{name: "another boot", script: "sleep 1000 & wait", boot: "another"},
		{name: "group without its leader", script: leaves, mark: "the-mark", boot: boot, ended: true},
		{name: "another group by now", script: leaves, mark: "another", boot: boot},
	} {
		t.Run(test.name, func(t *testing.T) {
			cmd := orphan(t, test.script, test.mark)
			pid := cmd.Process.Pid
			start := startTime(t, pid)
			if test.script == leaves {
				_ = cmd.Wait()
			}
			if test.otherStart {
				start++
			}
			in, logs := newIntake(), &buffer{}
			o := options(t, in, logs)
			record(t, o.Dir, pid, start, test.boot)
			startWith(t, in, logs, o)
			if lives := groupLives(t, pid); lives == test.ended {
				t.Errorf("group lives: %t", lives)
			}
			if said := strings.Contains(logs.String(), fmt.Sprintf("pid=%d", pid)); said != test.ended {
				t.Errorf("said: %t", said)
			}
		})
	}
}

func startTime(t *testing.T, pid int) uint64 {
	t.Helper()
	fields := statFields(pid)
	if fields == nil {
		t.Fatalf("process %d is gone", pid)
	}
	n, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// statFields are those after the name in /proc/PID/stat; nil: no such process.
func statFields(pid int) []string {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
}

func groupLives(t *testing.T, group int) bool {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if f := statFields(pid); f != nil && f[2] == strconv.Itoa(group) && f[0] != "Z" && f[0] != "X" {
			return true
		}
	}
	return false
}
