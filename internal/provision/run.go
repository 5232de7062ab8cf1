package provision

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/tfbake/tfbake/internal/config"
)

// cleanupTime bounds an error-cleanup-provisioner that sets no timeout: it keeps a server alive that costs money.
const cleanupTime = 10 * time.Minute

// Run runs the steps in order. The error is a *StepError for the first that fails, joined with the error cleanup's own;
// the cleanup also runs when ctx was cancelled, with a time limit of its own.
func Run(ctx context.Context, o Options) error {
	o.Redactor.Add(secrets(o)...)
	for i := min(o.From, len(o.Steps)); i < len(o.Steps); i++ {
		failed := o.step(ctx, i, o.Steps[i])
		if failed == nil {
			continue
		}
		if o.ErrorCleanup == nil {
			return failed
		}
		return errors.Join(failed, o.cleanUp(ctx))
	}
	return o.clearAuthorizedKeys(ctx)
}

// secrets are the values of a run that must not show in a provisioner's output.
func secrets(o Options) []string {
	c, b := o.Communicator, o.Communicator.Bastion
	return []string{
		o.Values.Password, o.Values.WinRMPassword, o.Values.SSHPrivateKey, o.Target.Password, string(o.Target.PrivateKey),
		c.Password, c.ProxyPassword, b.Password,
	}
}

// cleanUp runs the error cleanup, also when ctx has ended.
func (o *Options) cleanUp(ctx context.Context) error {
	limit := o.ErrorCleanup.Timeout
	if limit <= 0 {
		limit = cleanupTime
	}
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), limit, fmt.Errorf("it did not end within %s", limit))
	defer cancel()
	o.Story.Say("Running the error-cleanup-provisioner...")
	return o.step(ctx, -1, o.ErrorCleanup)
}

// step runs one step and tells about it. continue_on_error is the outermost wrapping, and does not cover a cancelled run.
func (o *Options) step(ctx context.Context, index int, s *config.Step) error {
	tell := func(e StepEvent) error {
		if o.OnStep == nil {
			return nil
		}
		e.Index, e.Step = index, s
		return o.OnStep(e)
	}
	if err := tell(StepEvent{State: StepStarted}); err != nil {
		return &StepError{index, s, fmt.Errorf("note its start: %w", err)}
	}
	start := time.Now()
	err := o.retried(ctx, index, s)
	end := StepEvent{State: StepDone, Elapsed: time.Since(start), Err: err}
	switch {
	case err == nil:
	case s.ContinueOnError && ctx.Err() == nil:
		end.State = StepPassed
		o.Story.Error("%s; going on, because continue_on_error is set", &StepError{index, s, err})
	default:
		end.State = StepFailed
	}
	if noted := tell(end); noted != nil {
		return errors.Join(stepError(index, s, failure(end)), &StepError{index, s, fmt.Errorf("note its end: %w", noted)})
	}
	return stepError(index, s, failure(end))
}

func failure(e StepEvent) error {
	if e.State == StepFailed {
		return e.Err
	}
	return nil
}

func stepError(index int, s *config.Step, err error) error {
	if err == nil {
		return nil
	}
	return &StepError{index, s, err}
}

// retried wraps a step as Packer does, from the inside: pause_before, timeout (which so covers the pause), max_retries.
func (o *Options) retried(ctx context.Context, index int, s *config.Step) error {
	for left := s.MaxRetries; ; left-- {
		err := o.timed(ctx, index, s)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if left <= 0 {
			if s.MaxRetries > 0 {
				return fmt.Errorf("%w (and it has been tried %d times)", err, s.MaxRetries+1)
			}
			return err
		}
		o.Story.Error("%s; trying again, %d more time(s)", &StepError{index, s, err}, left)
	}
}

func (o *Options) timed(ctx context.Context, index int, s *config.Step) error {
	if s.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, s.Timeout, fmt.Errorf("it did not end within its timeout of %s", s.Timeout))
		defer cancel()
	}
	if s.PauseBefore > 0 {
		o.Story.Say("Pausing %s before the next provisioner...", s.PauseBefore)
		if err := sleep(ctx, s.PauseBefore); err != nil {
			return fmt.Errorf("pause before it: %w", err)
		}
	}
	err := o.once(ctx, index, s)
	if err != nil && ctx.Err() != nil && !errors.Is(err, context.Cause(ctx)) {
		// What was cut short fails in many ways; why it was cut short is what matters.
		return fmt.Errorf("%w (%w)", context.Cause(ctx), err)
	}
	return err
}

