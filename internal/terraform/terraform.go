package terraform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-version"
	"github.com/hashicorp/terraform-exec/tfexec"
)

// Files that terraform and we leave in a run directory.
const (
	LogFile     = "terraform.log"      // everything terraform printed, as JSON lines
	PidFile     = ".terraform.pid"     // process id of the terraform at work; locked as long as it lives
	askPidFile  = ".terraform-ask.pid" // the same of one that only reads or writes state
	ErroredFile = "errored.tfstate"    // the state, when it could not be written where it belongs
)

// Environment variables between us and what we start for terraform; see launch.
const (
	launchProgram = "TFBAKE_LAUNCH_PROGRAM"
	launchDir     = "TFBAKE_LAUNCH_DIR" // empty: no log and no pid file there
	launchParent  = "TFBAKE_LAUNCH_PARENT"
)

// Terraform works in one run directory. Its methods must not be called at the same time, but for Kill.
type Terraform struct {
	o   Options
	ver *version.Version

	mu     sync.Mutex
	kill   context.CancelFunc // ends the running operation's child; nil when none runs
	killed bool
}

// New checks the options, fills in the defaults, and writes the empty CLI configuration that Environment points to.
func New(o Options) (*Terraform, error) {
	if o.Binary.Path == "" {
		return nil, errors.New("terraform: no program given")
	}
	v, err := version.NewVersion(o.Binary.Version)
	if err != nil {
		return nil, fmt.Errorf("terraform: version %q of %s: %w", o.Binary.Version, o.Binary.Path, err)
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, fmt.Errorf("terraform: %w", err)
	}
	if o.Env == nil {
		return nil, errors.New("terraform: no environment given") // terraform-exec would hand down all of ours
	}
	if bad := tfexec.ProhibitedEnv(maps.Clone(o.Env)); len(bad) > 0 {
		return nil, fmt.Errorf("terraform: %s must not be in its environment", strings.Join(bad, ", "))
	}
	for addr, r := range o.Reattach {
		if r.Pid == os.Getpid() && !r.Test {
			return nil, fmt.Errorf("terraform: provider %s runs in this very process, which terraform would end when done: Test must be set", addr)
		}
	}
	if o.Parallelism == 0 {
		o.Parallelism = 4
	}
	if o.LockTimeout == 0 {
		o.LockTimeout = 2 * time.Minute
	}
	if o.Grace == 0 {
		o.Grace = DefaultGrace
	}
	if o.Hard == nil {
		o.Hard = context.Background()
	}
	own := ownConfig(o.Dir)
	if o.Env["TF_CLI_CONFIG_FILE"] == own {
		const text = "# Empty on purpose: tfbake runs terraform without your ~/.terraformrc, unless TF_CLI_CONFIG_FILE names a file.\n"
		if err := os.WriteFile(own, []byte(text), 0o600); err != nil {
			return nil, fmt.Errorf("terraform: %w", err)
		}
	}
	t := &Terraform{o: o, ver: v}
	context.AfterFunc(o.Hard, t.Kill)
	return t, nil
}

func (t *Terraform) reattach() tfexec.ReattachInfo {
	if len(t.o.Reattach) == 0 {
		return nil
	}
	info := tfexec.ReattachInfo{}
	for addr, r := range t.o.Reattach {
		info[addr] = tfexec.ReattachConfig{Protocol: r.Protocol, ProtocolVersion: r.ProtocolVersion, Pid: r.Pid, Test: r.Test, Addr: tfexec.ReattachConfigAddr(r.Addr)}
	}
	return info
}

// jsonInit: "init -json" came with Terraform 1.9, and with OpenTofu 1.8 or earlier.
var jsonInit = version.Must(version.NewVersion("1.9.0"))

// Init prepares the directory: providers, modules, backend. With Reattach, neither registry nor lock file is asked for
// that provider. It may be repeated.
func (t *Terraform) Init(ctx context.Context) error {
	err := t.init(ctx)
	for try := 1; try <= 3 && trippedOver(err); try++ {
		select {
		case <-time.After(tripPause + rand.N(tripPause)): // not at the same moment as the other again
		case <-ctx.Done():
			return err
		}
		err = t.init(ctx)
	}
	return err
}

const tripPause = 500 * time.Millisecond

