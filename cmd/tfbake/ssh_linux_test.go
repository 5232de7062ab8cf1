package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestSSHAtATerminal: a person logs in while the bake is under way, in a shell with a terminal of their own, and lets the
// provisioner that waits for a file go on.
func TestSSHAtATerminal(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	t.Parallel()
	person, tty := openTerminal(t)
	waits := strings.Replace(kvmWithDisk, `"echo one >> /root/steps"`, `"echo here-we-are", "until test -e /root/go; do sleep 0.1; done"`, 1)
	v := newVictim(t, waits)
	bake := v.start("run", "bake.json")
	bake.waitForText("here-we-are")

	before := *termios(t, tty)
	cmd := v.command("ssh", v.onlyRun())
	cmd.Env = append(cmd.Env, "TERM=vt220")
	cmd.Stdin, cmd.Stdout = tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	ssh := v.begin(cmd)
	ssh.waitFor("the terminal is raw", func() bool { return termios(t, tty).Lflag&unix.ICANON == 0 })
	fmt.Fprint(person, "echo kind-$TERM; touch /root/go; exit 7\r")
	var shown strings.Builder
	for buf := make([]byte, 4096); !strings.Contains(shown.String(), "kind-vt220"); {
		person.SetReadDeadline(time.Now().Add(2 * time.Minute))
		n, err := person.Read(buf)
		if shown.Write(buf[:n]); err != nil {
			t.Fatalf("%v; shown so far:\n%s\n%s", err, shown.String(), ssh.stderr.String())
		}
	}
	if r := ssh.wait(); r.code != 7 {
		t.Errorf("exit code %d:\n%s", r.code, r.stderr)
	}
	if after := *termios(t, tty); after != before {
		t.Errorf("the terminal was %+v and is %+v", before, after)
	}
	if r := bake.wait(); r.code != exitOK {
		t.Errorf("the bake: exit code %d:\n%s", r.code, r.stderr)
	}
	v.expect(1)
}

func termios(t *testing.T, tty *os.File) *unix.Termios {
	t.Helper()
	s, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// openTerminal returns the person's end of a terminal, and the program's.
func openTerminal(t *testing.T) (person, tty *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skip(err)
	}
	person = os.NewFile(uintptr(fd), "/dev/ptmx") // not blocking, so that a read can have a deadline
	t.Cleanup(func() { person.Close() })
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	if tty, err = os.OpenFile(filepath.Join("/dev/pts", fmt.Sprint(n)), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { tty.Close() })
	return person, tty
}
