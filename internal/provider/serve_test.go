package provider

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestReattachIsPrivateAndLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stops []func()
	sockets := map[string]bool{}
	for range 3 { // several at once
		info, stop, err := Reattach(ctx, Options{})
		if err != nil {
			t.Fatal(err)
		}
		stops = append(stops, stop)
		for _, address := range Addresses {
			c, ok := info[address]
			if !ok || c.Protocol != "grpc" || c.ProtocolVersion != 6 || c.Pid != os.Getpid() || !c.Test {
				t.Fatalf("%s: %+v", address, c)
			}
			sockets[c.Addr.String] = true
		}
	}
	if len(sockets) != 3 {
		t.Fatalf("sockets %v, want one each", sockets)
	}
	for s := range sockets {
		if runtime.GOOS != "windows" {
			dir, err := os.Stat(filepath.Dir(s))
			if err != nil || dir.Mode().Perm() != 0o700 {
				t.Errorf("%s: %v, %v; want a directory of mode 0700", s, dir.Mode(), err)
			}
			if len(s) > 100 {
				t.Errorf("socket path of %d bytes: %s", len(s), s)
			}
		}
		c, err := net.Dial("unix", s)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	stops[0]()
	stops[0]()
	cancel() // ends the others
	for _, stop := range stops {
		stop()
	}
	for s := range sockets {
		if _, err := os.Stat(filepath.Dir(s)); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", filepath.Dir(s), err)
		}
	}
	deadline := time.Now().Add(5 * time.Second)
	for runtime.NumGoroutine() > before && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > before {
		buf := make([]byte, 1<<16)
		t.Errorf("%d goroutines, %d before:\n%s", n, before, buf[:runtime.Stack(buf, true)])
	}
}

// A process that is killed leaves its socket: in the run directory, which is cleaned up, wherever that may be.
func TestReattachInRunDir(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no unix sockets there")
	}
	temp, err := os.MkdirTemp("/tmp", "run-") // t.TempDir may be deep
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(temp) })
	t.Setenv("TMPDIR", temp)
	open := filepath.Join(temp, "open")
	deep := filepath.Join(temp, strings.Repeat("d", 120))
	for _, dir := range []string{open, deep} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for dir, inside := range map[string]bool{temp: true, deep: false, open: false} {
		if dir == deep {
			os.Chmod(deep, 0o700)
		}
		var stops []func()
		for range 2 { // a killed one's socket is in nobody's way
			info, stop, err := Reattach(t.Context(), Options{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			stops = append(stops, stop)
			if got := filepath.Dir(info[Addresses[0]].Addr.String) == dir; got != inside {
				t.Errorf("the socket for %s is %s", dir, info[Addresses[0]].Addr.String)
			}
		}
		for _, stop := range stops {
			stop()
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*")); dir != temp && len(left) > 0 || len(left) > 2 {
			t.Errorf("left in %s: %q", dir, left)
		}
	}
}

func TestReattachInADeepTempDir(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no unix sockets there")
	}
	deep := filepath.Join(t.TempDir(), strings.Repeat("d", 120))
	if err := os.Mkdir(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", deep)
	_, stop, err := Reattach(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	stop()
}

// findTerraform is the terraform (or tofu) of the PATH; without one the tests that need it are skipped.
func findTerraform(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"terraform", "tofu"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("needs terraform or tofu in the PATH")
	return ""
}

// Terraform itself reads the schema over the wire, from both flavours at once.
func TestTerraformReadsTheSchema(t *testing.T) {
	bin := findTerraform(t)
	for _, f := range []Flavour{VPC, Classic} {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			info, stop, err := Reattach(t.Context(), Options{Flavour: f})
			if err != nil {
				t.Fatal(err)
			}
			defer stop()
			w := newWorkspace(t, bin, f, `data "ncloud_zones" "z" {}`)
			w.reattach(info)
			w.run("init")
			var got struct {
				Schemas map[string]struct {
					Resources   map[string]any `json:"resource_schemas"`
					DataSources map[string]any `json:"data_source_schemas"`
				} `json:"provider_schemas"`
			}
			if err := json.Unmarshal([]byte(w.run("providers", "schema", "-json")), &got); err != nil {
				t.Fatal(err)
			}
			want := readOfficial(t, f)
			for address, s := range got.Schemas {
				if len(s.Resources) != len(want.Resources) || len(s.DataSources) != len(want.DataSources) {
					t.Errorf("%s: %d resources and %d data sources, want %d and %d", address, len(s.Resources), len(s.DataSources), len(want.Resources), len(want.DataSources))
				}
			}
			if len(got.Schemas) != 1 {
				t.Errorf("providers %v", got.Schemas)
			}
		})
	}
}

