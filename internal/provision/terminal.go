package provision

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// Terminal is where a person sits. Without a Kind it is none, and the shell on the server gets no terminal either.
type Terminal struct {
	Kind     string // TERM
	Size     Size
	Resized  <-chan Size // nil: it stays as it is
	In       io.Reader
	Out, Err io.Writer
}

// Size is a terminal's, in characters.
type Size struct{ Columns, Rows int }

// Shell gives a person the login shell of the server that c is connected to, and returns its exit code.
func Shell(ctx context.Context, c Communicator, t Terminal) (int, error) {
	s, ok := c.(*sshComm)
	if !ok {
		return 0, errors.New("there is a shell to log in to over SSH only")
	}
	sess, conn, err := s.open(ctx)
	if err != nil {
		return 0, err
	}
	defer sess.Close()
	stop := context.AfterFunc(ctx, func() { conn.close() })
	defer stop()
	if conn.forward {
		agent.RequestAgentForwarding(sess) // a server may say no
	}
	if t.Kind != "" {
		if err := sess.RequestPty(t.Kind, t.Size.Rows, t.Size.Columns, ssh.TerminalModes{}); err != nil {
			return 0, fmt.Errorf("the server gives no terminal: %w", err)
		}
	}
	sess.Stdin, sess.Stdout, sess.Stderr = t.In, t.Out, t.Err
	if err := sess.Shell(); err != nil {
		return 0, fmt.Errorf("start a shell: %w", err)
	}
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case size := <-t.Resized:
				sess.WindowChange(size.Rows, size.Columns) // one that is lost does no harm
			case <-done:
				return
			}
		}
	}()
	exit, err := exitCode(sess.Wait())
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	return exit, err
}
