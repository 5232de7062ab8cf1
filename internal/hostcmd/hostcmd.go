// Package hostcmd runs commands on this machine for the template: shell-local's scripts, ansible. A child is a process
// group of its own; when the context ends it gets one SIGTERM, then time, then SIGKILL.
package hostcmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/tfbake/tfbake/internal/config"
)

// grace is how long a child may take to end after SIGTERM.
const grace = 5 * time.Second

// Command is a program to run. Its environment is this process's with Env added.
type Command struct {
	Path string // looked up in PATH unless it holds a slash
	Args []string
	Env  []string // "KEY=value"; wins over what is inherited
	Dir  string   // "": the working directory
	Out  io.Writer
	// NoTerminal takes the terminal away from the program, so that it cannot ask there.
	NoTerminal bool
}

// Run runs a command and returns its exit code, 128+n when it died of signal n. Its standard input is empty. The error
// says why it could not be run, or is the context's cause.
func Run(ctx context.Context, c Command) (int, error) {
	cmd := exec.CommandContext(ctx, c.Path, c.Args...)
	cmd.Dir = c.Dir
	cmd.Env = append(os.Environ(), c.Env...)
	// One writer for both, so the order of lines is kept; a pipe of ours, so that a daemon that keeps it open cannot hold
	// us up (WaitDelay).
	cmd.Stdout, cmd.Stderr = c.Out, c.Out
	cmd.WaitDelay = grace
	isolate(cmd, c.NoTerminal)
	err := cmd.Run()
	if ctx.Err() != nil {
		endGroup(cmd)
		return 0, context.Cause(ctx)
	}
	var exit *exec.ExitError
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return 0, nil
	case errors.As(err, &exit):
		return exitCode(exit.ProcessState), nil
	}
	return 0, fmt.Errorf("run %s: %w", c.Path, err)
}

// Shell is what ShellLocal needs beside the template's options.
type Shell struct {
	Env []string // PACKER_BUILD_NAME and the like; the template's variables win
	Dir string
	Out io.Writer
	Say func(format string, args ...any) // told which script begins
}

// ShellLocal runs a shell-local provisioner or post-processor.
//
// As with Packer, variables come before the script in execute_command where that says {{.Vars}}; the default command
// gets them through the environment instead, because a command line is there for everyone to see.
func ShellLocal(ctx context.Context, p *config.ShellLocal, s Shell) error {
	if len(p.OnlyOn) > 0 && !slices.Contains(p.OnlyOn, runtime.GOOS) {
		s.Say("Skipping shell-local: only_on is %s, this is %s", strings.Join(p.OnlyOn, ", "), runtime.GOOS)
		return nil
	}
	scripts := p.Scripts
	if len(p.Inline) > 0 {
		name, err := writeInline(p)
		if err != nil {
			return fmt.Errorf("write the inline script: %w", err)
		}
		defer os.Remove(name)
		scripts = append(slices.Clone(scripts), name)
	}
	env := Merge(s.Env, p.EnvironmentVars)
	for i, script := range scripts {
		name := script
		if len(p.Inline) > 0 && i == len(scripts)-1 {
			name = "inline script"
		}
		s.Say("Running local shell script: %s", name)
		path, err := filepath.Abs(script)
		if err != nil {
			return err
		}
		c, err := shellCommand(p, path, env)
		if err != nil {
			return err
		}
		c.Dir, c.Out = s.Dir, s.Out
		exit, err := Run(ctx, c)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if !valid(exit, p.ValidExitCodes) {
			return fmt.Errorf("%s exited with %d", name, exit)
		}
	}
	return nil
}

var defaultCommand = []string{"/bin/sh", "-c", "{{.Vars}} {{.Script}}"}

func shellCommand(p *config.ShellLocal, script string, env []string) (Command, error) {
	args := p.ExecuteCommand
	if len(args) == 0 || slices.Equal(args, defaultCommand) {
		if runtime.GOOS == "windows" {
			return Command{Path: "cmd", Args: []string{"/V", "/C", "call", script}, Env: env}, nil
		}
		return Command{Path: "/bin/sh", Args: []string{"-c", shellQuote(script)}, Env: env}, nil
	}
	if p.UseLinuxPathing {
		script = linuxPath(script)
	}
	format := p.EnvVarFormat
	if format == "" {
		format = "%s='%s' "
	}
	var vars strings.Builder
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		fmt.Fprintf(&vars, format, name, strings.ReplaceAll(value, "'", `'"'"'`))
	}
	data := map[string]string{"Script": script, "Path": script, "Vars": vars.String()}
	var c Command
	for i, a := range args {
		out, err := config.RenderLater(a, data)
		if err != nil {
			return Command{}, fmt.Errorf("execute_command: %w", err)
		}
		if i == 0 {
			c.Path = out
		} else {
			c.Args = append(c.Args, out)
		}
	}
	return c, nil
}

// writeInline makes a script of the inline commands that only this user can read.
func writeInline(p *config.ShellLocal) (string, error) {
	pattern := "tfbake-shell-local-*"
	if ext := p.TempfileExtension; ext != "" {
		pattern += "." + strings.TrimPrefix(ext, ".")
	} else if runtime.GOOS == "windows" {
		pattern += ".cmd"
	}
	f, err := os.CreateTemp("", pattern)
	if err != nil {
		return "", err
	}
	text := strings.Join(p.Inline, "\n") + "\n"
	if runtime.GOOS != "windows" {
		shebang := p.InlineShebang
		if shebang == "" {
			shebang = "/bin/sh -e"
		}
		text = "#!" + shebang + "\n" + text
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Chmod(0o700), f.Close())
	if err != nil {
		os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

// Merge joins lists of "KEY=value"; a later value wins.
func Merge(lists ...[]string) []string {
	var all []string
	for _, l := range lists {
		for _, kv := range l {
			name, _, _ := strings.Cut(kv, "=")
			all = slices.DeleteFunc(all, func(o string) bool { return strings.HasPrefix(o, name+"=") })
			all = append(all, kv)
		}
	}
	return all
}

func valid(exit int, codes []int) bool {
	if len(codes) == 0 {
		return exit == 0
	}
	return slices.Contains(codes, exit)
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// linuxPath turns C:\x\y into /mnt/c/x/y, as WSL sees it.
func linuxPath(p string) string {
	p = strings.ReplaceAll(p, `\`, "/")
	if len(p) > 2 && p[1] == ':' {
		p = "/mnt/" + strings.ToLower(p[:1]) + p[2:]
	}
	return p
}
