package guest

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

func init() {
	registerAdmin(cmdUseradd, "useradd", "adduser")
	registerAdmin(cmdUsermod, "usermod")
	registerAdmin(cmdUserdel, "userdel", "deluser")
	registerAdmin(cmdGroupadd, "groupadd", "addgroup")
	registerAdmin(cmdGroupdel, "groupdel", "delgroup", "groupmod")
	register(cmdPasswd, "passwd")
	registerAdmin(cmdChpasswd, "chpasswd")
	register(cmdGpasswd, "gpasswd")
	register(func(*proc) int { return 0 }, "chage", "chsh", "chfn")
	registerAdmin(func(p *proc) int { return 0 }, "visudo", "pam-auth-update", "authselect", "authconfig", "alternatives", "update-rc.d", "chkconfig")
	register(func(p *proc) int { return 0 }, "update-alternatives", "debconf-set-selections", "systemd-analyze", "systemd-detect-virt", "netplan", "gpg")
	register(cmdSudo, "sudo")
	register(cmdSu, "su", "runuser")
	register(cmdGetent, "getent")
	register(cmdSystemctl, "systemctl")
	registerAdmin(cmdService, "service")
	register(cmdJournalctl, "journalctl")
	register(cmdCloudInit, "cloud-init")
	register(cmdHostnamectl, "hostnamectl")
	register(cmdTimedatectl, "timedatectl", "localectl")
	register(cmdCrontab, "crontab")
	registerAdmin(cmdFirewall, "iptables", "ip6tables", "ufw", "firewall-cmd", "nft", "iptables-save", "ip6tables-save", "iptables-restore")
}

// edit rewrites a colon-separated account file under the lock.
func (g *Guest) edit(file string, change func(lines []string) ([]string, error)) error {
	g.pkgMu.Lock()
	defer g.pkgMu.Unlock()
	v := g.rootView()
	fi, err := v.Stat(file)
	mode := iofs.FileMode(0o644)
	if err == nil {
		mode = fi.mode.Perm()
	}
	lines, err := change(splitLines(v.readString(file)))
	if err != nil {
		return err
	}
	text := strings.Join(lines, "\n")
	if text != "" {
		text += "\n"
	}
	return v.replaceFile(file, []byte(text), mode)
}

func (p *proc) needRoot() bool {
	if p.who.uid == 0 {
		return false
	}
	p.warn("Permission denied.")
	return true
}

func (g *Guest) freeID(file string, system bool) int {
	used := g.names(file)
	id := 1000
	if system {
		id = 990
		for used[id] != "" {
			id--
		}
		return id
	}
	for used[id] != "" {
		id++
	}
	return id
}

func (g *Guest) addGroup(name string, gid int, system bool) (int, error) {
	if !validAccount(name) {
		return 0, fmt.Errorf("'%s' is not a valid group name", name)
	}
	if id, err := g.groupID(name); err == nil && name != strconv.Itoa(id) {
		return id, fmt.Errorf("group '%s' already exists", name)
	}
	if gid < 0 {
		gid = g.freeID("/etc/group", system)
	}
	return gid, g.edit("/etc/group", func(l []string) ([]string, error) { return append(l, fmt.Sprintf("%s:x:%d:", name, gid)), nil })
}

func validAccount(name string) bool {
	for i, c := range name {
		if !(c >= 'a' && c <= 'z' || c == '_' || i > 0 && (c >= '0' && c <= '9' || c == '-' || c == '.' || c == '$') || c >= 'A' && c <= 'Z') {
			return false
		}
	}
	return name != "" && len(name) <= 32
}

// setMembership adds a user to groups; with exact, removes it from all others.
func (g *Guest) setMembership(user string, groups []string, exact bool) error {
	for _, n := range groups {
		if _, err := g.groupID(n); err != nil {
			return fmt.Errorf("group '%s' does not exist", n)
		}
	}
	return g.edit("/etc/group", func(lines []string) ([]string, error) {
		for i, l := range lines {
			f := strings.Split(l, ":")
			if len(f) < 4 {
				continue
			}
			members := slices.DeleteFunc(strings.Split(f[3], ","), func(s string) bool { return s == "" })
			in := slices.Contains(groups, f[0]) || slices.Contains(groups, f[2])
			has := slices.Contains(members, user)
			if in && !has {
				members = append(members, user)
			} else if !in && has && exact {
				members = slices.DeleteFunc(members, func(s string) bool { return s == user })
			}
			f[3] = strings.Join(members, ",")
			lines[i] = strings.Join(f, ":")
		}
		return lines, nil
	})
}

