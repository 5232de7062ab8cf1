//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tfbake/tfbake/internal/bake"
	"github.com/tfbake/tfbake/internal/journal"
	"github.com/tfbake/tfbake/internal/shared"
	"github.com/tfbake/tfbake/internal/ui"
)

// lockedBuffer may be read while others write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A signal may come while a command sets up what it tells with; the race detector watches.
func TestASignalIsToldWhileTheStoryChanges(t *testing.T) {
	var out lockedBuffer
	a := &app{}
	a.tellWith(ui.New(&out, nil, ui.Options{}), "stopping")
	ctx, hard, stop := a.signals()
	defer stop()
	for n := 0; ctx.Err() == nil; n++ {
		if n == 10 {
			syscall.Kill(syscall.Getpid(), syscall.SIGINT)
		}
		a.tellWith(ui.New(&out, nil, ui.Options{}), "stopping")
		time.Sleep(time.Millisecond)
	}
	if said := out.String(); !strings.Contains(said, "Ctrl-C: stopping") || hard.Err() != nil {
		t.Errorf("%q, %v", said, hard.Err())
	}
}

// An interrupted bake goes down without asking anybody, and an interrupt ends a pause.
func TestAPauseEndsWithTheBake(t *testing.T) {
	var out lockedBuffer
	never, w := io.Pipe()
	defer w.Close()
	p := (&app{host: host{interactive: true, stdin: never, stderr: &out}}).pauser(true)
	ctx, cancel := context.WithCancel(context.Background())
	parts := p.around(bake.Parts{}, nil)
	done := make(chan struct{})
	go func() { parts.BeforeDown(ctx); close(done) }()
	for !strings.Contains(out.String(), "terraform destroy") {
		time.Sleep(time.Millisecond)
	}
	cancel()
	<-done
	was := out.String()
	parts.BeforeDown(ctx)
	if out.String() != was {
		t.Errorf("asked again: %q", out.String())
	}
}

func TestFlagOfTheWrongKind(t *testing.T) {
	a := &app{host: host{stderr: io.Discard}}
	for arg, want := range map[string]string{
		"-time=2":  `invalid value "2" for flag -time: it takes a time with its unit, such as 2h` + "\n",
		"-count=x": `invalid value "x" for flag -count: it takes a whole number` + "\n",
		"-yes=2":   `invalid boolean value "2" for -yes: parse error` + "\n",
	} {
		f := a.flags("try", "", "")
		f.Duration("time", 0, "")
		f.Int("count", 0, "")
		f.Bool("yes", false, "")
		if _, err := f.parse([]string{arg}, 0, 0); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", arg, err)
		}
	}
}

func TestIsTaken(t *testing.T) {
	for _, err := range []error{&journal.LockedError{}, &shared.BusyError{}, fmt.Errorf("run x: %w", &journal.LockedError{})} {
		if !isTaken(err) {
			t.Errorf("%T", err)
		}
	}
	if isTaken(nil) || isTaken(errors.New("locked")) {
		t.Error("anything is taken")
	}
}
