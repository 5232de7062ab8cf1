package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

func init() {
	register(cmdShell, "sh", "bash", "dash")
	register(func(*proc) int { return 0 }, "true", "clear", "stty", "tput", "reset", "renice", "ionice", "setfacl", "restorecon", "chcon", "setsebool", "semanage", "udevadm",
		"depmod", "update-initramfs", "dracut", "grub2-mkconfig", "update-grub", "ldconfig", "locale-gen", "update-locale", "update-ca-certificates",
		"update-ca-trust", "systemd-tmpfiles", "systemd-machine-id-setup", "getfacl", "chattr", "lsattr", "fstrim", "partprobe", "resize2fs", "xfs_growfs", "growpart", "setterm", "mesg", "wall", "loginctl", "apparmor_parser", "aa-status", "history")
	register(func(*proc) int { return 1 }, "false")
	register(viaShell, "echo", "test", "[")
	register(cmdKill, "kill")
	register(func(p *proc) int { p.printf("%s\n", p.dir); return 0 }, "pwd")
	register(cmdEnv, "env", "printenv")
	register(cmdWhich, "which")
	register(cmdWhereis, "whereis")
	register(cmdID, "id")
	register(func(p *proc) int { p.printf("%s\n", p.who.name); return 0 }, "whoami")
	register(func(p *proc) int { p.printf("%s\n", p.who.name); return 0 }, "logname")
	register(cmdGroups, "groups")
	register(cmdUname, "uname")
	register(func(p *proc) int { p.printf("x86_64\n"); return 0 }, "arch")
	register(cmdHostname, "hostname")
	register(cmdDate, "date")
	register(cmdSleep, "sleep", "usleep")
	register(func(p *proc) int { p.printf("2\n"); return 0 }, "nproc")
	register(cmdFree, "free")
	register(cmdPs, "ps")
	register(cmdPgrep, "pgrep", "pkill", "killall", "pidof")
	register(cmdUptime, "uptime", "w")
	register(cmdWho, "who", "users")
	register(cmdLast, "last")
	register(cmdNohup, "nohup", "setsid", "nice", "stdbuf", "ionice", "chronic")
	register(cmdTimeout, "timeout")
	register(cmdTime, "time")
	register(cmdFlock, "flock")
	register(cmdTTY, "tty")
	register(cmdWatch, "watch")
	register(cmdLogger, "logger")
	register(cmdDmesg, "dmesg")
	register(cmdLsb, "lsb_release")
	register(cmdGetconf, "getconf")
	register(cmdLocale, "locale")
	register(cmdLscpu, "lscpu")
	register(cmdCurl, "curl", "wget")
	register(cmdNoNetwork, "ping", "nc", "ncat", "telnet", "dig", "nslookup", "host", "traceroute", "ssh", "sftp", "rsync", "git", "ftp", "ping6")
	register(cmdIP, "ip", "ifconfig", "netstat", "ss", "route")
	register(cmdSSHKeygen, "ssh-keygen")
	register(cmdMore, "more", "less")
	register(func(p *proc) int {
		return p.fail("editors are not simulated; use sed, tee or a here-document")
	}, "vi", "vim", "nano", "emacs")
	registerAdmin(cmdPower, "shutdown", "reboot", "poweroff", "halt", "init", "telinit")
	registerAdmin(cmdSysctl, "sysctl")
	registerAdmin(cmdModprobe, "modprobe", "lsmod", "insmod", "rmmod")
	registerAdmin(func(p *proc) int {
		p.warn("chroot is not simulated")
		return 125
	}, "chroot")
	registerAdmin(func(p *proc) int {
		if len(p.args) > 0 && p.name == "getenforce" {
			return 1
		}
		if p.name == "getenforce" {
			p.printf("Permissive\n")
		}
		return 0
	}, "getenforce", "setenforce")
	registerAdmin(func(p *proc) int { p.printf("This account is currently not available.\n"); return 1 }, "nologin")
}

// viaShell runs a builtin as the program of the same name.
func viaShell(p *proc) int {
	return p.runShell(strings.NewReader(shellQuote(p.name)+` "$@"`), true, shellOptions{name: p.name, params: p.args})
}

// runArgs starts another program in this one's place.
func (p *proc) runArgs(argv []string) int { return p.with(func(*proc) {}).exec(argv) }

