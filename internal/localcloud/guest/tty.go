package guest

import (
	"context"
	"io"
	"os"
	"sync"
	"time"
)

// tty is a terminal's line discipline between an SSH channel and a guest's programs: it echoes, edits a line, turns
// ^C into SIGINT and ^D into the end of input, and adds carriage returns to output.
type tty struct {
	in  *os.File // programs read lines here
	out *ttyWriter

	feed *os.File
	s    *session

	mu          sync.Mutex
	line        []byte
	history     []string
	back        int
	escape      []byte
	interactive bool
	cancelLine  context.CancelCauseFunc
	closed      bool
}

// ttyWriter adds the carriage returns a terminal needs.
type ttyWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (t *ttyWriter) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	buf := make([]byte, 0, len(b)+16)
	for i, c := range b {
		if c == '\n' && (i == 0 || b[i-1] != '\r') {
			buf = append(buf, '\r')
		}
		buf = append(buf, c)
	}
	if _, err := t.w.Write(buf); err != nil {
		return 0, err
	}
	return len(b), nil
}

func newTTY(s *session, out io.Writer) (*tty, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	return &tty{in: r, feed: w, out: &ttyWriter{w: out}, s: s}, nil
}

func (t *tty) setInteractive(on bool) {
	t.mu.Lock()
	t.interactive = on
	t.mu.Unlock()
}

// foreground makes the context of one command line; ^C ends it.
func (t *tty) foreground(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	t.mu.Lock()
	t.cancelLine = cancel
	t.mu.Unlock()
	return ctx, func() {
		t.mu.Lock()
		t.cancelLine = nil
		t.mu.Unlock()
		cancel(nil)
	}
}

// interrupt ends the running command line, or the line being typed.
func (t *tty) interrupt() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cancelLine != nil {
		t.cancelLine(killed{"INT"})
		return
	}
	t.line = nil
	if t.interactive {
		t.feed.Write([]byte("\n"))
	}
}

func (t *tty) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.closed = true
		t.feed.Close()
	}
}

// run reads what the client types until it is gone.
func (t *tty) run(r io.Reader) {
	defer t.close()
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		for _, c := range buf[:n] {
			t.key(c)
		}
		if err != nil {
			return
		}
	}
}

func (t *tty) echo(s string) { t.out.Write([]byte(s)) }

func (t *tty) replaceLine(s string) {
	for range t.line {
		t.echo("\b \b")
	}
	t.line = []byte(s)
	t.echo(s)
}

func (t *tty) key(c byte) {
	if len(t.escape) > 0 {
		t.escape = append(t.escape, c)
		if len(t.escape) == 2 && (c == '[' || c == 'O') {
			return
		}
		if len(t.escape) > 2 && (c < 0x40 || c > 0x7e) && len(t.escape) < 8 {
			return
		}
		t.escape = nil
		t.mu.Lock()
		defer t.mu.Unlock()
		switch c {
		case 'A':
			if t.back < len(t.history) {
				t.back++
				t.replaceLine(t.history[len(t.history)-t.back])
			}
		case 'B':
			if t.back > 0 {
				t.back--
				s := ""
				if t.back > 0 {
					s = t.history[len(t.history)-t.back]
				}
				t.replaceLine(s)
			}
		}
		return
	}
	switch c {
	case 3, 0x1c:
		t.echo("^C\n")
		t.s.signal("INT")
		return
	case 0x1b:
		t.escape = []byte{c}
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch c {
	case 4:
		if len(t.line) > 0 {
			t.send(t.line)
			t.line = nil
			return
		}
		if !t.closed {
			t.closed = true
			t.feed.Close()
		}
	case '\r', '\n':
		t.echo("\n")
		if len(t.line) > 0 {
			t.history = append(t.history, string(t.line))
			if len(t.history) > 200 {
				t.history = t.history[1:]
			}
		}
		t.back = 0
		t.send(append(t.line, '\n'))
		t.line = nil
	case 0x7f, 8:
		if len(t.line) > 0 {
			t.line = t.line[:len(t.line)-1]
			t.echo("\b \b")
		}
	case 0x15:
		t.replaceLine("")
	case 0x17:
		i := len(t.line)
		for i > 0 && t.line[i-1] == ' ' {
			i--
		}
		for i > 0 && t.line[i-1] != ' ' {
			i--
		}
		t.replaceLine(string(t.line[:i]))
	case '\t':
		t.line = append(t.line, ' ')
		t.echo(" ")
	default:
		if c >= ' ' && len(t.line) < 64<<10 {
			t.line = append(t.line, c)
			t.echo(string([]byte{c}))
		}
	}
}

func (t *tty) send(b []byte) {
	if t.closed {
		return
	}
	// A program that does not read must not block the terminal for ever: ^C has to get through.
	t.feed.SetWriteDeadline(time.Now().Add(2 * time.Second))
	t.feed.Write(b)
}

func (t *tty) isInteractive() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.interactive
}
