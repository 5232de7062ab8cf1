// Package ncloud is the one way to the NAVER Cloud API: typed values and calls for Classic (/server/v2) and VPC
// (/vserver/v2, /vpc/v2), with deadlines, retries and errors that say what was asked and what to try next. It alone
// imports ncloud-sdk-go-v2, and closes its traps:
//
//   - the SDK has neither context nor timeouts: every call gets its own transport, bound to the caller's context;
//   - it swallows an {"error": …} body under HTTP 200, cuts answers by byte position and panics on some: every answer is
//     read, checked and re-framed before the SDK sees it, and a panic becomes an error;
//   - it base64-encodes UserData in the caller's own request: requests are copied for each attempt;
//   - it does not escape the elements of list parameters: they are escaped here;
//   - its credentials cache is written without a lock: each call has its own SDK client.
//
// A call that is refused because this machine's clock is wrong is repeated with the API's time.
//
// Reads are retried. A write is repeated only when it certainly did not happen; when that is in doubt, the cloud is asked
// first (Once). Every call on VPC names its region.
package ncloud

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options says how to reach the API. Endpoint and Credentials are required; the zero value of the rest is a default.
type Options struct {
	Endpoint    string // base URL, see Endpoint; "https://ncloud.apigw.ntruss.com"
	Credentials Credentials
	RegionCode  string // sent with every VPC call; empty: the account's default region (as the region list itself needs)
	RegionNo    string // the same region on Classic

	ReadTimeout  time.Duration // one attempt of a get action; 30 s
	WriteTimeout time.Duration // one attempt of any other action; 60 s
	Settle       time.Duration // what a write under way may still take when its context ends, and as much for a look whether it happened; 15 s
	Retry        Retry
	Pace         Pace // of Wait

	Transport http.RoundTripper // nil: a transport of the client's own, with proxies from the environment
	UserAgent string
	Log       func(Event)       // told before every pause between attempts; may be nil; must not block
	Renewed   func(Credentials) // told keys that replace expiring ones, before they are used; may be nil
}

// Retry bounds the repetition of calls. The context's deadline bounds it further.
type Retry struct {
	Attempts int           // for server trouble and lost connections; 8
	First    time.Duration // first pause, doubled each time, with jitter; 500 ms
	Max      time.Duration // longest pause; 8 s
	Patience time.Duration // how long to stand throttling, "busy with another operation" and an API that went away; 3 min
}

// Pace is how the polls of a wait are spread.
type Pace struct {
	First, Max time.Duration // 300 ms, 5 s
	Growth     float64       // 1.5
}

// Event is a repetition about to happen.
type Event struct {
	Action  string        // "getServerInstanceDetail"
	Subject string        // "server 123"; may be empty
	Attempt int           // the one that failed, from 1
	Wait    time.Duration // pause before the next; 0: none, the call was signed with a wrong time
	Err     error
}

// Client talks to one site with one pair of keys in one region. It is safe for concurrent use.
type Client struct {
	VPC     *VPCService
	Classic *ClassicService

	o       Options
	keys    *keyring
	reached *atomic.Bool // a connection was made once: the endpoint is right
	clock   *cloudClock
}

// New makes a client. It sends nothing.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("NAVER Cloud API endpoint %q is not an http(s) URL", o.Endpoint)
	}
	o.Endpoint = strings.TrimRight(o.Endpoint, "/")
	if o.Credentials.AccessKey == "" || o.Credentials.SecretKey == "" {
		return nil, errors.New("NAVER Cloud API client: access key and secret key are required")
	}
	o.ReadTimeout = cmpOr(o.ReadTimeout, 30*time.Second)
	o.WriteTimeout = cmpOr(o.WriteTimeout, 60*time.Second)
	o.Settle = cmpOr(o.Settle, 15*time.Second)
	o.Retry.Attempts = cmpOr(o.Retry.Attempts, 8)
	o.Retry.First = cmpOr(o.Retry.First, 500*time.Millisecond)
	o.Retry.Max = cmpOr(o.Retry.Max, 8*time.Second)
	o.Retry.Patience = cmpOr(o.Retry.Patience, 3*time.Minute)
	o.Pace.First = cmpOr(o.Pace.First, 300*time.Millisecond)
	o.Pace.Max = cmpOr(o.Pace.Max, 5*time.Second)
	o.Pace.Growth = cmpOr(o.Pace.Growth, 1.5)
	o.UserAgent = cmpOr(o.UserAgent, "tfbake")
	if o.Transport == nil {
		o.Transport = &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			TLSHandshakeTimeout: 10 * time.Second,
			MaxIdleConnsPerHost: 8,
			IdleConnTimeout:     60 * time.Second,
			ForceAttemptHTTP2:   true,
		}
	}
	return newClient(o, &keyring{now: o.Credentials, renewed: o.Renewed}, new(atomic.Bool), new(cloudClock)), nil
}

func newClient(o Options, keys *keyring, reached *atomic.Bool, clock *cloudClock) *Client {
	c := &Client{o: o, keys: keys, reached: reached, clock: clock}
	c.VPC, c.Classic = &VPCService{c}, &ClassicService{c}
	return c
}

// In returns a client for another region of the same site: the region found first by ResolveRegion.
func (c *Client) In(r Region) *Client {
	o := c.o
	o.RegionCode, o.RegionNo = r.Code, r.No
	return newClient(o, c.keys, c.reached, c.clock)
}

// RegionCode is the region the client's VPC calls name.
func (c *Client) RegionCode() string { return c.o.RegionCode }

// RegionNo is the region the client's Classic calls name.
func (c *Client) RegionNo() string { return c.o.RegionNo }

// Endpoint is the base URL the client talks to.
func (c *Client) Endpoint() string { return c.o.Endpoint }

// Close releases idle connections.
func (c *Client) Close() {
	if t, ok := c.o.Transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// pause is the time to wait after a failed attempt (from 1): exponential, with jitter, at least what the API asked for.
func (c *Client) pause(attempt int, asked time.Duration) time.Duration {
	d := c.o.Retry.First << min(attempt-1, 16)
	if d > c.o.Retry.Max || d <= 0 {
		d = c.o.Retry.Max
	}
	return max(d/2+rand.N(d/2+1), asked)
}

func (c *Client) log(e Event) {
	if c.o.Log != nil {
		c.o.Log(e)
	}
}

// sleep waits for d or until the context ends, which is its error.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

func cmpOr[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// keyring renews keys that expire (server role) shortly before they do.
type keyring struct {
	mu      sync.Mutex
	now     Credentials
	renewed func(Credentials) // may be nil
}

// get returns the keys that are good at the given time, the cloud's.
func (k *keyring) get(ctx context.Context, now time.Time) Credentials {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.now.renew != nil && k.now.Expires.Sub(now) < time.Minute {
		if fresh, err := k.now.renew(ctx); err == nil {
			if k.renewed != nil {
				k.renewed(fresh)
			}
			k.now = fresh
		} // otherwise the API will say what it thinks of the old ones
	}
	return k.now
}

// Credentials are the keys in use, for handing them to a child's environment; renewed first where they expire.
func (c *Client) Credentials(ctx context.Context) Credentials { return c.keys.get(ctx, c.Now()) }
