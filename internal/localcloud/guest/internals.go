package guest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

type randomReader struct{ ctx context.Context }

func (r randomReader) Read(b []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, r.ctx.Err()
	}
	return rand.Read(b)
}

// internal answers the commands that rewritten scripts and renamed builtins call.
func (sh *shell) internal(ctx context.Context, hc interp.HandlerContext, p *proc, name string, args []string) error {
	exit := func(code int) error {
		if code == 0 {
			return nil
		}
		return interp.ExitStatus(code)
	}
	p.name = name
	p.args = args
	switch name {
	case "fail":
		code, _ := strconv.Atoi(args[0])
		fmt.Fprintf(hc.Stderr, "%s: %s\n", sh.name, strings.Join(args[1:], " "))
		return exit(code)
	case "exec":
		return sh.program(ctx, hc, p, args)
	case "echo":
		fmt.Fprintln(hc.Stdout, strings.Join(args, " "))
		return nil
	case "pwd":
		dir, err := sh.v.realpath(hc.Dir)
		if err != nil {
			return exit(p.fail("%s", why(err)))
		}
		fmt.Fprintln(hc.Stdout, dir)
		return nil
	case "isset":
		if len(args) == 1 && args[0] != "" {
			base, _, _ := strings.Cut(args[0], "[")
			if base != "" && hc.Env.Get(base).IsSet() {
				io.WriteString(hc.Stdout, "1")
			}
		}
		return nil
	case "isref":
		return nil
	case "istty":
		// Inside $( ) standard output is not the terminal; ask for the shell's own.
		if t := sh.s.tty; t != nil && len(args) == 1 {
			if args[0] == "0" && hc.Stdin == io.Reader(t.in) || (args[0] == "1" || args[0] == "2") && sh.stdout == io.Writer(t.out) {
				io.WriteString(hc.Stdout, "1")
			}
		}
		return nil
	case "job":
		jctx, cancel := context.WithCancelCause(sh.ctx)
		j := &job{pid: sh.g.nextPID(), ctx: jctx, cancel: cancel, done: make(chan struct{})}
		sh.mu.Lock()
		sh.jobs[j.pid] = j
		sh.mu.Unlock()
		fmt.Fprintln(hc.Stdout, j.pid)
		return nil
	case "jobdone":
		if j := sh.jobOf(hc.Env); j != nil && len(args) == 1 {
			code, _ := strconv.Atoi(args[0])
			j.finish(code)
		}
		return nil
	case "jobs":
		sh.mu.Lock()
		jobs := slices.SortedFunc(maps.Values(sh.jobs), func(a, b *job) int { return a.pid - b.pid })
		sh.mu.Unlock()
		for i, j := range jobs {
			select {
			case <-j.done:
			default:
				if slices.Contains(args, "-p") {
					fmt.Fprintln(hc.Stdout, j.pid)
				} else {
					fmt.Fprintf(hc.Stdout, "[%d]  Running\t\t%d\n", i+1, j.pid)
				}
			}
		}
		return nil
	case "wait":
		return exit(sh.wait(ctx, p, args))
	case "fg":
		sh.mu.Lock()
		last := 0
		for pid := range sh.jobs {
			last = max(last, pid)
		}
		sh.mu.Unlock()
		if last == 0 {
			return exit(p.fail("no current job"))
		}
		return exit(sh.wait(ctx, p, []string{strconv.Itoa(last)}))
	case "bg", "disown", "history", "caller":
		return nil
	case "times":
		fmt.Fprint(hc.Stdout, "0m0.000s 0m0.000s\n0m0.000s 0m0.000s\n")
		return nil
	case "kill":
		return exit(cmdKill(p))
	case "pipe-in", "pipe-out":
		r, w, err := os.Pipe()
		if err != nil {
			return exit(p.fail("%v", err))
		}
		sh.mu.Lock()
		n := sh.nextFD
		sh.nextFD++
		sh.pipes[n] = &pipe{r: r, w: w, in: name == "pipe-in"}
		sh.mu.Unlock()
		sh.pipesWG.Add(1)
		fmt.Fprintf(hc.Stdout, "/dev/fd/%d\n", n)
		return nil
	case "pipedone":
		if n, err := strconv.Atoi(strings.TrimPrefix(strings.Join(args, ""), "/dev/fd/")); err == nil {
			sh.mu.Lock()
			pp := sh.pipes[n]
			if pp != nil && !pp.done {
				pp.done = true
				sh.pipesWG.Done()
			}
			sh.mu.Unlock()
		}
		return nil
	case "fd":
		return exit(sh.setFD(hc, p, args))
	case "which":
		return exit(sh.which(p, args[0] == "-V", args[1:], false))
	case "type":
		mode := ""
		for len(args) > 0 && strings.HasPrefix(args[0], "-") {
			mode, args = args[0], args[1:]
		}
		switch mode {
		case "-p", "-P":
			code := 0
			for _, a := range args {
				if f := p.findProgram(a); f != "" {
					fmt.Fprintln(hc.Stdout, f)
				} else {
					code = 1
				}
			}
			return exit(code)
		case "-t":
			return exit(sh.which(p, false, args, true))
		}
		return exit(sh.which(p, true, args, false))
	case "umask":
		return exit(sh.umask(p, args))
	case "ulimit":
		if !slices.ContainsFunc(args, func(a string) bool { return a != "" && a[0] != '-' }) {
			fmt.Fprintln(hc.Stdout, "unlimited")
		}
		return nil
	case "printf":
		if len(args) > 1 && args[0] == "-v" {
			var b strings.Builder
			p.out = &b
			p.args = args[2:]
			if code := cmdPrintf(p); code != 0 {
				return exit(code)
			}
			if !syntax.ValidName(strings.TrimSuffix(args[1], "]")) && !strings.Contains(args[1], "[") {
				return exit(p.fail("`%s': not a valid identifier", args[1]))
			}
			return hc.Builtin(ctx, []string{"eval", args[1] + "=" + shellQuote(b.String())})
		}
		return exit(cmdPrintf(p))
	case "read":
		return sh.read(ctx, hc, p, args)
	}
	return exit(p.failCode(127, "command not found"))
}

