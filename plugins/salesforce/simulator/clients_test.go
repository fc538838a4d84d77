package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	salesforce "github.com/k-capehart/go-salesforce/v3"
	"github.com/simpleforce/simpleforce"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/wellhead-io/wellhead/plugins/salesforce/simulator/org"
)

// clients is the folder of the clients that npm brings.
const clients = "testdata/clients"

// go-salesforce closes no body, so that its timeouts' goroutines remain.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("net/http.setRequestCancel.func4"))
}

func serve(t *testing.T, options org.Options) (*org.Org, string) {
	t.Helper()
	o := org.New(options)
	t.Cleanup(o.Close)
	srv := httptest.NewServer(o)
	t.Cleanup(srv.Close)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	o.SetBaseURL(srv.URL)
	return o, srv.URL
}

// node runs a client of testdata/clients and reads what it prints into out.
func node(t *testing.T, out any, args ...string) {
	t.Helper()
	if _, err := os.Stat(clients + "/node_modules"); err != nil {
		t.Fatal("the clients are not installed: npm ci --ignore-scripts --prefix plugins/salesforce/simulator/testdata/clients")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", append([]string{"clients.mjs"}, args...)...)
	cmd.Dir = clients
	text, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		t.Fatalf("%v: %v\n%s", args, err, exit.Stderr)
	} else if err != nil {
		t.Fatalf("node is needed: %v", err)
	}
	if err := json.Unmarshal(text, out); err != nil {
		t.Fatalf("%v printed %q: %v", args, text, err)
	}
}

func TestJsforce(t *testing.T) {
	o, url := serve(t, org.Options{PageSize: 250})
	if err := o.Load("Contact", 600, func(i int) map[string]any { return map[string]any{"LastName": fmt.Sprint("L", i)} }); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	node(t, &got, "jsforce", url)
	want := map[string]any{"identity": org.AdminUsername, "organization": org.DefaultOrgID, "versions": 37.0, "query": []any{[]any{"Alan Turing", "Globex"}, []any{"Barbara Liskov", "Initech"}},
		"paged": 610.0, "count": 610.0, "found": []any{"Hopper"}, "created": true, "escaped": 1.0, "updated": true, "retrieved": "Dr.", "destroyed": true, "deletedSeen": 1.0,
		"deleted": 1.0, "updatedIds": 610.0, "global": true, "describe": 68.0, "limits": 100_000.0, "limitInfo": 100_000.0, "bulk": map[string]any{"rows": 610.0, "first": "Hopper"},
		"badField": "INVALID_FIELD", "badType": "INVALID_TYPE"}
	for k, v := range want {
		if !reflect.DeepEqual(got[k], v) {
			t.Errorf("%s: got %v, want %v", k, got[k], v)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %v", got)
	}
}

func TestPubSubAPIClient(t *testing.T) {
	o, url := serve(t, org.Options{})
	cert, _, err := org.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})))
	o.RegisterPubSub(server)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	defer func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	ids := o.IDs("Contact")[:2]
	id, err := o.Insert("Contact", map[string]any{"LastName": "Hamilton", "FirstName": "Margaret"})
	for _, err := range []error{err, o.UpdateAll("Contact", ids, map[string]any{"LastName": "Same", "MailingCity": "Bern", "Email": nil}), o.Delete("Contact", id), o.Undelete("Contact", id)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var seen struct {
		Events []struct {
			Type            string
			IDs             int
			Changed, Nulled []string
			LastName        *string
		}
		Resumed []string
	}
	node(t, &seen, "pubsub", url, strings.Replace(l.Addr().String(), "127.0.0.1", "localhost", 1))
	if !slices.Equal(seen.Resumed, []string{"DELETE", "UNDELETE"}) {
		t.Errorf("resumed with %v", seen.Resumed)
	}
	got := seen.Events
	if len(got) != 4 {
		t.Fatalf("%d events", len(got))
	}
	update := got[1]
	slices.Sort(update.Changed)
	if want := []string{"Email", "LastModifiedDate", "MailingAddress.City", "Name.LastName"}; update.Type != "UPDATE" || update.IDs != 2 || !slices.Equal(update.Changed, want) || !slices.Equal(update.Nulled, []string{"Email"}) {
		t.Errorf("update %+v, want the changed fields %v", update, want)
	}
	if got[0].LastName == nil || *got[0].LastName != "Hamilton" || got[2].Type != "DELETE" || got[2].LastName != nil || got[3].Type != "UNDELETE" {
		t.Errorf("events %+v", got)
	}
}

// whole reads bodies to their end, which go-salesforce leaves undone.
type whole struct{ http.Transport }

func (w *whole) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := w.Transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res, err
}

