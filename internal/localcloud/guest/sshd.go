package guest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

const openAppend = os.O_WRONLY | os.O_CREATE | os.O_APPEND

// loadHostKeys reads the guest's host keys and makes the missing ones.
func (g *Guest) loadHostKeys() ([]ssh.Signer, error) {
	v := g.rootView()
	dir := "/etc/ssh"
	if g.sys.Family == "windows" {
		dir = "/ProgramData/ssh"
	}
	if err := v.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	var out []ssh.Signer
	for _, kind := range []string{"ed25519", "ecdsa"} {
		name := dir + "/ssh_host_" + kind + "_key"
		if data, err := v.ReadFile(name); err == nil {
			if key, err := ssh.ParsePrivateKey(data); err == nil {
				out = append(out, key)
				continue
			}
		}
		private, public, err := newKey(kind, "root@"+g.hostname())
		if err != nil {
			return nil, err
		}
		key, err := ssh.ParsePrivateKey(private)
		if err != nil {
			return nil, err
		}
		if err := errors.Join(v.WriteFile(name, private, 0o600), v.WriteFile(name+".pub", public, 0o644)); err != nil {
			return nil, fmt.Errorf("host key: %w", err)
		}
		out = append(out, key)
	}
	return out, nil
}

// newKey makes a key pair in OpenSSH's formats.
func newKey(kind, comment string) (private, public []byte, err error) {
	var key crypto.Signer
	switch kind {
	case "ecdsa":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		return nil, nil, err
	}
	block, err := ssh.MarshalPrivateKey(key, comment)
	if err != nil {
		return nil, nil, err
	}
	pub, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		return nil, nil, err
	}
	line := bytes.TrimSpace(ssh.MarshalAuthorizedKey(pub))
	return pem.EncodeToMemory(block), append(line, []byte(" "+comment+"\n")...), nil
}

// sshdOption reads a keyword from the guest's sshd_config; the first one counts.
func (g *Guest) sshdOption(key string) string {
	v := g.rootView()
	text := ""
	if entries, err := v.ReadDir("/etc/ssh/sshd_config.d"); err == nil {
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".conf") {
				text += v.readString("/etc/ssh/sshd_config.d/"+e.Name()) + "\n"
			}
		}
	}
	text += v.readString("/etc/ssh/sshd_config")
	for _, line := range strings.Split(text, "\n") {
		f := strings.Fields(line)
		if len(f) > 0 && strings.EqualFold(f[0], "Match") {
			break
		}
		if len(f) > 1 && strings.EqualFold(f[0], key) {
			return strings.ToLower(f[1])
		}
	}
	return ""
}

func (g *Guest) serveSSH(ctx context.Context, nc net.Conn) {
	denied := errors.New("permission denied")
	passwordOK := func(user, password string) error {
		if g.sshdOption("PasswordAuthentication") == "no" {
			return denied
		}
		if root := g.sshdOption("PermitRootLogin"); user == "root" && root != "" && root != "yes" {
			return denied
		}
		if !g.checkPassword(user, password) {
			return denied
		}
		return nil
	}
	cfg := &ssh.ServerConfig{
		ServerVersion: "SSH-2.0-OpenSSH_8.9 tfbake-simulated",
		MaxAuthTries:  6,
		PasswordCallback: func(c ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			return nil, passwordOK(c.User(), string(password))
		},
		KeyboardInteractiveCallback: func(c ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			answers, err := ask("", "", []string{"Password: "}, []bool{false})
			if err != nil {
				return nil, err
			}
			if len(answers) != 1 {
				return nil, denied
			}
			return nil, passwordOK(c.User(), answers[0])
		},
		PublicKeyCallback: func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if g.sshdOption("PubkeyAuthentication") == "no" || c.User() == "root" && g.sshdOption("PermitRootLogin") == "no" || !g.authorized(c.User(), key) {
				return nil, denied
			}
			return nil, nil
		},
	}
	g.mu.Lock()
	for _, k := range g.hostKeys {
		cfg.AddHostKey(k)
	}
	g.mu.Unlock()
	nc.SetDeadline(time.Now().Add(2 * time.Minute)) // LoginGraceTime
	conn, channels, requests, err := ssh.NewServerConn(nc, cfg)
	if err != nil {
		return
	}
	nc.SetDeadline(time.Time{})
	defer conn.Close()
	who, ok := g.login(conn.User())
	if !ok {
		return
	}
	g.authLog(fmt.Sprintf("sshd[%d]: Accepted login for %s from %s", g.nextPID(), conn.User(), conn.RemoteAddr()))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(errors.New("connection closed"))
	umask := uint32(0o022)
	_ = umask
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel(errors.New("connection closed"))
	forwards := &forwards{g: g, conn: conn, ctx: ctx}
	defer forwards.close()
	go func() {
		for r := range requests {
			forwards.request(r)
		}
	}()
	for nch := range channels {
		switch nch.ChannelType() {
		case "session":
			ch, reqs, err := nch.Accept()
			if err != nil {
				continue
			}
			wg.Go(func() {
				(&sshSession{g: g, ch: ch, who: who, remote: conn.RemoteAddr().String(), ctx: ctx}).serve(reqs)
			})
		case "direct-tcpip":
			wg.Go(func() { g.directTCP(ctx, nch) })
		default:
			nch.Reject(ssh.UnknownChannelType, "not offered by the simulated server")
		}
	}
}

