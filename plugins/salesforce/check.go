package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	stdsync "sync"
	"time"

	"github.com/wellhead-io/wellhead/plugins/salesforce/client"
	"github.com/wellhead-io/wellhead/plugins/salesforce/object"
	"github.com/wellhead-io/wellhead/plugins/salesforce/pubsub"
	"github.com/wellhead-io/wellhead/plugins/salesforce/sync"
	"github.com/wellhead-io/wellhead/sdk"
)

// granted is the token that Check and Discover have.
type granted struct{ token sdk.Token }

func (g granted) Token(context.Context) (sdk.Token, error) {
	if g.token.AccessToken == "" {
		return sdk.Token{}, sdk.ErrNeedsConsent
	}
	return g.token, nil
}

func (granted) RejectToken(sdk.Token) {}

// Check looks whether each sync can be read: the object and its fields, and
// the condition. Without a token it can look at the config alone, and the host
// says that consent is missing.
func (source) Check(ctx context.Context, s *sdk.Settings) []sdk.Problem {
	c, err := readConfig(s)
	if err != nil {
		return []sdk.Problem{unreadable(err)}
	}
	problems := checkEvents(ctx, c)
	if s.Token.AccessToken == "" {
		return append(check(ctx, nil, c), problems...)
	}
	cl := client.New(client.Options{Tokens: granted{s.Token}, APIVersion: c.APIVersion})
	defer cl.Close()
	return append(check(ctx, cl, c), problems...)
}

// reachTime bounds the look whether the Pub/Sub API answers.
const reachTime = 5 * time.Second

// checkEvents looks whether changes can be heard, where that is wanted.
func checkEvents(ctx context.Context, c config) []sdk.Problem {
	if !c.PubSub.Enabled {
		return nil
	}
	conn, err := pubsub.Dial(pubsub.Options{Endpoint: c.PubSub.Endpoint, Plaintext: c.PubSub.Plaintext, CAFile: c.PubSub.CAFile})
	if err != nil {
		return []sdk.Problem{badEvents(err, c)}
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, reachTime)
	defer cancel()
	if err := conn.Reach(ctx); err != nil {
		return []sdk.Problem{{Code: "pubsub", Path: "/pubsub", Message: fmt.Sprintf("the Pub/Sub API cannot be reached at %s: %v", c.PubSub.Endpoint, err),
			Fix: "look at pubsub.endpoint and whether the network lets HTTP/2 through to it, or leave pubsub out: changes arrive at the interval then"}}
	}
	return nil
}

// badEvents is the problem of settings with which there is no connection.
func badEvents(err error, c config) sdk.Problem {
	p := sdk.Problem{Code: "pubsub", Path: "/pubsub/endpoint", Message: err.Error(), Fix: "write a host and port, such as api.pubsub.salesforce.com:7443"}
	if c.PubSub.CAFile != "" {
		p.Path, p.Fix = "/pubsub/ca_file", "write the path of a PEM file with the certificates to trust, or leave it out for the system's"
	}
	return p
}

// unreadable is the problem of a config that the schema lets pass.
func unreadable(err error) sdk.Problem {
	return sdk.Problem{Code: "wrong_value", Message: strings.TrimPrefix(err.Error(), "config: "), Fix: "see wellhead plugin describe salesforce"}
}

// check looks at the config alone where cl is nil.
func check(ctx context.Context, cl *client.Client, c config) []sdk.Problem {
	problems := c.problems()
	describes := map[string]func() ([]byte, error){} // each object is asked for once
	for _, name := range c.names() {
		at := "/syncs/" + pointer(name)
		spec, found := c.spec("", name)
		if len(found) == 0 && cl != nil {
			if describes[spec.Object] == nil {
				describes[spec.Object] = stdsync.OnceValues(func() ([]byte, error) { return cl.Describe(ctx, spec.Object, time.Time{}) })
			}
			var err error
			if found, err = checkSync(ctx, cl, spec, describes[spec.Object]); err != nil {
				p := client.Problem(err, "")
				if e, ok := errors.AsType[*client.Error](err); !ok || e.Kind == client.SessionRefused || e.Kind == client.WrongHost || e.Kind == client.APIDisabled || e.Kind == client.VersionRetired {
					return append(problems, about(p)) // the same for every sync
				}
				found = append(found, p)
			}
		}
		for _, p := range found {
			p.Path = at + p.Path
			problems = append(problems, p)
		}
	}
	return problems
}

// about says which setting a problem of the whole source concerns.
func about(p sdk.Problem) sdk.Problem {
	switch p.Code {
	case string(client.WrongHost), "unreachable":
		p.Path = "/login_url"
	case string(client.VersionRetired):
		p.Path = "/api_version"
	}
	return p
}

