package consent

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// KeyVariable is the environment variable whose key is used instead of the file's.
const KeyVariable = "WELLHEAD_KEY"

const keyBytes = 32

// key is what grants are encrypted with.
type key struct {
	id   []byte // tells keys apart, and nothing of them
	aead cipher.AEAD
}

const keyIDBytes = 8

// newKey makes a key of its text: 32 bytes in base64.
func newKey(text string) (*key, error) {
	text = strings.NewReplacer("-", "+", "_", "/", "=", "").Replace(strings.TrimSpace(text))
	secret, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil || len(secret) != keyBytes {
		return nil, fmt.Errorf("not a key, which is %d bytes in base64; make one with: openssl rand -base64 %d", keyBytes, keyBytes)
	}
	// One secret, two independent uses.
	derived, err := hkdf.Key(sha256.New, secret, nil, "wellhead consent v1", keyBytes+keyIDBytes)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(derived[:keyBytes])
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &key{derived[keyBytes:], aead}, nil
}

// readKey reads the key file; a nil key: there is none.
func readKey(path string) (*key, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	k, err := newKey(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

// makeKey writes a new key file.
func makeKey(path string) (*key, error) {
	secret := make([]byte, keyBytes)
	_, _ = rand.Read(secret) // never fails: crypto/rand ends the process instead
	text := base64.StdEncoding.EncodeToString(secret) + "\n"
	if err := replaceFile(path, []byte(text)); err != nil {
		return nil, err
	}
	return newKey(text)
}