func cmdEnv(p *proc) int {
	args := p.args
	env := maps.Clone(p.env)
	dir := p.dir
	if p.name == "printenv" {
		if len(args) > 0 {
			code := 0
			for _, a := range args {
				if v, ok := env[a]; ok {
					p.printf("%s\n", v)
				} else {
					code = 1
				}
			}
			return code
		}
	} else {
	flags:
		for len(args) > 0 {
			a := args[0]
			switch {
			case a == "-i" || a == "-" || a == "--ignore-environment":
				env = map[string]string{}
			case a == "-u" && len(args) > 1:
				delete(env, args[1])
				args = args[1:]
			case strings.HasPrefix(a, "--unset="):
				delete(env, strings.TrimPrefix(a, "--unset="))
			case a == "-C" && len(args) > 1:
				dir = p.abs(args[1])
				args = args[1:]
			case a == "-S" && len(args) > 1:
				args = append([]string{""}, append(shellWords(args[1]), args[2:]...)...)
			case a == "--":
				args = args[1:]
				break flags
			case strings.HasPrefix(a, "-"):
				return p.failCode(125, "invalid option '%s'", a)
			case strings.Contains(a, "="):
				k, v, _ := strings.Cut(a, "=")
				env[k] = v
			default:
				break flags
			}
			args = args[1:]
		}
		for len(args) > 0 && strings.Contains(args[0], "=") {
			k, v, _ := strings.Cut(args[0], "=")
			env[k] = v
			args = args[1:]
		}
		if len(args) > 0 {
			q := *p
			q.env, q.dir = env, dir
			return q.exec(args)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(env)) {
		p.printf("%s=%s\n", k, env[k])
	}
	return 0
}

func cmdWhich(p *proc) int {
	code := 0
	for _, a := range p.args {
		if strings.HasPrefix(a, "-") {
			continue
		}
		if strings.Contains(a, "/") {
			if fi, err := p.v.Stat(p.abs(a)); err == nil && p.v.may(fi, 1) {
				p.printf("%s\n", a)
				continue
			}
			code = 1
			continue
		}
		if f := p.findProgram(a); f != "" {
			p.printf("%s\n", f)
		} else {
			code = 1
		}
	}
	return code
}

func cmdWhereis(p *proc) int {
	for _, a := range p.args {
		if !strings.HasPrefix(a, "-") {
			p.printf("%s: %s\n", a, p.findProgram(a))
		}
	}
	return 0
}

func cmdID(p *proc) int {
	o, ok := p.parse("ugGnrz", "user=u group=g groups=G name=n real=r", false)
	if !ok {
		return 1
	}
	a := p.who
	if len(o.rest) > 0 {
		var found bool
		if a, found = p.g.account(o.rest[0]); !found {
			return p.fail("'%s': no such user", o.rest[0])
		}
	}
	users, groups := p.g.names("/etc/passwd"), p.g.names("/etc/group")
	show := func(names map[int]string, id int) string {
		if o.has("n") {
			return nameOr(names, id)
		}
		return strconv.Itoa(id)
	}
	all := append([]int{a.gid}, slices.DeleteFunc(slices.Clone(a.groups), func(g int) bool { return g == a.gid })...)
	switch {
	case o.has("u"):
		p.printf("%s\n", show(users, a.uid))
	case o.has("g"):
		p.printf("%s\n", show(groups, a.gid))
	case o.has("G"):
		var out []string
		for _, g := range all {
			out = append(out, show(groups, g))
		}
		p.printf("%s\n", strings.Join(out, " "))
	default:
		var out []string
		for _, g := range all {
			out = append(out, fmt.Sprintf("%d(%s)", g, nameOr(groups, g)))
		}
		p.printf("uid=%d(%s) gid=%d(%s) groups=%s\n", a.uid, nameOr(users, a.uid), a.gid, nameOr(groups, a.gid), strings.Join(out, ","))
	}
	return 0
}

func cmdGroups(p *proc) int {
	a := p.who
	prefix := ""
	if len(p.args) > 0 {
		var ok bool
		if a, ok = p.g.account(p.args[0]); !ok {
			return p.fail("'%s': no such user", p.args[0])
		}
		prefix = a.name + " : "
	}
	groups := p.g.names("/etc/group")
	out := []string{nameOr(groups, a.gid)}
	for _, g := range a.groups {
		if g != a.gid {
			out = append(out, nameOr(groups, g))
		}
	}
	p.printf("%s%s\n", prefix, strings.Join(out, " "))
	return 0
}

func cmdUname(p *proc) int {
	o, ok := p.parse("asnrvmpio", "all=a kernel-name=s nodename=n kernel-release=r kernel-version=v machine=m operating-system=o", false)
	if !ok {
		return 1
	}
	var out []string
	add := func(k, v string) {
		if o.has(k, "a") || k == "s" && len(o.count) == 0 {
			out = append(out, v)
		}
	}
	add("s", "Linux")
	add("n", p.g.hostname())
	add("r", p.g.sys.Kernel)
	add("v", "#1 SMP (simulated by tfbake)")
	add("m", "x86_64")
	if !o.has("a") {
		add("p", "x86_64")
		add("i", "x86_64")
	}
	add("o", "GNU/Linux")
	p.printf("%s\n", strings.Join(out, " "))
	return 0
}

func cmdHostname(p *proc) int {
	o, ok := p.parse("fsiIAdF:b", "fqdn=f long=f short=s ip-address=i all-ip-addresses=I domain=d file:=F", false)
	if !ok {
		return 1
	}
	h := p.g.hostname()
	if f := o.value["F"]; f != "" {
		data, err := p.readAll(f)
		if err != nil {
			return p.fail("%s", why(err))
		}
		o.rest = []string{strings.TrimSpace(string(data))}
	}
	switch {
	case len(o.rest) > 0:
		if p.who.uid != 0 {
			return p.fail("you must be root to change the host name")
		}
		if err := p.g.setHostname(o.rest[0]); err != nil {
			return p.fail("%s", why(err))
		}
	case o.has("s"):
		h, _, _ = strings.Cut(h, ".")
		p.printf("%s\n", h)
	case o.has("d"):
		_, d, _ := strings.Cut(h, ".")
		p.printf("%s\n", d)
	case o.has("i", "I"):
		p.printf("127.0.0.1\n")
	default:
		p.printf("%s\n", h)
	}
	return 0
}

// strftime formats a time with C's conversions.
func strftime(format string, t time.Time) string {
	layouts := map[byte]string{'Y': "2006", 'm': "01", 'd': "02", 'H': "15", 'M': "04", 'S': "05", 'y': "06", 'B': "January", 'b': "Jan", 'h': "Jan",
		'A': "Monday", 'a': "Mon", 'F': "2006-01-02", 'T': "15:04:05", 'D': "01/02/06", 'R': "15:04", 'Z': "MST", 'z': "-0700", 'p': "PM", 'I': "03", 'j': "002",
		'e': "_2", 'c': "Mon Jan _2 15:04:05 2006", 'x': "01/02/06", 'X': "15:04:05", 'r': "03:04:05 PM", 'P': "pm", 'l': "_3", 'k': "15"}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		pad := true
		if (format[i] == '-' || format[i] == '_' || format[i] == '0') && i+1 < len(format) {
			pad = format[i] != '-'
			i++
		}
		colon := false
		if format[i] == ':' && i+1 < len(format) {
			colon = true
			i++
		}
		switch c := format[i]; c {
		case 's':
			b.WriteString(strconv.FormatInt(t.Unix(), 10))
		case 'N':
			fmt.Fprintf(&b, "%09d", t.Nanosecond())
		case '3', '6', '9':
			if i+1 < len(format) && format[i+1] == 'N' {
				i++
				b.WriteString(fmt.Sprintf("%09d", t.Nanosecond())[:c-'0'])
			}
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case '%':
			b.WriteByte('%')
		case 'u':
			b.WriteString(strconv.Itoa((int(t.Weekday())+6)%7 + 1))
		case 'w':
			b.WriteString(strconv.Itoa(int(t.Weekday())))
		case 'V', 'G':
			y, w := t.ISOWeek()
			if c == 'G' {
				w = y
			}
			fmt.Fprintf(&b, "%02d", w)
		case 'C':
			fmt.Fprintf(&b, "%02d", t.Year()/100)
		default:
			l, ok := layouts[c]
			if !ok {
				b.WriteByte('%')
				b.WriteByte(c)
				continue
			}
			if colon && c == 'z' {
				l = "-07:00"
			}
			s := t.Format(l)
			if !pad {
				s = strings.TrimLeft(strings.TrimLeft(s, "0"), " ")
				if s == "" {
					s = "0"
				}
			}
			b.WriteString(s)
		}
	}
	return b.String()
}

