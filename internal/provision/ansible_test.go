//go:build unix

package provision

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/redact"
	"golang.org/x/crypto/ssh"
)

// fakeAnsible stands for ansible-playbook: it shows what it was given.
func fakeAnsible(t *testing.T, script string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "ansible-playbook")
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestAnsible(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	playbook := filepath.Join(t.TempDir(), "play.yml")
	os.WriteFile(playbook, []byte("[]\n"), 0o600)
	key, _ := newKeyPEM(t)
	command := fakeAnsible(t, `
for a; do echo "arg <$a>"; test "$last" = -i && { echo inventory; cat "$a"; stat -c "mode %a" "$a"; }; last=$a; done
echo "ssh: $ANSIBLE_SSH_ARGS"
echo "extra: $EXTRA"
for o in $ANSIBLE_SSH_ARGS; do case $o in
UserKnownHostsFile=*) echo "known: $(cat "${o#*=}")";;
IdentityFile=*) echo "key $(stat -c %a "${o#*=}"): $(head -1 "${o#*=}")";;
esac; done
echo "askpass says: $("$SSH_ASKPASS") forced: $SSH_ASKPASS_REQUIRE"
`)
	s := startServer(t)
	r := newRunner(t, s, template(t, `[{"type": "ansible", "command": `+quote(command)+`, "playbook_file": `+quote(playbook)+`,
		"extra_arguments": ["-v", "--extra-vars", "a=b c"], "groups": ["web"], "empty_groups": ["none"], "host_alias": "target", "limit": "target",
		"ansible_env_vars": ["EXTRA=yes"], "ansible_ssh_extra_args": ["-o", "Compression=yes"]}]`))
	r.Target.PrivateKey, r.Target.Pin = key, r.Comm.(*sshComm).t.Pin
	if err := r.run(t); err != nil {
		t.Fatalf("%v\n%s", err, r.story)
	}
	pin := r.Target.Pin.line()
	host := regexp.QuoteMeta("target ansible_host=127.0.0.1 ansible_user=root ansible_port=" + s.addr()[len("127.0.0.1:"):])
	for _, want := range []string{
		`(?s)arg <-e>.*arg <packer_build_name="web">.*arg <packer_builder_type=ncloud>.*arg <--ssh-extra-args>.*arg <-o Compression=yes>.*arg <--limit>.*arg <target>.*arg <-v>.*arg <--extra-vars>.*arg <a=b c>.*arg <-i>.*arg <` + regexp.QuoteMeta(playbook) + `>`,
		`(?s)inventory\n\s*` + host + `\n\s*\[web\]\n\s*` + host + `\n\s*\[none\]\n\s*mode 600`,
		`known: tfbake ` + regexp.QuoteMeta(string(pin)),
		`key 600: -----BEGIN OPENSSH PRIVATE KEY-----`,
		`askpass says: ` + redact.Mask + ` forced: force`,
		`StrictHostKeyChecking=yes`, `PreferredAuthentications=publickey,password,keyboard-interactive`, `extra: yes`,
	} {
		if !regexp.MustCompile(want).MatchString(r.story.String()) {
			t.Errorf("the story lacks %s:\n%s", want, r.story)
		}
	}
	if left, _ := filepath.Glob(os.Getenv("TMPDIR") + "/tfbake-*"); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}

	r.Steps = template(t, `[{"type": "ansible", "command": `+quote(fakeAnsible(t, "exit 4"))+`, "playbook_file": `+quote(playbook)+`}]`).Steps
	if err := r.run(t); err == nil || !strings.Contains(err.Error(), "ansible-playbook exited with 4") {
		t.Errorf("got %v", err)
	}
	r.Steps = template(t, `[{"type": "ansible", "command": "/no/ansible-playbook", "playbook_file": `+quote(playbook)+`}]`).Steps
	if err := r.run(t); err == nil || !strings.Contains(err.Error(), "install ansible on this machine") {
		t.Errorf("got %v", err)
	}
}

