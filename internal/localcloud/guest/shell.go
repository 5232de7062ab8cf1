package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// shell is one running shell: a script, `sh -c`, or an interactive one. It gives the interpreter a guest to live in:
// every file, program, account and process it asks for is the guest's. Scripts are rewritten first (see rewriter).
type shell struct {
	*proc         // the shell's own process
	bash   bool   // started as bash rather than sh
	name   string // $0
	funcs  map[string]bool
	stdout io.Writer // where the shell's output went when it started

	mu      sync.Mutex
	jobs    map[int]*job
	fds     map[int]*descriptor
	pipes   map[int]*pipe
	sources map[string]string
	opened  map[io.Closer]bool
	nextFD  int
	pipesWG sync.WaitGroup
}

// job is a command started with &.
type job struct {
	pid    int
	ctx    context.Context
	cancel context.CancelCauseFunc
	done   chan struct{}
	once   sync.Once
	code   int
}

func (j *job) finish(code int) {
	j.once.Do(func() { j.code = code; close(j.done) })
}

// descriptor is a file descriptor above 2.
type descriptor struct {
	r io.Reader
	w io.Writer
	c io.Closer
}

// pipe stands behind a process substitution.
type pipe struct {
	r, w *os.File
	in   bool // <(job): the job writes
	done bool
}

// environ gives the interpreter its variables.
type environ struct {
	vars map[string]expand.Variable
	// sealed is set once the interpreter has taken its directory for temporary files from TMPDIR. Until then TMPDIR is
	// a path no host can have, so that it can neither make nor open a file there.
	sealed  bool
	started time.Time
}

// noPath cannot exist on any host: the zero byte makes every system call on it fail before it is made.
const noPath = "/\x00tfbake"

func (e *environ) Get(name string) expand.Variable {
	str := func(s string) expand.Variable { return expand.Variable{Set: true, Kind: expand.String, Str: s} }
	switch {
	case name == "TMPDIR" && !e.sealed:
		return str(noPath)
	case strings.HasPrefix(name, "HOME "):
		return str("~" + strings.TrimPrefix(name, "HOME "))
	case name == "SECONDS":
		return str(strconv.Itoa(int(time.Since(e.started).Seconds())))
	case name == "EPOCHSECONDS":
		return str(strconv.FormatInt(time.Now().Unix(), 10))
	}
	return e.vars[name]
}

func (e *environ) Each(fn func(string, expand.Variable) bool) {
	for k, v := range e.vars {
		if !fn(k, v) {
			return
		}
	}
}

// shellOptions say what a shell is to run.
type shellOptions struct {
	name        string // $0
	params      []string
	flags       []string // -e, -x, ...
	login       bool
	interactive bool
	keepStdin   bool // commands are read from standard input
}

// cmdShell is the program sh (bash, dash).
func cmdShell(p *proc) int {
	o := shellOptions{name: p.name}
	bash := p.name == "bash"
	args := p.args
	command, hasCommand, fromStdin := "", false, false
	for len(args) > 0 {
		a := args[0]
		if a == "--" || a == "-" {
			args = args[1:]
			break
		}
		if len(a) < 2 || a[0] != '-' && a[0] != '+' {
			break
		}
		args = args[1:]
		if strings.HasPrefix(a, "--") {
			switch a {
			case "--login":
				o.login = true
			case "--version":
				p.printf("GNU bash, version 5.1.16(1)-release (simulated by tfbake)\n")
				return 0
			case "--rcfile", "--init-file":
				args = args[min(1, len(args)):]
			}
			continue
		}
		for _, c := range a[1:] {
			switch c {
			case 'c':
				hasCommand = true
			case 'l':
				o.login = true
			case 'i':
				o.interactive = true
			case 's':
				fromStdin = true
			case 'o', 'O':
				if len(args) > 0 {
					if c == 'o' && supportedOption(args[0]) {
						o.flags = append(o.flags, string(a[0])+"o", args[0])
					}
					args = args[1:]
				}
			default:
				if strings.ContainsRune("efnuxa", c) {
					o.flags = append(o.flags, string(a[0])+string(c))
				}
			}
		}
	}
	var src io.Reader
	switch {
	case hasCommand:
		if len(args) == 0 {
			return p.failCode(2, "-c: option requires an argument")
		}
		command, args = args[0], args[1:]
		src = strings.NewReader(command)
		if len(args) > 0 {
			o.name, args = args[0], args[1:]
		}
	case len(args) > 0 && !fromStdin:
		file := args[0]
		f, err := p.open(file)
		if errors.Is(err, fs.ErrNotExist) && !strings.Contains(file, "/") {
			if found := p.findProgram(file); found != "" {
				f, err = p.open(found)
			}
		}
		if err != nil {
			fmt.Fprintf(p.err, "%s: %s: %s\n", p.name, file, why(err))
			return map[bool]int{true: 127, false: 126}[errors.Is(err, fs.ErrNotExist)]
		}
		defer f.Close()
		src, o.name, args = f, file, args[1:]
	default:
		o.keepStdin = true
	}
	o.params = args
	return p.runShell(src, bash, o)
}

