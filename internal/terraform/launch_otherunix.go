//go:build unix && !linux

package terraform

import "golang.org/x/sys/unix"

// outliveParent: nothing ends terraform at the parent's death here, nor can it be told.
func outliveParent(int) error { return nil }

func dup(from, to int) error { return unix.Dup2(from, to) }
