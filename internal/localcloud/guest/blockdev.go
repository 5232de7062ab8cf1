package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Disk is an additional disk of a server.
type Disk struct {
	// Device is its name in the guest, like "/dev/xvdb".
	Device string
	SizeGB int64
	// Dir holds what is on the disk: its partition table (disk.json), and a directory for each file system. It is made
	// when the guest first writes to the disk, stays when the disk is detached, and is copied with [CopyDisk].
	Dir string
}

const (
	layoutName = "disk.json"
	mib        = 1 << 20
	gib        = 1 << 30

	rootUUID = "00000000-0000-4000-8000-000000000002"
)

// blockDisk is an attached disk with what is known of its content.
type blockDisk struct {
	Disk
	layout diskLayout
	open   map[int]*disk // mounted file systems, by partition; 0 is the whole disk
}

// diskLayout is a disk's partition table, or the file system that fills it.
type diskLayout struct {
	Table string      `json:"table,omitempty"` // "gpt", "dos" or none
	UUID  string      `json:"uuid,omitempty"`  // of the table
	FS    *fileSystem `json:"fs,omitempty"`    // without a table
	Parts []partition `json:"parts,omitempty"`
}

type partition struct {
	N          int         `json:"n"`
	Start, End int64       // in MiB; End is not part of it
	UUID       string      `json:"uuid"`
	FS         *fileSystem `json:"fs,omitempty"`
	Letter     string      `json:"letter,omitempty"` // of the drive, on Windows
}

type fileSystem struct {
	Type  string `json:"type"`
	UUID  string `json:"uuid"`
	Label string `json:"label,omitempty"`
}

// SetDisks tells the guest which additional disks it has now. What is on one that went is kept with the disk; a file
// system of it that is mounted goes like a pulled cable.
func (g *Guest) SetDisks(list []Disk) {
	g.plug(list)
	if g.sys.Family == "windows" {
		g.mountDrives()
	} else if err := g.makeNodes(); err != nil {
		g.logf("guest %s: disks: %v", g.hostname(), err)
	}
}

func (g *Guest) plug(list []Disk) {
	g.diskMu.Lock()
	defer g.diskMu.Unlock()
	var now []*blockDisk
	for _, d := range list {
		i := slices.IndexFunc(g.disks, func(b *blockDisk) bool { return b.Disk == d })
		if i >= 0 {
			now = append(now, g.disks[i])
			continue
		}
		b := &blockDisk{Disk: d, open: map[int]*disk{}}
		if data, err := os.ReadFile(filepath.Join(d.Dir, layoutName)); err == nil {
			if err := json.Unmarshal(data, &b.layout); err != nil {
				g.logf("guest: %s of disk %s: %v", layoutName, d.Device, err)
			}
		}
		now = append(now, b)
	}
	for _, b := range g.disks {
		if !slices.Contains(now, b) {
			for n := range b.open {
				g.unmountDisk(b, n)
			}
		}
	}
	slices.SortFunc(now, func(a, b *blockDisk) int { return strings.Compare(a.Device, b.Device) })
	g.disks = now
}

// CopyDisk copies what is on a disk to dst, which must not exist. A disk that was never written has nothing to copy.
func CopyDisk(dst, src string) (err error) {
	if _, err := os.Stat(filepath.Join(src, layoutName)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("copy the simulated disk from %s to %s: %w", src, dst, err), os.RemoveAll(dst))
		}
	}()
	if err := os.MkdirAll(dst, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(src)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		sub := filepath.Join(dst, e.Name())
		if err := os.Mkdir(sub, 0o700); err != nil {
			return err
		}
		if err := copyDirs(sub, filepath.Join(src, e.Name())); err != nil {
			return err
		}
	}
	return copyDirs(dst, src)
}

// copyDirs copies the one thing a disk's directory holds besides directories, its layout, or one file system.
func copyDirs(dst, src string) error {
	from, err := os.OpenRoot(src)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenRoot(dst)
	if err != nil {
		return err
	}
	defer to.Close()
	if _, err := from.Lstat(layoutName); err == nil {
		return copyFile(to, from, layoutName)
	}
	return copyFS(to, from)
}