func TestGoSalesforce(t *testing.T) {
	o, url := serve(t, org.Options{PageSize: 200, BulkPageSize: 250})
	if err := o.Load("Contact", 600, func(i int) map[string]any { return map[string]any{"LastName": fmt.Sprint("L", i)} }); err != nil {
		t.Fatal(err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.RegisterApp(org.App{ClientID: "jwt", PreApproved: true, Certificate: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})}); err != nil {
		t.Fatal(err)
	}
	private := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	for name, creds := range map[string]salesforce.Creds{
		"client credentials": {Domain: url, ConsumerKey: org.DefaultClientID, ConsumerSecret: org.DefaultClientSecret},
		"token":              {Domain: url, AccessToken: o.Token()},
		"jwt":                {Domain: url, Username: org.UserUsername, ConsumerKey: "jwt", ConsumerRSAPem: private},
	} {
		transport := &whole{}
		sf, err := salesforce.Init(creds, salesforce.WithCompressionHeaders(true), salesforce.WithRoundTripper(transport))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var rows []struct{ ID, LastName string }
		if err := sf.Query("SELECT Id, LastName FROM Contact ORDER BY Id", &rows); err != nil || len(rows) != 610 || rows[609].LastName != "L599" {
			t.Errorf("%s: %d rows, %v", name, len(rows), err)
		}
		transport.CloseIdleConnections()
	}
	transport := &whole{}
	defer transport.CloseIdleConnections()
	sf, err := salesforce.Init(salesforce.Creds{Domain: url, AccessToken: o.Token()}, salesforce.WithCompressionHeaders(true), salesforce.WithRoundTripper(transport))
	if err != nil {
		t.Fatal(err)
	}
	created, err := sf.InsertOne("Contact", map[string]any{"LastName": "Liskov"})
	if err != nil || !created.Success {
		t.Fatalf("insert: %v, %v", created, err)
	}
	if err := sf.UpdateOne("Contact", map[string]any{"Id": created.Id, "Title": "Prof."}); err != nil {
		t.Error(err)
	}
	if row, _ := o.Get("Contact", created.Id); row["Title"] != "Prof." {
		t.Errorf("updated: %v", row["Title"])
	}
	file := t.TempDir() + "/contacts.csv"
	if err := sf.QueryBulkExport("SELECT Id, LastName FROM Contact", file); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if lines := strings.Count(string(text), "\n"); err != nil || lines != 612 { // a header and three pages
		t.Errorf("bulk: %d lines, %v", lines, err)
	}
	o.ExpireAccessTokens()
	if err := sf.Query("SELECT Id FROM Contact", &[]struct{ ID string }{}); err == nil || !strings.Contains(err.Error(), "invalid session") {
		t.Errorf("an expired token: %v", err)
	}
}

func TestSimpleforce(t *testing.T) {
	log.SetOutput(io.Discard) // simpleforce logs what fails
	defer log.SetOutput(os.Stderr)
	o, url := serve(t, org.Options{PageSize: 4})
	client := simpleforce.NewClient(url, simpleforce.DefaultClientID, "67.0")
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client.SetHttpClient(&http.Client{Transport: transport})
	client.SetSidLoc(o.Token(), url)
	var names []string
	next := "SELECT Id, Name, Account.Name FROM Contact WHERE LastName != 'O\\'Neil' ORDER BY Name"
	for pages := 0; ; pages++ {
		page, err := client.Query(next)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Records {
			names = append(names, r.StringField("Name"))
		}
		if page.Done {
			if pages != 2 || page.TotalSize != 10 {
				t.Errorf("%d pages, total %d", pages+1, page.TotalSize)
			}
			break
		}
		next = page.NextRecordsURL
	}
	if len(names) != 10 || !slices.IsSorted(names) {
		t.Errorf("names %v", names)
	}
	if meta := client.SObject("Account").Describe(); meta == nil || (*meta)["keyPrefix"] != "001" {
		t.Errorf("describe: %v", meta != nil)
	}
	if body, err := client.ApexREST("GET", "services/data/v67.0/queryAll?q=SELECT+Id+FROM+Lead", nil); err != nil || !strings.Contains(string(body), `"totalSize":2`) {
		t.Errorf("queryAll: %s, %v", body, err)
	}
	_, err := client.Query("SELECT Nope FROM Lead")
	var failure simpleforce.SalesforceError
	if !errors.As(err, &failure) || failure.ErrorCode != "INVALID_FIELD" || failure.HttpCode != http.StatusBadRequest {
		t.Errorf("error %v", err)
	}
}

func TestTheCommandServesUntilItIsToldToEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ca := t.TempDir() + "/ca.pem"
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, addresses{http: "127.0.0.1:0", https: "127.0.0.1:0", pubsub: "127.0.0.1:0", pubsubTLS: "127.0.0.1:0", caFile: ca}, "", org.Options{})
	}()
	cancel()
	if err := <-ended; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		t.Error(err)
	}
	if text, err := os.ReadFile(ca); err != nil || !strings.Contains(string(text), "BEGIN CERTIFICATE") {
		t.Errorf("%s, %v", text, err)
	}
}
