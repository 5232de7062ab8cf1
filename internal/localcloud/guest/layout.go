package guest

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// system describes a simulated operating system.
type system struct {
	ID, Name, Version, Codename, Pretty string
	Family                              string // "debian", "rhel" or "windows"
	Kernel                              string
}

// parseOS understands names like "ubuntu-22.04", "rocky-8.10", "centos-7.9", "windows-2019". An unknown name becomes a
// Linux of that name, so that a new image in the cloud's catalogue does not stop anyone.
func parseOS(name string) system {
	id, version, _ := strings.Cut(strings.ToLower(name), "-")
	if id == "" {
		id, version = "ubuntu", "22.04"
	}
	s := system{ID: id, Version: version, Family: "rhel", Kernel: "4.18.0-553.el8_10.x86_64"}
	major, _, _ := strings.Cut(version, ".")
	switch {
	case strings.HasPrefix(id, "win"):
		build := map[string]string{"2016": "14393", "2022": "20348"}[version]
		if build == "" {
			build = "17763"
		}
		return system{ID: "windows", Name: "Windows Server", Version: version, Family: "windows", Kernel: "10.0." + build,
			Pretty: "Microsoft Windows Server " + version + " Standard"}
	case id == "ubuntu" || id == "debian":
		s.Family = "debian"
		s.Name = map[string]string{"ubuntu": "Ubuntu", "debian": "Debian GNU/Linux"}[id]
		s.Codename = map[string]string{"ubuntu-16.04": "xenial", "ubuntu-18.04": "bionic", "ubuntu-20.04": "focal",
			"ubuntu-22.04": "jammy", "ubuntu-24.04": "noble", "debian-11": "bullseye", "debian-12": "bookworm"}[id+"-"+version]
		s.Kernel = map[string]string{"16.04": "4.4.0-210-generic", "18.04": "4.15.0-213-generic", "20.04": "5.4.0-182-generic",
			"24.04": "6.8.0-45-generic"}[version]
		if s.Kernel == "" {
			s.Kernel = "5.15.0-112-generic"
		}
		s.Pretty = s.Name + " " + version
		if id == "ubuntu" {
			s.Pretty += " LTS"
		}
	case id == "rocky":
		s.Name, s.Codename = "Rocky Linux", "Green Obsidian"
	case id == "centos":
		s.Name, s.Codename = "CentOS Linux", "Core"
	case id == "rhel":
		s.Name, s.Codename = "Red Hat Enterprise Linux", "Ootpa"
	default:
		s.Name = strings.ToUpper(id[:1]) + id[1:]
	}
	if s.Family == "rhel" {
		switch major {
		case "7":
			s.Kernel = "3.10.0-1160.el7.x86_64"
		case "9":
			s.Kernel = "5.14.0-427.el9.x86_64"
		}
		s.Pretty = strings.TrimSpace(s.Name + " " + version)
		if s.Codename != "" {
			s.Pretty += " (" + s.Codename + ")"
		}
	}
	return s
}

// build is that of a Windows version.
func (s system) build() string { return strings.TrimPrefix(s.Kernel, "10.0.") }

func (s system) osRelease() string {
	var b strings.Builder
	fmt.Fprintf(&b, "PRETTY_NAME=%q\nNAME=%q\nVERSION_ID=%q\nVERSION=%q\n", s.Pretty, s.Name, s.Version,
		strings.TrimSpace(s.Version+map[bool]string{true: " (" + s.Codename + ")"}[s.Codename != ""]))
	if s.Family == "debian" && s.Codename != "" {
		fmt.Fprintf(&b, "VERSION_CODENAME=%s\n", s.Codename)
		if s.ID == "ubuntu" {
			fmt.Fprintf(&b, "UBUNTU_CODENAME=%s\n", s.Codename)
		}
	}
	fmt.Fprintf(&b, "ID=%s\n", s.ID)
	switch {
	case s.ID == "ubuntu":
		b.WriteString("ID_LIKE=debian\n")
	case s.Family == "rhel" && s.ID != "rhel":
		b.WriteString("ID_LIKE=\"rhel centos fedora\"\n")
	}
	return b.String()
}

