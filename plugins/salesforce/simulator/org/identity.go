package org

import (
	"net/http"
	"strings"
)

// profile is what the identity endpoints tell of a user.
type profile struct {
	username, first, last, name, email string
}

func (o *Org) profile(user uint32) profile {
	fields, _ := o.Get("User", makeID(userPrefix, uint64(user)))
	return profile{str(fields["Username"]), str(fields["FirstName"]), str(fields["LastName"]), str(fields["Name"]), str(fields["Email"])}
}

// subject is a user's id URL.
func (o *Org) subject(user uint32) string {
	return o.base() + "/id/" + DefaultOrgID + "/" + makeID(userPrefix, uint64(user))
}

// caller is the session of a request to an identity endpoint, whose refusals are
// plain words.
func (o *Org) caller(w http.ResponseWriter, r *http.Request) (*session, bool) {
	token := r.FormValue("oauth_token")
	if _, bearer, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok {
		token = bearer
	}
	if token == "" {
		token = r.FormValue("access_token")
	}
	if token == "" {
		http.Error(w, "Missing_OAuth_Token", http.StatusForbidden)
		return nil, false
	}
	s, ok := o.oauth.find(token)
	if !ok {
		http.Error(w, "Bad_OAuth_Token", http.StatusForbidden)
	}
	return s, ok
}

// userinfo answers /services/oauth2/userinfo.
func (o *Org) userinfo(w http.ResponseWriter, r *http.Request) {
	s, ok := o.caller(w, r)
	if !ok {
		return
	}
	p := o.profile(s.user)
	o.json(w, r, http.StatusOK, map[string]any{"sub": o.subject(s.user), "user_id": makeID(userPrefix, uint64(s.user)), "organization_id": DefaultOrgID,
		"preferred_username": p.username, "nickname": p.first, "name": p.name, "given_name": p.first, "family_name": p.last, "email": p.email,
		"email_verified": true, "zoneinfo": "Europe/Berlin", "locale": "en_US", "language": "en_US", "user_type": "STANDARD", "active": true, "urls": o.urls()})
}

// identity answers /id/ORG/USER, with the caller's own identity only.
func (o *Org) identity(w http.ResponseWriter, r *http.Request, path []string) {
	s, ok := o.caller(w, r)
	if !ok {
		return
	}
	if len(path) != 3 || path[1] != DefaultOrgID || path[2] != makeID(userPrefix, uint64(s.user)) {
		http.Error(w, "Wrong_Org", http.StatusForbidden)
		return
	}
	p := o.profile(s.user)
	o.json(w, r, http.StatusOK, map[string]any{"id": o.subject(s.user), "asserted_user": true, "user_id": path[2], "organization_id": DefaultOrgID,
		"username": p.username, "nick_name": p.first, "display_name": p.name, "email": p.email, "email_verified": true, "first_name": p.first,
		"last_name": p.last, "timezone": "Europe/Berlin", "active": true, "user_type": "STANDARD", "language": "en_US", "locale": "en_US", "utcOffset": 3600000, "urls": o.urls()})
}

func (o *Org) urls() map[string]string {
	base := o.base()
	return map[string]string{"rest": base + "/services/data/v{version}/", "query": base + "/services/data/v{version}/query/",
		"sobjects": base + "/services/data/v{version}/sobjects/", "custom_domain": base}
}

func (o *Org) configuration(w http.ResponseWriter, r *http.Request) {
	base := o.base()
	oauth := base + "/services/oauth2/"
	o.json(w, r, http.StatusOK, map[string]any{"issuer": base, "authorization_endpoint": oauth + "authorize", "token_endpoint": oauth + "token",
		"revocation_endpoint": oauth + "revoke", "userinfo_endpoint": oauth + "userinfo", "introspection_endpoint": oauth + "introspect",
		"scopes_supported": []string{"api", "full", "id", "openid", "refresh_token"}, "response_types_supported": []string{"code"},
		"code_challenge_methods_supported": []string{"S256"}, "subject_types_supported": []string{"public"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "client_secret_basic"}})
}