func cmdUseradd(p *proc) int {
	if p.needRoot() {
		return 1
	}
	o, ok := p.parse("mMrUNs:d:u:g:G:c:p:e:f:k:ob:DZ:K:l", "create-home=m no-create-home=M system=r shell:=s home:=d home-dir:=d uid:=u gid:=g ingroup:=g groups:=G comment:=c gecos:=c password:=p disabled-password disabled-login user-group=U no-user-group=N expiredate:=e inactive:=f quiet group skel:=k non-unique=o base-dir:=b allow-bad-names", false)
	if !ok {
		return 2
	}
	if len(o.rest) == 0 {
		return p.failCode(2, "missing user name")
	}
	name := o.rest[0]
	if p.name == "adduser" && len(o.rest) == 2 {
		if err := p.g.setMembership(name, o.rest[1:], false); err != nil {
			return p.fail("%v", err)
		}
		p.printf("Adding user `%s' to group `%s' ...\nDone.\n", name, o.rest[1])
		return 0
	}
	if !validAccount(name) {
		return p.failCode(3, "invalid user name '%s'", name)
	}
	if _, exists := p.g.account(name); exists {
		return p.failCode(9, "user '%s' already exists", name)
	}
	uid := p.g.freeID("/etc/passwd", o.has("r"))
	if v := o.value["u"]; v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 {
			return p.failCode(3, "invalid user ID '%s'", v)
		}
		if p.g.names("/etc/passwd")[n] != "" && !o.has("o") {
			return p.failCode(4, "UID %d is not unique", n)
		}
		uid = n
	}
	gid := 100
	switch {
	case o.has("g"):
		n, err := p.g.groupID(o.value["g"])
		if err != nil {
			return p.failCode(6, "group '%s' does not exist", o.value["g"])
		}
		gid = n
	case !o.has("N"):
		want := uid
		if p.g.names("/etc/group")[uid] != "" {
			want = -1
		}
		n, err := p.g.addGroup(name, want, o.has("r"))
		if err != nil {
			return p.failCode(9, "%v", err)
		}
		gid = n
	}
	home := o.value["d"]
	if home == "" {
		base := o.value["b"]
		if base == "" {
			base = "/home"
		}
		home = base + "/" + name
	}
	shell := o.value["s"]
	if shell == "" {
		shell = "/bin/bash"
		if p.g.sys.Family == "debian" && p.name == "useradd" {
			shell = "/bin/sh"
		}
	}
	if strings.ContainsAny(home+shell+o.value["c"], ":\n") {
		return p.failCode(3, "invalid field")
	}
	err := p.g.edit("/etc/passwd", func(l []string) ([]string, error) {
		return append(l, fmt.Sprintf("%s:x:%d:%d:%s:%s:%s", name, uid, gid, o.value["c"], home, shell)), nil
	})
	if err == nil {
		hash := "!"
		if o.has("p") && !strings.ContainsAny(o.value["p"], ":\n") {
			hash = o.value["p"]
		}
		err = p.g.setShadow(name, hash)
	}
	if err == nil && o.has("G") {
		err = p.g.setMembership(name, strings.Split(o.value["G"], ","), false)
	}
	create := o.has("m") || p.name == "adduser" && !o.has("M") && !o.has("r") || p.g.sys.Family == "rhel" && !o.has("M") && !o.has("r")
	if err == nil && create && !p.v.exists(home) {
		err = p.v.MkdirAll(home, 0o755)
		skel, _ := p.v.ReadDir("/etc/skel")
		for _, e := range skel {
			if err == nil && e.mode.IsRegular() {
				err = errors.Join(p.copyFile("/etc/skel/"+e.name, home+"/"+e.name, false), p.v.Chown(home+"/"+e.name, uid, gid, true))
			}
		}
		if err == nil {
			err = p.v.Chown(home, uid, gid, true)
		}
		if err == nil && p.g.sys.Family == "rhel" {
			err = p.v.Chmod(home, 0o700)
		}
	}
	if err != nil {
		return p.fail("%v", err)
	}
	if p.name == "adduser" && !o.has("quiet") {
		p.printf("Adding user `%s' ...\n", name)
	}
	return 0
}

func (g *Guest) changeUser(name string, change func(f []string)) error {
	found := false
	err := g.edit("/etc/passwd", func(lines []string) ([]string, error) {
		for i, l := range lines {
			if f := strings.Split(l, ":"); len(f) >= 7 && f[0] == name {
				change(f)
				lines[i], found = strings.Join(f, ":"), true
			}
		}
		return lines, nil
	})
	if err == nil && !found {
		err = fmt.Errorf("user '%s' does not exist", name)
	}
	return err
}

func cmdUsermod(p *proc) int {
	if p.needRoot() {
		return 1
	}
	o, ok := p.parse("aG:g:s:d:mLUp:c:l:u:e:f:o", "append=a groups:=G gid:=g shell:=s home:=d move-home=m lock=L unlock=U password:=p comment:=c login:=l uid:=u expiredate:=e inactive:=f", false)
	if !ok || len(o.rest) != 1 {
		return p.failCode(2, "missing user name")
	}
	name := o.rest[0]
	a, exists := p.g.account(name)
	if !exists {
		return p.failCode(6, "user '%s' does not exist", name)
	}
	var err error
	if o.has("G") {
		err = p.g.setMembership(name, slices.DeleteFunc(strings.Split(o.value["G"], ","), func(s string) bool { return s == "" }), !o.has("a"))
	}
	gid := -1
	if err == nil && o.has("g") {
		gid, err = p.g.groupID(o.value["g"])
	}
	if err == nil && o.has("L") {
		err = p.g.setShadow(name, "!"+strings.TrimLeft(p.g.shadow(name), "!"))
	}
	if err == nil && o.has("U") {
		err = p.g.setShadow(name, strings.TrimLeft(p.g.shadow(name), "!"))
	}
	if err == nil && o.has("p") {
		err = p.g.setShadow(name, o.value["p"])
	}
	if err == nil {
		err = p.g.changeUser(name, func(f []string) {
			set := func(k string, i int) {
				if o.has(k) && !strings.ContainsAny(o.value[k], ":\n") {
					f[i] = o.value[k]
				}
			}
			set("s", 6)
			set("d", 5)
			set("c", 4)
			set("u", 2)
			set("l", 0)
			if gid >= 0 {
				f[3] = strconv.Itoa(gid)
			}
		})
	}
	if err == nil && o.has("m") && o.has("d") && p.v.exists(a.home) {
		err = p.v.Rename(a.home, o.value["d"])
	}
	if err != nil {
		return p.fail("%v", err)
	}
	return 0
}

