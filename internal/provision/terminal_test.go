//go:build unix

package provision

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/tfbake/tfbake/internal/config"
)

func TestAPersonGetsAShellWithATerminalOfTheRightSize(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := connect(t, s, config.Communicator{Type: "ssh"})
	in, person := io.Pipe()
	var out syncBuffer
	resized := make(chan Size)
	type end struct {
		exit int
		err  error
	}
	done := make(chan end, 1)
	go func() {
		exit, err := Shell(t.Context(), c, Terminal{Kind: "vt100", Size: Size{Columns: 90, Rows: 30}, Resized: resized, In: in, Out: &out, Err: &out})
		done <- end{exit, err}
	}()
	resized <- Size{Columns: 120, Rows: 50}
	io.WriteString(person, "echo it-$((1+1)); exit 6\n")
	if e := <-done; e.err != nil || e.exit != 6 {
		t.Errorf("exit code %d, %v", e.exit, e.err)
	}
	if !strings.Contains(out.String(), "it-2") {
		t.Errorf("it said %q", out.String())
	}
	if got := s.seen(&s.sizes); !slices.Equal(got, []string{"vt100 90x30", "120x50"}) {
		t.Errorf("the terminal's sizes are %q", got)
	}
}

func TestAShellWithoutATerminalReadsCommands(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := connect(t, s, config.Communicator{Type: "ssh"})
	var out, errs syncBuffer
	exit, err := Shell(t.Context(), c, Terminal{In: strings.NewReader("echo one; echo two >&2\nexit 3\n"), Out: &out, Err: &errs})
	if err != nil || exit != 3 || out.String() != "one\n" || errs.String() != "two\n" || len(s.seen(&s.sizes)) > 0 {
		t.Errorf("exit code %d, %v, %q, %q", exit, err, out.String(), errs.String())
	}
}

func TestAShellEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	c := connect(t, s, config.Communicator{Type: "ssh"})
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("the terminal was closed")
	in, person := io.Pipe()
	defer person.Close()
	go func() {
		io.WriteString(person, "echo here\n")
		cancel(stop)
	}()
	if _, err := Shell(ctx, c, Terminal{In: in, Out: io.Discard, Err: io.Discard}); !errors.Is(err, stop) {
		t.Errorf("it ended with %v", err)
	}
}