const marker = `This is not a real server. It is a simulation by tfbake -local: a private directory, an in-process shell and
imitations of common commands. Package managers and services record what they were asked to do and install nothing.
`

// stubText is the content of a simulated program's file; the shell recognises it when it is run.
func stubText(name string) string { return "#!tfbake-simulated " + name + "\n" }

// stubName returns the program a stub stands for.
func stubName(content string) (string, bool) {
	rest, ok := strings.CutPrefix(content, "#!tfbake-simulated ")
	if !ok {
		return "", false
	}
	name, _, _ := strings.Cut(rest, "\n")
	return name, true
}

// NewRoot lays out a fresh file system of the given OS in dir, which is created and must be empty.
func NewRoot(dir, osName string) error {
	if err := emptyDir(dir); err != nil {
		return fmt.Errorf("lay out the simulated server's files: %w", err)
	}
	if err := os.Mkdir(filepath.Join(dir, rootName), 0o700); err != nil {
		return fmt.Errorf("lay out the simulated server's files: %w", err)
	}
	d, err := openDisk(dir, 0)
	if err != nil {
		return fmt.Errorf("lay out the simulated server's files in %s: %w", dir, err)
	}
	v := &view{tree: &tree{main: d}}
	sys := parseOS(osName)
	lay := layLinux
	if sys.Family == "windows" {
		lay = layWindows
	}
	if err := errors.Join(lay(v, sys), d.close()); err != nil {
		return fmt.Errorf("lay out the simulated server's files in %s: %w", dir, err)
	}
	return nil
}

func emptyDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is not empty", dir)
	}
	return nil
}

// builder collects the first error of many small steps.
type builder struct {
	*view
	err error
}

func (b *builder) dir(mode fs.FileMode, names ...string) {
	for _, n := range names {
		if b.err == nil {
			b.err = b.MkdirAll(n, 0o755)
		}
		if b.err == nil && mode != 0o755 {
			b.err = b.Chmod(n, mode)
		}
	}
}

func (b *builder) file(name, text string, mode fs.FileMode) {
	if b.err == nil {
		b.err = b.WriteFile(name, []byte(text), mode)
	}
	if b.err == nil && mode.Perm()&0o022 != 0 {
		b.err = b.Chmod(name, mode)
	}
}

func (b *builder) link(target, name string) {
	if b.err == nil {
		b.err = b.Symlink(target, name)
	}
}

