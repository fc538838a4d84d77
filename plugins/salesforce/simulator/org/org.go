package org

import (
	"cmp"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options are what an org is made with. The zero value is an org with a few
// rows whose clock is the wall's.
type Options struct {
	// Empty leaves out the rows that are there to look at; users, the
	// organization and record types remain.
	Empty bool
	// Start makes the org's clock stand there until Advance moves it.
	Start time.Time
	// PageSize is the most rows of a REST query's page: 2000 when zero.
	PageSize int
	// BulkPageSize is the rows of a Bulk result page where maxRecords is not
	// asked for: 50,000 when zero.
	BulkPageSize int
	// BulkDelay is the time, on the org's clock, between a job's creation and
	// its completion.
	BulkDelay time.Duration
	// DailyRequests is the most API requests in 24 hours: 100,000 when zero.
	DailyRequests int
	// TokenLifetime is that of access tokens, on the org's clock: 2 h when zero.
	TokenLifetime time.Duration
	// Keepalive is the time between two empty answers of a Pub/Sub subscription
	// without events, on the wall's clock: 60 s when zero.
	Keepalive time.Duration
	// FetchDeadline is how long a subscription may have nothing outstanding, on the
	// wall's clock: 60 s when zero.
	FetchDeadline time.Duration
	// NotMyDomain refuses the client credentials flow, as
	// login.salesforce.com does.
	NotMyDomain bool
	// Log takes what goes wrong in the simulator itself; nil discards it.
	Log *slog.Logger
}

// Org is one org. Its methods may be called from any goroutine.
type Org struct {
	options Options
	clock   clock
	log     *slog.Logger
	faults  faults
	oauth   *oauth
	cursors cursors
	jobs    *jobs
	stats   counters
	// used are the API requests of the day, as Sforce-Limit-Info tells them.
	used atomic.Int64
	// schemas are the event schemas that were told of, by id.
	schemas sync.Map
	closing chan struct{}
	close   sync.Once
	// file is where the org's state is kept, nil: nowhere.
	fileMu sync.Mutex
	file   *os.File

	// mu guards what follows; a query holds it for reading.
	mu      sync.RWMutex
	baseURL string
	tables  map[string]*table
	// prefixes finds an id's object.
	prefixes     map[string]*table
	open         map[*Tx]struct{}
	transactions uint64
	changes      []Change
	lastChange   int64
	// changed is closed, and another one made, with each commit.
	changed chan struct{}
}

const (
	// DefaultOrgID is the org's id.
	DefaultOrgID = "00D000000000001EAA"
	// AdminUsername is of the user whom Token and the Go methods act as.
	AdminUsername = "admin@simulator.example"
	// UserUsername is of a second user.
	UserUsername = "user@simulator.example"

	userPrefix  = "005"
	adminNumber = 1
)

// New makes an org. Until SetBaseURL it calls itself http://localhost.
func New(options Options) *Org {
	options.PageSize = cmp.Or(options.PageSize, 2000)
	options.BulkPageSize = cmp.Or(options.BulkPageSize, 50_000)
	options.DailyRequests = cmp.Or(options.DailyRequests, 100_000)
	options.TokenLifetime = cmp.Or(options.TokenLifetime, 2*time.Hour)
	options.Keepalive = cmp.Or(options.Keepalive, time.Minute)
	options.FetchDeadline = cmp.Or(options.FetchDeadline, time.Minute)
	o := &Org{
		options:  options,
		clock:    clock{start: options.Start},
		log:      cmp.Or(options.Log, slog.New(slog.DiscardHandler)),
		baseURL:  "http://localhost",
		tables:   map[string]*table{},
		prefixes: map[string]*table{},
		open:     map[*Tx]struct{}{},
		changed:  make(chan struct{}),
		closing:  make(chan struct{}),
	}
	o.oauth = newOAuth(o)
	o.jobs = newJobs(o)
	o.seed()
	return o
}

// SetBaseURL says under which URL the org is reached: its instance_url and that
// of its ids.
func (o *Org) SetBaseURL(url string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.baseURL = strings.TrimSuffix(url, "/")
}

func (o *Org) base() string {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.baseURL
}

// ID is the org's id.
func (o *Org) ID() string { return DefaultOrgID }

// table finds an object by name; the user's access to it is the caller's
// question.
func (o *Org) table(name string) (*table, error) {
	if t, ok := o.tables[strings.ToLower(name)]; ok {
		return t, nil
	}
	return nil, failure("NOT_FOUND", "The requested resource does not exist")
}

// Close ends the subscriptions, so that a gRPC server can stop, and gives the
// file of an org that Open made to the next one.
func (o *Org) Close() {
	o.close.Do(func() {
		close(o.closing)
		o.fileMu.Lock()
		defer o.fileMu.Unlock()
		if o.file != nil {
			_ = o.file.Close() // each write is there already
		}
	})
}
