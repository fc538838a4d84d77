package consent_test

import (
	"context"
	"errors"
	"net/url"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/consent"
)

// is reports whether an error has a code.
func is(err error, code string) bool {
	var e *consent.Error
	return errors.As(err, &e) && e.Code == code
}

func TestAnAccessTokenIsUsedUntilItIsRejected(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.connect()
		first := b.mustToken()
		time.Sleep(time.Hour)
		for range 10 {
			if got := b.mustToken(); got != first {
				t.Fatalf("%v, then %v", first, got)
			}
		}
		b.Source("crm").Rejected("another one")
		b.Source("crm").Rejected(first.Access)
		b.Source("crm").Rejected(first.Access)
		second := b.mustToken()
		if second.Access != accessToken(2) {
			t.Fatal(second)
		}
		b.Source("crm").Rejected(first.Access) // late, of a request that was slow
		if got := b.mustToken(); got != second {
			t.Errorf("%v, want %v", got, second)
		}
		if n := len(b.asked()); n != 2 { // the exchange and one refresh
			t.Errorf("Salesforce was asked %d times", n)
		}
		b.open(webSettings())
		if got := b.mustToken(); got != second {
			t.Errorf("the next host has %v, want %v", got, second)
		}
	})
}

func TestOneRefreshServesAllWhoWait(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.connect()
		old := b.mustToken()
		time.Sleep(time.Hour)
		b.Source("crm").Rejected(old.Access)
		b.set(func(f *fake) { f.refuse = func(url.Values) (int, string) { time.Sleep(time.Second); return 0, "" } })
		var all sync.WaitGroup
		var mu sync.Mutex
		got := map[string]int{}
		for range 50 {
			all.Go(func() {
				token, err := b.token()
				if err != nil {
					token.Access = err.Error()
				}
				mu.Lock()
				defer mu.Unlock()
				got[token.Access]++
			})
		}
		all.Wait()
		if len(got) != 1 || got[accessToken(2)] != 50 || len(b.asked()) != 2 {
			t.Errorf("got %v of %d requests", got, len(b.asked()))
		}
	})
}

func TestTheInstanceIsReadOnEachRefresh(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.connect()
		b.set(func(f *fake) { f.base = "https://moved.my.salesforce.com" })
		if got, err := b.renewed(); err != nil || got.InstanceURL != "https://moved.my.salesforce.com" {
			t.Errorf("%v %v", got, err)
		}
		b.set(func(f *fake) { f.base = "http://moved.my.salesforce.com" })
		if _, err := b.renewed(); !is(err, consent.CodeAnswer) {
			t.Errorf("a token would go there unencrypted: %v", err)
		}
	})
}

func TestARefusalOfTheGrantIsFinal(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.connect()
		b.mustToken()
		b.set(func(f *fake) { f.generation = 77 }) // another program has used it
		_, err := b.renewed()
		var e *consent.Error
		if !errors.As(err, &e) || !e.Final {
			t.Fatal(err)
		}
		asked := len(b.asked())
		for range 20 {
			time.Sleep(time.Hour)
			if _, err := b.token(); !errors.As(err, &e) || !e.Final {
				t.Fatal(err)
			}
		}
		b.open(webSettings()) // the next host knows
		if _, err := b.token(); !is(err, consent.CodeExpired) {
			t.Fatal(err)
		}
		if n := len(b.asked()) - asked; n != 0 {
			t.Errorf("Salesforce was asked %d times more", n)
		}
		ok, changed := b.Source("crm").Consented()
		st, err := b.Status("crm")
		if ok || err != nil || st.State != consent.NeedsConsent || st.Error == nil || st.Error.At.IsZero() || st.Org != "Acme, Inc." {
			t.Errorf("consented %v, status %+v", ok, st)
		}
		b.connect()
		<-changed
		if ok, _ := b.Source("crm").Consented(); !ok {
			t.Error("not consented")
		}
		b.mustToken()
	})
}

func TestOtherFailuresAreTriedAgainEverLessOften(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.connect()
		b.set(func(f *fake) { f.refuse = func(url.Values) (int, string) { return 503, "" } })
		if _, err := b.renewed(); !is(err, consent.CodeUnavailable) {
			t.Fatal(err)
		}
		before := len(b.asked())
		for range 60 * 60 {
			time.Sleep(time.Second)
			if _, err := b.token(); !is(err, consent.CodeUnavailable) {
				t.Fatal(err)
			}
		}
		// Waits of 1, 2, 4 … 512 s and then 10 min, each shortened at random by half
		// at most.
		if n := len(b.asked()) - before; n < 12 || n > 22 {
			t.Errorf("within an hour Salesforce was asked %d times", n)
		}
		b.set(func(f *fake) { f.refuse = nil })
		time.Sleep(10 * time.Minute)
		b.mustToken()
	})
}

// A service that refuses even fresh tokens is not asked for ever.
func TestFreshTokensThatAreRefusedMakeItWait(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.connect()
		for range 60 * 60 {
			if got, err := b.token(); err == nil {
				b.Source("crm").Rejected(got.Access)
			} else if !is(err, consent.CodeTokenRefused) {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if n := len(b.asked()); n < 12 || n > 23 {
			t.Errorf("within an hour Salesforce was asked %d times", n)
		}
	})
}

