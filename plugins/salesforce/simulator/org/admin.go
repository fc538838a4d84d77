package org

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"time"
)

// arguments are those of all admin calls, of which each reads its own.
type arguments struct {
	Object     string          `json:"object"`
	ID         string          `json:"id"`
	IDs        []string        `json:"ids"`
	Fields     json.RawMessage `json:"fields"`
	Master     string          `json:"master"`
	Losers     []string        `json:"losers"`
	Lead       string          `json:"lead"`
	By         string          `json:"by"`
	Name       string          `json:"name"`
	KeyPrefix  string          `json:"keyPrefix"`
	Flags      map[string]any  `json:"flags"`
	Field      json.RawMessage `json:"field"`
	Type       string          `json:"type"`
	Access     Access          `json:"access"`
	Fault      Fault           `json:"fault"`
	App        App             `json:"app"`
	ChangeType string          `json:"changeType"`
	Username   string          `json:"username"`
	Token      string          `json:"token"`
	Used       int             `json:"used"`
}

// record is Fields of a row.
func (a *arguments) record() (map[string]any, error) {
	return decodeNumbers[map[string]any](a.Fields)
}

func decodeNumbers[T any](raw json.RawMessage) (v T, err error) {
	if len(raw) == 0 {
		return v, nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	err = d.Decode(&v)
	return v, err
}

// commands are the Go methods that POST /admin/NAME calls.
var commands = map[string]func(*Org, *arguments) (any, error){
	"insert": func(o *Org, a *arguments) (any, error) {
		fields, err := a.record()
		if err != nil {
			return nil, err
		}
		id, err := o.Insert(a.Object, fields)
		return map[string]string{"id": id}, err
	},
	"update":     withRecord(func(o *Org, a *arguments, r map[string]any) error { return o.Update(a.Object, a.ID, r) }),
	"updateAll":  withRecord(func(o *Org, a *arguments, r map[string]any) error { return o.UpdateAll(a.Object, a.IDs, r) }),
	"setFormula": withRecord(func(o *Org, a *arguments, r map[string]any) error { return o.SetFormula(a.Object, a.ID, r) }),
	"delete":     plain(func(o *Org, a *arguments) error { return o.Delete(a.Object, a.ID) }),
	"undelete":   plain(func(o *Org, a *arguments) error { return o.Undelete(a.Object, a.ID) }),
	"harddelete": plain(func(o *Org, a *arguments) error { return o.HardDelete(a.Object, a.ID) }),
	"merge":      plain(func(o *Org, a *arguments) error { return o.Merge(a.Object, a.Master, a.Losers...) }),
	"convertLead": func(o *Org, a *arguments) (any, error) {
		return o.ConvertLead(a.Lead)
	},
	"get": func(o *Org, a *arguments) (any, error) {
		row, ok := o.Get(a.Object, a.ID)
		if !ok {
			return nil, failure("NOT_FOUND", "no such record: "+a.ID)
		}
		return row, nil
	},
	"advance": plain(func(o *Org, a *arguments) error {
		d, err := time.ParseDuration(a.By)
		if err != nil {
			return failure("INVALID_FIELD", "by must be a duration such as 90s or 72h")
		}
		o.Advance(d)
		return nil
	}),
	"addObject": plain(func(o *Org, a *arguments) error {
		fields, err := decodeNumbers[[]Field](a.Fields)
		if err != nil {
			return err
		}
		return o.AddObject(a.Name, a.KeyPrefix, fields...)
	}),
	"alterObject": plain(func(o *Org, a *arguments) error { return o.AlterObject(a.Object, a.Flags) }),
	"addField": plain(func(o *Org, a *arguments) error {
		f, err := decodeNumbers[Field](a.Field)
		if err != nil {
			return err
		}
		return o.AddField(a.Object, f)
	}),
	"removeField":        plain(func(o *Org, a *arguments) error { return o.RemoveField(a.Object, a.Name) }),
	"retypeField":        plain(func(o *Org, a *arguments) error { return o.RetypeField(a.Object, a.Name, a.Type) }),
	"setAccess":          plain(func(o *Org, a *arguments) error { return o.SetAccess(a.Object, a.Access) }),
	"gap":                plain(func(o *Org, a *arguments) error { return o.Gap(a.Object, a.ChangeType, a.IDs...) }),
	"purgeDeletions":     plain(func(o *Org, a *arguments) error { return o.PurgeDeletions(a.Object) }),
	"fail":               plain(func(o *Org, a *arguments) error { return o.Fail(a.Fault) }),
	"clearFaults":        plain(func(o *Org, _ *arguments) error { o.ClearFaults(); return nil }),
	"registerApp":        plain(func(o *Org, a *arguments) error { return o.RegisterApp(a.App) }),
	"expireAccessTokens": plain(func(o *Org, _ *arguments) error { o.ExpireAccessTokens(); return nil }),
	"expireAccessToken":  plain(func(o *Org, a *arguments) error { o.ExpireAccessToken(a.Token); return nil }),
	"revokeGrants":       plain(func(o *Org, a *arguments) error { o.RevokeGrants(a.Username); return nil }),
	"setUsage":           plain(func(o *Org, a *arguments) error { o.SetUsage(a.Used); return nil }),
}

func plain(f func(*Org, *arguments) error) func(*Org, *arguments) (any, error) {
	return func(o *Org, a *arguments) (any, error) { return struct{}{}, f(o, a) }
}

func withRecord(f func(*Org, *arguments, map[string]any) error) func(*Org, *arguments) (any, error) {
	return plain(func(o *Org, a *arguments) error {
		fields, err := a.record()
		if err != nil {
			return err
		}
		return f(o, a, fields)
	})
}

// admin answers below /admin, requests from this machine only. A browser's page
// of another site cannot ask: it would send an Origin.
func (o *Org) admin(w http.ResponseWriter, r *http.Request, path []string) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() || r.Header.Get("Origin") != "" || len(path) != 1 {
		notFound(w)
		return
	}
	if r.Method == http.MethodGet {
		o.adminRead(w, r, path[0])
		return
	}
	command, ok := commands[path[0]]
	if !ok || r.Method != http.MethodPost {
		notFound(w)
		return
	}
	var a arguments
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&a); err != nil {
		fail(w, failure("JSON_PARSER_ERROR", err.Error()))
		return
	}
	out, err := command(o, &a)
	if err != nil {
		fail(w, adminFailure(err))
		return
	}
	o.json(w, r, http.StatusOK, out)
}

// adminFailure tells every error as the caller's.
func adminFailure(err error) error {
	f := asFailure(err)
	if f.Status == http.StatusInternalServerError {
		return failure("INVALID_FIELD", f.Message)
	}
	return f
}

func (o *Org) adminRead(w http.ResponseWriter, r *http.Request, what string) {
	switch what {
	case "stats":
		o.json(w, r, http.StatusOK, o.Stats())
	case "now":
		o.json(w, r, http.StatusOK, map[string]string{"now": o.Now().UTC().Format(time.RFC3339Nano)})
	case "changes":
		after, _ := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64)
		o.json(w, r, http.StatusOK, o.Changes(after))
	default:
		notFound(w)
	}
}
