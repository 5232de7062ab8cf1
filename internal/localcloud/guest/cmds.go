package guest

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"time"
)

// command is a simulated program. Its file in the guest is a stub that names it, so that it is found, copied, replaced
// and removed like a real one.
type command struct {
	run    func(p *proc) int
	family string // only on this family of systems; "" everywhere
	admin  bool   // lives in /usr/sbin
}

// commands holds every simulated program by name. Filled by init functions, read-only afterwards.
var commands = map[string]command{}

func register(run func(p *proc) int, names ...string) {
	for _, n := range names {
		commands[n] = command{run: run}
	}
}

func registerAdmin(run func(p *proc) int, names ...string) {
	for _, n := range names {
		commands[n] = command{run: run, admin: true}
	}
}

func registerFor(family string, run func(p *proc) int, names ...string) {
	for _, n := range names {
		commands[n] = command{run: run, family: family}
	}
}

// options are parsed command line flags: letters, or long names that have no letter.
type options struct {
	count map[string]int
	value map[string]string
	all   map[string][]string
	rest  []string
}

func (o *options) has(names ...string) bool {
	for _, n := range names {
		if o.count[n] > 0 {
			return true
		}
	}
	return false
}

func (o *options) set(name, value string) {
	o.count[name]++
	o.value[name] = value
	o.all[name] = append(o.all[name], value)
}

// parse reads flags as getopt_long does. spec lists letters, "x:" takes a value. long holds "name=letter" pairs separated
// by blanks; "name:" and "name:=x" take a value, "name?" may have one after "=". With stop, the first operand ends the
// flags. ok is false after a message.
func (p *proc) parse(spec, long string, stop bool) (*options, bool) {
	o := &options{count: map[string]int{}, value: map[string]string{}, all: map[string][]string{}}
	takes := map[string]bool{}
	known := map[string]bool{}
	for i := 0; i < len(spec); i++ {
		if spec[i] == ':' {
			takes[string(spec[i-1])] = true
		} else {
			known[string(spec[i])] = true
		}
	}
	type longOption struct {
		key   string
		takes int // 0 no, 1 yes, 2 optional
	}
	longs := map[string]longOption{}
	for _, l := range strings.Fields(long) {
		name, key, _ := strings.Cut(l, "=")
		lo := longOption{}
		if strings.HasSuffix(name, ":") {
			name, lo.takes = strings.TrimSuffix(name, ":"), 1
		} else if strings.HasSuffix(name, "?") {
			name, lo.takes = strings.TrimSuffix(name, "?"), 2
		}
		lo.key = key
		if key == "" {
			lo.key = name
		}
		longs[name] = lo
	}
	args := p.args
	bad := func(format string, a ...any) (*options, bool) {
		fmt.Fprintf(p.err, "%s: %s\n", p.name, fmt.Sprintf(format, a...))
		return o, false
	}
	for len(args) > 0 {
		a := args[0]
		args = args[1:]
		switch {
		case a == "--":
			o.rest = append(o.rest, args...)
			return o, true
		case strings.HasPrefix(a, "--"):
			name, val, hasVal := strings.Cut(a[2:], "=")
			lo, ok := longs[name]
			if !ok {
				// An unambiguous beginning will do, as with getopt_long.
				n := 0
				for k, v := range longs {
					if strings.HasPrefix(k, name) {
						lo, n = v, n+1
					}
				}
				if n != 1 {
					return bad("unrecognized option '%s'", a)
				}
			}
			if lo.takes == 1 && !hasVal {
				if len(args) == 0 {
					return bad("option '%s' requires an argument", a)
				}
				val, args = args[0], args[1:]
			}
			o.set(lo.key, val)
		case len(a) > 1 && a[0] == '-':
			for i := 1; i < len(a); i++ {
				c := string(a[i])
				if !known[c] {
					return bad("invalid option -- '%s'", c)
				}
				if !takes[c] {
					o.set(c, "")
					continue
				}
				val := a[i+1:]
				if val == "" {
					if len(args) == 0 {
						return bad("option requires an argument -- '%s'", c)
					}
					val, args = args[0], args[1:]
				}
				o.set(c, val)
				break
			}
		default:
			o.rest = append(o.rest, a)
			if stop {
				o.rest = append(o.rest, args...)
				return o, true
			}
		}
	}
	return o, true
}

