package sync_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/plugins/salesforce/client"
	"github.com/wellhead-io/wellhead/plugins/salesforce/object"
	"github.com/wellhead-io/wellhead/plugins/salesforce/simulator/org"
	"github.com/wellhead-io/wellhead/plugins/salesforce/sync"
)

func TestABackfillAndWhatComesAfterIsTheOrg(t *testing.T) {
	b := newBox(t, contacts(), org.Options{})
	a := b.insert("Contact", map[string]any{"LastName": "A", "MailingCity": "Ulm"})
	c := b.insert("Contact", map[string]any{"LastName": "C"})
	b.poll()
	b.check("backfill")
	b.must(b.Update("Contact", a, map[string]any{"LastName": "AA"}))
	b.must(b.Delete("Contact", c))
	b.insert("Contact", map[string]any{"LastName": "D"})
	b.poll()
	b.check("window")
	n, asked := len(b.events), b.Stats().Requests
	b.poll()
	b.check("quiet")
	if asked = b.Stats().Requests - asked; asked != 3 {
		t.Errorf("%d requests when nothing happened, want those for the describe, the deletions and the window", asked)
	}
	if len(b.events) != n {
		t.Errorf("%d events when nothing happened: %+v", len(b.events)-n, b.events[n:])
	}
}

// airbyte#27146, estuary#2670
func TestRowsThatBecomeVisibleLateAreRead(t *testing.T) {
	b := newBox(t, contacts(), org.Options{})
	b.insert("Contact", map[string]any{"LastName": "first"})
	b.poll()
	long := b.Begin()
	_, err := long.Insert("Contact", map[string]any{"LastName": "late"})
	b.must(err)
	for range 5 { // longer than the overlap
		b.Advance(8 * time.Minute)
		b.insert("Contact", map[string]any{"LastName": "meanwhile"})
		b.poll()
	}
	b.must(long.Commit())
	b.poll()
	b.check("after the long transaction")

	// One that spans the first read of the object.
	early := newBox(t, contacts(), org.Options{})
	span := early.Begin()
	_, err = span.Insert("Contact", map[string]any{"LastName": "before the backfill"})
	early.must(err)
	early.Advance(30 * time.Minute)
	early.insert("Contact", map[string]any{"LastName": "first"})
	early.poll()
	early.must(span.Commit())
	early.poll()
	early.check("after the transaction that spans the backfill")

	// Nothing tells of transactions of this object.
	b.must(b.AlterObject("Contact", map[string]any{"replicateable": false}))
	short := b.Begin()
	_, err = short.Insert("Contact", map[string]any{"LastName": "late"})
	b.must(err)
	b.Advance(8 * time.Minute)
	b.insert("Contact", map[string]any{"LastName": "meanwhile"})
	b.poll()
	b.must(short.Commit())
	b.poll()
	b.check("after the short transaction")
}

// airbyte#42537, airbyte#17148, supaglue#532
func TestThousandsOfRowsWithOneSystemModstampAreReadOnce(t *testing.T) {
	b := newBox(t, narrow(), org.Options{})
	b.insert("Contact", map[string]any{"LastName": "first"})
	b.poll()
	at := b.Now().UTC()
	b.must(b.Load("Contact", 5000, func(i int) map[string]any {
		return map[string]any{"LastName": fmt.Sprint(i), "SystemModstamp": at, "CreatedDate": at}
	}))
	b.Advance(time.Minute)
	b.must(b.Fail(org.Fault{Name: "locator_lost", Times: 1}))
	b.poll()
	b.check("5,000 rows in one second")
	if b.repeated != 0 || b.count("identify") != 5001 {
		t.Errorf("%d events, %d repeated", b.count("identify"), b.repeated)
	}
}

