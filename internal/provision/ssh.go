package provision

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/ui"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/net/proxy"
)

const (
	dialTimeout      = 15 * time.Second // for one TCP connection
	handshakeTimeout = 30 * time.Second // from the connection to a usable session
	sshTimeout       = 5 * time.Minute  // ssh_timeout unless set
	keepAliveEvery   = 5 * time.Second  // ssh_keep_alive_interval unless set
	keepAliveGiveUp  = time.Minute      // a server that answers nothing for so long is gone
)

// sshComm is a Communicator over SSH. It holds at most one connection and makes a new one when that is lost.
type sshComm struct {
	c    config.Communicator
	t    Target
	log  Log
	addr string
	user string

	signers []ssh.Signer // explicit keys, in the order they are offered
	agent   *sshAgent    // nil: none is used
	bastion *bastion     // nil: none
	tunnels []tunnel
	locals  localTunnels

	mu     sync.Mutex
	conn   *sshConn // nil: not connected
	closed bool
	fresh  map[string]bool // uploads of directories that make their destination
}

// sshConn is one connection.
type sshConn struct {
	client  *ssh.Client
	ended   chan struct{} // closed when the connection is gone
	forward bool          // the server takes agent forwarding
	running atomic.Int32  // commands, transfers not counted
}

func (c *sshConn) close() {
	c.client.Close()
}

func (c *sshConn) alive() bool {
	select {
	case <-c.ended:
		return false
	default:
		return true
	}
}

func connectSSH(ctx context.Context, c config.Communicator, t Target, log Log) (Communicator, error) {
	if log == nil {
		log = (*ui.Story)(nil)
	}
	s, failed := newSSH(c, t, log)
	if failed != nil {
		return nil, s.waiter().finish(failed)
	}
	log.Say("Waiting for SSH on %s as %s (at most %s)...", s.addr, s.user, s.waiter().timeout)
	if err := s.connect(ctx); err != nil {
		s.Close()
		return nil, err
	}
	if c.PauseBeforeConnecting > 0 {
		// As Packer does: see that the server is there, leave it alone for a while, then begin.
		log.Info("connected; pause_before_connecting: leaving the server alone for %s", c.PauseBeforeConnecting)
		s.drop(nil)
		if err := sleep(ctx, c.PauseBeforeConnecting); err != nil {
			s.Close()
			return nil, fmt.Errorf("pause before connecting: %w", err)
		}
		if err := s.connect(ctx); err != nil {
			s.Close()
			return nil, err
		}
	}
	if failed := s.locals.start(s, s.tunnels); failed != nil {
		s.Close()
		return nil, s.waiter().finish(failed)
	}
	log.Info("connected to SSH")
	return s, nil
}

