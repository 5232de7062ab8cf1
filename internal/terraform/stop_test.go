//go:build unix

package terraform

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// silentBackend is an http backend that answers until told to say nothing more. asked tells of each question it leaves open.
func silentBackend(t *testing.T) (dir string, silent *atomic.Bool, asked chan struct{}) {
	t.Helper()
	silent, asked = &atomic.Bool{}, make(chan struct{}, 100)
	gone := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if silent.Load() {
			asked <- struct{}{}
			<-gone
			return
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(func() { close(gone); s.CloseClientConnections(); s.Close() })
	return write(t, map[string]string{"main.tf": `terraform {
  backend "http" { address = "` + s.URL + `" }
}`}), silent, asked
}

// within fails the test when f is not over long before what it waits for would be: terraform's own end, which is never.
func within(t *testing.T, what string, f func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(2 * time.Minute):
		t.Fatalf("%s did not end", what)
		return nil
	}
}

// Terraform does not heed an interrupt while its backend is silent.
func TestSilentBackend(t *testing.T) {
	t.Parallel()
	b := programs(t)[0]
	dir, silent, asked := silentBackend(t)
	hard, stopHard := context.WithCancelCause(context.Background())
	tf, _ := open(t, b, dir, func(o *Options) { o.Hard = hard })
	if err := tf.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	silent.Store(true)

	for name, op := range map[string]func(context.Context) error{
		"state pull": func(ctx context.Context) error { _, err := tf.PullState(ctx); return err },
		"passed through": func(ctx context.Context) error {
			return tf.Passthrough(ctx, &bytes.Buffer{}, &bytes.Buffer{}, "state", "list")
		},
	} {
		for len(asked) > 0 {
			<-asked
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		ctrlC := errors.New("Ctrl-C")
		go func() { <-asked; cancel(ctrlC) }()
		if err := within(t, name, func() error { return op(ctx) }); !errors.Is(err, ctrlC) {
			t.Errorf("%s: %v", name, err)
		}
	}

	killed := make(chan struct{})
	go func() {
		for <-asked; ; time.Sleep(100 * time.Millisecond) {
			select {
			case <-killed:
				return
			default:
				tf.Kill()
			}
		}
	}()
	var e *Error
	_, err := tf.PullState(t.Context())
	close(killed)
	if !errors.As(err, &e) || !e.Killed || e.Canceled {
		t.Errorf("killed: %v", err)
	}

	again := errors.New("Ctrl-C again")
	go func() { <-asked; stopHard(again) }()
	if _, err := tf.PullState(t.Context()); !errors.As(err, &e) || !e.Killed {
		t.Errorf("hard: %v", err)
	}
	if _, err := tf.PullState(t.Context()); !errors.Is(err, again) {
		t.Errorf("after hard: %v", err)
	}
	if err := tf.Passthrough(t.Context(), &bytes.Buffer{}, &bytes.Buffer{}, "state", "list"); !errors.Is(err, again) {
		t.Errorf("passed through after hard: %v", err)
	}
}

func TestSilentBackendInit(t *testing.T) {
	t.Parallel()
	b := programs(t)[0]
	dir, silent, asked := silentBackend(t)
	silent.Store(true)
	tf, _ := open(t, b, dir)
	ctx, cancel := context.WithCancelCause(t.Context())
	ctrlC := errors.New("Ctrl-C")
	go func() { <-asked; cancel(ctrlC) }()
	if err := within(t, "init", func() error { return tf.Init(ctx) }); !errors.Is(err, ctrlC) {
		t.Errorf("error: %v", err)
	}
}

// Hard ends what the user runs, at once.
func TestPassthroughHard(t *testing.T) {
	t.Parallel()
	dir := write(t, nil)
	hard, stop := context.WithCancel(context.Background())
	tf, _ := open(t, script(t, "trap '' INT; touch started; exec sleep 600"), dir, func(o *Options) { o.Hard = hard })
	go func() { appears(t, filepath.Join(dir, "started")); stop() }()
	err := within(t, "terraform", func() error { return tf.Passthrough(context.Background(), nil, nil, "state", "list") })
	if err == nil || !strings.Contains(err.Error(), "terraform state list in "+dir+": signal: killed") {
		t.Errorf("error: %v", err)
	}
}

// One Ctrl-C is one interrupt for what the user runs: a state being written is written to its end.
func TestPassthrough(t *testing.T) {
	t.Parallel()
	dir := write(t, nil)
	tf, _ := open(t, script(t, `trap 'echo interrupt >> interrupts; echo written; exit 0' INT
touch started; while :; do sleep 0.05; done`), dir)
	ctx, cancel := context.WithCancelCause(t.Context())
	ctrlC := errors.New("Ctrl-C")
	go func() { appears(t, filepath.Join(dir, "started")); cancel(ctrlC) }()
	var out bytes.Buffer
	if err := tf.Passthrough(ctx, &out, nil, "state", "rm", "x"); !errors.Is(err, ctrlC) {
		t.Errorf("error: %v", err)
	}
	if got := read(t, filepath.Join(dir, "interrupts")); got != "interrupt\n" || out.String() != "written\n" {
		t.Errorf("interrupts %q, output %q", got, &out)
	}

	tf, _ = open(t, script(t, `echo "$@"; echo trouble >&2; exit 3`), dir)
	out.Reset()
	var trouble bytes.Buffer
	if err := tf.Passthrough(t.Context(), &out, &trouble, "state", "rm", "x"); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("error: %v", err)
	}
	if out.String() != "state rm x\n" || trouble.String() != "trouble\n" {
		t.Errorf("output %q and %q", &out, &trouble)
	}
}

// A terraform that was killed while its provider lives on is not waited for, and neither is one that nobody buries.
func TestWaitForPredecessorKilled(t *testing.T) {
	t.Parallel()
	dir := write(t, nil)
	tf, log := open(t, script(t, stubborn), dir)
	applied := make(chan struct{})
	go func() { defer close(applied); _, _ = tf.Apply(context.Background()) }()
	log.wait(t, "server: creating…")
	pid, _, err := Running(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-applied
	if _, running, _ := Running(dir); !running {
		t.Fatal("the orphan does not hold the lock")
	}
	err = within(t, "the wait", func() error {
		return WaitForPredecessor(t.Context(), dir, DefaultGrace, func(int) { t.Error("told to wait for the dead") })
	})
	if err != nil {
		t.Error(err)
	}
	dead(t, filepath.Join(dir, "child"))
}

func TestAlive(t *testing.T) {
	t.Parallel()
	p, err := os.StartProcess("/bin/sh", []string{"sh", "-c", "sleep 600"}, &os.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	if !alive(p.Pid) {
		t.Error("a living process counts as dead")
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/proc/self/stat"); err == nil {
		for end := time.Now().Add(time.Minute); alive(p.Pid); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("a zombie counts as alive")
			}
		}
	}
	_, _ = p.Wait()
	if alive(p.Pid) {
		t.Error("a dead process counts as alive")
	}
}

// Keys that were renewed reach the next operation.
func TestKeysPerOperation(t *testing.T) {
	t.Parallel()
	dir := write(t, nil)
	n := "0"
	tf, _ := open(t, script(t, `echo "$NCLOUD_ACCESS_KEY" >> keys`), dir, func(o *Options) {
		o.Keys = func(context.Context) map[string]string {
			n += "1"
			return map[string]string{"NCLOUD_ACCESS_KEY": n}
		}
	})
	for range 2 {
		if err := tf.Destroy(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := read(t, filepath.Join(dir, "keys")); got != "01\n011\n" {
		t.Errorf("keys: %q", got)
	}
}