func without(name string) func([]string) ([]string, error) {
	return func(l []string) ([]string, error) {
		return slices.DeleteFunc(l, func(s string) bool { return strings.HasPrefix(s, name+":") }), nil
	}
}

func cmdUserdel(p *proc) int {
	if p.needRoot() {
		return 1
	}
	o, ok := p.parse("rfZq", "remove=r force=f remove-home=r remove-all-files=r quiet", false)
	if !ok || len(o.rest) == 0 {
		return p.failCode(2, "missing user name")
	}
	name := o.rest[0]
	a, exists := p.g.account(name)
	if !exists {
		return p.failCode(6, "user '%s' does not exist", name)
	}
	err := errors.Join(p.g.edit("/etc/passwd", without(name)), p.g.edit("/etc/shadow", without(name)), p.g.setMembership(name, nil, true))
	if p.g.names("/etc/group")[a.gid] == name {
		err = errors.Join(err, p.g.edit("/etc/group", without(name)))
	}
	if o.has("r") && strings.HasPrefix(a.home, "/home/") {
		err = errors.Join(err, p.v.RemoveAll(a.home))
	}
	if err != nil {
		return p.fail("%v", err)
	}
	return 0
}

func cmdGroupadd(p *proc) int {
	if p.needRoot() {
		return 1
	}
	o, ok := p.parse("g:rfop:", "gid:=g system=r force=f non-unique=o quiet", false)
	if !ok || len(o.rest) == 0 {
		return p.failCode(2, "missing group name")
	}
	gid := -1
	if v := o.value["g"]; v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			return p.failCode(3, "invalid group ID '%s'", v)
		}
		if p.g.names("/etc/group")[n] != "" && !o.has("o") {
			if o.has("f") {
				n = -1
			} else {
				return p.failCode(4, "GID '%d' already exists", n)
			}
		}
		gid = n
	}
	if _, err := p.g.addGroup(o.rest[0], gid, o.has("r")); err != nil {
		if o.has("f") {
			return 0
		}
		return p.failCode(9, "%v", err)
	}
	return 0
}

func cmdGroupdel(p *proc) int {
	if p.needRoot() {
		return 1
	}
	o, ok := p.parse("fg:n:o", "gid:=g new-name:=n", false)
	if !ok || len(o.rest) == 0 {
		return p.failCode(2, "missing group name")
	}
	name := o.rest[0]
	if _, err := p.g.groupID(name); err != nil {
		return p.failCode(6, "group '%s' does not exist", name)
	}
	change := without(name)
	if p.name == "groupmod" {
		change = func(lines []string) ([]string, error) {
			for i, l := range lines {
				f := strings.Split(l, ":")
				if f[0] == name && len(f) >= 4 {
					if o.has("g") {
						f[2] = o.value["g"]
					}
					if o.has("n") {
						f[0] = o.value["n"]
					}
					lines[i] = strings.Join(f, ":")
				}
			}
			return lines, nil
		}
	}
	if err := p.g.edit("/etc/group", change); err != nil {
		return p.fail("%v", err)
	}
	return 0
}

func cmdPasswd(p *proc) int {
	o, ok := p.parse("ldueSn:x:w:i:fq", "lock=l delete=d unlock=u expire=e status=S stdin quiet=q", false)
	if !ok {
		return 2
	}
	name := p.who.name
	if len(o.rest) > 0 {
		name = o.rest[0]
	}
	if p.who.uid != 0 && name != p.who.name {
		return p.fail("You may not view or modify password information for %s.", name)
	}
	if _, exists := p.g.account(name); !exists {
		return p.fail("user '%s' does not exist", name)
	}
	old := p.g.shadow(name)
	var err error
	switch {
	case o.has("l"):
		err = p.g.setShadow(name, "!"+strings.TrimLeft(old, "!"))
	case o.has("u"):
		err = p.g.setShadow(name, strings.TrimLeft(old, "!"))
	case o.has("d"):
		err = p.g.setShadow(name, "")
	case o.has("S"):
		state := "P"
		if strings.HasPrefix(old, "!") || old == "*" {
			state = "L"
		} else if old == "" {
			state = "NP"
		}
		p.printf("%s %s 01/01/2024 0 99999 7 -1\n", name, state)
		return 0
	case o.has("e", "n", "x", "w", "i"):
		return 0
	default:
		data, rerr := p.readAll("-")
		if rerr != nil {
			return 1
		}
		l := splitLines(string(data))
		if len(l) == 0 || l[0] == "" || len(l) > 1 && l[1] != l[0] && !o.has("stdin") {
			return p.failCode(10, "Authentication token manipulation error")
		}
		err = p.g.setPassword(name, l[0])
	}
	if err != nil {
		return p.fail("%v", err)
	}
	if !o.has("q") {
		p.printf("passwd: password updated successfully\n")
	}
	return 0
}

