package localcloud

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tfbake/tfbake/internal/localcloud/guest"
)

// Objects change by themselves: an API call sets a state and queues the steps that follow (phase.Next). settle applies
// the steps that are due. It runs before and after every call, and at the time of the next due step, so that a server
// answers SSH although nobody polls the API. There is no goroutine per object; only jobs, work on files and guests that
// must not hold the lock, have one.

// Jobs a step may wait for.
const (
	jobPrepare  = "prepare"  // server: lay out its files and its disks', fresh or from its image; disk: from its snapshot
	jobShutdown = "shutdown" // server: stop the guest
	jobReboot   = "reboot"   // server: restart the guest
	jobCapture  = "capture"  // image: copy the server's files
)

// What happens when a step is reached.
const (
	thenBoot       = "boot"       // server: start the guest
	thenGone       = "gone"       // anything: it no longer exists
	thenFree       = "free"       // disk, public IP, NIC: it no longer belongs to a server
	thenServerFree = "serverFree" // image: its server may be used again
)

type job struct {
	done bool
	err  error
}

// settle brings every object to the present. c.mu is held.
func (c *Cloud) settle() {
	now := time.Now()
	for again := true; again; {
		again = false
		for _, t := range c.st.things() {
			if c.advance(t, now) {
				again = true
				c.dirty = true
			}
		}
	}
	c.syncListeners()
	c.syncDisks()
	c.saveIfDirty()

	next := now.Add(time.Hour)
	for _, t := range c.st.things() {
		if n := t.common().Next; len(n) > 0 && !t.common().Stuck && n[0].At.After(now) && n[0].At.Before(next) {
			next = n[0].At
		}
	}
	for _, m := range c.machines {
		if m.ready.After(now) && m.ready.Before(next) {
			next = m.ready
		}
	}
	c.timer.Reset(max(time.Until(next), time.Millisecond))
}

// saveIfDirty writes the state if something changed. A state that cannot be written is told, not fatal: the simulation
// goes on, only a restart would not know of it.
func (c *Cloud) saveIfDirty() {
	if !c.dirty || c.closed {
		return
	}
	c.dirty = false
	if c.temp {
		return
	}
	if err := c.st.save(c.dir); err != nil {
		c.logf("state not saved: %v", err)
	}
}

// advance takes the object's next step if it is due.
func (c *Cloud) advance(t thing, now time.Time) bool {
	b := t.common()
	if len(b.Next) == 0 || b.Stuck {
		return false
	}
	s := b.Next[0]
	var jobErr error
	if s.Job != "" {
		j := c.job(t, s.Job)
		if !j.done {
			return false
		}
		jobErr = j.err
	}
	if s.At.After(now) {
		return false
	}
	if s.Job != "" {
		delete(c.jobs, jobKey(t, s.Job))
	}
	b.Next = b.Next[1:]
	if s.Status != "" {
		b.Status = s.Status
	}
	b.Op = s.Op
	b.StatusName = s.StatusName
	if srv, ok := t.(*server); ok && s.StatusName == "" {
		srv.StatusName = serverStatusName(srv.Status)
	}
	if jobErr != nil || b.Failed && (s.Job == jobPrepare || s.Job == jobCapture) {
		c.fail(t, jobErr)
		return true
	}
	switch s.Then {
	case thenBoot:
		c.boot(t.(*server))
	case thenGone:
		c.remove(t)
	case thenFree:
		c.free(t)
	case thenServerFree:
		c.releaseSource(t.(*image))
	}
	return true
}

// fail puts an object into its failed state; err is nil when a fault asked for it.
func (c *Cloud) fail(t thing, err error) {
	b := t.common()
	b.Next, b.Failed = nil, false
	switch t := t.(type) {
	case *server:
		t.set("FSTOP", "NULL", "repairing")
	case *image:
		t.set("CREFL", "NULL", "createFailed")
		c.releaseSource(t)
	}
	if err != nil {
		c.logf("%s %s: %v", b.Platform, b.No, err)
	}
}