func TestATokenIsGivenOutOnlyWhenItsRefreshTokenIsOnDisk(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.connect()
		b.mustToken()
		// Nothing can be written, and what is there can be read.
		if err := os.Mkdir(b.grantFile()+".new", 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := b.renewed(); !is(err, consent.CodeStore) {
			t.Fatal(err)
		}
		asked := len(b.asked())
		if err := os.Remove(b.grantFile() + ".new"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got := b.mustToken(); got.Access != accessToken(2) {
			t.Errorf("%v", got)
		}
		if n := len(b.asked()) - asked; n != 0 {
			t.Errorf("Salesforce was asked %d times more", n)
		}
		b.open(webSettings())
		if got, err := b.renewed(); err != nil || got.Access != accessToken(3) {
			t.Errorf("the rotated refresh token was lost: %v", err)
		}
	})
}

// What a caller does not wait for is not lost: Salesforce has rotated the token.
func TestARefreshOutlivesWhoAskedForIt(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.connect()
		old := b.mustToken()
		time.Sleep(time.Hour)
		b.Source("crm").Rejected(old.Access)
		b.set(func(f *fake) { f.refuse = func(url.Values) (int, string) { time.Sleep(time.Second); return 0, "" } })
		ctx, cancel := contextFor(t, time.Millisecond)
		defer cancel()
		if _, err := b.Source("crm").Token(ctx); !errors.Is(err, ctx.Err()) || err == nil {
			t.Errorf("%v", err)
		}
		if err := b.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		b.open(webSettings())
		if got := b.mustToken(); got.Access != accessToken(2) || len(b.asked()) != 2 {
			t.Errorf("%v after %d requests", got, len(b.asked()))
		}
	})
}

func TestOtherSettingsNeedAnotherConsent(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.connect()
		other := webSettings()
		other.Auth.ClientID = "another app"
		b.open(other)
		if _, err := b.token(); !is(err, consent.CodeNeedsConsent) || len(b.asked()) != 1 {
			t.Errorf("%v", err)
		}
		b.open(webSettings())
		b.mustToken()
	})
}

// A consent that another takes the place of is revoked, where it was granted, and
// as soon as that can be done.
func TestAConsentThatIsReplacedIsRevoked(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.connect() // generation 1
		other := webSettings()
		other.LoginURL, other.Auth.ClientID = "https://other.my.salesforce.com", "another app"
		b.open(other)
		if got := b.revocations(); got != "" {
			t.Errorf("revoked by a change of the config: %s", got) // which may be mended
		}
		b.set(func(f *fake) { f.down = true })
		b.connect() // 2
		if got := b.revocations(); got != "" {
			t.Fatalf("revoked while Salesforce is down: %s", got)
		}
		b.open(other) // the next host
		b.set(func(f *fake) { f.down = false })
		if _, err := b.renewed(); err != nil { // 3, rotated
			t.Fatal(err)
		}
		if got := b.revocations(); got != "acme.my.salesforce.com "+refreshToken(1) {
			t.Errorf("revoked %s", got)
		}
		credentials := webSettings()
		credentials.Auth.Flow = consent.ClientCredentials
		b.open(credentials)
		b.mustToken() // 4
		if got := b.revocations(); got != "other.my.salesforce.com "+refreshToken(3) {
			t.Errorf("revoked %s", got)
		}
		if _, err := b.renewed(); err != nil {
			t.Fatal(err)
		}
		if got := b.revocations(); got != "" {
			t.Errorf("revoked twice: %s", got)
		}
		b.open(webSettings())
		b.connect() // 6
		b.connect()
		if got := b.revocations(); got != "acme.my.salesforce.com "+refreshToken(6) {
			t.Errorf("revoked by the same person's second consent: %s", got)
		}
	})
}

// What a flow that never works took the place of is revoked with it.
func TestRevokeEndsWhatWasReplacedToo(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.connect()
		s := webSettings()
		s.Auth.Flow = consent.ClientCredentials
		b.open(s)
		b.set(func(f *fake) {
			f.refuse = func(url.Values) (int, string) {
				return 400, `{"error":"invalid_grant","error_description":"no client credentials user enabled"}`
			}
		})
		if _, err := b.token(); !is(err, consent.CodeNoRunAsUser) {
			t.Fatal(err)
		}
		if err := b.Revoke(t.Context(), "crm"); err != nil {
			t.Fatal(err)
		}
		if got := b.revocations(); got != "acme.my.salesforce.com "+refreshToken(1) {
			t.Errorf("revoked %s", got)
		}
	})
}

func TestWithoutAConsentNobodyIsAsked(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		if _, err := b.token(); !is(err, consent.CodeNeedsConsent) || len(b.asked()) != 0 {
			t.Errorf("%v", err)
		}
	})
}

func TestRevokeEndsItThereAndHere(t *testing.T) {
	run(t, func(t *testing.T, b *bench) {
		b.connect()
		if err := b.Revoke(t.Context(), "crm"); err != nil {
			t.Fatal(err)
		}
		if len(b.revoked) != 1 || b.revoked[0] != refreshToken(1) {
			t.Errorf("revoked %q", b.revoked)
		}
		if _, err := os.Stat(b.grantFile()); !os.IsNotExist(err) {
			t.Errorf("the grant is still there: %v", err)
		}
		if _, err := b.token(); !is(err, consent.CodeNeedsConsent) {
			t.Errorf("there is still a token: %v", err)
		}
		if err := b.Revoke(t.Context(), "crm"); !is(err, consent.CodeNeedsConsent) {
			t.Errorf("%v", err)
		}
	})
}

func contextFor(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(t.Context(), d)
}
