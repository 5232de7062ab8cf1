//go:build unix

package terraform_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/localcloud"
	"github.com/tfbake/tfbake/internal/ncloud"
	"github.com/tfbake/tfbake/internal/provider"
	"github.com/tfbake/tfbake/internal/render"
	"github.com/tfbake/tfbake/internal/terraform"
)

// The rendered module against the simulated cloud, through the real terraform: with the embedded provider, and, where
// TFBAKE_TEST_OFFICIAL names a CLI configuration with a mirror of them, with the official providers 4.0.5 and 3.3.2.

type story struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *story) Info(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(&s.b, format+"\n", args...)
}

func (s *story) String() string { s.mu.Lock(); defer s.mu.Unlock(); return s.b.String() }

func TestBakeServers(t *testing.T) {
	ctx := t.Context()
	bin, err := terraform.Find(ctx, terraform.FindOptions{})
	if err != nil {
		t.Skip(err)
	}
	cloud, err := localcloud.Start(ctx, localcloud.Options{Dir: t.TempDir(), HighPorts: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cloud.Close() }) // after the parallel subtests
	access, secret := cloud.Credentials()
	api, err := ncloud.New(ncloud.Options{Endpoint: cloud.Endpoint(), Credentials: ncloud.Credentials{AccessKey: access, SecretKey: secret}, RegionCode: "KR"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	subnets, err := api.VPC.GetSubnetList(ctx, ncloud.SubnetFilter{Type: "PUBLIC"})
	if err != nil || len(subnets) == 0 {
		t.Fatalf("public subnets: %v, %v", subnets, err)
	}
	subnet := subnets[0]

	base := config.Resolved{
		Site: "public", RegionCode: "KR", ZoneCode: "KR-1", OS: "linux", CommPort: 22, SourceCIDRs: []string{"127.0.0.1/32"}, PublicIP: true,
		VPCNo: subnet.VPCNo, SubnetNo: subnet.No, ImageName: "web", InitScript: "#!/bin/sh\necho ${HOME} > /root/x\ntrue\n",
	}
	kvm := base
	kvm.Platform, kvm.Hypervisor, kvm.ServerImageNumber, kvm.ServerSpecCode = config.VPC, config.KVM, "23214590", "s2-g3"
	kvm.BlockStorageSize, kvm.BlockStorageVolumeType = 20, "FB1"
	xen := base
	xen.Platform, xen.Hypervisor = config.VPC, config.XEN
	xen.ServerImageProductCode, xen.ServerProductCode = "SW.VSVR.OS.LNX64.CNTOS.0708.B050", "SVR.VSVR.CPU.C002.M004.NET.SSD.B050.G002"
	xen.BlockStorageSize, xen.BlockStorageVolumeType = 10, "HDD"
	bare := kvm // the least: private, nothing opened, no disk, no script
	bare.PublicIP, bare.CommPort, bare.SourceCIDRs, bare.InitScript, bare.BlockStorageSize = false, 0, nil, "", 0
	classic := base
	classic.Platform, classic.RegionNo, classic.ZoneNo = config.Classic, "1", "2"
	classic.ServerImageProductCode, classic.ServerProductCode = "SPSW0LINUX000139", "SPSVRSTAND000003"
	classic.BlockStorageSize = 10

	for _, kind := range []string{"embedded", "official"} {
		userConfig := ""
		if kind == "official" {
			if userConfig = os.Getenv("TFBAKE_TEST_OFFICIAL"); userConfig == "" {
				continue
			}
		}
		for name, r := range map[string]config.Resolved{"kvm": kvm, "xen": xen, "bare": bare, "classic": classic} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				t.Parallel()
				r.RunID = "260114-093000-" + (kind + name)[:2] + name[:2]
				r.Name = "tfb-" + r.RunID
				dir := filepath.Join(t.TempDir(), "run")
				files, err := render.Module(r, render.Options{CustomGateway: true})
				if err != nil {
					t.Fatal(err)
				}
				if err := render.Write(dir, files); err != nil {
					t.Fatal(err)
				}
				log := &story{}
				o := terraform.Options{Binary: bin, Dir: dir, Log: log, Env: terraform.Environment(terraform.EnvOptions{
					Environ: append(os.Environ(), "TF_CLI_CONFIG_FILE="+userConfig, "NCLOUD_SUPPORT_VPC=true"), Dir: dir,
					AccessKey: access, SecretKey: secret, Region: "KR", APIGateway: cloud.Endpoint(),
				})}
				if kind == "embedded" {
					o.Reattach = embedded(t, r, o.Env)
				}
				tf, err := terraform.New(o)
				if err != nil {
					t.Fatal(err)
				}
				bakeServer(t, cloud, tf, bin, o.Env, dir, r, log)
			})
		}
	}
}

