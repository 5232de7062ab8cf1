package localcloud

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// InUseError says that another process runs the cloud of a directory, and where it answers; see Attach.
type InUseError struct {
	Dir, Holder string
	Endpoint    string // empty when the holder has not said it yet
}

func (e *InUseError) Error() string {
	return fmt.Sprintf("%s is in use by %s: stop that one, or choose another directory", e.Dir, e.Holder)
}

func inUse(dir string, holder []byte) *InUseError {
	e := &InUseError{Dir: dir, Holder: strings.TrimSpace(string(holder))}
	_, e.Endpoint, _ = strings.Cut(e.Holder, " at ")
	return e
}

// Remote is the cloud of another process on this machine.
type Remote struct {
	endpoint string
	lock     *flock.Flock
}

const clientsFile = "clients" // held shared by everyone who uses the cloud of another process

// Attach uses the cloud that another process runs for a directory. That process's WaitForClients waits until Close.
func Attach(ctx context.Context, e *InUseError) (*Remote, error) {
	r := &Remote{endpoint: e.Endpoint, lock: flock.New(filepath.Join(e.Dir, clientsFile), flock.SetPermissions(0o600))}
	if ok, err := r.lock.TryRLock(); err != nil || !ok {
		return nil, fmt.Errorf("use the simulated cloud of %s: it is closing (%v); try again", e.Holder, err)
	}
	if _, err := r.guests(ctx); err != nil {
		return nil, fmt.Errorf("use the simulated cloud of %s: %w", e.Holder, err)
	}
	return r, nil
}

// Endpoint is the API's base URL.
func (r *Remote) Endpoint() string { return r.endpoint }

// Credentials returns the default key pair; a cloud with another one cannot be attached to.
func (r *Remote) Credentials() (accessKey, secretKey string) {
	return DefaultAccessKey, DefaultSecretKey
}

// DialContext is Cloud.DialContext, from this process.
func (r *Remote) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if list, err := r.guests(ctx); err == nil {
		for _, g := range list {
			if addr == fmt.Sprintf("%s:%d", g.IP, g.Port) {
				addr = g.Address
				break
			}
		}
	}
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}

func (r *Remote) guests(ctx context.Context) (list []guestEndpoint, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.endpoint+"/_local/guests", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers HTTP %d", r.endpoint, resp.StatusCode)
	}
	return list, json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&list)
}

// Close lets the other process go.
func (r *Remote) Close() error { return r.lock.Unlock() }

// WaitForClients waits until no other process uses this cloud any more; waiting is called once if it has to.
func (c *Cloud) WaitForClients(ctx context.Context, waiting func()) error {
	path := filepath.Join(c.dir, clientsFile)
	if _, err := os.Stat(path); err != nil {
		return nil // nobody ever did
	}
	lock := flock.New(path, flock.SetPermissions(0o600))
	defer lock.Unlock()
	if ok, err := lock.TryLock(); err != nil || ok {
		return err
	}
	waiting()
	_, err := lock.TryLockContext(ctx, 200*time.Millisecond)
	return err
}
