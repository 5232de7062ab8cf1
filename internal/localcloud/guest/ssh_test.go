package guest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// opensshConfig gives the real client a key and a place for known hosts.
func opensshConfig(t *testing.T, s *server) (config string) {
	t.Helper()
	for _, tool := range []string{"ssh", "scp", "sftp"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("OpenSSH's %s is not installed: %v", tool, err)
		}
	}
	dir := t.TempDir()
	private, public, err := newKey("ed25519", "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "key"), private, 0o600); err != nil {
		t.Fatal(err)
	}
	r := runOn(t, s.client(), "mkdir -p -m 700 ~/.ssh && cat >> ~/.ssh/authorized_keys", string(public))
	if r.code != 0 {
		t.Fatalf("authorized_keys: %+v", r)
	}
	config = filepath.Join(dir, "config")
	text := fmt.Sprintf("Host guest\n HostName 127.0.0.1\n Port %s\n User root\n IdentityFile %s/key\n IdentitiesOnly yes\n StrictHostKeyChecking accept-new\n UserKnownHostsFile %s/known\n BatchMode yes\n LogLevel ERROR\n ControlMaster no\n",
		s.port, dir, dir)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return config
}

func host(t *testing.T, stdin string, argv ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var out, errb bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errb
	err := cmd.Run()
	r := result{out: out.String(), err: errb.String()}
	if ee, ok := errors.AsType[*exec.ExitError](err); ok {
		r.code = ee.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return r
}

// treeOf makes files to transfer and returns their directory.
func treeOf(t *testing.T) string {
	dir := filepath.Join(t.TempDir(), "tree")
	for name, mode := range map[string]os.FileMode{"a.txt": 0o644, "bin/run.sh": 0o755, "deep/er/x": 0o600, "empty": 0o644} {
		f := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(f), 0o755), os.WriteFile(f, []byte(strings.Repeat(name, len(name)%5*40)), mode), os.Chmod(f, mode)); err != nil {
			t.Fatal(err)
		}
	}
	big := bytes.Repeat([]byte("0123456789abcdef"), 70_000)
	if err := os.WriteFile(filepath.Join(dir, "big"), big, 0o644); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-48 * time.Hour).Truncate(time.Second)
	if err := os.Chtimes(filepath.Join(dir, "a.txt"), old, old); err != nil {
		t.Fatal(err)
	}
	return dir
}

// sameTree compares names, contents and modes.
func sameTree(t *testing.T, a, b string) {
	t.Helper()
	sum := func(root string) string {
		var out strings.Builder
		filepath.Walk(root, func(p string, fi os.FileInfo, err error) error {
			if err != nil {
				t.Fatal(err)
			}
			rel, _ := filepath.Rel(root, p)
			fmt.Fprintf(&out, "%s %v", rel, fi.Mode())
			if fi.Mode().IsRegular() {
				data, _ := os.ReadFile(p)
				fmt.Fprintf(&out, " %x", sha256.Sum256(data))
			}
			out.WriteByte('\n')
			return nil
		})
		return out.String()
	}
	if x, y := sum(a), sum(b); x != y {
		t.Errorf("trees differ:\n%s\n%s", x, y)
	}
}