func layLinux(v *view, s system) error {
	b := &builder{view: v}
	b.err = v.Chmod("/", 0o755)
	b.dir(0o755, "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib64", "/usr/local/bin", "/usr/local/sbin", "/usr/local/lib",
		"/usr/local/etc", "/usr/local/share", "/usr/share/doc", "/usr/share/zoneinfo", "/usr/src", "/etc/profile.d",
		"/etc/ssh/sshd_config.d", "/etc/systemd/system/multi-user.target.wants", "/usr/lib/systemd/system", "/etc/default",
		"/etc/cron.d", "/etc/logrotate.d", "/etc/security/limits.d", "/etc/sysctl.d", "/etc/modprobe.d", "/etc/skel",
		"/etc/pam.d", "/etc/cloud/cloud.cfg.d", "/var/log", "/var/lib/cloud/instance", "/var/lib/cloud/scripts/per-boot",
		"/var/cache", "/var/www", "/var/lib/dbus", "/run/lock", "/home", "/opt", "/srv", "/mnt", "/media", "/boot", "/dev/shm",
		"/dev/pts", "/proc/sys/kernel/random", "/proc/sys/net/ipv4", "/proc/sys/vm", "/proc/net", "/sys/class/net/eth0",
		"/sys/class/dmi/id")
	b.dir(0o755, "/etc/sudoers.d")
	b.dir(0o700, "/root")
	b.dir(0o777|fs.ModeSticky, "/tmp", "/var/tmp")
	b.dir(0o750, "/var/spool/cron")
	for _, d := range []string{"bin", "sbin", "lib", "lib64"} {
		b.link("usr/"+d, "/"+d)
	}
	b.link("../run", "/var/run")
	b.link("../run/lock", "/var/lock")
	for name := range devices {
		if b.err == nil {
			// An empty file stands for the device: nothing ever opens it.
			var f *os.File
			if f, b.err = b.tree.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o600); b.err == nil {
				b.err = f.Close()
			}
		}
	}
	b.link("/proc/mounts", "/etc/mtab")
	b.link("/proc/self/fd", "/dev/fd")
	b.link("/proc/self/fd/0", "/dev/stdin")
	b.link("/proc/self/fd/1", "/dev/stdout")
	b.link("/proc/self/fd/2", "/dev/stderr")

	b.file("/etc/tfbake-simulated", marker, 0o644)
	b.file("/etc/motd", "A server simulated by tfbake; see /etc/tfbake-simulated.\n", 0o644)
	b.file("/usr/lib/os-release", s.osRelease(), 0o644)
	b.link("../usr/lib/os-release", "/etc/os-release")
	b.file("/etc/hostname", "localhost\n", 0o644)
	b.file("/etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n", 0o644)
	b.file("/etc/resolv.conf", "nameserver 127.0.0.53\n", 0o644)
	b.file("/etc/fstab", "UUID="+rootUUID+"\t/\text4\tdefaults\t1 1\n", 0o644)
	b.file("/etc/timezone", "Etc/UTC\n", 0o644)
	b.link("/usr/share/zoneinfo/UTC", "/etc/localtime")
	for _, z := range []string{"UTC", "Etc/UTC", "Asia/Seoul", "Asia/Tokyo", "Asia/Singapore", "America/Los_Angeles", "Europe/Berlin"} {
		b.dir(0o755, path.Dir("/usr/share/zoneinfo/"+z))
		b.file("/usr/share/zoneinfo/"+z, "TZif2 simulated "+z+"\n", 0o644)
	}
	b.file("/etc/shells", "/bin/sh\n/bin/bash\n/usr/bin/bash\n/usr/bin/sh\n", 0o644)
	b.file("/etc/profile", "export PATH=\""+defaultPath+"\"\nfor i in /etc/profile.d/*.sh; do\n  if [ -r \"$i\" ]; then . \"$i\"; fi\ndone\nunset i\n", 0o644)
	b.file("/etc/environment", "PATH=\""+defaultPath+"\"\n", 0o644)
	b.file("/root/.bashrc", "# ~/.bashrc\n", 0o644)
	b.file("/root/.profile", "# ~/.profile\n", 0o644)
	b.file("/etc/skel/.bashrc", "# ~/.bashrc\n", 0o644)
	b.file("/etc/skel/.profile", "# ~/.profile\n", 0o644)
	b.file("/etc/login.defs", "UID_MIN 1000\nUID_MAX 60000\nGID_MIN 1000\nGID_MAX 60000\nUMASK 022\n", 0o644)
	b.file("/etc/sysctl.conf", "", 0o644)
	b.file("/etc/crontab", "SHELL=/bin/sh\n", 0o644)
	b.file("/etc/sudoers", "root\tALL=(ALL:ALL) ALL\n%sudo\tALL=(ALL:ALL) ALL\n%wheel\tALL=(ALL) ALL\n", 0o440)
	b.file("/etc/ssh/sshd_config", "Port 22\nPermitRootLogin yes\nPasswordAuthentication yes\nPubkeyAuthentication yes\nSubsystem sftp internal-sftp\n", 0o644)
	b.file("/etc/ssh/ssh_config", "Host *\n", 0o644)
	b.file("/etc/cloud/cloud.cfg", "# simulated\nusers:\n  - default\n", 0o644)
	b.file("/etc/machine-id", "uninitialized\n", 0o444)
	b.file("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n", 0o644)
	b.file("/etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n", 0o644)

	accounts := []struct {
		name, home, shell string
		id                int
	}{
		{"root", "/root", "/bin/bash", 0}, {"daemon", "/usr/sbin", "/usr/sbin/nologin", 1}, {"bin", "/bin", "/usr/sbin/nologin", 2},
		{"sys", "/dev", "/usr/sbin/nologin", 3}, {"mail", "/var/mail", "/usr/sbin/nologin", 8},
		{"www-data", "/var/www", "/usr/sbin/nologin", 33}, {"sshd", "/run/sshd", "/usr/sbin/nologin", 105},
		{"nobody", "/nonexistent", "/usr/sbin/nologin", 65534},
	}
	var passwd, group, shadow strings.Builder
	for _, a := range accounts {
		if a.name == "www-data" && s.Family != "debian" {
			continue
		}
		fmt.Fprintf(&passwd, "%s:x:%d:%d:%s:%s:%s\n", a.name, a.id, a.id, a.name, a.home, a.shell)
		fmt.Fprintf(&group, "%s:x:%d:\n", a.name, a.id)
		fmt.Fprintf(&shadow, "%s:*:19800:0:99999:7:::\n", a.name)
	}
	extra := []string{"adm:x:4:", "tty:x:5:", "disk:x:6:", "users:x:100:", "crontab:x:110:", "shadow:x:42:", "utmp:x:43:"}
	if s.Family == "debian" {
		extra = append(extra, "sudo:x:27:", "nogroup:x:65533:")
	} else {
		extra = append(extra, "wheel:x:10:")
	}
	for _, g := range extra {
		group.WriteString(g + "\n")
	}
	b.file("/etc/passwd", passwd.String(), 0o644)
	b.file("/etc/group", group.String(), 0o644)
	b.file("/etc/shadow", shadow.String(), 0o640)
	b.file("/etc/gshadow", "", 0o640)

	switch s.Family {
	case "debian":
		b.dir(0o755, "/etc/apt/sources.list.d", "/etc/apt/apt.conf.d", "/etc/apt/trusted.gpg.d", "/etc/apt/keyrings",
			"/usr/share/keyrings", "/var/lib/apt/lists", "/var/cache/apt/archives", "/var/lib/dpkg/info", "/etc/netplan", "/etc/network",
			"/etc/update-motd.d")
		b.file("/etc/debian_version", map[bool]string{true: "bookworm/sid\n", false: s.Version + "\n"}[s.ID == "ubuntu"], 0o644)
		b.file("/etc/apt/sources.list", "deb http://archive.ubuntu.com/ubuntu "+s.Codename+" main restricted universe multiverse\n", 0o644)
		if s.ID == "ubuntu" {
			b.file("/etc/lsb-release", fmt.Sprintf("DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=%s\nDISTRIB_CODENAME=%s\nDISTRIB_DESCRIPTION=%q\n", s.Version, s.Codename, s.Pretty), 0o644)
		}
		b.file("/var/lib/dpkg/status", "", 0o644)
		b.file("/var/log/dpkg.log", "", 0o644)
	default:
		b.dir(0o755, "/etc/yum.repos.d", "/etc/yum", "/etc/dnf", "/etc/rpm", "/etc/pki/rpm-gpg", "/var/lib/rpm", "/var/cache/yum", "/var/cache/dnf",
			"/etc/sysconfig/network-scripts", "/etc/selinux")
		b.file("/etc/redhat-release", strings.TrimSpace(strings.Replace(s.Name, "Linux", "Linux release", 1)+" "+s.Version+" ("+s.Codename+")")+"\n", 0o644)
		b.link("redhat-release", "/etc/system-release")
		if s.ID != "rhel" {
			b.link("redhat-release", "/etc/"+s.ID+"-release")
		}
		b.file("/etc/selinux/config", "SELINUX=permissive\nSELINUXTYPE=targeted\n", 0o644)
		b.file("/etc/yum.conf", "[main]\ngpgcheck=1\n", 0o644)
	}
	for _, l := range []string{"messages", "syslog", "auth.log", "secure", "cloud-init.log", "cloud-init-output.log", "lastlog", "wtmp", "btmp"} {
		if s.Family == "debian" && (l == "messages" || l == "secure") || s.Family != "debian" && (l == "syslog" || l == "auth.log") {
			continue
		}
		b.file("/var/log/"+l, "", 0o640)
	}
	for name, c := range commands {
		if c.family != "" && c.family != s.Family {
			continue
		}
		dir := "/usr/bin/"
		if c.admin {
			dir = "/usr/sbin/"
		}
		b.file(dir+name, stubText(name), 0o755)
	}
	// Units that a fresh server runs.
	ssh := "sshd"
	if s.Family == "debian" {
		ssh = "ssh"
	}
	for _, u := range []string{ssh, "cron", "rsyslog", "systemd-journald", "cloud-init", "systemd-resolved"} {
		if u == "cron" && s.Family == "rhel" {
			u = "crond"
		}
		b.file("/usr/lib/systemd/system/"+u+".service", "[Unit]\nDescription="+u+"\n\n[Service]\nExecStart=/usr/sbin/"+u+"\n\n[Install]\nWantedBy=multi-user.target\n", 0o644)
		b.link("/usr/lib/systemd/system/"+u+".service", "/etc/systemd/system/multi-user.target.wants/"+u+".service")
	}
	if s.Family == "debian" {
		b.link("/usr/lib/systemd/system/ssh.service", "/etc/systemd/system/sshd.service")
	}
	return b.err
}

