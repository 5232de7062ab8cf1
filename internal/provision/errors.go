package provision

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
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
	StageBanner  Stage = "banner"    // connected, but nothing came, or not what such a server says
	StageKex     Stage = "handshake" // SSH or TLS could not agree
	StageHostKey Stage = "host key"  // another host key than at the first connection
	StageAuth    Stage = "login"     // every way to log in was refused
	StageUser    Stage = "user"      // the server wants another user
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
		fmt.Fprintf(&b, " (%d attempts in %s)", e.Attempts, max(e.Elapsed.Round(time.Second), time.Second))
	}
	fmt.Fprintf(&b, ": %s", e.Err)
	for _, h := range e.Hints {
		fmt.Fprintf(&b, "\n  - %s", h)
	}
	return b.String()
}

func (e *ConnectError) Unwrap() error { return e.Err }

// stageError is an error with the stage it belongs to.
func stageError(s Stage, format string, args ...any) *ConnectError {
	return &ConnectError{Stage: s, Err: fmt.Errorf(format, args...)}
}

// dialError tells what a failed TCP connection means. The address is the server's, a bastion's or a proxy's.
func dialError(err error, addr string) *ConnectError {
	host, port, _ := net.SplitHostPort(addr)
	var dns *net.DNSError
	var channel *ssh.OpenChannelError
	text := strings.ToLower(err.Error())
	switch {
	case errors.As(err, &dns):
		return stageError(StageResolve, "no address is known for the name %s: %w", host, err)
	case errors.Is(err, syscall.ECONNREFUSED),
		errors.As(err, &channel) && strings.Contains(text, "refused"):
		return stageError(StageRefused, "%s answers, but nothing listens on port %s: %w", host, port, err)
	case isTimeout(err), errors.As(err, &channel) && strings.Contains(text, "timed out"):
		return stageError(StageTimeout, "nothing answers on %s: %w", addr, err)
	case isReset(err):
		return stageError(StageReset, "%s cuts the connection off: %w", addr, err)
	case errors.As(err, &channel) && channel.Reason == ssh.Prohibited:
		return stageError(StageBastion, "the bastion does not allow forwarding to %s: %w", addr, err)
	}
	return stageError(StageRoute, "no way to %s: %w", addr, err)
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout() || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.Is(err, errWaitedEnough)
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed)
}

// hints says what to try next, from the stage and from what the caller knows about the server.
func hints(e *ConnectError, port int, f Facts) []string {
	var h []string
	acg := func(why string) {
		switch {
		case f.OwnACG && len(f.SourceCIDRs) > 0:
			h = append(h, fmt.Sprintf("the access control group lets in %s only, to port %d: %s", strings.Join(f.SourceCIDRs, ", "), port, why))
		case f.OwnACG:
			h = append(h, fmt.Sprintf("the access control group must let this machine's public address in to port %d", port))
		case f.ACGNo != "":
			h = append(h, fmt.Sprintf("does access control group %s of the template allow this machine's public address to port %d (TCP, inbound)?", f.ACGNo, port))
		default:
			h = append(h, fmt.Sprintf("does the server's access control group allow this machine's public address to port %d (TCP, inbound)?", port))
		}
	}
	switch e.Stage {
	case StageResolve:
		h = append(h, "check ssh_host or winrm_host in the template and this machine's DNS")
	case StageRoute:
		h = append(h, "check this machine's network, VPN and firewall")
	case StageTimeout:
		acg("if this machine leaves by another address (proxy, VPN), set source_cidrs")
		h = append(h, "a network ACL of the subnet, or a firewall on the way here, may drop the packets")
	case StageRefused:
		h = append(h, fmt.Sprintf("the server is up but its %s service is not (yet), or listens on another port than %d", e.Protocol, port))
	case StageReset, StageBanner:
		h = append(h, fmt.Sprintf("is it really %s that listens on port %d? A firewall or a proxy on the way can also answer in its place", e.Protocol, port))
	case StageKex:
		if e.Protocol == "SSH" {
			h = append(h, "ssh_ciphers and ssh_key_exchange_algorithms narrow what is offered; without them everything sound is")
		} else {
			h = append(h, "winrm_insecure accepts the server's own certificate; winrm_use_ssl: false uses port 5985")
		}
	case StageHostKey:
		h = append(h, "if a provisioner made new host keys, no step may need to connect after it; otherwise another machine answers on this address")
	case StageAuth:
		h = append(h, fmt.Sprintf("the user is %q: is it the image's user, and may it log in with %s?", e.User, orNone(e.Tried)))
		if e.Protocol == "WinRM" {
			h = append(h, "basic login needs winrm/config/service/auth Basic=true, and AllowUnencrypted=true without winrm_use_ssl; winrm_use_ntlm needs the latter too")
		}
	case StageUser:
		h = append(h, "set ssh_username to the user that the server names")
	}
	if f.PrivateIP && (e.Stage == StageTimeout || e.Stage == StageRoute) {
		h = append(h, "the address is private: it is reached from inside the VPC, over a VPN, or with ssh_bastion_host; otherwise the server needs a public IP")
	}
	if f.InitScript && (e.Stage == StageTimeout || e.Stage == StageRefused || e.Stage == StageAuth || e.Stage == StageBanner || e.Stage == StageReset) {
		h = append(h, "user_data may still be running, or has changed the service: raise "+strings.ToLower(e.Protocol)+"_timeout, or look at the server's init log")
	}
	return h
}

func orNone(tried []string) string {
	if len(tried) == 0 {
		return "nothing (there is neither a password nor a key)"
	}
	return strings.Join(tried, ", ")
}
