package provision

// The way to the server and what travels along it: keys, agent, bastion, tunnels.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// keyFile reads a private key, and the certificate for it when one is named. key is the option that named the file.
func keyFile(path, key, certificate string) (ssh.Signer, error) {
	text, err := os.ReadFile(expandHome(path))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	signer, err := ssh.ParsePrivateKey(text)
	var missing *ssh.PassphraseMissingError
	if errors.As(err, &missing) {
		return nil, fmt.Errorf("%s: %s is protected by a passphrase; add it to ssh-agent and set ssh_agent_auth, or use a key without one", key, path)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %s is not a private key that can be read: %w", key, path, err)
	}
	if certificate == "" {
		return signer, nil
	}
	text, err = os.ReadFile(expandHome(certificate))
	if err != nil {
		return nil, fmt.Errorf("%s: certificate: %w", key, err)
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: certificate %s: %w", key, certificate, err)
	}
	cert, ok := public.(*ssh.Certificate)
	if !ok {
		return nil, fmt.Errorf("%s: %s holds a %s key, not a certificate (they end in -cert.pub)", key, certificate, public.Type())
	}
	signer, err = ssh.NewCertSigner(cert, signer)
	if err != nil {
		return nil, fmt.Errorf("%s: certificate %s does not belong to %s: %w", key, certificate, path, err)
	}
	return signer, nil
}

func expandHome(path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	return path
}

// sshAgent is the user's ssh-agent.
type sshAgent struct {
	agent.Agent
	conn net.Conn
}

func dialAgent() (*sshAgent, error) {
	socket := os.Getenv("SSH_AUTH_SOCK")
	if socket == "" {
		return nil, errors.New("no ssh-agent: SSH_AUTH_SOCK is not set; start one and ssh-add the key")
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("reach ssh-agent: %w", err)
	}
	return &sshAgent{agent.NewClient(conn), conn}, nil
}

// bastion is a jump host. Its connection is kept between attempts to reach the server behind it: a person who has
// answered its questions is not asked again while the server boots.
type bastion struct {
	s       *sshComm
	addr    string
	user    string
	signers []ssh.Signer
	pin     HostKeyPin

	turn   chan struct{} // held by who dials: one asks at a time
	mu     sync.Mutex
	client *ssh.Client // nil: not connected
	closed bool
}

func newBastion(s *sshComm) (*bastion, error) {
	c := s.c.Bastion
	port := c.Port
	if port == 0 {
		port = 22
	}
	b := &bastion{s: s, addr: net.JoinHostPort(c.Host, strconv.Itoa(port)), user: c.Username, turn: make(chan struct{}, 1)}
	if b.user == "" {
		return nil, errors.New("ssh_bastion_username is not set")
	}
	if c.PrivateKeyFile != "" {
		signer, err := keyFile(c.PrivateKeyFile, "ssh_bastion_private_key_file", c.CertificateFile)
		if err != nil {
			return nil, err
		}
		b.signers = append(b.signers, signer)
	}
	if c.Interactive && s.t.Ask == nil {
		return nil, errors.New("ssh_bastion_interactive needs a terminal to ask at; there is none")
	}
	if len(b.signers) == 0 && c.Password == "" && !c.AgentAuth && !c.Interactive {
		return nil, errors.New("the bastion has neither a password nor a key; set ssh_bastion_password, ssh_bastion_private_key_file or ssh_bastion_agent_auth")
	}
	return b, nil
}

// dial opens a connection to addr from the bastion.
func (b *bastion) dial(ctx context.Context, addr string) (net.Conn, *ConnectError) {
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return nil, stageError(StageBastion, "bastion %s: %w", b.addr, context.Cause(ctx))
	}
	for {
		client, kept, failed := b.login(ctx)
		if failed != nil {
			return nil, failed
		}
		dialing, cancel := context.WithTimeout(ctx, dialTimeout)
		conn, err := dialThrough(dialing, client, addr)
		cancel()
		var refused *ssh.OpenChannelError
		switch {
		case err == nil:
			return conn, nil
		case errors.As(err, &refused): // by the server behind it
			return nil, dialError(err, addr)
		}
		b.drop()
		if !kept || ctx.Err() != nil {
			return nil, dialError(err, addr)
		}
	}
}

// login returns the connection to the bastion, and whether it was there before.
func (b *bastion) login(ctx context.Context) (client *ssh.Client, kept bool, failed *ConnectError) {
	b.mu.Lock()
	client = b.client
	b.mu.Unlock()
	if client != nil {
		return client, true, nil
	}
	if client, failed = b.connect(ctx); failed != nil {
		return nil, false, failed
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		client.Close()
		return nil, false, stageError(StageSetup, "closed meanwhile")
	}
	b.client = client
	return client, false, nil
}

// drop ends the connection, and with it all that goes through it. The next dial makes a new one.
func (b *bastion) drop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.client != nil {
		b.client.Close()
		b.client = nil
	}
}

// close is drop for good.
func (b *bastion) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.drop()
}

