package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a subject that runs: one process, and its children.
type process struct {
	cmd    *exec.Cmd
	target target
	// console is where a Wellhead host tells its metrics.
	console string
	// sink counts the events that arrived; nil: nothing arrives anywhere.
	sink func() (uint64, error)
}

// cpuUse is CPU time: of the process itself and of its children.
type cpuUse struct{ own, children time.Duration }

func (u cpuUse) minus(v cpuUse) cpuUse { return cpuUse{u.own - v.own, u.children - v.children} }

// memoryUse is resident memory in bytes.
type memoryUse struct{ own, children uint64 }

func (m memoryUse) total() uint64 { return m.own + m.children }

func start(binary, dir string, args ...string) (*exec.Cmd, error) {
	cmd := exec.Command(binary, args...)
	cmd.Dir = dir
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has its own
	cmd.Stdout, cmd.Stderr = log, log
	return cmd, cmd.Start()
}

// up waits until the address takes connections, and stops the process where it
// does not.
func (p *process) up(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			p.stop()
			log, _ := os.ReadFile(filepath.Join(p.cmd.Dir, "log"))
			return fmt.Errorf("it does not listen on %s: %w\n%s", addr, err, log[max(0, len(log)-2000):])
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(30*time.Second, func() { _ = p.cmd.Process.Kill() })
	_ = p.cmd.Wait()
	timer.Stop()
}

// settle waits until the sink has exactly these events: what is not delivered
// does not count.
func (p *process) settle(ctx context.Context, want uint64) error {
	if p.sink == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		have, err := p.sink()
		if err != nil {
			return err
		}
		if have == want {
			return nil
		}
		if have > want {
			return fmt.Errorf("%d events arrived at the sink, and %d were acknowledged", have, want)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d acknowledged events arrived at the sink within a minute", have, want)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (p *process) cpu() cpuUse {
	return cpuUse{own: cpuOf(p.cmd.Process.Pid), children: sum(p.children(), cpuOf)}
}

func (p *process) rss() memoryUse {
	return memoryUse{own: rssOf(p.cmd.Process.Pid), children: sum(p.children(), rssOf)}
}

func sum[T time.Duration | uint64](pids []int, of func(int) T) (total T) {
	for _, pid := range pids {
		total += of(pid)
	}
	return total
}

func (p *process) children() []int {
	pid := p.cmd.Process.Pid
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	var out []int
	for _, list := range lists {
		b, _ := os.ReadFile(list)
		for _, field := range strings.Fields(string(b)) {
			if child, err := strconv.Atoi(field); err == nil {
				out = append(out, child)
			}
		}
	}
	return out
}

// cpuOf reads user and system time, which Linux counts in hundredths of a second.
func cpuOf(pid int) time.Duration {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseUint(fields[11], 10, 64)
	system, _ := strconv.ParseUint(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond
}

func rssOf(pid int) uint64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.ParseUint(strings.Fields(rest)[0], 10, 64)
			return kb << 10
		}
	}
	return 0
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// lineCounter counts the lines of files that match a pattern, reading each byte
// once.
type lineCounter struct {
	pattern string
	read    map[uint64]int64 // by inode: rotation renames
	lines   uint64
}

func (c *lineCounter) count() (uint64, error) {
	names, err := filepath.Glob(c.pattern)
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		if err := c.readOn(name); err != nil && !os.IsNotExist(err) {
			return 0, err
		}
	}
	return c.lines, nil
}

func (c *lineCounter) readOn(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	inode := info.Sys().(*syscall.Stat_t).Ino
	buf := make([]byte, 1<<20)
	for {
		n, err := f.ReadAt(buf, c.read[inode])
		c.lines += uint64(bytes.Count(buf[:n], []byte("\n")))
		c.read[inode] += int64(n)
		if err != nil {
			return nil // the end, for now
		}
	}
}
