package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// killed is the cause of a context ended by a signal.
type killed struct{ sig string }

func (k killed) Error() string { return "killed by SIG" + k.sig }

var signals = map[string]int{"HUP": 1, "INT": 2, "QUIT": 3, "ABRT": 6, "KILL": 9, "USR1": 10, "SEGV": 11, "USR2": 12, "PIPE": 13, "ALRM": 14,
	"TERM": 15, "CHLD": 17, "CONT": 18, "STOP": 19, "TSTP": 20, "WINCH": 28}

// process is an entry of the guest's process table.
type process struct {
	pid, ppid int
	user      string
	args      []string
	started   time.Time
	kill      context.CancelCauseFunc
}

// account is a user of the guest, from its /etc/passwd.
type account struct {
	name, home, shell string
	uid, gid          int
	groups            []int
}

func (g *Guest) rootView() *view { return &view{tree: g.tree} }

func (g *Guest) viewFor(a account, umask *uint32) *view {
	return &view{tree: g.tree, uid: a.uid, gid: a.gid, groups: a.groups, umask: umask}
}

// session is one connection's work: an SSH channel, a WinRM command, the init script.
type session struct {
	g      *Guest
	ctx    context.Context
	cancel context.CancelCauseFunc
	tty    *tty // nil without a terminal
	remote string

	mu      sync.Mutex
	fg      map[int]context.CancelCauseFunc // commands in the foreground, by pid
	traps   map[string]string               // of the session's first shell
	pending []string                        // signals caught by a trap and not yet handled
}

func (g *Guest) newSession(ctx context.Context) *session {
	s := &session{g: g, fg: map[int]context.CancelCauseFunc{}}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	return s
}

// signal delivers a signal as the terminal or an SSH client would: a trap catches it, else it ends the session.
func (s *session) signal(sig string) {
	s.mu.Lock()
	code, trapped := s.traps[sig]
	interactive := s.tty != nil && s.tty.isInteractive()
	if trapped && sig != "KILL" {
		if code != "" {
			s.pending = append(s.pending, sig)
		}
	}
	fg := slices.Collect(maps.Values(s.fg))
	s.mu.Unlock()
	if trapped && code == "" && sig != "KILL" {
		return
	}
	stop := func() {
		for _, kill := range fg {
			kill(killed{sig})
		}
	}
	switch {
	case trapped && sig != "KILL", sig == "CHLD", sig == "CONT", sig == "WINCH":
		if trapped {
			stop()
		}
	case interactive && (sig == "INT" || sig == "QUIT" || sig == "TERM"):
		stop()
		s.tty.interrupt()
	default:
		s.cancel(killed{sig}) // first, so that the end of the commands is seen as the session's
		stop()
	}
}

// takePending returns the trap code of a caught signal.
func (s *session) takePending() (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending) == 0 {
		return "", false
	}
	code := s.traps[s.pending[0]]
	s.pending = s.pending[1:]
	return code, code != ""
}

// proc is one running program: what it was given and what it may reach.
type proc struct {
	g    *Guest
	s    *session
	sh   *shell // the shell that started it, if any
	ctx  context.Context
	name string
	args []string // without the name
	in   io.Reader
	out  io.Writer
	err  io.Writer
	env  map[string]string
	dir  string
	who  account
	v    *view
	pid  int
	ppid int
}

func (p *proc) printf(format string, a ...any) { fmt.Fprintf(p.out, format, a...) }

// fail prints "name: message" and returns 1.
func (p *proc) fail(format string, a ...any) int { return p.failCode(1, format, a...) }

func (p *proc) failCode(code int, format string, a ...any) int {
	fmt.Fprintf(p.err, "%s: %s\n", p.name, fmt.Sprintf(format, a...))
	return code
}

// warn prints like fail; for commands that go on.
func (p *proc) warn(format string, a ...any) {
	fmt.Fprintf(p.err, "%s: %s\n", p.name, fmt.Sprintf(format, a...))
}

// abs makes a path absolute without resolving anything.
func (p *proc) abs(name string) string {
	if name == "" || strings.HasPrefix(name, "/") {
		return name
	}
	return strings.TrimSuffix(p.dir, "/") + "/" + name
}

// with returns a copy to start something else from.
func (p *proc) with(change func(*proc)) *proc {
	q := *p
	q.env = maps.Clone(p.env)
	change(&q)
	return &q
}