func cmdChpasswd(p *proc) int {
	if p.needRoot() {
		return 1
	}
	o, ok := p.parse("ec:ms:R:", "encrypted=e crypt-method:=c", false)
	if !ok {
		return 2
	}
	code := 0
	p.inputs(nil, func(_ string, r io.Reader) {
		n := 0
		lines(r, func(l string) bool {
			n++
			user, pw, ok := strings.Cut(strings.TrimRight(l, "\r"), ":")
			if _, exists := p.g.account(user); !ok || !exists {
				if l != "" {
					code = p.fail("line %d: missing or unknown user", n)
				}
				return true
			}
			var err error
			if o.has("e") {
				err = p.g.setShadow(user, pw)
			} else {
				err = p.g.setPassword(user, pw)
			}
			if err != nil {
				code = p.fail("%v", err)
			}
			return true
		})
	})
	return code
}

func cmdGpasswd(p *proc) int {
	if p.needRoot() {
		return 1
	}
	o, ok := p.parse("a:d:r", "add:=a delete:=d", false)
	if !ok || len(o.rest) == 0 {
		return 2
	}
	user := o.value["a"] + o.value["d"]
	if o.has("a") {
		if err := p.g.setMembership(user, o.rest[:1], false); err != nil {
			return p.fail("%v", err)
		}
		return 0
	}
	a, exists := p.g.account(user)
	if !exists {
		return p.fail("user '%s' does not exist", user)
	}
	groups := p.g.names("/etc/group")
	var keep []string
	for _, id := range a.groups {
		if groups[id] != o.rest[0] {
			keep = append(keep, groups[id])
		}
	}
	if err := p.g.setMembership(user, keep, true); err != nil {
		return p.fail("%v", err)
	}
	return 0
}

// become returns a process of another user.
func (p *proc) become(a account, login bool) *proc {
	q := p.with(func(q *proc) {
		q.who = a
		q.v = p.g.viewFor(a, p.v.umask)
		if login {
			term := q.env["TERM"]
			q.env = p.g.environment(a)
			if term != "" {
				q.env["TERM"] = term
			}
			if q.v.isDir(a.home) {
				q.dir = a.home
			} else {
				q.dir = "/"
			}
		} else {
			q.env["HOME"], q.env["USER"], q.env["LOGNAME"] = a.home, a.name, a.name
		}
	})
	return q
}

func (p *proc) maySudo(target account) bool {
	if p.who.uid == 0 || p.who.uid == target.uid {
		return true
	}
	text := p.g.rootView().readString("/etc/sudoers")
	entries, _ := p.g.rootView().ReadDir("/etc/sudoers.d")
	for _, e := range entries {
		text += "\n" + p.g.rootView().readString("/etc/sudoers.d/"+e.name)
	}
	groups := p.g.names("/etc/group")
	mine := []string{groups[p.who.gid]}
	for _, id := range p.who.groups {
		mine = append(mine, groups[id])
	}
	for _, l := range strings.Split(text, "\n") {
		f := strings.Fields(l)
		if len(f) < 2 || !strings.Contains(l, "NOPASSWD") {
			continue
		}
		if f[0] == p.who.name || f[0] == "ALL" || strings.HasPrefix(f[0], "%") && slices.Contains(mine, f[0][1:]) {
			return true
		}
	}
	return false
}

func cmdSudo(p *proc) int {
	o, ok := p.parse("u:g:EnHSiskKvlbAp:C:h:PT", "user:=u group:=g preserve-env?=E non-interactive=n set-home=H stdin=S login=i shell=s prompt:=p", true)
	if !ok {
		return 1
	}
	name := "root"
	if o.has("u") {
		name = strings.TrimPrefix(o.value["u"], "#")
	}
	target, exists := p.g.account(name)
	if !exists {
		return p.fail("unknown user: %s", name)
	}
	if !p.maySudo(target) {
		groups := p.g.names("/etc/group")
		inGroup := slices.ContainsFunc(p.who.groups, func(id int) bool { return groups[id] == "sudo" || groups[id] == "wheel" })
		if !o.has("S") || !inGroup {
			return p.fail("a password is required")
		}
		pw, err := (&lineReader{r: p.stdin()}).line()
		if err != nil || !p.g.checkPassword(p.who.name, pw) {
			return p.fail("1 incorrect password attempt")
		}
	} else if o.has("S") && p.who.uid != 0 {
		// Packer's `echo pw | sudo -S` gives a password nobody asked for; the program sees it on its input, as with real sudo.
		_ = name
	}
	if o.has("v", "k", "K", "l") && len(o.rest) == 0 {
		return 0
	}
	rest := o.rest
	set := map[string]string{}
	for len(rest) > 0 {
		k, v, ok := strings.Cut(rest[0], "=")
		if !ok || !isName(k) {
			break
		}
		set[k] = v
		rest = rest[1:]
	}
	q := p.become(target, o.has("i"))
	if !o.has("E") && !o.has("i") {
		env := p.g.environment(target)
		for _, k := range []string{"TERM", "LANG", "COLUMNS", "LINES", "PATH"} {
			if v, ok := p.env[k]; ok && k != "PATH" {
				env[k] = v
			}
		}
		q.env = env
	}
	q.env["SUDO_USER"], q.env["SUDO_UID"], q.env["SUDO_GID"] = p.who.name, strconv.Itoa(p.who.uid), strconv.Itoa(p.who.gid)
	q.env["SUDO_COMMAND"] = strings.Join(rest, " ")
	maps.Copy(q.env, set)
	shell := target.shell
	if shell == "" || !p.v.exists(shell) || strings.HasSuffix(shell, "nologin") {
		shell = "/bin/sh"
	}
	switch {
	case len(rest) == 0 && o.has("i", "s"):
		rest = []string{shell}
	case o.has("i", "s"):
		rest = []string{shell, "-c", quoteAll(rest)}
	case len(rest) == 0:
		return p.fail("usage: sudo [-u user] command")
	}
	return q.exec(rest)
}