func supportedOption(name string) bool {
	return slices.Contains([]string{"allexport", "errexit", "noexec", "noglob", "nounset", "xtrace", "pipefail"}, name)
}

// runShell runs a script, or the lines of standard input, in a new shell and returns its exit code.
func (p *proc) runShell(src io.Reader, bash bool, o shellOptions) (code int) {
	sh := &shell{proc: p, bash: bash, name: o.name, funcs: map[string]bool{}, stdout: p.out, jobs: map[int]*job{}, fds: map[int]*descriptor{},
		pipes: map[int]*pipe{}, sources: map[string]string{}, opened: map[io.Closer]bool{}, nextFD: 63}
	p.sh = sh
	runner, env, err := sh.runner(o)
	if err != nil {
		return p.failCode(2, "%v", err)
	}
	defer sh.finish()
	defer func() {
		if r := recover(); r != nil {
			p.g.logf("guest: shell %s: %v", o.name, r)
			fmt.Fprintf(p.err, "%s: internal error of the simulated shell: %v\n", o.name, r)
			code = 139
		}
	}()
	_ = env
	if o.login {
		for _, rc := range []string{"/etc/profile", p.env["HOME"] + "/.bash_profile", p.env["HOME"] + "/.profile"} {
			if p.v.exists(rc) {
				sh.source(runner, rc)
			}
		}
	}
	if o.interactive && p.s.tty != nil {
		if rc := p.env["HOME"] + "/.bashrc"; p.v.exists(rc) {
			sh.source(runner, rc)
		}
	}
	if o.keepStdin {
		return sh.interactive(runner, o)
	}
	file, perr := parseScript(src, o.name, p.g.homeOf)
	sh.noteFuncs(file)
	code = sh.status(runner.Run(sh.ctx, file))
	if perr != nil && !runner.Exited() {
		fmt.Fprintln(p.err, perr)
		return 2
	}
	return code
}

func (sh *shell) source(r *interp.Runner, file string) {
	f, err := sh.v.OpenFile(file, os.O_RDONLY, 0)
	if err != nil {
		return
	}
	defer f.Close()
	parsed, err := parseScript(f, sh.name, sh.g.homeOf)
	if err != nil {
		fmt.Fprintln(sh.err, err)
	}
	sh.noteFuncs(parsed)
	for _, st := range parsed.Stmts {
		r.Run(sh.ctx, st)
		if r.Exited() {
			return
		}
	}
}

// status turns the interpreter's result into an exit code.
func (sh *shell) status(err error) int {
	if err == nil {
		return 0
	}
	if es, ok := errors.AsType[interp.ExitStatus](err); ok {
		return int(es)
	}
	if k, ok := errors.AsType[killed](context.Cause(sh.ctx)); ok {
		return 128 + signals[k.sig]
	}
	if k, ok := errors.AsType[killed](err); ok {
		return 128 + signals[k.sig]
	}
	if sh.ctx.Err() != nil {
		return 130
	}
	fmt.Fprintf(sh.err, "%s: %v\n", sh.name, err)
	return 1
}

// finish ends what the shell left running and closes what it left open.
func (sh *shell) finish() {
	sh.mu.Lock()
	opened := slices.Collect(maps.Keys(sh.opened))
	for _, d := range sh.fds {
		if d.c != nil {
			opened = append(opened, d.c)
		}
	}
	var writers []*os.File
	for _, p := range sh.pipes {
		writers = append(writers, p.w)
	}
	sh.mu.Unlock()
	for _, c := range opened {
		c.Close()
	}
	for _, w := range writers {
		w.Close()
	}
	// Let >(tee log) write its last lines.
	done := make(chan struct{})
	go func() { sh.pipesWG.Wait(); close(done) }()
	t := time.NewTimer(3 * time.Second)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	case <-sh.ctx.Done():
	}
	sh.mu.Lock()
	for _, p := range sh.pipes {
		p.r.Close()
	}
	sh.mu.Unlock()
}