// sleep waits or returns false when the process is to end.
func (p *proc) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-p.ctx.Done():
		return false
	}
}

// open opens a file for reading: "-" is standard input, /dev names behave.
func (p *proc) open(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(p.stdin()), nil
	}
	if rwc, ok, err := p.special(name, os.O_RDONLY); ok {
		return rwc, err
	}
	fi, err := p.v.Stat(p.abs(name))
	if err != nil {
		return nil, err
	}
	if fi.IsDir() {
		return nil, pathError("read", name, syscall.EISDIR)
	}
	return p.v.OpenFile(p.abs(name), os.O_RDONLY, 0)
}

// create opens a file for writing.
func (p *proc) create(name string, flag int, perm os.FileMode) (io.WriteCloser, error) {
	if rwc, ok, err := p.special(name, os.O_WRONLY); ok {
		return rwc, err
	}
	return p.v.OpenFile(p.abs(name), flag|os.O_CREATE, perm)
}

// readAll reads a file or "-".
func (p *proc) readAll(name string) ([]byte, error) {
	f, err := p.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(&limited{p.ctx, f, 512 << 20})
}

// limited stops a reader at a size no honest script reaches, and when the context ends.
type limited struct {
	ctx  context.Context
	r    io.Reader
	left int64
}

func (l *limited) Read(b []byte) (int, error) {
	if l.ctx.Err() != nil {
		return 0, context.Cause(l.ctx)
	}
	if l.left <= 0 {
		return 0, errors.New("input larger than the simulated server's memory")
	}
	n, err := l.r.Read(b)
	l.left -= int64(n)
	return n, err
}

// stdin is standard input, ended by the process' context.
func (p *proc) stdin() io.Reader {
	if p.in == nil {
		return strings.NewReader("")
	}
	return p.in
}

type rwc struct {
	io.Reader
	io.Writer
	close func() error
}

func (r rwc) Close() error {
	if r.close == nil {
		return nil
	}
	return r.close()
}

type zeros struct{ ctx context.Context }

func (z zeros) Read(b []byte) (int, error) {
	if z.ctx.Err() != nil {
		return 0, z.ctx.Err()
	}
	clear(b)
	return len(b), nil
}

type errWriter struct{ err error }

func (e errWriter) Write([]byte) (int, error) { return 0, e.err }

// exec runs argv as execve after a PATH search would and returns its exit code.
func (p *proc) exec(argv []string) (code int) {
	if len(argv) == 0 {
		return 0
	}
	file, code := p.lookPath(argv[0])
	if code != 0 {
		return code
	}
	return p.run(file, argv)
}

// lookPath finds a program. The code is that of a shell which cannot start it, its words are printed.
func (p *proc) lookPath(name string) (string, int) {
	say := func(code int, what string) (string, int) {
		fmt.Fprintf(p.err, "%s: %s: %s\n", p.shellName(), name, what)
		return "", code
	}
	if strings.Contains(name, "/") {
		fi, err := p.v.Stat(p.abs(name))
		switch {
		case err != nil:
			if msg := unsimulated(path.Base(name)); msg != "" {
				return say(127, msg)
			}
			if errors.Is(err, syscall.EACCES) {
				return say(126, "Permission denied")
			}
			return say(127, why(err))
		case fi.IsDir():
			return say(126, "Is a directory")
		case !p.v.may(fi, 1):
			return say(126, "Permission denied")
		}
		return p.abs(name), 0
	}
	if file := p.findProgram(name); file != "" {
		return file, 0
	}
	if msg := unsimulated(name); msg != "" {
		return say(127, msg)
	}
	return say(127, "command not found")
}

func (p *proc) shellName() string {
	if p.sh != nil && p.sh.name != "" {
		return path.Base(p.sh.name)
	}
	return "bash"
}

// findProgram returns the path of an executable found in PATH, or "".
func (p *proc) findProgram(name string) string {
	if name == "" || strings.HasPrefix(name, inner) {
		return ""
	}
	search, ok := p.env["PATH"]
	if !ok {
		search = defaultPath
	}
	for _, dir := range strings.Split(search, ":") {
		if dir == "" {
			dir = "."
		}
		file := path.Join(p.abs(dir), name)
		if fi, err := p.v.Stat(file); err == nil && fi.mode.IsRegular() && p.v.may(fi, 1) {
			return file
		}
	}
	return ""
}