func (c *Cloud) releaseSource(i *image) {
	if s := c.st.Servers[i.ServerNo]; s != nil && s.Op == "COPY" {
		s.Op, s.StatusName = "NULL", serverStatusName(s.Status)
		s.Next = nil
	}
}

// free ends the belonging of a disk, public IP or NIC to its server.
func (c *Cloud) free(t thing) {
	switch t := t.(type) {
	case *disk:
		t.ServerNo, t.Device = "", ""
	case *publicIP:
		if s := c.st.Servers[t.ServerNo]; s != nil && s.PublicIPNo == t.No {
			s.PublicIPNo = ""
		}
		t.ServerNo = ""
	case *nic:
		t.ServerNo, t.Device, t.Default = "", "", false
	}
}

// remove takes an object out of the account, with what goes along.
func (c *Cloud) remove(t thing) {
	switch t := t.(type) {
	case *server:
		c.powerOff(t.No)
		for no, n := range c.st.NICs {
			if n.ServerNo != t.No {
				continue
			}
			if n.WithServer {
				delete(c.st.NICs, no)
			} else {
				c.free(n)
				n.Next = nil
				n.set("NOTUSED", "", "")
			}
		}
		for no, d := range c.st.Disks {
			if d.ServerNo != t.No {
				continue
			}
			if d.Root {
				delete(c.st.Disks, no)
			} else {
				// Additional storage outlives its server.
				c.free(d)
				d.Next = nil
				d.set("CREAT", "NULL", "detached")
			}
		}
		if ip := c.st.PublicIPs[t.PublicIPNo]; ip != nil {
			c.free(ip)
			ip.Next = nil
			c.setIdleIP(ip)
		}
		c.st.PortForwards = without(c.st.PortForwards, func(f portForward) bool { return f.ServerNo == t.No })
		c.st.Tags = without(c.st.Tags, func(g tag) bool { return g.InstanceNo == t.No })
		delete(c.st.Servers, t.No)
		c.wipe(c.guestDir(t.No))
	case *image:
		delete(c.st.Images, t.No)
		c.wipe(c.imageDir(t.No))
		c.releaseSource(t)
	case *disk:
		delete(c.st.Disks, t.No)
		c.wipe(c.diskDir(t.No))
	case *snapshot:
		delete(c.st.Snapshots, t.No)
		c.wipe(c.snapshotDir(t.No))
	case *publicIP:
		c.free(t)
		delete(c.st.PublicIPs, t.No)
		c.releaseAddress(t.IP)
	case *nic:
		delete(c.st.NICs, t.No)
	case *acg:
		delete(c.st.ACGs, t.No)
	}
}

// setIdleIP gives a public IP that belongs to no server the state of its platform.
func (c *Cloud) setIdleIP(ip *publicIP) {
	if ip.Platform == classic {
		ip.set("CREAT", "NULL", "created")
	} else {
		ip.set("RUN", "NULL", "운영중")
	}
}

func without[T any](list []T, drop func(T) bool) []T {
	var out []T
	for _, v := range list {
		if !drop(v) {
			out = append(out, v)
		}
	}
	return out
}

func (c *Cloud) guestDir(no string) string    { return filepath.Join(c.dir, "guests", no) }
func (c *Cloud) imageDir(no string) string    { return filepath.Join(c.dir, "images", no) }
func (c *Cloud) diskDir(no string) string     { return filepath.Join(c.dir, "disks", no) }
func (c *Cloud) snapshotDir(no string) string { return filepath.Join(c.dir, "snapshots", no) }

// wipe removes a directory in the background. It is renamed first, so that a number used again never meets old files.
func (c *Cloud) wipe(dir string) {
	trash := dir + ".gone"
	if os.Rename(dir, trash) != nil {
		return // nothing was laid out yet
	}
	c.background(func() { os.RemoveAll(trash) })
}

func (c *Cloud) background(f func()) {
	c.wg.Add(1)
	go func() {
		defer c.wg.Done()
		f()
	}()
}

func jobKey(t thing, kind string) string { return t.common().No + "/" + kind }