func (g *Guest) login(user string) (account, bool) {
	if g.sys.Family == "windows" {
		return account{name: user, home: "/Users/" + user}, true
	}
	return g.account(user)
}

func (g *Guest) authLog(line string) {
	file := "/var/log/auth.log"
	if g.sys.Family == "rhel" {
		file = "/var/log/secure"
	}
	if g.sys.Family != "windows" {
		g.rootView().appendFile(file, time.Now().UTC().Format("Jan _2 15:04:05 ")+g.hostname()+" "+line+"\n")
	}
}

// authorized looks the key up in the user's authorized_keys.
func (g *Guest) authorized(user string, key ssh.PublicKey) bool {
	a, ok := g.login(user)
	if !ok {
		return false
	}
	v := g.rootView()
	rest := []byte(v.readString(path.Join(a.home, ".ssh/authorized_keys")))
	for len(rest) > 0 {
		known, _, _, next, err := ssh.ParseAuthorizedKey(rest)
		if err != nil {
			return false
		}
		if bytes.Equal(known.Marshal(), key.Marshal()) {
			return true
		}
		rest = next
	}
	return false
}

// sshSession is one session channel.
type sshSession struct {
	g      *Guest
	ch     ssh.Channel
	who    account
	remote string
	ctx    context.Context

	s       *session
	env     map[string]string
	started bool
	pty     bool
	term    string
	size    [2]uint32
}

func (c *sshSession) serve(reqs <-chan *ssh.Request) {
	defer c.ch.Close()
	c.s = c.g.newSession(c.ctx)
	c.s.remote = c.remote
	defer c.s.cancel(errors.New("session closed"))
	c.env = c.g.environment(c.who)
	host, port, _ := net.SplitHostPort(c.remote)
	c.env["SSH_CLIENT"] = host + " " + port + " 22"
	c.env["SSH_CONNECTION"] = host + " " + port + " 127.0.0.1 22"
	done := make(chan struct{})
	for {
		select {
		case <-done:
			return
		case r, ok := <-reqs:
			if !ok {
				// The client is gone: end what it started, and let it end.
				c.s.cancel(killed{"HUP"})
				if c.started {
					<-done
				}
				return
			}
			c.request(r, done)
		}
	}
}

func (c *sshSession) request(r *ssh.Request, done chan struct{}) {
	reply := func(ok bool) {
		if r.WantReply {
			r.Reply(ok, nil)
		}
	}
	begin := func(run func() int) {
		if c.started {
			reply(false)
			return
		}
		c.started = true
		reply(true)
		c.g.mu.Lock()
		alive := c.g.state == up
		if alive {
			c.g.wg.Add(1)
		}
		c.g.mu.Unlock()
		if !alive {
			close(done)
			return
		}
		go func() {
			defer c.g.wg.Done()
			defer close(done)
			c.exit(run())
		}()
	}
	switch r.Type {
	case "pty-req":
		var m struct {
			Term                string
			Cols, Rows, PxW, PH uint32
			Modes               string
		}
		if c.started || ssh.Unmarshal(r.Payload, &m) != nil {
			reply(false)
			return
		}
		c.pty, c.term, c.size = true, m.Term, [2]uint32{m.Cols, m.Rows}
		reply(true)
	case "window-change":
		var m struct{ Cols, Rows, PxW, PH uint32 }
		if ssh.Unmarshal(r.Payload, &m) == nil {
			c.size = [2]uint32{m.Cols, m.Rows}
		}
		reply(true)
	case "env":
		var m struct{ Name, Value string }
		ok := ssh.Unmarshal(r.Payload, &m) == nil && !c.started && (m.Name == "LANG" || strings.HasPrefix(m.Name, "LC_"))
		if ok {
			c.env[m.Name] = m.Value
		}
		reply(ok)
	case "exec":
		var m struct{ Command string }
		if ssh.Unmarshal(r.Payload, &m) != nil {
			reply(false)
			return
		}
		begin(func() int { return c.run(m.Command) })
	case "shell":
		begin(func() int { return c.run("") })
	case "subsystem":
		var m struct{ Name string }
		if ssh.Unmarshal(r.Payload, &m) != nil || m.Name != "sftp" || c.started {
			reply(false)
			return
		}
		begin(c.sftp)
	case "signal":
		var m struct{ Signal string }
		if ssh.Unmarshal(r.Payload, &m) == nil {
			c.s.signal(m.Signal)
		}
		reply(true)
	default:
		reply(false)
	}
}

