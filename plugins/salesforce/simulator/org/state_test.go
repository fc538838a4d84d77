package org_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/wellhead-io/wellhead/plugins/salesforce/simulator/org"
)

// A kill at any byte of the file leaves an org that was there at some commit:
// records, change events and their numbers, grants and access tokens.
func TestAnOrgOutlivesAKill(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	file := filepath.Join(t.TempDir(), "state")
	open := func(name string) *org.Org {
		t.Helper()
		o, err := org.Open(name, org.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(o.Close)
		return o
	}
	o := open(file)
	if _, err := org.Open(file, org.Options{}); err == nil {
		t.Error("a second org has the same file")
	}
	srv := httptest.NewServer(o)
	defer srv.Close()
	o.SetBaseURL(srv.URL)
	b := &box{o, t, srv.URL, ""}
	first, again := b.grant(), b.grant()
	rotated := b.exchange("grant_type", "refresh_token", "refresh_token", first["refresh_token"])
	o.RevokeGrants(org.AdminUsername) // of the other user: nothing

	type moment struct {
		size  int64
		truth string
	}
	size := func() int64 {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	moments := []moment{{size(), truth(o)}}
	for i := range 60 {
		write(t, o, random, i)
		moments = append(moments, moment{size(), truth(o)})
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		i := random.IntN(len(moments))
		cut := moments[i].size
		if line := bytes.IndexByte(whole[cut:], '\n'); line > 0 {
			cut += random.Int64N(int64(line)) // half of the next line
		}
		copied := filepath.Join(t.TempDir(), "copy")
		if err := os.WriteFile(copied, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		killed := open(copied)
		if got := truth(killed); got != moments[i].truth {
			t.Fatalf("after write %d, cut at %d: the org is another: %s", i, cut, differ(got, moments[i].truth))
		}
		if _, err := killed.Insert("Account", map[string]any{"Name": "after"}); err != nil {
			t.Fatal(err)
		}
		killed.Close()
		if got, want := truth(open(copied)), truth(killed); got != want {
			t.Fatalf("what was written after a kill is not there after the next: %s", differ(got, want))
		}
	}

	o.Close()
	o = open(file)
	b = &box{o, t, srv.URL, rotated["access_token"]}
	srv.Config.Handler = o
	o.SetBaseURL(srv.URL)
	if got := b.column("query", "SELECT COUNT(Id) n FROM User", "n"); got != "2" {
		t.Errorf("an access token reads %s users after a restart", got)
	}
	for refresh, want := range map[string]string{first["refresh_token"]: "invalid_grant", rotated["refresh_token"]: "", again["refresh_token"]: ""} {
		if got := b.exchange("grant_type", "refresh_token", "refresh_token", refresh)["error"]; got != want {
			t.Errorf("a refresh token after a restart: %q, want %q", got, want)
		}
	}
}

func TestAFileThatIsNoStateIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state")
	for _, text := range []string{"{}\n", "what\n", "{\"made\":\"2026-01-01T00:00:00Z\"}\nwhat\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if o, err := org.Open(file, org.Options{}); err == nil {
			o.Close()
			t.Errorf("%q is the state of an org", text)
		}
		if have, err := os.ReadFile(file); err != nil || !bytes.Equal(have, []byte(text)) {
			t.Errorf("a file that was refused is now %q, %v", have, err)
		}
	}
}

// write changes something, by each of the ways in turn.
func write(t *testing.T, o *org.Org, random *rand.Rand, i int) {
	t.Helper()
	one := func(object string) string {
		ids := o.IDs(object)
		return ids[random.IntN(len(ids))]
	}
	var err error
	switch i % 8 {
	case 0:
		_, err = o.Insert("Contact", map[string]any{"LastName": fmt.Sprint("new ", i), "FirstName": "N", "AccountId": one("Account")})
	case 1:
		err = o.Update("Contact", one("Contact"), map[string]any{"Title": fmt.Sprint(i), "Phone": nil})
	case 2:
		err = o.UpdateAll("Account", []string{o.IDs("Account")[0], o.IDs("Account")[1]}, map[string]any{"Industry": fmt.Sprint(i)})
	case 3:
		if id := one("Contact"); i%16 == 3 {
			err = o.HardDelete("Contact", id)
		} else if err = o.Delete("Contact", id); err == nil {
			err = o.Undelete("Contact", id)
		}
	case 4:
		err = o.SetFormula("Account", one("Account"), map[string]any{"Description": fmt.Sprint("formula ", i)})
	case 5:
		tx := o.Begin()
		if _, err = tx.Insert("Account", map[string]any{"Name": "never"}); err == nil {
			tx.Rollback() // its number is used up
			_, err = o.Insert("Account", map[string]any{"Name": fmt.Sprint("after ", i)})
		}
	case 6:
		ids := o.IDs("Contact")
		err = o.Merge("Contact", ids[0], ids[1])
	case 7:
		lead, e := o.Insert("Lead", map[string]any{"LastName": "L", "Company": fmt.Sprint("C", i)})
		if err = e; err == nil {
			_, err = o.ConvertLead(lead)
		}
	}
	if err != nil {
		t.Fatal(i, err)
	}
}

// truth is everything that a reader of the org can tell.
func truth(o *org.Org) string {
	all := map[string]any{"changes": o.Changes(0)}
	for _, object := range []string{"Account", "Contact", "Lead", "Opportunity", "User"} {
		prefix := o.IDs(object)[0][:3]
		for n := range 200 {
			id := fmt.Sprintf("%s000%09s", prefix, base62(n))
			if row, ok := o.Get(object, id); ok {
				all[id] = row
			}
		}
	}
	b, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// differ shows where two texts begin to.
func differ(a, b string) string {
	at := 0
	for at < min(len(a), len(b)) && a[at] == b[at] {
		at++
	}
	at = max(0, at-100)
	return fmt.Sprintf("%.200q, want %.200q", a[min(at, len(a)):], b[min(at, len(b)):])
}

func base62(n int) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	return fmt.Sprintf("0000000%c%c", digits[n/62], digits[n%62])
}