func (sh *shell) noteFuncs(n syntax.Node) {
	syntax.Walk(n, func(n syntax.Node) bool {
		if f, ok := n.(*syntax.FuncDecl); ok && f.Name != nil {
			sh.mu.Lock()
			sh.funcs[f.Name.Value] = true
			sh.mu.Unlock()
		}
		return true
	})
}

func (sh *shell) isFunc(name string) bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.funcs[name]
}

func (sh *shell) runner(o shellOptions) (*interp.Runner, *environ, error) {
	p := sh.proc
	env := &environ{vars: map[string]expand.Variable{}, started: time.Now()}
	str := func(k, v string, exported bool) {
		env.vars[k] = expand.Variable{Set: true, Exported: exported, Kind: expand.String, Str: v}
	}
	for k, v := range p.env {
		str(k, v, true)
	}
	for k, v := range map[string]string{"UID": strconv.Itoa(p.who.uid), "EUID": strconv.Itoa(p.who.uid), "GID": strconv.Itoa(p.who.gid),
		varPID: strconv.Itoa(p.pid), varPPID: strconv.Itoa(p.ppid), varArg0: o.name, varJob: p.env[varJob], "HOSTNAME": p.g.hostname(), "OSTYPE": "linux-gnu",
		"HOSTTYPE": "x86_64", "MACHTYPE": "x86_64-pc-linux-gnu", varBG: ""} {
		str(k, v, false)
	}
	delete(p.env, varJob)
	if _, ok := p.env["HOME"]; !ok {
		str("HOME", "/", true) // else the interpreter asks the host
	}
	if sh.bash {
		str("BASH", "/bin/bash", false)
		str("BASH_VERSION", "5.1.16(1)-release", false)
		env.vars["BASH_VERSINFO"] = expand.Variable{Set: true, Kind: expand.Indexed, List: []string{"5", "1", "16", "1", "release", "x86_64-pc-linux-gnu"}}
		env.vars["BASH_SOURCE"] = expand.Variable{Set: true, Kind: expand.Indexed, List: []string{o.name}}
		lvl, _ := strconv.Atoi(p.env["SHLVL"])
		str("SHLVL", strconv.Itoa(lvl+1), true)
	}
	var in io.Reader
	if f, ok := p.in.(*os.File); ok && f != nil {
		in = f
	} else if !ok && p.in != nil {
		in = p.in
	}
	dir := p.dir
	if !p.v.isDir(dir) {
		dir = "/"
	}
	opts := []interp.RunnerOption{
		interp.Env(env),
		func(r *interp.Runner) error { r.Dir = dir; return nil }, // interp.Dir would look on the host
		interp.StdIO(in, p.out, p.err),
		interp.CallHandler(sh.call),
		interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc { return sh.execHandler }),
		interp.OpenHandler(sh.openHandler),
		interp.ReadDirHandler2(sh.readDirHandler),
		interp.StatHandler(sh.statHandler),
		interp.AccessHandler(sh.accessHandler),
		func(r *interp.Runner) error { r.Params = o.params; return nil },
		interp.Interactive(o.interactive),
	}
	if len(o.flags) > 0 {
		opts = append(opts, interp.Params(o.flags...))
	}
	r, err := interp.New(opts...)
	if err != nil {
		return nil, nil, err
	}
	r.Reset()
	env.sealed = true
	return r, env, nil
}

// exported collects the environment for a program.
func exported(e expand.Environ) map[string]string {
	out := map[string]string{}
	e.Each(func(k string, v expand.Variable) bool {
		if v.IsSet() && v.Exported && v.Kind == expand.String {
			out[k] = v.Str
		} else {
			delete(out, k)
		}
		return true
	})
	return out
}

