package provision

import (
	"fmt"
	"strings"
	"time"
)

// Stage is how far an attempt to connect came.
type Stage string

// The stages, in order.
const (
	StageResolve Stage = "name"      // the host name has no address
	StageRoute   Stage = "route"     // no way to the address, or an error of this machine
	StageTimeout Stage = "filtered"  // nothing answers on the address and port
	StageRefused Stage = "refused"   // the machine answers, nothing listens on the port
	StageReset   Stage = "reset"     // connected, then cut off at once
	StageBanner  Stage = "banner"    // connected, but nothing came, or not what an SSH server says
	StageKex     Stage = "handshake" // SSH or TLS could not agree
	StageHostKey Stage = "host key"  // another host key than at the first connection
	StageAuth    Stage = "login"     // every way to log in was refused
	StageSession Stage = "session"   // logged in, but no command can be run
	StageBastion Stage = "bastion"   // the jump host or the proxy is the problem
	StageSetup   Stage = "setup"     // a key file, agent or option of ours is unusable
)

// ConnectError says at which stage the last attempt to reach a server failed, and what to try.
type ConnectError struct {
	Addr     string
	User     string
	Protocol string // "SSH" or "WinRM"
	Stage    Stage
	Tried    []string // ways to log in that were tried
	Attempts int
	Elapsed  time.Duration
	Hints    []string
	Err      error
}

func (e *ConnectError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "connect to %s by %s", e.Addr, e.Protocol)
	if e.Attempts > 1 {
		fmt.Fprintf(&b, " (%d attempts in %s)", e.Attempts, e.Elapsed.Round(time.Second))
	}
	fmt.Fprintf(&b, ": %s", e.Err)
	for _, h := range e.Hints {
		fmt.Fprintf(&b, "\n  - %s", h)
	}
	return b.String()
}

func (e *ConnectError) Unwrap() error { return e.Err }