// parseDate understands @seconds, common absolute forms, now, today, yesterday, tomorrow and "N unit [ago]".
func parseDate(s string, now time.Time) (time.Time, error) {
	s = strings.TrimSpace(s)
	if n, ok := strings.CutPrefix(s, "@"); ok {
		f, err := strconv.ParseFloat(n, 64)
		if err != nil {
			return time.Time{}, fmt.Errorf("invalid date '%s'", s)
		}
		return time.Unix(int64(f), 0), nil
	}
	for _, l := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02", "20060102", "15:04:05", "15:04", time.RFC1123,
		time.RFC1123Z, time.UnixDate, "Jan 2 2006", "2 Jan 2006", "2006-01-02 15:04:05 -0700", "2006-01-02 15:04:05 MST", "2006/01/02", "01/02/2006"} {
		if t, err := time.ParseInLocation(l, s, time.UTC); err == nil {
			if t.Year() == 0 {
				t = time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
			}
			return t, nil
		}
	}
	t := now
	f := strings.Fields(strings.ToLower(s))
	for i := 0; i < len(f); i++ {
		switch f[i] {
		case "now", "today", "utc":
			continue
		case "yesterday":
			t = t.AddDate(0, 0, -1)
			continue
		case "tomorrow":
			t = t.AddDate(0, 0, 1)
			continue
		}
		num, rest := f[i], ""
		if k := strings.IndexFunc(num, func(r rune) bool { return r >= 'a' && r <= 'z' }); k > 0 {
			num, rest = num[:k], num[k:]
		}
		n, err := strconv.Atoi(strings.TrimPrefix(num, "+"))
		if num == "next" {
			n, err = 1, nil
		} else if num == "last" {
			n, err = -1, nil
		}
		if rest == "" && i+1 < len(f) {
			i++
			rest = f[i]
		}
		if err != nil {
			return time.Time{}, fmt.Errorf("invalid date '%s'", s)
		}
		if i+1 < len(f) && f[i+1] == "ago" {
			n = -n
			i++
		}
		switch strings.TrimSuffix(rest, "s") {
		case "sec", "second":
			t = t.Add(time.Duration(n) * time.Second)
		case "min", "minute":
			t = t.Add(time.Duration(n) * time.Minute)
		case "hour":
			t = t.Add(time.Duration(n) * time.Hour)
		case "day":
			t = t.AddDate(0, 0, n)
		case "week":
			t = t.AddDate(0, 0, 7*n)
		case "month":
			t = t.AddDate(0, n, 0)
		case "year":
			t = t.AddDate(n, 0, 0)
		default:
			return time.Time{}, fmt.Errorf("invalid date '%s'", s)
		}
	}
	return t, nil
}