// bootFiles are made anew at every boot, and by the kernel on a real server: they are no part of an image.
func (g *Guest) bootFiles() error {
	b := &builder{view: g.rootView()}
	random := func(n int) string {
		buf := make([]byte, n)
		rand.Read(buf)
		return hex.EncodeToString(buf)
	}
	id := random(16)
	g.bootID = fmt.Sprintf("%s-%s-4%s-a%s-%s", id[:8], id[8:12], id[13:16], id[17:20], id[20:])
	b.dir(0o755, "/proc/sys/kernel/random", "/proc/sys/net/ipv4", "/proc/sys/vm", "/proc/net", "/run/lock")
	b.file("/proc/sys/kernel/random/boot_id", g.bootID+"\n", 0o444)
	b.file("/proc/sys/kernel/hostname", g.hostname()+"\n", 0o644)
	b.file("/proc/sys/kernel/osrelease", g.sys.Kernel+"\n", 0o444)
	b.file("/proc/sys/net/ipv4/ip_forward", "0\n", 0o644)
	b.file("/proc/sys/vm/swappiness", "60\n", 0o644)
	b.file("/proc/version", "Linux version "+g.sys.Kernel+" (simulated by tfbake) #1 SMP\n", 0o444)
	b.file("/proc/cmdline", "BOOT_IMAGE=/boot/vmlinuz-"+g.sys.Kernel+" root="+g.rootPartition()+" ro console=ttyS0\n", 0o444)
	var cpu strings.Builder
	for i := range 2 {
		fmt.Fprintf(&cpu, "processor\t: %d\nvendor_id\t: GenuineIntel\nmodel name\t: simulated CPU\ncpu MHz\t\t: 2000.000\n\n", i)
	}
	b.file("/proc/cpuinfo", cpu.String(), 0o444)
	b.file("/proc/meminfo", "MemTotal:        4028440 kB\nMemFree:         3200000 kB\nMemAvailable:    3500000 kB\nSwapTotal:             0 kB\nSwapFree:              0 kB\n", 0o444)
	b.file("/proc/filesystems", "nodev\tproc\nnodev\ttmpfs\n\text4\n\txfs\n", 0o444)
	b.file("/proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n", 0o444)
	for name := range b.virtual {
		if _, err := b.tree.Lstat(name); err != nil && b.err == nil {
			b.err = b.tree.WriteFile(name, nil, 0o644) // only its name: the text is made when read
		}
	}
	if b.err == nil {
		b.err = g.makeNodes()
	}
	if b.err == nil && strings.TrimSpace(b.readString("/etc/machine-id")) == "uninitialized" {
		b.err = b.WriteFile("/etc/machine-id", []byte(random(16)+"\n"), 0o444)
	}
	return b.err
}

