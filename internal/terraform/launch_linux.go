package terraform

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// outliveParent replaces the SIGKILL that terraform-exec has ordered for the parent's death by an interrupt.
func outliveParent(parent int) error {
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGINT), 0, 0, 0); err != nil {
		return fmt.Errorf("ask for an interrupt at the parent's death: %w", err)
	}
	if unix.Getppid() != parent { // died before we asked
		return errors.New("the tfbake that started this is gone")
	}
	return nil
}

func dup(from, to int) error { return unix.Dup3(from, to, 0) }
