package host

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/consent"
	"github.com/wellhead-io/wellhead/host/internal/console"
	"github.com/wellhead-io/wellhead/host/internal/supervise"
	"github.com/wellhead-io/wellhead/sdk/wire"
)

const (
	// DiscoveredFor is how long an answer to Discover is good for.
	DiscoveredFor = 10 * time.Minute
	// What is larger is not kept, nor is more at one time.
	maxKeptBytes, maxKeptAnswers = 4 << 20, 32
)

// keptAnswer is the path of an answer to Discover in data_dir/discovered, empty
// where none is kept. It is named by the hash of all that the answer depends on,
// and holds the hash of its name and content before the content. It saves
// requests and nothing else: what is wrong with it is as if it were not there,
// and it takes no lock, so that it works beside a running host.
type keptAnswer string

// keptAnswer finds the place of an answer. Only those of services that people
// grant access to are kept: they count the requests.
func (a *ask) keptAnswer(ctx context.Context, d *wire.Description, stream string) keptAnswer {
	settings, err := a.consentSettings(d)
	if err != nil || len(settings) == 0 {
		return ""
	}
	source := a.spec.Sources[0]
	plugin, err := supervise.Checksum(a.spec.Path)
	if err != nil {
		return ""
	}
	var whose console.Grant // of the other flows the config tells
	if s := settings[source.ID]; s.Auth.Flow == consent.Web {
		err := a.consents(ctx, source.ID, s, func(from consentsOf) error {
			st, err := from.Consent(ctx, source.ID)
			if err == nil && st.State != string(consent.Granted) {
				err = errNoConsent
			}
			whose = console.Grant{InstanceURL: st.InstanceURL, OrgID: st.OrgID, UserID: st.UserID, Granted: st.Granted}
			return err
		})
		if err != nil {
			return ""
		}
	}
	key, err := json.Marshal([]any{plugin, d.GetVersion(), source.ID, source.Config, a.spec.Config, whose, stream})
	if err != nil {
		return ""
	}
	return keptAnswer(filepath.Join(string(a.conf.DataDir), "discovered", hashOf(key)))
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// seal is what stands before a content.
func (k keptAnswer) seal(content []byte) []byte {
	return []byte(hashOf(append([]byte(filepath.Base(string(k))), content...)) + "\n")
}

// read returns the answer if it is there and not too old.
func (k keptAnswer) read(now time.Time) (Discovered, bool) {
	f, err := os.Open(string(k))
	if err != nil {
		return Discovered{}, false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !fromNow(info, now) {
		return Discovered{}, false
	}
	b, err := io.ReadAll(io.LimitReader(f, maxKeptBytes+1024))
	if err != nil {
		return Discovered{}, false
	}
	_, content, _ := bytes.Cut(b, []byte("\n"))
	found := Discovered{Asked: info.ModTime()}
	if !bytes.HasPrefix(b, k.seal(content)) || json.Unmarshal(content, &found.Streams) != nil {
		return Discovered{}, false
	}
	return found, true
}

// fromNow reports whether a file was written lately.
func fromNow(info fs.FileInfo, now time.Time) bool {
	age := now.Sub(info.ModTime())
	return age >= 0 && age < DiscoveredFor
}

// write keeps an answer if data_dir is there, and removes those that are too old.
// An answer that cannot be kept is asked for again.
func (k keptAnswer) write(found []supervise.Stream, now time.Time) {
	content, err := json.Marshal(found)
	if k == "" || err != nil || len(content) > maxKeptBytes {
		return
	}
	folder := filepath.Dir(string(k))
	if err := os.Mkdir(folder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return
	}
	others, err := os.ReadDir(folder)
	if err != nil {
		return
	}
	kept := 0
	for _, o := range others {
		if info, err := o.Info(); err == nil && fromNow(info, now) {
			kept++
		} else if os.Remove(filepath.Join(folder, o.Name())) != nil {
			return // whoever keeps it from being removed may fill the disk
		}
	}
	if kept >= maxKeptAnswers {
		return
	}
	f, err := os.CreateTemp(folder, "") // for its owner alone
	if err != nil {
		return
	}
	_, err = f.Write(append(k.seal(content), content...))
	if errors.Join(err, f.Close()) != nil || os.Rename(f.Name(), string(k)) != nil {
		_ = os.Remove(f.Name()) // it is removed when it is old
	}
}
