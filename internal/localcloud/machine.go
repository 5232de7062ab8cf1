package localcloud

import (
	"context"
	"io"
	"net"

	"github.com/tfbake/tfbake/internal/localcloud/guest"
)

// hypervisor is what the cloud needs to have servers with insides. Package guest provides it; tests that do not care
// about insides use a fake.
type hypervisor interface {
	NewRoot(dir, os string) error
	CopyRoot(dst, src string) error
	CopyDisk(dst, src string) error
	Boot(ctx context.Context, c machineConfig) (machine, error)
}

// machine is one booted guest.
type machine interface {
	ServeConn(conn net.Conn, port int)
	Shutdown(ctx context.Context) error
	Reboot(ctx context.Context) error
	SetDisks(list []guest.Disk)
	Kill()
}

// machineConfig says which guest to boot; the fields are those of guest.Config.
type machineConfig struct {
	Dir, Hostname, OS, RootPassword, UserData string
	FirstBoot                                 bool
	Dial                                      func(ctx context.Context, network, addr string) (net.Conn, error)
	OnPowerOff                                func(reboot bool)
	Log                                       io.Writer
	RootDevice                                string
	RootGB                                    int64
	Disks                                     []guest.Disk
}

// guests is the hypervisor made of package guest.
type guests struct{}

func (guests) NewRoot(dir, os string) error   { return guest.NewRoot(dir, os) }
func (guests) CopyRoot(dst, src string) error { return guest.CopyRoot(dst, src) }
func (guests) CopyDisk(dst, src string) error { return guest.CopyDisk(dst, src) }

func (guests) Boot(ctx context.Context, c machineConfig) (machine, error) {
	g, err := guest.Boot(ctx, guest.Config{Dir: c.Dir, Hostname: c.Hostname, OS: c.OS, RootPassword: c.RootPassword, UserData: c.UserData,
		FirstBoot: c.FirstBoot, Dial: c.Dial, OnPowerOff: c.OnPowerOff, Log: c.Log,
		RootDevice: c.RootDevice, RootGB: c.RootGB, Disks: c.Disks})
	if err != nil {
		return nil, err // not g: a nil *Guest in the interface would not be nil
	}
	return g, nil
}
