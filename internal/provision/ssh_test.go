//go:build unix

package provision

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/ui"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

func TestSSHRunAndExitCodes(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := connect(t, s, config.Communicator{})
	if out, exit := runLine(t, c, "echo out; echo err >&2; exit 3"); exit != 3 || !strings.Contains(out, "out\n") || !strings.Contains(out, "err\n") {
		t.Errorf("got %q, %d", out, exit)
	}
	var out syncBuffer
	exit, err := c.Run(t.Context(), Command{Line: "tr a-z A-Z", Stdin: strings.NewReader("shout"), Stdout: &out})
	if err != nil || exit != 0 || out.String() != "SHOUT" {
		t.Errorf("got %q, %d, %v", out.String(), exit, err)
	}
	if _, exit := runLine(t, c, "kill -9 $$"); exit != 137 {
		t.Errorf("killed by signal 9: exit code %d", exit)
	}
}

func TestSSHLogins(t *testing.T) {
	t.Parallel()
	key, public := newKeyPEM(t)
	other, _ := newKeyPEM(t)
	takeKey := func(s *testServer) {
		s.config.PublicKeyCallback = func(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
			if sameKey(k, public) {
				return nil, nil
			}
			return nil, errors.New("no")
		}
	}
	questions := func(s *testServer) {
		s.config.PasswordCallback = nil
		s.config.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			answers, err := ask("", "", []string{"Password: "}, []bool{false})
			if err != nil || len(answers) != 1 || answers[0] != testPassword {
				return nil, errors.New("no")
			}
			return nil, nil
		}
	}
	keyFile := filepath.Join(t.TempDir(), "id")
	os.WriteFile(keyFile, key, 0o600)
	tests := []struct {
		name   string
		server func(*testServer)
		target func(*Target)
		comm   config.Communicator
		by     string // the login that worked
	}{
		{"password", func(*testServer) {}, func(*Target) {}, config.Communicator{}, "root password true"},
		{"run's key", takeKey, func(t *Target) { t.PrivateKey, t.Password = key, "" }, config.Communicator{}, "root publickey true"},
		{"wrong key, then password", takeKey, func(t *Target) { t.PrivateKey = other }, config.Communicator{}, "root password true"},
		{"key file of the template", takeKey, func(t *Target) { t.PrivateKey = other }, config.Communicator{PrivateKeyFile: keyFile}, "root publickey true"},
		{"questions", questions, func(*Target) {}, config.Communicator{}, "root keyboard-interactive true"},
		{"template's password wins", func(*testServer) {}, func(t *Target) { t.Password, t.User = "wrong", "nobody" },
			config.Communicator{Password: testPassword, Username: "root"}, "root password true"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := startServer(t, tt.server)
			target := s.target()
			tt.target(&target)
			if _, err := tryConnect(t, target, tt.comm); err != nil {
				t.Fatal(err)
			}
			logins := s.seen(&s.logins)
			if got := logins[len(logins)-1]; got != tt.by {
				t.Errorf("logged in by %q, want %q (all: %q)", got, tt.by, logins)
			}
		})
	}
}