// line reads one line without its end.
func (l *lineReader) line() (string, error) {
	buf := make([]byte, 4096)
	n, err := l.Read(buf)
	s := strings.TrimRight(string(buf[:n]), "\r\n")
	if s != "" {
		err = nil
	}
	return s, err
}

func cmdSu(p *proc) int {
	o, ok := p.parse("lc:s:mpu:g:", "login=l command:=c shell:=s preserve-environment=p", true)
	if !ok {
		return 1
	}
	rest := o.rest
	login := o.has("l")
	if len(rest) > 0 && rest[0] == "-" {
		login, rest = true, rest[1:]
	}
	name := "root"
	switch {
	case o.has("u"):
		name = o.value["u"]
	case len(rest) > 0:
		name, rest = rest[0], rest[1:]
	}
	// Options may follow the name.
	q := *p
	q.args = rest
	o2, ok := q.parse("lc:s:mp", "login=l command:=c shell:=s preserve-environment=p", true)
	if !ok {
		return 1
	}
	login = login || o2.has("l")
	command, has := o.value["c"], o.has("c")
	if o2.has("c") {
		command, has = o2.value["c"], true
	}
	target, exists := p.g.account(name)
	if !exists {
		return p.fail("user %s does not exist", name)
	}
	if p.who.uid != 0 {
		pw, err := (&lineReader{r: p.stdin()}).line()
		if err != nil || !p.g.checkPassword(name, pw) {
			return p.fail("Authentication failure")
		}
	}
	shell := target.shell
	if s := o.value["s"] + o2.value["s"]; s != "" {
		shell = s
	}
	if shell == "" {
		shell = "/bin/sh"
	}
	n := p.become(target, login)
	argv := []string{shell}
	if login {
		argv = append(argv, "--login")
	}
	if strings.HasSuffix(shell, "nologin") || strings.HasSuffix(shell, "/false") {
		argv = []string{shell}
	}
	switch {
	case o.has("u") && len(rest) > 0:
		return n.exec(rest)
	case has:
		argv = append(argv, "-c", command)
	}
	return n.exec(append(argv, o2.rest...))
}

func cmdGetent(p *proc) int {
	if len(p.args) == 0 {
		return 1
	}
	file := map[string]string{"passwd": "/etc/passwd", "group": "/etc/group", "shadow": "/etc/shadow", "hosts": "/etc/hosts", "services": "/etc/services", "ahosts": "/etc/hosts"}[p.args[0]]
	if file == "" {
		return p.fail("Unknown database: %s", p.args[0])
	}
	all := splitLines(p.v.readString(file))
	if len(p.args) == 1 {
		for _, l := range all {
			p.printf("%s\n", l)
		}
		return 0
	}
	code := 0
	for _, key := range p.args[1:] {
		found := false
		for _, l := range all {
			f := strings.FieldsFunc(l, func(r rune) bool { return r == ':' })
			if strings.HasSuffix(file, "hosts") {
				f = strings.Fields(l)
				if slices.Contains(f, key) {
					p.printf("%s\n", l)
					found = true
				}
				continue
			}
			if len(f) > 2 && (f[0] == key || f[2] == key) {
				p.printf("%s\n", l)
				found = true
				break
			}
		}
		if !found {
			code = 2
		}
	}
	return code
}

// Units: a unit exists when its file does, is enabled when it is linked from a .wants directory, and runs when
// /run/tfbake/units names it.

const unitState = "/run/tfbake/units"

var unitDirs = []string{"/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system"}

func unitName(n string) string {
	for _, s := range []string{".service", ".socket", ".timer", ".target", ".mount", ".path", ".slice"} {
		if strings.HasSuffix(n, s) {
			return n
		}
	}
	return n + ".service"
}

// unitFile finds a unit; a link to /dev/null is a masked one.
func (g *Guest) unitFile(name string) (file string, masked bool) {
	v := g.rootView()
	base := unitName(name)
	names := []string{base}
	if i := strings.IndexByte(base, '@'); i > 0 {
		names = append(names, base[:i+1]+path.Ext(base))
	}
	for _, n := range names {
		for _, d := range unitDirs {
			f := d + "/" + n
			if t, err := v.Readlink(f); err == nil && t == "/dev/null" {
				return f, true
			}
			if v.exists(f) {
				return f, false
			}
		}
	}
	return "", false
}

