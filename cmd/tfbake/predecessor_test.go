//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tfbake/tfbake/internal/redact"
	"github.com/tfbake/tfbake/internal/terraform"
	"github.com/tfbake/tfbake/internal/ui"
)

// Terraform was killed and its provider lives on, which holds the lock: cleanup, destroy and resume must not wait for it.
func TestKilledTerraformIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lock, err := os.OpenFile(filepath.Join(dir, terraform.PidFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	tf := exec.Command("sh", "-c", "sleep 600 & echo; wait") // the sleep is the provider
	tf.ExtraFiles = []*os.File{lock}
	tf.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := tf.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tf.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-tf.Process.Pid, syscall.SIGKILL) })
	fmt.Fprintln(lock, tf.Process.Pid)
	lock.Close()
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := tf.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	tf.Process.Wait()
	if _, running, err := terraform.Running(dir); err != nil || !running {
		t.Fatalf("running: %v, %v", running, err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := waitForTerraform(ctx, dir, ui.New(io.Discard, redact.New(), ui.Options{})); err != nil {
		t.Error(err)
	}
	if _, running, err := terraform.Running(dir); err != nil || running {
		t.Errorf("afterwards running: %v, %v", running, err)
	}
}