// unsimulated names the interpreters scripts like to use and that cannot be imitated.
func unsimulated(name string) string {
	base := strings.TrimRight(name, "0123456789.")
	switch base {
	case "python", "perl", "ruby", "node", "nodejs", "php", "java", "go", "gcc", "cc", "make", "tclsh", "lua":
		return "not simulated: this server is simulated by tfbake, which runs sh and bash scripts only"
	}
	return ""
}

// run starts the program in file with the given argv as a process of its own.
func (p *proc) run(file string, argv []string) (code int) {
	q := *p
	q.ppid, q.pid = p.pid, p.g.nextPID()
	q.name, q.args = path.Base(argv[0]), argv[1:]
	var kill context.CancelCauseFunc
	q.ctx, kill = context.WithCancelCause(p.ctx)
	defer kill(nil)
	if in, ok := q.in.(*os.File); ok && in != nil {
		// Reading a pipe must end when the process does.
		defer endReads(q.ctx, in)()
	}
	if !q.g.addProcess(&process{pid: q.pid, ppid: q.ppid, user: q.who.name, args: argv, started: time.Now(), kill: kill}) {
		return q.failCode(254, "fork: Resource temporarily unavailable (the simulated server runs too many processes)")
	}
	defer q.g.removeProcess(q.pid)
	defer func() {
		if r := recover(); r != nil {
			q.g.logf("guest: %s: %v\n%s", argv[0], r, debug.Stack())
			fmt.Fprintf(q.err, "%s: Segmentation fault (simulated command failed: %v)\n", q.name, r)
			code = 139
		}
		if k, ok := errors.AsType[killed](context.Cause(q.ctx)); ok {
			code = 128 + signals[k.sig]
		} else if p.ctx.Err() != nil {
			code = 130
		}
	}()
	return q.load(file, argv, 0)
}

// endReads makes reads of a pipe fail when the context ends. The result undoes that: the pipe may have other readers.
func endReads(ctx context.Context, in *os.File) (undo func()) {
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		in.SetReadDeadline(time.Now())
		close(ended)
	})
	return func() {
		if !stop() {
			<-ended
			in.SetReadDeadline(time.Time{})
		}
	}
}

// load looks into the file as the kernel would: a stub of a simulated program, a script, or nothing that can run.
func (p *proc) load(file string, argv []string, depth int) int {
	f, err := p.v.OpenFile(file, os.O_RDONLY, 0)
	if errors.Is(err, syscall.EACCES) {
		// A program may be executable without being readable.
		f, err = p.g.rootView().OpenFile(file, os.O_RDONLY, 0)
	}
	if err != nil {
		fmt.Fprintf(p.err, "%s: %s: %s\n", p.shellName(), argv[0], why(err))
		return 126
	}
	head := make([]byte, 256)
	n, _ := io.ReadFull(f, head)
	f.Close()
	head = head[:n]
	if name, ok := stubName(string(head)); ok {
		c, ok := commands[name]
		if !ok {
			return p.packaged(name)
		}
		return c.run(p)
	}
	if n > 0 && (head[0] == 0x7f || slices.Contains(head[:min(n, 80)], 0)) {
		fmt.Fprintf(p.err, "%s: %s: cannot execute binary file: Exec format error (this server is simulated by tfbake and runs no programs)\n", p.shellName(), argv[0])
		return 126
	}
	line, _, _ := strings.Cut(string(head), "\n")
	interp, ok := strings.CutPrefix(line, "#!")
	if !ok {
		return p.script("sh", file, nil, argv)
	}
	interp, opt, _ := strings.Cut(strings.TrimSpace(strings.TrimRight(interp, "\r")), " ")
	opt = strings.TrimSpace(opt)
	var opts []string
	if path.Base(interp) == "env" {
		fields := strings.Fields(opt)
		for len(fields) > 0 && (strings.HasPrefix(fields[0], "-") || strings.Contains(fields[0], "=")) {
			fields = fields[1:]
		}
		if len(fields) == 0 {
			return p.failCode(126, "bad interpreter line")
		}
		interp, opts = fields[0], fields[1:]
	} else if opt != "" {
		opts = []string{opt}
	}
	switch path.Base(interp) {
	case "sh", "bash", "dash", "ash", "ksh", "zsh":
		return p.script(path.Base(interp), file, opts, argv)
	}
	if msg := unsimulated(path.Base(interp)); msg != "" {
		fmt.Fprintf(p.err, "%s: %s: %s: interpreter %s\n", p.shellName(), argv[0], interp, msg)
		return 127
	}
	target := interp
	if !strings.Contains(interp, "/") {
		target = p.findProgram(interp)
	}
	if depth > 4 || target == "" || !p.v.exists(target) {
		fmt.Fprintf(p.err, "%s: %s: %s: bad interpreter: No such file or directory\n", p.shellName(), argv[0], interp)
		return 127
	}
	next := append(append([]string{interp}, opts...), file)
	next = append(next, argv[1:]...)
	p.name, p.args = path.Base(interp), next[1:]
	return p.load(target, next, depth+1)
}

