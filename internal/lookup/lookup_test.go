package lookup_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/tfbake/tfbake/internal/localcloud"
	"github.com/tfbake/tfbake/internal/lookup"
	"github.com/tfbake/tfbake/internal/ncloud"
)

// TestAgainstTheCloud asks the simulated cloud, whose catalogue is of real names and codes.
func TestAgainstTheCloud(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cloud, err := localcloud.Start(ctx, localcloud.Options{HighPorts: true})
	if err != nil {
		t.Fatal(err)
	}
	defer cloud.Close()
	access, secret := cloud.Credentials()
	var places []lookup.Place
	src := &lookup.Source{Client: func(_ context.Context, p lookup.Place) (*ncloud.Client, error) {
		places = append(places, p)
		return ncloud.New(ncloud.Options{Endpoint: cloud.Endpoint(), Credentials: ncloud.Credentials{AccessKey: access, SecretKey: secret, Source: "the test"}})
	}, Default: lookup.Place{Region: "Korea"}}

	for _, c := range []struct{ typ, args, want string }{
		{"ncloud-image", `os = "Ubuntu 22.04"`, "server_image_number=23214590 name=ubuntu-22.04-base hypervisor=KVM platform=vpc own=false"},
		{"ncloud-image", `os = "ubuntu", hypervisor = "kvm"`, "name=ubuntu-24.04-base"},
		{"ncloud-image", `os = "Rocky Linux 8"`, "server_image_number=25495367 name=rocky-8.10-base"},
		{"ncloud-image", `os = "rocky 8 gpu"`, "server_image_number=25623982"},
		{"ncloud-image", `os = "Rocky 8", hypervisor = "XEN"`, "server_image_product_code=SW.VSVR.OS.LNX64.ROCKY.0810.B050 hypervisor=XEN server_image_number=null"},
		{"ncloud-image", `os = "Windows 2019 en", hypervisor = "XEN"`, "server_image_product_code=SW.VSVR.OS.WND64.WND.SVR2019EN.B100"},
		{"ncloud-image", `os = "CentOS 7.3", platform = "classic"`, "server_image_product_code=SPSW0LINUX000046 platform=classic"},
		{"ncloud-image", `name = "ubuntu-2?.04-base", most_recent = true`, "name=ubuntu-24.04-base"},
		{"ncloud-spec", `cpu = 2, memory = 8`, "server_spec_code=s2-g3 cpu=2 memory=8 server_product_code=null"},
		{"ncloud-spec", `cpu = 3`, "cpu=4"},
		{"ncloud-spec", `cpu = 2, memory = 4, server_image_product_code = "SW.VSVR.OS.LNX64.ROCKY.0810.B050"`, "cpu=2 memory=4 server_spec_code=null"},
		{"ncloud-spec", `platform = "classic", cpu = 2, server_image_product_code = "SPSW0LINUX000046"`, "cpu=2"},
		{"ncloud-subnet", ``, "type=PUBLIC"},
		{"ncloud-subnet", `region = "SGN"`, "type=PUBLIC zone=SGN-4"},
	} {
		v, err := src.Read(ctx, c.typ, object(t, c.args))
		if err != nil {
			t.Errorf("%s {%s}: %v", c.typ, c.args, err)
			continue
		}
		for _, w := range strings.Fields(c.want) {
			name, want, _ := strings.Cut(w, "=")
			if got := text(v.GetAttr(name)); got != want {
				t.Errorf("%s {%s}: %s is %s, want %s", c.typ, c.args, name, got, want)
			}
		}
	}
	if len(places) != 3 {
		t.Errorf("%d clients were made, want one for each region and platform: %v", len(places), places)
	}

	for _, c := range []struct{ typ, args, want string }{
		{"ncloud-image", ``, "say which image"},
		{"ncloud-image", `os = "Ubuntu 22.03"`, "there is ubuntu-22.04-"},
		{"ncloud-image", `name = "ubuntu-*-base"`, "images are called \"ubuntu-*-base\" on VPC: ubuntu-24.04-base (100524418), ubuntu-22.04-base"},
		{"ncloud-image", `name_prefix = "web-", own = true`, "no image beginning with \"web-\" of your own on VPC; there is none at all"},
		{"ncloud-image", `os = "Ubuntu", hyprvisor = "KVM"`, `there is no argument "hyprvisor": did you mean "hypervisor"?`},
		{"ncloud-image", `os = "Ubuntu", hypervisor = "VMWARE"`, "hypervisor is XEN, RHV or KVM"},
		{"ncloud-image", `os = "Ubuntu", platform = "cloud"`, `platform is "vpc" or "classic"`},
		{"ncloud-image", `os = "Ubuntu", most_recent = "often"`, "most_recent takes a bool"},
		{"ncloud-spec", `cpu = 1000`, "no server specification has at least 1000 CPU"},
		{"ncloud-spec", `cpu = 2, hypervisor = "XEN"`, "set server_image_product_code"},
		{"ncloud-spec", `cpu = 2.5`, "whole number"},
		{"ncloud-subnet", `vpc = "nowhere"`, `no VPC is called "nowhere"; there is `},
		{"ncloud-subnet", `name = "nowhere"`, "no running subnet for servers fits; there is "},
		{"ncloud-subnet", `type = "secret"`, "type is public or private"},
		{"ncloud-subnet", `region = "Atlantis"`, "Atlantis"},
	} {
		if v, err := src.Read(ctx, c.typ, object(t, c.args)); err == nil {
			t.Errorf("%s {%s}: %#v, want an error", c.typ, c.args, v)
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s {%s}: %q, want %q in it", c.typ, c.args, err, c.want)
		}
	}
}

func object(t *testing.T, attributes string) cty.Value {
	t.Helper()
	expr, diags := hclsyntax.ParseExpression([]byte("{"+attributes+"}"), "test", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	v, _ := expr.Value(nil)
	return v
}

func text(v cty.Value) string {
	switch {
	case v.IsNull():
		return "null"
	case v.Type() == cty.Bool && v.True():
		return "true"
	case v.Type() == cty.Bool:
		return "false"
	case v.Type() == cty.Number:
		return v.AsBigFloat().String()
	}
	return v.AsString()
}
