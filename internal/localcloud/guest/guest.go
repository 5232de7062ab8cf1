// Package guest is the inside of a simulated server: a real SSH server (or WinRM endpoint) whose shell, commands and
// files live in one private directory of the host.
//
// It simulates and says so: package managers, services and accounts are recorded, not run. Whatever a script says, no
// program of the host is ever started and no file outside the guest's directory is touched.
package guest

import (
	"context"
	"errors"
	"io"
	"net"
)

// Config says which guest to boot and how it reaches the outside.
type Config struct {
	// Dir holds the guest's whole file system, as laid out by [NewRoot] or [CopyRoot].
	Dir string
	// Hostname is what `hostname` says at first boot.
	Hostname string
	// OS is a name like "ubuntu-22.04", "rocky-8.10", "centos-7.9" or "windows-2019".
	OS string
	// RootPassword lets root (Administrator on Windows) in.
	RootPassword string
	// UserData is the init script. It runs once, as root, when FirstBoot is set.
	UserData  string
	FirstBoot bool
	// Dial reaches other addresses on behalf of the guest (SSH port forwarding). Nil refuses all.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// OnPowerOff is told when the guest shut itself down (reboot false) or restarted itself (reboot true). It runs on
	// its own goroutine and may call back into the Guest.
	OnPowerOff func(reboot bool)
	// Log gets a few lines on boot, logins and trouble; never a secret. Nil discards.
	Log io.Writer
	// DiskLimit bounds the bytes of the guest's files; 0 means 2 GiB.
	DiskLimit int64
}

var errNotYet = errors.New("guest: not built yet")

// Guest is one running server.
type Guest struct{}

// NewRoot lays out a fresh file system of the given OS in dir, which is created.
func NewRoot(dir, os string) error { return errNotYet }

// CopyRoot copies a guest's file system, with modes, owners, links and times, from src to dst, which must not exist or
// be empty. The guest in src must not be running.
func CopyRoot(dst, src string) error { return errNotYet }

// Boot starts the guest and returns at once; the init script runs in the background.
func Boot(ctx context.Context, c Config) (*Guest, error) { return nil, errNotYet }

// Serve speaks the protocol of the guest's port (22 SSH, 5985 and 5986 WinRM) on l until l is closed.
func (g *Guest) Serve(l net.Listener, port int) error { return errNotYet }

// ServeConn speaks the protocol of the guest's port on one connection and returns when it ends.
func (g *Guest) ServeConn(conn net.Conn, port int) { conn.Close() }

// Shutdown stops the guest in order: sessions are ended, running commands waited for, files flushed.
func (g *Guest) Shutdown(ctx context.Context) error { return errNotYet }

// Reboot drops all connections and boots again, with a new boot id.
func (g *Guest) Reboot(ctx context.Context) error { return errNotYet }

// Kill stops the guest like a pulled plug.
func (g *Guest) Kill() {}
