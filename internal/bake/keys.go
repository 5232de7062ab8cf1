package bake

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/tfbake/tfbake/internal/journal"
)

// LoginKey is the key that decrypts the server's first password, and that may let us in by SSH. It lives in memory only.
type LoginKey struct {
	Name       string
	PrivateKey []byte // PEM; nil for a key of the account's own
}

// String keeps the private key out of whatever prints a LoginKey.
func (k LoginKey) String() string { return "login key " + k.Name }

// Keys makes and deletes login keys through the API. Not terraform: a private key in state would be there for good.
type Keys interface {
	// Make makes the run's login key. The private half is sealed in the run directory before the key is used.
	Make(ctx context.Context, run *journal.Run, name string) (LoginKey, error)
	// Recall opens the sealed private half again.
	Recall(run *journal.Run, name string) (LoginKey, error)
	Delete(ctx context.Context, name string) error
}

// keyBits: RSA, because getRootPassword takes the private key to decrypt with; 3072 bits stand beyond 2030 (NIST SP 800-57).
const keyBits = 3072

// NewKeyPair makes a key pair of our own to import: the private key as PEM, the public one as an authorized_keys line.
func NewKeyPair(comment string) (private []byte, public string, err error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, "", fmt.Errorf("make a key pair: %w", err)
	}
	pub, err := ssh.NewPublicKey(&key.PublicKey)
	if err != nil {
		return nil, "", fmt.Errorf("make a key pair: %w", err)
	}
	private = pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	line := string(ssh.MarshalAuthorizedKey(pub))
	return private, line[:len(line)-1] + " " + comment, nil
}
