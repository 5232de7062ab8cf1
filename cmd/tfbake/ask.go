package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

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

// terminal is the person's end; one question is asked at a time. A read from a terminal cannot be called off: when its
// question was given up it goes on, and what it reads then is the answer to the next question.
var terminal = struct {
	turn    chan struct{}
	reading bool
	answers chan answer
}{turn: make(chan struct{}, 1), answers: make(chan answer)}

type answer struct {
	line string
	err  error
}

// ask asks a question and returns the answer's line. It ends with ctx.
func (a *app) ask(ctx context.Context, question string, echo bool) (string, error) {
	select {
	case terminal.turn <- struct{}{}:
		defer func() { <-terminal.turn }()
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	in, ok := a.stdin.(*os.File)
	hidden := ok && !echo && term.IsTerminal(int(in.Fd()))
	if hidden && terminal.reading {
		// That read shows what is typed.
		fmt.Fprint(a.stderr, "Press Enter. ")
		if _, err := a.answer(ctx); err != nil {
			return "", err
		}
	}
	fmt.Fprintf(a.stderr, "%s ", question)
	if hidden {
		if before, err := term.GetState(int(in.Fd())); err == nil {
			defer term.Restore(int(in.Fd()), before) // also when nobody answers
		}
		defer fmt.Fprintln(a.stderr)
	}
	if !terminal.reading {
		terminal.reading = true
		go func() {
			if hidden {
				b, err := term.ReadPassword(int(in.Fd()))
				terminal.answers <- answer{string(b), err}
				return
			}
			line, err := bufio.NewReader(oneByte{a.stdin}).ReadString('\n')
			terminal.answers <- answer{strings.TrimRight(line, "\r\n"), err}
		}()
	}
	return a.answer(ctx)
}

// answer waits for what the read under way brings.
func (*app) answer(ctx context.Context) (string, error) {
	select {
	case r := <-terminal.answers:
		terminal.reading = false
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