// once resolves a step's options with the values of this run, and does what they say.
func (o *Options) once(ctx context.Context, index int, s *config.Step) error {
	options, diags := s.Resolve(o.Values)
	if diags.HasErrors() {
		return fmt.Errorf("its options cannot be worked out: %w", diags)
	}
	r := stepRun{Options: o, last: index == len(o.Steps)-1}
	switch p := options.(type) {
	case *config.ShellLocal:
		return r.shellLocal(ctx, p)
	case *config.Sleep:
		return r.sleep(ctx, p)
	case *config.Breakpoint:
		return r.breakpoint(ctx, p)
	}
	if o.Comm == nil {
		return errors.New(`it needs a connection to the server, but communicator is "none"; only shell-local, sleep and breakpoint work without`)
	}
	switch p := options.(type) {
	case *config.Shell:
		return r.shell(ctx, p)
	case *config.File:
		return r.file(ctx, p)
	case *config.PowerShell:
		return r.powershell(ctx, p)
	case *config.WindowsShell:
		return r.windowsShell(ctx, p)
	case *config.WindowsRestart:
		return r.windowsRestart(ctx, p)
	case *config.Ansible:
		return r.ansible(ctx, p)
	}
	return fmt.Errorf("tfbake has no provisioner %q", s.Type)
}

// stepRun is what a provisioner works with.
type stepRun struct {
	*Options
	last bool // no step comes after it
}

// output returns a writer for what a command prints: line by line into the story, without secrets. Close it.
func (r stepRun) output() io.WriteCloser {
	lines := r.Story.Writer()
	return closeBoth{r.Redactor.Writer(lines), lines}
}

type closeBoth struct {
	io.WriteCloser
	then io.Closer
}

func (c closeBoth) Close() error {
	return errors.Join(c.WriteCloser.Close(), c.then.Close())
}

// run runs a command on the server with its output in the story.
func (r stepRun) run(ctx context.Context, line string) (int, error) {
	stdout, stderr := r.output(), r.output()
	exit, err := r.Comm.Run(ctx, Command{Line: line, Stdout: stdout, Stderr: stderr})
	stdout.Close()
	stderr.Close()
	return exit, err
}

// persist repeats do while it fails for want of a connection, for at most d: the server may be rebooting because of the
// step before.
func (r stepRun) persist(ctx context.Context, d time.Duration, do func() error) error {
	start, said := time.Now(), false
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := do()
		if err == nil || !errors.Is(err, errConnection) || ctx.Err() != nil {
			return err
		}
		if time.Since(start)+pause > d {
			return fmt.Errorf("%w (tried for %s, start_retry_timeout)", err, time.Since(start).Round(time.Second))
		}
		if !said {
			r.Story.Info("%s; trying again for up to %s", err, d)
			said = true
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// packerEnv is the environment that every script gets.
func (o *Options) packerEnv() []string {
	env := []string{"PACKER_BUILD_NAME=" + o.Values.BuildName, "PACKER_BUILDER_TYPE=" + o.Values.BuilderType}
	if o.Values.RunUUID != "" {
		env = append(env, "PACKER_RUN_UUID="+o.Values.RunUUID)
	}
	return env
}

// mergeEnv returns the variables with the later ones winning, by name, sorted: the order Packer writes them in.
func mergeEnv(lists ...[]string) []envVar {
	var all []envVar
	for _, l := range lists {
		for _, kv := range l {
			v := parseEnv(kv)
			all = slices.DeleteFunc(all, func(o envVar) bool { return o.name == v.name })
			all = append(all, v)
		}
	}
	slices.SortStableFunc(all, func(a, b envVar) int {
		switch {
		case a.name < b.name:
			return -1
		case a.name > b.name:
			return 1
		}
		return 0
	})
	return all
}
