package provision

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/hostcmd"
	"github.com/tfbake/tfbake/internal/tempdir"
	"golang.org/x/crypto/ssh"
)

// ansible runs this machine's ansible-playbook against the server, with a generated inventory.
//
// Ansible's own ssh reaches the server directly, or through a port of this machine that leads over our bastion or proxy. The
// password gets there without sshpass and without touching a disk or a command line: ssh asks a helper (SSH_ASKPASS) that
// prints an environment variable. The key is in a file that only this user can read, for as long as ansible runs. The host
// key is the one pinned at the first connection.
func (r stepRun) ansible(ctx context.Context, p *config.Ansible) error {
	command := firstOf(p.Command, "ansible-playbook")
	if _, err := exec.LookPath(command); err != nil {
		return fmt.Errorf("%w; install ansible on this machine (the server needs python only), or set command to its path", err)
	}
	dir, remove, err := tempdir.Make()
	if err != nil {
		return err
	}
	defer remove()
	a := ansibleRun{stepRun: r, p: p, dir: dir}

	if p.GalaxyFile != "" {
		if err := a.galaxy(ctx); err != nil {
			return err
		}
	}
	stop, err := a.way(ctx)
	if err != nil {
		return err
	}
	defer stop()
	inventory, err := a.inventory()
	if err != nil {
		return err
	}
	if p.InventoryFile == "" && !p.KeepInventoryFile {
		defer os.Remove(inventory)
	}
	env, err := a.env()
	if err != nil {
		return err
	}
	args := a.args(inventory)
	r.Story.Say("Executing ansible: %s %s", command, strings.Join(args, " "))
	return a.run(ctx, command, args, env)
}

// ansibleRun is one ansible provisioner at work.
type ansibleRun struct {
	stepRun
	p    *config.Ansible
	dir  string // private, removed afterwards
	host string
	port int
}

func (a *ansibleRun) winrm() bool { return a.Communicator.Type == "winrm" }

func (a *ansibleRun) run(ctx context.Context, command string, args, env []string) error {
	out := a.output()
	defer out.Close()
	exit, err := hostcmd.Run(ctx, hostcmd.Command{Path: command, Args: args, Env: env, Dir: a.Dir, Out: out, NoTerminal: true})
	if err != nil {
		return err
	}
	if exit != 0 {
		return fmt.Errorf("%s exited with %d", filepath.Base(command), exit)
	}
	return nil
}

// way finds the address that ansible connects to.
func (a *ansibleRun) way(ctx context.Context) (stop func(), err error) {
	stop = func() {}
	a.host = firstOf(a.Communicator.Host, a.Target.Host)
	a.port = a.Communicator.Port
	for _, p := range []int{a.Target.Port, a.Values.Port} {
		if a.port == 0 {
			a.port = p
		}
	}
	s, ok := a.Comm.(*sshComm)
	if !ok || s.bastion == nil && s.c.ProxyHost == "" && (a.Target.Dial == nil || s.listensThere(ctx)) {
		return stop, nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return stop, fmt.Errorf("open a way for ansible: %w", err)
	}
	go serveTunnel(l, func() (net.Conn, error) {
		conn, failed := s.dial(ctx)
		if failed != nil {
			return nil, failed.Err
		}
		return conn, nil
	})
	addr := l.Addr().(*net.TCPAddr)
	a.host, a.port = addr.IP.String(), addr.Port
	return func() { l.Close() }, nil
}

// listensThere tells whether a simulated server answers at its own address, not only through our dialler. Its host key
// decides: another SSH server of this machine may listen on all addresses.
func (s *sshComm) listensThere(ctx context.Context) bool {
	pin := s.t.Pin.get()
	if host, err := netip.ParseAddrPort(s.addr); err != nil || !host.Addr().IsLoopback() || pin == nil {
		return false
	}
	const look = 5 * time.Second
	d := net.Dialer{Timeout: look}
	conn, err := d.DialContext(ctx, "tcp", s.addr)
	if err != nil {
		return false
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(look))
	found := false
	c := sshConfig(s.user, s.c.Ciphers, s.c.KeyExchangeAlgorithms)
	c.HostKeyCallback = func(_ string, _ net.Addr, key ssh.PublicKey) error {
		found = sameKey(key, pin)
		return errors.New("seen enough")
	}
	ssh.NewClientConn(conn, s.addr, c)
	return found
}

