package host

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/wellhead-io/wellhead/host/internal/config"
	"github.com/wellhead-io/wellhead/host/internal/destination/file"
	"github.com/wellhead-io/wellhead/host/internal/supervise"
)

// ownFolders are the host's in data_dir, where nobody else may write.
var ownFolders = []string{"consent", "destinations", "discovered", "journal", "plugins", "quarantine", "sources", "state", "tokens"}

// stateDir is the folder in which a source's plugin keeps what is its own.
func stateDir(dataDir, source string) string { return filepath.Join(dataDir, "sources", source) }

// ownFiles are the host's directly in data_dir.
var ownFiles = []string{"admin.sock", "format", "lock"}

// checkDataDir tells whether data_dir is there or could be made, without making it.
func checkDataDir(c *config.Config) error {
	const write = "let the user that runs wellhead write there, or set data_dir to another folder"
	bad := func(what, hint string) error {
		return c.Problem("data_dir", config.Problem{Code: codeDataDir, What: what, Hint: hint})
	}
	dir := string(c.DataDir)
	for at := dir; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist) && at != filepath.Dir(at):
			continue
		case errors.Is(err, unix.ENOTDIR):
			continue // the file is found above
		case errors.Is(err, fs.ErrPermission):
			return bad("no permission to look into "+filepath.Dir(at), write)
		case err != nil:
			return bad(err.Error(), "")
		case !info.IsDir():
			return bad(at+" is not a folder", "move it away, or set data_dir to another folder")
		case unix.Access(at, unix.W_OK|unix.X_OK) != nil:
			return bad("no permission to write in "+at, write)
		}
		return nil
	}
}

// checkTLS tells whether the files of a listener's certificate are there and
// belong together.
func checkTLS(c *config.Config, p *config.Plugin) error {
	if p.TLS == nil || p.TLS.Cert == "" || p.TLS.Key == "" {
		return nil // the config is told what is missing
	}
	path := "plugins." + p.Name + ".tls"
	var ps config.Problems
	read := func(key string, file config.Path) []byte {
		data, err := os.ReadFile(string(file))
		what, hint := "", "let the user that runs wellhead read it"
		switch {
		case errors.Is(err, fs.ErrNotExist):
			what, hint = "there is no such file", "name the file in PEM; a path is relative to the config file's folder"
		case errors.Is(err, fs.ErrPermission):
			what = "no permission to read it"
		case err != nil:
			what = errors.Unwrap(err).Error()
		default:
			return data
		}
		ps = append(ps, c.Problem(path+"."+key, config.Problem{
			Code: supervise.CodeCertificate, What: fmt.Sprintf("%s: %s", file, what), Hint: hint,
		}))
		return nil
	}
	cert, key := read("cert", p.TLS.Cert), read("key", p.TLS.Key)
	if ps != nil {
		return ps
	}
	if _, err := tls.X509KeyPair(cert, key); err != nil {
		return c.Problem(path, config.Problem{
			Code: supervise.CodeCertificate, What: strings.TrimPrefix(err.Error(), "tls: "),
			Hint: "cert is the chain and key the private key that belongs to it, both in PEM",
		})
	}
	return nil
}

// files are the paths that destinations write, by what they are on disk.
type files map[string]string

// add takes in the file that a destination writes, if it is of that type, or
// tells who else writes there.
func (f files) add(c *config.Config, d *config.Destination) error {
	if d.Type != "file" || !d.Enabled {
		return nil
	}
	var conf file.Config
	if err := d.Settings.Decode(&conf); err != nil {
		return err
	}
	at := "destinations." + d.Name + ".path"
	real := onDisk(string(conf.Path))
	if rest, err := filepath.Rel(onDisk(string(c.DataDir)), real); err == nil && filepath.IsLocal(rest) {
		first, below, _ := strings.Cut(filepath.ToSlash(rest), "/")
		if slices.Contains(ownFolders, first) || below == "" && slices.Contains(ownFiles, first) {
			return c.Problem(at, config.Problem{
				Code: config.CodeConflict, What: fmt.Sprintf("%s in data_dir is the host's own", first),
				Hint: "name a file elsewhere, such as " + filepath.Join(string(c.DataDir), "events.jsonl"),
			})
		}
	}
	if other, taken := f[real]; taken {
		return c.Problem(at, config.Problem{
			Code: config.CodeConflict, What: "destinations." + other + " writes to the same file", Hint: "name another file",
		})
	}
	f[real] = d.Name
	return nil
}

// onDisk is a path with the symbolic links of the folders that are there.
func onDisk(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	dir := filepath.Dir(path)
	if dir == path {
		return path
	}
	return filepath.Join(onDisk(dir), filepath.Base(path))
}

// warnings tells what works and is probably not meant.
func warnings(c *config.Config) config.Problems {
	var ps config.Problems
	warn := func(path, what, hint string) {
		ps = append(ps, c.Problem(path, config.Problem{Code: config.CodeMissingKey, What: what, Hint: hint, Warning: true}))
	}
	for i := range c.Sources {
		s := &c.Sources[i]
		p := c.Plugin(s.Plugin)
		if !s.Enabled || p == nil || !p.Enabled {
			continue
		}
		if len(s.Destinations) == 0 {
			warn("sources."+s.Name+".destinations", "is missing: its events go into the journal alone", "name those that are to have them")
		}
		if len(s.Keys) == 0 && p.Listen != "" {
			warn("sources."+s.Name+".keys", "is missing: no client can send to it by a key", "make one with: wellhead keys new")
		}
	}
	return ps
}