// save writes the layout.
func (b *blockDisk) save() error {
	if err := os.MkdirAll(b.Dir, 0o700); err != nil {
		return err
	}
	data, err := json.Marshal(b.layout)
	if err != nil {
		return err
	}
	name := filepath.Join(b.Dir, layoutName)
	if err := os.WriteFile(name+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

func (b *blockDisk) fsDir(n int) string { return filepath.Join(b.Dir, "fs"+strconv.Itoa(n)) }

// sizeMiB is that of the disk.
func (b *blockDisk) sizeMiB() int64 { return b.SizeGB * 1024 }

func (b *blockDisk) part(n int) *partition {
	for i := range b.layout.Parts {
		if b.layout.Parts[i].N == n {
			return &b.layout.Parts[i]
		}
	}
	return nil
}

// device is a block device as programs see it: a disk or a partition.
type device struct {
	name  string // xvdb1
	disk  *blockDisk
	n     int   // partition; 0 is the whole disk
	size  int64 // bytes
	minor int
	fs    *fileSystem
	part  *partition // a copy
}

func (d device) path() string { return "/dev/" + d.name }

func (g *Guest) rootDevice() string {
	if g.c.RootDevice == "" {
		return "/dev/xvda"
	}
	return g.c.RootDevice
}

// rootPartition is fixed: what images have in front of it does not matter here.
func (g *Guest) rootPartition() string { return g.rootDevice() + "2" }

// devices lists the disks with their partitions, the root disk first.
func (g *Guest) devices() []device {
	g.diskMu.Lock()
	defer g.diskMu.Unlock()
	return g.devicesLocked()
}

func (g *Guest) devicesLocked() []device {
	root, size := path.Base(g.rootDevice()), g.c.RootGB*gib
	if size == 0 {
		size = 50 * gib
	}
	list := []device{{name: root, size: size}, {name: root + "2", n: 2, size: size, minor: 2, fs: &fileSystem{Type: "ext4", UUID: rootUUID}}}
	for _, b := range g.disks {
		name := path.Base(b.Device)
		minor := 16 * int(name[len(name)-1]-'a')
		list = append(list, device{name: name, disk: b, size: b.SizeGB * gib, minor: minor, fs: b.layout.FS})
		for _, p := range b.layout.Parts {
			list = append(list, device{name: name + strconv.Itoa(p.N), disk: b, n: p.N, size: (p.End - p.Start) * mib, minor: minor + p.N, fs: p.FS, part: &p})
		}
	}
	return list
}

func (g *Guest) major() int {
	if strings.HasPrefix(g.rootDevice(), "/dev/vd") {
		return 252
	}
	return 202
}

// deviceAt finds a device by its path, following links like /dev/disk/by-uuid.
func (g *Guest) deviceAt(v *view, name string) (device, bool) {
	if real, err := v.realpath(name); err == nil {
		name = real
	}
	for _, d := range g.devices() {
		if d.path() == name {
			return d, true
		}
	}
	return device{}, false
}

// deviceOf also understands UUID=, LABEL=, PARTUUID= with or without quotes.
func (g *Guest) deviceOf(v *view, spec string) (device, bool) {
	key, value, ok := strings.Cut(spec, "=")
	if !ok {
		return g.deviceAt(v, spec)
	}
	value = strings.Trim(value, `"'`)
	for _, d := range g.devices() {
		switch {
		case value == "":
		case key == "UUID" && d.fs != nil && strings.EqualFold(d.fs.UUID, value),
			key == "LABEL" && d.fs != nil && d.fs.Label == value,
			key == "PARTUUID" && d.part != nil && strings.EqualFold(d.part.UUID, value):
			return d, true
		}
	}
	return device{}, false
}

// change rewrites the layout of the device's disk, unless a file system on it is mounted.
func (g *Guest) change(d device, f func(*diskLayout) error) error {
	if d.disk == nil {
		return errors.New("this is the system's own disk")
	}
	g.diskMu.Lock()
	err := func() error {
		b := d.disk
		if !slices.Contains(g.disks, b) {
			return errors.New("no such device") // detached since it was looked up
		}
		for n := range b.open {
			if d.n == 0 || n == d.n {
				return errMounted
			}
		}
		next := b.layout
		next.Parts = slices.Clone(b.layout.Parts)
		if err := f(&next); err != nil {
			return err
		}
		b.layout = next
		// What belonged to file systems that are gone goes, too.
		entries, _ := os.ReadDir(b.Dir)
		for _, e := range entries {
			n, err := strconv.Atoi(strings.TrimPrefix(e.Name(), "fs"))
			if p := b.part(n); e.IsDir() && err == nil && (n == 0 && next.FS == nil || n > 0 && (p == nil || p.FS == nil)) {
				os.RemoveAll(filepath.Join(b.Dir, e.Name()))
			}
		}
		return b.save()
	}()
	g.diskMu.Unlock()
	if err == nil && g.sys.Family != "windows" {
		err = g.makeNodes()
	}
	return err
}

var errMounted = errors.New("a file system on it is mounted")

// format makes an empty file system on a device.
func (g *Guest) format(d device, made fileSystem) error {
	if made.UUID == "" {
		made.UUID = strings.ToLower(newUUID())
	}
	return g.change(d, func(l *diskLayout) error {
		dir := d.disk.fsDir(d.n)
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(dir, rootName), 0o700); err != nil {
			return err
		}
		disk, err := openDisk(dir, g.c.DiskLimit)
		if err != nil {
			return err
		}
		v := &view{tree: &tree{main: disk}}
		err = v.Chmod("/", 0o755)
		if err == nil && strings.HasPrefix(made.Type, "ext") {
			err = v.Mkdir("/lost+found", 0o700)
		}
		if err := errors.Join(err, disk.close()); err != nil {
			return err
		}
		if d.n == 0 {
			*l = diskLayout{FS: &made}
			return nil
		}
		i := slices.IndexFunc(l.Parts, func(p partition) bool { return p.N == d.n })
		if i < 0 {
			return fs.ErrNotExist
		}
		l.Parts[i].FS = &made
		return nil
	})
}

// newTable replaces whatever is on a disk by an empty partition table.
func (g *Guest) newTable(d device, kind string) error {
	return g.change(d, func(l *diskLayout) error {
		*l = diskLayout{Table: kind, UUID: strings.ToLower(newUUID())}
		if kind == "dos" {
			l.UUID = l.UUID[:8]
		}
		return nil
	})
}

// addPartition adds a partition of [start, end) MiB; a negative end is the end of the disk, n 0 the next free number.
func (l *diskLayout) addPartition(b *blockDisk, n int, start, end int64) (partition, error) {
	if l.Table == "" {
		return partition{}, errors.New("unrecognised disk label")
	}
	if end < 0 || end > b.sizeMiB() {
		end = b.sizeMiB()
	}
	start = max(start, 1)
	for n == 0 || slices.ContainsFunc(l.Parts, func(p partition) bool { return p.N == n }) {
		n++
	}
	if l.Table == "dos" && n > 4 {
		return partition{}, errors.New("too many primary partitions")
	}
	if start >= end {
		return partition{}, errors.New("the partition would have no space")
	}
	for _, p := range l.Parts {
		if start < p.End && p.Start < end {
			return partition{}, fmt.Errorf("it would overlap partition %d", p.N)
		}
	}
	p := partition{N: n, Start: start, End: end, UUID: strings.ToLower(newUUID())}
	if l.Table == "dos" {
		p.UUID = fmt.Sprintf("%s-%02x", l.UUID, n)
	}
	l.Parts = append(l.Parts, p)
	slices.SortFunc(l.Parts, func(a, b partition) int { return a.N - b.N })
	return p, nil
}

// freeStart is where the space after the last partition begins.
func (l *diskLayout) freeStart() int64 {
	start := int64(1)
	for _, p := range l.Parts {
		start = max(start, p.End)
	}
	return start
}

// attach mounts the file system of a device at a directory, given below the root.
func (g *Guest) attach(d device, at, opts string) error {
	g.diskMu.Lock()
	defer g.diskMu.Unlock()
	b := d.disk
	if b == nil || d.fs == nil || !slices.Contains(g.disks, b) {
		return fs.ErrNotExist
	}
	disk := b.open[d.n]
	if disk == nil {
		var err error
		if disk, err = openDisk(b.fsDir(d.n), g.c.DiskLimit); err != nil {
			return err
		}
		b.open[d.n] = disk
	}
	g.tree.mu.Lock()
	g.tree.mounts = append(g.tree.mounts, mount{at: at, disk: disk, source: d.path(), fstype: d.fs.Type, opts: opts, size: d.size})
	g.tree.mu.Unlock()
	return nil
}

// detach undoes the latest mount at a directory. A file system that is mounted nowhere any more is written out.
func (g *Guest) detach(at string) error {
	g.diskMu.Lock()
	defer g.diskMu.Unlock()
	t := g.tree
	t.mu.Lock()
	var gone *disk
	for i, m := range slices.Backward(t.mounts) {
		if m.at == at {
			gone = m.disk
			t.mounts = slices.Delete(t.mounts, i, i+1)
			break
		}
	}
	still := slices.ContainsFunc(t.mounts, func(m mount) bool { return m.disk == gone })
	t.mu.Unlock()
	if gone == nil || still {
		return nil
	}
	for _, b := range g.disks {
		for n, d := range b.open {
			if d == gone {
				delete(b.open, n)
			}
		}
	}
	return gone.close()
}

// unmountDisk takes a file system out of the tree wherever it is. g.diskMu is held.
func (g *Guest) unmountDisk(b *blockDisk, n int) {
	d := b.open[n]
	delete(b.open, n)
	g.tree.mu.Lock()
	g.tree.mounts = slices.DeleteFunc(g.tree.mounts, func(m mount) bool { return m.disk == d })
	g.tree.mu.Unlock()
	if err := d.close(); err != nil {
		g.logf("guest: unmount %s: %v", b.Device, err)
	}
}

func (g *Guest) unmountAll() {
	g.diskMu.Lock()
	defer g.diskMu.Unlock()
	for _, b := range g.disks {
		for n := range b.open {
			g.unmountDisk(b, n)
		}
	}
}

// mountAtBoot mounts what the guest's own files say. On a real server a wrong line of /etc/fstab without nofail stops
// the boot; here it is told, in the log and in /var/log/boot.log.
func (g *Guest) mountAtBoot() {
	if g.sys.Family == "windows" {
		g.mountDrives()
		return
	}
	for _, err := range g.mountFstab(g.rootView()) {
		g.logf("guest %s: /etc/fstab: %v; a real server would not boot", g.hostname(), err)
		g.rootView().appendFile("/var/log/boot.log", fmt.Sprintf("/etc/fstab: %v; a real server would not boot\n", err))
	}
}

// fstabEntry is a line of /etc/fstab.
type fstabEntry struct{ source, at, fstype, opts string }

func (g *Guest) fstab(v *view) []fstabEntry {
	var list []fstabEntry
	for _, l := range splitLines(v.readString("/etc/fstab")) {
		f := strings.Fields(l)
		if len(f) < 2 || strings.HasPrefix(f[0], "#") {
			continue
		}
		f = append(f, "auto", "defaults")
		list = append(list, fstabEntry{source: f[0], at: strings.ReplaceAll(f[1], `\040`, " "), fstype: f[2], opts: f[3]})
	}
	return list
}

// mountFstab is mount -a.
func (g *Guest) mountFstab(v *view) []error {
	var errs []error
	for _, e := range g.fstab(v) {
		opts := strings.Split(e.opts, ",")
		isDisk := strings.HasPrefix(e.source, "/dev/") || strings.Contains(e.source, "=")
		if !isDisk || e.at == "/" || !strings.HasPrefix(e.at, "/") || e.fstype == "swap" || slices.Contains(opts, "noauto") || slices.Contains(opts, "bind") {
			continue
		}
		d, found := g.deviceOf(v, e.source)
		if found && d.disk == nil { // another part of the root disk: not simulated, and there
			continue
		}
		if rel, err := v.resolve(e.at, true); err == nil && slices.ContainsFunc(g.tree.mounted(), func(m mount) bool { return m.at == rel && m.source == d.path() }) {
			continue
		}
		if err := g.mountDevice(v, e.source, e.at, e.fstype, e.opts); err != nil && !(slices.Contains(opts, "nofail") && !found) {
			errs = append(errs, err)
		}
	}
	return errs
}

// mountDevice is mount source at, with mount's words when it fails, but for the full stop.
func (g *Guest) mountDevice(v *view, source, at, fstype, opts string) error {
	rel, err := v.resolve(at, true)
	if err == nil {
		_, err = v.tree.Lstat(rel)
	}
	if err != nil {
		return fmt.Errorf("%s: mount point does not exist", at)
	}
	if !v.isDir(at) || rel == "." {
		return fmt.Errorf("%s: mount point is not a directory", at)
	}
	d, ok := g.deviceOf(v, source)
	if !ok {
		if strings.HasPrefix(source, "/dev/") {
			return fmt.Errorf("%s: special device %s does not exist", at, source)
		}
		return fmt.Errorf("%s: can't find %s", at, source)
	}
	if d.disk == nil {
		return fmt.Errorf("%s: %s is the system's own disk; mounting it again is not simulated by tfbake", at, source)
	}
	if d.fs == nil || fstype != "" && fstype != "auto" && fstype != d.fs.Type {
		return fmt.Errorf("%s: wrong fs type, bad option, bad superblock on %s, missing codepage or helper program, or other error", at, d.path())
	}
	for _, m := range g.tree.mounted() {
		if m.at == rel && m.source == d.path() {
			return fmt.Errorf("%s: %s already mounted on %s", at, d.path(), at)
		}
	}
	if err := g.attach(d, rel, mountOptions(opts)); err != nil {
		return fmt.Errorf("%s: mount %s: %w", at, d.path(), err)
	}
	return nil
}

// mountOptions are those that /proc/mounts would show.
func mountOptions(opts string) string {
	out := []string{"rw", "relatime"}
	for _, o := range strings.Split(opts, ",") {
		switch {
		case o == "", o == "defaults", o == "auto", o == "nofail", o == "_netdev", o == "rw", o == "relatime", o == "noauto", strings.HasPrefix(o, "x-"):
		case o == "noatime", o == "nodiratime", o == "strictatime":
			out[1] = o
		default:
			out = append(out, o)
		}
	}
	return strings.Join(out, ",")
}

func (g *Guest) procMounts() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s / ext4 rw,relatime 0 0\nproc /proc proc rw 0 0\ntmpfs /run tmpfs rw 0 0\n", g.rootPartition())
	for _, m := range g.tree.mounted() {
		fmt.Fprintf(&s, "%s /%s %s %s 0 0\n", m.source, strings.ReplaceAll(m.at, " ", `\040`), m.fstype, m.opts)
	}
	return s.String()
}

