package provision

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/hostcmd"
)

// sleep waits.
func (r stepRun) sleep(ctx context.Context, p *config.Sleep) error {
	r.Story.Say("Sleeping %s...", p.Duration)
	return sleep(ctx, p.Duration)
}

// breakpoint waits for the person at the terminal. Where there is none, a bake must not hang.
func (r stepRun) breakpoint(ctx context.Context, p *config.Breakpoint) error {
	note := ""
	if p.Note != "" {
		note = ` with note "` + p.Note + `"`
	}
	switch {
	case p.Disable:
		r.Story.Say("Breakpoint%s is disabled; going on", note)
		return nil
	case r.Ask == nil:
		r.Story.Say("Breakpoint%s passed: there is no terminal to wait at", note)
		return nil
	}
	r.Story.Say("Pausing at breakpoint%s", note)
	_, err := r.Ask(ctx, "Press enter to continue.", true)
	return err
}

// shellLocal runs commands on this machine.
func (r stepRun) shellLocal(ctx context.Context, p *config.ShellLocal) error {
	out := r.output()
	defer out.Close()
	return hostcmd.ShellLocal(ctx, p, hostcmd.Shell{Env: append(r.packerEnv(), r.reachEnv()...), Dir: r.Dir, Out: out, Say: r.Story.Say})
}

// reachEnv tells programs on this machine how to reach the server, by SSH or WinRM.
func (o *Options) reachEnv() []string {
	v, prefix := o.Values, "TFBAKE_SSH_"
	if o.Communicator.Type == "winrm" {
		prefix = "TFBAKE_WINRM_"
	}
	var env []string
	for _, e := range [][2]string{
		{"HOST", v.Host}, {"USER", v.User}, {"PASSWORD", firstOf(o.Communicator.Password, v.Password, o.Target.Password)},
		{"PRIVATE_KEY_FILE", firstOf(o.Communicator.PrivateKeyFile, v.SSHPrivateKeyFile)},
	} {
		if e[1] != "" {
			env = append(env, prefix+e[0]+"="+e[1])
		}
	}
	if v.Port != 0 {
		env = append(env, fmt.Sprintf("%sPORT=%d", prefix, v.Port))
	}
	return env
}

// clearAuthorizedKeys takes the run's key out of the user's and root's authorized_keys (ssh_clear_authorized_keys). The
// key is found by its own text, so no other is touched.
func (o *Options) clearAuthorizedKeys(ctx context.Context) error {
	fields := strings.Fields(o.TemporaryKey)
	if !o.Communicator.ClearAuthorizedKeys || o.Comm == nil || o.Communicator.Type == "winrm" || len(fields) < 2 {
		return nil
	}
	o.Story.Say("Removing the run's key from authorized_keys...")
	// sed's delimiter is a comma: base64 has none.
	line := `for f in ~/.ssh/authorized_keys /root/.ssh/authorized_keys; do
if test -w "$f"; then sed -i '\,` + fields[1] + `,d' "$f"; elif sudo -n test -w "$f" 2>/dev/null; then sudo -n sed -i '\,` + fields[1] + `,d' "$f"; fi
done`
	// The last step may have restarted the server, or shut it down.
	r := stepRun{Options: o, last: true}
	return r.tidy(ctx, "the run's key in authorized_keys", startRetry, true, func() error { return r.quiet(ctx, line) })
}

// PublicKey returns the public half of a private key (PEM), as a line of authorized_keys.
func PublicKey(private []byte, comment string) (string, error) {
	signer, err := ssh.ParsePrivateKey(private)
	if err != nil {
		return "", fmt.Errorf("take the public key from a private one: %w", err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))) + " " + comment, nil
}