// script runs a shell script file.
func (p *proc) script(kind, file string, opts, argv []string) int {
	args := append(slices.Clone(opts), file)
	p.name, p.args = kind, append(args, argv[1:]...)
	return cmdShell(p)
}

// packaged is a program that a simulated package brought.
func (p *proc) packaged(name string) int {
	fmt.Fprintf(p.err, "%s: simulated by tfbake: installed by a simulated package, does nothing\n", name)
	if len(p.args) > 0 && (p.args[0] == "--version" || p.args[0] == "-v" || p.args[0] == "-V" || p.args[0] == "version") {
		p.printf("%s 0.0.0-simulated\n", name)
	}
	return 0
}

func (g *Guest) nextPID() int {
	g.procMu.Lock()
	defer g.procMu.Unlock()
	g.pid++
	return g.pid
}

const maxProcesses = 2000

func (g *Guest) addProcess(p *process) bool {
	g.procMu.Lock()
	defer g.procMu.Unlock()
	if len(g.procs) >= maxProcesses {
		return false
	}
	g.procs[p.pid] = p
	return true
}

func (g *Guest) removeProcess(pid int) {
	g.procMu.Lock()
	delete(g.procs, pid)
	g.procMu.Unlock()
}

func (g *Guest) processes() []*process {
	g.procMu.Lock()
	defer g.procMu.Unlock()
	return slices.SortedFunc(maps.Values(g.procs), func(a, b *process) int { return a.pid - b.pid })
}

// accounts reads the guest's /etc/passwd and /etc/group.
func (g *Guest) account(name string) (account, bool) {
	v := g.rootView()
	for _, line := range strings.Split(v.readString("/etc/passwd"), "\n") {
		f := strings.Split(line, ":")
		if len(f) < 7 || f[0] != name && f[2] != name {
			continue
		}
		a := account{name: f[0], home: f[5], shell: f[6]}
		a.uid, _ = strconv.Atoi(f[2])
		a.gid, _ = strconv.Atoi(f[3])
		for _, line := range strings.Split(v.readString("/etc/group"), "\n") {
			gf := strings.Split(line, ":")
			if len(gf) >= 4 && slices.Contains(strings.Split(gf[3], ","), a.name) {
				if id, err := strconv.Atoi(gf[2]); err == nil {
					a.groups = append(a.groups, id)
				}
			}
		}
		return a, true
	}
	return account{}, false
}

func (g *Guest) homeOf(user string) (string, bool) {
	if g.sys.Family == "windows" {
		return "", false
	}
	if user != "" && user[0] >= '0' && user[0] <= '9' {
		return "", false
	}
	a, ok := g.account(user)
	return a.home, ok
}

// names maps ids of /etc/passwd or /etc/group to names.
func (g *Guest) names(file string) map[int]string {
	out := map[int]string{}
	for _, line := range strings.Split(g.rootView().readString(file), "\n") {
		f := strings.Split(line, ":")
		if len(f) < 3 {
			continue
		}
		if id, err := strconv.Atoi(f[2]); err == nil {
			if _, ok := out[id]; !ok {
				out[id] = f[0]
			}
		}
	}
	return out
}

// environment is what a login gives a user.
func (g *Guest) environment(a account) map[string]string {
	return map[string]string{"HOME": a.home, "USER": a.name, "LOGNAME": a.name, "SHELL": a.shell, "PATH": defaultPath, "LANG": "C.UTF-8"}
}
