package provision

import (
	"crypto/subtle"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
)

// HostKeyPin holds a server's host key from the first time it let us in, in memory only. It is safe for concurrent use; the
// zero value is an empty pin.
type HostKeyPin struct {
	mu  sync.Mutex
	key ssh.PublicKey
}

// line returns the key as in known_hosts without the host ("ssh-ed25519 AAAA…"), "" when there is none.
func (p *HostKeyPin) line() string {
	key := p.get()
	if key == nil {
		return ""
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
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
