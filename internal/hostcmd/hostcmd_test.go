//go:build unix

package hostcmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tfbake/tfbake/internal/config"
)

func runLocal(t *testing.T, p *config.ShellLocal) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := ShellLocal(t.Context(), p, Shell{
		Env: []string{"PACKER_BUILD_NAME=web", "A=ours"}, Out: &out,
		Say: func(f string, a ...any) { fmt.Fprintf(&out, "say: "+f+"\n", a...) },
	})
	return out.String(), err
}

func TestShellLocal(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dir := t.TempDir()
	script := filepath.Join(dir, "my script.sh")
	os.WriteFile(script, []byte("#!/bin/sh\necho script $1 $A\n"), 0o700)
	tests := []struct {
		name string
		p    config.ShellLocal
		want string
		err  string
	}{
		{"inline", config.ShellLocal{Inline: []string{"echo $PACKER_BUILD_NAME $A", "echo err >&2"}}, "say: Running local shell script: inline script\nweb ours\nerr\n", ""},
		{"stops at a failure", config.ShellLocal{Inline: []string{"false", "echo never"}}, "say: Running local shell script: inline script\n", "inline script exited with 1"},
		{"template's variables win", config.ShellLocal{Inline: []string{`echo "$A"`}, EnvironmentVars: []string{"A=x", "A=it's $(date) \"q\""}}, "say: Running local shell script: inline script\nit's $(date) \"q\"\n", ""},
		{"scripts", config.ShellLocal{Scripts: []string{script, script}}, strings.Repeat("say: Running local shell script: "+script+"\nscript ours\n", 2), ""},
		{"default command, spelled out", config.ShellLocal{Scripts: []string{script}, ExecuteCommand: []string{"/bin/sh", "-c", "{{.Vars}} {{.Script}}"}}, "say: Running local shell script: " + script + "\nscript ours\n", ""},
		{"execute_command", config.ShellLocal{Scripts: []string{script}, ExecuteCommand: []string{"/bin/sh", "-c", `{{.Vars}} sh "{{.Script}}" arg`}, EnvironmentVars: []string{"A=o'k"}}, "say: Running local shell script: " + script + "\nscript arg o'k\n", ""},
		{"valid_exit_codes", config.ShellLocal{Inline: []string{"exit 3"}, ValidExitCodes: []int{3}}, "say: Running local shell script: inline script\n", ""},
		{"signal", config.ShellLocal{Inline: []string{"kill -9 $$"}}, "say: Running local shell script: inline script\nKilled\n", "exited with 137"},
		{"only_on", config.ShellLocal{Inline: []string{"echo never"}, OnlyOn: []string{"windows"}}, "", ""},
		{"shebang", config.ShellLocal{Inline: []string{"hello"}, InlineShebang: "/bin/cat"}, "say: Running local shell script: inline script\n#!/bin/cat\nhello\n", ""},
		{"extension", config.ShellLocal{Inline: []string{`case "$0" in *.bash) echo yes;; esac`}, TempfileExtension: ".bash"}, "say: Running local shell script: inline script\nyes\n", ""},
		{"no such program", config.ShellLocal{Inline: []string{"x"}, ExecuteCommand: []string{"no-such-program-at-all"}}, "say: Running local shell script: inline script\n", "no-such-program-at-all"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := runLocal(t, &tt.p)
			if tt.name == "only_on" {
				if !strings.Contains(out, "Skipping") || strings.Contains(out, "never") {
					t.Errorf("got %q", out)
				}
				return
			}
			if out != tt.want {
				t.Errorf("got %q, want %q", out, tt.want)
			}
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
		})
	}
	if left, _ := filepath.Glob(os.Getenv("TMPDIR") + "/*"); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestCancelEndsTheWholeGroup(t *testing.T) {
	t.Parallel()
	mark := filepath.Join(t.TempDir(), "mark")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := Run(ctx, Command{Path: "/bin/sh", Args: []string{"-c", "(trap '' TERM; sleep 1; touch " + mark + ") & wait"}, Out: &bytes.Buffer{}})
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > grace+2*time.Second {
		t.Errorf("after %s: %v", time.Since(start), err)
	}
}

func TestDaemonDoesNotHoldUs(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the grace period")
	}
	t.Parallel()
	start := time.Now()
	exit, err := Run(t.Context(), Command{Path: "/bin/sh", Args: []string{"-c", "sleep 20 & exit 0"}, Out: &bytes.Buffer{}})
	if exit != 0 || err != nil || time.Since(start) > grace+3*time.Second {
		t.Errorf("after %s: %d, %v", time.Since(start), exit, err)
	}
}

func TestLinuxPath(t *testing.T) {
	t.Parallel()
	if got := linuxPath(`C:\Users\me\x.sh`); got != "/mnt/c/Users/me/x.sh" {
		t.Error(got)
	}
}
