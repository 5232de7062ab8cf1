package render

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/sweep"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func kvm() config.Resolved {
	return config.Resolved{
		RunID: "260114-093000-k7d2", Name: "tfb-260114-093000-k7d2",
		Platform: config.VPC, Site: "public", RegionCode: "KR", ZoneCode: "KR-1", Hypervisor: config.KVM, OS: "linux",
		ServerImageNumber: "25495367", ServerSpecCode: "s2-g3",
		VPCNo: "567", SubnetNo: "1234", SourceCIDRs: []string{"203.0.113.7/32"}, CommPort: 22,
		LoginKeyName: "tfb-260114-093000-k7d2-key", PublicIP: true,
		InitScript:       "#!/bin/bash\nset -eu\necho \"${HOSTNAME} %{x} $HOME \\n\"\n",
		BlockStorageSize: 20, BlockStorageVolumeType: "CB1",
		ImageName: "web-base",
	}
}

func classic() config.Resolved {
	return config.Resolved{
		RunID: "260114-093000-k7d2", Name: "tfb-260114-093000-k7d2",
		Platform: config.Classic, Site: "public", RegionCode: "KR", RegionNo: "1", ZoneCode: "KR-2", ZoneNo: "3", OS: "linux",
		ServerImageProductCode: "SPSW0LINUX000046", ServerProductCode: "SPSVRSSD00000003", FeeSystemTypeCode: "MTRAT",
		ACGNos: []string{"4567"}, CommPort: 22, LoginKeyName: "tfb-260114-093000-k7d2-key", PublicIP: true,
		InitScript: "#!/bin/sh\necho hi", BlockStorageSize: 10, BlockStorageVolumeType: "SSD", ImageName: "web-base",
	}
}