// job returns the object's job, starting it the first time. Jobs are not kept in state.json: after a restart the step
// is still there and its job starts again, so each begins by removing what a cut-off one left.
func (c *Cloud) job(t thing, kind string) *job {
	key := jobKey(t, kind)
	if j := c.jobs[key]; j != nil {
		return j
	}
	j := &job{}
	c.jobs[key] = j
	work := c.jobWork(t, kind)
	c.background(func() {
		err := work()
		c.mu.Lock()
		defer c.mu.Unlock()
		j.done, j.err = true, err
		if !c.closed {
			c.settle()
		}
	})
	return j
}

// jobWork captures, under the lock, what a job needs, and returns the work itself.
func (c *Cloud) jobWork(t thing, kind string) func() error {
	switch t := t.(type) {
	case *server:
		dir, osName, source := c.guestDir(t.No), t.OS, t.SourceImageNo
		from := c.imageDir(source)
		m := c.machines[t.No]
		switch kind {
		case jobPrepare:
			var disks []func() error
			for _, d := range sorted(c.st.Disks) {
				if d.ServerNo == t.No {
					disks = append(disks, c.fillDisk(d))
				}
			}
			return func() error {
				for _, fill := range disks {
					if err := fill(); err != nil {
						return err
					}
				}
				return c.layOut(dir, osName, source, from)
			}
		case jobShutdown:
			if m == nil {
				return func() error { return nil }
			}
			m.stopping = true
			return func() error {
				ctx, cancel := context.WithTimeout(c.ctx, 30*time.Second)
				defer cancel()
				if err := m.Shutdown(ctx); err != nil {
					c.logf("server %s does not stop in order, pulling the plug: %v", t.No, err)
					m.Kill()
				}
				c.mu.Lock()
				defer c.mu.Unlock()
				if c.machines[t.No] == m {
					delete(c.machines, t.No)
				}
				return nil
			}
		case jobReboot:
			if m == nil {
				return func() error { return nil }
			}
			return func() error {
				ctx, cancel := context.WithTimeout(c.ctx, 30*time.Second)
				defer cancel()
				return m.Reboot(ctx)
			}
		}
	case *image:
		from := c.guestDir(t.ServerNo)
		if t.SnapshotNo != "" {
			from = c.snapshotDir(t.SnapshotNo)
		}
		type pair struct{ dst, src string }
		var disks []pair
		for _, d := range t.ExtraDisks {
			switch {
			case d.DiskNo != "":
				disks = append(disks, pair{t.diskDir(d), c.diskDir(d.DiskNo)})
			case d.SnapshotNo != "":
				disks = append(disks, pair{t.diskDir(d), c.snapshotDir(d.SnapshotNo)})
			}
		}
		return func() error {
			if err := c.copyRoot(c.imageDir(t.No), from); err != nil {
				return err
			}
			for _, d := range disks {
				if err := c.hv.CopyDisk(filepath.Join(c.dir, d.dst), d.src); err != nil {
					return err
				}
			}
			return nil
		}
	case *snapshot:
		d := c.st.Disks[t.DiskNo]
		if d == nil {
			return func() error { return nil }
		}
		if !d.Root {
			return func() error { return c.copyDisk(c.snapshotDir(t.No), c.diskDir(d.No)) }
		}
		return func() error { return c.copyRoot(c.snapshotDir(t.No), c.guestDir(d.ServerNo)) }
	case *disk:
		return c.fillDisk(t)
	}
	panic(fmt.Sprintf("localcloud: no job %q for %T", kind, t))
}

func (c *Cloud) layOut(dir, osName, source, from string) error {
	if source != "" {
		return c.copyRoot(dir, from)
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	return c.hv.NewRoot(dir, osName)
}

// copyRoot copies a guest's files in place only when complete.
func (c *Cloud) copyRoot(dst, src string) error {
	part := dst + ".part"
	if err := os.RemoveAll(part); err != nil {
		return err
	}
	if err := os.RemoveAll(dst); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dst), 0o700); err != nil {
		return err
	}
	if err := c.hv.CopyRoot(part, src); err != nil {
		return fmt.Errorf("copy %s: %w", src, err)
	}
	return os.Rename(part, dst)
}

