package guest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

const testPassword = "Guest-Pa55word"

// server is a booted guest that answers on a loopback port.
type server struct {
	*Guest
	t    *testing.T
	dir  string
	addr string
	port string

	mu    sync.Mutex
	power []bool
}

type logWriter struct{ t *testing.T }

func (l logWriter) Write(b []byte) (int, error) { return len(b), nil }

// newServer lays out and boots a guest. change may alter the configuration.
func newServer(t *testing.T, osName string, change func(*Config)) *server {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "guest")
	if err := NewRoot(dir, osName); err != nil {
		t.Fatal(err)
	}
	return bootServer(t, dir, osName, change)
}

func bootServer(t *testing.T, dir, osName string, change func(*Config)) *server {
	t.Helper()
	s := &server{t: t, dir: dir}
	c := Config{Dir: dir, Hostname: "tfb-test", OS: osName, RootPassword: testPassword, FirstBoot: true, Log: logWriter{t},
		OnPowerOff: func(reboot bool) { s.mu.Lock(); s.power = append(s.power, reboot); s.mu.Unlock() }}
	if change != nil {
		change(&c)
	}
	g, err := Boot(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	s.Guest = g
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	_, s.port, _ = net.SplitHostPort(s.addr)
	served := make(chan error, 1)
	go func() { served <- g.Serve(l, 22) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := g.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		l.Close()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return s
}

func (s *server) powered() []bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]bool(nil), s.power...)
}

func (s *server) dialAs(user string, auth ...ssh.AuthMethod) (*ssh.Client, error) {
	return ssh.Dial("tcp", s.addr, &ssh.ClientConfig{User: user, Auth: auth, HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: 10 * time.Second})
}

func (s *server) client() *ssh.Client {
	s.t.Helper()
	c, err := s.dialAs("root", ssh.Password(testPassword))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}

type result struct {
	out, err string
	code     int
	signal   string
}

// run executes a command through the client; stdin may be empty.
func runOn(t *testing.T, c *ssh.Client, command, stdin string) result {
	t.Helper()
	sess, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer sess.Close()
	var out, errb bytes.Buffer
	sess.Stdin, sess.Stdout, sess.Stderr = strings.NewReader(stdin), &out, &errb
	r := result{}
	err = sess.Run(command)
	if ee, ok := errors.AsType[*ssh.ExitError](err); ok {
		r.code, r.signal = ee.ExitStatus(), ee.Signal()
	} else if err != nil {
		r.code, r.signal = -1, err.Error()
	}
	r.out, r.err = out.String(), errb.String()
	return r
}

func (s *server) run(command string) result {
	s.t.Helper()
	return runOn(s.t, s.client(), command, "")
}

// want runs a command and compares its output and exit code.
func want(t *testing.T, c *ssh.Client, command, out string, code int) {
	t.Helper()
	r := runOn(t, c, command, "")
	if r.out != out || r.code != code {
		t.Errorf("%s\n got %d %q (stderr %q)\nwant %d %q", command, r.code, r.out, r.err, code, out)
	}
}

