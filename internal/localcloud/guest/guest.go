// Package guest is the inside of a simulated server: a real SSH server (or WinRM endpoint) whose shell, commands and
// files live in one private directory of the host.
//
// It simulates and says so: package managers, services and accounts are recorded, not run. Whatever a script says, no
// program of the host is ever started and no file outside the guest's directory is touched.
package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Config says which guest to boot and how it reaches the outside.
type Config struct {
	// Dir holds the guest's whole file system, as laid out by [NewRoot] or [CopyRoot].
	Dir string
	// Hostname is what `hostname` says at first boot.
	Hostname string
	// OS is a name like "ubuntu-22.04", "rocky-8.10", "centos-7.9" or "windows-2019".
	OS string
	// RootPassword lets root (Administrator on Windows) in, until the guest itself changes it.
	RootPassword string
	// UserData is the init script. It runs once, as root, when FirstBoot is set.
	UserData string
	// FirstBoot says that this is a new server: it gets its host name, password and host keys.
	FirstBoot bool
	// Dial reaches other addresses on behalf of the guest (SSH port forwarding). Nil refuses all.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// OnPowerOff is told when the guest shut itself down (reboot false; it then only waits for a new Boot) or restarted
	// itself (reboot true; the guest does that on its own and is about to answer again). It runs on its own goroutine and
	// may call back into the Guest.
	OnPowerOff func(reboot bool)
	// Log gets a few lines on boot, logins and trouble; never a secret. Nil discards.
	Log io.Writer
	// DiskLimit bounds the bytes of the guest's files, and of each additional disk's; 0 means 2 GiB.
	DiskLimit int64
	// RootDevice and RootGB are the name ("/dev/xvda") and size of the root disk, for those who ask.
	RootDevice string
	RootGB     int64
	// Disks are the additional disks attached at boot; see [Guest.SetDisks].
	Disks []Disk
}

// Guest is one running server.
type Guest struct {
	c    Config
	sys  system
	tree *tree

	diskMu sync.Mutex
	disks  []*blockDisk // additional ones, by device name

	procMu sync.Mutex
	pid    int
	procs  map[int]*process

	logMu sync.Mutex
	pkgMu sync.Mutex // package, account and unit files are read and rewritten whole

	mu        sync.Mutex
	state     state
	ctx       context.Context // of this boot
	cancel    context.CancelCauseFunc
	conns     map[io.Closer]bool
	listeners map[int]*remoteListener // ports forwarded into the guest, and none else
	hostKeys  []ssh.Signer
	bootID    string
	booted    time.Time
	reboots   []time.Time
	ending    bool // a shutdown or reboot is on its way

	wg     sync.WaitGroup // sessions and connections of this boot
	initWG sync.WaitGroup // the init script

	winrm *winrmService
}

type state int

const (
	down state = iota
	up
	off // for good: the disk is closed
)

var errPowerOff = errors.New("the simulated server is going down")

// Boot starts the guest and returns at once; the init script runs in the background. ctx ends the guest like Kill.
func Boot(ctx context.Context, c Config) (*Guest, error) {
	d, err := openDisk(c.Dir, c.DiskLimit)
	if err != nil {
		return nil, fmt.Errorf("boot the simulated server: open its files in %s: %w", c.Dir, err)
	}
	t := &tree{main: d}
	g := &Guest{c: c, sys: parseOS(c.OS), tree: t, procs: map[int]*process{}, pid: 400, conns: map[io.Closer]bool{}, listeners: map[int]*remoteListener{}}
	g.winrm = newWinRM(g)
	t.virtual = map[string]func() string{
		"proc/uptime": func() string {
			up := time.Since(g.bootTime()).Seconds()
			return fmt.Sprintf("%.2f %.2f\n", up, 2*up)
		},
		"proc/loadavg":    func() string { return fmt.Sprintf("0.00 0.01 0.05 1/%d %d\n", len(g.processes())+2, g.lastPID()) },
		"proc/mounts":     g.procMounts,
		"proc/partitions": g.procPartitions,
	}
	g.plug(c.Disks)
	if c.FirstBoot {
		err = g.firstBoot()
	}
	if err == nil && (c.FirstBoot || strings.TrimSpace(g.rootView().readString("/etc/hostname")) == "localhost") {
		err = g.setHostname(c.Hostname)
	}
	if err == nil {
		err = g.start()
	}
	if err != nil {
		t.close()
		return nil, fmt.Errorf("boot the simulated server in %s: %w", c.Dir, err)
	}
	context.AfterFunc(ctx, g.Kill)
	return g, nil
}