// newSSH checks all that needs no network. The sshComm is never nil, so that an error can be told.
func newSSH(c config.Communicator, t Target, log Log) (*sshComm, *ConnectError) {
	s := &sshComm{c: c, t: t, log: log}
	host := firstOf(c.Host, t.Host)
	port := c.Port
	if port == 0 {
		port = t.Port
	}
	if port == 0 {
		port = 22
	}
	s.c.Port = port
	s.addr = net.JoinHostPort(host, strconv.Itoa(port))
	s.user = firstOf(c.Username, t.User, "root")
	s.c.Password = firstOf(c.Password, t.Password)
	if s.t.Pin == nil {
		s.t.Pin = &HostKeyPin{}
	}
	if s.t.Dial == nil {
		s.t.Dial = (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext
	}
	if host == "" {
		return s, stageError(StageSetup, "the server has no address")
	}

	if c.PrivateKeyFile != "" {
		signer, err := keyFile(c.PrivateKeyFile, "ssh_private_key_file", c.CertificateFile)
		if err != nil {
			return s, stageError(StageSetup, "%w", err)
		}
		s.signers = append(s.signers, signer)
	}
	if len(t.PrivateKey) > 0 {
		signer, err := ssh.ParsePrivateKey(t.PrivateKey)
		if err != nil {
			return s, stageError(StageSetup, "read the run's private key: %w", err)
		}
		s.signers = append(s.signers, signer)
	}
	if c.AgentAuth || c.Bastion.AgentAuth || !c.DisableAgentForwarding {
		a, err := dialAgent()
		if err != nil && (c.AgentAuth || c.Bastion.AgentAuth) {
			return s, stageError(StageSetup, "ssh_agent_auth: %w", err)
		}
		s.agent = a
	}
	if len(s.signers) == 0 && s.c.Password == "" && !c.AgentAuth {
		return s, stageError(StageSetup, "there is neither a password nor a key to log in with; set ssh_password, ssh_private_key_file or ssh_agent_auth")
	}
	switch c.FileTransferMethod {
	case "", "sftp", "scp":
	default:
		return s, stageError(StageSetup, "ssh_file_transfer_method is %q; it can be sftp or scp", c.FileTransferMethod)
	}
	for _, l := range []struct {
		key    string
		list   []string
		remote bool
	}{{"ssh_local_tunnels", c.LocalTunnels, false}, {"ssh_remote_tunnels", c.RemoteTunnels, true}} {
		for _, text := range l.list {
			tun, err := parseTunnel(text, l.remote)
			if err != nil {
				return s, stageError(StageSetup, "%s: %w", l.key, err)
			}
			s.tunnels = append(s.tunnels, tun)
		}
	}
	if c.Bastion.Host != "" {
		b, err := newBastion(s)
		if err != nil {
			return s, stageError(StageSetup, "%w", err)
		}
		s.bastion = b
	}
	return s, nil
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func (s *sshComm) waiter() waiter {
	w := waiter{protocol: "SSH", addr: s.addr, user: s.user, timeout: s.c.Timeout, handshakes: s.c.HandshakeAttempts, log: s.log}
	if w.timeout <= 0 {
		w.timeout = sshTimeout
	}
	if w.handshakes <= 0 {
		w.handshakes = 10
	}
	w.hint = func(e *ConnectError) []string { return hints(e, s.c.Port, s.t.Facts) }
	return w
}

// connect waits until there is a connection.
func (s *sshComm) connect(ctx context.Context) error {
	return s.waiter().until(ctx, func(ctx context.Context) *ConnectError {
		conn, failed := s.attempt(ctx)
		if failed != nil {
			return failed
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.closed {
			conn.close()
			return stageError(StageSetup, "closed meanwhile")
		}
		s.conn = conn
		return nil
	})
}

// attempt tries once, from TCP to a command that runs.
func (s *sshComm) attempt(ctx context.Context) (*sshConn, *ConnectError) {
	raw, failed := s.dial(ctx)
	if failed != nil {
		return nil, failed
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()

	var h handshake
	client, failed := h.do(ctx, raw, s.addr, s.clientConfig(&h))
	if failed != nil {
		return nil, failed
	}
	conn := &sshConn{client: client, ended: make(chan struct{})}
	go func() {
		client.Wait()
		close(conn.ended)
	}()
	if s.agent != nil && !s.c.DisableAgentForwarding {
		conn.forward = agent.ForwardToAgent(client, s.agent.Agent) == nil
	}
	if failed := s.probe(ctx, conn); failed != nil {
		conn.close()
		return nil, failed
	}
	if h.hostKey != nil {
		s.t.Pin.set(h.hostKey) // it let us in: this is the server
	}
	go s.keepAlive(conn)
	if failed := startRemoteTunnels(conn, s.tunnels); failed != nil {
		conn.close()
		return nil, failed
	}
	return conn, nil
}

// dial opens the way to the server's port: directly, through a bastion, or through a SOCKS5 proxy.
func (s *sshComm) dial(ctx context.Context) (net.Conn, *ConnectError) {
	if s.bastion != nil {
		return s.bastion.dial(ctx, s.addr)
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if s.c.ProxyHost != "" {
		return s.dialProxy(ctx)
	}
	conn, err := s.t.Dial(ctx, "tcp", s.addr)
	if err != nil {
		return nil, dialError(err, s.addr)
	}
	return s.limited(conn), nil
}

func (s *sshComm) dialProxy(ctx context.Context) (net.Conn, *ConnectError) {
	port := s.c.ProxyPort
	if port == 0 {
		port = 1080
	}
	addr := net.JoinHostPort(s.c.ProxyHost, strconv.Itoa(port))
	var auth *proxy.Auth
	if s.c.ProxyUsername != "" {
		auth = &proxy.Auth{User: s.c.ProxyUsername, Password: s.c.ProxyPassword}
	}
	reached := &reachDialer{dial: s.t.Dial}
	d, err := proxy.SOCKS5("tcp", addr, auth, reached)
	if err != nil {
		return nil, stageError(StageSetup, "ssh_proxy_host: %w", err)
	}
	conn, err := d.(proxy.ContextDialer).DialContext(ctx, "tcp", s.addr)
	if err == nil {
		return s.limited(conn), nil
	}
	if !reached.ok {
		return nil, stageError(StageBastion, "the SOCKS proxy %s (ssh_proxy_host): %w", addr, dialError(err, addr).Err)
	}
	return nil, stageError(StageBastion, "the SOCKS proxy %s does not get through to %s: %w", addr, s.addr, err)
}

// reachDialer notes whether the proxy itself was reached.
type reachDialer struct {
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
	ok   bool
}

func (d *reachDialer) Dial(network, addr string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, addr)
}

func (d *reachDialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := d.dial(ctx, network, addr)
	d.ok = err == nil
	return conn, err
}

// limited applies ssh_read_write_timeout.
func (s *sshComm) limited(conn net.Conn) net.Conn {
	if s.c.ReadWriteTimeout <= 0 {
		return conn
	}
	return &limitedConn{Conn: conn, d: s.c.ReadWriteTimeout}
}

// limitedConn fails a read or write that takes longer than d.
type limitedConn struct {
	net.Conn
	d time.Duration
}

func (c *limitedConn) Read(p []byte) (int, error) {
	if err := c.Conn.SetReadDeadline(time.Now().Add(c.d)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c *limitedConn) Write(p []byte) (int, error) {
	if err := c.Conn.SetWriteDeadline(time.Now().Add(c.d)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

func (s *sshComm) clientConfig(h *handshake) *ssh.ClientConfig {
	c := sshConfig(s.user, s.c.Ciphers, s.c.KeyExchangeAlgorithms)
	h.verify(c, s.t.Pin)
	offered := s.signers
	if s.c.AgentAuth {
		if fromAgent, err := s.agent.Signers(); err == nil {
			offered = append(slices.Clip(offered), fromAgent...)
		}
	}
	h.authenticate(c, offered, s.c.Password, nil)
	return c
}

// sshConfig offers what the library thinks sound, and at the end what CentOS 6 needs.
func sshConfig(user string, ciphers, kex []string) *ssh.ClientConfig {
	a := ssh.SupportedAlgorithms()
	c := &ssh.ClientConfig{User: user, HostKeyAlgorithms: append(a.HostKeys, ssh.KeyAlgoRSA)}
	c.Ciphers = append(a.Ciphers, ssh.InsecureCipherAES128CBC)
	c.KeyExchanges = append(a.KeyExchanges, ssh.InsecureKeyExchangeDH14SHA1)
	c.MACs = append(a.MACs, ssh.HMACSHA1)
	if len(ciphers) > 0 {
		c.Ciphers = ciphers
	}
	if len(kex) > 0 {
		c.KeyExchanges = kex
	}
	return c
}

// handshake is one SSH handshake and what was seen of it.
type handshake struct {
	tried    []string // ways to log in
	hostKey  ssh.PublicKey
	mismatch error
	expired  bool // the server asked for a new password
}

// verify makes c take the pinned host key only, and ask for its kind first.
func (h *handshake) verify(c *ssh.ClientConfig, pin *HostKeyPin) {
	pinned := pin.get()
	if pinned != nil {
		first := []string{pinned.Type()}
		if pinned.Type() == ssh.KeyAlgoRSA {
			first = []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSA}
		}
		c.HostKeyAlgorithms = append(first, slices.DeleteFunc(c.HostKeyAlgorithms, func(a string) bool { return slices.Contains(first, a) })...)
	}
	c.HostKeyCallback = func(_ string, _ net.Addr, key ssh.PublicKey) error {
		h.hostKey = key
		if pinned != nil && !sameKey(pinned, key) {
			h.mismatch = fmt.Errorf("the server shows another host key (%s %s) than when it first let us in (%s %s)",
				key.Type(), ssh.FingerprintSHA256(key), pinned.Type(), ssh.FingerprintSHA256(pinned))
			return h.mismatch
		}
		return nil
	}
}

// authenticate sets the ways to log in: keys, the password, and the password as the answer to questions, or a person's
// answers where ask is given. They are noted as they are tried.
func (h *handshake) authenticate(c *ssh.ClientConfig, signers []ssh.Signer, password string, ask ssh.KeyboardInteractiveChallenge) {
	note := func(way string) {
		if !slices.Contains(h.tried, way) {
			h.tried = append(h.tried, way)
		}
	}
	if len(signers) > 0 {
		c.Auth = append(c.Auth, ssh.PublicKeysCallback(func() ([]ssh.Signer, error) {
			for _, s := range signers {
				note(fmt.Sprintf("key %s %s", s.PublicKey().Type(), ssh.FingerprintSHA256(s.PublicKey())))
			}
			return signers, nil
		}))
	}
	if password != "" {
		c.Auth = append(c.Auth, ssh.PasswordCallback(func() (string, error) {
			note("password")
			return password, nil
		}))
	}
	switch {
	case ask != nil:
		c.Auth = append(c.Auth, ssh.KeyboardInteractive(func(name, instruction string, questions []string, echos []bool) ([]string, error) {
			note("keyboard-interactive")
			return ask(name, instruction, questions, echos)
		}))
	case password != "":
		c.Auth = append(c.Auth, ssh.KeyboardInteractive(func(_, instruction string, questions []string, _ []bool) ([]string, error) {
			note("keyboard-interactive")
			answers := make([]string, len(questions))
			for i, q := range questions {
				if strings.Contains(strings.ToLower(q+instruction), "new password") {
					h.expired = true
					return nil, errors.New("the server wants a new password to be set")
				}
				answers[i] = password
			}
			return answers, nil
		}))
	}
}

// do runs the handshake on raw, which it closes when it fails or ctx ends meanwhile.
func (h *handshake) do(ctx context.Context, raw net.Conn, addr string, c *ssh.ClientConfig) (*ssh.Client, *ConnectError) {
	seen := &seenConn{Conn: raw}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	conn, channels, requests, err := ssh.NewClientConn(seen, addr, c)
	if !stop() && err == nil {
		conn.Close()
		err = context.Cause(ctx)
	}
	if err == nil {
		return ssh.NewClient(conn, channels, requests), nil
	}
	raw.Close()
	return nil, h.diagnose(ctx, err, addr, c.User, seen.start())
}

// diagnose tells what a failed handshake means, from the error and the first bytes the server sent.
func (h *handshake) diagnose(ctx context.Context, err error, addr, user string, start []byte) *ConnectError {
	text := strings.TrimPrefix(err.Error(), "ssh: handshake failed: ")
	var disagree *ssh.AlgorithmNegotiationError
	line, _, _ := bytes.Cut(start, []byte("\n"))
	banner := strings.TrimSpace(string(line))
	switch {
	case h.mismatch != nil:
		return stageError(StageHostKey, "%w", h.mismatch)
	case h.expired:
		e := stageError(StageAuth, "the server says that the password has expired and must be changed at the first login: %w", err)
		e.Tried = h.tried
		return e
	case len(start) == 0 && ctx.Err() != nil:
		return stageError(StageBanner, "%s takes the connection but says nothing: no SSH banner comes", addr)
	case len(start) == 0:
		return stageError(StageReset, "%s takes the connection and closes it at once: %s", addr, text)
	case !bytes.Contains(start, []byte("SSH-")):
		return stageError(StageBanner, "%s answers, but not with SSH: it begins with %q", addr, clip(banner, 60))
	case errors.As(err, &disagree):
		return stageError(StageKex, "no agreement with %s: %s", banner, text)
	case strings.Contains(text, "unable to authenticate"), strings.Contains(strings.ToLower(text), "too many authentication failures"):
		e := stageError(StageAuth, "%s refuses the login of %s by %s", banner, user, orNone(h.tried))
		e.Tried = h.tried
		return e
	case ctx.Err() != nil:
		return stageError(StageKex, "the handshake with %s does not come to an end", banner)
	case len(h.tried) > 0:
		e := stageError(StageAuth, "%s broke the connection off while we logged in by %s: %s", banner, orNone(h.tried), text)
		e.Tried = h.tried
		return e
	}
	return stageError(StageKex, "the handshake with %s broke off: %s", banner, text)
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}

// seenConn keeps the first bytes that came.
type seenConn struct {
	net.Conn
	mu    sync.Mutex
	first []byte
}

func (c *seenConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	if room := 512 - len(c.first); room > 0 {
		c.first = append(c.first, p[:min(n, room)]...)
	}
	c.mu.Unlock()
	return n, err
}

func (c *seenConn) start() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.first
}
