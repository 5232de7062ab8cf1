package terraform

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// Passthrough runs a command that the user gave, such as "state", "list", in the directory; what it prints goes to the
// writers. Others may work there at the same time. When ctx ends it is interrupted, so that a state being written is
// written to its end, and killed when it has not ended askGrace later. Hard kills it at once.
func (t *Terraform) Passthrough(ctx context.Context, stdout, stderr io.Writer, args ...string) error {
	if t.o.Hard.Err() != nil {
		return context.Cause(t.o.Hard)
	}
	program, env := launcher(t.o, t.environment(ctx))
	delete(env, launchDir) // no pid file: it may be another's
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = t.o.Dir, stdout, stderr
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	if runtime.GOOS != "windows" {
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	}
	cmd.WaitDelay = askGrace
	err := cmd.Start()
	if err == nil {
		stop := context.AfterFunc(t.o.Hard, func() { _ = cmd.Process.Kill() })
		err = cmd.Wait()
		stop()
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("terraform %s in %s: %w", strings.Join(args[:min(len(args), 2)], " "), t.o.Dir, err)
	}
	return nil
}