func checkSync(ctx context.Context, c *client.Client, s sync.Spec, describe func() ([]byte, error)) ([]sdk.Problem, error) {
	b, err := describe()
	if client.Is(err, client.NotFound) {
		p := unknownObject(ctx, c, s.Object)
		p.Path = "/object"
		return []sdk.Problem{p}, nil
	}
	if err != nil {
		return nil, err
	}
	o, err := object.Parse(b)
	if err != nil {
		return nil, err
	}
	if _, problems := object.NewMapper(o, s.Mapping); len(problems) > 0 {
		return problems, nil
	}
	soql := "SELECT Id FROM " + o.Name
	if s.Where != "" {
		soql += " WHERE (" + s.Where + ")"
	}
	if _, err := c.Query(ctx, soql+" LIMIT 1", false); err != nil {
		return []sdk.Problem{ofCondition(client.Problem(err, ""), s.Where)}, nil
	}
	return nil, nil
}

// ofCondition says of the problem of a query whose fields the object has that
// it is one of where.
func ofCondition(p sdk.Problem, where string) sdk.Problem {
	if where != "" && (p.Code == string(client.MalformedQuery) || p.Code == string(client.UnknownField)) {
		p.Path, p.Fix = "/where", client.Problem(&client.Error{Kind: client.MalformedQuery}, "").Fix
	}
	return p
}

func unknownObject(ctx context.Context, c *client.Client, name string) sdk.Problem {
	p := client.Problem(&client.Error{Kind: client.UnknownObject}, "")
	p.Message = fmt.Sprintf("there is no object %q that the connected user may read", name)
	if b, err := c.Objects(ctx); err == nil {
		if objects, err := object.ParseGlobal(b); err == nil {
			var names []string
			for _, o := range objects {
				names = append(names, o.Name)
			}
			if near := object.Nearest(name, names); near != "" {
				p.Fix = fmt.Sprintf("did you mean %s? Otherwise %s", near, p.Fix)
			}
		}
	}
	return p
}

// pointer escapes a name for a JSON Pointer.
func pointer(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

// Discover lists the objects that can be queried. A describe is a request for
// each object, and an org has a thousand: those that the config names have
// their whole schema, and the others say so.
func (source) Discover(ctx context.Context, s *sdk.Settings) ([]sdk.StreamInfo, error) {
	c, err := readConfig(s)
	if err != nil {
		return nil, err
	}
	cl := client.New(client.Options{Tokens: granted{s.Token}, APIVersion: c.APIVersion})
	defer cl.Close()
	if s.Stream != "" {
		return discoverOne(ctx, cl, s.Stream)
	}
	return discover(ctx, cl, c)
}

func discover(ctx context.Context, cl *client.Client, c config) ([]sdk.StreamInfo, error) {
	b, err := cl.Objects(ctx)
	if err != nil {
		return nil, client.Problem(err, "")
	}
	objects, err := object.ParseGlobal(b)
	if err != nil {
		return nil, err
	}
	named := map[string]bool{}
	for _, syncs := range []map[string]syncConfig{templates, c.Syncs} {
		for sc := range maps.Values(syncs) {
			named[sc.Object] = true
		}
	}
	var out []sdk.StreamInfo
	for _, o := range objects {
		info := sdk.StreamInfo{Name: o.Name, Title: o.Label, Schema: json.RawMessage(`{"type":"object","$comment":"ask for this object to see its fields"}`)}
		if named[o.Name] {
			if b, err := cl.Describe(ctx, o.Name, time.Time{}); err == nil {
				if whole, err := object.Parse(b); err == nil {
					info.Schema = whole.Schema()
				}
			} else if !client.Is(err, client.NotFound) && !client.Is(err, client.NoPermission) {
				return nil, client.Problem(err, "")
			}
		}
		out = append(out, info)
	}
	slices.SortFunc(out, func(a, b sdk.StreamInfo) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// discoverOne tells of one object, whether or not the config names it.
func discoverOne(ctx context.Context, c *client.Client, name string) ([]sdk.StreamInfo, error) {
	if !client.ValidName(name) {
		return nil, unknownObject(ctx, c, name)
	}
	b, err := c.Describe(ctx, name, time.Time{})
	if client.Is(err, client.NotFound) {
		return nil, unknownObject(ctx, c, name)
	}
	if err != nil {
		return nil, client.Problem(err, "")
	}
	o, err := object.Parse(b)
	if err != nil {
		return nil, err
	}
	return []sdk.StreamInfo{{Name: o.Name, Title: o.Label, Schema: o.Schema()}}, nil
}
