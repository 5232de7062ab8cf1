package preflight_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/localcloud"
	"github.com/tfbake/tfbake/internal/ncloud"
	"github.com/tfbake/tfbake/internal/preflight"
)

// TestAgainstTheCloud checks ordinary templates against the simulated cloud and its catalogue of real codes, then makes
// the server preflight has chosen: the choices must be good enough for the API.
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
	client, err := ncloud.New(ncloud.Options{Endpoint: cloud.Endpoint(), Credentials: ncloud.Credentials{AccessKey: access, SecretKey: secret, Source: "the test"}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	check := func(keys string) (config.Resolved, hcl.Diagnostics) {
		t.Helper()
		tmpl, diags := config.Load(t.Context(), "-", config.Options{Stdin: strings.NewReader(`{"builders": [{"type": "ncloud", ` + keys + `}]}`)})
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		return preflight.Check(ctx, client, tmpl.Builds[0], preflight.Options{RunID: "261122-081500-ab12", SourceCIDRs: []string{"127.0.0.1/32"}})
	}

	if _, err := client.VPC.CreateLoginKey(ctx, "tfb-261122-081500-ab12-key"); err != nil {
		t.Fatal(err)
	}
	for n, keys := range []string{
		`"server_image_number": "23214590", "block_storage_size": 20, "server_image_name": "web-kvm"`,
		`"server_image_number": "25495367", "server_spec_code": "s2-g3", "region": "Singapore"`,
		`"server_image_product_code": "SW.VSVR.OS.LNX64.ROCKY.0810.B050", "support_vpc": true, "block_storage_size": 10`,
		`"server_image_product_code": "SPSW0LINUX000046", "server_product_code": "SPSVRSSD00000003", "region": "Korea", "server_image_name": "packer-test 1234"`,
		`"server_image_product_code": "SPSW0LINUX000046", "region": "Singapore"`,
	} {
		r, diags := check(keys)
		if len(diags) > 0 {
			t.Errorf("%s:\n%v", keys, diags)
			continue
		}
		c := client.In(ncloud.Region{Code: r.RegionCode, No: r.RegionNo})
		q := ncloud.CreateServer{Name: fmt.Sprint("server-", n), ImageProductCode: r.ServerImageProductCode, ProductCode: r.ServerProductCode, ImageNo: r.ServerImageNumber, SpecCode: r.ServerSpecCode, FeeSystemTypeCode: r.FeeSystemTypeCode}
		q.LoginKeyName = r.LoginKeyName
		var s ncloud.Server
		if r.Platform == config.Classic {
			q.ZoneNo = r.ZoneNo
			s, err = c.Classic.CreateServerInstances(ctx, q)
		} else {
			acgs, _ := c.VPC.GetAccessControlGroupList(ctx, ncloud.ACGFilter{VPCNo: r.VPCNo})
			q.VPCNo, q.SubnetNo = r.VPCNo, r.SubnetNo
			q.NetworkInterfaces = []ncloud.ServerNIC{{SubnetNo: r.SubnetNo, ACGNos: []string{acgs[0].No}}}
			s, err = c.VPC.CreateServerInstances(ctx, q)
		}
		if err != nil || s.No == "" {
			t.Errorf("%s: a server of %+v: %v", keys, r, err)
		}
	}

	for keys, want := range map[string]string{
		`"server_image_product_code": "SPSW0LINUX00046"`:                                    "Did you mean SPSW0LINUX000046",
		`"server_image_number": "23214591"`:                                                 "Did you mean 23214590",
		`"server_image_number": "23214590", "server_spec_code": "s2-g4"`:                    "Did you mean s2-g3",
		`"server_image_number": "23214590", "region": "HongKong"`:                           `no region "HongKong" on VPC`,
		`"server_image_product_code": "SW.VSVR.OS.LNX64.ROCKY.0810.B050"`:                   "set support_vpc to true",
		`"server_image_product_code": "SPSW0LINUX000046", "access_control_group_no": "123"`: "no access control group 123",
	} {
		_, diags := check(keys)
		found := false
		for _, d := range diags {
			found = found || strings.Contains(d.Summary+" "+d.Detail, want)
		}
		if !found || !diags.HasErrors() {
			t.Errorf("%s: %q is not in %v", keys, want, diags)
		}
	}
}