// fillDisk returns the work of copying what a new disk begins with. c.mu is held.
func (c *Cloud) fillDisk(d *disk) func() error {
	if d.Source == "" {
		return func() error { return nil }
	}
	dst, src := c.diskDir(d.No), filepath.Join(c.dir, d.Source)
	return func() error { return c.copyDisk(dst, src) }
}

func (c *Cloud) copyDisk(dst, src string) error {
	if err := os.RemoveAll(dst); err != nil {
		return err
	}
	return c.hv.CopyDisk(dst, src)
}

// disksOf lists the additional disks that a server's system sees. A disk that is being attached is seen when it is, but
// those of a server that boots from the start.
func (c *Cloud) disksOf(no string, booting bool) []guest.Disk {
	var list []guest.Disk
	for _, d := range sorted(c.st.Disks) {
		if d.ServerNo == no && !d.Root && d.Device != "" && (booting || d.Status == "ATTAC") {
			list = append(list, guest.Disk{Device: d.Device, SizeGB: d.SizeGB, Dir: c.diskDir(d.No)})
		}
	}
	return list
}

// syncDisks tells running guests which disks they have.
func (c *Cloud) syncDisks() {
	for no, m := range c.machines {
		list := c.disksOf(no, false)
		for _, d := range c.disksOf(no, true) {
			if slices.Contains(m.disks, d) && !slices.Contains(list, d) {
				list = append(list, d) // seen since the boot, or being detached
			}
		}
		slices.SortFunc(list, func(a, b guest.Disk) int { return strings.Compare(a.Device, b.Device) })
		if !slices.Equal(list, m.disks) {
			m.disks = list
			m.SetDisks(list)
		}
	}
}

// running is a booted guest.
type running struct {
	machine
	disks    []guest.Disk
	ready    time.Time // connections are taken from then on
	stopping bool      // the API is shutting it down
}

// boot starts the guest of a server that has become RUN.
func (c *Cloud) boot(s *server) {
	if c.machines[s.No] != nil {
		return
	}
	r := &running{ready: time.Now().Add(c.latency.SSHDelay)}
	no := s.No
	r.disks = c.disksOf(no, true)
	slices.SortFunc(r.disks, func(a, b guest.Disk) int { return strings.Compare(a.Device, b.Device) })
	rootDevice := "/dev/xvda"
	for _, d := range c.st.Disks {
		if d.ServerNo == no && d.Root {
			rootDevice = d.Device
		}
	}
	m, err := c.hv.Boot(c.ctx, machineConfig{Dir: c.guestDir(no), Hostname: s.Name, OS: s.OS, RootPassword: s.RootPassword, UserData: s.UserData,
		FirstBoot: !s.BootedOnce, Log: c.logWriter("guest " + no + ": "),
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return c.dialFromGuest(ctx, no, network, addr)
		},
		OnPowerOff: func(reboot bool) { go c.poweredOff(no, r, reboot) },
		RootDevice: rootDevice, RootGB: s.DiskGB, Disks: r.disks,
	})
	if err != nil {
		c.fail(s, fmt.Errorf("guest does not boot: %w", err))
		return
	}
	r.machine = m
	c.machines[no] = r
	s.BootedOnce, s.Uptime = true, c.now()
}

// poweredOff is told when a guest shut itself down: the server is then stopped, as seen by the API.
func (c *Cloud) poweredOff(no string, r *running, reboot bool) {
	if reboot {
		return // it comes back by itself
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.st.Servers[no]
	if s == nil || c.machines[no] != r || r.stopping || c.closed {
		return
	}
	delete(c.machines, no)
	s.Status, s.StatusName = "NSTOP", "stopped"
	c.dirty = true
	c.logf("server %s powered itself off", no)
	c.settle()
}

// powerOff pulls the plug of a guest, if it runs.
func (c *Cloud) powerOff(no string) {
	if m := c.machines[no]; m != nil {
		delete(c.machines, no)
		m.stopping = true
		m.Kill()
	}
}
