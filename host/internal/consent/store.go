package consent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/wellhead-io/wellhead/host/internal/event"
)

// grant is what is kept of one source's consent.
type grant struct {
	// Whose is the Settings.whose of those that it was granted to.
	Whose string `json:"whose"`
	// Refresh is empty in flows that have none, and before a consent.
	Refresh string `json:"refresh_token,omitempty"`
	Access  string `json:"access_token,omitempty"`
	Grant
	// Refused is the answer that only a person can mend; Version is the
	// Settings.version of those that got it.
	Refused *Error `json:"refused,omitempty"`
	Version string `json:"version,omitempty"`
	// Former are the grants whose place this one has taken, to be revoked.
	Former []former `json:"former,omitempty"`
}

// former is what it takes to revoke a grant.
type former struct {
	InstanceURL string `json:"instance_url"`
	Refresh     string `json:"refresh_token"`
}

// maxFormer bounds those that could not be revoked yet; the oldest give way.
const maxFormer = 16

// replaces takes the place of another grant, which may be nil.
func (g *grant) replaces(old *grant) {
	if old == nil {
		return
	}
	g.Former = slices.Clone(old.Former)
	if old.Refresh != "" && old.Refresh != g.Refresh {
		g.Former = append(g.Former, former{old.InstanceURL, old.Refresh})
	}
	g.Former = g.Former[max(0, len(g.Former)-maxFormer):]
}

// Grant tells who granted what. It has no secrets.
type Grant struct {
	// InstanceURL is where the org's API is.
	InstanceURL string `json:"instance_url,omitempty"`
	OrgID       string `json:"org_id,omitempty"`
	// Org and User are names; empty where Salesforce did not tell them.
	Org    string `json:"org,omitempty"`
	UserID string `json:"user_id,omitempty"`
	User   string `json:"user,omitempty"`
	// Sandbox tells that the org is one.
	Sandbox bool     `json:"sandbox,omitempty"`
	Scopes  []string `json:"scopes,omitempty"`
	// Granted is when a person gave the consent, and Renewed when Salesforce gave
	// the last access token.
	Granted time.Time `json:"granted,omitzero"`
	Renewed time.Time `json:"renewed,omitzero"`
	// Warning is what a person should know before the grant is kept: an error that
	// the API gave to its token.
	Warning *Error `json:"warning,omitempty"`
}

// store keeps grants in data_dir, which belongs to this process. Each is in a
// file that is replaced whole: magic, key id, and the sealed grant, which is
// bound to its source's name. Its methods may be called from any goroutine.
type store struct {
	dir     string // the grants'
	keyFile string
	keyText string // from the environment; empty: the file's

	mu  sync.Mutex
	key *key // nil: not read yet
}

const (
	grantMagic  = "WHC\x01"
	grantSuffix = ".grant"
	maxGrant    = 256 << 10 // bytes of a file
)

func openStore(dir, keyText string) *store {
	return &store{dir: filepath.Join(dir, "consent"), keyFile: filepath.Join(dir, "key"), keyText: keyText}
}

func (s *store) path(source event.SourceID) string {
	return filepath.Join(s.dir, string(source)+grantSuffix)
}

// ready returns the key, which it makes for a store that has neither key nor
// grants.
func (s *store) ready() (*key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.key != nil {
		return s.key, nil
	}
	k, err := s.findKey()
	if err != nil {
		return nil, &Error{Code: CodeStore, Message: "the key of the consents: " + err.Error(), Err: err,
			Hint: "consents are encrypted with it and nothing else reads them"}
	}
	s.key = k
	return k, nil
}

