//go:build unix

package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestHostileEnvironments bakes where somebody has left things that would change what terraform does, or where the ground
// is not as it should be. Each bake must succeed, or say what is wrong before it creates anything.
func TestHostileEnvironments(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	t.Parallel()
	env := func(kv ...string) func(*testing.T, *victim, *exec.Cmd) {
		return func(_ *testing.T, _ *victim, cmd *exec.Cmd) { cmd.Env = append(cmd.Env, kv...) }
	}
	umask := func(mask string) func(*testing.T, *victim, *exec.Cmd) {
		return func(_ *testing.T, _ *victim, cmd *exec.Cmd) {
			// the shell sets it and becomes tfbake
			cmd.Args = append([]string{"/bin/sh", "-c", "umask " + mask + `; exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
			cmd.Path = "/bin/sh"
		}
	}
	cases := []struct {
		name  string
		setup func(*testing.T, *victim, *exec.Cmd)
		fails string // what a bake that must fail says; "": it succeeds
	}{
		{name: "TF_CLI_ARGS", setup: env("TF_CLI_ARGS=-bogus", "TF_CLI_ARGS_init=-bogus", "TF_CLI_ARGS_apply=-target=nothing", "TF_CLI_ARGS_destroy=-bogus", "TF_CLI_ARGS_plan=-bogus")},
		{name: "TF_VAR", setup: env("TF_VAR_name=other", "TF_VAR_zone=NOWHERE", "TF_VAR_login_key_name=other", "TF_VAR_server_spec_code=other", "TF_VAR_region=US")},
		{name: "TF_LOG", setup: env("TF_LOG=TRACE", "TF_LOG_CORE=TRACE", "TF_LOG_PROVIDER=TRACE", "TF_LOG_PATH=trace.log")},
		{name: "TF_WORKSPACE", setup: env("TF_WORKSPACE=elsewhere", "TF_DATA_DIR=/nonexistent/data", "TF_INPUT=1", "TF_IN_AUTOMATION=", "TF_PLUGIN_CACHE_DIR=")},
		{name: "TF_REATTACH_PROVIDERS", setup: env("TF_REATTACH_PROVIDERS={nonsense", "TF_SKIP_PROVIDER_VERIFY=1", "TF_DISABLE_PLUGIN_TLS=1", "TF_STATE_PERSIST_INTERVAL=9999", "TF_PLUGIN_MAGIC_COOKIE=x")},
		{name: "dev_overrides", setup: func(t *testing.T, v *victim, cmd *exec.Cmd) {
			if os.Getenv("TFBAKE_KILL_PROVIDER") == officialProvider {
				t.Skip("the official provider is found through TF_CLI_CONFIG_FILE")
			}
			cmd.Env = slices.DeleteFunc(cmd.Env, func(kv string) bool { return strings.HasPrefix(kv, "TF_CLI_CONFIG_FILE=") })
			write(t, filepath.Join(v.dir, ".terraformrc"), `provider_installation {
				dev_overrides { "registry.terraform.io/navercloudplatform/ncloud" = "/nonexistent" }
				direct {}
			}`)
		}},
		{name: "other-account", setup: env("NCLOUD_ACCESS_KEY_ID=other"), fails: "the keys came from NCLOUD_ACCESS_KEY_ID"},
		{name: "other-region", setup: env("NCLOUD_SUPPORT_VPC=false", "NCLOUD_REGION=USWN", "NCLOUD_SITE=")},
		{name: "umask-000", setup: umask("000")},
		{name: "umask-077", setup: umask("077")},
		{name: "read-only-home", setup: func(t *testing.T, v *victim, cmd *exec.Cmd) {
			home := t.TempDir()
			if err := os.Chmod(home, 0o500); err != nil {
				t.Fatal(err)
			}
			cmd.Env = append(cmd.Env, "HOME="+home, "XDG_CACHE_HOME=/proc/nowhere", "XDG_CONFIG_HOME=/proc/nowhere")
		}},
		{name: "no-home", setup: func(t *testing.T, v *victim, cmd *exec.Cmd) {
			cmd.Env = slices.DeleteFunc(cmd.Env, func(kv string) bool {
				return strings.HasPrefix(kv, "HOME=") || strings.HasPrefix(kv, "XDG_") || strings.HasPrefix(kv, "USER=")
			})
		}},
		{name: "odd-directory", setup: func(t *testing.T, v *victim, cmd *exec.Cmd) {
			odd := filepath.Join(v.dir, `it's a "dir" ${HOME} %{if} $(id) \n ünï-한글 #;&`)
			if err := os.Mkdir(odd, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(v.dir, "bake.json"), filepath.Join(odd, "bake.json")); err != nil {
				t.Fatal(err)
			}
			v.dir, cmd.Dir = odd, odd
		}},
		{name: "symbolic-link", setup: func(t *testing.T, v *victim, cmd *exec.Cmd) {
			link := filepath.Join(t.TempDir(), "link")
			if err := os.Symlink(v.dir, link); err != nil {
				t.Fatal(err)
			}
			cmd.Dir = link
			cmd.Env = append(cmd.Env, "PWD="+link)
		}},
		{name: "locale", setup: env("LANG=tr_TR.UTF-8", "LC_ALL=ko_KR.EUC-KR", "LANGUAGE=ko", "TZ=Asia/Kathmandu", "TERM=dumb", "COLUMNS=1")},
		{name: "no-environment", setup: func(t *testing.T, v *victim, cmd *exec.Cmd) {
			cmd.Env = slices.DeleteFunc(cmd.Env, func(kv string) bool {
				name, _, _ := strings.Cut(kv, "=")
				return !slices.Contains([]string{"PATH", "TFBAKE_TEST_MAIN", "TF_CLI_CONFIG_FILE", "TFBAKE_SOURCE_CIDRS"}, name) && !strings.HasPrefix(name, "NCLOUD_")
			})
		}},
		{name: "old-terraform-first", setup: func(t *testing.T, v *victim, cmd *exec.Cmd) {
			bin := t.TempDir()
			write(t, filepath.Join(bin, "terraform"), "#!/bin/sh\necho 'Terraform v0.11.14'\n")
			if err := os.Chmod(filepath.Join(bin, "terraform"), 0o755); err != nil {
				t.Fatal(err)
			}
			cmd.Env = append(cmd.Env, "PATH="+bin+":"+os.Getenv("PATH"))
		}},
		{name: "broken-terraform", setup: func(t *testing.T, v *victim, cmd *exec.Cmd) {
			bin := t.TempDir()
			write(t, filepath.Join(bin, "terraform"), "#!/bin/sh\necho 'not what you think' >&2\nexit 3\n")
			if err := os.Chmod(filepath.Join(bin, "terraform"), 0o755); err != nil {
				t.Fatal(err)
			}
			cmd.Env = append(cmd.Env, "TFBAKE_TERRAFORM="+filepath.Join(bin, "terraform"))
		}, fails: "terraform"},
		{name: "read-only-directory", setup: func(t *testing.T, v *victim, cmd *exec.Cmd) {
			// a file where the directory should be stops root, too
			write(t, filepath.Join(v.dir, ".tfbake"), "")
		}, fails: ".tfbake"},
		{name: "proxy", setup: env("HTTPS_PROXY=http://127.0.0.1:1", "https_proxy=http://127.0.0.1:1", "ALL_PROXY=socks5://127.0.0.1:1", "NO_PROXY=127.0.0.1")},
		{name: "few-files", setup: func(t *testing.T, v *victim, cmd *exec.Cmd) {
			cmd.Args = append([]string{"/bin/sh", "-c", `ulimit -n 128; exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
			cmd.Path = "/bin/sh"
		}},
	}
	var names []string
	for _, c := range cases {
		names = append(names, c.name)
	}
	together(t, 8, names, func(t *testing.T, i int) {
		c := cases[i]
		v := newVictim(t, kvmWithDisk)
		args := []string{"run", "-keep-dir", "bake.json"}
		cmd := v.command(provided(args)...)
		c.setup(t, v, cmd)
		r := v.begin(cmd).wait()
		if c.fails != "" {
			if r.code == exitOK || !strings.Contains(r.stderr, c.fails) {
				t.Errorf("exit code %d, want a failure with word of %q:\n%s", r.code, c.fails, r.stderr)
			}
			if n := v.cloud.MutatingCalls(); n > 0 {
				t.Errorf("it fails only after %d calls that change something", n)
			}
			v.expectOnly(0)
			return
		}
		if r.code != exitOK {
			t.Fatalf("exit code %d:\n%s", r.code, r.stderr)
		}
		if strings.Count(r.stdout, "\n") != 1 {
			t.Errorf("standard output is more than the image's number: %q", r.stdout)
		}
		v.expectOnly(1)
		runs, _ := filepath.Glob(filepath.Join(strings.NewReplacer(`\`, `\\`, `[`, `\[`, `*`, `\*`, `?`, `\?`).Replace(v.dir), ".tfbake", "runs", "*"))
		if len(runs) != 1 {
			t.Fatalf("the run directory: %v", runs)
		}
		expectModes(t, runs[0])
		if logs, _ := filepath.Glob(filepath.Join(v.dir, "trace.log")); len(logs) > 0 {
			t.Error("somebody wrote a trace")
		}
		for line := range strings.Lines(r.stderr) {
			if !strings.HasPrefix(line, "==> ") && !strings.HasPrefix(line, "    ") && line != "\n" {
				t.Errorf("not a line of the story: %q", line)
			}
		}
	})
}

// expectModes: nobody but the owner may look into a run directory, whatever the umask. What runs there, and the modules that
// terraform lays down in .terraform, is behind its door.
func expectModes(t *testing.T, dir string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.Name() == ".terraform" {
			return filepath.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		} else {
			files++
		}
		if mode := info.Mode().Perm(); mode != want {
			t.Errorf("%s has mode %s, want %s", strings.TrimPrefix(path, dir), mode, want)
		}
		return nil
	})
	if err != nil || files < 8 {
		t.Errorf("%d files, %v", files, err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(fmt.Errorf("set the scene: %w", err))
	}
}