func TestOpenSSH(t *testing.T) {
	t.Parallel()
	s := newServer(t, "ubuntu-22.04", nil)
	cfg := opensshConfig(t, s)
	if r := host(t, "", "ssh", "-F", cfg, "guest", "echo $SHELL; exit 3"); r.out != "/bin/bash\n" || r.code != 3 {
		t.Errorf("exec: %+v", r)
	}
	if r := host(t, "echo one\ncd /etc\npwd\nread x\nfed by stdin\necho got $x\nexit 5\n", "ssh", "-F", cfg, "-T", "guest"); r.out != "one\n/etc\ngot fed by stdin\n" || r.code != 5 {
		t.Errorf("shell from stdin: %+v", r)
	}
	if r := host(t, "tty\n[ -t 0 ] && echo is-tty\nexit 4\n", "ssh", "-F", cfg, "-tt", "guest"); !strings.Contains(r.out, "/dev/pts/0") || !strings.Contains(r.out, "# is-tty") || r.code != 4 {
		t.Errorf("pty: %+v", r)
	}
	src := treeOf(t)
	for _, legacy := range []string{"-O", "-s"} {
		t.Run("scp"+legacy, func(t *testing.T) {
			remote := "/tmp/up" + legacy
			if r := host(t, "", "scp", "-F", cfg, legacy, "-r", "-p", src, "guest:"+remote); r.code != 0 {
				t.Fatalf("scp up: %+v %s", r, host(t, "", "scp", "-vv", "-F", cfg, legacy, "-r", "-p", src, "guest:"+remote).err)
			}
			back := filepath.Join(t.TempDir(), "back")
			if r := host(t, "", "scp", "-F", cfg, legacy, "-r", "-p", "guest:"+remote, back); r.code != 0 {
				t.Fatalf("scp down: %+v", r)
			}
			sameTree(t, src, back)
			a, _ := os.Stat(filepath.Join(src, "a.txt"))
			b, err := os.Stat(filepath.Join(back, "a.txt"))
			if err != nil || !a.ModTime().Equal(b.ModTime()) {
				t.Errorf("times: %v %v %v", a.ModTime(), b.ModTime(), err)
			}
			if r := host(t, "", "scp", "-F", cfg, legacy, "guest:/nope", back); r.code == 0 || !strings.Contains(r.err, "No such file") {
				t.Errorf("scp of nothing: %+v", r)
			}
		})
	}
	batch := "mkdir /tmp/s\ncd /tmp/s\nput " + filepath.Join(src, "big") + " b\nchmod 640 b\nln -s b l\nls -l\nrename b c\nget c " + filepath.Join(t.TempDir(), "c") + "\nrm c\nrm l\ncd ..\nrmdir s\n"
	if r := host(t, batch, "sftp", "-F", cfg, "-b", "-", "guest"); r.code != 0 || !strings.Contains(r.out, "-rw-r-----") {
		t.Errorf("sftp: %+v", r)
	}
	// The guest is a bastion for itself: -J reaches it through direct-tcpip.
	if r := host(t, "", "ssh", "-F", cfg, "-o", "ProxyCommand=ssh -F "+cfg+" -W localhost:22 guest", "guest", "hostname"); r.out != "tfb-test\n" {
		t.Errorf("bastion: %+v", r)
	}
}