// inventory writes the inventory, unless the template brings its own.
func (a *ansibleRun) inventory() (string, error) {
	if a.p.InventoryFile != "" {
		return a.p.InventoryFile, nil
	}
	alias := firstOf(a.p.HostAlias, "default")
	line := "{{.HostAlias}} ansible_host={{.Host}} ansible_user={{.User}} ansible_port={{.Port}}\n"
	if a.winrm() {
		scheme := "http"
		if a.Communicator.UseSSL {
			scheme = "https"
		}
		line = strings.TrimSuffix(line, "\n") + " ansible_connection=winrm ansible_winrm_scheme=" + scheme
		if a.Communicator.UseNTLM {
			line += " ansible_winrm_transport=ntlm"
		}
		if a.Communicator.Insecure {
			line += " ansible_winrm_server_cert_validation=ignore"
		}
		// Looked up when ansible needs it, so the file holds no secret.
		line += ` ansible_password="{{"{{"}} lookup('env', 'TFBAKE_WINRM_PASSWORD') {{"}}"}}"` + "\n"
	}
	host, err := renderLater("inventory_file_template", firstOf(a.p.InventoryFileTemplate, line), map[string]string{
		"HostAlias": alias, "Host": a.host, "User": a.user(), "Port": strconv.Itoa(a.port),
	})
	if err != nil {
		return "", err
	}
	text := strings.TrimSuffix(host, "\n") + "\n"
	for _, g := range a.p.Groups {
		text += fmt.Sprintf("[%s]\n%s", g, strings.TrimSuffix(host, "\n")+"\n")
	}
	for _, g := range a.p.EmptyGroups {
		text += fmt.Sprintf("[%s]\n", g)
	}
	dir := a.p.InventoryDirectory
	if dir == "" && a.p.KeepInventoryFile {
		dir = os.TempDir()
	}
	f, err := os.CreateTemp(firstOf(dir, a.dir), "tfbake-inventory-")
	if err != nil {
		return "", fmt.Errorf("write the inventory: %w", err)
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("write the inventory: %w", err)
	}
	if a.p.KeepInventoryFile {
		a.Story.Info("the inventory is kept: %s", f.Name())
	}
	return f.Name(), nil
}

func (a *ansibleRun) user() string {
	return firstOf(a.p.User, a.Communicator.Username, a.Target.User, a.Values.User)
}

// args are ansible-playbook's arguments; none of them is secret.
func (a *ansibleRun) args(inventory string) []string {
	args := []string{"-e", "packer_build_name=" + strconv.Quote(a.Values.BuildName), "-e", "packer_builder_type=" + a.Values.BuilderType}
	if len(a.p.SSHExtraArgs) > 0 {
		args = append(args, "--ssh-extra-args", strings.Join(a.p.SSHExtraArgs, " "))
	}
	if a.p.LimitTo != "" {
		args = append(args, "--limit", a.p.LimitTo)
	}
	args = append(args, a.p.ExtraArguments...)
	return append(args, "-i", inventory, a.p.PlaybookFile)
}