func (sh *shell) jobOf(e expand.Environ) *job {
	n, err := strconv.Atoi(e.Get(varJob).String())
	if err != nil {
		return nil
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.jobs[n]
}

// procFor makes the base of a program started by the shell.
func (sh *shell) procFor(ctx context.Context, hc interp.HandlerContext) *proc {
	p := &proc{g: sh.g, s: sh.s, sh: sh, ctx: ctx, out: hc.Stdout, err: hc.Stderr, env: exported(hc.Env), dir: hc.Dir, who: sh.who, v: sh.v, pid: sh.pid, ppid: sh.ppid}
	if hc.Stdin != nil {
		p.in = hc.Stdin
	}
	return p
}

// execHandler runs programs, and what the call handler renamed.
func (sh *shell) execHandler(ctx context.Context, args []string) error {
	hc := interp.HandlerCtx(ctx)
	p := sh.procFor(ctx, hc)
	if name, ok := strings.CutPrefix(args[0], inner); ok {
		return sh.internal(ctx, hc, p, name, args[1:])
	}
	err := sh.program(ctx, hc, p, args)
	if code, ok := sh.s.takePending(); ok {
		if terr := hc.Builtin(ctx, []string{"eval", code}); terr != nil {
			return terr
		}
	}
	return err
}

func (sh *shell) program(ctx context.Context, hc interp.HandlerContext, p *proc, args []string) error {
	ctx, kill := context.WithCancelCause(ctx)
	defer kill(nil)
	p.ctx = ctx
	if j := sh.jobOf(hc.Env); j != nil {
		stop := context.AfterFunc(j.ctx, func() { kill(context.Cause(j.ctx)) })
		defer stop()
	} else {
		id := sh.g.nextPID()
		sh.s.mu.Lock()
		sh.s.fg[id] = kill
		sh.s.mu.Unlock()
		defer func() {
			sh.s.mu.Lock()
			delete(sh.s.fg, id)
			sh.s.mu.Unlock()
		}()
	}
	if code := p.exec(args); code != 0 {
		return interp.ExitStatus(code)
	}
	return nil
}

// openHandler opens files for redirections.
func (sh *shell) openHandler(ctx context.Context, name string, flag int, perm os.FileMode) (io.ReadWriteCloser, error) {
	if rest, ok := strings.CutPrefix(name, noPath+"/source/"); ok {
		sh.mu.Lock()
		text := sh.sources[rest]
		delete(sh.sources, rest)
		sh.mu.Unlock()
		return rwc{Reader: strings.NewReader(text)}, nil
	}
	hc := interp.HandlerCtx(ctx)
	p := sh.procFor(ctx, hc)
	fail := func(err error) error {
		return &fs.PathError{Op: sh.name + ":", Path: name, Err: errors.New(why(err))}
	}
	if f, ok, err := p.special(name, flag); ok {
		if err != nil {
			return nil, fail(err)
		}
		return f, nil
	}
	f, err := sh.v.OpenFile(p.abs(name), flag, 0o666)
	if err != nil {
		return nil, fail(err)
	}
	_ = perm
	if flag&(os.O_WRONLY|os.O_RDWR) == 0 && f.text == nil {
		return f.f, nil // the interpreter shares real files without a copying goroutine
	}
	sh.mu.Lock()
	sh.opened[f] = true
	sh.mu.Unlock()
	return &trackedFile{file: f, sh: sh}, nil
}

// trackedFile tells the shell when a redirection is closed; what `exec >file` leaves open is closed with the shell.
type trackedFile struct {
	*file
	sh *shell
}

func (t *trackedFile) Close() error {
	t.sh.mu.Lock()
	delete(t.sh.opened, t.file)
	t.sh.mu.Unlock()
	return t.file.Close()
}

// special opens what is no file of the disk: devices, descriptors, pipes of process substitutions.
func (p *proc) special(name string, flag int) (io.ReadWriteCloser, bool, error) {
	clean := path.Clean(p.abs(name))
	write := flag&(os.O_WRONLY|os.O_RDWR) != 0
	switch clean {
	case "/dev/null":
		return rwc{Reader: strings.NewReader(""), Writer: io.Discard}, true, nil
	case "/dev/zero":
		return rwc{Reader: zeros{p.ctx}, Writer: io.Discard}, true, nil
	case "/dev/full":
		return rwc{Reader: zeros{p.ctx}, Writer: errWriter{syscall.ENOSPC}}, true, nil
	case "/dev/random", "/dev/urandom":
		return rwc{Reader: randomReader{p.ctx}, Writer: io.Discard}, true, nil
	case "/dev/tty", "/dev/console":
		if p.s == nil || p.s.tty == nil {
			if clean == "/dev/console" {
				return rwc{Reader: strings.NewReader(""), Writer: io.Discard}, true, nil
			}
			return nil, true, &fs.PathError{Op: "open", Path: name, Err: syscall.ENXIO}
		}
		return rwc{Reader: p.s.tty.in, Writer: p.s.tty.out}, true, nil
	case "/dev/stdin":
		clean = "/dev/fd/0"
	case "/dev/stdout":
		clean = "/dev/fd/1"
	case "/dev/stderr":
		clean = "/dev/fd/2"
	}
	fd, ok := strings.CutPrefix(clean, "/dev/fd/")
	if !ok {
		fd, ok = strings.CutPrefix(clean, "/proc/self/fd/")
	}
	if !ok {
		return nil, false, nil
	}
	bad := &fs.PathError{Op: "open", Path: name, Err: syscall.ENOENT}
	switch fd {
	case "0":
		return rwc{Reader: p.stdin(), Writer: io.Discard}, true, nil
	case "1":
		return rwc{Reader: strings.NewReader(""), Writer: p.out}, true, nil
	case "2":
		return rwc{Reader: strings.NewReader(""), Writer: p.err}, true, nil
	case "shell-stdout":
		if p.sh != nil {
			return rwc{Reader: strings.NewReader(""), Writer: p.sh.stdout}, true, nil
		}
	}
	fd, far := strings.CutSuffix(fd, farEnd)
	n, err := strconv.Atoi(fd)
	if err != nil || p.sh == nil {
		return nil, true, bad
	}
	p.sh.mu.Lock()
	defer p.sh.mu.Unlock()
	if pp := p.sh.pipes[n]; pp != nil {
		if write != (pp.in == far) {
			return nil, true, &fs.PathError{Op: "open", Path: name, Err: syscall.EACCES} // the other side's end
		}
		if write {
			return pp.w, true, nil
		}
		return pp.r, true, nil
	}
	if d := p.sh.fds[n]; d != nil {
		out := rwc{Reader: strings.NewReader(""), Writer: io.Discard}
		if d.r != nil {
			out.Reader = d.r
		}
		if d.w != nil {
			out.Writer = d.w
		}
		return out, true, nil
	}
	return nil, true, bad
}

func (sh *shell) readDirHandler(_ context.Context, name string) ([]fs.DirEntry, error) {
	infos, err := sh.v.ReadDir(name)
	if err != nil {
		return nil, err
	}
	out := make([]fs.DirEntry, len(infos))
	for i, fi := range infos {
		out[i] = fs.FileInfoToDirEntry(fi)
	}
	return out, nil
}

func (sh *shell) statHandler(_ context.Context, name string, follow bool) (fs.FileInfo, error) {
	if strings.HasPrefix(name, "/dev/fd/") || name == "/dev/stdin" || name == "/dev/stdout" || name == "/dev/stderr" {
		name = "/dev/null"
	}
	fi, err := sh.v.stat(name, follow)
	if err != nil {
		return nil, err
	}
	return fi, nil
}

func (sh *shell) accessHandler(_ context.Context, name string, mode interp.AccessMode) error {
	fi, err := sh.v.Stat(name)
	if err != nil {
		return err
	}
	if !sh.v.may(fi, uint32(mode)) {
		return syscall.EACCES
	}
	return nil
}

// maxFrames bounds the recursion of functions: Go cannot survive a full stack.
const maxFrames = 12_000

var errJobKilled = errors.New("job killed")

// call sees every command before the interpreter does. It renames what the interpreter would answer from the host or
// not at all, and drops options it does not know.
func (sh *shell) call(ctx context.Context, args []string) ([]string, error) {
	hc := interp.HandlerCtx(ctx)
	var pc [1]uintptr
	if runtime.Callers(maxFrames, pc[:]) > 0 {
		return nil, errors.New("maximum function nesting level exceeded")
	}
	if runtime.NumGoroutine() > 50_000 {
		return nil, errors.New("fork: Resource temporarily unavailable")
	}
	if j := sh.jobOf(hc.Env); j != nil && j.ctx.Err() != nil {
		return nil, errJobKilled
	}
	forced := false
	for {
		switch args[0] {
		case "builtin":
			if len(args) == 1 {
				return []string{"true"}, nil
			}
			args, forced = args[1:], true
			continue
		case "command":
			rest := args[1:]
			show := ""
			for len(rest) > 0 && strings.HasPrefix(rest[0], "-") {
				switch rest[0] {
				case "-v", "-V":
					show = rest[0]
				case "-pv", "-vp":
					show = "-v"
				case "-p":
				case "--":
				default:
					return []string{inner + "fail", "2", "command: invalid option " + rest[0]}, nil
				}
				done := rest[0] == "--"
				rest = rest[1:]
				if done {
					break
				}
			}
			if show != "" {
				return append([]string{inner + "which", show}, rest...), nil
			}
			if len(rest) == 0 {
				return []string{"true"}, nil
			}
			args, forced = rest, true
			continue
		}
		break
	}
	name := args[0]
	if !forced && sh.isFunc(name) {
		return args, nil
	}
	if slices.Contains([]string{"export", "declare", "typeset", "local", "readonly", "let"}, name) {
		return []string{"builtin", "eval", quoteAll(args)}, nil
	}
	if !interp.IsBuiltin(name) {
		if forced {
			return append([]string{inner + "exec"}, args...), nil
		}
		return args, nil
	}
	args, err := sh.builtin(hc, args)
	if err != nil {
		return nil, err
	}
	if forced && interp.IsBuiltin(args[0]) {
		args = append([]string{"builtin"}, args...)
	}
	return args, nil
}

func quoteAll(args []string) string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = shellQuote(a)
	}
	return strings.Join(out, " ")
}