func (sh *shell) wait(ctx context.Context, p *proc, args []string) int {
	code := 0
	if args[0] == "-n" {
		for {
			sh.mu.Lock()
			running := 0
			for pid, j := range sh.jobs {
				select {
				case <-j.done:
					delete(sh.jobs, pid)
					sh.mu.Unlock()
					return j.code
				default:
					running++
				}
			}
			sh.mu.Unlock()
			if running == 0 {
				return 127
			}
			select {
			case <-time.After(5 * time.Millisecond):
			case <-ctx.Done():
				return 130
			}
		}
	}
	for _, a := range args {
		if strings.HasPrefix(a, "-") {
			continue
		}
		j := sh.findJob(a)
		if j == nil {
			code = p.failCode(127, "pid %s is not a child of this shell", a)
			continue
		}
		select {
		case <-j.done:
			code = j.code
		case <-ctx.Done():
			return 130
		}
	}
	return code
}

// findJob understands a pid and %n.
func (sh *shell) findJob(a string) *job {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if n, ok := strings.CutPrefix(a, "%"); ok {
		pids := slices.Sorted(maps.Keys(sh.jobs))
		i, err := strconv.Atoi(n)
		if n == "%" || n == "+" || n == "" {
			i, err = len(pids), nil
		}
		if err != nil || i < 1 || i > len(pids) {
			return nil
		}
		return sh.jobs[pids[i-1]]
	}
	pid, err := strconv.Atoi(a)
	if err != nil {
		return nil
	}
	return sh.jobs[pid]
}

func (sh *shell) setFD(hc interp.HandlerContext, p *proc, args []string) int {
	if len(args) < 3 {
		return p.fail("missing operand")
	}
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return p.fail("%s: bad file descriptor", args[0])
	}
	kind, target := args[1], args[2]
	d := &descriptor{}
	switch kind {
	case "read", "write", "append":
		flag := map[string]int{"read": os.O_RDONLY, "write": os.O_WRONLY | os.O_CREATE | os.O_TRUNC, "append": os.O_WRONLY | os.O_CREATE | os.O_APPEND}[kind]
		f, ok, err := p.special(target, flag)
		if !ok {
			var own *file
			own, err = sh.v.OpenFile(p.abs(target), flag, 0o666)
			f = own
		}
		if err != nil {
			fmt.Fprintf(hc.Stderr, "%s: %s: %s\n", sh.name, target, why(err))
			return 1
		}
		d.r, d.w, d.c = f, f, f
	case "dup":
		switch target {
		case "-":
			d = nil
		case "0":
			d.r = hc.Stdin
		case "1":
			d.w = hc.Stdout
		case "2":
			d.w = hc.Stderr
		default:
			m, _ := strconv.Atoi(target)
			sh.mu.Lock()
			old := sh.fds[m]
			sh.mu.Unlock()
			if old == nil {
				fmt.Fprintf(hc.Stderr, "%s: %s: Bad file descriptor\n", sh.name, target)
				return 1
			}
			d = &descriptor{r: old.r, w: old.w}
		}
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if old := sh.fds[n]; old != nil && old.c != nil {
		old.c.Close()
	}
	if d == nil {
		delete(sh.fds, n)
	} else {
		sh.fds[n] = d
	}
	return 0
}

