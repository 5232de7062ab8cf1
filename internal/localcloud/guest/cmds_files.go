package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func init() {
	register(cmdLs, "ls", "dir", "vdir")
	register(cmdCat, "cat")
	register(cmdCp, "cp")
	register(cmdMv, "mv")
	register(cmdRm, "rm", "unlink")
	register(cmdMkdir, "mkdir")
	register(cmdRmdir, "rmdir")
	register(cmdChmod, "chmod")
	register(cmdChown, "chown")
	register(cmdChgrp, "chgrp")
	register(cmdLn, "ln", "link")
	register(cmdReadlink, "readlink")
	register(cmdRealpath, "realpath")
	register(cmdTouch, "touch")
	register(cmdStat, "stat")
	register(cmdBasename, "basename")
	register(cmdDirname, "dirname")
	register(cmdMktemp, "mktemp", "tempfile")
	register(cmdDu, "du")
	register(cmdFind, "find")
	register(cmdInstall, "install")
	register(cmdTruncate, "truncate", "fallocate")
	register(cmdDd, "dd")
	register(cmdFile, "file")
	register(func(p *proc) int { p.g.tree.flush(); return 0 }, "sync")
	register(cmdTree, "tree")
	register(cmdShred, "shred")
}

func copyCtx(ctx context.Context, w io.Writer, r io.Reader) (int64, error) {
	buf := make([]byte, 64<<10)
	var total int64
	for {
		if ctx.Err() != nil {
			return total, context.Cause(ctx)
		}
		n, err := r.Read(buf)
		if n > 0 {
			m, werr := w.Write(buf[:n])
			total += int64(m)
			if werr != nil {
				return total, werr
			}
		}
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

func cmdCat(p *proc) int {
	o, ok := p.parse("nbsAEvTetu", "number=n show-all=A", false)
	if !ok {
		return 1
	}
	files := o.rest
	if len(files) == 0 {
		files = []string{"-"}
	}
	code, line := 0, 1
	for _, f := range files {
		in, err := p.open(f)
		if err != nil {
			code = p.fail("%s: %s", f, why(err))
			continue
		}
		if !o.has("n", "b", "s", "A", "E", "T") {
			_, err = copyCtx(p.ctx, p.out, in)
		} else {
			var data []byte
			data, err = io.ReadAll(&limited{p.ctx, in, 256 << 20})
			blank := false
			for _, l := range strings.SplitAfter(string(data), "\n") {
				if l == "" {
					continue
				}
				if o.has("s") && l == "\n" && blank {
					continue
				}
				blank = l == "\n"
				if o.has("E", "A") {
					l = strings.Replace(l, "\n", "$\n", 1)
				}
				if o.has("T", "A") {
					l = strings.ReplaceAll(l, "\t", "^I")
				}
				if o.has("n") || o.has("b") && !blank {
					p.printf("%6d\t", line)
					line++
				}
				p.printf("%s", l)
			}
		}
		in.Close()
		if errors.Is(err, syscall.EPIPE) {
			return 141
		}
		if err != nil && p.ctx.Err() == nil {
			code = p.fail("%s: %s", f, why(err))
		}
	}
	return code
}

func cmdLs(p *proc) int {
	o, ok := p.parse("laAdhRrtS1FinCkpcuUgGoQqLHmxsbBNXvTwI:Z", "all=a almost-all=A human-readable=h recursive=R reverse=r color? directory=d time-style: inode=i group-directories-first full-time numeric-uid-gid=n classify=F size=s format:", false)
	if !ok {
		return 2
	}
	users, groups := map[int]string{}, map[int]string{}
	long := o.has("l", "n", "g", "o", "full-time") || p.name == "vdir"
	if long && !o.has("n") {
		users, groups = p.g.names("/etc/passwd"), p.g.names("/etc/group")
	}
	type entry struct {
		name string
		fi   *fileInfo
		full string
	}
	order := func(es []entry) {
		slices.SortStableFunc(es, func(a, b entry) int {
			c := 0
			switch {
			case o.has("U"):
				return 0
			case o.has("t"):
				c = b.fi.ModTime().Compare(a.fi.ModTime())
			case o.has("S"):
				c = int(min(1, max(-1, b.fi.Size()-a.fi.Size())))
			}
			if c == 0 {
				c = strings.Compare(a.name, b.name)
			}
			if o.has("r") {
				c = -c
			}
			return c
		})
	}
	show := func(es []entry) {
		order(es)
		width := [4]int{}
		rows := make([][4]string, len(es))
		for i, e := range es {
			size := strconv.FormatInt(e.fi.Size(), 10)
			if o.has("h") {
				size = humanSize(e.fi.Size())
			}
			if e.fi.IsDir() {
				size = map[bool]string{true: "4.0K", false: "4096"}[o.has("h")]
			}
			rows[i] = [4]string{strconv.FormatUint(e.fi.links(), 10), nameOr(users, e.fi.uid), nameOr(groups, e.fi.gid), size}
			for k, s := range rows[i] {
				width[k] = max(width[k], len(s))
			}
		}
		for i, e := range es {
			name := e.name
			if o.has("F") || o.has("p") && e.fi.IsDir() {
				switch {
				case e.fi.IsDir():
					name += "/"
				case e.fi.mode&fs.ModeSymlink != 0 && !long:
					name += "@"
				case e.fi.mode&0o111 != 0 && e.fi.mode.IsRegular():
					name += "*"
				}
			}
			if o.has("i") {
				p.printf("%d ", e.fi.inode())
			}
			if !long {
				p.printf("%s\n", name)
				continue
			}
			if e.fi.mode&fs.ModeSymlink != 0 {
				if t, err := p.v.Readlink(e.full); err == nil {
					name += " -> " + t
				}
			}
			when := lsTime(e.fi.ModTime())
			if o.has("full-time") || strings.Contains(o.value["time-style"], "full-iso") {
				when = e.fi.ModTime().UTC().Format("2006-01-02 15:04:05.000000000 +0000")
			} else if o.value["time-style"] == "long-iso" {
				when = e.fi.ModTime().UTC().Format("2006-01-02 15:04")
			}
			r := rows[i]
			p.printf("%s %*s", modeString(e.fi.mode), width[0], r[0])
			if !o.has("g") {
				p.printf(" %-*s", width[1], r[1])
			}
			if !o.has("o", "G") {
				p.printf(" %-*s", width[2], r[2])
			}
			p.printf(" %*s %s %s\n", width[3], r[3], when, name)
		}
	}
	names := o.rest
	if len(names) == 0 {
		names = []string{"."}
	}
	code := 0
	var files []entry
	var dirs []string
	for _, n := range names {
		fi, err := p.v.Lstat(p.abs(n))
		if err == nil && fi.mode&fs.ModeSymlink != 0 && (!long || o.has("L", "H") || strings.HasSuffix(n, "/")) && !o.has("d") {
			if t, terr := p.v.Stat(p.abs(n)); terr == nil && (t.IsDir() || o.has("L")) {
				fi = t
			}
		}
		switch {
		case err != nil:
			fmt.Fprintf(p.err, "ls: cannot access '%s': %s\n", n, why(err))
			code = 2
		case fi.IsDir() && !o.has("d"):
			dirs = append(dirs, n)
		default:
			files = append(files, entry{n, fi, p.abs(n)})
		}
	}
	show(files)
	slices.Sort(dirs)
	title := len(names) > 1 || o.has("R")
	first := len(files) == 0
	var list func(dir string)
	list = func(dir string) {
		if p.ctx.Err() != nil {
			return
		}
		infos, err := p.v.ReadDir(p.abs(dir))
		if err != nil {
			fmt.Fprintf(p.err, "ls: cannot open directory '%s': %s\n", dir, why(err))
			code = 2
			return
		}
		if title {
			if !first {
				p.printf("\n")
			}
			p.printf("%s:\n", dir)
		}
		first = false
		var es []entry
		total := int64(0)
		if o.has("a") {
			for _, n := range []string{".", ".."} {
				if fi, err := p.v.Stat(p.abs(dir) + "/" + n); err == nil {
					es = append(es, entry{n, fi, ""})
				}
			}
		}
		for _, fi := range infos {
			if strings.HasPrefix(fi.name, ".") && !o.has("a", "A") {
				continue
			}
			total += (fi.Size() + 4095) / 4096 * 4
			full := strings.TrimSuffix(p.abs(dir), "/") + "/" + fi.name
			if o.has("L") {
				if t, err := p.v.Stat(full); err == nil {
					t.name = fi.name
					fi = t
				}
			}
			es = append(es, entry{fi.name, fi, full})
		}
		if long {
			p.printf("total %d\n", total)
		}
		show(es)
		if o.has("R") {
			for _, e := range es {
				if e.fi.IsDir() && e.full != "" {
					list(strings.TrimSuffix(dir, "/") + "/" + e.name)
				}
			}
		}
	}
	for _, d := range dirs {
		list(d)
	}
	return code
}

func cmdCp(p *proc) int {
	o, ok := p.parse("rRafpvidnuTt:lsLPHxbS:", "recursive=r archive=a force=f preserve? verbose=v no-clobber=n update=u no-target-directory=T target-directory:=t no-preserve: no-dereference=P dereference=L parents backup? symbolic-link=s link=l remove-destination reflink? sparse: interactive=i one-file-system=x suffix:=S", false)
	if !ok {
		return 1
	}
	src, dst := o.rest, o.value["t"]
	if dst == "" {
		if len(src) < 2 {
			if len(src) == 0 {
				return p.fail("missing file operand")
			}
			return p.fail("missing destination file operand after '%s'", src[0])
		}
		dst, src = src[len(src)-1], src[:len(src)-1]
	}
	isDir := p.v.isDir(p.abs(dst)) && !o.has("T")
	if len(src) > 1 && !isDir {
		return p.fail("target '%s' is not a directory", dst)
	}
	preserve := o.has("p", "a", "preserve")
	recursive := o.has("r", "R", "a")
	code := 0
	for _, s := range src {
		to := dst
		if isDir {
			to = into(dst, s)
			if strings.HasSuffix(s, "/.") || s == "." || s == ".." {
				to = dst
			}
			if o.has("parents") {
				to = strings.TrimSuffix(dst, "/") + "/" + strings.TrimPrefix(s, "/")
				p.v.MkdirAll(path.Dir(p.abs(to)), 0o755)
			}
		}
		if c := p.copyTree(s, to, o, recursive, preserve, 0); c != 0 {
			code = c
		}
	}
	return code
}

func (p *proc) copyTree(from, to string, o *options, recursive, preserve bool, depth int) int {
	if p.ctx.Err() != nil {
		return 130
	}
	noFollow := o.has("P", "d", "a") || recursive && !o.has("L") && (depth > 0 || !o.has("H"))
	fi, err := p.v.stat(p.abs(from), !noFollow)
	if err != nil {
		return p.fail("cannot stat '%s': %s", from, why(err))
	}
	old, oldErr := p.v.Stat(p.abs(to))
	if oldErr == nil && !fi.IsDir() {
		if old.rel == fi.rel {
			return p.fail("'%s' and '%s' are the same file", from, to)
		}
		if o.has("n") || o.has("u") && !old.ModTime().Before(fi.ModTime()) {
			return 0
		}
		if o.has("b", "backup") {
			suffix := o.value["S"]
			if suffix == "" {
				suffix = "~"
			}
			p.v.Rename(p.abs(to), p.abs(to)+suffix)
		}
	}
	if o.has("v") {
		p.printf("'%s' -> '%s'\n", from, to)
	}
	switch {
	case fi.IsDir():
		if !recursive {
			return p.fail("-r not specified; omitting directory '%s'", from)
		}
		real, _ := p.v.realpath(p.abs(from))
		target, _ := p.v.realpath(p.abs(to))
		if target == real || strings.HasPrefix(target, strings.TrimSuffix(real, "/")+"/") {
			return p.fail("cannot copy a directory, '%s', into itself, '%s'", from, to)
		}
		if oldErr != nil {
			if err := p.v.Mkdir(p.abs(to), fi.mode.Perm()|0o700); err != nil {
				return p.fail("cannot create directory '%s': %s", to, why(err))
			}
		} else if !old.IsDir() {
			return p.fail("cannot overwrite non-directory '%s' with directory '%s'", to, from)
		}
		entries, err := p.v.ReadDir(p.abs(from))
		if err != nil {
			return p.fail("cannot access '%s': %s", from, why(err))
		}
		code := 0
		for _, e := range entries {
			if c := p.copyTree(into(from, e.name), into(to, e.name), o, recursive, preserve, depth+1); c != 0 {
				code = c
			}
		}
		if preserve {
			p.keepAttributes(to, fi)
		} else if oldErr != nil {
			p.v.Chmod(p.abs(to), fi.mode.Perm()&^p.v.mask())
		}
		return code
	case fi.mode&fs.ModeSymlink != 0 || o.has("s"):
		target := p.abs(from)
		if !o.has("s") {
			target, err = p.v.Readlink(p.abs(from))
		}
		if err == nil {
			if _, lerr := p.v.Lstat(p.abs(to)); lerr == nil {
				p.v.Remove(p.abs(to))
			}
			err = p.v.Symlink(target, p.abs(to))
		}
		if err != nil {
			return p.fail("cannot create symbolic link '%s': %s", to, why(err))
		}
		return 0
	case o.has("l"):
		if err := p.v.Link(p.abs(from), p.abs(to)); err != nil {
			return p.fail("cannot create hard link '%s': %s", to, why(err))
		}
		return 0
	}
	if oldErr == nil && old.IsDir() {
		return p.fail("cannot overwrite directory '%s' with non-directory", to)
	}
	if o.has("remove-destination") {
		p.v.Remove(p.abs(to))
	}
	err = p.copyFile(from, to, preserve)
	if err != nil && o.has("f") && errors.Is(err, fs.ErrPermission) {
		p.v.Remove(p.abs(to))
		err = p.copyFile(from, to, preserve)
	}
	if err != nil {
		if pe, ok := errors.AsType[*fs.PathError](err); ok && pe.Op == "open" && pe.Path == p.abs(to) {
			return p.fail("cannot create regular file '%s': %s", to, why(err))
		}
		return p.fail("error copying '%s' to '%s': %s", from, to, why(err))
	}
	return 0
}

func cmdMv(p *proc) int {
	o, ok := p.parse("fvinuTt:bS:", "force=f verbose=v no-clobber=n no-target-directory=T target-directory:=t backup? interactive=i update=u suffix:=S", false)
	if !ok {
		return 1
	}
	src, dst := o.rest, o.value["t"]
	if dst == "" {
		if len(src) < 2 {
			return p.fail("missing file operand")
		}
		dst, src = src[len(src)-1], src[:len(src)-1]
	}
	isDir := p.v.isDir(p.abs(dst)) && !o.has("T")
	if len(src) > 1 && !isDir {
		return p.fail("target '%s' is not a directory", dst)
	}
	code := 0
	for _, s := range src {
		to := dst
		if isDir {
			to = into(dst, s)
		}
		if _, err := p.v.Lstat(p.abs(s)); err != nil {
			code = p.fail("cannot stat '%s': %s", s, why(err))
			continue
		}
		if old, err := p.v.Lstat(p.abs(to)); err == nil {
			if o.has("n") {
				continue
			}
			if fi, ferr := p.v.Lstat(p.abs(s)); ferr == nil && fi.rel == old.rel {
				code = p.fail("'%s' and '%s' are the same file", s, to)
				continue
			}
			if o.has("b", "backup") {
				p.v.Rename(p.abs(to), p.abs(to)+"~")
			}
		}
		if err := p.v.move(p.abs(s), p.abs(to)); err != nil {
			code = p.fail("cannot move '%s' to '%s': %s", s, to, why(err))
			continue
		}
		if o.has("v") {
			p.printf("renamed '%s' -> '%s'\n", s, to)
		}
	}
	return code
}

func cmdRm(p *proc) int {
	o, ok := p.parse("rRfvidI", "recursive=r force=f verbose=v dir=d no-preserve-root preserve-root? one-file-system interactive?", false)
	if !ok {
		return 1
	}
	if len(o.rest) == 0 && !o.has("f") {
		return p.fail("missing operand")
	}
	code := 0
	for _, n := range o.rest {
		fi, err := p.v.Lstat(p.abs(n))
		if err != nil {
			if !o.has("f") || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
				code = p.fail("cannot remove '%s': %s", n, why(err))
			}
			continue
		}
		if b := path.Base(n); b == "." || b == ".." {
			code = p.fail("refusing to remove '.' or '..' directory: skipping '%s'", n)
			continue
		}
		if real, _ := p.v.realpath(p.abs(n)); real == "/" && fi.IsDir() && !o.has("no-preserve-root") {
			code = p.fail("it is dangerous to operate recursively on '/'\nrm: use --no-preserve-root to override this failsafe")
			continue
		}
		if fi.IsDir() && !o.has("r", "R") {
			if !o.has("d") {
				code = p.fail("cannot remove '%s': Is a directory", n)
				continue
			}
			err = p.v.Remove(p.abs(n))
		} else {
			err = p.v.RemoveAll(p.abs(n))
		}
		if err != nil {
			code = p.fail("cannot remove '%s': %s", n, why(err))
		} else if o.has("v") {
			p.printf("removed '%s'\n", n)
		}
	}
	return code
}

func cmdShred(p *proc) int {
	o, ok := p.parse("n:uvzf", "remove?=u iterations:=n verbose=v zero=z force=f", false)
	if !ok {
		return 1
	}
	code := 0
	for _, n := range o.rest {
		fi, err := p.v.Stat(p.abs(n))
		if err == nil {
			err = p.v.WriteFile(p.abs(n), make([]byte, min(fi.Size(), 64<<20)), 0o600)
		}
		if err == nil && o.has("u") {
			err = p.v.Remove(p.abs(n))
		}
		if err != nil {
			code = p.fail("%s: %s", n, why(err))
		}
	}
	return code
}

func cmdMkdir(p *proc) int {
	o, ok := p.parse("pm:vZ", "parents=p mode:=m verbose=v context?", false)
	if !ok {
		return 1
	}
	if len(o.rest) == 0 {
		return p.fail("missing operand")
	}
	code := 0
	for _, n := range o.rest {
		existed := p.v.exists(p.abs(n))
		var err error
		if o.has("p") {
			err = p.v.MkdirAll(p.abs(n), 0o777)
		} else {
			err = p.v.Mkdir(p.abs(n), 0o777)
		}
		if err == nil && o.has("m") && !existed {
			var mode fs.FileMode
			mode, err = symbolicMode(o.value["m"], 0o777&^p.v.mask(), true, p.v.mask())
			if err == nil {
				err = p.v.Chmod(p.abs(n), mode)
			}
		}
		if err != nil {
			code = p.fail("cannot create directory '%s': %s", n, why(err))
		} else if o.has("v") && !existed {
			p.printf("mkdir: created directory '%s'\n", n)
		}
	}
	return code
}

func cmdRmdir(p *proc) int {
	o, ok := p.parse("pv", "parents=p ignore-fail-on-non-empty verbose=v", false)
	if !ok {
		return 1
	}
	code := 0
	for _, n := range o.rest {
		for {
			fi, err := p.v.Lstat(p.abs(n))
			if err == nil && !fi.IsDir() {
				err = syscall.ENOTDIR
			}
			if err == nil {
				err = p.v.Remove(p.abs(n))
			}
			if err != nil {
				if !o.has("ignore-fail-on-non-empty") || !errors.Is(err, syscall.ENOTEMPTY) {
					code = p.fail("failed to remove '%s': %s", n, why(err))
				}
				break
			}
			if n = path.Dir(n); !o.has("p") || n == "." || n == "/" {
				break
			}
		}
	}
	return code
}

// modeArgs separates a mode like -x or u-w from options.
func cmdChmod(p *proc) int {
	var flags, rest []string
	mode := ""
	for i, a := range p.args {
		if a == "--" {
			rest = append(rest, p.args[i+1:]...)
			break
		}
		switch {
		case strings.HasPrefix(a, "--reference="):
			fi, err := p.v.Stat(p.abs(strings.TrimPrefix(a, "--reference=")))
			if err != nil {
				return p.fail("%s", why(err))
			}
			mode = strconv.FormatUint(uint64(modeBits(fi.mode)), 8)
		case strings.HasPrefix(a, "--") || len(a) > 1 && a[0] == '-' && strings.Trim(a[1:], "Rvfc") == "":
			flags = append(flags, a)
		case mode == "":
			mode = a
		default:
			rest = append(rest, a)
		}
	}
	p.args = flags
	o, ok := p.parse("Rvfc", "recursive=R verbose=v silent=f quiet=f changes=c preserve-root no-preserve-root", false)
	if !ok {
		return 1
	}
	if mode == "" || len(rest) == 0 {
		return p.fail("missing operand")
	}
	code := 0
	apply := func(n string, fi *fileInfo) {
		m, err := symbolicMode(mode, fi.mode, fi.IsDir(), p.v.mask())
		if err != nil {
			code = p.fail("%s", err)
			return
		}
		if err := p.v.Chmod(p.abs(n), m); err != nil && !o.has("f") {
			code = p.fail("changing permissions of '%s': %s", n, why(err))
		}
	}
	for _, n := range rest {
		fi, err := p.v.Stat(p.abs(n))
		if err != nil {
			if !o.has("f") {
				fmt.Fprintf(p.err, "chmod: cannot access '%s': %s\n", n, why(err))
			}
			code = 1
			continue
		}
		if !o.has("R") {
			apply(n, fi)
			continue
		}
		p.v.walk(n2abs(p, n), func(name string, fi *fileInfo, err error) error {
			if err == nil && fi.mode&fs.ModeSymlink == 0 {
				apply(name, fi)
			}
			return p.ctx.Err()
		})
	}
	return code
}

func n2abs(p *proc, n string) string { return p.abs(n) }

func cmdChown(p *proc) int {
	return p.chown(func(s string) (int, int, error) { return p.g.parseOwner(s) })
}

func cmdChgrp(p *proc) int {
	return p.chown(func(s string) (int, int, error) {
		gid, err := p.g.groupID(s)
		if err != nil {
			return 0, 0, fmt.Errorf("invalid group: '%s'", s)
		}
		return -1, gid, nil
	})
}

func (p *proc) chown(parse func(string) (int, int, error)) int {
	o, ok := p.parse("RhvfcHLP", "recursive=R no-dereference=h verbose=v silent=f quiet=f reference: changes=c from: dereference preserve-root no-preserve-root", false)
	if !ok {
		return 1
	}
	rest := o.rest
	uid, gid := -1, -1
	if ref := o.value["reference"]; ref != "" {
		fi, err := p.v.Stat(p.abs(ref))
		if err != nil {
			return p.fail("%s", why(err))
		}
		uid, gid = fi.uid, fi.gid
	} else {
		if len(rest) == 0 {
			return p.fail("missing operand")
		}
		var err error
		if uid, gid, err = parse(rest[0]); err != nil {
			return p.fail("%s", err)
		}
		rest = rest[1:]
	}
	if len(rest) == 0 {
		return p.fail("missing operand")
	}
	code := 0
	one := func(n string, follow bool) {
		if err := p.v.Chown(p.abs(n), uid, gid, follow); err != nil && !o.has("f") {
			code = p.fail("changing ownership of '%s': %s", n, why(err))
		}
	}
	for _, n := range rest {
		if _, err := p.v.Lstat(p.abs(n)); err != nil {
			if !o.has("f") {
				p.fail("cannot access '%s': %s", n, why(err))
			}
			code = 1
			continue
		}
		one(n, !o.has("h"))
		if o.has("R") {
			p.v.walk(p.abs(n), func(name string, fi *fileInfo, err error) error {
				if err == nil && name != p.abs(n) {
					one(name, false)
				}
				return p.ctx.Err()
			})
		}
	}
	return code
}

func cmdLn(p *proc) int {
	o, ok := p.parse("sfnvTt:brid", "symbolic=s force=f no-dereference=n verbose=v no-target-directory=T target-directory:=t relative=r backup?", false)
	if !ok {
		return 1
	}
	targets, dst := o.rest, o.value["t"]
	switch {
	case len(targets) == 0:
		return p.fail("missing file operand")
	case dst != "":
	case len(targets) == 1:
		dst = "."
	default:
		dst, targets = targets[len(targets)-1], targets[:len(targets)-1]
	}
	isDir := p.v.isDir(p.abs(dst)) && !o.has("T")
	if fi, err := p.v.Lstat(p.abs(dst)); err == nil && fi.mode&fs.ModeSymlink != 0 && o.has("n") {
		isDir = false
	}
	code := 0
	for _, t := range targets {
		name := dst
		if isDir {
			name = into(dst, t)
		}
		if old, err := p.v.Lstat(p.abs(name)); err == nil {
			if o.has("f") && !old.IsDir() {
				p.v.Remove(p.abs(name))
			}
		}
		var err error
		if o.has("s") {
			target := t
			if o.has("r") {
				target = relativeTo(path.Dir(path.Clean(p.abs(name))), path.Clean(p.abs(t)))
			}
			err = p.v.Symlink(target, p.abs(name))
		} else {
			err = p.v.Link(p.abs(t), p.abs(name))
		}
		if err != nil {
			kind := map[bool]string{true: "symbolic", false: "hard"}[o.has("s")]
			code = p.fail("failed to create %s link '%s': %s", kind, name, why(err))
		}
	}
	return code
}

func relativeTo(dir, target string) string {
	d, t := strings.Split(strings.Trim(dir, "/"), "/"), strings.Split(strings.Trim(target, "/"), "/")
	if dir == "/" {
		d = nil
	}
	for len(d) > 0 && len(t) > 0 && d[0] == t[0] {
		d, t = d[1:], t[1:]
	}
	out := strings.Repeat("../", len(d)) + strings.Join(t, "/")
	if out == "" {
		return "."
	}
	return out
}

func cmdReadlink(p *proc) int {
	o, ok := p.parse("fenmqsvz", "canonicalize=f canonicalize-existing=e canonicalize-missing=m no-newline=n", false)
	if !ok {
		return 1
	}
	code := 0
	for _, n := range o.rest {
		var out string
		var err error
		switch {
		case o.has("m"):
			out, err = p.missingPath(n), nil
		case o.has("f", "e"):
			out, err = p.v.realpath(p.abs(n))
			if err == nil && o.has("e") && !p.v.exists(out) {
				err = syscall.ENOENT
			}
		default:
			out, err = p.v.Readlink(p.abs(n))
		}
		if err != nil {
			code = 1
			continue
		}
		p.printf("%s", out)
		if !o.has("n") {
			p.printf("\n")
		}
	}
	return code
}

// missingPath resolves as far as things exist.
func (p *proc) missingPath(n string) string {
	full := path.Clean(p.abs(n))
	rest := ""
	for full != "/" {
		if real, err := p.v.realpath(full); err == nil {
			return path.Join(real, rest)
		}
		rest = path.Join(path.Base(full), rest)
		full = path.Dir(full)
	}
	return path.Join("/", rest)
}

func cmdRealpath(p *proc) int {
	o, ok := p.parse("emsqzLP", "canonicalize-existing=e canonicalize-missing=m no-symlinks=s strip=s relative-to: quiet=q", false)
	if !ok {
		return 1
	}
	code := 0
	for _, n := range o.rest {
		var out string
		var err error
		switch {
		case o.has("s"):
			out = path.Clean(p.abs(n))
		case o.has("m"):
			out = p.missingPath(n)
		default:
			out, err = p.v.realpath(p.abs(n))
			if err == nil && o.has("e") && !p.v.exists(out) {
				err = syscall.ENOENT
			}
		}
		if err != nil {
			if !o.has("q") {
				p.fail("%s: %s", n, why(err))
			}
			code = 1
			continue
		}
		if base := o.value["relative-to"]; base != "" {
			out = relativeTo(p.missingPath(base), out)
		}
		p.printf("%s\n", out)
	}
	return code
}

func cmdTouch(p *proc) int {
	o, ok := p.parse("amcfhd:r:t:", "no-create=c date:=d reference:=r time:", false)
	if !ok {
		return 1
	}
	now := time.Now()
	mtime := now
	switch {
	case o.has("r"):
		fi, err := p.v.Stat(p.abs(o.value["r"]))
		if err != nil {
			return p.fail("failed to get attributes of '%s': %s", o.value["r"], why(err))
		}
		mtime = fi.ModTime()
	case o.has("d"):
		t, err := parseDate(o.value["d"], now)
		if err != nil {
			return p.fail("%s", err)
		}
		mtime = t
	case o.has("t"):
		s, layout := o.value["t"], "200601021504"
		if strings.Contains(s, ".") {
			layout += ".05"
		}
		if len(strings.Split(s, ".")[0]) == 10 {
			layout = layout[2:]
		}
		t, err := time.ParseInLocation(layout, s, time.UTC)
		if err != nil {
			return p.fail("invalid date format '%s'", s)
		}
		mtime = t
	}
	if len(o.rest) == 0 {
		return p.fail("missing file operand")
	}
	code := 0
	for _, n := range o.rest {
		if !p.v.exists(p.abs(n)) {
			if o.has("c") {
				continue
			}
			f, err := p.v.OpenFile(p.abs(n), os.O_WRONLY|os.O_CREATE, 0o666)
			if err != nil {
				code = p.fail("cannot touch '%s': %s", n, why(err))
				continue
			}
			f.Close()
		}
		if err := p.v.Chtimes(p.abs(n), mtime, mtime); err != nil {
			code = p.fail("setting times of '%s': %s", n, why(err))
		}
	}
	return code
}

func cmdStat(p *proc) int {
	o, ok := p.parse("c:Lft", "format:=c printf: dereference=L file-system=f terse=t", false)
	if !ok {
		return 1
	}
	users, groups := p.g.names("/etc/passwd"), p.g.names("/etc/group")
	code := 0
	for _, n := range o.rest {
		fi, err := p.v.stat(p.abs(n), o.has("L"))
		if err != nil {
			code = p.fail("cannot statx '%s': %s", n, why(err))
			continue
		}
		kind := "regular file"
		switch {
		case fi.IsDir():
			kind = "directory"
		case fi.mode&fs.ModeSymlink != 0:
			kind = "symbolic link"
		case fi.mode&fs.ModeDevice != 0 && fi.mode&fs.ModeCharDevice == 0:
			kind = "block special file"
		case fi.mode&fs.ModeDevice != 0:
			kind = "character special file"
		case fi.Size() == 0:
			kind = "regular empty file"
		}
		size := fi.Size()
		if fi.IsDir() {
			size = 4096
		}
		format, nl := o.value["c"], "\n"
		if o.has("printf") {
			format, nl = unescape(o.value["printf"]), ""
		}
		when := fi.ModTime().UTC().Format("2006-01-02 15:04:05.000000000 +0000")
		if format == "" {
			p.printf("  File: %s\n  Size: %d\tBlocks: %d\tIO Block: 4096\t%s\nDevice: ca02h\tInode: %d\tLinks: %d\nAccess: (%04o/%s)  Uid: (%5d/%8s)   Gid: (%5d/%8s)\nModify: %s\n",
				n, size, (size+511)/512, kind, fi.inode(), fi.links(), modeBits(fi.mode), modeString(fi.mode), fi.uid, nameOr(users, fi.uid), fi.gid, nameOr(groups, fi.gid), when)
			continue
		}
		var b strings.Builder
		for i := 0; i < len(format); i++ {
			if format[i] != '%' || i+1 == len(format) {
				b.WriteByte(format[i])
				continue
			}
			i++
			switch format[i] {
			case 'n':
				b.WriteString(n)
			case 'N':
				b.WriteString("'" + n + "'")
				if t, err := p.v.Readlink(p.abs(n)); err == nil {
					b.WriteString(" -> '" + t + "'")
				}
			case 's':
				fmt.Fprint(&b, size)
			case 'a':
				fmt.Fprintf(&b, "%o", modeBits(fi.mode))
			case 'A':
				b.WriteString(modeString(fi.mode))
			case 'f':
				t := uint32(0o100000)
				if fi.IsDir() {
					t = 0o040000
				} else if fi.mode&fs.ModeSymlink != 0 {
					t = 0o120000
				}
				fmt.Fprintf(&b, "%x", t|modeBits(fi.mode))
			case 'u':
				fmt.Fprint(&b, fi.uid)
			case 'U':
				b.WriteString(nameOr(users, fi.uid))
			case 'g':
				fmt.Fprint(&b, fi.gid)
			case 'G':
				b.WriteString(nameOr(groups, fi.gid))
			case 'F':
				b.WriteString(kind)
			case 'h':
				fmt.Fprint(&b, fi.links())
			case 'i':
				fmt.Fprint(&b, fi.inode())
			case 'Y', 'X', 'Z', 'W':
				fmt.Fprint(&b, fi.ModTime().Unix())
			case 'y', 'x', 'z', 'w':
				b.WriteString(when)
			case 'b':
				fmt.Fprint(&b, (size+511)/512)
			case 'B':
				b.WriteString("512")
			case 'T':
				b.WriteString("ext2/ext3")
			case '%':
				b.WriteByte('%')
			default:
				b.WriteByte('?')
			}
		}
		p.printf("%s%s", b.String(), nl)
	}
	return code
}

func cmdBasename(p *proc) int {
	o, ok := p.parse("as:z", "multiple=a suffix:=s", false)
	if !ok || len(o.rest) == 0 {
		return p.fail("missing operand")
	}
	names, suffix := o.rest, o.value["s"]
	if !o.has("a", "s") {
		if len(names) > 1 {
			suffix = names[1]
		}
		names = names[:1]
	}
	for _, n := range names {
		b := path.Base(n)
		if n == "" {
			b = ""
		}
		if t := strings.TrimSuffix(b, suffix); t != "" {
			b = t
		}
		p.printf("%s\n", b)
	}
	return 0
}

func cmdDirname(p *proc) int {
	o, ok := p.parse("z", "zero=z", false)
	if !ok || len(o.rest) == 0 {
		return p.fail("missing operand")
	}
	for _, n := range o.rest {
		n = strings.TrimRight(n, "/")
		i := strings.LastIndexByte(n, '/')
		switch {
		case n == "" || i == 0:
			n = "/"
		case i < 0:
			n = "."
		default:
			if n = strings.TrimRight(n[:i], "/"); n == "" {
				n = "/"
			}
		}
		p.printf("%s\n", n)
	}
	return 0
}

func cmdMktemp(p *proc) int {
	o, ok := p.parse("dtup:q", "directory=d tmpdir?=p suffix: dry-run=u quiet=q", false)
	if !ok {
		return 1
	}
	dir := p.env["TMPDIR"]
	if dir == "" {
		dir = "/tmp"
	}
	if v := o.value["p"]; v != "" {
		dir = v
	}
	template := "tmp.XXXXXXXXXX"
	if len(o.rest) > 0 {
		template = o.rest[0]
		if !o.has("p", "t") {
			dir = ""
		}
	}
	suffix := o.value["suffix"]
	body := template
	if i := strings.LastIndex(template, "X"); i >= 0 && suffix == "" {
		body, suffix = template[:i+1], template[i+1:]
	}
	n := len(body) - len(strings.TrimRight(body, "X"))
	if n < 3 {
		return p.fail("too few X's in template '%s'", template)
	}
	for range 20 {
		name := body[:len(body)-n] + randomName(n) + suffix
		if dir != "" {
			name = strings.TrimSuffix(dir, "/") + "/" + name
		}
		var err error
		switch {
		case o.has("u"):
		case o.has("d"):
			if err = p.v.Mkdir(p.abs(name), 0o700); err == nil {
				err = p.v.Chmod(p.abs(name), 0o700)
			}
		default:
			var f *file
			if f, err = p.v.OpenFile(p.abs(name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
				err = f.Close()
			}
		}
		if err == nil {
			p.printf("%s\n", name)
			return 0
		}
		if !errors.Is(err, fs.ErrExist) {
			return p.fail("failed to create %s via template '%s': %s", map[bool]string{true: "directory", false: "file"}[o.has("d")], template, why(err))
		}
	}
	return p.fail("no free name for template '%s'", template)
}

func randomName(n int) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	b := make([]byte, n)
	randomReader{context.Background()}.Read(b)
	for i := range b {
		b[i] = letters[int(b[i])%len(letters)]
	}
	return string(b)
}

func cmdDu(p *proc) int {
	o, ok := p.parse("shkmacbxd:SLHD", "summarize=s human-readable=h max-depth:=d bytes=b apparent-size total=c all=a exclude: one-file-system=x", false)
	if !ok {
		return 1
	}
	names := o.rest
	if len(names) == 0 {
		names = []string{"."}
	}
	depth := 1 << 30
	if o.has("s") {
		depth = 0
	}
	if o.has("d") {
		depth, _ = strconv.Atoi(o.value["d"])
	}
	show := func(n int64, name string) {
		switch {
		case o.has("h"):
			p.printf("%s\t%s\n", humanSize(n), name)
		case o.has("b"):
			p.printf("%d\t%s\n", n, name)
		case o.has("m"):
			p.printf("%d\t%s\n", (n+1<<20-1)>>20, name)
		default:
			p.printf("%d\t%s\n", (n+1023)/1024, name)
		}
	}
	code := 0
	var grand int64
	var walk func(name string, level int) int64
	walk = func(name string, level int) int64 {
		fi, err := p.v.Lstat(p.abs(name))
		if err != nil || p.ctx.Err() != nil {
			if err != nil {
				code = p.fail("cannot access '%s': %s", name, why(err))
			}
			return 0
		}
		size := fi.Size()
		if !o.has("b", "apparent-size") {
			size = (size + 4095) / 4096 * 4096
		}
		if fi.IsDir() {
			size = 4096
			entries, _ := p.v.ReadDir(p.abs(name))
			for _, e := range entries {
				size += walk(strings.TrimSuffix(name, "/")+"/"+e.name, level+1)
			}
		}
		if level <= depth && (fi.IsDir() || level == 0 || o.has("a")) {
			show(size, name)
		}
		return size
	}
	for _, n := range names {
		grand += walk(n, 0)
	}
	if o.has("c") {
		show(grand, "total")
	}
	return code
}

func cmdInstall(p *proc) int {
	o, ok := p.parse("dDm:o:g:vCpTt:bs", "directory=d mode:=m owner:=o group:=g verbose=v compare=C preserve-timestamps=p no-target-directory=T target-directory:=t strip=s", false)
	if !ok {
		return 1
	}
	mode := fs.FileMode(0o755)
	if o.has("m") {
		m, err := symbolicMode(o.value["m"], 0, o.has("d"), 0)
		if err != nil {
			return p.fail("%s", err)
		}
		mode = m
	}
	uid, gid := -1, -1
	var err error
	if v := o.value["o"]; v != "" {
		if uid, _, err = p.g.parseOwner(v); err != nil {
			return p.fail("%s", err)
		}
	}
	if v := o.value["g"]; v != "" {
		if gid, err = p.g.groupID(v); err != nil {
			return p.fail("invalid group '%s'", v)
		}
	}
	finish := func(n string) error {
		if err := p.v.Chown(p.abs(n), uid, gid, true); err != nil {
			return err
		}
		return p.v.Chmod(p.abs(n), mode)
	}
	if o.has("d") {
		for _, n := range o.rest {
			if err := errors.Join(p.v.MkdirAll(p.abs(n), 0o755), finish(n)); err != nil {
				return p.fail("cannot create directory '%s': %s", n, why(err))
			}
		}
		return 0
	}
	src, dst := o.rest, o.value["t"]
	if dst == "" {
		if len(src) < 2 {
			return p.fail("missing destination file operand")
		}
		dst, src = src[len(src)-1], src[:len(src)-1]
	}
	for _, s := range src {
		to := dst
		if p.v.isDir(p.abs(dst)) && !o.has("T") || o.has("t") || len(src) > 1 {
			to = into(dst, s)
		}
		if o.has("D") {
			p.v.MkdirAll(path.Dir(p.abs(to)), 0o755)
		}
		if s != "/dev/stdin" {
			p.v.Remove(p.abs(to))
		}
		data, err := p.readAll(s)
		if err == nil {
			err = p.v.WriteFile(p.abs(to), data, 0o600)
		}
		if err == nil {
			err = finish(to)
		}
		if err != nil {
			return p.fail("cannot install '%s' to '%s': %s", s, to, why(err))
		}
		if o.has("v") {
			p.printf("'%s' -> '%s'\n", s, to)
		}
	}
	return 0
}

func cmdTruncate(p *proc) int {
	o, ok := p.parse("s:cl:nr:o:xv", "size:=s no-create=c length:=l reference:=r offset:=o", false)
	if !ok {
		return 1
	}
	spec := o.value["s"]
	if p.name == "fallocate" {
		spec = o.value["l"]
	}
	rel := byte(0)
	if spec != "" && (spec[0] == '+' || spec[0] == '-') {
		rel, spec = spec[0], spec[1:]
	}
	size, err := parseSize(spec)
	if err != nil {
		return p.fail("%s", err)
	}
	for _, n := range o.rest {
		want := size
		if fi, err := p.v.Stat(p.abs(n)); err == nil {
			switch rel {
			case '+':
				want = fi.Size() + size
			case '-':
				want = max(0, fi.Size()-size)
			}
		} else if o.has("c") {
			continue
		}
		f, err := p.v.OpenFile(p.abs(n), os.O_WRONLY|os.O_CREATE, 0o666)
		if err == nil {
			err = errors.Join(f.Truncate(want), f.Close())
		}
		if err != nil {
			return p.fail("failed to truncate '%s': %s", n, why(err))
		}
	}
	return 0
}

func cmdDd(p *proc) int {
	kv := map[string]string{"bs": "512", "if": "-", "of": ""}
	for _, a := range p.args {
		k, v, ok := strings.Cut(a, "=")
		if !ok {
			return p.fail("unrecognized operand '%s'", a)
		}
		kv[k] = v
		if k == "ibs" || k == "obs" {
			kv["bs"] = v
		}
	}
	bs, err := parseSize(kv["bs"])
	if err != nil || bs <= 0 || bs > 256<<20 {
		return p.fail("invalid number: '%s'", kv["bs"])
	}
	count, skip, seek := int64(-1), int64(0), int64(0)
	for k, dst := range map[string]*int64{"count": &count, "skip": &skip, "seek": &seek} {
		if v := kv[k]; v != "" {
			if *dst, err = parseSize(v); err != nil {
				return p.fail("%s", err)
			}
		}
	}
	in, err := p.open(kv["if"])
	if err != nil {
		return p.fail("failed to open '%s': %s", kv["if"], why(err))
	}
	defer in.Close()
	var out io.Writer = p.out
	if of := kv["of"]; of != "" {
		flag := os.O_WRONLY
		if !strings.Contains(kv["conv"], "notrunc") && seek == 0 {
			flag |= os.O_TRUNC
		}
		w, err := p.create(of, flag, 0o666)
		if err != nil {
			return p.fail("failed to open '%s': %s", of, why(err))
		}
		defer w.Close()
		if s, ok := w.(io.Seeker); ok && seek > 0 {
			if _, err := s.Seek(seek*bs, io.SeekStart); err != nil {
				return p.fail("'%s': cannot seek: %s", of, why(err))
			}
		}
		out = w
	}
	if skip > 0 {
		io.CopyN(io.Discard, in, skip*bs)
	}
	start := time.Now()
	buf := make([]byte, bs)
	var total, full, partial int64
	for n := int64(0); count < 0 || n < count; n++ {
		if p.ctx.Err() != nil {
			return 130
		}
		m, rerr := io.ReadFull(in, buf)
		if m > 0 {
			if int64(m) == bs {
				full++
			} else {
				partial++
			}
			if _, err := out.Write(buf[:m]); err != nil {
				p.fail("error writing '%s': %s", kv["of"], why(err))
				return 1
			}
			total += int64(m)
		}
		if rerr != nil {
			break
		}
	}
	if kv["status"] != "none" {
		fmt.Fprintf(p.err, "%d+%d records in\n%d+%d records out\n", full, partial, full, partial)
		if kv["status"] != "noxfer" {
			s := max(time.Since(start).Seconds(), 1e-6)
			fmt.Fprintf(p.err, "%d bytes (%s) copied, %.6f s, %.1f MB/s\n", total, humanSize(total), s, float64(total)/s/1e6)
		}
	}
	return 0
}

func cmdFile(p *proc) int {
	o, ok := p.parse("bLi", "brief=b mime-type=i mime=i dereference=L", false)
	if !ok {
		return 1
	}
	for _, n := range o.rest {
		kind := "data"
		fi, err := p.v.stat(p.abs(n), o.has("L"))
		switch {
		case err != nil:
			kind = "cannot open `" + n + "' (" + why(err) + ")"
		case fi.IsDir():
			kind = "directory"
		case fi.mode&fs.ModeSymlink != 0:
			t, _ := p.v.Readlink(p.abs(n))
			kind = "symbolic link to " + t
		case fi.Size() == 0:
			kind = "empty"
		default:
			data, _ := p.v.ReadFile(p.abs(n))
			data = data[:min(len(data), 4096)]
			switch {
			case strings.HasPrefix(string(data), "#!tfbake"):
				kind = "program simulated by tfbake"
			case strings.HasPrefix(string(data), "#!"):
				kind = "script, ASCII text executable"
			case strings.HasPrefix(string(data), "\x1f\x8b"):
				kind = "gzip compressed data"
			case !slices.Contains(data, 0):
				kind = "ASCII text"
			}
		}
		if o.has("b") {
			p.printf("%s\n", kind)
		} else {
			p.printf("%s: %s\n", n, kind)
		}
	}
	return 0
}

func cmdTree(p *proc) int {
	names := []string{}
	for _, a := range p.args {
		if !strings.HasPrefix(a, "-") {
			names = append(names, a)
		}
	}
	if len(names) == 0 {
		names = []string{"."}
	}
	var walk func(dir, indent string)
	walk = func(dir, indent string) {
		entries, err := p.v.ReadDir(p.abs(dir))
		if err != nil || p.ctx.Err() != nil {
			return
		}
		for i, e := range entries {
			mark, next := "├── ", indent+"│   "
			if i == len(entries)-1 {
				mark, next = "└── ", indent+"    "
			}
			p.printf("%s%s%s\n", indent, mark, e.name)
			if e.IsDir() {
				walk(into(dir, e.name), next)
			}
		}
	}
	for _, n := range names {
		p.printf("%s\n", n)
		walk(n, "")
	}
	return 0
}
