package localcloud

import (
	"context"
	"errors"
	"net"
)

// Cloud is a running simulation: an HTTP server and the guests behind it.
type Cloud struct{}

var errNotYet = errors.New("localcloud: not built yet")

// Start opens the data directory, boots the servers that ran when it was last used, and listens. It returns as soon as
// the API answers. The cloud runs until Close; cancelling ctx closes it too.
func Start(ctx context.Context, o Options) (*Cloud, error) { return nil, errNotYet }

// Endpoint is the API's base URL, the value for NCLOUD_API_GW.
func (c *Cloud) Endpoint() string { return "" }

// Credentials returns the accepted key pair.
func (c *Cloud) Credentials() (accessKey, secretKey string) { return "", "" }

// DialContext reaches guests by public IP and port 22, 5985 or 5986, also where the process may not listen on low ports.
// Addresses that are not the cloud's are dialled as usual.
func (c *Cloud) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return nil, errNotYet
}

// Inventory lists what exists now.
func (c *Cloud) Inventory() Inventory { return Inventory{} }

// Inject adds a fault and returns its id.
func (c *Cloud) Inject(f Fault) (id string, err error) { return "", errNotYet }

// Faults lists the injected faults and what came of them.
func (c *Cloud) Faults() []FaultState { return nil }

// ClearFaults removes all faults and lets paused calls go on.
func (c *Cloud) ClearFaults() {}

// Release lets the call go on which is paused at the fault with this id.
func (c *Cloud) Release(id string) error { return errNotYet }

// Calls returns the log of API calls since start.
func (c *Cloud) Calls() []Call { return nil }

// MutatingCalls counts the calls so far that change something, refused ones included.
func (c *Cloud) MutatingCalls() int { return 0 }

// SetLatency replaces the latencies for changes begun from now on.
func (c *Cloud) SetLatency(l Latency) {}

// Close stops guests and the server, writes the state, and removes the directory if it was a private one. Servers stay
// "running" in the state: the next Start boots them.
func (c *Cloud) Close() error { return nil }
