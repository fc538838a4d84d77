package supervise

import (
	"maps"
	"os"
	"slices"
	"strings"
)

// passedOn are the host's variables that a plugin inherits. Nothing else of the
// host's environment reaches it: that is where operators put secrets.
var passedOn = []string{
	"PATH", "TMPDIR", "LANG", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
	"http_proxy", "https_proxy", "no_proxy", "all_proxy",
}

// environ returns a plugin's environment: what is passed on, then the spec's
// variables, then the protocol's own, each list overriding the one before.
func environ(spec map[string]string, protocol []string) []string {
	env := map[string]string{}
	for _, name := range passedOn {
		if value, ok := os.LookupEnv(name); ok {
			env[name] = value
		}
	}
	maps.Copy(env, spec)
	for _, pair := range protocol {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	list := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, name+"="+env[name])
	}
	return list
}
