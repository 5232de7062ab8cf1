package terraform

import "os"

// On Windows terraform is started as terraform-exec does it: there is no interrupt, so that a cancelled context ends it at
// once, and what it was creating has to be found by its name.
func launcher(o Options, with map[string]string) (program string, env map[string]string) {
	return o.Binary.Path, with
}

// Running tells whether a terraform still works in dir. It is not known on Windows.
func Running(dir string) (pid int, running bool, err error) { return 0, false, nil }

func killGroup(pidFile string) { _ = os.Remove(pidFile) }

func alive(pid int) bool { return true }
