package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	dirMode  = 0o700
	fileMode = 0o600
	tempMark = ".tmp"
)

// makeDir creates a directory with every missing parent, and returns when all
// of their names are on disk.
func makeDir(dir string) error {
	dir = filepath.Clean(dir)
	switch info, err := os.Stat(dir); {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return fmt.Errorf("%s is not a directory", dir)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncPath(parent)
}

// syncPath makes a file's bytes durable, or a directory's names.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// replaceFile makes data the content of a file, whole or not at all, and
// returns when that is on disk.
func replaceFile(path string, data []byte) error {
	temp := path + tempMark
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, fileMode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		_ = os.Remove(temp) // the next one truncates it
		return err
	}
	return syncPath(filepath.Dir(path))
}

// maxName keeps a file name with its suffixes below the 255 bytes that file
// systems allow.
const maxName = 200

// fileName writes a name with lower-case letters, digits, "-" and "_" only,
// every other byte as = and two hex digits, so that any two names differ on
// every file system and none leaves its directory.
func fileName(name string) (string, error) {
	var b strings.Builder
	for i := range len(name) {
		if c := name[i]; 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "=%02x", c)
		}
	}
	if b.Len() == 0 || b.Len() > maxName {
		return "", fmt.Errorf("name %q: want 1 to %d bytes, each other than a-z, 0-9, - and _ counting three", name, maxName)
	}
	return b.String(), nil
}

// originalName reads what fileName wrote; false: fileName did not write it.
func originalName(file string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(file); i++ {
		if file[i] != '=' {
			b.WriteByte(file[i])
			continue
		}
		var c byte
		if i+3 > len(file) {
			return "", false
		}
		if _, err := fmt.Sscanf(file[i+1:i+3], "%02x", &c); err != nil {
			return "", false
		}
		b.WriteByte(c)
		i += 2
	}
	name := b.String()
	again, err := fileName(name)
	return name, err == nil && again == file
}
