package schema

import (
	"net/url"
	"slices"
	"strings"
)

// everything adds to what is known to be wrong the references that lead nowhere,
// of which the library tells one at most, and none where a schema has other
// faults.
func (l *loader) everything(found Error) Error {
	for i := 0; i < len(l.docs); i++ { // it grows
		d := l.docs[i]
		base, err := url.Parse(d.url)
		if err != nil {
			continue
		}
		walk(d.doc, "", base, func(pointer, keyword, ref string, base *url.URL) {
			message := l.leadsNowhere(ref, base)
			told := slices.ContainsFunc(found, func(p Problem) bool { return p.File == d.name && p.Pointer == pointer })
			if message != "" && !told {
				found = append(found, Problem{File: d.name, Pointer: pointer, Keyword: keyword, Message: keyword + " " + ref + ": " + message})
			}
		})
	}
	for _, p := range l.problems { // of documents that were read just now, too
		if !slices.Contains(found, p) {
			found = append(found, p)
		}
	}
	return found
}

// leadsNowhere says why a reference has no target; empty: it has one, or only
// the library can tell.
func (l *loader) leadsNowhere(ref string, base *url.URL) string {
	u, err := base.Parse(ref)
	if err != nil {
		return err.Error()
	}
	pointer := u.Fragment
	u.Fragment, u.RawFragment = "", ""
	doc := l.resource(u.String())
	if doc == nil {
		if _, known := l.names[u.String()]; known {
			return "" // it is told what is wrong with it
		}
		if _, err := l.load(u.String()); err != nil && l.names[u.String()] == "" {
			return err.Error()
		}
		doc = l.resource(u.String())
	}
	if doc != nil && strings.HasPrefix(pointer, "/") && at(doc, pointer) == nil {
		return "there is no such place"
	}
	return ""
}

// resource finds the schema with a URL among those that were read; nil: none.
func (l *loader) resource(u string) any {
	for _, d := range l.docs {
		if d.url == u {
			return d.doc
		}
		base, err := url.Parse(d.url)
		if err != nil {
			continue
		}
		if doc := withID(d.doc, base, u); doc != nil {
			return doc
		}
	}
	return nil
}

// withID finds the schema with an absolute $id at and below doc; nil: there is
// none.
func withID(doc any, base *url.URL, id string) any {
	switch d := doc.(type) {
	case []any:
		for _, item := range d {
			if found := withID(item, base, id); found != nil {
				return found
			}
		}
	case map[string]any:
		if own, ok := d["$id"].(string); ok && !strings.HasPrefix(own, "#") {
			if u, err := base.Parse(own); err == nil {
				base = u
				if u.String() == id {
					return d
				}
			}
		}
		for _, item := range d {
			if found := withID(item, base, id); found != nil {
				return found
			}
		}
	}
	return nil
}
