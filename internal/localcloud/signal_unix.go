//go:build unix

package localcloud

import (
	"fmt"
	"syscall"
)

func signalNumber(name string) (syscall.Signal, error) {
	switch name {
	case "", "KILL":
		return syscall.SIGKILL, nil
	case "INT":
		return syscall.SIGINT, nil
	case "TERM":
		return syscall.SIGTERM, nil
	}
	return 0, fmt.Errorf("fault: signal %q, want KILL, INT or TERM", name)
}

// sendSignal signals the process that the fault names, or with a negative number its group.
func sendSignal(pid int, name string) error {
	sig, err := signalNumber(name)
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, sig); err != nil {
		return fmt.Errorf("signal %v to %d: %w", sig, pid, err)
	}
	return nil
}