func cmdDate(p *proc) int {
	o, ok := p.parse("ud:r:RI:s:", "utc=u universal=u date:=d reference:=r rfc-email=R iso-8601?=I rfc-3339: set:=s", false)
	if !ok {
		// -I without value
		if slices.Contains(p.args, "-I") {
			p.printf("%s\n", strftime("%F", time.Now().UTC()))
			return 0
		}
		return 1
	}
	t := time.Now()
	if o.has("d") {
		var err error
		if t, err = parseDate(o.value["d"], t); err != nil {
			return p.fail("%s", err)
		}
	}
	if o.has("r") {
		fi, err := p.v.Stat(p.abs(o.value["r"]))
		if err != nil {
			return p.fail("%s: %s", o.value["r"], why(err))
		}
		t = fi.ModTime()
	}
	if o.has("s") {
		return p.fail("cannot set date: not simulated")
	}
	loc := time.UTC
	if tz := p.env["TZ"]; !o.has("u") && tz != "" {
		// Only names Go itself knows without asking the host.
		if h, ok := map[string]int{"Asia/Seoul": 9, "KST-9": 9, "Asia/Tokyo": 9, "JST-9": 9, "Asia/Singapore": 8}[tz]; ok {
			loc = time.FixedZone(map[int]string{9: "KST", 8: "+08"}[h], h*3600)
		}
	}
	t = t.In(loc)
	format := "%a %b %e %H:%M:%S %Z %Y"
	switch {
	case o.has("R"):
		format = "%a, %d %b %Y %H:%M:%S %z"
	case o.has("I"):
		format = map[string]string{"s": "%FT%T%:z", "seconds": "%FT%T%:z", "m": "%FT%R%:z", "minutes": "%FT%R%:z", "ns": "%FT%T,%N%:z"}[o.value["I"]]
		if format == "" {
			format = "%F"
		}
	case o.has("rfc-3339"):
		format = "%F %T%:z"
	}
	for _, a := range o.rest {
		if !strings.HasPrefix(a, "+") {
			return p.fail("invalid date '%s'", a)
		}
		format = a[1:]
	}
	p.printf("%s\n", strftime(format, t))
	return 0
}