// airbyte#77627, estuary PR#3493
func TestAChangedSchemaIsTakenInWithoutAReset(t *testing.T) {
	spec := contacts()
	spec.Fields = []string{"LastName", "Email"}
	b, all := newBox(t, spec, org.Options{}), newBox(t, contacts(), org.Options{})
	for _, b := range []*box{b, all} {
		id := b.insert("Contact", map[string]any{"LastName": "A", "Email": "a@b.c"})
		b.insert("Contact", map[string]any{"LastName": "B"})
		b.poll()
		b.Advance(time.Hour) // out of the overlap
		b.poll()
		b.must(b.AddField("Contact", org.Field{Name: "Score__c", Label: "Score", Type: "double"}))
		b.must(b.SetFormula("Contact", id, map[string]any{"Score__c": 7})) // no row moves
		b.poll()
		b.must(b.RemoveField("Contact", "Email"))
		b.insert("Contact", map[string]any{"LastName": "C"})
		b.poll()
		if b.fold()[id] == nil || len(b.fold()) != 3 {
			t.Fatalf("got %v", b.fold())
		}
	}
	all.check("all fields")
	if len(b.warned) == 0 || !strings.Contains(b.warned[0].Message, `no field "Email"`) {
		t.Errorf("the lost field is not told: %+v", b.warned)
	}
	all.must(all.RetypeField("Contact", "Score__c", "string"))
	all.poll()
	for _, traits := range all.fold() {
		if _, text := traits["Score__c"].(string); traits["Score__c"] != nil && !text {
			t.Errorf("retyped field is told as %#v", traits["Score__c"])
		}
	}
}

// A describe is of some hundred kilobytes, and each poll asks for it.
func TestADescribeIsReadOnlyWhenItHasChanged(t *testing.T) {
	b := newBox(t, contacts(), org.Options{})
	id := b.insert("Contact", map[string]any{"LastName": "A"})
	b.poll()
	b.Advance(2 * time.Minute)
	b.poll()
	whole := func(what string, want int, passes time.Duration) {
		t.Helper()
		before := b.Stats().Describes
		for range 4 {
			b.Advance(passes)
			b.poll()
		}
		if n := b.Stats().Describes - before; n != want {
			t.Errorf("%s: %d describes were read in 4 polls, want %d", what, n, want)
		}
	}
	whole("nothing changed", 0, 5*time.Minute)
	b.must(b.AddField("Contact", org.Field{Name: "New__c", Label: "New", Type: "double"}))
	whole("a new field", 1, 2*time.Minute)
	b.must(b.Update("Contact", id, map[string]any{"New__c": 1}))
	b.poll()
	b.check("the new field")
	whole("after an hour", 1, 35*time.Minute)
}

func TestAFieldMayVanishBetweenDescribeAndQuery(t *testing.T) {
	b := newBox(t, contacts(), org.Options{})
	b.must(b.AddField("Contact", org.Field{Name: "Gone__c", Label: "Gone", Type: "double"}))
	b.insert("Contact", map[string]any{"LastName": "A", "Gone__c": 1})
	b.meanwhile("Gone__c", func() { b.must(b.RemoveField("Contact", "Gone__c")) })
	b.poll()
	b.check("backfill")
	b.must(b.AddField("Contact", org.Field{Name: "Gone__c", Label: "Gone", Type: "double"}))
	b.poll()
	b.insert("Contact", map[string]any{"LastName": "B", "Gone__c": 1})
	b.meanwhile("Gone__c", func() { b.must(b.RemoveField("Contact", "Gone__c")) })
	b.poll()
	b.check("window")
}