// trippedOver tells whether two that use a pg backend for the first time were in each other's way: PostgreSQL's CREATE … IF
// NOT EXISTS fails for one of them. The next time it is there.
func trippedOver(err error) bool {
	return err != nil && madeTwice.MatchString(err.Error())
}

var madeTwice = regexp.MustCompile(`duplicate key value violates unique constraint "pg_(namespace|class|type)_|schema "[^"]*" already exists|relation "[^"]*" already exists`)

func (t *Terraform) init(ctx context.Context) error {
	opts := []tfexec.InitOption{tfexec.Reattach(t.reattach())}
	_, err := t.run(ctx, "init", func(ctx context.Context, tf *tfexec.Terraform, out *lines) error {
		if t.ver.Core().LessThan(jsonInit) {
			tf.SetStdout(out)
			return tf.Init(ctx, opts...)
		}
		return tf.InitJSON(ctx, out, opts...)
	})
	if err == nil && t.o.Workspace != "" {
		err = t.UseWorkspace(ctx, t.o.Workspace)
	}
	return err
}

// Apply creates everything and returns the server. With an error it returns whatever the state holds, so that the caller
// knows what there is to remove.
func (t *Terraform) Apply(ctx context.Context) (Server, error) {
	s, err := t.run(ctx, "apply", func(ctx context.Context, tf *tfexec.Terraform, out *lines) error {
		return tf.ApplyJSON(ctx, out, t.applyOptions()...)
	})
	if err == nil {
		return serverFromOutputs(s.outputs), nil
	}
	look, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	state, stateErr := t.State(look)
	if stateErr != nil {
		return Server{}, errors.Join(err, stateErr)
	}
	return serverFromState(state), err
}

func (t *Terraform) applyOptions() []tfexec.ApplyOption {
	return []tfexec.ApplyOption{tfexec.Reattach(t.reattach()), tfexec.Parallelism(t.o.Parallelism), tfexec.LockTimeout(lockTimeout(t.o))}
}

// Destroy removes everything the state knows. ctx must be alive: give it one of its own, with a deadline, not the one
// whose end is the reason for destroying.
func (t *Terraform) Destroy(ctx context.Context) error {
	_, err := t.run(ctx, "destroy", func(ctx context.Context, tf *tfexec.Terraform, out *lines) error {
		return tf.DestroyJSON(ctx, out, t.destroyOptions()...)
	})
	return err
}

func (t *Terraform) destroyOptions() []tfexec.DestroyOption {
	return []tfexec.DestroyOption{tfexec.Reattach(t.reattach()), tfexec.Parallelism(t.o.Parallelism), tfexec.LockTimeout(lockTimeout(t.o))}
}

func lockTimeout(o Options) string { return fmt.Sprintf("%ds", int(o.LockTimeout/time.Second)) }

// State reads the state from where it is kept: the file in the directory, or the backend, through terraform.
func (t *Terraform) State(ctx context.Context) (State, error) {
	if !t.remote() {
		return ReadState(t.o.Dir)
	}
	var pulled string
	_, err := t.run(ctx, "state pull", func(ctx context.Context, tf *tfexec.Terraform, out *lines) (err error) {
		pulled, err = tf.StatePull(ctx)
		return err
	})
	if err != nil {
		return State{}, err
	}
	if strings.TrimSpace(pulled) == "" {
		return State{Status: StateMissing}, nil
	}
	return parseState([]byte(pulled)), nil
}

// remote tells whether init has set up a backend other than the local one: it notes that in .terraform.
func (t *Terraform) remote() bool {
	b, err := os.ReadFile(filepath.Join(t.o.Dir, ".terraform", StateFile))
	if err != nil {
		return false
	}
	var f struct {
		Backend struct {
			Type string `json:"type"`
		} `json:"backend"`
	}
	return json.Unmarshal(b, &f) == nil && f.Backend.Type != "" && f.Backend.Type != "local"
}

// Kill ends the running operation at once, with everything it started; what was being created then may exist and be in
// no state. Safe to call at any time, from any goroutine. An operation started afterwards is not affected.
func (t *Terraform) Kill() {
	t.mu.Lock()
	kill := t.kill
	if kill != nil {
		t.killed = true
	}
	t.mu.Unlock()
	if kill != nil {
		killGroup(filepath.Join(t.o.Dir, PidFile))
		killGroup(filepath.Join(t.o.Dir, askPidFile))
		kill()
	}
}