func TestSSHCertificate(t *testing.T) {
	t.Parallel()
	authority := newSigner(t)
	key, public := newKeyPEM(t)
	cert := &ssh.Certificate{Key: public, CertType: ssh.UserCert, ValidPrincipals: []string{"root"}, ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(nil2rand{}, authority); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	os.WriteFile(dir+"/id", key, 0o600)
	os.WriteFile(dir+"/id-cert.pub", ssh.MarshalAuthorizedKey(cert), 0o600)
	os.WriteFile(dir+"/id.pub", ssh.MarshalAuthorizedKey(public), 0o600)
	s := startServer(t, func(s *testServer) {
		checker := ssh.CertChecker{IsUserAuthority: func(k ssh.PublicKey) bool { return sameKey(k, authority.PublicKey()) }}
		s.config.PublicKeyCallback = checker.Authenticate
		s.config.PasswordCallback = nil
	})
	target := s.target()
	target.Password = ""
	if _, err := tryConnect(t, target, config.Communicator{PrivateKeyFile: dir + "/id", CertificateFile: dir + "/id-cert.pub"}); err != nil {
		t.Fatal(err)
	}
	_, err := tryConnect(t, target, config.Communicator{PrivateKeyFile: dir + "/id", CertificateFile: dir + "/id.pub"})
	connectError(t, err, StageSetup, "not a certificate", "-cert.pub")
}

type nil2rand struct{}

func (nil2rand) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestSSHAgent(t *testing.T) {
	keyring := agent.NewKeyring()
	pemText, public := newKeyPEM(t)
	raw, err := ssh.ParseRawPrivateKey(pemText)
	if err != nil {
		t.Fatal(err)
	}
	if err := keyring.Add(agent.AddedKey{PrivateKey: raw}); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go agent.ServeAgent(keyring, c)
		}
	}()
	t.Setenv("SSH_AUTH_SOCK", socket)
	s := startServer(t, func(s *testServer) {
		s.config.PasswordCallback = nil
		s.config.PublicKeyCallback = func(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
			if sameKey(k, public) {
				return nil, nil
			}
			return nil, errors.New("no")
		}
	})
	target := s.target()
	target.Password = ""
	if _, err := tryConnect(t, target, config.Communicator{AgentAuth: true}); err != nil {
		t.Fatal(err)
	}
	os.Unsetenv("SSH_AUTH_SOCK")
	_, err = tryConnect(t, target, config.Communicator{AgentAuth: true})
	connectError(t, err, StageSetup, "SSH_AUTH_SOCK")
}

func TestSSHDiagnosis(t *testing.T) {
	t.Parallel()
	free, _ := net.Listen("tcp", "127.0.0.1:0")
	freePort := free.Addr().(*net.TCPAddr).Port
	free.Close()
	facts := Facts{OwnACG: true, SourceCIDRs: []string{"203.0.113.7/32"}, InitScript: true}
	var say func(string) func(*testServer) = func(text string) func(*testServer) {
		return func(s *testServer) {
			s.accept = func(c net.Conn) net.Conn {
				io.WriteString(c, text)
				bufio.NewReader(c).ReadString('\n')
				return nil
			}
		}
	}
	tests := []struct {
		name   string
		server func(*testServer)
		target func(*Target)
		comm   config.Communicator
		stage  Stage
		parts  []string
	}{
		{"no such name", nil, func(t *Target) { t.Host = "no-such-host.invalid" }, config.Communicator{}, StageResolve, []string{"no-such-host.invalid", "ssh_host"}},
		{"refused", nil, func(t *Target) { t.Port = freePort }, config.Communicator{}, StageRefused, []string{"nothing listens on port", "user_data may still be running"}},
		{"filtered", nil, func(t *Target) {
			t.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
			}
		}, config.Communicator{}, StageTimeout, []string{"nothing answers", "203.0.113.7/32", "source_cidrs"}},
		{"closed at once", func(s *testServer) { s.accept = func(net.Conn) net.Conn { return nil } }, nil, config.Communicator{}, StageReset, []string{"closes it at once"}},
		{"another service", say("HTTP/1.1 400 Bad Request\r\n\r\n"), nil, config.Communicator{}, StageBanner, []string{`begins with "HTTP/1.1 400 Bad Request"`}},
		{"no common cipher", func(s *testServer) { s.config.Ciphers = []string{ssh.CipherAES256CTR} }, nil,
			config.Communicator{Ciphers: []string{ssh.CipherAES128CTR}}, StageKex, []string{"no agreement with SSH-2.0-Go", "ssh_ciphers"}},
		{"wrong password", nil, func(t *Target) { t.Password = "guess-4711" }, config.Communicator{}, StageAuth, []string{"by password", `"root"`}},
		{"nothing to log in with", nil, func(t *Target) { t.Password = "" }, config.Communicator{}, StageSetup, []string{"neither a password nor a key"}},
		{"no sessions", func(s *testServer) { s.noSession = true }, nil, config.Communicator{}, StageSession, []string{"no sessions here"}},
		{"another user wanted", func(s *testServer) {
			s.exec = func(_ string, _ io.Reader, out, _ io.Writer) (int, bool) {
				io.WriteString(out, `Please login as the user "ubuntu" rather than the user "root".`+"\n")
				return 142, true
			}
		}, nil, config.Communicator{}, StageUser, []string{`"ubuntu"`, "ssh_username"}},
		{"passphrase", nil, nil, config.Communicator{PrivateKeyFile: passphraseKey(t)}, StageSetup, []string{"passphrase", "ssh_agent_auth"}},
		{"no key file", nil, nil, config.Communicator{PrivateKeyFile: "/no/such/key"}, StageSetup, []string{"ssh_private_key_file", "/no/such/key"}},
		{"bad tunnel", nil, nil, config.Communicator{LocalTunnels: []string{"80:host"}}, StageSetup, []string{"ssh_local_tunnels", "port:host:hostport"}},
		{"private address", nil, func(t *Target) {
			t.Facts.PrivateIP = true
			t.Dial = func(context.Context, string, string) (net.Conn, error) {
				return nil, errors.New("network is unreachable")
			}
		}, config.Communicator{}, StageRoute, []string{"ssh_bastion_host", "public IP"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			if tt.server != nil {
				s = startServer(t, tt.server)
			}
			target := s.target()
			target.Facts = facts
			if tt.target != nil {
				tt.target(&target)
			}
			err := attemptSSH(t, target, tt.comm, 30*time.Second)
			connectError(t, err, tt.stage, tt.parts...)
			if strings.Contains(err.Error(), testPassword) || strings.Contains(err.Error(), "guess-4711") {
				t.Errorf("the error shows a password: %v", err)
			}
		})
	}
}

