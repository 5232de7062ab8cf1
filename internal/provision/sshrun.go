package provision

// What is done over an SSH connection: keep it, run commands.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// probe runs the smallest command there is, which sh, cmd.exe and PowerShell all know: a server may let a user in only
// to say that it wants another one, or take connections while it is not ready to run anything.
func (s *sshComm) probe(ctx context.Context, conn *sshConn) *ConnectError {
	sess, err := newSession(ctx, conn.client)
	if err != nil {
		return stageError(StageSession, "logged in, but the server opens no session: %w", err)
	}
	defer sess.Close()
	stop := context.AfterFunc(ctx, func() { conn.close() })
	defer stop()
	var out limitedBuffer
	sess.Stdout, sess.Stderr = &out, &out
	err = sess.Run("exit 0")
	var exit *ssh.ExitError
	said := out.String()
	switch {
	case ctx.Err() != nil:
		return stageError(StageSession, "logged in, but a command (exit 0) does not come to an end")
	case errors.As(err, &exit) && strings.Contains(strings.ToLower(said), "please login as"):
		return stageError(StageUser, "the server lets %s in only to say: %s", s.user, said)
	case errors.As(err, &exit), err == nil:
		return nil // an odd shell is the provisioners' business
	}
	return stageError(StageSession, "logged in, but no command can be run: %w", err)
}

// limitedBuffer keeps the first 1,000 bytes of what is written to it, from whichever goroutine.
type limitedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if room := 1000 - b.b.Len(); room > 0 {
		b.b.Write(p[:min(len(p), room)])
	}
	return len(p), nil
}

func (b *limitedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.TrimSpace(b.b.String())
}

// newSession opens a session; a connection that is silently gone would let the library wait for ever.
func newSession(ctx context.Context, client *ssh.Client) (*ssh.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	type result struct {
		sess *ssh.Session
		err  error
	}
	done := make(chan result, 1)
	go func() {
		sess, err := client.NewSession()
		done <- result{sess, err}
	}()
	select {
	case r := <-done:
		return r.sess, r.err
	case <-ctx.Done():
		client.Close()
		return nil, context.Cause(ctx)
	}
}

// keepAlive asks the server for a sign of life now and then, and closes a connection that gives none.
func (s *sshComm) keepAlive(conn *sshConn) {
	every := s.c.KeepAliveInterval
	if every < 0 {
		return
	}
	if every == 0 {
		every = keepAliveEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	giveUp := max(keepAliveGiveUp, 3*every)
	for {
		select {
		case <-conn.ended:
			return
		case <-tick.C:
		}
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			conn.client.SendRequest("keepalive@openssh.com", true, nil)
		}()
		t := time.NewTimer(giveUp)
		select {
		case <-conn.ended:
		case <-answered:
		case <-t.C:
			if s.bastion != nil {
				s.bastion.drop() // first: a goodbye through a dead connection would not get out
			}
			conn.close()
		}
		t.Stop()
	}
}

// open returns a session, on a new connection when the old one is lost.
func (s *sshComm) open(ctx context.Context) (*ssh.Session, *sshConn, error) {
	s.mu.Lock()
	conn, closed := s.conn, s.closed
	s.mu.Unlock()
	if closed {
		return nil, nil, errors.New("the SSH connection is closed")
	}
	if conn != nil && conn.alive() {
		sess, err := newSession(ctx, conn.client)
		if err == nil {
			return sess, conn, nil
		}
		var refused *ssh.OpenChannelError
		if ctx.Err() != nil || errors.As(err, &refused) && conn.alive() {
			return nil, nil, fmt.Errorf("%w: open a session: %w", errConnection, err)
		}
	}
	s.drop(conn)
	conn, failed := s.attempt(ctx)
	if failed != nil {
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		if final(failed.Stage) {
			return nil, nil, fmt.Errorf("reconnect to %s: %w", s.addr, failed.Err)
		}
		return nil, nil, fmt.Errorf("%w: %w", errConnection, failed.Err)
	}
	s.mu.Lock()
	switch {
	case s.closed:
		s.mu.Unlock()
		conn.close()
		return nil, nil, errors.New("the SSH connection is closed")
	case s.conn != nil && s.conn.alive(): // another call was quicker
		conn.close()
		conn = s.conn
	default:
		s.conn = conn
	}
	s.mu.Unlock()
	sess, err := newSession(ctx, conn.client)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: open a session: %w", errConnection, err)
	}
	return sess, conn, nil
}