// firstBoot makes an image into a server.
func (g *Guest) firstBoot() error {
	if err := g.resetForFirstBoot(); err != nil {
		return err
	}
	if g.sys.Family == "windows" {
		return g.setWindowsPassword("Administrator", g.c.RootPassword)
	}
	return g.setPassword("root", g.c.RootPassword)
}

// start brings up one boot.
func (g *Guest) start() error {
	if g.sys.Family == "windows" {
		if err := g.windowsBoot(); err != nil {
			return err
		}
	} else if err := g.bootFiles(); err != nil {
		return err
	}
	g.mountAtBoot()
	keys, err := g.loadHostKeys()
	if err != nil {
		return err
	}
	g.startUnits()
	g.mu.Lock()
	g.ctx, g.cancel = context.WithCancelCause(context.Background())
	g.hostKeys, g.booted, g.ending = keys, time.Now(), false
	g.state = up
	first := g.c.FirstBoot && len(g.reboots) == 0
	g.mu.Unlock()
	g.logf("guest %s: booted %s", g.hostname(), g.sys.Pretty)
	if first {
		g.initWG.Go(func() { g.cloudInit(g.c.UserData) })
	}
	return g.tree.flush()
}

func (g *Guest) bootTime() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.booted
}

func (g *Guest) lastPID() int {
	g.procMu.Lock()
	defer g.procMu.Unlock()
	return g.pid
}

func (g *Guest) logf(format string, a ...any) {
	if g.c.Log == nil {
		return
	}
	g.logMu.Lock()
	defer g.logMu.Unlock()
	fmt.Fprintf(g.c.Log, format+"\n", a...)
}

// enter books a connection of this boot. It fails when the guest is down.
func (g *Guest) enter(c io.Closer) (context.Context, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state != up || g.ending {
		return nil, false
	}
	g.conns[c] = true
	g.wg.Add(1)
	return g.ctx, true
}

func (g *Guest) leave(c io.Closer) {
	g.mu.Lock()
	delete(g.conns, c)
	g.mu.Unlock()
	g.wg.Done()
}

// Serve speaks the protocol of the guest's port (22 SSH, 5985 and 5986 WinRM) on l until l is closed. While the guest
// is down, connections are closed at once.
func (g *Guest) Serve(l net.Listener, port int) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("simulated server: accept on %s: %w", l.Addr(), err)
		}
		go g.ServeConn(conn, port)
	}
}

// ServeConn speaks the protocol of the guest's port on one connection and returns when it ends.
func (g *Guest) ServeConn(conn net.Conn, port int) {
	ctx, ok := g.enter(conn)
	if !ok {
		conn.Close()
		return
	}
	defer g.leave(conn)
	defer conn.Close()
	defer func() {
		if r := recover(); r != nil {
			g.logf("guest %s: connection on port %d: %v", g.hostname(), port, r)
		}
	}()
	switch port {
	case 22:
		if g.sys.Family == "windows" && !g.winrm.sshInstalled() {
			return
		}
		g.serveSSH(ctx, conn)
	case 5985, 5986:
		g.winrm.serve(ctx, conn, port == 5986)
	}
}