// attemptSSH tries to connect once, and returns what Connect would when its time is up.
func attemptSSH(t *testing.T, target Target, c config.Communicator, d time.Duration) error {
	t.Helper()
	c.DisableAgentForwarding = true
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	s, failed := newSSH(c, target, (*ui.Story)(nil))
	if failed == nil {
		var conn *sshConn
		if conn, failed = s.attempt(ctx); failed == nil {
			conn.close()
			return nil
		}
	}
	return s.waiter().finish(failed)
}

func passphraseKey(t *testing.T) string {
	t.Helper()
	raw, err := ssh.ParseRawPrivateKey(func() []byte { p, _ := newKeyPEM(t); return p }())
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKeyWithPassphrase(raw, "", []byte("phrase"))
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "locked")
	os.WriteFile(name, pemBytes(block), 0o600)
	return name
}

func TestSSHSilentServer(t *testing.T) {
	t.Parallel()
	s := startServer(t, func(s *testServer) {
		s.accept = func(c net.Conn) net.Conn { io.Copy(io.Discard, c); return nil }
	})
	err := attemptSSH(t, s.target(), config.Communicator{}, 2*time.Second)
	connectError(t, err, StageBanner, "says nothing", "proxy")
}

// How long Connect goes on depends on why it fails.
func TestSSHGivesUp(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	target := s.target()
	target.Password = "guess-4711"
	_, err := tryConnect(t, target, config.Communicator{Timeout: time.Minute, HandshakeAttempts: 3})
	connectError(t, err, StageAuth, "(3 attempts")
	if n := len(s.seen(&s.logins)); n < 3 || n > 12 {
		t.Errorf("%d logins were tried: %q", n, s.seen(&s.logins))
	}
	target.Port = 1
	start := time.Now()
	_, err = tryConnect(t, target, config.Communicator{Timeout: 2 * time.Second, HandshakeAttempts: 1})
	connectError(t, err, StageRefused)
	if took := time.Since(start); took < 2*time.Second {
		t.Errorf("gave up after %s", took)
	}
}