func (g *Guest) unitEnabled(name string) bool {
	v := g.rootView()
	entries, _ := v.ReadDir("/etc/systemd/system")
	for _, e := range entries {
		if strings.HasSuffix(e.name, ".wants") || strings.HasSuffix(e.name, ".requires") {
			if _, err := v.Lstat("/etc/systemd/system/" + e.name + "/" + unitName(name)); err == nil {
				return true
			}
		}
	}
	return false
}

func (g *Guest) activeUnits() []string {
	if g.sys.Family == "windows" {
		return nil
	}
	return splitLines(g.rootView().readString(unitState))
}

func (g *Guest) setActive(name string, on bool) error {
	name = strings.TrimSuffix(unitName(name), ".service")
	v := g.rootView()
	if err := v.MkdirAll(path.Dir(unitState), 0o755); err != nil {
		return err
	}
	return g.edit(unitState, func(l []string) ([]string, error) {
		l = slices.DeleteFunc(l, func(s string) bool { return s == name })
		if on {
			l = append(l, name)
		}
		return l, nil
	})
}

// startUnits starts what is enabled, at boot.
func (g *Guest) startUnits() {
	if g.sys.Family == "windows" {
		return
	}
	v := g.rootView()
	v.RemoveAll(path.Dir(unitState))
	entries, _ := v.ReadDir("/etc/systemd/system/multi-user.target.wants")
	active := "multi-user.target\n"
	for _, e := range entries {
		if v.exists("/etc/systemd/system/multi-user.target.wants/" + e.name) {
			active += strings.TrimSuffix(e.name, ".service") + "\n"
		}
	}
	v.MkdirAll(path.Dir(unitState), 0o755)
	v.WriteFile(unitState, []byte(active), 0o644)
}

func (g *Guest) isActive(name string) bool {
	return slices.Contains(g.activeUnits(), strings.TrimSuffix(unitName(name), ".service"))
}

func cmdSystemctl(p *proc) int {
	o, ok := p.parse("qfanlt:p:MH:", "now quiet=q no-pager force=f all=a type:=t state: user system no-block property:=p value no-legend plain full=l lines: no-reload failed root: runtime no-ask-password", false)
	if !ok {
		return 1
	}
	verb := "list-units"
	rest := o.rest
	if len(rest) > 0 {
		verb, rest = rest[0], rest[1:]
	}
	say := func(format string, a ...any) {
		if !o.has("q") {
			p.printf(format, a...)
		}
	}
	mutating := !slices.Contains([]string{"is-active", "is-enabled", "status", "list-units", "list-unit-files", "show", "cat", "is-failed", "is-system-running", "get-default"}, verb)
	if mutating && p.who.uid != 0 && !o.has("user") {
		return p.fail("Interactive authentication required.")
	}
	switch verb {
	case "daemon-reload", "daemon-reexec", "reset-failed", "set-default", "preset", "preset-all", "set-property", "isolate", "default", "import-environment":
		return 0
	case "get-default":
		p.printf("multi-user.target\n")
		return 0
	case "reboot", "poweroff", "halt", "kexec":
		p.g.selfPower(verb == "reboot", 0)
		return 0
	case "is-system-running":
		p.g.initWGBusy(p)
		return 0
	case "list-units", "list-unit-files":
		for _, u := range p.g.activeUnits() {
			p.printf("%-40s loaded active running\n", unitName(u))
		}
		return 0
	}
	if len(rest) == 0 {
		return p.fail("Too few arguments.")
	}
	code := 0
	for _, n := range rest {
		file, masked := p.g.unitFile(n)
		missing := func() {
			fmt.Fprintf(p.err, "Unit %s could not be found.\n", unitName(n))
		}
		switch verb {
		case "is-active":
			if p.g.isActive(n) {
				say("active\n")
			} else {
				say("inactive\n")
				code = 3
			}
		case "is-failed":
			say("inactive\n")
			code = 1
		case "is-enabled":
			switch {
			case masked:
				say("masked\n")
				code = 1
			case file == "":
				fmt.Fprintf(p.err, "Failed to get unit file state for %s: No such file or directory\n", unitName(n))
				code = 1
			case p.g.unitEnabled(n):
				say("enabled\n")
			case !strings.Contains(p.v.readString(file), "[Install]"):
				say("static\n")
			default:
				say("disabled\n")
				code = 1
			}
		case "status":
			if file == "" {
				missing()
				code = 4
				continue
			}
			state := "inactive (dead)"
			if p.g.isActive(n) {
				state = "active (running)"
			} else {
				code = 3
			}
			p.printf("● %s - simulated by tfbake\n     Loaded: loaded (%s; %s)\n     Active: %s\n", unitName(n), file, map[bool]string{true: "enabled", false: "disabled"}[p.g.unitEnabled(n)], state)
		case "cat":
			if file == "" {
				missing()
				return 1
			}
			p.printf("# %s\n%s", file, p.v.readString(file))
		case "show":
			state := map[bool][2]string{true: {"active", "running"}, false: {"inactive", "dead"}}[p.g.isActive(n)]
			load := map[bool]string{true: "loaded", false: "not-found"}[file != ""]
			props := [][2]string{{"Id", unitName(n)}, {"LoadState", load}, {"ActiveState", state[0]}, {"SubState", state[1]}, {"UnitFileState", map[bool]string{true: "enabled", false: "disabled"}[p.g.unitEnabled(n)]}, {"FragmentPath", file}}
			for _, kv := range props {
				if o.has("p") && !slices.Contains(strings.Split(strings.Join(o.all["p"], ","), ","), kv[0]) {
					continue
				}
				if o.has("value") {
					p.printf("%s\n", kv[1])
				} else {
					p.printf("%s=%s\n", kv[0], kv[1])
				}
			}
		case "start", "restart", "reload", "reload-or-restart", "try-restart", "condrestart", "stop", "kill":
			if masked {
				fmt.Fprintf(p.err, "Failed to %s %s: Unit %s is masked.\n", verb, unitName(n), unitName(n))
				code = 1
				continue
			}
			if file == "" {
				fmt.Fprintf(p.err, "Failed to %s %s: Unit %s not found.\n", verb, unitName(n), unitName(n))
				code = 5
				continue
			}
			on := verb != "stop" && verb != "kill"
			if verb == "try-restart" || verb == "condrestart" {
				on = p.g.isActive(n)
			}
			if verb == "reload" && !p.g.isActive(n) {
				fmt.Fprintf(p.err, "%s is not active, cannot reload.\n", unitName(n))
				code = 1
				continue
			}
			p.g.setActive(n, on)
			p.g.sysLog("systemd[1]", fmt.Sprintf("%s %s (simulated by tfbake).", map[bool]string{true: "Started", false: "Stopped"}[on], unitName(n)))
		case "enable", "disable", "reenable", "mask", "unmask", "add-wants":
			if file == "" && verb != "mask" && verb != "unmask" {
				fmt.Fprintf(p.err, "Failed to %s unit: Unit file %s does not exist.\n", verb, unitName(n))
				code = 1
				continue
			}
			wants := "/etc/systemd/system/multi-user.target.wants/" + unitName(n)
			own := "/etc/systemd/system/" + unitName(n)
			var err error
			switch verb {
			case "enable", "reenable":
				p.v.MkdirAll(path.Dir(wants), 0o755)
				if _, lerr := p.v.Lstat(wants); lerr != nil {
					if err = p.v.Symlink(file, wants); err == nil && !o.has("q") {
						fmt.Fprintf(p.err, "Created symlink %s → %s.\n", wants, file)
					}
				}
			case "disable":
				entries, _ := p.v.ReadDir("/etc/systemd/system")
				for _, e := range entries {
					link := "/etc/systemd/system/" + e.name + "/" + unitName(n)
					if strings.HasSuffix(e.name, ".wants") {
						if _, lerr := p.v.Lstat(link); lerr == nil {
							if err = p.v.Remove(link); err == nil && !o.has("q") {
								fmt.Fprintf(p.err, "Removed %s.\n", link)
							}
						}
					}
				}
			case "mask":
				p.v.Remove(own)
				if err = p.v.Symlink("/dev/null", own); err == nil {
					fmt.Fprintf(p.err, "Created symlink %s → /dev/null.\n", own)
				}
			case "unmask":
				if masked {
					err = p.v.Remove(own)
				}
			}
			if err != nil {
				code = p.fail("%s", why(err))
			}
			if o.has("now") && err == nil {
				p.g.setActive(n, verb == "enable")
			}
		default:
			return p.fail("Unknown operation %s.", verb)
		}
	}
	return code
}