func (g *Guest) procPartitions() string {
	var s strings.Builder
	s.WriteString("major minor  #blocks  name\n\n")
	for _, d := range g.devices() {
		fmt.Fprintf(&s, "%4d %8d %10d %s\n", g.major(), d.minor, d.size/1024, d.name)
	}
	return s.String()
}

var nodeName = regexp.MustCompile(`^(xv|v)d[a-z]+[0-9]*$`)

// makeNodes brings /dev and /sys/block to the devices of the moment. A node is an empty file that opens for nobody.
func (g *Guest) makeNodes() error {
	g.diskMu.Lock()
	defer g.diskMu.Unlock()
	list := g.devicesLocked()
	nodes := map[string]bool{}
	for _, d := range list {
		nodes["dev/"+d.name] = true
	}
	g.tree.mu.Lock()
	g.tree.nodes = nil
	g.tree.mu.Unlock()
	b := &builder{view: g.rootView()}
	b.dir(0o755, "/dev")
	entries, err := b.ReadDir("/dev")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if nodeName.MatchString(e.name) && !nodes["dev/"+e.name] && b.err == nil {
			b.err = b.RemoveAll("/dev/" + e.name)
		}
	}
	if b.err == nil {
		b.err = errors.Join(b.RemoveAll("/dev/disk"), b.RemoveAll("/sys/block"))
	}
	link := func(dir, name string, d device) {
		if name != "" && !strings.Contains(name, "/") && !b.exists(dir+"/"+name) {
			b.dir(0o755, dir)
			b.link("../../"+d.name, dir+"/"+name)
		}
	}
	for _, d := range list {
		if b.err != nil {
			return b.err
		}
		b.err = b.tree.WriteFile("dev/"+d.name, nil, 0o600)
		if d.n == 0 {
			b.dir(0o755, "/sys/block/"+d.name)
			b.file("/sys/block/"+d.name+"/size", strconv.FormatInt(d.size/512, 10)+"\n", 0o444)
		}
		if d.fs != nil {
			link("/dev/disk/by-uuid", d.fs.UUID, d)
			link("/dev/disk/by-label", d.fs.Label, d)
		}
		if d.part != nil {
			link("/dev/disk/by-partuuid", d.part.UUID, d)
		}
	}
	g.tree.mu.Lock()
	g.tree.nodes = nodes
	g.tree.mu.Unlock()
	return b.err
}

// drivePrefix is where the drives of a Windows guest other than C: are mounted: names that its files cannot have.
const drivePrefix = "tfbake-drive-"

// mountDrives mounts every partition that has a drive letter.
func (g *Guest) mountDrives() {
	for _, d := range g.devices() {
		if d.part == nil || d.part.Letter == "" || d.fs == nil || g.tree.mountedOn(drivePrefix+d.part.Letter) {
			continue
		}
		if err := g.attach(d, drivePrefix+d.part.Letter, ""); err != nil {
			g.logf("guest %s: drive %s: %v", g.hostname(), d.part.Letter, err)
		}
	}
}