func TestModuleGolden(t *testing.T) {
	xen := kvm()
	xen.Hypervisor, xen.ServerImageNumber, xen.ServerSpecCode = config.XEN, "", ""
	xen.MemberServerImageNo, xen.ServerProductCode = "998877", "SVR.VSVR.HICPU.C002.M004.NET.HDD.B050.G002"
	xen.BlockStorageVolumeType, xen.InitScript = "", ""
	xen.ACGNos, xen.SourceCIDRs, xen.PublicIP = []string{"11", "12"}, nil, false

	windows := kvm()
	windows.OS, windows.CommPort, windows.Site, windows.AllowWorld = "windows", 5986, "gov", true
	windows.InitScript = "Set x = CreateObject(\"WScript.Shell\")\r\nx.Run \"winrm quickconfig -q\"\r\n"
	windows.BlockStorageSize = 0

	closed := kvm()
	closed.CommPort, closed.SourceCIDRs, closed.InitScript, closed.BlockStorageSize = 0, nil, "", 0

	for name, c := range map[string]struct {
		r config.Resolved
		o Options
	}{
		"vpc-kvm":     {kvm(), Options{ToolVersion: "1.0.0", TemplatePath: "bake.json"}},
		"vpc-xen":     {xen, Options{}},
		"vpc-windows": {windows, Options{}},
		"vpc-none":    {closed, Options{CustomGateway: true}},
		"vpc-backend": {kvm(), Options{Backend: &Backend{Type: "s3", Workspace: "tfb-260101-000000-abcd", Args: map[string]cty.Value{
			"bucket": cty.StringVal("state"), "use_path_style": cty.True, "key": cty.StringVal("runs/${x}"),
			"endpoints": cty.ObjectVal(map[string]cty.Value{"s3": cty.StringVal("https://kr.object.ncloudstorage.com")}),
		}}}},
		"classic":        {classic(), Options{ToolVersion: "1.0.0"}},
		"vpc-standalone": {Standalone(kvm(), kvm().LoginKeyName), Options{ToolVersion: "1.0.0", TemplatePath: "bake.json", Standalone: true}},
	} {
		t.Run(name, func(t *testing.T) {
			files, err := Module(c.r, c.o)
			if err != nil {
				t.Fatal(err)
			}
			var all bytes.Buffer
			for _, f := range []string{"main.tf", "outputs.tf", "README.md"} {
				all.WriteString("-- " + f + " --\n")
				all.Write(files[f])
			}
			golden := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(golden, all.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(want, all.Bytes()) {
				t.Errorf("%s differs; look, then run go test ./internal/render -update\n%s", golden, all.Bytes())
			}
			again, err := Module(c.r, c.o)
			if err != nil || len(again) != len(files) {
				t.Fatalf("second rendering: %d files, %v", len(again), err)
			}
			for f := range files {
				if !bytes.Equal(files[f], again[f]) {
					t.Errorf("%s is not the same twice", f)
				}
			}
		})
	}
}

func TestModuleCarriesTheWholeModule(t *testing.T) {
	files, err := Module(kvm(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"main.tf", "variables.tf", "outputs.tf", "versions.tf", "README.md"} {
		if len(files["modules/ncloud-bake/"+f]) == 0 {
			t.Errorf("modules/ncloud-bake/%s is missing", f)
		}
	}
	for f := range files {
		if strings.Contains(f, "examples") || strings.HasSuffix(f, ".go") {
			t.Errorf("%s has no business in a run directory", f)
		}
	}
}

// What a user makes of a rendered module is theirs: cleanup must not find it.
func TestStandaloneIsNoRun(t *testing.T) {
	for _, image := range []string{"web", "tfb-260101-000000-abcd", "tfbake-260101-000000-abcd", "A name of thirty letters, all"} {
		r := kvm()
		r.ImageName = image
		r = Standalone(r, r.LoginKeyName)
		if sweep.RunOf(r.Name) != "" || r.LoginKeyName != "" || len(r.Name) > maxName {
			t.Errorf("%s: %q, key %q", image, r.Name, r.LoginKeyName)
		}
	}
}

// Every argument of the call is a variable of the module, and every output an output of it.
func TestModuleCallFitsTheModule(t *testing.T) {
	for _, r := range []config.Resolved{kvm(), classic()} {
		r.AllowWorld = true
		files, err := Module(r, Options{})
		if err != nil {
			t.Fatal(err)
		}
		dir := "modules/ncloud-bake/"
		if r.Platform == config.Classic {
			dir = "modules/ncloud-bake-classic/"
		}
		variables := labels(t, files[dir+"variables.tf"], "variable")
		outputs := labels(t, files[dir+"outputs.tf"], "output")
		for _, b := range parse(t, files["main.tf"]).Blocks {
			if b.Type != "module" {
				continue
			}
			for name := range b.Body.Attributes {
				if name != "source" && !variables[name] {
					t.Errorf("%s: argument %s is no variable of the module", r.Platform, name)
				}
			}
		}
		for name := range labels(t, files["outputs.tf"], "output") {
			if !outputs[name] {
				t.Errorf("%s: output %s is none of the module", r.Platform, name)
			}
			if name == "private_key" {
				t.Error("the private key must not become an output of the root module")
			}
		}
	}
}

// Whatever a script holds, Terraform reads exactly it.
func TestUserDataSurvives(t *testing.T) {
	for _, script := range []string{
		"x", "a\nb", "a\nb\n", "#!/bin/sh\necho ${A} $${B} $$${C} %{if} %%{x} $ % {\n\n", "\n\n", " \n \n",
		"EOT\nEOT1\n  EOT\n", "a\\n\"b\"\\\n\\\\ \n", "\ttab\r\nwindows\r\n", "<<EOT\nx\nEOT\n", "한국어 🙂\n두 번째\n줄\n",
		"\x01\x7f\u2028\n\n", "# comment\n// x\n/* y */\n", "cat <<'EOF'\n${x}\nEOF\n", "$${\n%%{\n$$$${a}\n", strings.Repeat("a long line ", 2000) + "\n\n",
	} {
		r := kvm()
		r.InitScript = script
		files, err := Module(r, Options{})
		if err != nil {
			t.Errorf("%q: %v", script, err)
			continue
		}
		for _, b := range parse(t, files["main.tf"]).Blocks {
			if b.Type != "module" {
				continue
			}
			v, diags := b.Body.Attributes["user_data"].Expr.Value(nil)
			if diags.HasErrors() || v.AsString() != script {
				t.Errorf("%q was read back as %#v (%v)", script, v, diags)
			}
		}
	}
}

func TestModuleRefuses(t *testing.T) {
	bad := kvm()
	bad.Platform = "cloud9"
	if _, err := Module(bad, Options{}); err == nil || !strings.Contains(err.Error(), "cloud9") {
		t.Errorf("unknown platform: %v", err)
	}
	if _, err := Module(kvm(), Options{Backend: &Backend{Type: "s3\" {}"}}); err == nil {
		t.Error("a backend type that is no name was taken")
	}
	if _, err := Module(kvm(), Options{Backend: &Backend{Type: "s3", Args: map[string]cty.Value{"a b": cty.True}}}); err == nil {
		t.Error("a backend argument that is no name was taken")
	}
}

func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "runs", "it's a run")
	files := Files{"main.tf": []byte("a"), "modules/m/x.tf": []byte("b")}
	for range 2 { // twice: over itself
		if err := Write(dir, files); err != nil {
			t.Fatal(err)
		}
	}
	for p, mode := range map[string]os.FileMode{".": 0o700, "main.tf": 0o600, "modules": 0o700, "modules/m": 0o700, "modules/m/x.tf": 0o600} {
		st, err := os.Stat(filepath.Join(dir, p))
		if err != nil || st.Mode().Perm() != mode {
			t.Errorf("%s: %v %v, want %v", p, st.Mode().Perm(), err, mode)
		}
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != 2 {
		t.Errorf("temporary files are left: %v", entries)
	}
	if b, _ := os.ReadFile(filepath.Join(dir, "modules/m/x.tf")); string(b) != "b" {
		t.Errorf("x.tf = %q", b)
	}
	for _, name := range []string{"../x", "/etc/x", "a/../../x"} {
		if err := Write(dir, Files{name: nil}); err == nil {
			t.Errorf("%s was written", name)
		}
	}
}

func TestTemplateKey(t *testing.T) {
	xen := kvm()
	xen.ServerImageNumber, xen.ServerSpecCode, xen.ServerProductCode, xen.ServerImageProductCode = "", "", "SVR", "SW"
	acg := kvm()
	acg.ACGNos = []string{"1"}
	winrm := kvm()
	winrm.CommPort = 5986
	for _, c := range []struct {
		r                        config.Resolved
		address, attribute, text string
		want                     string
	}{
		{xen, "module.bake.ncloud_server.this", "server_product_code", "", "server_product_code"},
		{xen, "", "block_storage_size", "", "block_storage_size"},
		{xen, "module.bake.ncloud_block_storage.this[0]", "size", "", "block_storage_size"},
		{xen, "module.bake.ncloud_server.this", "size", "", ""},
		{kvm(), "module.bake.ncloud_init_script.this[0]", "content", "", "user_data"},
		{kvm(), "", "port", "", "ssh_port"},
		{winrm, "", "port", "", "winrm_port"},
		{xen, "module.bake.ncloud_server.this", "", `Status: 400 Bad Request, Body: {"responseError": {"returnCode": "1401", "returnMessage": "Not found server product."}}`, "server_product_code"},
		{kvm(), "module.bake.ncloud_server.this", "", `Body: {"responseError": {"returnCode": "1401", "returnMessage": "Not found server product."}}`, "server_spec_code"},
		{xen, "module.bake.ncloud_server.this", "", "Server image is not found", "server_image_product_code"},
		{acg, "module.bake.ncloud_network_interface.this", "", "You cannot access the ACG", "access_control_group_no"},
		{kvm(), "module.bake.ncloud_network_interface.this", "", "no matching subnet(12) found", "subnet_no"},
		{kvm(), "", "", "no region data for region_code `XX`", "region"},
		{kvm(), "", "", "Authentication Failed", "access_key"},
		{kvm(), "module.bake.ncloud_public_ip.this[0]", "", "whatever", ""},
	} {
		if got := TemplateKey(c.r, c.address, c.attribute, c.text); got != c.want {
			t.Errorf("TemplateKey(%q, %q, %.40q) = %q, want %q", c.address, c.attribute, c.text, got, c.want)
		}
	}
}

func parse(t *testing.T, src []byte) *hclsyntax.Body {
	t.Helper()
	f, diags := hclsyntax.ParseConfig(src, "x.tf", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatalf("%v\n%s", diags, src)
	}
	return f.Body.(*hclsyntax.Body)
}

func labels(t *testing.T, src []byte, kind string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, b := range parse(t, src).Blocks {
		if b.Type == kind {
			names[b.Labels[0]] = true
		}
	}
	if len(names) == 0 {
		t.Fatalf("no %s blocks", kind)
	}
	return names
}
