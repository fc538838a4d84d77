package config_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/config"
)

func TestDurationIsReadAndWritten(t *testing.T) {
	for _, c := range []struct {
		in, out string
		want    time.Duration
	}{
		{"500ms", "500ms", 500 * time.Millisecond},
		{"10s", "10s", 10 * time.Second},
		{"0s", "0s", 0},
		{"90m", "1h30m", 90 * time.Minute},
		{"60m", "1h", time.Hour},
		{"24h", "24h", 24 * time.Hour},
		{"47h", "47h", 47 * time.Hour},
		{"7d", "7d", 7 * 24 * time.Hour},
		{"1d12h", "36h", 36 * time.Hour},
		{"2d12h", "2d12h", 60 * time.Hour},
		{"1.5s", "1.5s", 1500 * time.Millisecond},
		{"36500d", "36500d", 36500 * 24 * time.Hour},
	} {
		d, err := config.ParseDuration(c.in)
		if err != nil || d.Std() != c.want || d.String() != c.out {
			t.Errorf("%s: got %v as %v, %v", c.in, d.Std(), d, err)
		}
	}
	for _, in := range []string{"", "7", "0", "1.5", "d", "-1d", "-5s", "+5s", "1d-5s", "5 s", "5x", "1.5d", "36501d", "36500d1s", "99999999999999999999d", "1h2d", "1d1d", "inf", "NaN"} {
		if d, err := config.ParseDuration(in); err == nil {
			t.Errorf("%q is taken for %v", in, d)
		}
	}
}

func TestSizeIsReadAndWritten(t *testing.T) {
	for _, c := range []struct {
		in, out string
		want    config.Size
	}{
		{"0", "0", 0},
		{"1000", "1KB", 1000},
		{"1023", "1023", 1023},
		{"1024", "1KiB", 1024},
		{"32KiB", "32KiB", 32 << 10},
		{"1024KiB", "1MiB", 1 << 20},
		{"50GB", "50GB", 50_000_000_000},
		{"1TiB", "1TiB", 1 << 40},
		{"9223372036854775807", "9223372036854775807", math.MaxInt64},
	} {
		s, err := config.ParseSize(c.in)
		if err != nil || s != c.want || s.String() != c.out {
			t.Errorf("%s: got %d as %v, %v", c.in, s, s, err)
		}
	}
	for _, in := range []string{"", "-1", "1.5GB", "50G", "50gb", "50 GB", "50kB", "1B", "GB", "9223372036854775808", "9223372036854775807KB", "0x10"} {
		if s, err := config.ParseSize(in); err == nil {
			t.Errorf("%q is taken for %v", in, s)
		}
	}
}

func TestRateIsReadAndWritten(t *testing.T) {
	for in, perSecond := range map[string]float64{"1000/s": 1000, "5/m": 5.0 / 60, "36/h": 0.01, "86400/d": 1, "1000000000/s": 1e9} {
		r, err := config.ParseRate(in)
		if err != nil || r.String() != in || math.Abs(r.PerSecond()-perSecond) > 1e-9 {
			t.Errorf("%s: got %v, %v a second, %v", in, r, r.PerSecond(), err)
		}
	}
	for _, in := range []string{"", "5", "/s", "0/s", "-1/s", "1.5/s", "5/min", "5/", "5/s/s", "1000000001/s", "5 /s"} {
		if r, err := config.ParseRate(in); err == nil {
			t.Errorf("%q is taken for %v", in, r)
		}
	}
}

func TestBurstIsOneSecondOfTheRateByDefault(t *testing.T) {
	for want, l := range map[int64]config.SourceLimits{
		0:    {},
		7:    {Rate: rate(t, "1000/s"), Burst: 7},
		1000: {Rate: rate(t, "1000/s")},
		1:    {Rate: rate(t, "5/m")},
		2:    {Rate: rate(t, "100/m")},
	} {
		if got := l.EventsAtOnce(); got != want {
			t.Errorf("%v: got %d, want %d", l, got, want)
		}
	}
}

func rate(t *testing.T, s string) config.Rate {
	t.Helper()
	r, err := config.ParseRate(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAddressMustBeWrittenOut(t *testing.T) {
	for in, loopback := range map[string]bool{
		"127.0.0.1:8080": true, "127.8.0.1:1": true, "localhost:0": true, "[::1]:8080": true,
		"0.0.0.0:8080": false, "[::]:8080": false, "192.168.1.2:80": false,
	} {
		if a, err := config.ParseAddress(in); err != nil || a.Loopback() != loopback {
			t.Errorf("%s: loopback %v, %v", in, a.Loopback(), err)
		}
	}
	for _, in := range []string{"", "8080", ":8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536", "example.com:80", "::1:80", "[::1]", "127.0.0.1:-1"} {
		if a, err := config.ParseAddress(in); err == nil {
			t.Errorf("%q is taken for %v", in, a)
		}
	}
	if (config.Address("")).Loopback() {
		t.Error("nowhere is taken for loopback")
	}
}

// What is written is read back as the same value, whatever the value.
func TestQuantitiesSurviveTheRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	units := []int64{1, 1000, 1 << 10, 1e6, 1 << 20, 1e9, 1 << 30, int64(time.Second), int64(time.Minute), int64(time.Hour), 24 * int64(time.Hour)}
	for range 20_000 {
		unit := units[r.IntN(len(units))]
		n := r.Int64N(36500*24*int64(time.Hour)/unit) * unit
		if d := config.Duration(n); !returns(d, config.ParseDuration) {
			t.Fatalf("duration %d is written %v", n, d)
		}
		if s := config.Size(n); !returns(s, config.ParseSize) {
			t.Fatalf("size %d is written %v", n, s)
		}
	}
}

func returns[T interface {
	comparable
	fmt.Stringer
}](v T, parse func(string) (T, error)) bool {
	got, err := parse(v.String())
	return err == nil && got == v
}
