//go:build unix

package provision

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/redact"
	"github.com/tfbake/tfbake/internal/ui"
	"golang.org/x/crypto/ssh"
)

// Most of the tests wait for timeouts and reboots rather than work, so more of them run at a time than there are processors.
func TestMain(m *testing.M) {
	if os.Getenv(sftpServerEnv) != "" {
		server, err := sftp.NewServer(struct {
			io.Reader
			io.WriteCloser
		}{os.Stdin, os.Stdout})
		if err == nil {
			server.Serve()
		}
		os.Exit(0)
	}
	flag.Parse()
	flag.Set("test.parallel", "16")
	os.Exit(m.Run())
}

// sftpServerEnv makes the test binary an SFTP server on its standard input and output.
const sftpServerEnv = "TFBAKE_TEST_SFTP_SERVER"

const testPassword = "root-password-7"

// testServer is an SSH server that runs commands with this machine's /bin/sh. Its knobs make it misbehave.
type testServer struct {
	t        *testing.T
	listener net.Listener
	config   *ssh.ServerConfig

	noSFTP, noSession bool
	exec              func(line string, stdin io.Reader, stdout, stderr io.Writer) (exit int, taken bool)
	accept            func(net.Conn) net.Conn // nil result: the connection was dealt with

	mu       sync.Mutex
	at       *net.TCPAddr
	conns    map[net.Conn]bool
	logins   []string
	commands []string
	signals  []string
	forwards []string
	ptys     int
	sizes    []string // of terminals, as they are asked for and changed
}

func newSigner(t *testing.T) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func pemBytes(b *pem.Block) []byte { return pem.EncodeToMemory(b) }

func newKeyPEM(t *testing.T) ([]byte, ssh.PublicKey) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block), s.PublicKey()
}

func startServer(t *testing.T, configure ...func(*testServer)) *testServer {
	t.Helper()
	s := &testServer{t: t, conns: map[net.Conn]bool{}}
	s.config = &ssh.ServerConfig{
		PasswordCallback: func(c ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			if c.User() == "root" && string(password) == testPassword {
				return nil, nil
			}
			return nil, errors.New("no")
		},
		AuthLogCallback: func(c ssh.ConnMetadata, method string, err error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.logins = append(s.logins, fmt.Sprintf("%s %s %t", c.User(), method, err == nil))
		},
	}
	s.config.AddHostKey(newSigner(t))
	for _, f := range configure {
		f(s)
	}
	s.listen("127.0.0.1:0")
	t.Cleanup(s.stop)
	return s
}

func (s *testServer) listen(addr string) {
	var l net.Listener
	var err error
	for range 250 {
		if l, err = net.Listen("tcp", addr); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		s.t.Error(err)
		return
	}
	s.mu.Lock()
	s.listener, s.at = l, l.Addr().(*net.TCPAddr)
	s.mu.Unlock()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns[conn] = true
			s.mu.Unlock()
			go s.serve(conn)
		}
	}()
}

// stop closes the listener and every connection, as a machine does that goes down.
func (s *testServer) stop() {
	s.mu.Lock()
	s.listener.Close()
	s.mu.Unlock()
	s.cut()
}

// cut closes every connection.
func (s *testServer) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
	clear(s.conns)
}

func (s *testServer) addr() string { return fmt.Sprintf("127.0.0.1:%d", s.port()) }

func (s *testServer) port() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at.Port
}

func (s *testServer) target() Target {
	return Target{Host: "127.0.0.1", Port: s.port(), User: "root", Password: testPassword}
}

func (s *testServer) note(list *[]string, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*list = append(*list, what)
}

func (s *testServer) seen(list *[]string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(*list)
}

func (s *testServer) serve(conn net.Conn) {
	defer conn.Close()
	if s.accept != nil {
		if conn = s.accept(conn); conn == nil {
			return
		}
	}
	sc, channels, requests, err := ssh.NewServerConn(conn, s.config)
	if err != nil {
		return
	}
	go s.serveGlobal(sc, requests)
	for c := range channels {
		switch c.ChannelType() {
		case "session":
			if s.noSession {
				c.Reject(ssh.ResourceShortage, "no sessions here")
				continue
			}
			ch, reqs, err := c.Accept()
			if err == nil {
				go s.serveSession(ch, reqs)
			}
		case "direct-tcpip":
			go s.serveForward(c)
		default:
			c.Reject(ssh.UnknownChannelType, "unknown")
		}
	}
}

func (s *testServer) serveGlobal(sc *ssh.ServerConn, requests <-chan *ssh.Request) {
	for r := range requests {
		if r.Type != "tcpip-forward" {
			r.Reply(r.Type == "keepalive@openssh.com", nil)
			continue
		}
		var want struct {
			Addr string
			Port uint32
		}
		ssh.Unmarshal(r.Payload, &want)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", want.Port))
		if err != nil {
			r.Reply(false, nil)
			continue
		}
		s.note(&s.forwards, "listen "+l.Addr().String())
		r.Reply(true, ssh.Marshal(struct{ Port uint32 }{uint32(l.Addr().(*net.TCPAddr).Port)}))
		go func() { sc.Wait(); l.Close() }()
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				ch, reqs, err := sc.OpenChannel("forwarded-tcpip", ssh.Marshal(struct {
					Addr       string
					Port       uint32
					OriginAddr string
					OriginPort uint32
				}{want.Addr, want.Port, "127.0.0.1", 1}))
				if err != nil {
					conn.Close()
					continue
				}
				go ssh.DiscardRequests(reqs)
				go join(conn, ch)
			}
		}()
	}
}

func join(a, b io.ReadWriteCloser) {
	go func() { io.Copy(a, b); a.Close() }()
	io.Copy(b, a)
	b.Close()
}