// halt ends this boot: all sessions and connections.
func (g *Guest) halt(ctx context.Context, cause error) error {
	g.mu.Lock()
	if g.state != up {
		g.mu.Unlock()
		return nil
	}
	g.state, g.ending = down, true
	g.cancel(cause)
	conns := g.conns
	g.conns = map[io.Closer]bool{}
	g.listeners = map[int]*remoteListener{}
	g.mu.Unlock()
	for c := range conns {
		c.Close()
	}
	done := make(chan struct{})
	go func() { g.wg.Wait(); g.initWG.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop the simulated server %s: its commands did not end: %w", g.hostname(), context.Cause(ctx))
	}
}

// Shutdown stops the guest in order: sessions are ended, running commands waited for, files flushed. The guest cannot
// be used afterwards; its directory can be booted again or copied.
func (g *Guest) Shutdown(ctx context.Context) error {
	err := g.halt(ctx, errPowerOff)
	return errors.Join(err, g.dispose())
}

func (g *Guest) dispose() error {
	g.mu.Lock()
	if g.state == off {
		g.mu.Unlock()
		return nil
	}
	g.state = off
	g.mu.Unlock()
	return g.tree.close()
}

// Kill stops the guest like a pulled plug.
func (g *Guest) Kill() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	g.halt(ctx, errPowerOff)
	g.dispose()
}

// Reboot drops all connections and boots again, with a new boot id.
func (g *Guest) Reboot(ctx context.Context) error { return g.reboot(ctx, nil) }