// drop closes the connection if it is still conn; nil: whichever there is.
func (s *sshComm) drop(conn *sshConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil || conn != nil && s.conn != conn {
		return
	}
	s.conn.close()
	s.conn = nil
}

// Reconnect drops the connection and waits for the server to let us in again.
func (s *sshComm) Reconnect(ctx context.Context) error {
	s.drop(nil)
	return s.connect(ctx)
}

// lost is closed when the connection there is now has ended; nil when there is none.
func (s *sshComm) lost() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return nil
	}
	return s.conn.ended
}

// Close ends the connection and the tunnels. Calls under way fail.
func (s *sshComm) Close() error {
	s.mu.Lock()
	conn := s.conn
	s.conn, s.closed = nil, true
	s.mu.Unlock()
	s.locals.close()
	if conn != nil {
		conn.close()
	}
	if s.bastion != nil {
		s.bastion.close()
	}
	if s.agent != nil {
		s.agent.conn.Close()
	}
	return nil
}

// Run runs a command with the user's shell.
func (s *sshComm) Run(ctx context.Context, c Command) (int, error) {
	sess, conn, err := s.open(ctx)
	if err != nil {
		return 0, err
	}
	defer sess.Close()
	if conn.forward {
		agent.RequestAgentForwarding(sess) // a server may say no; the command will tell if it needed it
	}
	if s.c.PTY {
		modes := ssh.TerminalModes{ssh.ECHO: 0, ssh.TTY_OP_ISPEED: 115200, ssh.TTY_OP_OSPEED: 115200}
		if err := sess.RequestPty("xterm", 40, 200, modes); err != nil {
			return 0, fmt.Errorf("ssh_pty: the server gives no terminal: %w", err)
		}
	}
	sess.Stdin, sess.Stdout, sess.Stderr = c.Stdin, c.Stdout, c.Stderr
	conn.running.Add(1)
	defer conn.running.Add(-1)
	return s.wait(ctx, sess, conn, c.Line)
}

// wait starts the command and waits for its end. When ctx ends first, the command is killed, also when nobody knows yet
// whether it has started.
func (s *sshComm) wait(ctx context.Context, sess *ssh.Session, conn *sshConn, line string) (int, error) {
	type result struct {
		started bool
		err     error
	}
	end, done := make(chan result, 1), make(chan struct{})
	go func() {
		defer close(done)
		if err := sess.Start(line); err != nil {
			end <- result{false, err}
			return
		}
		end <- result{true, sess.Wait()}
	}()
	select {
	case r := <-end:
		if r.started {
			return exitCode(r.err)
		}
		if !conn.alive() || errors.Is(r.err, io.EOF) {
			return 0, fmt.Errorf("%w: start a command: %w", errConnection, r.err)
		}
		return 0, fmt.Errorf("start a command: %w", r.err)
	case <-ctx.Done():
		s.kill(sess, conn, done)
		return 0, context.Cause(ctx)
	}
}

// killScript ends all that was started over the connection it comes by, itself excepted: everything below the process
// that serves the connection. It looks twice that this is an SSH server.
const killScript = `exec sh -c 'case $(ps -o comm= -p $PPID) in *ssh*|*dropbear*) ;; *) exit 1;; esac
l=$(ps -e -o pid= -o ppid=)
below() { for c in $(echo "$l" | awk "\$2==$1{print \$1}"); do test $c = $$ || { echo $c; below $c; }; done; }
kill -9 $(below $PPID)'`

// kill ends a command whose context has ended: by a signal, and where that does nothing (OpenSSH delivers none when root
// is logged in), by a second command on the same connection, unless other commands run there too. A server that is gone
// must not hold us up for long.
func (s *sshComm) kill(sess *ssh.Session, conn *sshConn, done <-chan struct{}) {
	go sess.Signal(ssh.SIGTERM)
	if ended(done, 500*time.Millisecond) {
		return
	}
	go sess.Signal(ssh.SIGKILL)
	if conn.running.Load() == 1 {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if killer, err := newSession(ctx, conn.client); err == nil {
			stop := context.AfterFunc(ctx, func() { killer.Close() })
			killer.Run(killScript)
			stop()
			killer.Close()
		}
	}
	ended(done, 500*time.Millisecond)
}

func ended(done <-chan struct{}, within time.Duration) bool {
	t := time.NewTimer(within)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}

// exitCode turns what the library says about the end of a command into its exit code: 128+n when it died of a signal.
func exitCode(err error) (int, error) {
	var exit *ssh.ExitError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit):
		return exit.ExitStatus(), nil
	}
	return 0, fmt.Errorf("%w (%w)", ErrDisconnected, err)
}
