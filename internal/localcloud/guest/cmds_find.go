package guest

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"mvdan.cc/sh/v3/pattern"
)

// globMatch matches a name against a shell pattern.
func globMatch(pat, name string, fold bool) bool {
	if fold {
		pat, name = strings.ToLower(pat), strings.ToLower(name)
	}
	expr, err := pattern.Regexp(pat, pattern.EntireString)
	if err != nil {
		return pat == name
	}
	re, err := cachedRegexp(expr)
	return err == nil && re.MatchString(name)
}

// finder evaluates find's expression.
type finder struct {
	p        *proc
	args     []string
	code     int
	maxDepth int
	minDepth int
	depthOpt bool
	acted    bool
	batches  []*batch
	quit     bool
}

// batch collects names for -exec ... +.
type batch struct {
	argv  []string
	names []string
}

type foundFile struct {
	name  string
	fi    *fileInfo
	start string
	depth int
	prune bool
}

type test func(f *foundFile) bool

func cmdFind(p *proc) int {
	args := p.args
	for len(args) > 0 && (args[0] == "-L" || args[0] == "-P" || args[0] == "-H") {
		args = args[1:]
	}
	var starts []string
	for len(args) > 0 && !strings.HasPrefix(args[0], "-") && args[0] != "(" && args[0] != "!" {
		starts, args = append(starts, args[0]), args[1:]
	}
	if len(starts) == 0 {
		starts = []string{"."}
	}
	f := &finder{p: p, args: args, maxDepth: 1 << 30}
	expr, err := f.or()
	if err == nil && len(f.args) > 0 {
		err = fmt.Errorf("paths must precede expression: `%s'", f.args[0])
	}
	if err != nil {
		return p.fail("%s", err)
	}
	if expr == nil {
		expr = func(*foundFile) bool { return true }
	}
	if !f.acted {
		inner := expr
		expr = func(ff *foundFile) bool {
			if inner(ff) {
				p.printf("%s\n", ff.name)
				return true
			}
			return false
		}
	}
	for _, s := range starts {
		fi, err := p.v.Lstat(p.abs(s))
		if err != nil {
			fmt.Fprintf(p.err, "find: '%s': %s\n", s, why(err))
			f.code = 1
			continue
		}
		f.visit(&foundFile{name: s, fi: fi, start: s}, expr)
	}
	for _, b := range f.batches {
		if len(b.names) > 0 {
			if c := f.run(append(slices.Clone(b.argv), b.names...)); c != 0 {
				f.code = 1
			}
		}
	}
	return f.code
}

func (f *finder) visit(ff *foundFile, expr test) {
	if f.p.ctx.Err() != nil || f.quit {
		return
	}
	look := func() {
		if ff.depth >= f.minDepth {
			expr(ff)
		}
	}
	if !f.depthOpt {
		look()
	}
	if ff.fi.IsDir() && !ff.prune && ff.depth < f.maxDepth {
		entries, err := f.p.v.ReadDir(f.p.abs(ff.name))
		if err != nil {
			if _, gone := f.p.v.Lstat(f.p.abs(ff.name)); gone == nil {
				fmt.Fprintf(f.p.err, "find: '%s': %s\n", ff.name, why(err))
				f.code = 1
			}
		}
		for _, e := range entries {
			f.visit(&foundFile{name: strings.TrimSuffix(ff.name, "/") + "/" + e.name, fi: e, start: ff.start, depth: ff.depth + 1}, expr)
		}
	}
	if f.depthOpt {
		look()
	}
}

func (f *finder) run(argv []string) int { return f.p.with(func(*proc) {}).exec(argv) }

func (f *finder) peek() string {
	if len(f.args) == 0 {
		return ""
	}
	return f.args[0]
}

func (f *finder) next() string {
	a := f.args[0]
	f.args = f.args[1:]
	return a
}

func (f *finder) or() (test, error) {
	left, err := f.and()
	if err != nil {
		return nil, err
	}
	for f.peek() == "-o" || f.peek() == "-or" {
		f.next()
		right, err := f.and()
		if err != nil {
			return nil, err
		}
		if left == nil || right == nil {
			return nil, fmt.Errorf("invalid expression")
		}
		l := left
		left = func(x *foundFile) bool { return l(x) || right(x) }
	}
	return left, nil
}