func parseDuration(s string) (time.Duration, error) {
	if s == "infinity" || s == "inf" {
		return 1 << 62, nil
	}
	unit := time.Second
	if n := len(s); n > 0 {
		if u, ok := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour}[s[n-1]]; ok {
			unit, s = u, s[:n-1]
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f < 0 {
		return 0, errors.New("invalid time interval")
	}
	if f > 1e9 {
		return 1 << 62, nil
	}
	return time.Duration(f * float64(unit)), nil
}

func cmdSleep(p *proc) int {
	var total time.Duration
	if len(p.args) == 0 {
		return p.fail("missing operand")
	}
	for _, a := range p.args {
		d, err := parseDuration(a)
		if err != nil {
			return p.fail("invalid time interval '%s'", a)
		}
		if p.name == "usleep" {
			d /= 1_000_000
		}
		total += d
	}
	if !p.sleep(total) {
		return 130
	}
	return 0
}

func cmdFree(p *proc) int {
	o, ok := p.parse("bkmghtwl", "mebi=m gibi=g human=h bytes=b total=t", false)
	if !ok {
		return 1
	}
	total, free := int64(4028440), int64(3200000)
	num := func(k int64) string {
		switch {
		case o.has("m"):
			return strconv.FormatInt(k/1024, 10)
		case o.has("g"):
			return strconv.FormatInt(k/1024/1024, 10)
		case o.has("b"):
			return strconv.FormatInt(k*1024, 10)
		case o.has("h"):
			return humanSize(k*1024) + "i"
		}
		return strconv.FormatInt(k, 10)
	}
	p.printf("%15s%12s%12s%12s%12s%12s\n", "total", "used", "free", "shared", "buff/cache", "available")
	p.printf("Mem:   %8s%12s%12s%12s%12s%12s\n", num(total), num(total-free), num(free), num(1024), num(300000), num(free))
	p.printf("Swap:  %8s%12s%12s\n", num(0), num(0), num(0))
	return 0
}

// allProcesses are the guest's commands plus what every server runs.
func (g *Guest) allProcesses() []*process {
	base := []*process{{pid: 1, user: "root", args: []string{"/sbin/init"}, started: g.bootTime()}}
	for i, u := range g.activeUnits() {
		base = append(base, &process{pid: 100 + i, ppid: 1, user: "root", args: []string{"/usr/sbin/" + u}, started: g.bootTime()})
	}
	return append(base, g.processes()...)
}

func cmdPs(p *proc) int {
	all, full, aux := false, false, false
	var format []string
	noHeader := false
	var pids []string
	for i := 0; i < len(p.args); i++ {
		a := p.args[i]
		switch {
		case a == "-o" && i+1 < len(p.args) || a == "--format" && i+1 < len(p.args):
			i++
			format = append(format, strings.FieldsFunc(p.args[i], func(r rune) bool { return r == ',' || r == ' ' })...)
		case a == "-p" && i+1 < len(p.args) || a == "--pid" && i+1 < len(p.args):
			i++
			pids = strings.Split(p.args[i], ",")
			all = true
		case a == "--no-headers" || a == "h" || a == "--no-heading":
			noHeader = true
		case a == "-C" || a == "-u" || a == "-U":
			i++
			all = true
		case strings.HasPrefix(a, "--"):
		default:
			if strings.ContainsAny(a, "eAax") {
				all = true
			}
			aux = aux || strings.Contains(a, "u") && !strings.HasPrefix(a, "-")
			full = full || strings.Contains(a, "f") && strings.HasPrefix(a, "-")
		}
	}
	cols := []string{"pid", "tty", "time", "comm"}
	switch {
	case len(format) > 0:
		cols = format
	case aux:
		cols = []string{"user", "pid", "%cpu", "%mem", "vsz", "rss", "tty", "stat", "start", "time", "args"}
	case full:
		cols = []string{"user", "pid", "ppid", "c", "start", "tty", "time", "args"}
	}
	var rows [][]string
	head := []string{}
	blank := true
	for i, c := range cols {
		c, title, ok := strings.Cut(c, "=")
		cols[i] = c
		if !ok {
			title = map[string]string{"args": "COMMAND", "cmd": "CMD", "comm": "COMMAND", "user": "USER"}[c]
			if title == "" {
				title = strings.ToUpper(c)
			}
		}
		blank = blank && title == ""
		head = append(head, title)
	}
	if !noHeader && !blank {
		rows = append(rows, head)
	}
	found := false
	for _, q := range p.g.allProcesses() {
		if !all && q.user != p.who.name || len(pids) > 0 && !slices.Contains(pids, strconv.Itoa(q.pid)) {
			continue
		}
		if !all && q.pid < 400 {
			continue
		}
		found = true
		var row []string
		for _, c := range cols {
			v := "-"
			switch c {
			case "pid", "tgid", "lwp":
				v = strconv.Itoa(q.pid)
			case "ppid":
				v = strconv.Itoa(q.ppid)
			case "user", "uname", "euser":
				v = q.user
			case "args", "cmd", "command":
				v = strings.Join(q.args, " ")
			case "comm", "ucmd":
				v = path.Base(q.args[0])
			case "tty", "tt":
				v = "?"
			case "time":
				v = "00:00:00"
			case "etime", "etimes":
				v = strconv.Itoa(int(time.Since(q.started).Seconds()))
			case "start", "stime", "lstart":
				v = q.started.UTC().Format("15:04")
			case "stat", "s", "state":
				v = "S"
			case "%cpu", "%mem", "pcpu", "pmem", "c":
				v = "0.0"
			case "vsz", "rss":
				v = "4096"
			}
			row = append(row, v)
		}
		rows = append(rows, row)
	}
	width := make([]int, len(cols))
	for _, r := range rows {
		for i, v := range r {
			width[i] = max(width[i], len(v))
		}
	}
	for _, r := range rows {
		for i, v := range r {
			if i == len(r)-1 {
				p.printf("%s\n", v)
			} else {
				p.printf("%-*s ", width[i], v)
			}
		}
	}
	if !found {
		return 1
	}
	return 0
}

func cmdPgrep(p *proc) int {
	sig, full, exact, list := "TERM", false, p.name == "pidof" || p.name == "killall", false
	var pats []string
	for i := 0; i < len(p.args); i++ {
		a := p.args[i]
		switch {
		case a == "-f":
			full = true
		case a == "-x":
			exact = true
		case a == "-l" || a == "-a":
			list = true
		case (a == "-u" || a == "-s" || a == "-U" || a == "-g" || a == "-P" || a == "--signal") && i+1 < len(p.args):
			i++
			if a == "-s" && p.name != "pgrep" || a == "--signal" {
				sig = p.args[i]
			}
		case len(a) > 1 && a[0] == '-':
			if s := strings.TrimPrefix(strings.TrimPrefix(a, "-"), "SIG"); signals[s] > 0 || s == "9" || s == "0" {
				sig = s
			}
		default:
			pats = append(pats, a)
		}
	}
	if sig == "9" {
		sig = "KILL"
	}
	code := 1
	var pids []string
	for _, q := range p.g.allProcesses() {
		if q.pid == p.pid || q.pid == p.ppid {
			continue
		}
		text := path.Base(q.args[0])
		if full {
			text = strings.Join(q.args, " ")
		}
		for _, pat := range pats {
			hit := text == pat
			if !exact {
				re, err := cachedRegexp(convertRegexp(pat, true))
				hit = err == nil && re.MatchString(text)
			}
			if !hit {
				continue
			}
			code = 0
			switch p.name {
			case "pgrep":
				if list {
					p.printf("%d %s\n", q.pid, text)
				} else {
					p.printf("%d\n", q.pid)
				}
			case "pidof":
				pids = append(pids, strconv.Itoa(q.pid))
			default:
				if q.kill != nil && sig != "0" {
					q.kill(killed{sig})
				}
			}
			break
		}
	}
	if len(pids) > 0 {
		p.printf("%s\n", strings.Join(pids, " "))
	}
	if code != 0 && p.name == "killall" {
		p.warn("%s: no process found", strings.Join(pats, " "))
	}
	return code
}

func cmdUptime(p *proc) int {
	up := time.Since(p.g.bootTime())
	switch {
	case slices.Contains(p.args, "-s"):
		p.printf("%s\n", p.g.bootTime().UTC().Format("2006-01-02 15:04:05"))
	case slices.Contains(p.args, "-p"):
		p.printf("up %d minutes\n", int(up.Minutes()))
	default:
		p.printf(" %s up %d min,  1 user,  load average: 0.00, 0.01, 0.05\n", time.Now().UTC().Format("15:04:05"), int(up.Minutes()))
	}
	return 0
}

func cmdWho(p *proc) int {
	if slices.Contains(p.args, "-b") {
		p.printf("         system boot  %s\n", p.g.bootTime().UTC().Format("2006-01-02 15:04"))
		return 0
	}
	p.printf("%s     pts/0        %s\n", p.who.name, time.Now().UTC().Format("2006-01-02 15:04"))
	return 0
}

func cmdLast(p *proc) int {
	p.g.mu.Lock()
	boots := append([]time.Time{}, p.g.reboots...)
	p.g.mu.Unlock()
	slices.Reverse(boots)
	if slices.Contains(p.args, "-x") || slices.Contains(p.args, "reboot") {
		for i, t := range boots {
			p.printf("reboot   system boot  %s %s\n", p.g.sys.Kernel, t.UTC().Format("Mon Jan _2 15:04"))
			if slices.Contains(p.args, "-x") && i < len(boots) {
				p.printf("shutdown system down  %s %s\n", p.g.sys.Kernel, t.UTC().Format("Mon Jan _2 15:04"))
			}
		}
		if len(boots) == 0 {
			p.printf("reboot   system boot  %s %s\n", p.g.sys.Kernel, p.g.bootTime().UTC().Format("Mon Jan _2 15:04"))
		}
	}
	p.printf("\nwtmp begins %s\n", p.g.bootTime().UTC().Format("Mon Jan _2 15:04:05 2006"))
	return 0
}

func cmdNohup(p *proc) int {
	args := p.args
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		if (args[0] == "-n" || args[0] == "-c" || args[0] == "-o" || args[0] == "-e" || args[0] == "-i") && len(args[0]) == 2 && len(args) > 1 && p.name != "setsid" {
			args = args[1:]
		}
		args = args[1:]
	}
	if len(args) == 0 {
		return p.failCode(125, "missing operand")
	}
	return p.runArgs(args)
}