// which answers `command -v`, `type` and `type -t`.
func (sh *shell) which(p *proc, verbose bool, names []string, kind bool) int {
	code := 0
	say := func(name, word, short, long string) {
		switch {
		case kind:
			fmt.Fprintln(p.out, word)
		case verbose:
			fmt.Fprintln(p.out, name+" is "+long)
		default:
			fmt.Fprintln(p.out, short)
		}
	}
	for _, n := range names {
		switch {
		case syntax.IsKeyword(n):
			say(n, "keyword", n, "a shell keyword")
		case sh.isFunc(n):
			say(n, "function", n, "a function")
		case interp.IsBuiltin(n):
			say(n, "builtin", n, "a shell builtin")
		default:
			file := ""
			if strings.Contains(n, "/") {
				if fi, err := sh.v.Stat(p.abs(n)); err == nil && !fi.IsDir() && sh.v.may(fi, 1) {
					file = n
				}
			} else {
				file = p.findProgram(n)
			}
			if file == "" {
				if verbose && !kind {
					fmt.Fprintf(p.err, "%s: type: %s: not found\n", sh.name, n)
				}
				code = 1
				continue
			}
			say(n, "file", file, file)
		}
	}
	return code
}

func (sh *shell) umask(p *proc, args []string) int {
	if sh.v.umask == nil {
		m := uint32(0o022)
		sh.v.umask = &m
	}
	for len(args) > 0 && args[0] == "-p" {
		args = args[1:]
	}
	switch {
	case len(args) == 0:
		p.printf("%04o\n", *sh.v.umask)
	case args[0] == "-S":
		m := 0o777 &^ *sh.v.umask
		bits := func(n uint32) string {
			out := ""
			for i, c := range "rwx" {
				if n&(4>>i) != 0 {
					out += string(c)
				}
			}
			return out
		}
		p.printf("u=%s,g=%s,o=%s\n", bits(m>>6&7), bits(m>>3&7), bits(m&7))
	default:
		n, err := strconv.ParseUint(args[0], 8, 12)
		if err != nil {
			mode, merr := symbolicMode(args[0], unixMode(0o777&^*sh.v.umask), true, 0)
			if merr != nil {
				return p.fail("%s: octal number out of range", args[0])
			}
			n = uint64(0o777 &^ modeBits(mode))
		}
		*sh.v.umask = uint32(n) & 0o777
	}
	return 0
}