// env is ansible's environment: how its ssh logs in, without asking anybody.
func (a *ansibleRun) env() ([]string, error) {
	env := append(a.packerEnv(), "PYTHONUNBUFFERED=1", "ANSIBLE_RETRY_FILES_ENABLED=False")
	env = append(env, a.reachEnv()...)
	if a.winrm() {
		return append(env, a.p.AnsibleEnvVars...), nil
	}
	// In ssh the first word on an option counts, and ANSIBLE_SSH_ARGS come before those by which ansible, knowing of no
	// password, would forbid its use.
	opts := []string{"-o", "ControlMaster=auto", "-o", "ControlPersist=10s"}
	if !a.Communicator.AgentAuth {
		opts = append(opts, "-o", "IdentitiesOnly=yes")
	}
	if s, ok := a.Comm.(*sshComm); ok {
		if s.t.Pin.get() != nil {
			known := filepath.Join(a.dir, "known_hosts")
			if err := os.WriteFile(known, []byte("tfbake "+s.t.Pin.line()+"\n"), 0o600); err != nil {
				return nil, err
			}
			opts = append(opts, "-o", "UserKnownHostsFile="+known, "-o", "GlobalKnownHostsFile=/dev/null", "-o", "HostKeyAlias=tfbake", "-o", "StrictHostKeyChecking=yes")
		}
		ways := []string{}
		for i, text := range [][]byte{a.keyFromFile(), a.Target.PrivateKey} {
			if len(text) == 0 {
				continue
			}
			name := filepath.Join(a.dir, fmt.Sprintf("key%d", i))
			if err := os.WriteFile(name, text, 0o600); err != nil {
				return nil, err
			}
			opts = append(opts, "-o", "IdentityFile="+name)
			if i == 0 && a.Communicator.CertificateFile != "" {
				opts = append(opts, "-o", "CertificateFile="+expandHome(a.Communicator.CertificateFile))
			}
			ways = append(ways, "publickey")
		}
		if a.Communicator.AgentAuth {
			ways = append(ways, "publickey")
		}
		if s.c.Password != "" {
			ways = append(ways, "password", "keyboard-interactive")
			ask := filepath.Join(a.dir, "askpass")
			if err := os.WriteFile(ask, []byte("#!/bin/sh\nprintf '%s\\n' \"$TFBAKE_SSH_PASSWORD\"\n"), 0o700); err != nil {
				return nil, err
			}
			opts = append(opts, "-o", "PasswordAuthentication=yes", "-o", "KbdInteractiveAuthentication=yes", "-o", "NumberOfPasswordPrompts=1")
			env = append(env, "TFBAKE_SSH_PASSWORD="+s.c.Password, "SSH_ASKPASS="+ask, "SSH_ASKPASS_REQUIRE=force", "DISPLAY="+firstOf(os.Getenv("DISPLAY"), "none:0"))
		}
		opts = append(opts, "-o", "PreferredAuthentications="+strings.Join(slices.Compact(ways), ","))
	}
	env = append(env, "ANSIBLE_SSH_ARGS="+strings.Join(opts, " "), "ANSIBLE_SSH_CONTROL_PATH_DIR="+filepath.Join(a.dir, "cp"))
	return append(env, a.p.AnsibleEnvVars...), nil
}

// keyFromFile is the template's own key, copied so that its permissions cannot be the reason that ssh refuses it.
func (a *ansibleRun) keyFromFile() []byte {
	if a.Communicator.PrivateKeyFile == "" {
		return nil
	}
	text, err := os.ReadFile(expandHome(a.Communicator.PrivateKeyFile))
	if err != nil {
		return nil // Connect has read it, and would have said so
	}
	return text
}

var rolesOrCollections = regexp.MustCompile(`(?m)^(roles|collections):`)

// galaxy installs what the requirements file names: roles, collections or both.
func (a *ansibleRun) galaxy(ctx context.Context) error {
	text, err := os.ReadFile(a.p.GalaxyFile)
	if err != nil {
		return fmt.Errorf("galaxy_file: %w", err)
	}
	kinds := map[string]bool{}
	for _, m := range rolesOrCollections.FindAllStringSubmatch(string(text), -1) {
		kinds[m[1]] = true
	}
	if len(kinds) == 0 {
		kinds["roles"] = true // the old form is a plain list of roles
	}
	command := firstOf(a.p.GalaxyCommand, "ansible-galaxy")
	for _, k := range []struct{ kind, sub, flag, path string }{
		{"roles", "role", "--roles-path", a.p.RolesPath}, {"collections", "collection", "--collections-path", a.p.CollectionsPath},
	} {
		if !kinds[k.kind] {
			continue
		}
		args := []string{k.sub, "install", "-r", a.p.GalaxyFile}
		if k.path != "" {
			args = append(args, k.flag, k.path)
		}
		if a.p.GalaxyForceInstall {
			args = append(args, "--force")
		}
		if a.p.GalaxyForceWithDeps {
			args = append(args, "--force-with-deps")
		}
		a.Story.Say("Executing ansible galaxy: %s %s", command, strings.Join(args, " "))
		if err := a.run(ctx, command, args, a.p.AnsibleEnvVars); err != nil {
			return err
		}
	}
	return nil
}