func cmdTimeout(p *proc) int {
	o, ok := p.parse("s:k:vf", "signal:=s kill-after:=k preserve-status foreground verbose=v", true)
	if !ok || len(o.rest) < 2 {
		return p.failCode(125, "missing operand")
	}
	d, err := parseDuration(o.rest[0])
	if err != nil {
		return p.failCode(125, "invalid time interval '%s'", o.rest[0])
	}
	if d == 0 {
		return p.runArgs(o.rest[1:])
	}
	sig := "TERM"
	if s := strings.TrimPrefix(strings.ToUpper(o.value["s"]), "SIG"); s != "" {
		sig = s
		for name, n := range signals {
			if s == strconv.Itoa(n) {
				sig = name
			}
		}
	}
	ctx, cancel := context.WithCancelCause(p.ctx)
	defer cancel(nil)
	expired := make(chan struct{})
	t := time.AfterFunc(d, func() { close(expired); cancel(killed{sig}) })
	defer t.Stop()
	code := p.with(func(q *proc) { q.ctx = ctx }).exec(o.rest[1:])
	select {
	case <-expired:
		if o.has("preserve-status") || sig == "KILL" {
			return 128 + signals[sig]
		}
		return 124
	default:
		return code
	}
}

func cmdTime(p *proc) int {
	args := p.args
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		args = args[1:]
	}
	start := time.Now()
	code := p.runArgs(args)
	fmt.Fprintf(p.err, "real %.2f\nuser 0.00\nsys 0.00\n", time.Since(start).Seconds())
	return code
}

// cmdFlock takes no real locks: commands of a guest run in the order they are started.
func cmdFlock(p *proc) int {
	o, ok := p.parse("sxeunw:E:oc:F", "shared=s exclusive=x nonblock=n wait:=w timeout:=w unlock=u close=o command:=c", true)
	if !ok || len(o.rest) == 0 {
		return p.failCode(64, "missing operand")
	}
	if len(o.rest) == 1 {
		return 0
	}
	rest := o.rest[1:]
	if rest[0] == "-c" && len(rest) > 1 {
		rest = []string{"sh", "-c", rest[1]}
	}
	if f, err := p.create(o.rest[0], os.O_WRONLY, 0o666); err == nil {
		f.Close()
	}
	return p.runArgs(rest)
}

func cmdTTY(p *proc) int {
	if p.s.tty == nil {
		p.printf("not a tty\n")
		return 1
	}
	p.printf("/dev/pts/0\n")
	return 0
}

func cmdWatch(p *proc) int {
	o, ok := p.parse("n:dtgx", "interval:=n", true)
	if !ok || len(o.rest) == 0 {
		return 1
	}
	for {
		p.runArgs([]string{"sh", "-c", strings.Join(o.rest, " ")})
		if !p.sleep(2 * time.Second) {
			return 130
		}
	}
}

func (g *Guest) sysLog(tag, text string) {
	file := "/var/log/syslog"
	if g.sys.Family == "rhel" {
		file = "/var/log/messages"
	}
	g.rootView().appendFile(file, fmt.Sprintf("%s %s %s: %s\n", time.Now().UTC().Format("Jan _2 15:04:05"), g.hostname(), tag, text))
}