func (s *testServer) serveForward(c ssh.NewChannel) {
	var want struct {
		Host       string
		Port       uint32
		OriginHost string
		OriginPort uint32
	}
	ssh.Unmarshal(c.ExtraData(), &want)
	addr := net.JoinHostPort(want.Host, fmt.Sprint(want.Port))
	s.note(&s.forwards, addr)
	far, err := net.Dial("tcp", addr)
	if err != nil {
		c.Reject(ssh.ConnectionFailed, "Connection refused")
		return
	}
	ch, reqs, err := c.Accept()
	if err != nil {
		far.Close()
		return
	}
	go ssh.DiscardRequests(reqs)
	join(far, ch)
}

func (s *testServer) serveSession(ch ssh.Channel, requests <-chan *ssh.Request) {
	defer ch.Close()
	var running *exec.Cmd
	done := make(chan struct{})
	finish := func(exit int) {
		ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(exit)}))
		ch.Close()
	}
	for r := range requests {
		switch r.Type {
		case "exec":
			var cmd struct{ Line string }
			ssh.Unmarshal(r.Payload, &cmd)
			s.note(&s.commands, cmd.Line)
			if s.exec != nil {
				r.Reply(true, nil)
				go func() {
					exit, taken := s.exec(cmd.Line, ch, ch, ch.Stderr())
					if taken {
						finish(exit)
						return
					}
					finish(runShell(cmd.Line, ch, nil))
				}()
				continue
			}
			r.Reply(true, nil)
			started := make(chan *exec.Cmd, 1)
			go func() { finish(runShell(cmd.Line, ch, started)); close(done) }()
			running = <-started
		case "subsystem":
			if s.noSFTP {
				r.Reply(false, nil)
				continue
			}
			r.Reply(true, nil)
			go func() {
				// A process of its own: a file open for writing in this one would be inherited by a command that another
				// test starts, and then nobody could run it (ETXTBSY).
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), sftpServerEnv+"=1")
				finish(runCommand(cmd, ch, nil))
			}()
		case "signal":
			var sig struct{ Name string }
			ssh.Unmarshal(r.Payload, &sig)
			s.note(&s.signals, sig.Name)
			if running != nil && running.Process != nil {
				n := map[string]syscall.Signal{"TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL}[sig.Name]
				syscall.Kill(-running.Process.Pid, n)
			}
		case "pty-req":
			s.mu.Lock()
			s.ptys++
			s.mu.Unlock()
			var asked struct {
				Kind          string
				Columns, Rows uint32
				Width, Height uint32
				Modes         string
			}
			ssh.Unmarshal(r.Payload, &asked)
			s.note(&s.sizes, fmt.Sprintf("%s %dx%d", asked.Kind, asked.Columns, asked.Rows))
			r.Reply(true, nil)
		case "window-change":
			var now struct{ Columns, Rows, Width, Height uint32 }
			ssh.Unmarshal(r.Payload, &now)
			s.note(&s.sizes, fmt.Sprintf("%dx%d", now.Columns, now.Rows))
		case "shell":
			r.Reply(true, nil)
			go func() { finish(runCommand(exec.Command("/bin/sh"), ch, nil)) }()
		default:
			r.Reply(false, nil)
		}
	}
}

func runShell(line string, ch ssh.Channel, started chan<- *exec.Cmd) int {
	return runCommand(exec.Command("/bin/sh", "-c", line), ch, started)
}

func runCommand(cmd *exec.Cmd, ch ssh.Channel, started chan<- *exec.Cmd) int {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stdout, cmd.Stderr = ch, ch.Stderr()
	stdin, _ := cmd.StdinPipe()
	err := cmd.Start()
	if started != nil {
		started <- cmd
	}
	if err != nil {
		return 255
	}
	go func() { io.Copy(stdin, ch); stdin.Close() }()
	cmd.Wait()
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return cmd.ProcessState.ExitCode()
}

// syncBuffer is a bytes.Buffer for several goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func newStory(r *redact.Redactor) (*ui.Story, *syncBuffer) {
	var b syncBuffer
	return ui.New(&b, r, ui.Options{}), &b
}

// connect connects with the test's defaults and closes at its end.
func connect(t *testing.T, s *testServer, c config.Communicator) Communicator {
	t.Helper()
	comm, err := tryConnect(t, s.target(), c)
	if err != nil {
		t.Fatal(err)
	}
	return comm
}

func tryConnect(t *testing.T, target Target, c config.Communicator) (Communicator, error) {
	t.Helper()
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	c.DisableAgentForwarding = true
	comm, err := Connect(t.Context(), c, target, nil)
	if err == nil {
		t.Cleanup(func() { comm.Close() })
	}
	return comm, err
}

// connectError fails unless err is a *ConnectError of the stage whose text holds every one of parts.
func connectError(t *testing.T, err error, stage Stage, parts ...string) {
	t.Helper()
	var e *ConnectError
	if !errors.As(err, &e) {
		t.Fatalf("got %v, not a ConnectError", err)
	}
	if e.Stage != stage {
		t.Errorf("stage is %q, want %q: %v", e.Stage, stage, err)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error lacks %q: %v", p, err)
		}
	}
}

func runLine(t *testing.T, c Communicator, line string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var out syncBuffer
	exit, err := c.Run(ctx, Command{Line: line, Stdout: &out, Stderr: &out})
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return out.String(), exit
}

// whenThere calls do once the file name is there and not being made anew.
func whenThere(t *testing.T, name string, do func()) {
	go func() {
		for t.Context().Err() == nil {
			if _, err := os.Stat(name); err == nil {
				do()
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
}