// airbyte#17503, airbyte#19947, airbyte#27969
func TestAWindowThatTakesTooLongIsHalved(t *testing.T) {
	b := newBox(t, contacts(), org.Options{})
	b.insert("Contact", map[string]any{"LastName": "first"})
	b.poll()
	for i := range 20 {
		b.Advance(10 * time.Minute)
		b.insert("Contact", map[string]any{"LastName": fmt.Sprint(i)})
	}
	b.must(b.Fail(org.Fault{Name: "query_timeout", Path: "ORDER BY SystemModstamp", Times: 4}))
	b.poll()
	b.check("halved")
	b.insert("Contact", map[string]any{"LastName": "more"})
	b.must(b.Fail(org.Fault{Name: "query_timeout", Path: "ORDER BY SystemModstamp"}))
	b.Advance(6 * time.Second)
	if err := b.sync.Poll(t.Context()); !client.Is(err, client.QueryTimeout) {
		t.Errorf("a query that never ends: %v", err)
	}
	b.ClearFaults()
	b.poll()
	b.check("afterwards")
}

// airbyte#34082, airbyte#44845, airbyte#10155
func TestHardDeletesArrive(t *testing.T) {
	b := newBox(t, contacts(), org.Options{})
	id := b.insert("Contact", map[string]any{"LastName": "A"})
	bin := b.insert("Contact", map[string]any{"LastName": "B"})
	b.insert("Contact", map[string]any{"LastName": "C"})
	b.poll()
	b.must(b.HardDelete("Contact", id))
	b.must(b.Delete("Contact", bin))
	b.poll()
	b.check("deleted")
	b.must(b.Undelete("Contact", bin))
	b.poll()
	b.check("undeleted")
	b.must(b.HardDelete("Contact", bin))
	b.poll()
	b.check("emptied bin")
}

func TestDeletionsThatSalesforceForgotAreFoundByIds(t *testing.T) {
	spec := contacts()
	spec.Reconcile = 24 * time.Hour
	b := newBox(t, spec, org.Options{})
	b.must(b.Load("Contact", 2500, names(2500)))
	b.poll()
	ids := b.IDs("Contact")
	for i := 0; i < 300; i++ {
		b.must(b.HardDelete("Contact", ids[i*8]))
	}
	b.Advance(20 * 24 * time.Hour)
	b.insert("Contact", map[string]any{"LastName": "new"})
	b.poll()
	b.check("after 20 days")
	told := ids[1]
	b.Advance(time.Minute)
	b.must(b.Load("Contact", 2000, names(2000))) // more than a comparison can name
	b.must(b.HardDelete("Contact", told))
	b.poll()
	b.check("told")
	id := ids[2]
	b.must(b.HardDelete("Contact", id))
	b.must(b.PurgeDeletions("Contact"))
	b.Advance(25 * time.Hour)
	b.poll()
	b.check("purged log")
	if len(b.warned) > 0 {
		t.Error(b.warned)
	}
}

// airbyte#14024, airbyte#20703
func TestAWideObjectIsReadInParts(t *testing.T) {
	for _, way := range []string{"limit known", "limit found out"} {
		b := newBox(t, contacts(), org.Options{})
		for i := range 60 {
			b.must(b.AddField("Contact", org.Field{Name: fmt.Sprintf("A_rather_long_name_of_a_field_%d__c", i), Label: "X", Type: "string", Length: 80}))
		}
		b.insert("Contact", map[string]any{"LastName": "A", "A_rather_long_name_of_a_field_59__c": "z"})
		b.insert("Contact", map[string]any{"LastName": "B", "A_rather_long_name_of_a_field_1__c": "y"})
		if way == "limit known" {
			b.sync.SetURILimit(3000)
		} else {
			b.must(b.Fail(org.Fault{Name: "uri_too_long", Path: "field_59__c", Times: 2}))
		}
		b.poll()
		b.check(way)
		b.insert("Contact", map[string]any{"LastName": "C", "A_rather_long_name_of_a_field_30__c": "x"})
		b.poll()
		b.check(way + ", window")
	}
}

// A condition may be longer than all that is left for the names of fields.
func TestALongConditionLeavesRoomForOneField(t *testing.T) {
	spec := narrow()
	spec.Fields = []string{"FirstName", "LastName", "Email"}
	spec.Where = "LastName NOT IN ('" + strings.Repeat("x", 3800) + "')"
	b := newBox(t, spec, org.Options{})
	b.insert("Contact", map[string]any{"FirstName": "F", "LastName": "L", "Email": "a@b.c"})
	b.poll()
	b.check("long condition")
}