// read is the builtin with the options the interpreter lacks: -t -n -N -d -u -e -i.
func (sh *shell) read(ctx context.Context, hc interp.HandlerContext, p *proc, args []string) error {
	raw, delim, count, timeout, prompt, array := false, byte('\n'), -1, time.Duration(-1), "", false
	var in io.Reader = hc.Stdin
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		opts := args[0][1:]
		args = args[1:]
		for i := 0; i < len(opts); i++ {
			value := func() string {
				if i+1 < len(opts) {
					v := opts[i+1:]
					i = len(opts)
					return v
				}
				if len(args) > 0 {
					v := args[0]
					args = args[1:]
					return v
				}
				return ""
			}
			switch opts[i] {
			case 'r':
				raw = true
			case 's', 'e':
			case 'a':
				array = true
			case 'p':
				prompt = value()
			case 'i':
				value()
			case 'd':
				delim = 0
				if v := value(); v != "" {
					delim = v[0]
				}
			case 'n', 'N':
				count, _ = strconv.Atoi(value())
			case 't':
				f, _ := strconv.ParseFloat(value(), 64)
				timeout = time.Duration(f * float64(time.Second))
			case 'u':
				n, _ := strconv.Atoi(value())
				if n > 2 {
					sh.mu.Lock()
					if d := sh.fds[n]; d != nil {
						in = d.r
					}
					sh.mu.Unlock()
				}
			default:
				return interp.ExitStatus(p.failCode(2, "-%c: invalid option", opts[i]))
			}
		}
	}
	if prompt != "" {
		io.WriteString(hc.Stderr, prompt)
	}
	code := 0
	var line []byte
	if in == nil {
		in = strings.NewReader("")
	}
	if f, ok := in.(*os.File); ok {
		if timeout >= 0 {
			f.SetReadDeadline(time.Now().Add(timeout))
			defer f.SetReadDeadline(time.Time{})
		}
		defer endReads(ctx, f)()
	}
	buf := make([]byte, 1)
	esc := false
	for count < 0 || len(line) < count {
		n, err := in.Read(buf)
		if n > 0 {
			c := buf[0]
			if !raw && esc {
				esc = false
				if c != '\n' {
					line = append(line, c)
				}
				continue
			}
			if !raw && c == '\\' {
				esc = true
				continue
			}
			if c == delim {
				break
			}
			if len(line) > 16<<20 {
				code = 1
				break
			}
			line = append(line, c)
		}
		if err != nil {
			code = 1
			if errors.Is(err, os.ErrDeadlineExceeded) {
				code = 142
			}
			break
		}
	}
	ifs := " \t\n"
	if v := hc.Env.Get("IFS"); v.IsSet() {
		ifs = v.String()
	}
	text := string(line)
	var script strings.Builder
	switch {
	case array:
		name := "REPLY"
		if len(args) > 0 {
			name = args[0]
		}
		fmt.Fprintf(&script, "%s=(", name)
		for _, f := range splitIFS(text, ifs, -1) {
			script.WriteString(shellQuote(f) + " ")
		}
		script.WriteString(")")
	case len(args) == 0:
		fmt.Fprintf(&script, "REPLY=%s", shellQuote(text))
	default:
		fields := splitIFS(text, ifs, len(args))
		for i, name := range args {
			if !syntax.ValidName(name) {
				return interp.ExitStatus(p.failCode(2, "`%s': not a valid identifier", name))
			}
			v := ""
			if i < len(fields) {
				v = fields[i]
			}
			fmt.Fprintf(&script, "%s=%s\n", name, shellQuote(v))
		}
	}
	if err := hc.Builtin(ctx, []string{"eval", script.String()}); err != nil {
		return err
	}
	if code != 0 {
		return interp.ExitStatus(code)
	}
	return nil
}

// splitIFS splits as read does: at most n fields, the last takes the rest.
func splitIFS(s, ifs string, n int) []string {
	if ifs == "" {
		return []string{s}
	}
	white := func(c byte) bool { return strings.IndexByte(ifs, c) >= 0 && (c == ' ' || c == '\t' || c == '\n') }
	for len(s) > 0 && white(s[0]) {
		s = s[1:]
	}
	var out []string
	for len(s) > 0 {
		if n > 0 && len(out) == n-1 {
			break
		}
		i := 0
		for i < len(s) && strings.IndexByte(ifs, s[i]) < 0 {
			i++
		}
		out = append(out, s[:i])
		s = s[i:]
		seen := false
		for len(s) > 0 && strings.IndexByte(ifs, s[0]) >= 0 {
			if !white(s[0]) {
				if seen {
					break
				}
				seen = true
			}
			s = s[1:]
		}
	}
	if len(s) > 0 {
		for len(s) > 0 && white(s[len(s)-1]) {
			s = s[:len(s)-1]
		}
		out = append(out, s)
	}
	return out
}