func (f *finder) and() (test, error) {
	var left test
	for len(f.args) > 0 {
		switch f.peek() {
		case "-o", "-or", ")", ",":
			return left, nil
		case "-a", "-and":
			f.next()
			continue
		}
		right, err := f.not()
		if err != nil {
			return nil, err
		}
		if right == nil {
			continue
		}
		if left == nil {
			left = right
			continue
		}
		l := left
		left = func(x *foundFile) bool { return l(x) && right(x) }
	}
	return left, nil
}

func (f *finder) not() (test, error) {
	switch f.peek() {
	case "!", "-not":
		f.next()
		if len(f.args) == 0 {
			return nil, fmt.Errorf("expected an expression after '!'")
		}
		t, err := f.not()
		if err != nil || t == nil {
			return nil, err
		}
		return func(x *foundFile) bool { return !t(x) }, nil
	case "(":
		f.next()
		t, err := f.or()
		if err != nil {
			return nil, err
		}
		if f.peek() != ")" {
			return nil, fmt.Errorf("invalid expression; expected to find a ')'")
		}
		f.next()
		return t, nil
	}
	return f.primary()
}

func (f *finder) primary() (test, error) {
	op := f.next()
	var arg string
	need := []string{"-name", "-iname", "-path", "-ipath", "-wholename", "-type", "-maxdepth", "-mindepth", "-perm", "-user", "-group", "-size",
		"-mtime", "-mmin", "-newer", "-regex", "-iregex", "-printf", "-lname", "-uid", "-gid", "-atime", "-ctime", "-amin", "-cmin", "-links",
		"-regextype", "-samefile", "-inum", "-fprint", "-newermt"}
	if slices.Contains(need, op) {
		if len(f.args) == 0 {
			return nil, fmt.Errorf("missing argument to `%s'", op)
		}
		arg = f.next()
	}
	p := f.p
	number := func(s string) (func(n int64) bool, error) {
		cmp := byte('=')
		if s != "" && (s[0] == '+' || s[0] == '-') {
			cmp, s = s[0], s[1:]
		}
		want, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("invalid argument `%s' to `%s'", s, op)
		}
		return func(n int64) bool {
			switch cmp {
			case '+':
				return n > want
			case '-':
				return n < want
			}
			return n == want
		}, nil
	}
	switch op {
	case "-name", "-iname":
		return func(x *foundFile) bool { return globMatch(arg, path.Base(x.name), op == "-iname") }, nil
	case "-path", "-ipath", "-wholename":
		return func(x *foundFile) bool { return globMatch(arg, x.name, op == "-ipath") }, nil
	case "-lname":
		return func(x *foundFile) bool {
			t, err := p.v.Readlink(p.abs(x.name))
			return err == nil && globMatch(arg, t, false)
		}, nil
	case "-regex", "-iregex":
		expr := convertRegexp(arg, false)
		if op == "-iregex" {
			expr = "(?i)" + expr
		}
		re, err := cachedRegexp("^(?:" + expr + ")$")
		if err != nil {
			return nil, err
		}
		return func(x *foundFile) bool { return re.MatchString(x.name) }, nil
	case "-regextype":
		return func(*foundFile) bool { return true }, nil
	case "-type":
		return func(x *foundFile) bool {
			for _, c := range strings.Split(arg, ",") {
				switch c {
				case "f":
					if x.fi.mode.IsRegular() {
						return true
					}
				case "d":
					if x.fi.IsDir() {
						return true
					}
				case "l":
					if x.fi.mode&fs.ModeSymlink != 0 {
						return true
					}
				case "b":
					if x.fi.mode&fs.ModeDevice != 0 && x.fi.mode&fs.ModeCharDevice == 0 {
						return true
					}
				case "c":
					if x.fi.mode&fs.ModeCharDevice != 0 {
						return true
					}
				}
			}
			return false
		}, nil
	case "-maxdepth", "-mindepth":
		n, err := strconv.Atoi(arg)
		if err != nil {
			return nil, fmt.Errorf("expected a positive decimal integer argument to %s", op)
		}
		if op == "-maxdepth" {
			f.maxDepth = n
		} else {
			f.minDepth = n
		}
		return nil, nil
	case "-depth", "-d":
		f.depthOpt = true
		return nil, nil
	case "-xdev", "-mount", "-noleaf", "-ignore_readdir_race", "-warn", "-nowarn", "-daystart":
		return nil, nil
	case "-empty":
		return func(x *foundFile) bool {
			if x.fi.IsDir() {
				e, err := p.v.ReadDir(p.abs(x.name))
				return err == nil && len(e) == 0
			}
			return x.fi.mode.IsRegular() && x.fi.Size() == 0
		}, nil
	case "-perm":
		kind := byte('=')
		spec := arg
		if arg != "" && (arg[0] == '-' || arg[0] == '/' || arg[0] == '+') {
			kind, spec = arg[0], arg[1:]
		}
		m, err := symbolicMode(spec, 0, false, 0)
		if err != nil {
			return nil, err
		}
		want := modeBits(m)
		return func(x *foundFile) bool {
			have := modeBits(x.fi.mode)
			switch kind {
			case '-':
				return have&want == want
			case '/', '+':
				return want == 0 || have&want != 0
			}
			return have == want
		}, nil
	case "-user", "-uid":
		uid, _, err := p.g.parseOwner(arg)
		if err != nil {
			return nil, fmt.Errorf("'%s' is not the name of a known user", arg)
		}
		return func(x *foundFile) bool { return x.fi.uid == uid }, nil
	case "-group", "-gid":
		gid, err := p.g.groupID(arg)
		if err != nil {
			return nil, fmt.Errorf("'%s' is not the name of an existing group", arg)
		}
		return func(x *foundFile) bool { return x.fi.gid == gid }, nil
	case "-nouser", "-nogroup":
		users, groups := p.g.names("/etc/passwd"), p.g.names("/etc/group")
		return func(x *foundFile) bool {
			if op == "-nouser" {
				return users[x.fi.uid] == ""
			}
			return groups[x.fi.gid] == ""
		}, nil
	case "-size":
		unit := int64(512)
		spec := arg
		if n := len(spec); n > 0 {
			if u, ok := map[byte]int64{'c': 1, 'w': 2, 'b': 512, 'k': 1 << 10, 'M': 1 << 20, 'G': 1 << 30}[spec[n-1]]; ok {
				unit, spec = u, spec[:n-1]
			}
		}
		ok, err := number(spec)
		if err != nil {
			return nil, err
		}
		return func(x *foundFile) bool { return ok((x.fi.Size() + unit - 1) / unit) }, nil
	case "-mtime", "-atime", "-ctime", "-mmin", "-amin", "-cmin":
		unit := 24 * time.Hour
		if strings.HasSuffix(op, "min") {
			unit = time.Minute
		}
		ok, err := number(arg)
		if err != nil {
			return nil, err
		}
		return func(x *foundFile) bool { return ok(int64(time.Since(x.fi.ModTime()) / unit)) }, nil
	case "-links", "-inum":
		ok, err := number(arg)
		if err != nil {
			return nil, err
		}
		return func(x *foundFile) bool {
			if op == "-inum" {
				return ok(int64(x.fi.inode()))
			}
			return ok(int64(x.fi.links()))
		}, nil
	case "-newer", "-newermt":
		var ref time.Time
		if op == "-newermt" {
			t, err := parseDate(arg, time.Now())
			if err != nil {
				return nil, err
			}
			ref = t
		} else {
			fi, err := p.v.Stat(p.abs(arg))
			if err != nil {
				return nil, fmt.Errorf("'%s': %s", arg, why(err))
			}
			ref = fi.ModTime()
		}
		return func(x *foundFile) bool { return x.fi.ModTime().After(ref) }, nil
	case "-samefile":
		fi, err := p.v.Stat(p.abs(arg))
		if err != nil {
			return nil, fmt.Errorf("'%s': %s", arg, why(err))
		}
		return func(x *foundFile) bool { return x.fi.rel == fi.rel || x.fi.inode() == fi.inode() && fi.inode() != 0 }, nil
	case "-executable", "-readable", "-writable":
		bits := map[string]uint32{"-executable": 1, "-readable": 4, "-writable": 2}[op]
		return func(x *foundFile) bool { return p.v.may(x.fi, bits) }, nil
	case "-true":
		return func(*foundFile) bool { return true }, nil
	case "-false":
		return func(*foundFile) bool { return false }, nil
	case "-prune":
		return func(x *foundFile) bool { x.prune = true; return true }, nil
	case "-quit":
		f.acted = true
		return func(*foundFile) bool { f.quit = true; return true }, nil
	case "-print", "-print0", "-ls":
		f.acted = true
		end := "\n"
		if op == "-print0" {
			end = "\x00"
		}
		return func(x *foundFile) bool {
			if op == "-ls" {
				p.printf("%9d %4d %s %3d %-8d %-8d %8d %s ", x.fi.inode(), (x.fi.Size()+1023)/1024, modeString(x.fi.mode), x.fi.links(), x.fi.uid, x.fi.gid, x.fi.Size(), lsTime(x.fi.ModTime()))
			}
			p.printf("%s%s", x.name, end)
			return true
		}, nil
	case "-printf":
		f.acted = true
		return func(x *foundFile) bool { p.printf("%s", f.format(unescape(arg), x)); return true }, nil
	case "-delete":
		f.acted, f.depthOpt = true, true
		return func(x *foundFile) bool {
			if x.name == "." || x.name == "/" {
				return true
			}
			if err := p.v.Remove(p.abs(x.name)); err != nil {
				fmt.Fprintf(p.err, "find: cannot delete '%s': %s\n", x.name, why(err))
				f.code = 1
				return false
			}
			return true
		}, nil
	case "-exec", "-execdir", "-ok":
		f.acted = true
		var argv []string
		end := ""
		for len(f.args) > 0 {
			a := f.next()
			if a == ";" || a == "+" && len(argv) > 0 && argv[len(argv)-1] == "{}" {
				end = a
				break
			}
			argv = append(argv, a)
		}
		if end == "" || len(argv) == 0 {
			return nil, fmt.Errorf("missing argument to `%s'", op)
		}
		if end == "+" {
			b := &batch{argv: argv[:len(argv)-1]}
			f.batches = append(f.batches, b)
			return func(x *foundFile) bool {
				if b.names = append(b.names, x.name); len(b.names) >= 5000 {
					if f.run(append(slices.Clone(b.argv), b.names...)) != 0 {
						f.code = 1
					}
					b.names = nil
				}
				return true
			}, nil
		}
		return func(x *foundFile) bool {
			call := make([]string, len(argv))
			for i, a := range argv {
				call[i] = strings.ReplaceAll(a, "{}", x.name)
			}
			return f.run(call) == 0
		}, nil
	}
	return nil, fmt.Errorf("unknown predicate `%s'", op)
}