// Where only tfbake knows the way to the server, ansible gets a port of this machine that leads there.
func TestAnsibleThroughOurWay(t *testing.T) {
	t.Parallel()
	playbook := filepath.Join(t.TempDir(), "play.yml")
	os.WriteFile(playbook, []byte("[]\n"), 0o600)
	inventory := filepath.Join(t.TempDir(), "saved")
	command := fakeAnsible(t, `for a; do test "$last" = -i && cp "$a" `+inventory+`; last=$a; done; while test -e `+inventory+`; do sleep 0.02; done`)
	s := startServer(t)
	r := newRunner(t, s, template(t, `[{"type": "ansible", "command": `+quote(command)+`, "playbook_file": `+quote(playbook)+`}]`))
	target := s.target()
	target.Host, target.Port = "203.0.113.9", 22
	target.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr != "203.0.113.9:22" {
			t.Errorf("dialled %s", addr)
		}
		return net.Dial("tcp", s.addr())
	}
	c, err := tryConnect(t, target, config.Communicator{})
	if err != nil {
		t.Fatal(err)
	}
	r.Comm, r.Target = c, target
	done := make(chan error, 1)
	go func() { done <- Run(t.Context(), r.Options) }()
	var text []byte
	for deadline := time.Now().Add(10 * time.Second); len(text) == 0 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		text, _ = os.ReadFile(inventory)
	}
	m := regexp.MustCompile(`ansible_host=127\.0\.0\.1 .* ansible_port=(\d+)`).FindStringSubmatch(string(text))
	if m == nil {
		t.Fatalf("inventory: %s", text)
	}
	conn, err := ssh.Dial("tcp", "127.0.0.1:"+m[1], &ssh.ClientConfig{User: "root", Auth: []ssh.AuthMethod{ssh.Password(testPassword)}, HostKeyCallback: ssh.FixedHostKey(c.(*sshComm).t.Pin.get())})
	if err != nil {
		t.Errorf("no way through: %v", err)
	} else {
		conn.Close()
	}
	os.Remove(inventory)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Where a simulated server listens at its own address, ansible goes there, and not where another server listens.
func TestAnsibleDirect(t *testing.T) {
	t.Parallel()
	playbook := filepath.Join(t.TempDir(), "play.yml")
	os.WriteFile(playbook, []byte("[]\n"), 0o600)
	command := fakeAnsible(t, `for a; do test "$last" = -i && cat "$a"; last=$a; done`)
	s, other := startServer(t), startServer(t)
	for _, c := range []struct {
		name   string
		at     *testServer
		direct bool
	}{{"its own", s, true}, {"another server's", other, false}} {
		t.Run(c.name, func(t *testing.T) {
			r := newRunner(t, s, template(t, `[{"type": "ansible", "command": `+quote(command)+`, "playbook_file": `+quote(playbook)+`}]`))
			target := s.target()
			target.Port = c.at.port()
			target.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) { return net.Dial("tcp", s.addr()) }
			comm, err := tryConnect(t, target, config.Communicator{})
			if err != nil {
				t.Fatal(err)
			}
			r.Comm, r.Target = comm, target
			if err := r.run(t); err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf("ansible_host=127.0.0.1 ansible_user=root ansible_port=%d\n", target.Port)
			if strings.Contains(r.story.String(), want) != c.direct {
				t.Errorf("direct must be %v:\n%s", c.direct, r.story)
			}
		})
	}
}