// exit tells the client how the command ended, unless the whole server went away under it.
func (c *sshSession) exit(code int) {
	cause := context.Cause(c.s.ctx)
	if errors.Is(cause, errPowerOff) {
		return
	}
	if k, ok := errors.AsType[killed](cause); ok {
		c.ch.SendRequest("exit-signal", false, ssh.Marshal(struct {
			Signal    string
			Core      bool
			Msg, Lang string
		}{k.sig, false, "killed", ""}))
		return
	}
	c.ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(code)}))
}

// run runs a command, or a login shell when it is empty.
func (c *sshSession) run(command string) int {
	if c.g.sys.Family == "windows" {
		return c.runWindows(command)
	}
	umask := uint32(0o022)
	out, errw := io.Writer(&lockedWriter{w: c.ch}), io.Writer(&lockedWriter{w: c.ch.Stderr()})
	var in *os.File
	if c.pty {
		t, err := newTTY(c.s, c.ch)
		if err != nil {
			fmt.Fprintln(errw, err)
			return 255
		}
		c.s.mu.Lock()
		c.s.tty = t
		c.s.mu.Unlock()
		in, out, errw = t.in, t.out, t.out
		c.env["TERM"] = c.term
		c.env["SSH_TTY"] = "/dev/pts/0"
		c.env["COLUMNS"], c.env["LINES"] = strconv.Itoa(int(c.size[0])), strconv.Itoa(int(c.size[1]))
		go func() {
			t.run(c.ch)
		}()
		defer t.in.Close()
		defer t.close()
	} else {
		r, w, err := os.Pipe()
		if err != nil {
			fmt.Fprintln(errw, err)
			return 255
		}
		in = r
		defer r.Close()
		go func() {
			io.Copy(w, c.ch)
			w.Close()
		}()
	}
	dir := c.who.home
	v := c.g.viewFor(c.who, &umask)
	if !v.isDir(dir) {
		dir = "/"
	}
	p := &proc{g: c.g, s: c.s, ctx: c.s.ctx, in: in, out: out, err: errw, env: c.env, dir: dir, who: c.who, v: v, pid: 1}
	shell := c.who.shell
	if !v.exists(shell) || shell == "" {
		shell = "/bin/sh"
	}
	if command != "" {
		return p.run(shell, []string{shell, "-c", command})
	}
	if c.pty {
		if motd := v.readString("/etc/motd"); motd != "" {
			io.WriteString(out, motd)
		}
		return p.run(shell, []string{shell, "--login", "-i"})
	}
	return p.run(shell, []string{shell, "--login"})
}

func (c *sshSession) sftp() int {
	umask := uint32(0o022)
	v := c.g.viewFor(c.who, &umask)
	home := c.who.home
	fsys := sftpFS{g: c.g, v: v}
	if c.g.sys.Family == "windows" {
		fsys.path = winToGuest(c.g)
		home = "/"
	}
	if !v.isDir(home) {
		home = "/"
	}
	fsys.home = home
	h := sftp.Handlers{FileGet: fsys, FilePut: fsys, FileCmd: fsys, FileList: fsys}
	// The server closes what it is given when it ends, but the exit status has to follow on the channel.
	srv := sftp.NewRequestServer(rwc{Reader: c.ch, Writer: c.ch}, h, sftp.WithStartDirectory(home))
	stop := context.AfterFunc(c.s.ctx, func() { c.ch.Close() })
	defer stop()
	if err := srv.Serve(); err != nil && !errors.Is(err, io.EOF) {
		srv.Close()
		return 1
	}
	srv.Close()
	return 0
}

// remoteListener is a port inside the guest that leads to an SSH client (tcpip-forward).
type remoteListener struct{ dial func() (net.Conn, error) }