func cmdLogger(p *proc) int {
	o, ok := p.parse("t:p:sif:n:P:T", "tag:=t priority:=p stderr=s file:=f id?", false)
	if !ok {
		return 1
	}
	tag := o.value["t"]
	if tag == "" {
		tag = p.who.name
	}
	say := func(text string) {
		p.g.sysLog(tag, text)
		if o.has("s") {
			fmt.Fprintf(p.err, "%s: %s\n", tag, text)
		}
	}
	if len(o.rest) > 0 {
		say(strings.Join(o.rest, " "))
		return 0
	}
	file := "-"
	if o.has("f") {
		file = o.value["f"]
	}
	return p.inputs([]string{file}, func(_ string, r io.Reader) {
		lines(r, func(l string) bool { say(l); return true })
	})
}

func cmdDmesg(p *proc) int {
	p.printf("[    0.000000] Linux version %s (simulated by tfbake)\n", p.g.sys.Kernel)
	return 0
}

func cmdLsb(p *proc) int {
	o, ok := p.parse("asicrdv", "all=a short=s id=i codename=c release=r description=d", false)
	if !ok {
		return 1
	}
	s := p.g.sys
	id := map[string]string{"ubuntu": "Ubuntu", "debian": "Debian", "centos": "CentOS", "rocky": "Rocky"}[s.ID]
	if id == "" {
		id = s.Name
	}
	show := func(k, label, v string) {
		if !o.has(k, "a") {
			return
		}
		if o.has("s") {
			p.printf("%s\n", v)
		} else {
			p.printf("%s:\t%s\n", label, v)
		}
	}
	show("i", "Distributor ID", id)
	show("d", "Description", s.Pretty)
	show("r", "Release", s.Version)
	show("c", "Codename", s.Codename)
	return 0
}

func cmdGetconf(p *proc) int {
	v := map[string]string{"_NPROCESSORS_ONLN": "2", "PAGE_SIZE": "4096", "PAGESIZE": "4096", "LONG_BIT": "64", "ARG_MAX": "2097152", "GNU_LIBC_VERSION": "glibc 2.35"}
	if len(p.args) == 0 || v[p.args[0]] == "" {
		return p.fail("Unrecognized variable `%s'", strings.Join(p.args, " "))
	}
	p.printf("%s\n", v[p.args[0]])
	return 0
}

func cmdLocale(p *proc) int {
	if slices.Contains(p.args, "-a") {
		p.printf("C\nC.UTF-8\nPOSIX\nen_US.utf8\n")
		return 0
	}
	lang := p.env["LANG"]
	p.printf("LANG=%s\nLC_ALL=%s\n", lang, p.env["LC_ALL"])
	return 0
}

func cmdLscpu(p *proc) int {
	p.printf("Architecture:        x86_64\nCPU(s):              2\nModel name:          simulated CPU\n")
	return 0
}

func cmdNoNetwork(p *proc) int {
	if (p.name == "git" || p.name == "rsync") && slices.Contains(p.args, "--version") {
		p.printf("%s version 0.0.0 (simulated by tfbake)\n", p.name)
		return 0
	}
	code := map[string]int{"git": 128, "ssh": 255, "sftp": 255, "rsync": 10, "ping": 2}[p.name]
	return p.failCode(max(code, 1), "no network: this server is simulated by tfbake")
}

func cmdIP(p *proc) int {
	if p.name == "ss" || p.name == "netstat" {
		p.printf("State    Recv-Q   Send-Q     Local Address:Port     Peer Address:Port\nLISTEN   0        128              0.0.0.0:22            0.0.0.0:*\n")
		return 0
	}
	p.printf("1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536\n    inet 127.0.0.1/8 scope host lo\n2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 (simulated)\n")
	return 0
}

func cmdSSHKeygen(p *proc) int {
	o, ok := p.parse("t:f:N:C:b:qAlyR:P:a:m:F:HvE:", "", false)
	if !ok {
		return 1
	}
	switch {
	case o.has("A"):
		if _, err := p.g.loadHostKeys(); err != nil {
			return p.fail("%v", err)
		}
		return 0
	case o.has("R", "F", "H", "l"):
		return 0
	case o.has("y"):
		data, err := p.readAll(o.value["f"] + ".pub")
		if err != nil {
			return p.fail("%s: %s", o.value["f"], why(err))
		}
		p.out.Write(data)
		return 0
	}
	kind := o.value["t"]
	if kind == "" {
		kind = "ed25519"
	}
	if kind != "ed25519" && kind != "ecdsa" {
		p.warn("simulated by tfbake: an ed25519 key is made instead of %s", kind)
		kind = "ed25519"
	}
	file := o.value["f"]
	if file == "" {
		file = p.env["HOME"] + "/.ssh/id_" + kind
		p.v.MkdirAll(p.env["HOME"]+"/.ssh", 0o700)
	}
	if p.v.exists(p.abs(file)) {
		return p.fail("%s already exists", file)
	}
	comment := p.who.name + "@" + p.g.hostname()
	if o.has("C") {
		comment = o.value["C"]
	}
	private, public, err := newKey(kind, comment)
	if err != nil {
		return p.fail("%v", err)
	}
	if err := errors.Join(p.v.WriteFile(p.abs(file), private, 0o600), p.v.WriteFile(p.abs(file)+".pub", public, 0o644)); err != nil {
		return p.fail("Saving key \"%s\" failed: %s", file, why(err))
	}
	if !o.has("q") {
		p.printf("Your identification has been saved in %s\nYour public key has been saved in %s.pub\n", file, file)
	}
	return 0
}

