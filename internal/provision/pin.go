package provision

import (
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
)

// HostKeyPin holds a server's host key from the first time it let us in. A resumed run restores it from its text. It
// is safe for concurrent use; the zero value is an empty pin.
type HostKeyPin struct {
	mu  sync.Mutex
	key ssh.PublicKey
}

// MarshalText returns the key as in known_hosts without the host ("ssh-ed25519 AAAA…"), or nothing when there is none.
func (p *HostKeyPin) MarshalText() ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.key == nil {
		return nil, nil
	}
	return []byte(p.key.Type() + " " + base64.StdEncoding.EncodeToString(p.key.Marshal())), nil
}

// UnmarshalText is the inverse of MarshalText.
func (p *HostKeyPin) UnmarshalText(text []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if strings.TrimSpace(string(text)) == "" {
		p.key = nil
		return nil
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return fmt.Errorf("read pinned host key: %w", err)
	}
	p.key = key
	return nil
}

// get returns the pinned key, nil when there is none.
func (p *HostKeyPin) get() ssh.PublicKey {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.key
}

// set pins key unless one is pinned.
func (p *HostKeyPin) set(key ssh.PublicKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.key == nil {
		p.key = key
	}
}

func sameKey(a, b ssh.PublicKey) bool {
	return subtle.ConstantTimeCompare(a.Marshal(), b.Marshal()) == 1
}
