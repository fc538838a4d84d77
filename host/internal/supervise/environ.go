package supervise

import (
	"maps"
	"os"
	"path/filepath"
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

// paths are those of passedOn that name files: where they are relative, it is to
// the host's working directory, which is not the plugin's.
var paths = []string{"TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"}

// environ returns a plugin's environment: what is passed on, then the spec's
// variables, then the protocol's own, each list overriding the one before.
func environ(spec map[string]string, protocol []string) []string {
	env := map[string]string{}
	for _, name := range passedOn {
		value, ok := os.LookupEnv(name)
		if !ok {
			continue
		}
		if abs, err := filepath.Abs(value); err == nil && value != "" && slices.Contains(paths, name) {
			value = abs
		}
		env[name] = value
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
