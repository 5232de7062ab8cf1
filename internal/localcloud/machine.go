package localcloud

import (
	"context"
	"io"
	"net"
)

// hypervisor is what the cloud needs to have servers with insides; package guest provides it.
type hypervisor interface {
	NewRoot(dir, os string) error
	CopyRoot(dst, src string) error
	Boot(ctx context.Context, c machineConfig) (machine, error)
}

// machine is one booted guest.
type machine interface {
	ServeConn(conn net.Conn, port int)
	Shutdown(ctx context.Context) error
	Reboot(ctx context.Context) error
	Kill()
}

// machineConfig mirrors guest.Config.
type machineConfig struct {
	Dir, Hostname, OS, RootPassword, UserData string
	FirstBoot                                 bool
	Dial                                      func(ctx context.Context, network, addr string) (net.Conn, error)
	OnPowerOff                                func(reboot bool)
	Log                                       io.Writer
}