func TestSSHWaitsUntilServerIsThere(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.stop()
	story, text := newStory(nil)
	go func() {
		time.Sleep(700 * time.Millisecond)
		s.listen(s.addr())
	}()
	c, err := Connect(t.Context(), config.Communicator{Timeout: 20 * time.Second, DisableAgentForwarding: true}, s.target(), story)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	for _, want := range []string{"Waiting for SSH on " + s.addr() + " as root (at most 20s)", "nothing listens on port", "connected to SSH"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the story lacks %q:\n%s", want, text)
		}
	}
}

func TestSSHConnectCancelled(t *testing.T) {
	t.Parallel()
	s := startServer(t, func(s *testServer) {
		s.accept = func(c net.Conn) net.Conn { io.Copy(io.Discard, c); return nil }
	})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(200*time.Millisecond, cancel)
	start := time.Now()
	_, err := Connect(ctx, config.Communicator{Timeout: time.Minute, DisableAgentForwarding: true}, s.target(), nil)
	if !errors.Is(err, context.Canceled) || time.Since(start) > 20*time.Second {
		t.Errorf("after %s: %v", time.Since(start), err)
	}
}

func TestSSHPauseBeforeConnecting(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	start := time.Now()
	connect(t, s, config.Communicator{PauseBeforeConnecting: 300 * time.Millisecond})
	if time.Since(start) < 300*time.Millisecond {
		t.Error("no pause")
	}
	if n := len(s.seen(&s.commands)); n != 2 {
		t.Errorf("%d connections, want one before the pause and one after", n)
	}
}

func TestSSHHostKeyPinned(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	target := s.target()
	target.Pin = &HostKeyPin{}
	if _, err := tryConnect(t, target, config.Communicator{}); err != nil {
		t.Fatal(err)
	}
	if text := target.Pin.line(); !strings.HasPrefix(text, "ssh-ed25519 ") {
		t.Fatalf("pinned: %q", text)
	}
	if _, err := tryConnect(t, target, config.Communicator{}); err != nil {
		t.Fatal(err)
	}
	impostor := startServer(t)
	target.Port = impostor.port()
	_, err := tryConnect(t, target, config.Communicator{})
	connectError(t, err, StageHostKey, "another host key", "SHA256:")
	if len(impostor.seen(&impostor.logins)) > 0 {
		t.Error("the password was shown to a server with another host key")
	}
	target.Pin = nil // a server rebuilt is another run
	if _, err := tryConnect(t, target, config.Communicator{}); err != nil {
		t.Fatal(err)
	}
}

func TestSSHReconnects(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := connect(t, s, config.Communicator{})
	s.cut()
	if out, _ := runLine(t, c, "echo again"); out != "again\n" {
		t.Errorf("got %q", out)
	}
	s.stop()
	_, err := c.Run(t.Context(), Command{Line: "true"})
	if !errors.Is(err, errConnection) {
		t.Errorf("got %v", err)
	}
	go func() {
		time.Sleep(300 * time.Millisecond)
		s.listen(s.addr())
	}()
	if err := c.Reconnect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out, _ := runLine(t, c, "echo back"); out != "back\n" {
		t.Errorf("got %q", out)
	}
	c.Close()
	if _, err := c.Run(t.Context(), Command{Line: "true"}); err == nil {
		t.Error("runs after Close")
	}
}

func TestSSHDisconnectWhileRunning(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := connect(t, s, config.Communicator{})
	mark := filepath.Join(t.TempDir(), "mark")
	whenThere(t, mark, s.cut)
	_, err := c.Run(t.Context(), Command{Line: "touch " + mark + "; sleep 5"})
	if !errors.Is(err, ErrDisconnected) || errors.Is(err, errConnection) {
		t.Errorf("got %v", err)
	}
}

func TestSSHCancelKillsCommand(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := connect(t, s, config.Communicator{})
	begun, mark := filepath.Join(t.TempDir(), "begun"), filepath.Join(t.TempDir(), "mark")
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	whenThere(t, begun, func() { cancel(why) })
	_, err := c.Run(ctx, Command{Line: "trap '' TERM; touch " + begun + "; sleep 2; touch " + mark})
	start := time.Now()
	if !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
	if got := s.seen(&s.signals); !slices.Equal(got, []string{"TERM", "KILL"}) {
		t.Errorf("signals: %q", got)
	}
	time.Sleep(3*time.Second - time.Since(start))
	if _, err := os.Stat(mark); err == nil {
		t.Error("the command went on")
	}
	if out, _ := runLine(t, c, "echo alive"); out != "alive\n" {
		t.Errorf("the connection is gone: %q", out)
	}
}