// initWGBusy prints the state of the boot: starting while the init script runs.
func (g *Guest) initWGBusy(p *proc) {
	if g.initRunning() {
		p.printf("starting\n")
		return
	}
	p.printf("running\n")
}

func (g *Guest) initRunning() bool {
	return !g.rootView().exists("/var/lib/cloud/instance/boot-finished")
}

func cmdService(p *proc) int {
	if len(p.args) == 1 && p.args[0] == "--status-all" {
		for _, u := range p.g.activeUnits() {
			p.printf(" [ + ]  %s\n", u)
		}
		return 0
	}
	if len(p.args) < 2 {
		return p.fail("usage: service name action")
	}
	return p.runArgs([]string{"/usr/bin/systemctl", p.args[1], p.args[0]})
}

func cmdJournalctl(p *proc) int {
	file := "/var/log/syslog"
	if p.g.sys.Family == "rhel" {
		file = "/var/log/messages"
	}
	p.printf("%s", p.g.rootView().readString(file))
	return 0
}

func cmdCloudInit(p *proc) int {
	verb := ""
	for _, a := range p.args {
		if !strings.HasPrefix(a, "-") {
			verb = a
			break
		}
	}
	switch verb {
	case "status":
		if slices.Contains(p.args, "--wait") || slices.Contains(p.args, "-w") {
			for p.g.initRunning() {
				if !p.sleep(20 * time.Millisecond) {
					return 130
				}
			}
		}
		if p.g.initRunning() {
			p.printf("status: running\n")
			return 0
		}
		if strings.Contains(p.g.rootView().readString("/var/lib/cloud/data/result.json"), "failed") {
			p.printf("status: error\n")
			return 1
		}
		p.printf("status: done\n")
	case "clean":
		v := p.g.rootView()
		v.RemoveAll("/var/lib/cloud/instance")
		v.MkdirAll("/var/lib/cloud/instance", 0o755)
		if slices.Contains(p.args, "--logs") || slices.Contains(p.args, "-l") {
			v.WriteFile("/var/log/cloud-init.log", nil, 0o640)
			v.WriteFile("/var/log/cloud-init-output.log", nil, 0o640)
		}
		if slices.Contains(p.args, "--machine-id") {
			v.WriteFile("/etc/machine-id", []byte("uninitialized\n"), 0o444)
		}
		if slices.Contains(p.args, "--reboot") || slices.Contains(p.args, "-r") {
			p.g.selfPower(true, 0)
		}
	case "query", "schema", "init", "modules", "single":
		p.warn("%s is not simulated", verb)
	default:
		p.printf("/usr/bin/cloud-init 23.1 (simulated by tfbake)\n")
	}
	return 0
}

