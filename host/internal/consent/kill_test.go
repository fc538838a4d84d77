package consent_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/consent"
)

// childEnv makes this binary a host that refreshes its token again and again.
const childEnv = "CONSENT_CHILD"

// child refreshes and uses tokens until it is killed.
func child(dir, base string) error {
	ctx := context.Background()
	fmt.Println("ready")
	for {
		k, err := openAt(dir, base)
		if err != nil {
			return err
		}
		source := k.Source("crm")
		t, err := source.Token(ctx)
		if err != nil {
			return err
		}
		source.Rejected(t.Access)
		st, err := k.Status("crm")
		if err != nil {
			return err
		}
		time.Sleep(time.Until(st.RetryAt))
		if t, err = source.Token(ctx); err != nil {
			return err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/services/data", http.NoBody)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+t.Access)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		res.Body.Close()
	}
}

func openAt(dir, base string) (*consent.Keeper, error) {
	k := consent.Open(consent.Options{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	s := webSettings()
	s.LoginURL = base
	return k, k.Configure("crm", s)
}

// A host is killed in the middle of refreshing tokens that rotate. Whatever
// access token was used, the refresh token that came with it is on disk.
func TestARotatedRefreshTokenSurvivesKill(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	chance := rand.New(rand.NewPCG(seed, 0))
	f := &fake{}
	var used atomic.Int64 // the last access token that was used
	f.used = func(access string) {
		if n, err := strconv.Atoi(access[strings.LastIndexByte(access, '.')+1:]); err == nil {
			used.Store(int64(n))
		}
	}
	srv := httptest.NewServer(f)
	defer srv.Close()
	f.base = srv.URL
	dir := t.TempDir()
	k, err := openAt(dir, srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	a, err := k.Begin(t.Context(), "crm", callback)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Answer(t.Context(), a.ID, url.Values{"code": {"c"}, "state": {stateOf(t, a)}}); err != nil {
		t.Fatal(err)
	}
	if err := k.Keep(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	for round := range 6 {
		killAtUse := round%2 == 0
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+dir, childEnv+"_URL="+srv.URL)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		fresh, killed := make(chan struct{}, 1), make(chan struct{})
		start := used.Load()
		f.set(func(f *fake) {
			f.used = func(access string) {
				n, _ := strconv.Atoi(access[strings.LastIndexByte(access, '.')+1:])
				used.Store(int64(n))
				if int64(n) <= start {
					return
				}
				select {
				case fresh <- struct{}{}:
				default:
				}
				if killAtUse {
					<-killed // between Salesforce's answer and the end of its use
				}
			}
		})
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if !bufio.NewScanner(out).Scan() {
			t.Fatal("the child said nothing")
		}
		<-fresh
		if !killAtUse {
			time.Sleep(time.Duration(chance.IntN(1500)) * time.Millisecond) // chance, not synchronisation
		}
		_ = cmd.Process.Kill()
		close(killed)
		_ = cmd.Wait()

		next, err := openAt(dir, srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		token, err := next.Source("crm").Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n, _ := strconv.Atoi(token.Access[strings.LastIndexByte(token.Access, '.')+1:])
		if int64(n) < used.Load() {
			t.Fatalf("round %d: access token %d was used, but the grant on disk is that of %d", round, used.Load(), n)
		}
		// What Salesforce gave and the host had not heard of is lost; Salesforce
		// takes it back here, since that is not what this test is about.
		f.set(func(f *fake) { f.generation = n })
	}
}
