//go:build unix

package terraform_test

import (
	"context"
	"errors"
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

// account is a simulated account and a way to work in it.
type account struct {
	cloud          *localcloud.Cloud
	bin            terraform.Binary
	access, secret string
	subnet         ncloud.Subnet
}

func newAccount(t *testing.T, latency localcloud.Latency) account {
	t.Helper()
	ctx := t.Context()
	bin, err := terraform.Find(ctx, terraform.FindOptions{Path: os.Getenv("TFBAKE_TEST_TERRAFORM")})
	if err != nil {
		t.Skip(err)
	}
	cloud, err := localcloud.Start(ctx, localcloud.Options{Dir: t.TempDir(), HighPorts: true, Latency: latency})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cloud.Close() }) // after the parallel subtests
	a := account{cloud: cloud, bin: bin}
	a.access, a.secret = cloud.Credentials()
	api, err := ncloud.New(ncloud.Options{Endpoint: cloud.Endpoint(), Credentials: ncloud.Credentials{AccessKey: a.access, SecretKey: a.secret}, RegionCode: "KR"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	subnets, err := api.VPC.GetSubnetList(ctx, ncloud.SubnetFilter{Type: "PUBLIC"})
	if err != nil || len(subnets) == 0 {
		t.Fatalf("public subnets: %v, %v", subnets, err)
	}
	a.subnet = subnets[0]
	return a
}

func (a account) base() config.Resolved {
	return config.Resolved{
		Site: "public", RegionCode: "KR", ZoneCode: "KR-1", OS: "linux", CommPort: 22, SourceCIDRs: []string{"127.0.0.1/32"}, PublicIP: true,
		VPCNo: a.subnet.VPCNo, SubnetNo: a.subnet.No, ImageName: "web", InitScript: "#!/bin/sh\necho ${HOME} > /root/x\ntrue\n",
	}
}

func (a account) kvm() config.Resolved {
	r := a.base()
	r.Platform, r.Hypervisor, r.ServerImageNumber, r.ServerSpecCode = config.VPC, config.KVM, "23214590", "s2-g3"
	r.BlockStorageSize, r.BlockStorageVolumeType = 20, "FB1"
	return r
}

// options are for a directory of one build, with the provider terraform finds: the CLI configuration is the user's, if any.
func (a account) options(dir, userConfig string, log terraform.Log) terraform.Options {
	return terraform.Options{Binary: a.bin, Dir: dir, Log: log, Env: terraform.Environment(terraform.EnvOptions{
		Environ: append(os.Environ(), "TF_CLI_CONFIG_FILE="+userConfig, "NCLOUD_SUPPORT_VPC=true", "NCLOUD_ACCESS_KEY="+a.access, "NCLOUD_SECRET_KEY="+a.secret),
		Dir:     dir, Region: "KR", APIGateway: a.cloud.Endpoint(),
	})}
}

// rendered writes the root module of r into a new directory.
func rendered(t *testing.T, r *config.Resolved, id string) (dir string) {
	t.Helper()
	r.RunID = "260114-093000-" + id
	r.Name = "tfb-" + r.RunID
	dir = filepath.Join(t.TempDir(), "run")
	files, err := render.Module(*r, render.Options{CustomGateway: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := render.Write(dir, files); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestBakeServers(t *testing.T) {
	t.Parallel()
	a := newAccount(t, localcloud.Latency{})
	base, kvm := a.base(), a.kvm()
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
				dir := rendered(t, &r, (kind + name)[:2]+name[:2])
				log := &story{}
				o := a.options(dir, userConfig, log)
				if kind == "embedded" {
					o.Reattach = embedded(t, r, o.Env)
				}
				tf, err := terraform.New(o)
				if err != nil {
					t.Fatal(err)
				}
				bakeServer(t, a, tf, o.Env, dir, r, log)
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
	reattach := terraform.Reattach{}
	for address, r := range info {
		reattach[address] = terraform.ReattachConfig{Protocol: r.Protocol, ProtocolVersion: r.ProtocolVersion, Pid: r.Pid, Test: r.Test, Addr: terraform.ReattachAddr(r.Addr)}
	}
	return reattach
}

func bakeServer(t *testing.T, a account, tf *terraform.Terraform, env map[string]string, dir string, r config.Resolved, log *story) {
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
	mine := ours(a.cloud, r.Name)
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
	cmd := exec.CommandContext(ctx, a.bin.Path, "-chdir="+dir, "state", "list")
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
	if left := ours(a.cloud, r.Name); len(left) > 0 {
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

// What one provider has made, the other finds unchanged and destroys: it is one state.
func TestProvidersShareTheState(t *testing.T) {
	t.Parallel()
	userConfig := os.Getenv("TFBAKE_TEST_OFFICIAL")
	if userConfig == "" {
		t.Skip("TFBAKE_TEST_OFFICIAL names no CLI configuration with a mirror of the official provider")
	}
	a := newAccount(t, localcloud.Latency{})
	for _, maker := range []string{"embedded", "official"} {
		t.Run(maker+" first", func(t *testing.T) {
			t.Parallel()
			r := a.kvm()
			dir := rendered(t, &r, maker[:4])
			log := &story{}
			official := a.options(dir, userConfig, log)
			own := a.options(dir, "", log)
			own.Reattach = embedded(t, r, own.Env)
			one, two := own, official
			if maker == "official" {
				one, two = official, own
			}
			first, err := terraform.New(one)
			if err != nil {
				t.Fatal(err)
			}
			second, err := terraform.New(two)
			if err != nil {
				t.Fatal(err)
			}
			if err := first.Init(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := first.Apply(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := second.Init(t.Context()); err != nil {
				t.Fatal(err)
			}
			if changes, err := second.Plan(t.Context()); err != nil || len(changes) != 0 {
				t.Errorf("the other one's plan: %+v, %v", changes, err)
			}
			if err := second.Destroy(t.Context()); err != nil {
				t.Error(err)
			}
			if left := ours(a.cloud, r.Name); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// Interrupted while the call that makes the server is on its way, or while the server boots: the embedded provider stops
// at once and the server is in the state, so that the destroy removes it.
func TestCancelWhileTheServerBoots(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]time.Duration{"call under way": 3 * time.Second, "server boots": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			latency := localcloud.Fast()
			latency.Server = 20 * time.Second
			a := newAccount(t, latency)
			if answer > 0 {
				if _, err := a.cloud.Inject(localcloud.Fault{Action: "createServerInstances", Kind: localcloud.Slow, Delay: localcloud.Duration(answer)}); err != nil {
					t.Fatal(err)
				}
			}
			r := a.kvm()
			dir := rendered(t, &r, "stop")
			log := &story{}
			o := a.options(dir, "", log)
			o.Reattach = embedded(t, r, o.Env)
			tf, err := terraform.New(o)
			if err != nil {
				t.Fatal(err)
			}
			if err := tf.Init(t.Context()); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				for len(a.cloud.Inventory().Servers) == 0 && ctx.Err() == nil {
					time.Sleep(10 * time.Millisecond)
				}
				cancel()
			}()
			s, err := tf.Apply(ctx)
			var e *terraform.Error
			if !errors.As(err, &e) || !e.Canceled {
				t.Errorf("error: %v", err)
			}
			if servers := a.cloud.Inventory().Servers; len(servers) != 1 || servers[0].Status == "RUN" {
				t.Errorf("apply waited for the server: %v", servers)
			}
			if s.ID == "" || s.NICNo == "" || s.ACGNo == "" {
				t.Fatalf("what exists: %+v\n%s", s, log)
			}
			if err := tf.Destroy(t.Context()); err != nil {
				t.Errorf("destroy: %v\n%s", err, log)
			}
			if left := ours(a.cloud, r.Name); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// What the modules refuse, before anything is made, and in which words.
func TestModuleChecks(t *testing.T) {
	t.Parallel()
	a := newAccount(t, localcloud.Latency{})
	initialised := map[config.Platform]string{} // init takes as long as plan, and says nothing new the second time
	for _, change := range []func(*config.Resolved){func(*config.Resolved) {}, classicOf} {
		r := a.kvm()
		change(&r)
		dir := rendered(t, &r, "init")
		o := a.options(dir, "", nil)
		o.Reattach = embedded(t, r, o.Env)
		tf, err := terraform.New(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := tf.Init(t.Context()); err != nil {
			t.Fatal(err)
		}
		initialised[r.Platform] = filepath.Join(dir, ".terraform")
	}
	for name, c := range map[string]struct {
		change func(*config.Resolved)
		want   string
	}{
		"world":              {func(r *config.Resolved) { r.SourceCIDRs = []string{"10.0.0.0/8", "0.0.0.0/0"} }, "opens the server to everyone"},
		"host bits":          {func(r *config.Resolved) { r.SourceCIDRs = []string{"10.0.0.1/8"} }, "without host bits"},
		"IPv6":               {func(r *config.Resolved) { r.SourceCIDRs = []string{"2001:db8::/32"} }, "must be IPv4 networks"},
		"nobody may connect": {func(r *config.Resolved) { r.SourceCIDRs = nil }, "nobody could reach port 22"},
		"no VPC":             {func(r *config.Resolved) { r.VPCNo = "" }, "vpc_no is needed to make an ACG"},
		"no image":           {func(r *config.Resolved) { r.ServerImageNumber, r.ServerSpecCode, r.Hypervisor = "", "", config.XEN }, "Exactly one of server_image_number"},
		"two images":         {func(r *config.Resolved) { r.MemberServerImageNo = "1" }, "Exactly one of server_image_number"},
		"KVM with products": {func(r *config.Resolved) {
			r.ServerImageNumber, r.ServerSpecCode, r.ServerImageProductCode = "", "", "SW"
		}, "A KVM server is made from"},
		"spec without number": {func(r *config.Resolved) {
			r.Hypervisor, r.ServerImageNumber, r.ServerImageProductCode = config.XEN, "", "SW"
		}, "server_spec_code goes with server_image_number only"},
		"number with product":   {func(r *config.Resolved) { r.Hypervisor, r.ServerSpecCode, r.ServerProductCode = config.XEN, "", "SVR" }, "server_product_code does not go with"},
		"disk type of XEN":      {func(r *config.Resolved) { r.BlockStorageVolumeType = "SSD" }, "does not fit the hypervisor"},
		"disk too small":        {func(r *config.Resolved) { r.BlockStorageSize = 5 }, "from 10 to 16380"},
		"too many ACGs":         {func(r *config.Resolved) { r.ACGNos = []string{"1", "2", "3", "4"} }, "more than 3 ACGs"},
		"subnet by name":        {func(r *config.Resolved) { r.SubnetNo = "my-subnet" }, "subnet_no must be a number"},
		"fee":                   {func(r *config.Resolved) { r.FeeSystemTypeCode = "FREE" }, "MTRAT or FXSUM"},
		"Classic, two images":   {func(r *config.Resolved) { classicOf(r); r.MemberServerImageNo = "1" }, "Exactly one of server_image_product_code"},
		"Classic, large disk":   {func(r *config.Resolved) { classicOf(r); r.BlockStorageSize = 3000 }, "from 10 to 2000"},
		"Classic, KVM's disk":   {func(r *config.Resolved) { classicOf(r); r.BlockStorageVolumeType = "CB1" }, "must be SSD or HDD"},
		"nothing is the matter": {func(r *config.Resolved) {}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := a.kvm()
			c.change(&r)
			dir := rendered(t, &r, "plan")
			o := a.options(dir, "", nil)
			o.Reattach = embedded(t, r, o.Env)
			o.Locate = func(d terraform.Diagnostic) string { return render.TemplateKey(r, d.Address, d.Attribute, d.Text()) }
			tf, err := terraform.New(o)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.CopyFS(filepath.Join(dir, ".terraform"), os.DirFS(initialised[r.Platform])); err != nil {
				t.Fatal(err)
			}
			_, err = tf.Plan(t.Context())
			if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func classicOf(r *config.Resolved) {
	r.Platform, r.Hypervisor, r.ServerImageNumber, r.ServerSpecCode = config.Classic, "", "", ""
	r.ServerImageProductCode, r.ServerProductCode, r.BlockStorageVolumeType = "SPSW0LINUX000139", "SPSVRSTAND000003", ""
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