// forwards are the remote forwards of one connection.
type forwards struct {
	g     *Guest
	conn  *ssh.ServerConn
	ctx   context.Context
	mu    sync.Mutex
	ports []int
}

func (f *forwards) request(r *ssh.Request) {
	var m struct {
		Addr string
		Port uint32
	}
	switch r.Type {
	case "tcpip-forward":
		if ssh.Unmarshal(r.Payload, &m) != nil {
			r.Reply(false, nil)
			return
		}
		port, ok := f.listen(m.Addr, int(m.Port))
		if m.Port == 0 && ok {
			r.Reply(true, ssh.Marshal(struct{ Port uint32 }{uint32(port)}))
			return
		}
		r.Reply(ok, nil)
	case "cancel-tcpip-forward":
		if ssh.Unmarshal(r.Payload, &m) == nil {
			f.g.mu.Lock()
			delete(f.g.listeners, int(m.Port))
			f.g.mu.Unlock()
		}
		r.Reply(true, nil)
	default:
		if r.WantReply {
			r.Reply(strings.HasPrefix(r.Type, "keepalive@"), nil)
		}
	}
}

func (f *forwards) listen(addr string, port int) (int, bool) {
	f.g.mu.Lock()
	defer f.g.mu.Unlock()
	if port == 0 {
		for port = 40000; f.g.listeners[port] != nil; port++ {
		}
	}
	if f.g.listeners[port] != nil || port == 22 || len(f.g.listeners) > 200 || f.g.state != up {
		return 0, false
	}
	f.g.listeners[port] = &remoteListener{dial: func() (net.Conn, error) {
		ch, reqs, err := f.conn.OpenChannel("forwarded-tcpip", ssh.Marshal(struct {
			Addr   string
			Port   uint32
			Origin string
			OPort  uint32
		}{addr, uint32(port), "127.0.0.1", 40000}))
		if err != nil {
			return nil, err
		}
		go ssh.DiscardRequests(reqs)
		a, b := net.Pipe()
		go splice(b, ch)
		return a, nil
	}}
	f.mu.Lock()
	f.ports = append(f.ports, port)
	f.mu.Unlock()
	return port, true
}

func (f *forwards) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.g.mu.Lock()
	defer f.g.mu.Unlock()
	for _, p := range f.ports {
		delete(f.g.listeners, p)
	}
}

// dial reaches an address as a program of the guest would: itself, a port forwarded into it, or what Config.Dial allows.
func (g *Guest) dial(ctx context.Context, host string, port int) (net.Conn, error) {
	local := host == "localhost" || host == g.hostname()
	if ip := net.ParseIP(host); ip != nil && (ip.IsLoopback() && (ip.Equal(net.IPv4(127, 0, 0, 1)) || ip.Equal(net.IPv6loopback)) || ip.IsUnspecified()) {
		local = true
	}
	if local {
		g.mu.Lock()
		l := g.listeners[port]
		g.mu.Unlock()
		switch {
		case l != nil:
			return l.dial()
		case port == 22:
			a, b := net.Pipe()
			go g.ServeConn(b, 22)
			return a, nil
		}
		return nil, fmt.Errorf("connect to %s port %d: connection refused", host, port)
	}
	if g.c.Dial == nil {
		return nil, fmt.Errorf("connect to %s port %d: no network in the simulated server", host, port)
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return g.c.Dial(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
}

func (g *Guest) directTCP(ctx context.Context, nch ssh.NewChannel) {
	var m struct {
		Host   string
		Port   uint32
		Origin string
		OPort  uint32
	}
	if ssh.Unmarshal(nch.ExtraData(), &m) != nil {
		nch.Reject(ssh.ConnectionFailed, "malformed request")
		return
	}
	conn, err := g.dial(ctx, m.Host, int(m.Port))
	if err != nil {
		nch.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	ch, reqs, err := nch.Accept()
	if err != nil {
		conn.Close()
		return
	}
	go ssh.DiscardRequests(reqs)
	stop := context.AfterFunc(ctx, func() { conn.Close(); ch.Close() })
	defer stop()
	splice(conn, ch)
}

// splice copies both ways until both sides are done.
func splice(conn net.Conn, ch ssh.Channel) {
	var wg sync.WaitGroup
	wg.Go(func() {
		io.Copy(ch, conn)
		ch.CloseWrite()
	})
	wg.Go(func() {
		io.Copy(conn, ch)
		if c, ok := conn.(interface{ CloseWrite() error }); ok {
			c.CloseWrite()
		} else {
			conn.Close()
		}
	})
	wg.Wait()
	conn.Close()
	ch.Close()
}
