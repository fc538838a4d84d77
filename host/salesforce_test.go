package host_test

import (
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// What `make run` shows of Salesforce: consent by a click in a browser, the
// records in the file, a change a moment later; and after a kill of the org, of
// the host or of everything it goes on where it was.
func TestTheQuickstartReadsAnOrgAfterAClick(t *testing.T) {
	q := newQuickstart(t)
	q.start()
	if !strings.Contains(q.log.String(), "source crm waits until you grant access") {
		t.Error("the quickstart does not say that access is to be granted")
	}
	if out, err := q.wellhead("status").CombinedOutput(); err != nil || !strings.Contains(string(out), "run: wellhead connect crm [needs_consent]") {
		t.Errorf("status before the consent: %v\n%s", err, out) // an error: the host is not ready
	}
	if out, err := q.command("-change").CombinedOutput(); err == nil || !strings.Contains(string(out), "nobody reads it yet: run bin/wellhead connect crm") {
		t.Errorf("a change before the consent: %v\n%s", err, out)
	}

	grantAccess(t, q.wellhead("connect", "crm", "--yes", "--listen", freeAddr(t)), func(page string) {
		var ended struct{ Title string }
		runScript(t, "", &ended, "consent.mjs", page, "allow")
	})
	s := q.data()
	records := func() (calls map[string]int) {
		calls = map[string]int{}
		for _, e := range s.told(nil) {
			calls[e.Type+" "+e.Context.Salesforce.Sync]++
		}
		return calls
	}
	want := map[string]int{"identify contacts": 10, "identify leads": 2, "group accounts": 5, "group members": 10}
	eventually(t, "every record of the org in the file", func() bool { return maps.Equal(records(), want) })

	var took []time.Duration
	change := func() {
		t.Helper()
		began := time.Now()
		out, err := q.command("-change").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "Rear Admiral") {
			t.Fatalf("a change: %v\n%s", err, out)
		}
		took = append(took, time.Since(began)) // with two processes' starts
	}
	for range 11 {
		change()
	}
	slices.Sort(took)
	t.Logf("from the start of the command to the line in the file: %v", took)
	if took[len(took)/2] > time.Second {
		t.Errorf("half of the changes took longer than %s", took[len(took)/2])
	}

	// The org dies: the quickstart ends and says so. Started again it goes on.
	killProcess(t, q.cmd.Process.Pid, "salesforce-simu")
	if err := q.cmd.Wait(); err == nil || !strings.Contains(q.log.String(), "the Salesforce simulator has ended: start again with make run") {
		t.Errorf("after the org died: %v", err)
	}
	q.start()
	if !strings.Contains(q.log.String(), "read by source crm") {
		t.Error("after a restart the grant is gone")
	}
	change()
	killProcess(t, q.cmd.Process.Pid, "wellhead")
	_ = q.cmd.Wait()
	q.start()
	change()
	_ = q.cmd.Process.Kill() // its children end with it
	_ = q.cmd.Wait()
	eventually(t, "the addresses are free again", func() bool {
		for _, addr := range q.at {
			l, err := net.Listen("tcp", addr)
			if err != nil {
				return false
			}
			_ = l.Close()
		}
		return true
	})
	q.start()
	change()
	for id, n := range s.archived() {
		if n > 1 {
			t.Errorf("%s stands in the file %d times", id, n)
		}
	}

	other := newQuickstart(t)
	other.org = q.org
	if out, err := other.command().CombinedOutput(); err == nil || !strings.Contains(string(out), "is another simulator running? end it") {
		t.Errorf("a second one at the org's address: %v\n%s", err, out)
	}
}