// What a record was and what it has become are never told as one.
func TestTheePartsOfARecordAreOfOneState(t *testing.T) {
	spec := contacts()
	spec.Fields = []string{"FirstName", "LastName"}
	for i := range 40 {
		spec.Fields = append(spec.Fields, fmt.Sprintf("A_rather_long_name_of_a_field_%d__c", i))
	}
	b := newBox(t, spec, org.Options{})
	for _, f := range spec.Fields[2:] {
		b.must(b.AddField("Contact", org.Field{Name: f, Label: "X", Type: "string", Length: 80}))
	}
	last := spec.Fields[len(spec.Fields)-1]
	b.sync.SetURILimit(3000)
	id := b.insert("Contact", map[string]any{"LastName": "old", last: "old"})
	b.poll()
	b.must(b.Update("Contact", id, map[string]any{"LastName": "a", last: "a"}))
	b.Advance(6 * time.Second)
	b.meanwhile(last, func() { b.must(b.Update("Contact", id, map[string]any{"LastName": "b", last: "b"})) })
	b.must(b.sync.Poll(t.Context()))
	b.poll()
	b.check("changed between two queries")
	for _, e := range b.events {
		if e.Traits["LastName"] != e.Traits[last] {
			t.Errorf("told as one: %v and %v", e.Traits["LastName"], e.Traits[last])
		}
	}
}

// estuary PR#3414
func TestFormulasAreReadAnew(t *testing.T) {
	spec := contacts()
	spec.Refresh = time.Hour
	b := newBox(t, spec, org.Options{})
	b.must(b.AddField("Contact", org.Field{Name: "F__c", Label: "F", Type: "double", Calculated: true}))
	id := b.insert("Contact", map[string]any{"LastName": "A"})
	b.insert("Contact", map[string]any{"LastName": "B"})
	b.poll()
	for i, v := range []int{1, 2, 1, 2} { // back to what has been told before
		b.must(b.SetFormula("Contact", id, map[string]any{"F__c": v}))
		b.Advance(2 * time.Hour)
		if i == 2 {
			b.restart()
		}
		n := len(b.events)
		b.poll()
		b.check(fmt.Sprint("formula ", v))
		if n = len(b.events) - n; i != 2 && n != 1 {
			t.Errorf("formula %d: %d events for one change", v, n)
		}
	}
}

func TestTwoChangesInOneSecondAreTwoEvents(t *testing.T) {
	b := newBox(t, contacts(), org.Options{})
	id := b.insert("Contact", map[string]any{"LastName": "A"})
	b.poll()
	for _, name := range []string{"B", "C", "B", "C", "C"} {
		b.must(b.Update("Contact", id, map[string]any{"LastName": name}))
		b.must(b.sync.Refetch(t.Context(), []string{id}, b.Now()))
		if got := b.fold()[id]["LastName"]; got != name {
			t.Errorf("told %v, want %s", got, name)
		}
	}
	if n := b.count("identify"); n != 5 {
		t.Errorf("%d events, want 5: the same state twice is one", n)
	}
	b.poll()
	b.check("window")
	if n := b.count("identify"); n != 5 || b.repeated != 0 {
		t.Errorf("the window told again what a change event had told: %d events, %d repeated", n, b.repeated)
	}
}