func TestLogins(t *testing.T) {
	t.Parallel()
	s := newServer(t, "rocky-8.10", nil)
	if _, err := s.dialAs("root", ssh.Password("wrong")); err == nil {
		t.Error("a wrong password got in")
	}
	if _, err := s.dialAs("nobody", ssh.Password(testPassword)); err == nil {
		t.Error("nobody got in")
	}
	kb := ssh.KeyboardInteractive(func(_, _ string, q []string, _ []bool) ([]string, error) {
		out := make([]string, len(q))
		for i := range q {
			out[i] = testPassword
		}
		return out, nil
	})
	if c, err := s.dialAs("root", kb); err != nil {
		t.Errorf("keyboard-interactive: %v", err)
	} else {
		c.Close()
	}
	if r := s.run("useradd -m -G wheel -s /bin/bash joe && echo joe:Jo3-secret | chpasswd && id joe && ls -ld /home/joe"); r.code != 0 || !strings.Contains(r.out, "(joe)") || !strings.Contains(r.out, "drwx------ 2 joe joe") && !strings.Contains(r.out, "joe  joe") {
		t.Fatalf("useradd: %+v", r)
	}
	c, err := s.dialAs("joe", ssh.Password("Jo3-secret"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	want(t, c, "whoami; pwd; cat /etc/shadow 2>/dev/null || echo no; touch /etc/x 2>/dev/null || echo no; touch ~/y && stat -c %U ~/y", "joe\n/home/joe\nno\nno\njoe\n", 0)
	want(t, c, "sudo -n true", "", 1)
	if r := s.run("echo 'joe ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/joe"); r.code != 0 {
		t.Fatal(r)
	}
	want(t, c, "sudo whoami; sudo -u nobody id -un; echo Jo3-secret | sudo -S sh -c 'X=1; echo $USER'", "root\nnobody\nroot\n", 0)
	want(t, s.client(), "su - joe -c 'whoami; pwd'; su joe -c 'echo $HOME'", "joe\n/home/joe\n/home/joe\n", 0)
	if r := s.run("sed -i 's/^PasswordAuthentication.*/PasswordAuthentication no/' /etc/ssh/sshd_config"); r.code != 0 {
		t.Fatal(r)
	}
	if _, err := s.dialAs("root", ssh.Password(testPassword)); err == nil {
		t.Error("PasswordAuthentication no is not honoured")
	}
}

func TestSFTP(t *testing.T) {
	t.Parallel()
	s := newServer(t, "ubuntu-22.04", nil)
	c, err := sftp.NewClient(s.client())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	wd, err := c.Getwd()
	if must("getwd", err); wd != "/root" {
		t.Errorf("start directory %q", wd)
	}
	must("mkdirall", c.MkdirAll("/srv/a/b"))
	f, err := c.Create("/srv/a/b/f")
	must("create", err)
	_, err = f.Write(bytes.Repeat([]byte("x"), 100_000))
	must("write", err)
	must("close", f.Close())
	must("chmod", c.Chmod("/srv/a/b/f", 0o751))
	must("chown", c.Chown("/srv/a/b/f", 33, 33))
	when := time.Unix(1_600_000_000, 0)
	must("chtimes", c.Chtimes("/srv/a/b/f", when, when))
	must("truncate", c.Truncate("/srv/a/b/f", 10))
	must("symlink", c.Symlink("/srv/a/b/f", "/srv/link"))
	target, err := c.ReadLink("/srv/link")
	if must("readlink", err); target != "/srv/a/b/f" {
		t.Errorf("readlink %q", target)
	}
	fi, err := c.Stat("/srv/link")
	must("stat", err)
	if err == nil && (fi.Size() != 10 || fi.Mode().Perm() != 0o751) {
		t.Errorf("stat %v %v", fi.Size(), fi.Mode())
	}
	lfi, err := c.Lstat("/srv/link")
	if must("lstat", err); err == nil && lfi.Mode()&os.ModeSymlink == 0 {
		t.Errorf("lstat %v", lfi.Mode())
	}
	must("rename", c.PosixRename("/srv/a/b/f", "/srv/g"))
	if _, err := c.Stat("/srv/link"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("dangling link: %v", err)
	}
	want(t, s.client(), "stat -c '%a %U %s' /srv/g; ls /srv", "751 www-data 10\na\ng\nlink\n", 0)
	must("removeall", c.RemoveAll("/srv/a"))
	must("remove", c.Remove("/srv/link"))
	// Links out of the root resolve inside it.
	must("evil link", c.Symlink("/../../../../etc/passwd", "/srv/evil"))
	g, err := c.Open("/srv/evil")
	if err != nil {
		t.Fatal(err)
	}
	data, _ := io.ReadAll(g)
	g.Close()
	if want := fileIn(s, "etc/passwd"); string(data) != want {
		t.Errorf("an absolute link led elsewhere: %q", data)
	}
}

func TestPTYInteractive(t *testing.T) {
	t.Parallel()
	s := newServer(t, "ubuntu-22.04", nil)
	sess, err := s.client().NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer sess.Close()
	if err := sess.RequestPty("xterm", 24, 80, ssh.TerminalModes{}); err != nil {
		t.Fatal(err)
	}
	in, _ := sess.StdinPipe()
	out, _ := sess.StdoutPipe()
	if err := sess.Shell(); err != nil {
		t.Fatal(err)
	}
	if err := sess.WindowChange(40, 120); err != nil {
		t.Error(err)
	}
	r := bufio.NewReader(out)
	expect := func(text string) {
		t.Helper()
		got := ""
		deadline := time.AfterFunc(5*time.Second, func() { sess.Close() })
		defer deadline.Stop()
		for !strings.Contains(got, text) {
			b, err := r.ReadByte()
			if err != nil {
				t.Fatalf("waiting for %q: %v; got %q", text, err, got)
			}
			got += string(b)
		}
	}
	send := func(text string) { io.WriteString(in, text) }
	expect("root@tfb-test:~# ")
	send("echo he\x7fello\r")
	expect("\r\nhello\r\n")
	send("sleep 100\r")
	time.Sleep(100 * time.Millisecond)
	send("\x03")
	expect("^C")
	expect("# ")
	send("echo $?\r")
	expect("130\r\n")
	send("for i in 1 2; do\recho n$i\rdone\r")
	expect("n1\r\nn2\r\n")
	send("exit 6\r")
	err = sess.Wait()
	if ee, ok := errors.AsType[*ssh.ExitError](err); !ok || ee.ExitStatus() != 6 {
		t.Errorf("exit: %v", err)
	}
}

func TestSignalsAndCancellation(t *testing.T) {
	t.Parallel()
	s := newServer(t, "ubuntu-22.04", nil)
	c := s.client()
	sess, _ := c.NewSession()
	if err := sess.Start("sleep 100"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	if err := sess.Signal(ssh.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err := sess.Wait()
	if ee, ok := errors.AsType[*ssh.ExitError](err); !ok || ee.Signal() != "TERM" {
		t.Errorf("signal: %v", err)
	}
	sess, _ = c.NewSession()
	var out bytes.Buffer
	sess.Stdout = &out
	if err := sess.Start("trap 'echo caught; exit 9' TERM; sleep 100; echo after"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(150 * time.Millisecond)
	sess.Signal(ssh.SIGTERM)
	err = sess.Wait()
	if ee, ok := errors.AsType[*ssh.ExitError](err); !ok || ee.ExitStatus() != 9 || out.String() != "caught\n" {
		t.Errorf("trap: %v %q", err, out.String())
	}
	// A client that goes away takes its commands with it.
	c2, err := s.dialAs("root", ssh.Password(testPassword))
	if err != nil {
		t.Fatal(err)
	}
	for _, cmd := range []string{"sleep 1000", "while :; do :; done", "yes >/dev/null", "cat", "(sleep 1000 & wait)", "tail -f /etc/passwd"} {
		sess, err := c2.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		sess.StdinPipe()
		if err := sess.Start(cmd); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(100 * time.Millisecond)
	c2.Close()
	deadline := time.Now().Add(5 * time.Second)
	for len(s.processes()) > 0 && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	for _, p := range s.processes() {
		t.Errorf("still running: %v", p.args)
	}
}

func TestConcurrentSessions(t *testing.T) {
	t.Parallel()
	s := newServer(t, "ubuntu-22.04", nil)
	c := s.client()
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			r := runOn(t, c, fmt.Sprintf("for n in 1 2 3; do echo %d-$n >> /tmp/out%d; done; sort /tmp/out%d | tr '\\n' ' '", i, i, i), "")
			if w := fmt.Sprintf("%d-1 %d-2 %d-3 ", i, i, i); r.out != w || r.code != 0 {
				t.Errorf("session %d: %+v", i, r)
			}
		})
	}
	wg.Wait()
}

func TestForwarding(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(c, c); c.Close() }()
		}
	}()
	s := newServer(t, "ubuntu-22.04", func(c *Config) {
		c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr != "10.0.0.7:80" {
				return nil, errors.New("refused")
			}
			return (&net.Dialer{}).DialContext(ctx, network, l.Addr().String())
		}
	})
	c := s.client()
	conn, err := c.Dial("tcp", "10.0.0.7:80")
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, "ping")
	buf := make([]byte, 4)
	if _, err := io.ReadFull(conn, buf); err != nil || string(buf) != "ping" {
		t.Errorf("%q %v", buf, err)
	}
	conn.Close()
	// The host's own loopback is not the guest's.
	if conn, err := c.Dial("tcp", l.Addr().String()); err == nil {
		conn.Close()
		t.Error("reached a port of the host")
	}
	// A remote tunnel gives the guest a way to the client, and to it only.
	rl, err := c.Listen("tcp", "127.0.0.1:8099")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := rl.Accept()
			if err != nil {
				return
			}
			bufio.NewReader(conn).ReadString('\n')
			io.WriteString(conn, "HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nhi\n")
			conn.Close()
		}
	}()
	want(t, c, "curl -fsS http://127.0.0.1:8099/x", "hi\n", 0)
	want(t, c, "curl -fs http://127.0.0.1:8098/x", "", 7)
	want(t, c, "curl -fs http://example.com/", "", 6)
	if _, _, err := c.SendRequest("keepalive@openssh.com", true, nil); err != nil {
		t.Errorf("keepalive: %v", err)
	}
}