// interactive runs the commands that arrive on standard input, line by line, with a prompt on a terminal.
func (sh *shell) interactive(r *interp.Runner, o shellOptions) int {
	p := sh.proc
	var in io.Reader = p.stdin()
	t := p.s.tty
	prompt := t != nil && in == io.Reader(t.in)
	lines := &lineReader{r: in}
	say := func(continued bool) {
		if !prompt {
			return
		}
		if continued {
			io.WriteString(p.out, "> ")
			return
		}
		dir := r.Dir
		if dir == p.env["HOME"] {
			dir = "~"
		}
		mark := "$"
		if p.who.uid == 0 {
			mark = "#"
		}
		fmt.Fprintf(p.out, "%s@%s:%s%s ", p.who.name, p.g.hostname(), dir, mark)
	}
	if prompt {
		t.setInteractive(true)
		defer t.setInteractive(false)
	}
	code := 0
	for {
		// A fresh parser per round, so that a syntax error does not end the session.
		parser := syntax.NewParser(syntax.Variant(syntax.LangBash))
		say(false)
		var perr error
		done := false
		for stmts, err := range parser.InteractiveSeq(lines) {
			if err != nil {
				perr = err
				break
			}
			if parser.Incomplete() {
				say(true)
				continue
			}
			if len(stmts) > 0 {
				file := &syntax.File{Name: o.name, Stmts: stmts}
				if err := rewrite(file, p.g.homeOf); err != nil {
					fmt.Fprintln(p.err, err)
					code = 2
				} else {
					sh.noteFuncs(file)
					ctx, cancel := sh.ctx, func() {}
					if prompt {
						ctx, cancel = t.foreground(sh.ctx)
					}
					for _, st := range file.Stmts {
						code = sh.status(quietCancel(ctx, r.Run(ctx, st)))
						if done = r.Exited() && ctx.Err() == nil; done || ctx.Err() != nil {
							break
						}
					}
					cancel()
				}
			}
			if done || sh.ctx.Err() != nil {
				break
			}
			say(false)
		}
		if perr != nil && sh.ctx.Err() == nil && lines.err == nil {
			fmt.Fprintf(p.err, "%s: %v\n", o.name, perr)
			code = 2
			if prompt {
				continue
			}
		}
		if done {
			return code
		}
		// The exit trap runs with the end of a file.
		if err := r.Run(sh.ctx, &syntax.File{Name: o.name}); err != nil && code == 0 {
			code = sh.status(err)
		}
		if prompt && sh.ctx.Err() == nil {
			io.WriteString(p.out, "exit\n")
		}
		return code
	}
}

// quietCancel gives an interrupted line the status of a command ended by SIGINT, without words.
func quietCancel(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return interp.ExitStatus(130)
	}
	return err
}

// lineReader hands out one line per Read and never reads beyond it, so that commands may read what follows.
type lineReader struct {
	r   io.Reader
	err error
}

func (l *lineReader) Read(b []byte) (int, error) {
	n := 0
	for n < len(b) {
		m, err := l.r.Read(b[n : n+1])
		n += m
		if err != nil {
			l.err = err
			return n, err
		}
		if m > 0 && b[n-1] == '\n' {
			break
		}
	}
	return n, nil
}

// cmdKill is kill(1) and the builtin.
func cmdKill(p *proc) int {
	args, sig := p.args, "TERM"
	if len(args) > 0 && (args[0] == "-l" || args[0] == "-L") {
		for _, n := range slices.SortedFunc(maps.Keys(signals), func(a, b string) int { return signals[a] - signals[b] }) {
			p.printf("%s ", n)
		}
		p.printf("\n")
		return 0
	}
	if len(args) > 1 && (args[0] == "-s" || args[0] == "-n") {
		sig, args = args[1], args[2:]
	} else if len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' && args[0] != "--" {
		sig, args = args[0][1:], args[1:]
	}
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	sig = strings.TrimPrefix(strings.ToUpper(sig), "SIG")
	probe := sig == "0"
	for name, n := range signals {
		if sig == strconv.Itoa(n) {
			sig = name
		}
	}
	if _, ok := signals[sig]; !ok && !probe {
		return p.fail("%s: invalid signal specification", sig)
	}
	code := 0
	for _, a := range args {
		if err := p.signalPID(a, sig, probe); err != nil {
			code = p.fail("(%s) - %s", a, why(err))
		}
	}
	return code
}

func (p *proc) signalPID(target, sig string, probe bool) error {
	// A job started with & belongs to the shell.
	if p.sh != nil {
		if j := p.sh.findJob(target); j != nil {
			select {
			case <-j.done:
				return syscall.ESRCH
			default:
			}
			if !probe && sig != "CONT" && sig != "WINCH" && sig != "CHLD" {
				j.cancel(killed{sig})
				j.finish(128 + signals[sig])
			}
			return nil
		}
	}
	pid, err := strconv.Atoi(target)
	if err != nil {
		return syscall.EINVAL
	}
	if p.sh != nil && pid == p.sh.pid {
		if !probe {
			p.s.signal(sig)
		}
		return nil
	}
	for _, q := range p.g.processes() {
		if q.pid != pid {
			continue
		}
		if p.who.uid != 0 && q.user != p.who.name {
			return syscall.EPERM
		}
		if !probe && q.kill != nil && sig != "CONT" && sig != "WINCH" && sig != "CHLD" {
			q.kill(killed{sig})
		}
		return nil
	}
	return syscall.ESRCH
}