func shellQuote(s string) string {
	if s != "" && strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./,:=+@%", r))
	}) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// builtin adapts one call of a shell builtin.
func (sh *shell) builtin(hc interp.HandlerContext, args []string) ([]string, error) {
	name, rest := args[0], args[1:]
	refuse := func(code int, format string, a ...any) ([]string, error) {
		return []string{inner + "fail", strconv.Itoa(code), fmt.Sprintf(format, a...)}, nil
	}
	switch name {
	case "pwd":
		if slices.Contains(rest, "-P") {
			return []string{inner + "pwd"}, nil
		}
		return args[:1], nil
	case "type", "umask", "ulimit", "kill", "jobs", "fg", "bg", "disown", "history", "printf", "caller", "times":
		return append([]string{inner + name}, rest...), nil
	case "hash", "enable", "bind", "complete", "compopt", "suspend", "help":
		return []string{"true"}, nil
	case "compgen", "newgrp", "fc":
		return []string{"false"}, nil
	case "logout":
		return append([]string{"exit"}, rest...), nil
	case "source", ".":
		if len(rest) > 0 && rest[0] == "--" {
			rest = rest[1:]
		}
		if len(rest) == 0 {
			return refuse(2, "%s: filename argument required", name)
		}
		p := &proc{v: sh.v, dir: hc.Dir, env: exported(hc.Env), s: sh.s, sh: sh, ctx: sh.ctx, g: sh.g}
		if hc.Stdin != nil {
			p.in = hc.Stdin
		}
		file := rest[0]
		f, err := p.open(file)
		if err != nil && !strings.Contains(file, "/") {
			for _, dir := range strings.Split(p.env["PATH"], ":") {
				if g, gerr := p.open(path.Join(dir, file)); gerr == nil {
					f, err = g, nil
					break
				}
			}
		}
		if err != nil {
			return refuse(1, "%s: %s", file, why(err))
		}
		data, err := io.ReadAll(io.LimitReader(f, maxScript))
		f.Close()
		if err != nil {
			return refuse(1, "%s: %s", file, why(err))
		}
		text, err := rewriteText(string(data), sh.g.homeOf)
		if err != nil {
			return refuse(2, "%s: %v", file, err)
		}
		if parsed, perr := syntax.NewParser().Parse(strings.NewReader(text), file); perr == nil {
			sh.noteFuncs(parsed)
		} else {
			return refuse(2, "%v", perr)
		}
		sh.mu.Lock()
		id := strconv.Itoa(len(sh.sources)) + "-" + strconv.FormatInt(time.Now().UnixNano(), 36)
		sh.sources[id] = text
		sh.mu.Unlock()
		return append([]string{"source", noPath + "/source/" + id}, rest[1:]...), nil
	case "eval":
		text, err := rewriteText(strings.Join(rest, " "), sh.g.homeOf)
		if err != nil {
			return refuse(2, "eval: %v", err)
		}
		if parsed, perr := syntax.NewParser().Parse(strings.NewReader(text), ""); perr == nil {
			sh.noteFuncs(parsed)
		}
		return []string{"eval", text}, nil
	case "trap":
		return sh.trap(rest)
	case "exec":
		for len(rest) > 0 && strings.HasPrefix(rest[0], "-") {
			switch {
			case rest[0] == "-a" && len(rest) > 1:
				rest = rest[2:]
				continue
			case rest[0] == "--":
				rest = rest[1:]
				return append([]string{"exec"}, rest...), nil
			}
			rest = rest[1:]
		}
		return append([]string{"exec"}, rest...), nil
	case "set":
		return setArgs(rest), nil
	case "shopt":
		return shoptArgs(rest), nil
	case "cd":
		physical := false
		for len(rest) > 0 && len(rest[0]) > 1 && rest[0][0] == '-' {
			done := rest[0] == "--"
			physical = physical || rest[0] == "-P"
			if !slices.Contains([]string{"--", "-P", "-L", "-e", "-@"}, rest[0]) {
				return refuse(2, "cd: %s: invalid option", rest[0])
			}
			rest = rest[1:]
			if done {
				break
			}
		}
		dir := hc.Env.Get("HOME").String()
		switch {
		case len(rest) > 1:
			return refuse(1, "cd: too many arguments")
		case len(rest) == 1 && rest[0] == "-":
			return []string{"cd", "-"}, nil
		case len(rest) == 1:
			dir = rest[0]
		case dir == "":
			return refuse(1, "cd: HOME not set")
		}
		if dir == "" {
			return []string{"true"}, nil
		}
		abs := dir
		if !strings.HasPrefix(abs, "/") {
			abs = hc.Dir + "/" + dir
		}
		fi, err := sh.v.Stat(abs)
		switch {
		case err != nil:
			return refuse(1, "cd: %s: %s", dir, why(err))
		case !fi.IsDir():
			return refuse(1, "cd: %s: Not a directory", dir)
		case !sh.v.may(fi, 1):
			return refuse(1, "cd: %s: Permission denied", dir)
		}
		if physical {
			if dir, err = sh.v.realpath(abs); err != nil {
				return refuse(1, "cd: %s", why(err))
			}
		}
		return []string{"cd", dir}, nil
	case "wait":
		if len(rest) == 0 {
			return args, nil
		}
		return append([]string{inner + "wait"}, rest...), nil
	case "test", "[":
		return sh.testArgs(hc, args), nil
	case "shift":
		if len(rest) > 0 {
			if n, err := strconv.Atoi(rest[0]); err != nil || n < 0 {
				return refuse(1, "shift: %s: shift count out of range", rest[0])
			}
		}
	case "unset":
		out := []string{"unset"}
		for _, a := range rest {
			if a != "" && a != "-n" {
				out = append(out, a)
			}
		}
		return out, nil
	case "alias":
		for _, a := range rest {
			if strings.Contains(a, "<(") || strings.Contains(a, ">(") || strings.Contains(a, "~") {
				return refuse(1, "alias: not supported by the simulated shell: %s", a)
			}
		}
	case "read":
		for _, a := range rest {
			if len(a) > 1 && a[0] == '-' && strings.ContainsAny(a, "tnNdueEi") && a != "-" {
				return append([]string{inner + "read"}, rest...), nil
			}
			if a == "" || a[0] != '-' {
				break
			}
		}
	case "echo":
		out := []string{"echo"}
		for i, a := range rest {
			if len(a) > 1 && a[0] == '-' && strings.Trim(a[1:], "neE") == "" {
				for _, c := range a[1:] {
					out = append(out, "-"+string(c))
				}
				continue
			}
			return append(out, rest[i:]...), nil
		}
		return out, nil
	case "getopts":
		if len(rest) > 0 && rest[0] == "" {
			return []string{"false"}, nil
		}
	}
	return args, nil
}

