package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"
)

var errNobody = errors.New("nobody is at the terminal")

// asker returns the function that asks the person at the terminal, nil when nobody is there (a pipe, CI).
func (a *app) asker() func(ctx context.Context, question string, echo bool) (string, error) {
	if !a.interactive {
		return nil
	}
	return a.ask
}

// terminalMu: two builds must not ask at the same time.
var terminalMu sync.Mutex

// ask asks a question and returns the answer's line. It ends with ctx; the line then typed is lost.
func (a *app) ask(ctx context.Context, question string, echo bool) (string, error) {
	terminalMu.Lock()
	defer terminalMu.Unlock()
	fmt.Fprintf(a.stderr, "%s ", question)
	type answer struct {
		line string
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		if in, ok := a.stdin.(*os.File); ok && !echo {
			b, err := term.ReadPassword(int(in.Fd()))
			fmt.Fprintln(a.stderr)
			got <- answer{string(b), err}
			return
		}
		line, err := bufio.NewReader(oneByte{a.stdin}).ReadString('\n')
		got <- answer{strings.TrimRight(line, "\r\n"), err}
	}()
	select {
	case r := <-got:
		return r.line, r.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// choose asks until the answer begins with one of the choices.
func (a *app) choose(ctx context.Context, question, choices string) (byte, error) {
	if !a.interactive {
		return 0, errNobody
	}
	for {
		line, err := a.ask(ctx, question, true)
		if err != nil {
			return 0, err
		}
		if line = strings.ToLower(strings.TrimSpace(line)); line != "" && strings.Contains(choices, line[:1]) {
			return line[0], nil
		}
	}
}

// oneByte reads byte by byte, so that a buffered reader takes no more of the input than its line.
type oneByte struct{ r io.Reader }

func (o oneByte) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return o.r.Read(p[:1])
}