// connect logs in at the bastion. Its errors keep their stage in the text; for the caller all are StageBastion.
func (b *bastion) connect(ctx context.Context) (*ssh.Client, *ConnectError) {
	wrap := func(e *ConnectError) *ConnectError {
		return &ConnectError{Stage: StageBastion, Tried: e.Tried, Err: fmt.Errorf("bastion %s as %s: %w", b.addr, b.user, e.Err)}
	}
	dialing, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	raw, err := b.s.t.Dial(dialing, "tcp", b.addr)
	if err != nil {
		return nil, wrap(dialError(err, b.addr))
	}
	config := sshConfig(b.user, b.s.c.Ciphers, b.s.c.KeyExchangeAlgorithms)
	var h handshake
	h.verify(config, &b.pin)
	offered := b.signers
	if b.s.c.Bastion.AgentAuth {
		if fromAgent, err := b.s.agent.Signers(); err == nil {
			offered = append(offered[:len(offered):len(offered)], fromAgent...)
		}
	}
	var ask ssh.KeyboardInteractiveChallenge
	if !b.s.c.Bastion.Interactive {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, handshakeTimeout)
		defer cancel()
	} else { // a person takes the time a person takes, up to ssh_timeout
		ask = func(_, instruction string, questions []string, echos []bool) ([]string, error) {
			answers := make([]string, len(questions))
			for i, q := range questions {
				a, err := b.s.t.Ask(ctx, strings.TrimSpace(instruction+" "+q), echos[i])
				if err != nil {
					return nil, err
				}
				answers[i] = a
			}
			return answers, nil
		}
	}
	h.authenticate(config, offered, b.s.c.Bastion.Password, ask)
	client, failed := h.do(ctx, b.s.limited(raw), b.addr, config)
	if failed != nil {
		return nil, wrap(failed)
	}
	b.pin.set(h.hostKey)
	return client, nil
}

// dialThrough opens a connection from the far end of client. The library's own DialContext leaves the channel open
// when ctx ends first; ours closes it.
func dialThrough(ctx context.Context, client *ssh.Client, addr string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		conn, err := client.Dial("tcp", addr)
		done <- result{conn, err}
	}()
	select {
	case r := <-done:
		return r.conn, r.err
	case <-ctx.Done():
		go func() {
			if r := <-done; r.conn != nil {
				r.conn.Close()
			}
		}()
		return nil, context.Cause(ctx)
	}
}

// tunnel is one of ssh_local_tunnels or ssh_remote_tunnels.
type tunnel struct {
	remote    bool   // listens on the server
	listen    string // address to listen on
	dial      string // address to connect to at the other end
	asWritten string
}

// parseTunnel reads "[bind:]port:host:hostport".
func parseTunnel(text string, remote bool) (tunnel, error) {
	wrong := fmt.Errorf("%q is not of the form [bind_address:]port:host:hostport", text)
	var parts []string
	for rest := text; ; {
		var part string
		var found bool
		if strings.HasPrefix(rest, "[") {
			var ok bool
			if part, rest, ok = strings.Cut(rest[1:], "]"); !ok {
				return tunnel{}, wrong
			}
			rest, found = strings.CutPrefix(rest, ":")
		} else {
			part, rest, found = strings.Cut(rest, ":")
		}
		parts = append(parts, part)
		if !found {
			if rest != "" {
				return tunnel{}, wrong
			}
			break
		}
	}
	if len(parts) == 3 {
		parts = append([]string{"localhost"}, parts...)
	}
	if len(parts) != 4 || parts[2] == "" {
		return tunnel{}, wrong
	}
	if parts[0] == "" || parts[0] == "*" {
		parts[0] = "0.0.0.0"
	}
	for _, p := range []string{parts[1], parts[3]} {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 && p == parts[3] {
			return tunnel{}, wrong
		}
	}
	return tunnel{remote, net.JoinHostPort(parts[0], parts[1]), net.JoinHostPort(parts[2], parts[3]), text}, nil
}

// localTunnels are the listeners on this machine; they outlive a lost connection.
type localTunnels struct {
	mu        sync.Mutex
	listeners []net.Listener
}

func (l *localTunnels) start(s *sshComm, tunnels []tunnel) *ConnectError {
	for _, t := range tunnels {
		if t.remote {
			continue
		}
		listener, err := net.Listen("tcp", t.listen)
		if err != nil {
			return stageError(StageSetup, "ssh_local_tunnels %q: %w", t.asWritten, err)
		}
		l.mu.Lock()
		l.listeners = append(l.listeners, listener)
		l.mu.Unlock()
		go serveTunnel(listener, func() (net.Conn, error) {
			s.mu.Lock()
			conn := s.conn
			s.mu.Unlock()
			if conn == nil || !conn.alive() {
				return nil, errors.New("not connected")
			}
			ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
			defer cancel()
			return dialThrough(ctx, conn.client, t.dial)
		})
	}
	return nil
}

func (l *localTunnels) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, listener := range l.listeners {
		listener.Close()
	}
	l.listeners = nil
}

// startRemoteTunnels asks the server to listen; the listeners end with the connection.
func startRemoteTunnels(conn *sshConn, tunnels []tunnel) *ConnectError {
	for _, t := range tunnels {
		if !t.remote {
			continue
		}
		listener, err := conn.client.Listen("tcp", t.listen)
		if err != nil {
			return stageError(StageSetup, "ssh_remote_tunnels %q: the server does not listen for us: %w", t.asWritten, err)
		}
		go serveTunnel(listener, func() (net.Conn, error) { return net.DialTimeout("tcp", t.dial, dialTimeout) })
	}
	return nil
}

// serveTunnel joins every connection to the listener with a new one from dial, until the listener is closed.
func serveTunnel(l net.Listener, dial func() (net.Conn, error)) {
	for {
		near, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer near.Close()
			far, err := dial()
			if err != nil {
				return
			}
			defer far.Close()
			var wg sync.WaitGroup
			for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
				wg.Go(func() {
					io.Copy(way[0], way[1])
					if half, ok := way[0].(interface{ CloseWrite() error }); ok {
						half.CloseWrite()
					} else {
						way[0].Close()
					}
				})
			}
			wg.Wait()
		}()
	}
}
