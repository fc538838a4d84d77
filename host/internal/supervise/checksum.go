package supervise

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// Checksum returns the hex SHA-256 of a file, as `sha256:` of a plugin pins it.
func Checksum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("checksum: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("checksum of %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Verify looks at a plugin's executable without running it: is it there, may it
// be run, is it the pinned one. The error is an *Error.
func (s *Spec) Verify() error {
	info, err := os.Stat(s.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s.fault(CodeMissing, "there is no such file",
			fmt.Sprintf("build or install the plugin, or set plugins.%s.path", s.Name))
	case err != nil:
		return s.fault(CodeMissing, err.Error(), "let the host's user read that path")
	case info.IsDir():
		return s.fault(CodeNotExecutable, "it is a folder",
			fmt.Sprintf("set plugins.%s.path to the executable itself", s.Name))
	case info.Mode()&0o111 == 0:
		return s.fault(CodeNotExecutable, "the file is not executable", "run: chmod +x "+s.Path)
	}
	if s.SHA256 == "" {
		return nil
	}
	sum, err := Checksum(s.Path)
	if err != nil {
		return s.fault(CodeChecksum, err.Error(), "let the host's user read the file")
	}
	if !strings.EqualFold(sum, s.SHA256) {
		return s.fault(CodeChecksum, fmt.Sprintf("its sha256 is %s, but %s is pinned", sum, s.SHA256),
			fmt.Sprintf("if the plugin was meant to change, write what this prints: wellhead plugin pin %s -c FILE; if not, do not run it", s.Name))
	}
	return nil
}