func (s *store) findKey() (*key, error) {
	if s.keyText != "" {
		k, err := newKey(s.keyText)
		if err != nil {
			err = fmt.Errorf("%s: %w", KeyVariable, err)
		}
		return k, err
	}
	k, err := readKey(s.keyFile)
	if k != nil || err != nil {
		return k, err
	}
	kept, err := filepath.Glob(filepath.Join(s.dir, "*"+grantSuffix))
	if err != nil {
		return nil, err
	}
	if len(kept) > 0 {
		return nil, fmt.Errorf("%s is missing, but %s and perhaps others were encrypted with it; restore it or set %s, or remove the folder and let people consent anew",
			s.keyFile, kept[0], KeyVariable)
	}
	if err := os.MkdirAll(filepath.Dir(s.keyFile), 0o700); err != nil {
		return nil, err
	}
	return makeKey(s.keyFile)
}

// get returns a source's grant, or nil where it has none. The error is an *Error.
func (s *store) get(source event.SourceID) (*grant, error) {
	path := s.path(source)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, s.failed(source, err.Error(), err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxGrant+1))
	if err != nil {
		return nil, s.failed(source, err.Error(), err)
	}
	k, err := s.ready()
	if err != nil {
		return nil, err
	}
	head := len(grantMagic) + keyIDBytes
	if len(data) < head || len(data) > maxGrant || string(data[:len(grantMagic)]) != grantMagic {
		return nil, s.failed(source, path+" is not what was written", nil)
	}
	if !bytes.Equal(data[len(grantMagic):head], k.id) {
		return nil, &Error{Code: CodeStore, Message: path + " was encrypted with another key",
			Hint: fmt.Sprintf("restore %s or %s as it was then, or consent anew: wellhead connect %s", s.keyFile, KeyVariable, source)}
	}
	text, err := k.aead.Open(nil, nil, data[head:], bound(data[:head], source))
	if err != nil {
		return nil, s.failed(source, path+" is damaged", nil)
	}
	g := &grant{}
	if err := json.Unmarshal(text, g); err != nil {
		return nil, s.failed(source, path+" was written by another version of wellhead", err)
	}
	return g, nil
}

// put sets a source's grant and returns when it is on disk. The error is an
// *Error.
func (s *store) put(source event.SourceID, g *grant) error {
	k, err := s.ready()
	if err != nil {
		return err
	}
	text, err := json.Marshal(g) //nolint:gosec // it is encrypted before it is written
	if err != nil {
		return err
	}
	head := slices.Concat([]byte(grantMagic), k.id)
	//nolint:gosec // the AEAD makes its own nonce, and asks for none
	data := slices.Concat(head, k.aead.Seal(nil, nil, text, bound(head, source)))
	if len(data) > maxGrant {
		return s.failed(source, fmt.Sprintf("a grant of %d bytes is too large", len(data)), nil)
	}
	err = os.Mkdir(s.dir, 0o700)
	if err == nil {
		err = syncDir(filepath.Dir(s.dir))
	}
	if err == nil || errors.Is(err, fs.ErrExist) {
		err = replaceFile(s.path(source), data)
	}
	if err != nil {
		return s.failed(source, err.Error(), err)
	}
	return nil
}

// remove forgets a source's grant and returns when that is on disk.
func (s *store) remove(source event.SourceID) error {
	err := os.Remove(s.path(source))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = syncDir(s.dir)
	}
	if err != nil {
		return s.failed(source, err.Error(), err)
	}
	return nil
}

// bound is what a sealed grant belongs to.
func bound(head []byte, source event.SourceID) []byte {
	return slices.Concat(head, []byte(source))
}

func (*store) failed(source event.SourceID, what string, err error) *Error {
	return &Error{Code: CodeStore, Message: "the stored consent: " + what, Err: err,
		Hint: fmt.Sprintf("check the disk of data_dir; if the file is lost, consent anew: wellhead connect %s", source)}
}

// replaceFile writes a file that only its owner may read, so that after a crash
// it has its old content or the new one, and returns when that is on disk.
func replaceFile(path string, data []byte) error {
	fresh := path + ".new"
	f, err := os.OpenFile(fresh, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(fresh, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
