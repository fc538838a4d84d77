package database

import (
	"testing"
	"time"
)

// There is no server to run here: what is sent and what becomes of the driver's
// values is looked at alone.
func TestValuesOfSQLServer(t *testing.T) {
	at := time.Date(2026, 11, 24, 18, 2, 3, 123456700, time.FixedZone("", 19800))
	for _, c := range []struct {
		kind       string
		value      any
		json, back string
	}{
		{"DECIMAL", []byte("9999999999999999999999999999.9999999999"), "9999999999999999999999999999.9999999999", "9999999999999999999999999999.9999999999"},
		{"BIGINT", int64(-9223372036854775808), "-9223372036854775808", "-9223372036854775808"},
		{"BIT", true, "true", "true"}, {"NVARCHAR", "😀\n", `"😀\n"`, "😀\n"},
		{"VARBINARY", []byte{0, 255}, `"AP8="`, "AP8="},
		{"DATETIMEOFFSET", at, `"2026-11-24T18:02:03.1234567+05:30"`, "2026-11-24T18:02:03.1234567+05:30"},
		{"DATETIME2", at, `"2026-11-24T18:02:03.1234567"`, "2026-11-24T18:02:03.1234567"},
		{"DATETIME", at, `"2026-11-24T18:02:03.123"`, "2026-11-24T18:02:03.123"},
		{"DATE", at, `"2026-11-24"`, "2026-11-24"},
		{"UNIQUEIDENTIFIER", []byte{0x99, 0xbc, 0xee, 0xa0, 0x0b, 0x9c, 0xf8, 0x4e, 0xbb, 0x6d, 0x6b, 0xb9, 0xbd, 0x38, 0x0a, 0x11}, `"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"`, "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"},
	} {
		if got := string(sqlserverFlavour.write(nil, c.value, column{"c", c.kind})); got != c.json {
			t.Errorf("%s is %s, want %s", c.kind, got, c.json)
		}
		if got := sqlserverFlavour.value(c.value, column{"c", c.kind}); got.Text != c.back {
			t.Errorf("%s goes back as %s, want %s", c.kind, got.Text, c.back)
		}
	}
	q, err := sqlserverFlavour.parse("select [a'{b] from t where at > {{cursor}}")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := sqlserverStatement.text(Read{Query: q, Order: []string{"at"}, From: Value{Decimal, "1"}, Limit: 10})
	if want := "select top (10) * from (\nselect [a'{b] from t where at > @p1\n) wellhead where [at] >= cast(@p2 as decimal(38, 10)) order by [at]"; text != want {
		t.Errorf("got %s\nwant %s", text, want)
	}
}