func setArgs(rest []string) []string {
	out := []string{"set"}
	for i := 0; i < len(rest); i++ {
		a := rest[i]
		if len(a) < 2 || a[0] != '-' && a[0] != '+' || a == "--" {
			return append(out, rest[i:]...)
		}
		keep := a[:1]
		for _, c := range a[1:] {
			switch {
			case c == 'o':
				if i+1 < len(rest) {
					i++
					if supportedOption(rest[i]) {
						out = append(out, a[:1]+"o", rest[i])
					}
				} else {
					out = append(out, a[:1]+"o")
				}
			case strings.ContainsRune("efnuxa", c):
				keep += string(c)
			}
		}
		if len(keep) > 1 {
			out = append(out, keep)
		}
	}
	if len(out) == 1 && len(rest) > 0 {
		return []string{"true"}
	}
	return out
}

func shoptArgs(rest []string) []string {
	known := []string{"dotglob", "expand_aliases", "extglob", "globstar", "nocaseglob", "nullglob"}
	out := []string{"shopt"}
	names := 0
	for _, a := range rest {
		switch {
		case a == "-q" || a == "-p":
			return []string{"false"}
		case strings.HasPrefix(a, "-"):
			out = append(out, a)
		case slices.Contains(known, a) || slices.Contains(rest, "-o") && supportedOption(a):
			out = append(out, a)
			names++
		}
	}
	if names == 0 && len(rest) > 0 {
		return []string{"true"}
	}
	return out
}