func TestMergesAndConversionsBecomeAliases(t *testing.T) {
	for _, user := range []string{"", "Email"} {
		spec := contacts()
		spec.UserID = user
		b := newBox(t, spec, org.Options{})
		master := b.insert("Contact", map[string]any{"LastName": "A", "Email": "a@x"})
		loser := b.insert("Contact", map[string]any{"LastName": "B", "Email": "b@x"})
		b.poll()
		b.must(b.Merge("Contact", master, loser))
		b.poll()
		b.check("merged")
		want := "b@x a@x"
		if user == "" {
			want = loser + " " + master
		}
		i := slices.IndexFunc(b.events, func(e event) bool { return e.Type == "alias" })
		if i < 0 || b.events[i].PreviousID+" "+b.events[i].UserID != want {
			t.Errorf("user_id %q: %+v, want %s", user, b.events, want)
		}
	}
	b := newBox(t, sync.Spec{Object: "Lead", Deletes: true}, org.Options{})
	lead := b.insert("Lead", map[string]any{"LastName": "L", "Company": "C"})
	b.poll()
	into, err := b.ConvertLead(lead)
	b.must(err)
	b.poll()
	var got []string
	for _, e := range b.events[1:] {
		got = append(got, e.Type+" "+e.PreviousID+" "+e.UserID+" "+e.GroupID)
	}
	want := []string{"identify  " + lead + " ", "alias " + lead + " " + into.ContactID + " ", "group  " + into.ContactID + " " + into.AccountID}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestObjectsWithoutAClockAreComparedAsAWhole(t *testing.T) {
	b := newBox(t, sync.Spec{Object: "Custom__c", Mapping: object.Mapping{Call: object.Group}, Deletes: true, Reconcile: 24 * time.Hour}, org.Options{})
	a := b.insert("Custom__c", map[string]any{"Name": "a", "CustomField__c": "1"})
	c := b.insert("Custom__c", map[string]any{"Name": "c"})
	b.poll()
	b.check("snapshot")
	for _, v := range []string{"2", "1"} {
		b.must(b.Update("Custom__c", a, map[string]any{"CustomField__c": v}))
		b.poll()
		b.check("changed")
	}
	b.must(b.Delete("Custom__c", c))
	b.poll()
	b.check("deleted")
	if n := b.count("group"); n != 4 {
		t.Errorf("%d events, want 4", n)
	}
}

func TestProblemsOfTheConfigAreNamed(t *testing.T) {
	for want, spec := range map[string]sync.Spec{
		"unknown_object":  {Object: "Nothing__c"},
		"unknown_field":   {Object: "Contact", Mapping: object.Mapping{Fields: []string{"Emial"}}},
		"malformed_query": {Object: "Contact", Where: "Name ="},
	} {
		b := newBox(t, spec, org.Options{})
		b.insert("Contact", map[string]any{"LastName": "A"})
		err := b.sync.Poll(t.Context())
		var p sync.Problems
		if got := client.Problem(err, "").Code; (!errors.As(err, &p) || p[0].Code != want) && got != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestLongIDs(t *testing.T) {
	b := newBox(t, contacts(), org.Options{})
	for range 100 {
		b.insert("Account", map[string]any{"Name": "x"})
	}
	for _, id := range append(b.IDs("Account"), "001xx000003DHP0AAO", "001Ax000003DHPzIAO") {
		if got := sync.LongID(id[:15]); got != id {
			t.Errorf("got %s, want %s", got, id)
		}
	}
}

func TestADigestNamesWhatTwoSetsDifferIn(t *testing.T) {
	id := func(i int) string { return fmt.Sprintf("003xx%010d", i) }
	for _, differ := range []int{0, 1, 100, 380} {
		var d sync.Digest
		for i := range 20_000 {
			d.Add(id(i), 1)
			if i >= differ {
				d.Add(id(i), -1)
			}
		}
		d.Add(id(30_000), -1) // what only the other has
		ids, whole := d.List()
		slices.Sort(ids)
		if len(ids) != differ || !whole || differ > 0 && ids[differ-1] != id(differ-1) {
			t.Errorf("%d differ: named %d, whole %t", differ, len(ids), whole)
		}
	}
	var d sync.Digest
	for i := range 5000 {
		d.Add(id(i), 1)
	}
	if _, whole := d.List(); whole {
		t.Error("5,000 Ids fit")
	}
}