func TestAnsibleGalaxyAndInventories(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		name = filepath.Join(dir, name)
		os.WriteFile(name, []byte(text), 0o700)
		return name
	}
	playbook := write("play.yml", "[]\n")
	mine := write("mine", "me\n")
	galaxy := write("galaxy", "#!/bin/sh\necho galaxy \"$@\"\n")
	both := write("both.yml", "---\nroles:\n- a\ncollections:\n- b.c\n")
	old := write("old.yml", "- src: a\n")
	show := fakeAnsible(t, `for a; do test "$last" = -i && { echo "using $a:"; cat "$a"; }; last=$a; done`)
	s := startServer(t)
	run := func(more string) string {
		t.Helper()
		r := newRunner(t, s, template(t, `[{"type": "ansible", "command": `+quote(show)+`, "galaxy_command": `+quote(galaxy)+`, "playbook_file": `+quote(playbook)+more+`}]`))
		if err := r.run(t); err != nil {
			t.Fatal(err)
		}
		return r.story.String()
	}
	check := func(story string, wants ...string) {
		t.Helper()
		for _, want := range wants {
			if !strings.Contains(story, want) {
				t.Errorf("the story lacks %q:\n%s", want, story)
			}
		}
	}
	check(run(`, "galaxy_file": `+quote(both)+`, "roles_path": "r", "collections_path": "c", "galaxy_force_install": true`),
		"galaxy role install -r "+both+" --roles-path r --force\n", "galaxy collection install -r "+both+" --collections-path c --force\n")
	if story := run(`, "galaxy_file": ` + quote(old)); strings.Contains(story, "collection install") || !strings.Contains(story, "galaxy role install -r "+old+"\n") {
		t.Errorf("story:\n%s", story)
	}
	check(run(`, "inventory_file": `+quote(mine)), "using "+mine+":\n", "me\n")
	check(run(`, "inventory_file_template": "{{.HostAlias}} at {{.Host}}"`), "default at 127.0.0.1\n")
	check(run(`, "keep_inventory_file": true, "inventory_directory": `+quote(dir)), "using "+dir+"/tfbake-inventory-")
	if kept, _ := filepath.Glob(dir + "/tfbake-inventory-*"); len(kept) != 1 {
		t.Errorf("kept: %q", kept)
	}

	w := startWindows(t, false)
	o, story, runWindows := windowsRunner(t, w, `[{"type": "ansible", "command": `+quote(show)+`, "playbook_file": `+quote(playbook)+`}]`)
	o.Communicator.UseNTLM = true
	if err := runWindows(); err != nil {
		t.Fatal(err)
	}
	check(story.String(), "ansible_user=Administrator", "ansible_connection=winrm ansible_winrm_scheme=http ansible_winrm_transport=ntlm",
		`ansible_password="{{ lookup('env', 'TFBAKE_WINRM_PASSWORD') }}"`)
}

func TestShellLocalKnowsTheServer(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	r := newRunner(t, s, template(t, `[{"type": "shell-local", "inline": ["echo $TFBAKE_SSH_HOST:$TFBAKE_SSH_PORT $TFBAKE_SSH_USER $TFBAKE_SSH_PASSWORD $PACKER_BUILD_NAME"]}]`))
	if err := r.run(t); err != nil {
		t.Fatal(err)
	}
	if want := s.addr() + " root " + redact.Mask + " web\n"; !strings.Contains(r.story.String(), want) {
		t.Errorf("the story lacks %q:\n%s", want, r.story)
	}
}

func TestClearAuthorizedKeys(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	_, ours := newKeyPEM(t)
	_, other := newKeyPEM(t)
	line := func(k ssh.PublicKey) string { return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k))) }
	os.Mkdir(home+"/.ssh", 0o700)
	os.WriteFile(home+"/.ssh/authorized_keys", []byte(line(other)+" me\n"+line(ours)+" packer\n"), 0o600)
	s := startServer(t)
	r := newRunner(t, s, template(t, `[]`))
	r.Communicator.ClearAuthorizedKeys, r.TemporaryKey = true, line(ours)
	// Only the user's own file: this machine's root is not a test's to touch.
	s.exec = nil
	if _, err := os.Stat("/root/.ssh/authorized_keys"); err == nil && home != "/root" {
		t.Skip("this machine's root has an authorized_keys")
	}
	if err := r.run(t); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(home + "/.ssh/authorized_keys"); string(got) != line(other)+" me\n" {
		t.Errorf("left: %s", got)
	}
}