// run executes one operation: it waits for a predecessor to leave the directory, starts the program, turns its output
// into the story, and its end into an *Error.
func (t *Terraform) run(ctx context.Context, op string, start func(context.Context, *tfexec.Terraform, *lines) error) (*stream, error) {
	s := newStream(t.o.Log)
	began := time.Now()
	if ctx.Err() != nil {
		return s, t.failure(ctx, op, s, context.Cause(ctx), began)
	}
	if t.o.Hard.Err() != nil {
		return s, t.failure(t.o.Hard, op, s, context.Cause(t.o.Hard), began)
	}
	if err := WaitForPredecessor(ctx, t.o.Dir, t.o.LockTimeout, func(pid int) {
		if t.o.Log != nil {
			t.o.Log.Info("waiting for terraform (process %d), which still works in this directory", pid)
		}
	}); err != nil {
		return s, t.failure(ctx, op, s, err, began)
	}

	// The child's context ends with ours, and with Kill.
	child, kill := context.WithCancel(ctx)
	defer kill()
	t.mu.Lock()
	t.kill, t.killed = kill, false
	t.mu.Unlock()
	if t.o.Hard.Err() != nil { // its Kill may have come a moment too early
		t.Kill()
	}

	grace := t.grace(op)
	defer context.AfterFunc(ctx, func() { t.interrupted(s, grace) })()
	deadline := t.killAfterGrace(ctx, grace)
	defer deadline()

	out := &lines{to: s}
	follow := newFollower(filepath.Join(t.o.Dir, LogFile), &lines{to: s})
	err := onLockedThread(func() error {
		tf, err := t.command(ctx, grace)
		if err != nil {
			return err
		}
		return start(child, tf, out)
	})
	follow.finish()
	out.Close()

	t.mu.Lock()
	t.kill = nil
	killed := t.killed
	t.mu.Unlock()
	if killed {
		t.waitUntilGone(3 * time.Second)
	}
	if err != nil {
		return s, t.failure(ctx, op, s, err, began)
	}
	return s, nil
}

// command makes the terraform-exec instance of one operation: the methods with JSON output set its standard output, so
// it cannot be shared.
func (t *Terraform) command(ctx context.Context, grace time.Duration) (*tfexec.Terraform, error) {
	program, env := launcher(t.o, t.environment(ctx))
	tf, err := tfexec.NewTerraform(t.o.Dir, program)
	if err != nil {
		return nil, err
	}
	if err := tf.SetEnv(env); err != nil {
		return nil, err
	}
	if runtime.GOOS != "windows" {
		// killAfterGrace comes first, and takes the provider along.
		if err := tf.SetWaitDelay(grace + 10*time.Second); err != nil {
			return nil, err
		}
	}
	return tf, nil
}

// onLockedThread runs f on a thread of its own. On Linux the kernel sends the parent-death signal when the *thread* that
// started the child ends (golang/go#27505); this one does not end before f.
func onLockedThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		done <- f()
	}()
	return <-done
}

// environment is the child's for one operation.
func (t *Terraform) environment(ctx context.Context) map[string]string {
	env := maps.Clone(t.o.Env)
	if t.o.Keys != nil {
		maps.Copy(env, t.o.Keys(ctx))
	}
	return env
}

const (
	// askGrace is for commands that only read or write state. Terraform does not heed an interrupt while it waits for a
	// backend that does not answer.
	askGrace = 5 * time.Second
	// initGrace is for unpacking a provider: half of one in a plugin cache would be in the way of every later init.
	initGrace = 20 * time.Second
)

// grace is how long an operation may go on after its context has ended. Only apply and destroy have something to lose.
func (t *Terraform) grace(op string) time.Duration {
	switch op {
	case "apply", "destroy":
		return t.o.Grace
	case "init":
		return min(t.o.Grace, initGrace)
	}
	return min(t.o.Grace, askGrace)
}

// interrupted tells what is awaited after the context has ended and terraform has been asked to stop.
func (t *Terraform) interrupted(s *stream, grace time.Duration) {
	t.mu.Lock()
	running := t.kill != nil && !t.killed
	t.mu.Unlock()
	if !running || t.o.Log == nil {
		return
	}
	if busy := s.waitingFor(); busy != "" {
		t.o.Log.Info("stopping: terraform finishes what it is at, so that nothing is lost (%s); at most %s", busy, duration(grace))
	} else {
		t.o.Log.Info("stopping terraform")
	}
}

