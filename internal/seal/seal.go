// Package seal encrypts what a run must remember but nobody may read: the private key of its login key. The sealing key is
// derived from the account's secret key, so whoever may bake in the account can resume a run from any machine that sees
// its directory or its shared state, and nobody else learns anything.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
)

// prefix names the format: HKDF-SHA256 and AES-256-GCM, nonce first.
const prefix = "tfbake1:"

// ErrKey means that the sealed text was made with another secret key, or for another run, or was changed.
var ErrKey = errors.New("it was sealed with another secret key: use the keys that started the run")

// Seal encrypts text for a run.
func Seal(secretKey, runID string, text []byte) (string, error) {
	aead, err := sealer(secretKey, runID)
	if err != nil {
		return "", err
	}
	nonce := make([]byte, aead.NonceSize())
	rand.Read(nonce) // never fails since Go 1.24
	return prefix + base64.StdEncoding.EncodeToString(aead.Seal(nonce, nonce, text, []byte(runID))), nil
}

// Open decrypts what Seal made. Its error is ErrKey when the key does not fit.
func Open(secretKey, runID, sealed string) ([]byte, error) {
	if len(sealed) < len(prefix) || sealed[:len(prefix)] != prefix {
		return nil, errors.New("not a sealed text of a tfbake we know")
	}
	data, err := base64.StdEncoding.DecodeString(sealed[len(prefix):])
	if err != nil {
		return nil, fmt.Errorf("sealed text: %w", err)
	}
	aead, err := sealer(secretKey, runID)
	if err != nil {
		return nil, err
	}
	if len(data) < aead.NonceSize() {
		return nil, errors.New("sealed text is cut off")
	}
	text, err := aead.Open(nil, data[:aead.NonceSize()], data[aead.NonceSize():], []byte(runID))
	if err != nil {
		return nil, ErrKey
	}
	return text, nil
}

func sealer(secretKey, runID string) (cipher.AEAD, error) {
	if secretKey == "" {
		return nil, errors.New("no secret key to seal with")
	}
	key, err := hkdf.Key(sha256.New, []byte(secretKey), []byte(runID), "tfbake login key", 32)
	if err != nil {
		return nil, fmt.Errorf("derive the sealing key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return cipher.NewGCM(block)
}

// Digest tells later whether a value of a run is still the same, without telling the value: nobody can try values against
// it without the account's secret key. name is what the value is of.
func Digest(secretKey, runID, name, value string) (string, error) {
	key, err := hkdf.Key(sha256.New, []byte(secretKey), []byte(runID), "tfbake digest", 32)
	if err != nil {
		return "", fmt.Errorf("derive the digest's key: %w", err)
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%d %s %s", len(name), name, value)
	return hex.EncodeToString(mac.Sum(nil)[:16]), nil
}
