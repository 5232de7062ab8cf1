package shared

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tfbake/tfbake/internal/clock"
)

// Owner is the process that works on a run.
type Owner struct {
	ID    string    `json:"id"` // of this hold
	Host  string    `json:"host"`
	PID   int       `json:"pid"`
	Doing string    `json:"doing"` // the command
	Since time.Time `json:"since"`
	Beat  time.Time `json:"beat"` // last sign of life, by its clock

	// Machine and Start tell on the same machine for sure whether the process lives. Empty where that cannot be known.
	Machine string `json:"machine,omitempty"`
	Start   string `json:"start,omitempty"`
}

func (o Owner) String() string {
	return fmt.Sprintf("tfbake %s, pid %d on %s, since %s, last sign of life %s", o.Doing, o.PID, o.Host, o.Since.Local().Format(time.DateTime), o.Beat.Local().Format(time.TimeOnly))
}

func self(doing string) Owner {
	host, _ := os.Hostname()
	now := clock.Now().UTC().Truncate(time.Second)
	return Owner{ID: uuid.NewString(), Host: host, PID: os.Getpid(), Doing: doing, Since: now, Beat: now, Machine: machine(), Start: startOf(os.Getpid())}
}

// here tells whether the owner is, or was, a process that can be seen from this one.
func (o Owner) here() bool { return o.Machine != "" && o.Machine == machine() }

// proven tells whether the owner lives, and whether that is sure: that of another machine it never is.
func (o Owner) proven() (alive, sure bool) {
	if o.here() && o.Start != "" {
		return startOf(o.PID) == o.Start, true
	}
	return false, false
}

// Alive tells whether the owner is to be left alone, as far as can be told without watching it: of another machine by the two
// clocks, which may differ. A sign of life from the future tells nothing.
func (o Owner) Alive(now time.Time) bool {
	if alive, sure := o.proven(); sure {
		return alive
	}
	return now.Sub(o.Beat).Abs() < deadAfter
}

// machine names the running system and its process numbers: a container has its own, and a reboot makes new ones. Empty
// where there is no /proc.
func machine() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	pids, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(boot)) + " " + pids
}

// startOf returns when a process began, in the kernel's ticks; "" when there is none, or only its remains. It is field 22
// of /proc/PID/stat, the state field 3 (proc_pid_stat(5)).
func startOf(pid int) string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	_, rest, ok := bytes.Cut(b[bytes.LastIndexByte(b, ')')+1:], []byte(" "))
	f := bytes.Fields(rest)
	if !ok || len(f) < 20 || string(f[0]) == "Z" || string(f[0]) == "X" {
		return ""
	}
	return string(f[19])
}

// Short is for a table: who, and how long ago the last sign of life was.
func (o Owner) Short(now time.Time) string {
	return fmt.Sprintf("pid %d on %s (%s, seen %s ago)", o.PID, o.Host, o.Doing, max(now.Sub(o.Beat), 0).Round(time.Second))
}
