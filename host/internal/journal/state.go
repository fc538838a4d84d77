package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// ErrCorrupt is the error of a state value whose file is not what was written.
var ErrCorrupt = errors.New("corrupt")

// MaxStateValue is the largest value that State keeps, in bytes.
const MaxStateValue = 1 << 20

// State keeps small values by key, each in a file of its own that is replaced
// whole: after a crash a key has its old value or the new one. Its methods may
// be called from any goroutine.
type State struct {
	dir string
	mu  sync.Mutex // one writer of a temporary file at a time
}

const (
	stateSuffix = ".state"
	stateMagic  = "WHS\x01"
	stateHeader = len(stateMagic) + 8 // magic, length, CRC32C of the value
)

// OpenState opens the state in dir, which is created where it is missing.
func OpenState(dir string) (*State, error) {
	if err := makeDir(dir); err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	return &State{dir: dir}, nil
}

// Get returns a key's value, or nil where it has none. A damaged file gives an
// ErrCorrupt that names it; Put or Delete mends the key.
func (s *State) Get(key string) ([]byte, error) {
	path, err := s.path(key)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("state %q: %w", key, err)
	}
	if len(data) < stateHeader || string(data[:len(stateMagic)]) != stateMagic {
		return nil, fmt.Errorf("state %q: %w: %s is no state file", key, ErrCorrupt, path)
	}
	value := data[stateHeader:]
	h := data[len(stateMagic):]
	if uint32(len(value)) != binary.LittleEndian.Uint32(h) || crc32.Checksum(value, castagnoli) != binary.LittleEndian.Uint32(h[4:]) {
		return nil, fmt.Errorf("state %q: %w: the checksum of %s does not match", key, ErrCorrupt, path)
	}
	return value, nil
}

// Put sets a key's value and returns when it is on disk.
func (s *State) Put(key string, value []byte) error {
	path, err := s.path(key)
	if err != nil {
		return err
	}
	if len(value) > MaxStateValue {
		return fmt.Errorf("state %q: a value of %d bytes exceeds %d", key, len(value), MaxStateValue)
	}
	data := append(make([]byte, 0, stateHeader+len(value)), stateMagic...)
	data = appendU32(data, len(value), int(crc32.Checksum(value, castagnoli)))
	data = append(data, value...)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := replaceFile(path, data); err != nil {
		return fmt.Errorf("state %q: %w", key, err)
	}
	return nil
}

// Delete removes a key and returns when that is on disk. A key without a value
// is no error.
func (s *State) Delete(key string) error {
	path, err := s.path(key)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err = os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = syncPath(s.dir)
	}
	if err != nil {
		return fmt.Errorf("state %q: %w", key, err)
	}
	return nil
}

// Keys lists the keys that have a value, in no order that means anything.
func (s *State) Keys() ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	var keys []string
	for _, e := range entries {
		file, ok := strings.CutSuffix(e.Name(), stateSuffix)
		if !ok {
			continue
		}
		if key, ok := originalName(file); ok {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

func (s *State) path(key string) (string, error) {
	name, err := fileName(key)
	if err != nil {
		return "", fmt.Errorf("state: %w", err)
	}
	return filepath.Join(s.dir, name+stateSuffix), nil
}