// resetForImage removes what belongs to one server and not to an image made of it.
func (g *Guest) resetForFirstBoot() error {
	v := g.rootView()
	var errs []error
	for _, n := range []string{"/var/lib/cloud/instance/boot-finished", "/var/lib/cloud/data/status.json"} {
		errs = append(errs, v.RemoveAll(n))
	}
	entries, _ := v.ReadDir("/etc/ssh")
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "ssh_host_") {
			errs = append(errs, v.Remove("/etc/ssh/"+e.Name()))
		}
	}
	return errors.Join(errs...)
}

// CopyRoot copies a guest's file system, with modes, owners, links and times, from src to dst, which must not exist or
// be empty. The guest in src must not be running. A failed copy leaves nothing in dst.
func CopyRoot(dst, src string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("copy the simulated server's files from %s to %s: %w", src, dst, err)
		}
	}()
	from, err := os.OpenRoot(src)
	if err != nil {
		return err
	}
	defer from.Close()
	if err := emptyDir(dst); err != nil {
		return err
	}
	to, err := os.OpenRoot(dst)
	if err != nil {
		return err
	}
	defer to.Close()
	defer func() {
		if err != nil {
			to.RemoveAll(rootName)
			to.Remove(metaName)
		}
	}()
	return copyFS(to, from)
}