// killAfterGrace kills a child that is still there long after it was asked to stop. The returned function calls it off.
func (t *Terraform) killAfterGrace(ctx context.Context, grace time.Duration) (stop func()) {
	over := make(chan struct{})
	go func() {
		select {
		case <-over:
			return
		case <-ctx.Done():
		}
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-over:
		case <-timer.C:
			if t.o.Log != nil {
				t.o.Log.Info("terraform has not stopped within %s: killing it", duration(grace))
			}
			t.Kill()
		}
	}()
	return sync.OnceFunc(func() { close(over) })
}

// waitUntilGone waits for what was killed along with terraform to be gone as well, so that nothing works in the directory
// when the caller looks into it.
func (t *Terraform) waitUntilGone(most time.Duration) {
	for end := time.Now().Add(most); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if _, running, err := Running(t.o.Dir); err != nil || !running {
			return
		}
	}
}

// WaitForPredecessor waits until no terraform works in dir any more that an earlier, dead tfbake left there: it was
// interrupted when its parent died and is finishing, see launch. told, unless nil, learns its process id when there is one
// to wait for. It is an error when that one is still there after most.
func WaitForPredecessor(ctx context.Context, dir string, most time.Duration, told func(pid int)) error {
	deadline := time.Now().Add(most)
	for {
		pid, running, err := Running(dir)
		if err != nil || !running {
			return err
		}
		if !alive(pid) {
			// Terraform was killed, by the kernel for want of memory say, and its provider is still there: nobody will ever
			// learn what it does, so there is nothing to wait for.
			killGroup(filepath.Join(dir, PidFile))
		} else if told != nil {
			told(pid)
			told = nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("terraform (process %d) still works in %s after %s; end it, or wait for it", pid, dir, duration(most))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// failure builds the Error of an operation.
func (t *Terraform) failure(ctx context.Context, op string, s *stream, err error, began time.Time) *Error {
	s.mu.Lock()
	diags := s.diagnostics
	output := strings.Join(s.text, "\n")
	s.mu.Unlock()
	t.mu.Lock()
	killed := t.killed
	t.mu.Unlock()

	e := &Error{Op: op, Diagnostics: diags, Output: output, Killed: killed, Canceled: ctx.Err() != nil}
	e.Err = plainExit(err)
	if e.Canceled {
		// terraform-exec's error answers true to both Canceled and DeadlineExceeded; the cause knows which it was.
		e.Err = context.Cause(ctx)
	}
	if e.Output == "" && !e.Canceled {
		if text := stderrOf(err); text != "" {
			e.Output = text
		}
	}
	for i := range e.Diagnostics {
		if t.o.Locate != nil {
			e.Diagnostics[i].Place = t.o.Locate(e.Diagnostics[i])
		}
	}
	if p := filepath.Join(t.o.Dir, ErroredFile); exists(p) {
		e.ErroredState = p
	}
	if p := filepath.Join(t.o.Dir, "crash.log"); newer(p, began) {
		e.CrashLog = p
	}
	e.Hint = hint(e.Diagnostics, e.Output, t.o)
	if e.Hint == "" && len(e.Diagnostics) == 0 && !e.Canceled && !killed {
		e.Hint = noRoom(t.o.Dir)
	}
	return e
}

// noRoom says why a directory cannot be written, "" when it can: on a full disk, what terraform had to say is lost.
func noRoom(dir string) string {
	f, err := os.CreateTemp(dir, ".room")
	if err == nil {
		defer os.Remove(f.Name())
		_, err = f.Write(make([]byte, 1<<16))
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return "the run directory cannot be written: " + err.Error()
	}
	return ""
}

// plainExit reduces terraform-exec's "exit status 1\n<all of standard error>" to the first part; the text is in Output.
func plainExit(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit
	}
	return err
}

func stderrOf(err error) string {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return ""
	}
	_, text, _ := strings.Cut(err.Error(), "\n")
	return strings.TrimSpace(text)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func newer(path string, t time.Time) bool {
	st, err := os.Stat(path)
	return err == nil && st.ModTime().After(t.Add(-time.Second))
}

// readPid reads a process id; 0 when there is none.
func readPid(path string) (int, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	var pid int
	_, _ = fmt.Sscan(string(b), &pid)
	return pid, nil
}