func TestShellLanguage(t *testing.T) {
	t.Parallel()
	s := newServer(t, "ubuntu-22.04", nil)
	c := s.client()
	cases := []struct {
		cmd, out string
		code     int
	}{
		{"echo hello", "hello\n", 0},
		{"exit 7", "", 7},
		{"false; echo $?", "1\n", 0},
		{"set -e; false; echo no", "", 1},
		{"set -euo pipefail; false | true; echo no", "", 1},
		{"set -eEuo pipefail; echo yes", "yes\n", 0},
		{"f() { echo in $1; return 3; }; f x; echo $?", "in x\n3\n", 0},
		{"ls() { command ls -d /etc; }; ls", "/etc\n", 0},
		{"for i in 1 2 3; do echo $i; done | sort -r | head -n 2", "3\n2\n", 0},
		{"cat <<EOF\na $HOME\nEOF", "a /root\n", 0},
		{"cat <<'EOF'\na $HOME ~root\nEOF", "a $HOME ~root\n", 0},
		{"cd /etc && pwd && cd - >/dev/null && pwd", "/etc\n/root\n", 0},
		{"cd -- /var/run && pwd && pwd -P", "/var/run\n/run\n", 0},
		{"x=abc; echo ${x%c} ${#x} ${x/b/B}", "ab 3 aBc\n", 0},
		{"[ -f /etc/passwd ] && [ ! -e /nope ] && [ -x /bin/ls ] && echo ok", "ok\n", 0},
		{"[[ /etc -ef /usr/../etc || 1 == 1 ]] && echo ok", "ok\n", 0},
		{"test -O /etc/passwd && echo mine", "mine\n", 0},
		{"[[ -v HOME ]] && echo set; [[ -v NOPE ]] || echo unset; [[ -v \"\" ]] || echo empty", "set\nunset\nempty\n", 0},
		{"[ -t 0 ] || echo notty", "notty\n", 0},
		{"trap 'echo bye' EXIT; echo hi", "hi\nbye\n", 0},
		{"trap 'echo bye' EXIT INT TERM; exit 4", "bye\n", 4},
		{"sleep 0.05 & echo started; wait $!; echo $?", "started\n0\n", 0},
		{"(exit 9) & wait $!; echo $?", "9\n", 0},
		{"sleep 100 & p=$!; kill $p; wait $p; echo $?", "143\n", 0},
		{"sleep 100 & kill %1; wait; echo done", "done\n", 0},
		{"i=0; while read -r l; do i=$((i+1)); done < <(printf 'a\\nb\\n'); echo $i", "2\n", 0},
		{"diff <(echo a) <(echo a) && echo same", "same\n", 0},
		{"echo x > >(cat >/tmp/psub); sleep 0.1; cat /tmp/psub", "x\n", 0},
		{"exec > >(tee /tmp/log) 2>&1; echo logged", "logged\n", 0},
		{"cat /tmp/log", "logged\n", 0},
		{"exec 3>/tmp/three; echo to3 >&3; exec 3>&-; cat /tmp/three", "to3\n", 0},
		{"{ echo out; echo err >&2; } 3>&1 1>&2 2>&3 | cat", "err\n", 0},
		{"( flock 9; echo locked ) 9>/tmp/lock", "locked\n", 0},
		{"echo a >| /tmp/clob; cat /tmp/clob", "a\n", 0},
		{"echo ~root ~nosuch ~; x=~root/y; echo $x", "/root ~nosuch /root\n/root/y\n", 0},
		{"echo ~root | cat; (echo ~nosuch/x) & wait", "/root\n~nosuch/x\n", 0},
		{"printf '%s-%03d\\n' a 7 b 8", "a-007\nb-008\n", 0},
		{"printf -v v '%x' 255; echo $v", "ff\n", 0},
		{"IFS=: read -r a b <<< 'x:y:z'; echo $a,$b", "x,y:z\n", 0},
		{"read -r -d '' v <<EOF || true\nl1\nl2\nEOF\necho \"$v\"", "l1\nl2\n", 0},
		{"read -t 0.05 x < <(sleep 5); echo $?", "142\n", 0},
		{"echo 'echo sourced $1' > /tmp/s.sh; . /tmp/s.sh arg", "sourced arg\n", 0},
		{"echo 'return 5' > /tmp/r.sh; . /tmp/r.sh; echo $?", "5\n", 0},
		{"eval 'echo $((1+2))'; eval 'cat <(echo e)'", "3\ne\n", 0},
		{"bash -c 'echo $0 $1' name arg", "name arg\n", 0},
		{"bash -ec 'false; echo no'", "", 1},
		{"echo 'echo script $1; exit 6' | bash -s x; echo $?", "script x\n6\n", 0},
		{"echo $(basename ${BASH_SOURCE[0]:-none})", "bash\n", 0},
		{"shopt -s nullglob nocasematch; echo /nope/*; echo /etc/host*", "\n/etc/hostname /etc/hosts\n", 0},
		{"type ls; command -v ls; type -t cd; command -v nope", "ls is /usr/bin/ls\n/usr/bin/ls\nbuiltin\n", 1},
		{"nosuch", "", 127},
		{"/etc/passwd", "", 126},
		{"python3 -c 'print(1)'", "", 127},
		{"umask 077; touch /tmp/m; stat -c %a /tmp/m; umask", "600\n0077\n", 0},
		{"echo -en 'a\\tb'", "a\tb", 0},
		{"unset ''; shift -1; echo alive", "alive\n", 0},
		{"declare -i n=3; local_() { local -r x=1; echo $x; }; local_", "1\n", 0},
		{"a=(1 2 3); echo ${a[@]:1} ${#a[@]}; declare -A m=([k]=v); echo ${m[k]}", "2 3 3\nv\n", 0},
		{"export FOO=bar; env | grep FOO; bash -c 'echo $FOO'", "FOO=bar\nbar\n", 0},
		{"timeout 0.05 sleep 10; echo $?", "124\n", 0},
		{"yes | head -n 1", "y\n", 0},
		{"true && echo 'a\nb' | while read x; do echo [$x]; done", "[a]\n[b]\n", 0},
		{"f() { f; }; f; echo after", "", 1},
		{"echo before; if", "before\n", 2},
	}
	for _, tc := range cases {
		want(t, c, tc.cmd, tc.out, tc.code)
	}
}

func fileIn(s *server, name string) string {
	b, err := os.ReadFile(filepath.Join(s.dir, rootName, filepath.FromSlash(name)))
	if err != nil {
		return fmt.Sprint(err)
	}
	return string(b)
}

var _ = io.EOF
