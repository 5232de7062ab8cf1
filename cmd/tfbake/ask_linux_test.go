package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A question that is given up gives the terminal back as it was, and takes no line from the next one.
func TestAskIsGivenUp(t *testing.T) {
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	defer person.Close()
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer tty.Close()
	echoes := func() bool {
		s, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		return s.Lflag&unix.ECHO != 0
	}
	waitFor := func(echo bool) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); echoes() != echo; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("the terminal's echo never became %t", echo)
			}
		}
	}
	a := &app{host: host{stdin: tty, stderr: &bytes.Buffer{}}}
	answers := make(chan string)
	ask := func(ctx context.Context, echo bool) {
		line, err := a.ask(ctx, "?", echo)
		answers <- fmt.Sprint(line, " ", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	go ask(ctx, false)
	waitFor(false)
	cancel()
	if got := <-answers; got != " context canceled" {
		t.Errorf("given up: %q", got)
	}
	waitFor(true)
	go ask(t.Context(), false)
	fmt.Fprint(person, "\n") // as it says
	for n, echo := range []bool{false, true, false, true} {
		if n > 0 {
			go ask(t.Context(), echo)
		}
		waitFor(echo)
		fmt.Fprintf(person, "with echo %t\n", echo)
		if got, want := <-answers, fmt.Sprintf("with echo %t <nil>", echo); got != want {
			t.Errorf("the answer is %q, want %q", got, want)
		}
		waitFor(true)
	}
}