func (g *Guest) reboot(ctx context.Context, whenDown func()) error {
	g.mu.Lock()
	if g.state == off {
		g.mu.Unlock()
		return errors.New("reboot the simulated server: it is off")
	}
	g.mu.Unlock()
	if err := g.halt(ctx, errPowerOff); err != nil {
		return err
	}
	if err := g.tree.flush(); err != nil {
		return fmt.Errorf("reboot the simulated server: %w", err)
	}
	g.unmountAll()
	if g.sys.Family != "windows" {
		v := g.rootView()
		for _, dir := range []string{"/tmp", "/run"} {
			entries, _ := v.ReadDir(dir)
			for _, e := range entries {
				v.RemoveAll(dir + "/" + e.Name())
			}
		}
	}
	g.mu.Lock()
	g.reboots = append(g.reboots, time.Now())
	g.mu.Unlock()
	if whenDown != nil {
		go whenDown()
	}
	// A client between two requests must be able to see that the server was away.
	t := time.NewTimer(rebootPause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	if err := g.start(); err != nil {
		return fmt.Errorf("reboot the simulated server: %w", err)
	}
	return nil
}

// rebootPause is how long a rebooting guest does not answer.
const rebootPause = 400 * time.Millisecond

// downAfter is how long after `shutdown` or `reboot` the guest goes: the command itself still ends in order.
const downAfter = 150 * time.Millisecond

// selfPower shuts the guest down or reboots it, on its own wish.
func (g *Guest) selfPower(reboot bool, after time.Duration) {
	g.mu.Lock()
	if g.ending || g.state != up {
		g.mu.Unlock()
		return
	}
	boot := g.ctx
	g.ending = after <= downAfter // no new logins
	g.mu.Unlock()
	go func() {
		t := time.NewTimer(max(after, downAfter))
		defer t.Stop()
		select {
		case <-t.C:
		case <-boot.Done():
			return // something else stopped it first
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if reboot {
			if err := g.reboot(ctx, func() {
				if g.c.OnPowerOff != nil {
					g.c.OnPowerOff(true)
				}
			}); err != nil {
				g.logf("guest %s: %v", g.hostname(), err)
			}
			return
		}
		if err := g.halt(ctx, errPowerOff); err != nil {
			g.logf("guest: %v", err)
		}
		g.tree.flush()
		if g.c.OnPowerOff != nil {
			g.c.OnPowerOff(false)
		}
	}()
}

func (g *Guest) hostname() string {
	file := "/etc/hostname"
	if g.sys.Family == "windows" {
		file = "/Windows/System32/tfbake-hostname"
	}
	if h := strings.TrimSpace(g.rootView().readString(file)); h != "" {
		return h
	}
	return "localhost"
}

func (g *Guest) setHostname(name string) error {
	if name == "" {
		return nil
	}
	v := g.rootView()
	if g.sys.Family == "windows" {
		return v.WriteFile("/Windows/System32/tfbake-hostname", []byte(name+"\n"), 0o644)
	}
	if err := v.WriteFile("/etc/hostname", []byte(name+"\n"), 0o644); err != nil {
		return err
	}
	hosts := v.readString("/etc/hosts")
	if !strings.Contains(hosts, name) {
		return v.WriteFile("/etc/hosts", []byte(hosts+"127.0.1.1\t"+name+"\n"), 0o644)
	}
	return nil
}

// cloudInit runs the init script as cloud-init does and leaves its traces.
func (g *Guest) cloudInit(script string) {
	g.mu.Lock()
	ctx := g.ctx
	g.mu.Unlock()
	if g.sys.Family == "windows" {
		g.windowsInit(ctx, script)
		return
	}
	v := g.rootView()
	stamp := func() string { return time.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 +0000") }
	v.MkdirAll("/var/lib/cloud/instance/scripts", 0o755)
	log, err := v.OpenFile("/var/log/cloud-init-output.log", openAppend, 0o640)
	if err != nil {
		g.logf("guest %s: cloud-init: %v", g.hostname(), err)
		return
	}
	out := &lockedWriter{w: log}
	fmt.Fprintf(out, "Cloud-init v. 23.1 (simulated by tfbake) running 'modules:final' at %s.\n", stamp())
	code := 0
	if strings.TrimSpace(script) != "" {
		const file = "/var/lib/cloud/instance/scripts/part-001"
		code = 1
		if err := v.WriteFile(file, []byte(strings.ReplaceAll(script, "\r\n", "\n")), 0o700); err != nil {
			fmt.Fprintln(out, err)
		} else {
			v.Chmod(file, 0o700)
			code = g.runInit(ctx, file, script, out)
		}
		if code != 0 {
			fmt.Fprintf(out, "cc_scripts_user.py[WARNING]: Failed to run module scripts-user: the init script ended with %d\n", code)
			g.logf("guest %s: the init script ended with %d; see /var/log/cloud-init-output.log in the guest", g.hostname(), code)
		}
	}
	fmt.Fprintf(out, "Cloud-init v. 23.1 (simulated by tfbake) finished at %s. Datasource DataSourceNone. Up %.2f seconds\n", stamp(), time.Since(g.bootTime()).Seconds())
	log.Close()
	if ctx.Err() == nil {
		v.MkdirAll("/var/lib/cloud/data", 0o755)
		v.WriteFile("/var/lib/cloud/data/result.json", fmt.Appendf(nil, "{\"v1\": {\"datasource\": \"DataSourceNone\", \"errors\": [%s]}}\n",
			map[bool]string{true: `"scripts-user failed"`}[code != 0]), 0o644)
		v.WriteFile("/var/lib/cloud/instance/boot-finished", []byte(stamp()+"\n"), 0o644)
	}
	g.tree.flush()
}

func (g *Guest) runInit(ctx context.Context, file, script string, out io.Writer) int {
	if !strings.HasPrefix(script, "#!") {
		fmt.Fprintf(out, "Unhandled non-multipart (text/x-not-multipart) userdata: the init script must begin with #! and its interpreter\n")
		return 1
	}
	a, ok := g.account("root")
	if !ok {
		return 1
	}
	s := g.newSession(ctx)
	defer s.cancel(nil)
	p := &proc{g: g, s: s, ctx: s.ctx, out: out, err: out, env: g.environment(a), dir: "/", who: a, v: g.viewFor(a, nil), pid: 1}
	delete(p.env, "LANG")
	return p.exec([]string{file})
}

// lockedWriter serialises writers.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}