func TestSSHKeepAlive(t *testing.T) {
	t.Parallel()
	s := startServer(t, func(s *testServer) { s.config.PasswordCallback = acceptAll })
	c := connect(t, s, config.Communicator{KeepAliveInterval: 20 * time.Millisecond})
	time.Sleep(150 * time.Millisecond)
	if _, exit := runLine(t, c, "true"); exit != 0 {
		t.Error(exit)
	}
}

func acceptAll(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) { return nil, nil }

func TestSSHReadWriteTimeout(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := connect(t, s, config.Communicator{ReadWriteTimeout: 2 * time.Second, KeepAliveInterval: -1})
	_, err := c.Run(t.Context(), Command{Line: "sleep 15"})
	if !errors.Is(err, ErrDisconnected) {
		t.Errorf("got %v", err)
	}
}

func TestSSHPTY(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := connect(t, s, config.Communicator{PTY: true})
	runLine(t, c, "true")
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ptys != 1 {
		t.Errorf("%d terminals asked for", s.ptys)
	}
}

func TestSSHBastion(t *testing.T) {
	t.Parallel()
	key, public := newKeyPEM(t)
	keyName := filepath.Join(t.TempDir(), "id")
	os.WriteFile(keyName, key, 0o600)
	s := startServer(t)
	jump := startServer(t, func(s *testServer) {
		s.config.PasswordCallback = func(c ssh.ConnMetadata, p []byte) (*ssh.Permissions, error) {
			if c.User() == "jump" && string(p) == "jump-password" {
				return nil, nil
			}
			return nil, errors.New("no")
		}
		s.config.PublicKeyCallback = func(c ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
			if c.User() == "jump" && sameKey(k, public) {
				return nil, nil
			}
			return nil, errors.New("no")
		}
		s.config.KeyboardInteractiveCallback = func(c ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			a, err := ask("", "", []string{"Code:"}, []bool{true})
			if err != nil || len(a) != 1 || a[0] != "123456" {
				return nil, errors.New("no")
			}
			return nil, nil
		}
	})
	at := func(b config.Bastion) config.Communicator {
		b.Host, b.Port = "127.0.0.1", jump.port()
		b.Username = firstOf(b.Username, "jump")
		return config.Communicator{Bastion: b, Timeout: 20 * time.Second, HandshakeAttempts: 2}
	}
	for name, b := range map[string]config.Bastion{
		"password": {Password: "jump-password"}, "key": {PrivateKeyFile: keyName}, "interactive": {Interactive: true},
	} {
		t.Run(name, func(t *testing.T) {
			target := s.target()
			target.Ask = func(_ context.Context, q string, _ bool) (string, error) {
				if !strings.Contains(q, "Code:") {
					return "", fmt.Errorf("asked %q", q)
				}
				return "123456", nil
			}
			c, err := tryConnect(t, target, at(b))
			if err != nil {
				t.Fatal(err)
			}
			if out, _ := runLine(t, c, "echo through"); out != "through\n" {
				t.Errorf("got %q", out)
			}
		})
	}
	t.Run("asked once, and not hurried", func(t *testing.T) {
		target := s.target()
		asked := 0
		target.Ask = func(ctx context.Context, _ string, _ bool) (string, error) {
			asked++
			if end, ok := ctx.Deadline(); ok && time.Until(end) < 10*handshakeTimeout {
				t.Errorf("the person has %s to answer", time.Until(end))
			}
			return "123456", nil
		}
		comm := at(config.Bastion{Interactive: true})
		comm.Timeout = time.Hour
		c, err := Connect(t.Context(), comm, target, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.Reconnect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if asked != 1 {
			t.Errorf("asked %d times", asked)
		}
	})
	if got := jump.seen(&jump.forwards); len(got) != 5 || got[0] != s.addr() {
		t.Errorf("forwarded to %q", got)
	}
	_, err := tryConnect(t, s.target(), at(config.Bastion{Password: "wrong-one"}))
	connectError(t, err, StageBastion, "bastion "+jump.addr()+" as jump", "refuses the login")
	target := s.target()
	target.Port = 1
	err = attemptSSH(t, target, at(config.Bastion{Password: "jump-password"}), 30*time.Second)
	connectError(t, err, StageRefused, "nothing listens on port 1")
}

func TestSSHSocksProxy(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	asked := make(chan string, 10)
	go serveSocks(l, asked)
	port := l.Addr().(*net.TCPAddr).Port
	c, err := tryConnect(t, s.target(), config.Communicator{ProxyHost: "127.0.0.1", ProxyPort: port})
	if err != nil {
		t.Fatal(err)
	}
	if out, _ := runLine(t, c, "echo through"); out != "through\n" || <-asked != s.addr() {
		t.Errorf("got %q", out)
	}
	err = attemptSSH(t, s.target(), config.Communicator{ProxyHost: "127.0.0.1", ProxyPort: 1}, 30*time.Second)
	connectError(t, err, StageBastion, "SOCKS proxy", "ssh_proxy_host", "nothing listens")
}

// serveSocks is a SOCKS5 proxy without a login, for IPv4 addresses.
func serveSocks(l net.Listener, asked chan<- string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			b := make([]byte, 64)
			io.ReadFull(c, b[:2])
			io.ReadFull(c, b[:b[1]])
			c.Write([]byte{5, 0})
			io.ReadFull(c, b[:10])
			addr := fmt.Sprintf("%d.%d.%d.%d:%d", b[4], b[5], b[6], b[7], int(b[8])<<8|int(b[9]))
			asked <- addr
			far, err := net.Dial("tcp", addr)
			if err != nil {
				c.Close()
				return
			}
			c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
			join(c, far)
		}()
	}
}