func (f *finder) format(format string, x *foundFile) string {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		switch format[i] {
		case 'p':
			b.WriteString(x.name)
		case 'f':
			b.WriteString(path.Base(x.name))
		case 'h':
			b.WriteString(path.Dir(x.name))
		case 'P':
			b.WriteString(strings.TrimPrefix(strings.TrimPrefix(x.name, x.start), "/"))
		case 's':
			fmt.Fprint(&b, x.fi.Size())
		case 'm':
			fmt.Fprintf(&b, "%o", modeBits(x.fi.mode))
		case 'M':
			b.WriteString(modeString(x.fi.mode))
		case 'u':
			b.WriteString(nameOr(f.p.g.names("/etc/passwd"), x.fi.uid))
		case 'g':
			b.WriteString(nameOr(f.p.g.names("/etc/group"), x.fi.gid))
		case 'U':
			fmt.Fprint(&b, x.fi.uid)
		case 'G':
			fmt.Fprint(&b, x.fi.gid)
		case 'd':
			fmt.Fprint(&b, x.depth)
		case 'l':
			t, _ := f.p.v.Readlink(f.p.abs(x.name))
			b.WriteString(t)
		case 'y':
			b.WriteString(map[bool]string{true: "d", false: "f"}[x.fi.IsDir()])
		case 'T', 'A', 'C':
			if i+1 < len(format) {
				i++
				if format[i] == '@' {
					fmt.Fprintf(&b, "%d.0000000000", x.fi.ModTime().Unix())
				} else {
					b.WriteString(strftime("%"+string(format[i]), x.fi.ModTime().UTC()))
				}
			}
		case '%':
			b.WriteByte('%')
		}
	}
	return b.String()
}