func cmdHostnamectl(p *proc) int {
	args := slices.DeleteFunc(slices.Clone(p.args), func(a string) bool { return strings.HasPrefix(a, "-") })
	if len(args) >= 2 && (args[0] == "set-hostname" || args[0] == "hostname") {
		if p.needRoot() {
			return 1
		}
		if err := p.g.setHostname(args[1]); err != nil {
			return p.fail("%s", why(err))
		}
		return 0
	}
	if len(args) == 1 && args[0] == "hostname" {
		p.printf("%s\n", p.g.hostname())
		return 0
	}
	p.printf("   Static hostname: %s\n  Operating System: %s\n            Kernel: Linux %s\n    Virtualization: tfbake (simulated)\n", p.g.hostname(), p.g.sys.Pretty, p.g.sys.Kernel)
	return 0
}

func cmdTimedatectl(p *proc) int {
	if len(p.args) >= 2 && p.args[0] == "set-timezone" {
		if p.needRoot() {
			return 1
		}
		zone := p.args[1]
		if strings.Contains(zone, "..") || !p.v.exists("/usr/share/zoneinfo/"+zone) {
			return p.fail("Failed to set time zone: Invalid or not installed time zone '%s'", zone)
		}
		p.v.Remove("/etc/localtime")
		if err := errors.Join(p.v.Symlink("/usr/share/zoneinfo/"+zone, "/etc/localtime"), p.v.WriteFile("/etc/timezone", []byte(zone+"\n"), 0o644)); err != nil {
			return p.fail("%s", why(err))
		}
		return 0
	}
	if len(p.args) >= 2 && p.args[0] == "set-locale" {
		if err := p.v.WriteFile("/etc/locale.conf", []byte(strings.Join(p.args[1:], "\n")+"\n"), 0o644); err != nil {
			return p.fail("%s", why(err))
		}
		return 0
	}
	if len(p.args) == 0 || p.args[0] == "status" || p.args[0] == "show" {
		p.printf("      Universal time: %s\n           Time zone: %s\n", time.Now().UTC().Format("Mon 2006-01-02 15:04:05 MST"), strings.TrimSpace(p.v.readString("/etc/timezone")))
	}
	return 0
}

func cmdCrontab(p *proc) int {
	o, ok := p.parse("lreu:i", "", false)
	if !ok {
		return 1
	}
	user := p.who.name
	if o.has("u") {
		user = o.value["u"]
	}
	if _, ok := p.g.account(user); !ok || user != p.who.name && p.who.uid != 0 {
		return p.fail("user `%s' unknown or not allowed", user)
	}
	v := p.g.rootView()
	file := "/var/spool/cron/" + user
	switch {
	case o.has("l"):
		data, err := v.ReadFile(file)
		if err != nil {
			return p.fail("no crontab for %s", user)
		}
		p.out.Write(data)
		return 0
	case o.has("r"):
		if err := v.Remove(file); err != nil {
			return p.fail("no crontab for %s", user)
		}
		return 0
	case o.has("e"):
		return p.fail("editors are not simulated")
	}
	name := "-"
	if len(o.rest) > 0 {
		name = o.rest[0]
	}
	data, err := p.readAll(name)
	if err == nil {
		err = v.WriteFile(file, data, 0o600)
	}
	if err != nil {
		return p.fail("%s: %s", name, why(err))
	}
	return 0
}

// cmdFirewall records rules in /etc/tfbake-firewall.
func cmdFirewall(p *proc) int {
	if p.needRoot() {
		return 1
	}
	const file = "/etc/tfbake-firewall"
	list := len(p.args) == 0 || slices.ContainsFunc(p.args, func(a string) bool {
		return slices.Contains([]string{"-L", "-S", "--list", "status", "--list-all", "list", "--state", "-C", "--check"}, a)
	})
	if list {
		switch {
		case p.name == "firewall-cmd" && slices.Contains(p.args, "--state"):
			p.printf("running\n")
		case slices.Contains(p.args, "-C") || slices.Contains(p.args, "--check"):
			i := max(slices.Index(p.args, "-C"), slices.Index(p.args, "--check"))
			want := slices.Clone(p.args)
			want[i] = "-A"
			if !strings.Contains(p.v.readString(file), p.name+" "+strings.Join(want, " ")+"\n") {
				return p.fail("Bad rule (does a matching rule exist in that chain?).")
			}
		default:
			p.printf("# recorded by tfbake's simulation, not enforced\n%s", p.v.readString(file))
		}
		return 0
	}
	if err := p.v.appendFile(file, p.name+" "+strings.Join(p.args, " ")+"\n"); err != nil {
		return p.fail("%s", why(err))
	}
	if p.name == "firewall-cmd" {
		p.printf("success\n")
	}
	if p.name == "ufw" {
		p.printf("Rules updated (simulated)\n")
	}
	return 0
}