func TestSSHTunnels(t *testing.T) {
	t.Parallel()
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(c, c); c.Close() }()
		}
	}()
	free := func() int {
		l, _ := net.Listen("tcp", "127.0.0.1:0")
		defer l.Close()
		return l.Addr().(*net.TCPAddr).Port
	}
	local, remote, echoPort := free(), free(), echo.Addr().(*net.TCPAddr).Port
	s := startServer(t)
	c := connect(t, s, config.Communicator{
		LocalTunnels:  []string{fmt.Sprintf("127.0.0.1:%d:127.0.0.1:%d", local, echoPort)},
		RemoteTunnels: []string{fmt.Sprintf("%d:127.0.0.1:%d", remote, echoPort)},
	})
	check := func(port int) {
		t.Helper()
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(5 * time.Second))
		fmt.Fprintln(conn, "hello")
		if line, err := bufio.NewReader(conn).ReadString('\n'); line != "hello\n" {
			t.Fatalf("got %q, %v", line, err)
		}
	}
	check(local)
	check(remote)
	s.cut()
	if err := c.Reconnect(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(local)
	check(remote)
}

func TestParseTunnel(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]string{
		"8080:web:80":            {"localhost:8080", "web:80"},
		"0.0.0.0:8080:web:80":    {"0.0.0.0:8080", "web:80"},
		"*:1:[fe80::1]:2":        {"0.0.0.0:1", "[fe80::1]:2"},
		"[::1]:1:10.0.0.1:65535": {"[::1]:1", "10.0.0.1:65535"},
	} {
		got, err := parseTunnel(text, false)
		if err != nil || got.listen != want[0] || got.dial != want[1] {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "80", "80:web", "x:web:80", "1:2:3:4:5", "80:web:99999", "80::80", "[::1:80:web:80", "80:web:0"} {
		if got, err := parseTunnel(text, false); err == nil {
			t.Errorf("%s is taken as %+v", text, got)
		}
	}
}