func embedded(t *testing.T, r config.Resolved, env map[string]string) terraform.Reattach {
	t.Helper()
	flavour := provider.VPC
	if r.Platform == config.Classic {
		flavour = provider.Classic
	}
	info, stop, err := provider.Reattach(t.Context(), provider.Options{Flavour: flavour, Env: func(k string) string { return env[k] }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	value, err := provider.ReattachEnv(info)
	if err != nil {
		t.Fatal(err)
	}
	reattach, err := terraform.ParseReattach(value)
	if err != nil {
		t.Fatal(err)
	}
	return reattach
}

func bakeServer(t *testing.T, cloud *localcloud.Cloud, tf *terraform.Terraform, bin terraform.Binary, env map[string]string, dir string, r config.Resolved, log *story) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	began := time.Now()
	defer func() {
		if t.Failed() {
			t.Logf("the story:\n%s", log)
		}
	}()
	if err := tf.Init(ctx); err != nil {
		t.Fatal(err)
	}
	s, err := tf.Apply(ctx)
	if err != nil {
		tf.Destroy(ctx)
		t.Fatal(err)
	}
	applied := time.Since(began)

	vpc := r.Platform == config.VPC
	for what, c := range map[string]struct {
		got  string
		want bool
	}{
		"server": {s.ID, true}, "private IP": {s.PrivateIP, true}, "public IP": {s.PublicIP, r.PublicIP}, "public IP number": {s.PublicIPNo, r.PublicIP},
		"NIC": {s.NICNo, vpc}, "ACG": {s.ACGNo, vpc}, "init script": {s.InitScriptNo, vpc && r.InitScript != ""},
		"block storage": {s.BlockStorageNo, r.BlockStorageSize > 0}, "login key": {s.LoginKeyName, true},
	} {
		if (c.got != "") != c.want {
			t.Errorf("%s: %q", what, c.got)
		}
	}
	if s.Name != r.Name {
		t.Errorf("name %q", s.Name)
	}

	// Everything carries the run's name.
	mine := ours(cloud, r.Name)
	want := 2 // server, login key
	for _, c := range []bool{r.PublicIP, vpc, vpc, vpc && r.InitScript != "", r.BlockStorageSize > 0} {
		if c {
			want++
		}
	}
	if len(mine) != want {
		t.Errorf("%d things bear the name, want %d: %v", len(mine), want, mine)
	}

	// The state says the same as the outputs, a second plan has nothing to do, and the user's own terraform can look.
	state, err := tf.State(ctx)
	if err != nil {
		t.Error(err)
	}
	if len(state.Resources) != want+boolInt(vpc) { // the ACG's rules have no name
		t.Errorf("state: %d resources, want %d", len(state.Resources), want+boolInt(vpc))
	}
	changes, err := tf.Plan(ctx)
	if err != nil || len(changes) != 0 {
		t.Errorf("plan after apply: %+v, %v", changes, err)
	}
	cmd := exec.CommandContext(ctx, bin.Path, "-chdir="+dir, "state", "list")
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "module.bake.ncloud_server.this") {
		t.Errorf("state list: %s, %v", out, err)
	}

	down := time.Now()
	if err := tf.Destroy(ctx); err != nil {
		t.Error(err)
	}
	t.Logf("apply %.1f s, destroy %.1f s", applied.Seconds(), time.Since(down).Seconds())
	if empty, sound, err := terraform.StateIsEmpty(dir); !empty || !sound || err != nil {
		t.Errorf("state after destroy: empty %v, sound %v, %v", empty, sound, err)
	}
	if left := ours(cloud, r.Name); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	for _, line := range []string{"server: creating…", "server: created (id " + s.ID + ") in ", "server: destroyed in "} {
		if !strings.Contains(log.String(), line) {
			t.Errorf("the story lacks %q", line)
		}
	}
	if f, err := os.ReadFile(filepath.Join(dir, terraform.LogFile)); err != nil || strings.Contains(string(f), env["NCLOUD_SECRET_KEY"]) {
		t.Errorf("the log is not there (%v) or holds the secret key", err)
	}
}

func ours(cloud *localcloud.Cloud, name string) (out []string) {
	for _, i := range cloud.Inventory().Left() {
		if strings.HasPrefix(i.Name, name) || strings.HasPrefix(i.Description, name) {
			out = append(out, i.String())
		}
	}
	return out
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