// workspace is a root module with a terraform to run in it.
type workspace struct {
	t   *testing.T
	bin string
	dir string
	env []string
}

func newWorkspace(t *testing.T, bin string, f Flavour, config string) *workspace {
	t.Helper()
	w := &workspace{t: t, bin: bin, dir: t.TempDir()}
	// Nothing of the user's own settings.
	cli := filepath.Join(w.dir, "cli.tfrc")
	w.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + w.dir, "TF_CLI_CONFIG_FILE=" + cli, "TF_IN_AUTOMATION=1", "TF_INPUT=0", "CHECKPOINT_DISABLE=1"}
	w.write("cli.tfrc", "")
	w.write("versions.tf", `
terraform {
  required_providers {
    ncloud = {
      source  = "NaverCloudPlatform/ncloud"
      version = "`+f.Version()+`"
    }
  }
}

provider "ncloud" {
  support_vpc = `+map[Flavour]string{VPC: "true", Classic: "false"}[f]+`
}
`)
	w.write("main.tf", config)
	return w
}

func (w *workspace) write(name, content string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *workspace) reattach(info map[string]ReattachConfig) {
	w.t.Helper()
	v, err := json.Marshal(info)
	if err != nil {
		w.t.Fatal(err)
	}
	w.env = append(w.env, "TF_REATTACH_PROVIDERS="+string(v))
}

func (w *workspace) command(args ...string) *exec.Cmd {
	cmd := exec.Command(w.bin, args...)
	cmd.Dir, cmd.Env = w.dir, w.env
	return cmd
}

// run runs terraform and fails the test when that fails; it returns what was printed.
func (w *workspace) run(args ...string) string {
	w.t.Helper()
	out, err := w.try(args...)
	if err != nil {
		w.t.Fatalf("terraform %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (w *workspace) try(args ...string) (string, error) {
	cmd := w.command(args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return string(out) + stderr.String(), err
	}
	return string(out), nil
}

func TestStartedByTerraform(t *testing.T) {
	cookie := func(v string) func(string) string {
		return func(name string) string {
			if name == "TF_PLUGIN_MAGIC_COOKIE" {
				return v
			}
			return ""
		}
	}
	exe := ""
	if runtime.GOOS == "windows" {
		exe = ".exe"
	}
	for _, c := range []struct {
		program, cookie string
		flavour         Flavour
		ok              bool
	}{
		{"/x/terraform-provider-ncloud_v4.0.5" + exe, cookieValue, VPC, true},
		{"terraform-provider-ncloud_v3.3.2" + exe, cookieValue, Classic, true},
		{"/usr/bin/tfbake", cookieValue, VPC, false}, // tfbake run by some plugin
		{"terraform-provider-ncloud_v4.0.5" + exe, "", VPC, false},
	} {
		if f, ok := pluginFlavour(c.program, cookie(c.cookie)); f != c.flavour || ok != c.ok {
			t.Errorf("%s: %v, %v", c.program, f, ok)
		}
	}
}

func TestInstallMirror(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte("one"), 0o755); err != nil {
		t.Fatal(err)
	}
	run := filepath.Join(dir, "run")
	path, err := installMirror(run, Classic, program)
	if err != nil {
		t.Fatal(err)
	}
	want := filepath.Join(run, "terraform.d/plugins/registry.terraform.io/navercloudplatform/ncloud/3.3.2", runtime.GOOS+"_"+runtime.GOARCH, pluginName(Classic))
	if path != want {
		t.Errorf("path %s, want %s", path, want)
	}
	check := func(content string) {
		t.Helper()
		for _, p := range []string{path, strings.Replace(path, "registry.terraform.io", "registry.opentofu.org", 1)} {
			b, err := os.ReadFile(p)
			if err != nil || string(b) != content {
				t.Errorf("%s: %q, %v; want %q", p, b, err, content)
			}
			if i, err := os.Stat(p); err == nil && i.Mode()&0o100 == 0 && runtime.GOOS != "windows" {
				t.Errorf("%s cannot be run: %v", p, i.Mode())
			}
		}
	}
	check("one")
	// Another program takes the place of the first; the one it was linked to is not touched.
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, []byte("two"), 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := installMirror(run, Classic, other); err != nil {
			t.Fatal(err)
		}
		check("two")
	}
	if b, _ := os.ReadFile(program); string(b) != "one" {
		t.Errorf("the first program became %q", b)
	}
}
