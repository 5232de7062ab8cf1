package guest

import (
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

func init() {
	registerFor("debian", cmdApt, "apt", "apt-get", "aptitude")
	registerFor("debian", cmdAptMisc, "apt-key", "add-apt-repository", "apt-mark", "apt-config", "dpkg-reconfigure", "unattended-upgrade")
	registerFor("debian", cmdAptCache, "apt-cache")
	registerFor("debian", cmdDpkg, "dpkg", "dpkg-query")
	registerFor("rhel", cmdYum, "yum", "dnf", "microdnf")
	registerFor("rhel", cmdRpm, "rpm")
	registerFor("rhel", cmdAptMisc, "yum-config-manager", "subscription-manager", "needs-restarting", "package-cleanup")
	register(cmdPip, "pip", "pip3", "npm", "gem", "snap")
}

// pkg is an installed package as the simulation records it.
type pkg struct {
	name, version string
	files         []string
}

// known says what well-known packages bring; others bring a program of their own name.
var known = map[string]struct{ bins, services, dirs []string }{
	"nginx":                      {[]string{"/usr/sbin/nginx"}, []string{"nginx"}, []string{"/etc/nginx/conf.d", "/etc/nginx/sites-available", "/etc/nginx/sites-enabled", "/var/log/nginx", "/usr/share/nginx/html", "/var/www/html"}},
	"apache2":                    {[]string{"/usr/sbin/apache2", "/usr/sbin/apache2ctl", "/usr/sbin/a2enmod", "/usr/sbin/a2ensite", "/usr/sbin/a2dissite"}, []string{"apache2"}, []string{"/etc/apache2/sites-available", "/etc/apache2/sites-enabled", "/var/www/html", "/var/log/apache2"}},
	"httpd":                      {[]string{"/usr/sbin/httpd", "/usr/sbin/apachectl"}, []string{"httpd"}, []string{"/etc/httpd/conf", "/etc/httpd/conf.d", "/var/www/html", "/var/log/httpd"}},
	"mysql-server":               {[]string{"/usr/sbin/mysqld", "/usr/bin/mysql"}, []string{"mysql"}, []string{"/etc/mysql/conf.d", "/var/lib/mysql"}},
	"mariadb-server":             {[]string{"/usr/sbin/mariadbd", "/usr/bin/mysql"}, []string{"mariadb"}, []string{"/etc/my.cnf.d", "/var/lib/mysql"}},
	"postgresql":                 {[]string{"/usr/bin/psql", "/usr/bin/postgres"}, []string{"postgresql"}, []string{"/etc/postgresql", "/var/lib/postgresql"}},
	"redis-server":               {[]string{"/usr/bin/redis-server", "/usr/bin/redis-cli"}, []string{"redis-server"}, []string{"/etc/redis", "/var/lib/redis"}},
	"redis":                      {[]string{"/usr/bin/redis-server", "/usr/bin/redis-cli"}, []string{"redis"}, []string{"/etc/redis", "/var/lib/redis"}},
	"docker.io":                  {[]string{"/usr/bin/docker", "/usr/bin/dockerd"}, []string{"docker"}, []string{"/etc/docker"}},
	"docker-ce":                  {[]string{"/usr/bin/docker", "/usr/bin/dockerd"}, []string{"docker"}, []string{"/etc/docker"}},
	"docker":                     {[]string{"/usr/bin/docker", "/usr/bin/dockerd"}, []string{"docker"}, []string{"/etc/docker"}},
	"containerd":                 {[]string{"/usr/bin/containerd"}, []string{"containerd"}, []string{"/etc/containerd"}},
	"openssh-server":             {[]string{"/usr/sbin/sshd"}, nil, nil},
	"chrony":                     {[]string{"/usr/sbin/chronyd", "/usr/bin/chronyc"}, []string{"chrony"}, []string{"/etc/chrony"}},
	"fail2ban":                   {[]string{"/usr/bin/fail2ban-client"}, []string{"fail2ban"}, []string{"/etc/fail2ban/jail.d"}},
	"haproxy":                    {[]string{"/usr/sbin/haproxy"}, []string{"haproxy"}, []string{"/etc/haproxy"}},
	"ca-certificates":            {nil, nil, []string{"/usr/local/share/ca-certificates", "/etc/ssl/certs"}},
	"build-essential":            {nil, nil, nil},
	"epel-release":               {nil, nil, nil},
	"software-properties-common": {nil, nil, nil},
	"apt-transport-https":        {nil, nil, nil},
	"gnupg":                      {nil, nil, nil},
	"nodejs":                     {nil, nil, nil},
	"python3":                    {nil, nil, nil},
	"python3-pip":                {nil, nil, nil},
}

// onRedHat names the services that go by another name there.
var onRedHat = map[string]string{"chrony": "chronyd", "mysql": "mysqld"}

const pkgDB = "/var/lib/tfbake/packages"

func (g *Guest) packages() map[string]pkg {
	out := map[string]pkg{}
	for _, l := range splitLines(g.rootView().readString(pkgDB)) {
		f := strings.Split(l, "\t")
		if len(f) >= 2 {
			p := pkg{name: f[0], version: f[1]}
			if len(f) > 2 && f[2] != "" {
				p.files = strings.Split(f[2], ",")
			}
			out[p.name] = p
		}
	}
	return out
}

func (g *Guest) savePackages(all map[string]pkg) error {
	v := g.rootView()
	if err := v.MkdirAll(path.Dir(pkgDB), 0o755); err != nil {
		return err
	}
	var lines []string
	for _, p := range all {
		lines = append(lines, p.name+"\t"+p.version+"\t"+strings.Join(p.files, ","))
	}
	slices.Sort(lines)
	return v.replaceFile(pkgDB, []byte(strings.Join(lines, "\n")+"\n"), 0o644)
}

// splitPackage separates a version asked for: nginx=1.2, nginx-1.2 stays a name.
func splitPackage(s string) (name, version string) {
	s = strings.TrimSuffix(strings.TrimSuffix(s, "+"), ":amd64")
	if strings.Contains(s, "/") && (strings.HasSuffix(s, ".deb") || strings.HasSuffix(s, ".rpm")) {
		s = path.Base(s)
	}
	s = strings.TrimSuffix(strings.TrimSuffix(s, ".deb"), ".rpm")
	name, version, _ = strings.Cut(s, "=")
	name, _, _ = strings.Cut(name, "/")
	if version == "" {
		version = "0.0.0-simulated"
	}
	return name, version
}

func validPackage(name string) bool {
	return name != "" && name[0] != '-' && !strings.ContainsAny(name, "/\\\t\n,\x00 ") && name != "." && name != ".."
}

// install records a package and lays down stubs.
func (g *Guest) install(spec string) (pkg, bool, error) {
	name, version := splitPackage(spec)
	if !validPackage(name) {
		return pkg{}, false, fmt.Errorf("invalid package name %q", name)
	}
	g.pkgMu.Lock()
	defer g.pkgMu.Unlock()
	all := g.packages()
	if p, ok := all[name]; ok {
		return p, false, nil
	}
	p := pkg{name: name, version: version}
	v := g.rootView()
	k, ok := known[name]
	if !ok {
		k.bins = []string{"/usr/bin/" + strings.TrimSuffix(name, ".x86_64")}
		if strings.HasPrefix(name, "lib") || strings.HasSuffix(name, "-dev") || strings.HasSuffix(name, "-devel") || strings.HasPrefix(name, "@") || strings.HasPrefix(name, "linux-") || strings.HasPrefix(name, "python3-") {
			k.bins = nil
		}
	}
	put := func(file, text string, mode uint32) error {
		if _, err := v.Lstat(file); err == nil {
			return nil
		}
		if err := v.MkdirAll(path.Dir(file), 0o755); err != nil {
			return err
		}
		p.files = append(p.files, file)
		return v.WriteFile(file, []byte(text), unixMode(mode))
	}
	for _, b := range k.bins {
		if unsimulated(path.Base(b)) != "" {
			continue
		}
		if err := put(b, stubText(path.Base(b)), 0o755); err != nil {
			return p, false, err
		}
	}
	for _, d := range k.dirs {
		if err := v.MkdirAll(d, 0o755); err != nil {
			return p, false, err
		}
	}
	for _, s := range k.services {
		if name, ok := onRedHat[s]; ok && g.sys.Family == "rhel" {
			s = name
		}
		bin := "/usr/sbin/" + s
		if len(k.bins) > 0 {
			bin = k.bins[0]
		}
		if err := put("/usr/lib/systemd/system/"+s+".service", "[Unit]\nDescription="+s+" (simulated by tfbake)\n\n[Service]\nExecStart="+bin+"\n\n[Install]\nWantedBy=multi-user.target\n", 0o644); err != nil {
			return p, false, err
		}
	}
	if err := put("/usr/share/doc/"+name+"/tfbake-simulated", "Package "+name+" was recorded by tfbake's simulation; nothing was downloaded.\n", 0o644); err != nil {
		return p, false, err
	}
	all[name] = p
	return p, true, g.savePackages(all)
}

func (g *Guest) uninstall(spec string) (bool, error) {
	name, _ := splitPackage(spec)
	g.pkgMu.Lock()
	defer g.pkgMu.Unlock()
	all := g.packages()
	p, ok := all[name]
	if !ok {
		return false, nil
	}
	v := g.rootView()
	for _, f := range p.files {
		v.Remove(f)
	}
	v.Remove("/usr/share/doc/" + name)
	delete(all, name)
	return true, g.savePackages(all)
}

// installAll installs packages and starts their services the way the family does (Debian starts, Red Hat does not).
func (p *proc) installAll(names []string) int {
	if len(names) > 0 {
		p.printf("(simulated by tfbake: packages are recorded, nothing is downloaded)\n")
	}
	for _, n := range names {
		if name, _ := splitPackage(n); strings.HasPrefix(name, "tfbake-no-such") || strings.Contains(name, "nonexistent") {
			if p.g.sys.Family == "debian" {
				fmt.Fprintf(p.err, "E: Unable to locate package %s\n", name)
				return 100
			}
			fmt.Fprintf(p.err, "Error: Unable to find a match: %s\n", name)
			return 1
		}
	}
	for _, n := range names {
		pk, fresh, err := p.g.install(n)
		if err != nil {
			fmt.Fprintf(p.err, "E: %v\n", err)
			return 100
		}
		if !fresh {
			p.printf("%s is already the newest version (%s).\n", pk.name, pk.version)
			continue
		}
		p.printf("Setting up %s (%s) ...\n", pk.name, pk.version)
		if p.g.sys.Family == "debian" {
			for _, s := range known[pk.name].services {
				p.with(func(q *proc) { q.err, q.out = io.Discard, io.Discard }).exec([]string{"/usr/bin/systemctl", "enable", "--now", s})
			}
		}
	}
	return 0
}

func (p *proc) removeAll(names []string) int {
	for _, n := range names {
		ok, err := p.g.uninstall(n)
		if err != nil {
			fmt.Fprintf(p.err, "E: %v\n", err)
			return 100
		}
		if ok {
			p.printf("Removing %s (simulated by tfbake) ...\n", n)
		} else {
			p.printf("Package '%s' is not installed, so not removed\n", n)
		}
	}
	return 0
}

// verbs separates options from a package manager's words; options that take a value swallow it.
func verbs(args []string, valued ...string) (words, opts []string) {
	for i := 0; i < len(args); i++ {
		a := args[i]
		if strings.HasPrefix(a, "-") && a != "-" {
			opts = append(opts, a)
			if slices.Contains(valued, a) && i+1 < len(args) {
				i++
				opts = append(opts, args[i])
			}
			continue
		}
		words = append(words, a)
	}
	return words, opts
}

func cmdApt(p *proc) int {
	words, opts := verbs(p.args, "-o", "-t", "-c", "--option", "--target-release")
	if len(words) == 0 {
		p.printf("apt 2.4.12 (amd64) (simulated by tfbake)\n")
		return 0
	}
	verb, names := words[0], words[1:]
	if p.who.uid != 0 && !slices.Contains([]string{"list", "search", "show", "policy"}, verb) {
		fmt.Fprintf(p.err, "E: Could not open lock file /var/lib/dpkg/lock-frontend - open (13: Permission denied)\nE: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), are you root?\n")
		return 100
	}
	if slices.Contains(opts, "-qq") {
		q := *p
		q.out = io.Discard
		p = &q
	}
	switch verb {
	case "update":
		p.printf("Hit:1 http://archive.ubuntu.com/ubuntu %s InRelease (simulated by tfbake, nothing was fetched)\nReading package lists... Done\n", p.g.sys.Codename)
		p.v.MkdirAll("/var/lib/apt/lists", 0o755)
		p.v.WriteFile("/var/lib/apt/lists/simulated", []byte("\n"), 0o644)
		return 0
	case "upgrade", "dist-upgrade", "full-upgrade", "autoremove", "autopurge", "clean", "autoclean", "check", "build-dep", "moo":
		p.printf("Reading package lists... Done\n0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded. (simulated by tfbake)\n")
		if verb == "clean" {
			entries, _ := p.v.ReadDir("/var/cache/apt/archives")
			for _, e := range entries {
				p.v.RemoveAll("/var/cache/apt/archives/" + e.name)
			}
		}
		return 0
	case "install", "reinstall":
		p.printf("Reading package lists... Done\nBuilding dependency tree... Done\n")
		return p.installAll(names)
	case "remove", "purge":
		return p.removeAll(names)
	case "list":
		p.printf("Listing...\n")
		all := p.g.packages()
		for _, n := range slices.Sorted(keysOf(all)) {
			p.printf("%s/simulated,now %s amd64 [installed]\n", n, all[n].version)
		}
		return 0
	case "search", "show", "policy", "download", "source", "changelog":
		p.printf("(simulated by tfbake: no package lists)\n")
		return 0
	}
	fmt.Fprintf(p.err, "E: Invalid operation %s\n", verb)
	return 100
}

func keysOf(m map[string]pkg) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func cmdAptMisc(p *proc) int {
	if p.name == "apt-key" {
		io.Copy(io.Discard, p.stdin())
		p.printf("OK\n")
	}
	if p.name == "apt-mark" || p.name == "needs-restarting" {
		return 0
	}
	fmt.Fprintf(p.err, "%s: simulated by tfbake\n", p.name)
	return 0
}

func cmdAptCache(p *proc) int {
	words, _ := verbs(p.args)
	if len(words) == 2 && words[0] == "policy" {
		v := "(none)"
		if k, ok := p.g.packages()[words[1]]; ok {
			v = k.version
		}
		p.printf("%s:\n  Installed: %s\n  Candidate: 0.0.0-simulated\n", words[1], v)
	}
	return 0
}

func cmdDpkg(p *proc) int {
	words, opts := verbs(p.args, "-f", "--showformat")
	has := func(names ...string) bool {
		return slices.ContainsFunc(opts, func(o string) bool { return slices.Contains(names, o) })
	}
	all := p.g.packages()
	switch {
	case has("-i", "--install"):
		for _, w := range words {
			if !p.v.exists(p.abs(w)) {
				fmt.Fprintf(p.err, "dpkg: error: cannot access archive '%s': No such file or directory\n", w)
				return 2
			}
		}
		return p.installAll(words)
	case has("-r", "-P", "--remove", "--purge"):
		return p.removeAll(words)
	case has("--print-architecture"):
		p.printf("amd64\n")
		return 0
	case has("--configure", "-a", "--add-architecture", "--set-selections", "--clear-avail"):
		return 0
	case has("-s", "--status", "-L", "--listfiles"):
		for _, w := range words {
			k, ok := all[w]
			if !ok {
				fmt.Fprintf(p.err, "dpkg-query: package '%s' is not installed\n", w)
				return 1
			}
			if has("-L", "--listfiles") {
				p.printf("%s\n", strings.Join(k.files, "\n"))
				continue
			}
			p.printf("Package: %s\nStatus: install ok installed\nVersion: %s\nDescription: simulated by tfbake\n", k.name, k.version)
		}
		return 0
	case has("-S", "--search"):
		code := 1
		for _, w := range words {
			for _, n := range slices.Sorted(keysOf(all)) {
				for _, f := range all[n].files {
					if strings.Contains(f, w) {
						p.printf("%s: %s\n", n, f)
						code = 0
					}
				}
			}
		}
		return code
	case has("-l", "--list", "-W", "--show", "--get-selections") || slices.ContainsFunc(opts, func(s string) bool { return strings.HasPrefix(s, "-f") }):
		format := ""
		for i, o := range opts {
			if v, ok := strings.CutPrefix(o, "--showformat="); ok {
				format = v
			} else if v, ok := strings.CutPrefix(o, "-f="); ok {
				format = v
			} else if (o == "-f" || o == "--showformat") && i+1 < len(opts) {
				format = opts[i+1]
			}
		}
		code := 0
		if len(words) == 0 {
			words = slices.Sorted(keysOf(all))
		}
		if has("-l", "--list") {
			p.printf("Desired=Unknown/Install/Remove/Purge/Hold\n||/ Name  Version  Architecture Description\n+++-=====-========-============-===========\n")
		}
		for _, w := range words {
			hit := false
			for _, n := range slices.Sorted(keysOf(all)) {
				if !globMatch(w, n, false) {
					continue
				}
				hit = true
				k := all[n]
				switch {
				case format != "":
					r := strings.NewReplacer("${Package}", k.name, "${binary:Package}", k.name, "${Version}", k.version, "${Status}", "install ok installed", "${db:Status-Status}", "installed", "${Architecture}", "amd64", "${db:Status-Abbrev}", "ii ")
					p.printf("%s", unescape(r.Replace(format)))
				case has("--get-selections"):
					p.printf("%s\tinstall\n", n)
				case has("-l", "--list"):
					p.printf("ii  %s  %s  amd64  simulated by tfbake\n", k.name, k.version)
				default:
					p.printf("%s\t%s\n", k.name, k.version)
				}
			}
			if !hit {
				fmt.Fprintf(p.err, "dpkg-query: no packages found matching %s\n", w)
				code = 1
			}
		}
		return code
	}
	return 0
}

func cmdYum(p *proc) int {
	words, _ := verbs(p.args, "-c", "--enablerepo", "--disablerepo", "-x", "--exclude", "--setopt", "--releasever", "--installroot")
	if len(words) == 0 {
		p.printf("4.7.0 (simulated by tfbake)\n")
		return 0
	}
	verb, names := words[0], words[1:]
	if p.who.uid != 0 && !slices.Contains([]string{"list", "search", "info", "repolist"}, verb) {
		fmt.Fprintf(p.err, "Error: This command has to be run with superuser privileges (under the root user on most systems).\n")
		return 1
	}
	switch verb {
	case "install", "reinstall", "localinstall", "groupinstall", "upgrade-minimal":
		if code := p.installAll(names); code != 0 {
			return code
		}
		p.printf("Complete!\n")
		return 0
	case "remove", "erase", "autoremove":
		return p.removeAll(names)
	case "list":
		all := p.g.packages()
		code := 0
		for _, n := range names {
			if n != "installed" && n != "available" {
				if _, ok := all[n]; !ok {
					fmt.Fprintf(p.err, "Error: No matching Packages to list\n")
					code = 1
				}
			}
		}
		for _, n := range slices.Sorted(keysOf(all)) {
			p.printf("%s.x86_64\t%s\t@simulated\n", n, all[n].version)
		}
		return code
	case "check-update", "update", "upgrade", "makecache", "clean", "module", "config-manager", "repolist", "groupupdate", "swap", "distro-sync", "mark", "search", "info", "provides", "history", "versionlock", "check":
		p.printf("Nothing to do. (simulated by tfbake)\n")
		return 0
	}
	fmt.Fprintf(p.err, "No such command: %s.\n", verb)
	return 1
}

func cmdRpm(p *proc) int {
	var flags string
	var names []string
	format := ""
	for i := 0; i < len(p.args); i++ {
		a := p.args[i]
		switch {
		case (a == "--qf" || a == "--queryformat") && i+1 < len(p.args):
			i++
			format = p.args[i]
		case strings.HasPrefix(a, "--"):
			if a == "--import" {
				return 0
			}
			if a == "--query" {
				flags += "q"
			}
		case strings.HasPrefix(a, "-"):
			flags += a[1:]
		default:
			names = append(names, a)
		}
	}
	all := p.g.packages()
	switch {
	case strings.Contains(flags, "E") && names != nil && strings.HasPrefix(names[0], "%"):
		major, _, _ := strings.Cut(p.g.sys.Version, ".")
		p.printf("%s\n", strings.NewReplacer("%{rhel}", major, "%rhel", major, "%fedora", "%fedora", "%{_arch}", "x86_64", "%dist", ".el"+major, "%{dist}", ".el"+major).Replace(names[0]))
		return 0
	case strings.Contains(flags, "q"):
		if strings.Contains(flags, "a") {
			names = slices.Sorted(keysOf(all))
		}
		code := 0
		for _, n := range names {
			k, ok := all[n]
			switch {
			case !ok:
				p.printf("package %s is not installed\n", n)
				code = 1
			case format != "":
				p.printf("%s", unescape(strings.NewReplacer("%{NAME}", k.name, "%{VERSION}", k.version, "%{name}", k.name, "%{version}", k.version, "%{RELEASE}", "1", "%{ARCH}", "x86_64").Replace(format)))
			case strings.Contains(flags, "l"):
				p.printf("%s\n", strings.Join(k.files, "\n"))
			default:
				p.printf("%s-%s-1.x86_64\n", k.name, k.version)
			}
		}
		return code
	case strings.ContainsAny(flags, "iUF"):
		if p.needRoot() {
			return 1
		}
		return p.installAll(names)
	case strings.Contains(flags, "e"):
		if p.needRoot() {
			return 1
		}
		code := 0
		for _, n := range names {
			if ok, err := p.g.uninstall(n); !ok || err != nil {
				fmt.Fprintf(p.err, "error: package %s is not installed\n", n)
				code = 1
			}
		}
		return code
	}
	return 0
}

func cmdPip(p *proc) int {
	words, _ := verbs(p.args, "-r", "-t", "-i", "--index-url")
	if len(words) == 0 {
		p.printf("%s 0.0.0 (simulated by tfbake)\n", p.name)
		return 0
	}
	switch words[0] {
	case "install", "i", "ci", "refresh":
		p.printf("(simulated by tfbake: recorded, nothing is downloaded)\n")
		for _, w := range words[1:] {
			if validPackage(w) {
				p.v.MkdirAll("/var/lib/tfbake", 0o755)
				p.v.appendFile("/var/lib/tfbake/"+p.name, w+"\n")
			}
		}
		if len(words) > 1 {
			p.printf("Successfully installed %s\n", strings.Join(words[1:], " "))
		}
	case "list", "freeze", "show":
		p.printf("%s", p.v.readString("/var/lib/tfbake/"+p.name))
	case "uninstall", "remove", "config", "update", "upgrade":
	default:
		p.printf("%s: simulated by tfbake\n", p.name)
	}
	return 0
}