// testArgs replaces the tests that would look at the host: ownership, terminals, and the one that panics on "".
func (sh *shell) testArgs(hc interp.HandlerContext, args []string) []string {
	out := slices.Clone(args)
	last := len(out)
	if out[0] == "[" && last > 1 && out[last-1] == "]" {
		last--
	}
	for i := 1; i+1 < last; i++ {
		prev := out[i-1]
		if i > 1 && prev != "!" && prev != "-a" && prev != "-o" && prev != "(" {
			continue
		}
		if i+2 < last && slices.Contains([]string{"=", "==", "!=", "-eq", "-ne", "-lt", "-gt", "-le", "-ge"}, out[i+1]) {
			continue
		}
		answer := func(yes bool) {
			out[i], out[i+1] = "-n", map[bool]string{true: "1"}[yes]
		}
		switch out[i] {
		case "-O", "-G":
			out[i] = "-e"
		case "-t":
			answer(sh.isTTY(hc, out[i+1]))
		case "-v":
			name, _, _ := strings.Cut(out[i+1], "[")
			answer(name != "" && hc.Env.Get(name).IsSet())
		case "-R":
			answer(false)
		}
	}
	if i := slices.Index(out[:last], "-ef"); i == 2 && last == 4 {
		a, aerr := sh.v.Stat(absIn(hc.Dir, out[1]))
		b, berr := sh.v.Stat(absIn(hc.Dir, out[3]))
		if aerr == nil && berr == nil && (a.rel == b.rel || a.inode() != 0 && a.inode() == b.inode()) {
			return []string{"true"}
		}
		return []string{"false"}
	}
	return out
}

