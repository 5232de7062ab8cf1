package localcloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Cloud is a running simulation: an HTTP server and the guests behind it.
type Cloud struct {
	opts Options
	cat  *catalogue
	hv   hypervisor
	dir  string
	temp bool // dir is private and removed by Close
	lock *os.File

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
	ln     net.Listener
	srv    *http.Server
	logMu  sync.Mutex

	mu        sync.Mutex // guards everything below
	st        *state
	dirty     bool
	closed    bool
	latency   Latency
	jobs      map[string]*job
	machines  map[string]*running // booted guests by server number
	addresses map[string]io.Closer
	listeners map[endpoint]*listener
	timer     *time.Timer

	faults faults
	calls  callLog

	ahead atomic.Int64 // of this machine's clock, see SetClock
}

// Start opens the data directory, boots the servers that ran when it was last used, and listens. It returns as soon as
// the API answers. The cloud runs until Close; cancelling ctx closes it too.
func Start(ctx context.Context, o Options) (_ *Cloud, err error) {
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if o.AccessKey == "" {
		o.AccessKey = DefaultAccessKey
	}
	if o.SecretKey == "" {
		o.SecretKey = DefaultSecretKey
	}
	if o.Latency == (Latency{}) {
		o.Latency = Fast()
	}
	if o.guests == nil {
		o.guests = guests{}
	}
	c := &Cloud{opts: o, cat: loadCatalogue(), hv: o.guests, latency: o.Latency, jobs: map[string]*job{}, machines: map[string]*running{},
		addresses: map[string]io.Closer{}, listeners: map[endpoint]*listener{}}
	c.faults.changed = make(chan struct{})
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			c.cancel()
			c.closeFiles()
		}
	}()

	if c.dir, c.temp = o.Dir, o.Dir == ""; c.temp {
		if c.dir, err = os.MkdirTemp("", "tfbake-cloud-"); err != nil {
			return nil, fmt.Errorf("simulated cloud: %w", err)
		}
	} else if c.dir, err = filepath.Abs(c.dir); err != nil {
		return nil, fmt.Errorf("simulated cloud: %w", err)
	}
	if err = os.MkdirAll(c.dir, 0o700); err != nil {
		return nil, fmt.Errorf("simulated cloud: %w", err)
	}
	if c.ln, err = net.Listen("tcp", o.Listen); err != nil {
		return nil, fmt.Errorf("simulated cloud: %w", err)
	}
	if c.lock, err = lockDir(c.dir, c.Endpoint()); err != nil {
		c.ln.Close()
		return nil, fmt.Errorf("simulated cloud: %w", err)
	}
	if c.st, err = loadState(c.dir, c.cat); err != nil {
		c.ln.Close()
		return nil, fmt.Errorf("simulated cloud: %w", err)
	}

	c.mu.Lock()
	c.timer = time.AfterFunc(time.Hour, c.tick)
	c.reclaimAddresses()
	c.removeLeftovers()
	for _, s := range sorted(c.st.Servers) {
		// A server that was running boots again; one that was being rebooted does so by coming up.
		if s.Status == "RUN" && s.Op != "SHTDN" {
			c.boot(s)
		}
	}
	c.dirty = true
	c.settle()
	c.mu.Unlock()

	c.srv = &http.Server{Handler: http.HandlerFunc(c.serve), ReadHeaderTimeout: time.Minute, ErrorLog: log.New(c.logWriter("API: "), "", 0), BaseContext: func(net.Listener) context.Context { return c.ctx }}
	c.background(func() {
		if err := c.srv.Serve(c.ln); !errors.Is(err, http.ErrServerClosed) {
			c.logf("API stopped: %v", err)
		}
	})
	context.AfterFunc(ctx, func() { c.Close() })
	c.logf("simulated NAVER Cloud API at %s, data in %s", c.Endpoint(), c.dir)
	return c, nil
}

func (c *Cloud) tick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.settle()
	}
}

// Endpoint is the API's base URL, the value for NCLOUD_API_GW.
func (c *Cloud) Endpoint() string { return "http://" + c.ln.Addr().String() }

// Credentials returns the accepted key pair.
func (c *Cloud) Credentials() (accessKey, secretKey string) {
	return c.opts.AccessKey, c.opts.SecretKey
}

// Dir is the data directory.
func (c *Cloud) Dir() string { return c.dir }

// SetLatency replaces the latencies for changes begun from now on.
func (c *Cloud) SetLatency(l Latency) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.latency = l
}

// SetClock makes the cloud's clock differ from this machine's: in signatures that are too old or too new, the Date of answers
// and the dates of what is created from now on. How long things take does not change.
func (c *Cloud) SetClock(ahead time.Duration) { c.ahead.Store(int64(ahead)) }

// now is the cloud's time of day.
func (c *Cloud) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// Close stops guests and the server, writes the state, and removes the directory if it was a private one. Servers stay
// "running" in the state: the next Start boots them.
func (c *Cloud) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.dirty = true
	c.saveIfDirty()
	c.closed = true
	c.timer.Stop()
	machines := c.machines
	c.machines = map[string]*running{}
	for k, l := range c.listeners {
		l.close()
		delete(c.listeners, k)
	}
	for _, a := range c.addresses {
		a.Close()
	}
	c.mu.Unlock()

	// Paused and hanging calls end with the context. Guests are stopped in order, so that files half written are not
	// what the next start finds.
	c.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for _, m := range machines {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if m.Shutdown(ctx) != nil {
				m.Kill()
			}
		}()
	}
	err := c.srv.Shutdown(ctx)
	if err != nil {
		err = c.srv.Close()
	}
	wg.Wait()
	ended := make(chan struct{})
	go func() { c.wg.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		err = errors.Join(err, errors.New("simulated cloud: some guest connections did not end within 10 s"))
	}
	return errors.Join(err, c.closeFiles())
}

// removeLeftovers deletes files that belong to nothing: what a killed process was copying or about to delete.
func (c *Cloud) removeLeftovers() {
	for dir, known := range map[string]func(no string) bool{
		c.guestDir(""):    func(no string) bool { return c.st.Servers[no] != nil },
		c.imageDir(""):    func(no string) bool { return c.st.Images[no] != nil },
		c.snapshotDir(""): func(no string) bool { return c.st.Snapshots[no] != nil },
		c.diskDir(""):     func(no string) bool { return c.st.Disks[no] != nil },
	} {
		entries, _ := os.ReadDir(dir) // not there yet: nothing to delete
		for _, e := range entries {
			if !known(e.Name()) {
				c.background(func() { os.RemoveAll(filepath.Join(dir, e.Name())) })
			}
		}
	}
}

func (c *Cloud) closeFiles() error {
	var err error
	if c.temp && c.dir != "" {
		err = os.RemoveAll(c.dir)
	}
	if c.lock != nil {
		err = errors.Join(err, c.lock.Close())
	}
	return err
}

func (c *Cloud) logf(format string, a ...any) {
	if c.opts.Log == nil {
		return
	}
	c.logMu.Lock()
	defer c.logMu.Unlock()
	fmt.Fprintf(c.opts.Log, time.Now().Format("15:04:05.000 ")+format+"\n", a...)
}

// logWriter gives a guest a log whose lines carry a prefix.
func (c *Cloud) logWriter(prefix string) io.Writer {
	if c.opts.Log == nil {
		return io.Discard
	}
	return writerFunc(func(b []byte) (int, error) {
		c.logMu.Lock()
		defer c.logMu.Unlock()
		_, err := fmt.Fprintf(c.opts.Log, "%s%s", prefix, b)
		return len(b), err
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
