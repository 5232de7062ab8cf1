//go:build unix

package hostcmd

import (
	"os"
	"os/exec"
	"syscall"
)

// isolate gives the child a process group, which is asked to end as a whole: the terminal's Ctrl-C must not reach it
// beside our own signal, and a script's children must not outlive it.
func isolate(cmd *exec.Cmd, noTerminal bool) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: !noTerminal, Setsid: noTerminal} // a session is a group too
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
}

// endGroup kills what is left of the child's group.
func endGroup(cmd *exec.Cmd) {
	if cmd.Process != nil {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
}

func exitCode(s *os.ProcessState) int {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int(w.Signal())
	}
	return s.ExitCode()
}