func absIn(dir, name string) string {
	if strings.HasPrefix(name, "/") {
		return name
	}
	return dir + "/" + name
}

// isTTY reports whether a descriptor of the current command is the session's terminal.
func (sh *shell) isTTY(hc interp.HandlerContext, fd string) bool {
	t := sh.s.tty
	if t == nil {
		return false
	}
	switch fd {
	case "0":
		return hc.Stdin == io.Reader(t.in)
	case "1":
		return hc.Stdout == io.Writer(t.out)
	case "2":
		return hc.Stderr == io.Writer(t.out)
	}
	return false
}

// trap splits a trap into what the interpreter knows (EXIT, ERR) and the signals the session catches.
func (sh *shell) trap(args []string) ([]string, error) {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 || args[0] == "-p" {
		return []string{"trap"}, nil
	}
	if args[0] == "-l" {
		return []string{"true"}, nil
	}
	code, names, reset := args[0], args[1:], false
	if len(names) == 0 {
		names, reset = args, true
	}
	if code == "-" {
		reset = true
	}
	text := ""
	if !reset {
		var err error
		if text, err = rewriteText(code, sh.g.homeOf); err != nil {
			return []string{inner + "fail", "1", "trap: " + err.Error()}, nil
		}
	}
	out := []string{"trap", text}
	if reset || text == "" {
		out[1] = "-"
	}
	for _, n := range names {
		n = strings.TrimPrefix(strings.ToUpper(n), "SIG")
		for sig, num := range signals {
			if n == strconv.Itoa(num) {
				n = sig
			}
		}
		switch n {
		case "EXIT", "0":
			out = append(out, "EXIT")
		case "ERR":
			out = append(out, "ERR")
		case "DEBUG", "RETURN":
		default:
			if _, ok := signals[n]; !ok {
				return []string{inner + "fail", "1", "trap: " + n + ": invalid signal specification"}, nil
			}
			sh.s.mu.Lock()
			if sh.s.traps == nil {
				sh.s.traps = map[string]string{}
			}
			if reset {
				delete(sh.s.traps, n)
			} else {
				sh.s.traps[n] = text
			}
			sh.s.mu.Unlock()
		}
	}
	if len(out) == 2 {
		return []string{"true"}, nil
	}
	return out, nil
}