// modeString prints a mode as ls -l does.
func modeString(m fs.FileMode) string {
	b := []byte("-rwxrwxrwx")
	switch {
	case m.IsDir():
		b[0] = 'd'
	case m&fs.ModeSymlink != 0:
		b[0] = 'l'
	case m&fs.ModeCharDevice != 0:
		b[0] = 'c'
	case m&fs.ModeDevice != 0:
		b[0] = 'b'
	case m&fs.ModeNamedPipe != 0:
		b[0] = 'p'
	}
	for i := range 9 {
		if m&(1<<(8-i)) == 0 {
			b[i+1] = '-'
		}
	}
	special := func(on bool, at int, c byte) {
		if on {
			if b[at] == '-' {
				c -= 'a' - 'A'
			}
			b[at] = c
		}
	}
	special(m&fs.ModeSetuid != 0, 3, 's')
	special(m&fs.ModeSetgid != 0, 6, 's')
	special(m&fs.ModeSticky != 0, 9, 't')
	return string(b)
}

// symbolicMode applies "u+x,go-w", "a=rX" or an octal number to a mode.
func symbolicMode(spec string, old fs.FileMode, dir bool, umask fs.FileMode) (fs.FileMode, error) {
	if n, err := strconv.ParseUint(spec, 8, 16); err == nil && n <= 0o7777 {
		return unixMode(uint32(n)), nil
	}
	mode := modeBits(old)
	for _, clause := range strings.Split(spec, ",") {
		i := strings.IndexAny(clause, "+-=")
		if i < 0 {
			return 0, fmt.Errorf("invalid mode: '%s'", spec)
		}
		who := uint32(0)
		masked := i == 0
		for _, c := range clause[:i] {
			switch c {
			case 'u':
				who |= 0o4700
			case 'g':
				who |= 0o2070
			case 'o':
				who |= 0o1007
			case 'a':
				who |= 0o7777
			default:
				return 0, fmt.Errorf("invalid mode: '%s'", spec)
			}
		}
		if masked {
			who = 0o7777
		}
		rest := clause[i:]
		for rest != "" {
			op := rest[0]
			j := strings.IndexAny(rest[1:], "+-=")
			perms := rest[1:]
			if j >= 0 {
				perms, rest = rest[1:1+j], rest[1+j:]
			} else {
				rest = ""
			}
			bits := uint32(0)
			for _, c := range perms {
				switch c {
				case 'r':
					bits |= 0o444
				case 'w':
					bits |= 0o222
				case 'x':
					bits |= 0o111
				case 'X':
					if dir || mode&0o111 != 0 {
						bits |= 0o111
					}
				case 's':
					bits |= 0o6000
				case 't':
					bits |= 0o1000
				case 'u', 'g', 'o':
					n := mode >> map[rune]uint32{'u': 6, 'g': 3, 'o': 0}[c] & 7
					bits |= n | n<<3 | n<<6
				default:
					return 0, fmt.Errorf("invalid mode: '%s'", spec)
				}
			}
			bits &= who
			if masked {
				bits &^= modeBits(umask)
			}
			switch op {
			case '+':
				mode |= bits
			case '-':
				mode &^= bits
			case '=':
				clear := who & 0o777
				if who&0o6000 != 0 && !dir {
					clear |= who & 0o6000
				}
				mode = mode&^clear | bits
			}
		}
	}
	return unixMode(mode), nil
}

