//go:build unix

package terraform

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// terraform is started through this very program, which arranges its life and then becomes terraform by exec: the
// process id stays. terraform-exec has no hook for any of this. What is arranged:
//
//   - A process group of its own on every unix (terraform-exec does it on Linux only), so that the terminal's Ctrl-C does
//     not reach terraform beside our own interrupt: two interrupts make it quit at once and lose state.
//   - Output into the run directory's log file instead of a pipe, see follower.
//   - On Linux, an interrupt instead of SIGKILL when we die: terraform then finishes the create it is at and writes it into
//     the state, where a cleanup finds it. Elsewhere it goes on until it is done.
//   - The process id in PidFile or askPidFile, locked by an inherited descriptor until terraform and its provider are gone:
//     Kill and Running rely on it.
//
// launchProgram and its like ask for it, and are taken out of the environment before the exec.

// init and not a function for main to call: whoever imports this package can start terraform, test binaries included,
// and one that forgot the call would start itself over and over.
func init() {
	if program := os.Getenv(launchProgram); program != "" {
		fmt.Fprintf(os.Stderr, "start terraform: %v\n", launch(program))
		os.Exit(1)
	}
}

// launcher returns what to start for terraform and with which environment, beside that of terraform itself.
func launcher(o Options, with map[string]string) (program string, env map[string]string) {
	self, err := os.Executable()
	if err != nil {
		return o.Binary.Path, with // terraform-exec's own arrangements must do
	}
	if runtime.GOOS == "linux" {
		self = "/proc/self/exe" // also when the file was replaced by a newer tfbake meanwhile
	}
	env = maps.Clone(with)
	env[launchProgram] = o.Binary.Path
	env[launchDir] = o.Dir
	env[launchParent] = strconv.Itoa(os.Getpid())
	return self, env
}

// logged are the commands whose output is the story; the others answer through the pipe, to terraform-exec.
var logged = []string{"init", "apply", "destroy"}

// launch becomes terraform. It returns only with an error.
func launch(program string) error {
	runtime.LockOSThread() // the parent-death signal belongs to the thread that becomes the process
	dir := os.Getenv(launchDir)
	parent, _ := strconv.Atoi(os.Getenv(launchParent))

	unix.Umask(0o077) // terraform writes its state with whatever is left
	if unix.Getpgrp() != unix.Getpid() {
		if err := unix.Setpgid(0, 0); err != nil {
			return fmt.Errorf("make a process group: %w", err)
		}
	}
	if len(os.Args) > 1 && slices.Contains(logged, os.Args[1]) {
		if err := outliveParent(parent); err != nil {
			return err
		}
		if err := lockPid(filepath.Join(dir, PidFile)); err != nil {
			return err
		}
		logTo(filepath.Join(dir, LogFile))
	} else if dir != "" {
		_ = lockPid(filepath.Join(dir, askPidFile)) // without it, Kill takes askGrace
	}
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "TFBAKE_LAUNCH_") })
	if err := unix.Exec(program, append([]string{program}, os.Args[1:]...), env); err != nil {
		return fmt.Errorf("%s: %w", program, err)
	}
	return nil
}

// logTo sends standard output and error to the file's end. Where that is not possible (a full disk), the pipes stay.
func logTo(path string) {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_APPEND|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return
	}
	if dup(fd, 1) == nil {
		_ = dup(fd, 2)
	}
}

// lockPid writes our process id into the file and keeps it locked through a descriptor that terraform and its provider
// inherit.
func lockPid(path string) error {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT, 0o600) // no O_CLOEXEC
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("lock %s: another terraform works in this directory: %w", path, err)
	}
	if err := unix.Ftruncate(fd, 0); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if _, err := unix.Pwrite(fd, []byte(strconv.Itoa(unix.Getpid())+"\n"), 0); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// Running tells whether a terraform (or its provider) started by any tfbake still works in dir, and its process id.
func Running(dir string) (pid int, running bool, err error) {
	return holder(filepath.Join(dir, PidFile))
}

// holder tells whether a process locks a pid file, and the id in it.
func holder(path string) (pid int, running bool, err error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("open %s: %w", path, err)
	}
	defer unix.Close(fd)
	err = unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB)
	if err == nil {
		return 0, false, nil
	}
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return 0, false, fmt.Errorf("lock %s: %w", path, err)
	}
	pid, err = readPid(path)
	return pid, true, err
}

// killGroup kills the terraform whose process id is in the file, with all it started. The lock tells that the id is
// not somebody else's by now.
func killGroup(pidFile string) {
	pid, running, err := holder(pidFile)
	if err == nil && running && pid > 1 { // 0 and 1 would mean everyone
		_ = unix.Kill(-pid, unix.SIGKILL)
	}
}

// alive tells whether the process exists and has not ended. In a container there may be nobody to bury it.
func alive(pid int) bool {
	if errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // "7 (terraform) Z …", on Linux
	return err != nil || !strings.HasPrefix(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " Z")
}