// copyFS copies a file system with its side table.
func copyFS(to, from *os.Root) error {
	hard := map[uint64]string{} // inode -> first copy, for files with several names
	if err := copyTree(to, from, rootName, hard); err != nil {
		return err
	}
	if err := copyFile(to, from, metaName); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func copyTree(to, from *os.Root, name string, hard map[uint64]string) error {
	fi, err := from.Lstat(name)
	if err != nil {
		return err
	}
	switch {
	case fi.IsDir():
		if err := to.Mkdir(name, 0o700); err != nil {
			return err
		}
		f, err := from.Open(name)
		if err != nil {
			return err
		}
		entries, err := f.ReadDir(-1)
		f.Close()
		if err != nil {
			return err
		}
		slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
		for _, e := range entries {
			if err := copyTree(to, from, path.Join(name, e.Name()), hard); err != nil {
				return err
			}
		}
		return keepTimes(to, name, fi)
	case fi.Mode()&fs.ModeSymlink != 0:
		target, err := from.Readlink(name)
		if err != nil {
			return err
		}
		return to.Symlink(target, name)
	case fi.Mode().IsRegular():
		info := &fileInfo{FileInfo: fi}
		if info.links() > 1 && info.inode() != 0 {
			if first, ok := hard[info.inode()]; ok {
				return to.Link(first, name)
			}
			hard[info.inode()] = name
		}
		if err := copyFile(to, from, name); err != nil {
			return err
		}
		return keepTimes(to, name, fi)
	}
	return nil // sockets and the like are no part of an image
}

func keepTimes(to *os.Root, name string, fi fs.FileInfo) error {
	if err := to.Chmod(name, fi.Mode().Perm()|0o600); err != nil {
		return err
	}
	return to.Chtimes(name, time.Time{}, fi.ModTime())
}

func copyFile(to, from *os.Root, name string) error {
	in, err := from.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := to.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