func cmdMore(p *proc) int {
	var names []string
	for _, a := range p.args {
		if !strings.HasPrefix(a, "-") && !strings.HasPrefix(a, "+") {
			names = append(names, a)
		}
	}
	return p.inputs(names, func(_ string, r io.Reader) { copyCtx(p.ctx, p.out, r) })
}

func cmdPower(p *proc) int {
	if p.who.uid != 0 {
		return p.fail("Must be root.")
	}
	reboot := p.name == "reboot"
	after := time.Duration(0)
	switch p.name {
	case "init", "telinit":
		if len(p.args) == 0 {
			return p.fail("missing runlevel")
		}
		switch p.args[0] {
		case "0":
		case "6":
			reboot = true
		default:
			return 0
		}
	case "shutdown":
		when := ""
		for _, a := range p.args {
			switch {
			case a == "-r" || a == "--reboot":
				reboot = true
			case a == "-c":
				return p.fail("cancelling is not simulated")
			case strings.HasPrefix(a, "-"):
				reboot = reboot || strings.Contains(a, "r") && !strings.HasPrefix(a, "--")
			case when == "":
				when = a
			}
		}
		switch {
		case when == "now" || when == "+0":
		case when == "":
			after = time.Minute
		case strings.HasPrefix(when, "+"):
			n, err := strconv.Atoi(when[1:])
			if err != nil {
				return p.fail("Failed to parse time specification: %s", when)
			}
			after = time.Duration(n) * time.Minute
		default:
			return p.fail("Failed to parse time specification: %s (only now and +minutes are simulated)", when)
		}
	default:
		if slices.Contains(p.args, "--reboot") {
			reboot = true
		}
		if slices.Contains(p.args, "-p") && p.name == "reboot" || slices.Contains(p.args, "--poweroff") {
			reboot = false
		}
	}
	p.g.selfPower(reboot, after)
	return 0
}

func cmdSysctl(p *proc) int {
	o, ok := p.parse("wpanqe", "system write=w load?=p all=a quiet=q ignore=e", false)
	if !ok {
		return 1
	}
	file := func(k string) string { return "/proc/sys/" + strings.ReplaceAll(k, ".", "/") }
	set := func(k, v string) int {
		if strings.Contains(k, "..") {
			return p.fail("invalid key %s", k)
		}
		p.v.MkdirAll(path.Dir(file(k)), 0o755)
		if err := p.v.WriteFile(file(k), []byte(v+"\n"), 0o644); err != nil {
			return p.fail("setting key \"%s\": %s", k, why(err))
		}
		if !o.has("q") {
			p.printf("%s = %s\n", k, v)
		}
		return 0
	}
	code := 0
	load := func(name string) {
		for _, l := range splitLines(p.v.readString(p.abs(name))) {
			l = strings.TrimSpace(l)
			if k, v, ok := strings.Cut(l, "="); ok && l[0] != '#' && l[0] != ';' {
				code = max(code, set(strings.TrimSpace(k), strings.TrimSpace(v)))
			}
		}
	}
	switch {
	case o.has("p"):
		names := o.rest
		if len(names) == 0 {
			names = []string{"/etc/sysctl.conf"}
		}
		for _, n := range names {
			load(n)
		}
		return code
	case o.has("system"):
		entries, _ := p.v.ReadDir("/etc/sysctl.d")
		for _, e := range entries {
			load("/etc/sysctl.d/" + e.name)
		}
		load("/etc/sysctl.conf")
		return code
	}
	for _, a := range o.rest {
		if k, v, ok := strings.Cut(a, "="); ok {
			code = max(code, set(strings.TrimSpace(k), strings.TrimSpace(v)))
			continue
		}
		data, err := p.v.ReadFile(file(a))
		if err != nil {
			if !o.has("e") {
				code = p.failCode(255, "cannot stat %s: No such file or directory", file(a))
			}
			continue
		}
		if o.has("n") {
			p.printf("%s", data)
		} else {
			p.printf("%s = %s", a, data)
		}
	}
	return code
}

func cmdModprobe(p *proc) int {
	const file = "/proc/modules"
	loaded := splitLines(p.v.readString(file))
	var names []string
	for _, a := range p.args {
		if !strings.HasPrefix(a, "-") {
			names = append(names, a)
		}
	}
	switch p.name {
	case "lsmod":
		p.printf("Module                  Size  Used by\n")
		for _, m := range loaded {
			p.printf("%-23s 16384  0\n", strings.Fields(m + " x")[0])
		}
	case "rmmod":
		loaded = slices.DeleteFunc(loaded, func(m string) bool { return slices.Contains(names, strings.Fields(m + " x")[0]) })
		p.v.WriteFile(file, []byte(strings.Join(loaded, "\n")+"\n"), 0o444)
	default:
		for _, n := range names[:min(1, len(names))] {
			loaded = append(loaded, strings.ReplaceAll(n, "-", "_")+" 16384 0 - Live 0x0")
		}
		p.v.WriteFile(file, []byte(strings.Join(loaded, "\n")+"\n"), 0o644)
	}
	return 0
}