// parseOwner understands "user", "user:group", ":group", "user." with names or numbers; -1 means unchanged.
func (g *Guest) parseOwner(spec string) (uid, gid int, err error) {
	uid, gid = -1, -1
	user, group, hasGroup := strings.Cut(spec, ":")
	if !hasGroup {
		if _, ok := g.account(user); !ok && strings.Contains(user, ".") {
			user, group, hasGroup = strings.Cut(spec, ".")
		}
	}
	if user != "" {
		if a, ok := g.account(user); ok {
			uid = a.uid
			if hasGroup && group == "" {
				gid = a.gid
			}
		} else if uid, err = strconv.Atoi(user); err != nil {
			return 0, 0, fmt.Errorf("invalid user: '%s'", spec)
		}
	}
	if group != "" {
		if gid, err = g.groupID(group); err != nil {
			return 0, 0, fmt.Errorf("invalid group: '%s'", spec)
		}
	}
	return uid, gid, nil
}

func (g *Guest) groupID(name string) (int, error) {
	for id, n := range g.names("/etc/group") {
		if n == name {
			return id, nil
		}
	}
	return strconv.Atoi(name)
}

func nameOr(names map[int]string, id int) string {
	if n := names[id]; n != "" {
		return n
	}
	return strconv.Itoa(id)
}

// lsTime prints a time as ls -l does.
func lsTime(t time.Time) string {
	t = t.UTC()
	if age := time.Since(t); age > 182*24*time.Hour || age < -time.Hour {
		return t.Format("Jan _2  2006")
	}
	return t.Format("Jan _2 15:04")
}

func humanSize(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10)
	}
	f := float64(n)
	unit := ""
	for _, u := range []string{"K", "M", "G", "T"} {
		f /= 1024
		unit = u
		if f < 1024 {
			break
		}
	}
	if f < 10 {
		return fmt.Sprintf("%.1f%s", f, unit)
	}
	return fmt.Sprintf("%.0f%s", f, unit)
}

// parseSize understands 10, 10K, 10M, 10G, 10kB.
func parseSize(s string) (int64, error) {
	mult := int64(1)
	t := strings.ToUpper(s)
	t = strings.TrimSuffix(strings.TrimSuffix(t, "IB"), "B")
	if t != "" {
		switch t[len(t)-1] {
		case 'K':
			mult = 1 << 10
		case 'M':
			mult = 1 << 20
		case 'G':
			mult = 1 << 30
		case 'T':
			mult = 1 << 40
		case 'C':
		case 'W':
			mult = 2
		default:
			n, err := strconv.ParseInt(t, 10, 64)
			return n, err
		}
		t = t[:len(t)-1]
	}
	n, err := strconv.ParseInt(t, 10, 64)
	if err != nil || n > 1<<50/mult {
		return 0, fmt.Errorf("invalid number '%s'", s)
	}
	return n * mult, nil
}

// copyTo copies one file of the guest, with mode; attributes on demand.
func (p *proc) copyFile(from, to string, preserve bool) error {
	fi, err := p.v.Stat(p.abs(from))
	if err != nil {
		return err
	}
	in, err := p.open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	_, statErr := p.v.Stat(p.abs(to))
	out, err := p.create(to, os.O_WRONLY|os.O_TRUNC, fi.mode.Perm())
	if err != nil {
		return err
	}
	_, err = copyCtx(p.ctx, out, in)
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if preserve {
		return p.keepAttributes(to, fi)
	}
	if statErr == nil {
		return nil
	}
	return nil
}

func (p *proc) keepAttributes(to string, fi *fileInfo) error {
	if p.who.uid == 0 {
		if err := p.v.Chown(p.abs(to), fi.uid, fi.gid, true); err != nil {
			return err
		}
	}
	if err := p.v.Chmod(p.abs(to), fi.mode); err != nil {
		return err
	}
	return p.v.Chtimes(p.abs(to), time.Time{}, fi.ModTime())
}

// into is the name a file gets when it is put into a directory.
func into(dir, file string) string { return strings.TrimSuffix(dir, "/") + "/" + path.Base(file) }
