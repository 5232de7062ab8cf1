//go:build !unix

package localcloud

import (
	"errors"
	"os"
)

func signalNumber(name string) (int, error) {
	if name != "" && name != "KILL" {
		return 0, errors.New("fault: only signal KILL exists on this system")
	}
	return 0, nil
}

// sendSignal ends the process that the fault names.
func sendSignal(pid int, _ string) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Kill()
}
