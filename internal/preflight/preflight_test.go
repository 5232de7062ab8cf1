package preflight

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/ncloud"
)

// world is what the fake API answers, by service and action; a test may change it.
type world map[string]string

// ordinary is a small account: a public and a private subnet, two servers, one public IP, an image of each kind.
func ordinary() world {
	rocky, ubuntu := "SW.VSVR.OS.LNX64.ROCKY.0810.B050", "SW.VSVR.OS.LNX64.UBNTU.SVR2004.B050"
	return world{
		"vserver/getRegionList": `"regionList": [{"regionCode": "KR", "regionName": "Korea"}, {"regionCode": "SGN", "regionName": "Singapore(New)"}]`,
		"vserver/getServerImageList": `"serverImageList": [` + strings.Join([]string{
			serverImage("23214590", "ubuntu-22.04-base", "NCP", "KVM", "UBUNTU", "SW.VSVR.OS.LNX64.UBNTU.SVR22.G003", "CREAT", "IN_SERVICE"),
			serverImage("17552318", "ubuntu-20.04-base", "NCP", "KVM", "UBUNTU", "", "CREAT", "FADE_OUT"),
			serverImage("16187005", "centos-7.8-base", "NCP", "KVM", "CENTOS", "", "CREAT", "RETIRED"),
			serverImage("25495367", "rocky-8.10-base", "NCP", "KVM", "ROCKY", "", "CREAT", "IN_SERVICE"),
			serverImage("19463675", "rhv-base", "NCP", "RHV", "ROCKY", ubuntu, "CREAT", "IN_SERVICE"),
			serverImage("500", "baked-kvm", "SELF", "KVM", "UBUNTU", "", "CREAT", ""),
			serverImage("501", "half-baked", "SELF", "KVM", "UBUNTU", "", "INIT", ""),
		}, ",") + `]`,
		"vserver/getServerImageProductList": `"productList": [` + strings.Join([]string{
			product(rocky, "Rocky Linux 8.10", "LNX64"), product(ubuntu, "ubuntu-20.04", "UBS64"),
			product("SW.VSVR.OS.WND64.WND.SVR2019EN.B100", "Windows Server 2019", "WND64"), product("SW.VSVR.DBMS.WND64.WND.SVR2016EN.MSSQL.2017.B100", "mssql(2017std)-win-2016", "WND64"),
		}, ",") + `]`,
		"vserver/getServerProductList": `"productList": [` + strings.Join([]string{
			serverProduct("SVR.VSVR.GPU.T4.G001.C001.M002.NET.SSD.B050.G002", "GPU", 1, 2), serverProduct("SVR.VSVR.STAND.C004.M016.NET.SSD.B050.G002", "STAND", 4, 16),
			serverProduct("SVR.VSVR.STAND.C002.M008.NET.HDD.B050.G002", "STAND", 2, 8), serverProduct("SVR.VSVR.HICPU.C002.M004.NET.HDD.B050.G002", "HICPU", 2, 4),
			serverProduct("SVR.VSVR.HICPU.C002.M004.NET.SSD.B050.G002", "HICPU", 2, 4), serverProduct("SVR.VSVR.MICRO.C001.M001.NET.SSD.B050.G002", "MICRO", 1, 1),
			serverProduct("SVR.VSVR.VDS.C001.M001", "VDS", 1, 1),
		}, ",") + `]`,
		"vserver/getServerSpecList":                `"serverSpecList": [` + strings.Join([]string{spec("s4-g3", 4, 16, "KVM"), spec("s2-g3a", 2, 8, "KVM"), spec("s2-g3", 2, 8, "KVM"), spec("c2-g2", 1, 1, "XEN"), spec("mi1-g3", 1, 1, "KVM")}, ",") + `]`,
		"vserver/getMemberServerImageInstanceList": `"memberServerImageInstanceList": [` + member("700", "my-image", rocky, "CREAT", "NULL") + "," + member("701", "failed", rocky, "CREFL", "NULL") + `]`,
		"vpc/getVpcList":                           `"vpcList": [{"vpcNo": "10", "vpcName": "first", "vpcStatus": {"code": "RUN"}}, {"vpcNo": "11", "vpcName": "second", "vpcStatus": {"code": "RUN"}}]`,
		"vpc/getSubnetList":                        `"subnetList": [` + strings.Join([]string{subnet("20", "10", "PRIVATE", "GEN"), subnet("21", "11", "PUBLIC", "GEN"), subnet("22", "10", "PUBLIC", "LOADB"), subnet("23", "10", "PUBLIC", "GEN")}, ",") + `]`,
		"vserver/getPublicIpInstanceList":          `"publicIpInstanceList": [{"publicIpInstanceNo": "30", "publicIp": "203.0.113.5", "serverInstanceNo": "40"}]`,
		"vserver/getServerInstanceList":            `"serverInstanceList": [{"serverInstanceNo": "40"}, {"serverInstanceNo": "41"}]`,
		"vserver/getAccessControlGroupList":        `"accessControlGroupList": [{"accessControlGroupNo": "50", "accessControlGroupName": "ssh-from-office", "vpcNo": "10"}, {"accessControlGroupNo": "51", "accessControlGroupName": "other", "vpcNo": "11"}]`,
		"vserver/getAccessControlGroupRuleList":    `"accessControlGroupRuleList": [{"protocolType": {"code": "TCP"}, "ipBlock": "198.51.100.0/24", "portRange": "20-25", "accessControlGroupRuleType": {"code": "INBND"}}]`,
		"vserver/getLoginKeyList":                  `"loginKeyList": [{"keyName": "team-key"}]`,

		"server/getRegionList":             `"regionList": [{"regionNo": "1", "regionCode": "KR", "regionName": "Korea"}, {"regionNo": "9", "regionCode": "USWN", "regionName": "US-West(New)"}, {"regionNo": "2", "regionCode": "USW", "regionName": "US-West(Old)"}]`,
		"server/getZoneList":               `"zoneList": [{"zoneNo": "2", "zoneCode": "KR-1"}, {"zoneNo": "3", "zoneCode": "KR-2"}]`,
		"server/getServerImageProductList": `"productList": [` + product("SPSW0LINUX000046", "CentOS 7.3 (64-bit)", "LNX64") + "," + product("SPSW0WINNT000043", "Windows", "WND64") + `]`,
		"server/getServerProductList":      `"productList": [` + serverProduct("SPSVRSTAND000003", "STAND", 2, 4) + "," + serverProduct("SPSVRSSD00000001", "STAND", 1, 2) + `]`,
		"server/getMemberServerImageList":  `"memberServerImageList": [{"memberServerImageNo": "800", "memberServerImageName": "classic image", "originalServerImageProductCode": "SPSW0LINUX000046", "originalServerProductCode": "SPSVRSTAND000003", "memberServerImageStatus": {"code": "CREAT"}, "memberServerImageOperation": {"code": "NULL"}}]`,
		"server/getAccessControlGroupList": `"accessControlGroupList": [{"accessControlGroupConfigurationNo": "60", "accessControlGroupName": "ncloud-default-acg", "isDefaultGroup": true}]`,
		"server/getAccessControlRuleList":  `"accessControlRuleList": [{"protocolType": {"code": "TCP"}, "sourceIp": "0.0.0.0/0", "destinationPort": "22"}]`,
		"server/getPublicIpInstanceList":   `"publicIpInstanceList": []`,
		"server/getServerInstanceList":     `"serverInstanceList": []`,
	}
}

func serverImage(no, name, kind, hypervisor, os, code, status, phase string) string {
	return fmt.Sprintf(`{"serverImageNo": %q, "serverImageName": %q, "serverImageType": {"code": %q}, "hypervisorType": {"code": %q}, "osType": {"code": %q}, "osCategoryType": {"code": "LINUX"}, "cpuArchitectureType": {"code": "X86_64"}, "serverImageProductCode": %q, "serverImageStatus": {"code": %q}, "serverImageOperation": {"code": "NULL"}, "serverImageLifeCyclePhase": {"code": %q}}`, no, name, kind, hypervisor, os, code, status, phase)
}

func product(code, name, platform string) string {
	return fmt.Sprintf(`{"productCode": %q, "productName": %q, "platformType": {"code": %q}}`, code, name, platform)
}

func serverProduct(code, kind string, cpu, mem int) string {
	return fmt.Sprintf(`{"productCode": %q, "productName": "vCPU %d", "productType": {"code": %q}, "cpuCount": %d, "memorySize": %d, "generationCode": "G2"}`, code, cpu, kind, cpu, mem<<30)
}

func spec(code string, cpu, mem int, hypervisor string) string {
	return fmt.Sprintf(`{"serverSpecCode": %q, "cpuCount": %d, "memorySize": %d, "hypervisorType": {"code": %q}, "cpuArchitectureType": {"code": "X86_64"}, "serverProductCode": "SVR.VSVR.%s"}`, code, cpu, mem<<30, hypervisor, code)
}

func member(no, name, code, status, op string) string {
	return fmt.Sprintf(`{"memberServerImageInstanceNo": %q, "memberServerImageName": %q, "originalServerImageProductCode": %q, "memberServerImageInstanceStatus": {"code": %q}, "memberServerImageInstanceOperation": {"code": %q}}`, no, name, code, status, op)
}

func subnet(no, vpc, kind, usage string) string {
	return fmt.Sprintf(`{"subnetNo": %q, "vpcNo": %q, "zoneCode": "KR-2", "subnetStatus": {"code": "RUN"}, "subnetType": {"code": %q}, "usageType": {"code": %q}}`, no, vpc, kind, usage)
}

type fake struct {
	mu    sync.Mutex
	world world
	forms map[string]url.Values
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	form, _ := url.ParseQuery(string(body))
	action := path.Base(r.URL.Path)
	key := strings.Split(r.URL.Path, "/")[1] + "/" + action
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forms[key] = form
	fields, ok := f.world[key]
	if !ok || strings.HasPrefix(fields, "401") {
		w.WriteHeader(401)
		io.WriteString(w, `{"error": {"errorCode": "200", "message": "Authentication Failed", "details": "Invalid authentication information."}}`)
		return
	}
	fmt.Fprintf(w, `{"%sResponse": {"returnCode": "0", %s}}`, action, fields)
}

// check loads a builder block, each key on its own line from line 3, and runs preflight on it.
func check(t *testing.T, w world, o Options, keys ...string) (config.Resolved, hcl.Diagnostics, *fake) {
	t.Helper()
	f := &fake{world: w, forms: map[string]url.Values{}}
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	c, err := ncloud.New(ncloud.Options{Endpoint: srv.URL, Credentials: ncloud.Credentials{AccessKey: "a", SecretKey: "s", Source: "the test"},
		Retry: ncloud.Retry{First: time.Millisecond, Max: time.Millisecond, Attempts: 2}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	text := "{ \"builders\": [{\n\"type\": \"ncloud\",\n" + strings.Join(keys, ",\n") + "\n}] }"
	tmpl, diags := config.Load(t.Context(), "-", config.Options{Stdin: strings.NewReader(text)})
	if diags.HasErrors() {
		t.Fatalf("template: %v\n%s", diags, text)
	}
	if o.RunID == "" {
		o.RunID = "261122-081500-ab12"
	}
	if o.SourceCIDRs == nil {
		o.SourceCIDRs = []string{"198.51.100.7/32"}
	}
	r, diags := Check(context.Background(), c, tmpl.Builds[0], o)
	return r, diags, f
}

func show(diags hcl.Diagnostics) string {
	var b strings.Builder
	for _, d := range diags {
		kind := "error"
		if d.Severity == hcl.DiagWarning {
			kind = "warning"
		}
		fmt.Fprintf(&b, "%d %s: %s | %s\n", d.Subject.Start.Line, kind, d.Summary, strings.ReplaceAll(d.Detail, "\n", " / "))
	}
	return b.String()
}

const (
	kvm      = `"server_image_number": "23214590"`
	rockyXEN = `"server_image_product_code": "SW.VSVR.OS.LNX64.ROCKY.0810.B050"`
	centos   = `"server_image_product_code": "SPSW0LINUX000046"`
	onVPC    = `"support_vpc": true`
)

func TestChoices(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		keys []string
		want config.Resolved // compared where set here
	}{
		{"KVM", []string{kvm}, config.Resolved{Platform: config.VPC, Hypervisor: "KVM", OS: "linux", RegionCode: "KR", VPCNo: "10", SubnetNo: "23", ZoneCode: "KR-2", ServerImageNumber: "23214590", ServerSpecCode: "s2-g3",
			ImageName: "tfbake-261122-081500-ab12", Name: "tfb-261122-081500-ab12", LoginKeyName: "tfb-261122-081500-ab12-key", CommPort: 22, PublicIP: true, Site: "public"}},
		{"KVM, own image", []string{`"server_image_number": "500"`, `"server_spec_code": "s4-g3"`}, config.Resolved{ServerImageNumber: "500", ServerSpecCode: "s4-g3", Hypervisor: "KVM"}},
		{"XEN", []string{rockyXEN, onVPC, `"server_image_name": "web-1"`}, config.Resolved{Platform: config.VPC, Hypervisor: "XEN", ServerImageProductCode: "SW.VSVR.OS.LNX64.ROCKY.0810.B050",
			ServerProductCode: "SVR.VSVR.HICPU.C002.M004.NET.SSD.B050.G002", ImageName: "web-1"}},
		{"RHV by the image list", []string{`"server_image_product_code": "SW.VSVR.OS.LNX64.UBNTU.SVR2004.B050"`, onVPC}, config.Resolved{Hypervisor: "RHV"}},
		{"member image", []string{`"member_server_image_no": "700"`, onVPC, `"region": "Singapore"`}, config.Resolved{MemberServerImageNo: "700", Hypervisor: "XEN", RegionCode: "SGN", ServerProductCode: "SVR.VSVR.HICPU.C002.M004.NET.SSD.B050.G002"}},
		{"SQL Server", []string{`"server_image_product_code": "SW.VSVR.DBMS.WND64.WND.SVR2016EN.MSSQL.2017.B100"`, onVPC, `"communicator": "winrm"`, `"winrm_username": "Administrator"`},
			config.Resolved{FeeSystemTypeCode: "FXSUM", OS: "windows", CommPort: 5985}},
		{"VPC named", []string{kvm, `"vpc_no": "11"`}, config.Resolved{VPCNo: "11", SubnetNo: "21"}},
		{"subnet named", []string{kvm, `"subnet_no": "21"`}, config.Resolved{VPCNo: "11", SubnetNo: "21", ZoneCode: "KR-2"}},
		{"bastion", []string{kvm, `"subnet_no": "20"`, `"ssh_bastion_host": "10.0.0.1"`, `"ssh_bastion_username": "u"`, `"ssh_bastion_password": "p"`}, config.Resolved{SubnetNo: "20"}},
		{"ACG", []string{kvm, `"access_control_group_no": "50"`}, config.Resolved{ACGNos: []string{"50"}}},
		{"login key", []string{kvm, `"ssh_keypair_name": "team-key"`, `"ssh_password": "x"`}, config.Resolved{LoginKeyName: "team-key"}},
		{"Classic", []string{centos}, config.Resolved{Platform: config.Classic, RegionCode: "KR", RegionNo: "1", ZoneNo: "2", ServerProductCode: "SPSVRSSD00000001"}},
		{"Classic, old region name", []string{centos, `"region": "US-West"`}, config.Resolved{RegionCode: "USWN", RegionNo: "9"}},
		{"Classic, product of the member image", []string{`"member_server_image_no": "800"`, `"server_image_name": "packer-test 1234"`}, config.Resolved{MemberServerImageNo: "800", ServerProductCode: "SPSVRSTAND000003", ImageName: "packer-test 1234"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, diags, _ := check(t, ordinary(), Options{}, tt.keys...)
			if diags.HasErrors() {
				t.Fatal(show(diags))
			}
			for what, pair := range map[string][2]any{
				"platform": {tt.want.Platform, r.Platform}, "hypervisor": {tt.want.Hypervisor, r.Hypervisor}, "os": {tt.want.OS, r.OS}, "region": {tt.want.RegionCode, r.RegionCode}, "region no": {tt.want.RegionNo, r.RegionNo},
				"vpc": {tt.want.VPCNo, r.VPCNo}, "subnet": {tt.want.SubnetNo, r.SubnetNo}, "zone": {tt.want.ZoneCode, r.ZoneCode}, "zone no": {tt.want.ZoneNo, r.ZoneNo}, "image no": {tt.want.ServerImageNumber, r.ServerImageNumber},
				"spec": {tt.want.ServerSpecCode, r.ServerSpecCode}, "image code": {tt.want.ServerImageProductCode, r.ServerImageProductCode}, "product": {tt.want.ServerProductCode, r.ServerProductCode},
				"member": {tt.want.MemberServerImageNo, r.MemberServerImageNo}, "name": {tt.want.ImageName, r.ImageName}, "fee": {tt.want.FeeSystemTypeCode, r.FeeSystemTypeCode}, "key": {tt.want.LoginKeyName, r.LoginKeyName},
				"run": {tt.want.Name, r.Name}, "site": {tt.want.Site, r.Site}, "acg": {strings.Join(tt.want.ACGNos, ","), strings.Join(r.ACGNos, ",")},
			} {
				if fmt.Sprint(pair[0]) != "" && pair[0] != pair[1] {
					t.Errorf("%s: want %v, got %v", what, pair[0], pair[1])
				}
			}
			if tt.want.CommPort != 0 && r.CommPort != tt.want.CommPort {
				t.Errorf("port %d", r.CommPort)
			}
			if want := tt.name != "bastion"; r.PublicIP != want {
				t.Errorf("public IP %v", r.PublicIP)
			}
		})
	}
}

func TestFindings(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		keys   []string // from line 3 on
		change func(w world)
		o      Options
		want   []string // per finding: beginning "line kind: summary" and then parts of the rest
	}{
		{name: "all good", keys: []string{kvm, `"server_image_name": "web"`}},
		{name: "wrong region", keys: []string{kvm, `"region": "Singapor"`}, want: []string{`4 error: There is no region "Singapor" on VPC|Did you mean Singapore|KR (Korea)`}},
		{name: "refused keys", keys: []string{`"access_key": "a"`, `"secret_key": "s"`, kvm}, change: func(w world) { w["vserver/getRegionList"] = "401" },
			want: []string{`3 error: NAVER Cloud does not accept the keys|the keys came from the test|clock`}},
		{name: "unknown number", keys: []string{`"server_image_number": "23214950"`}, want: []string{`3 error: There is no server image 23214950 in region KR|Did you mean 23214590|ubuntu-22.04-base KVM`}},
		{name: "a member image's number", keys: []string{`"server_image_number": "700"`}, want: []string{`3 error: There is no server image 700|set member_server_image_no instead`}},
		{name: "phased out", keys: []string{`"server_image_number": "17552318"`}, want: []string{`3 warning: Image ubuntu-20.04-base is being phased out|23214590`}},
		{name: "retired", keys: []string{`"server_image_number": "16187005"`}, want: []string{`3 error: Image centos-7.8-base is not offered any more`}},
		{name: "unfinished own image", keys: []string{`"server_image_number": "501"`}, want: []string{`3 error: Server image 501 cannot be used: it is INIT/NULL`}},
		{name: "failed member image", keys: []string{`"member_server_image_no": "701"`, onVPC}, want: []string{`3 error: Member image 701 cannot be used|will not become usable`}},
		{name: "unknown member image", keys: []string{`"member_server_image_no": "702"`, onVPC}, want: []string{`3 error: There is no member image 702|700`}},
		{name: "VPC member image on Classic", keys: []string{`"member_server_image_no": "700"`}, want: []string{`3 error: There is no member image 700|set support_vpc to true`}},
		{name: "KVM image as member image", keys: []string{`"member_server_image_no": "500"`, onVPC}, want: []string{`3 error: There is no member image 500|set server_image_number and server_spec_code instead`}},
		{name: "typo in the image code", keys: []string{`"server_image_product_code": "SW.VSVR.OS.LNX64.ROCKY.0811.B050"`, onVPC}, want: []string{`3 error: There is no image product|Did you mean`}},
		{name: "Classic typo", keys: []string{`"server_image_product_code": "SPSW0LINUX00046"`}, want: []string{`3 error: There is no image product SPSW0LINUX00046 on Classic in region KR|Did you mean SPSW0LINUX000046|CentOS 7.3`}},
		{name: "Classic code on VPC", keys: []string{centos, onVPC}, want: []string{`3 error: There is no image product SPSW0LINUX000046 on VPC|This is a code of Classic`}},
		{name: "VPC code on Classic", keys: []string{rockyXEN}, want: []string{`3 error: There is no image product|set support_vpc to true`}},
		{name: "KVM code", keys: []string{`"server_image_product_code": "SW.VSVR.OS.LNX64.UBNTU.SVR22.G003"`, onVPC}, want: []string{`3 error: There is no image product|number is 23214590`}},
		{name: "KVM code that is listed", keys: []string{`"server_image_product_code": "SW.VSVR.OS.LNX64.UBNTU.SVR22.G003"`, onVPC},
			change: func(w world) {
				w["vserver/getServerImageProductList"] = `"productList": [` + product("SW.VSVR.OS.LNX64.UBNTU.SVR22.G003", "u", "LNX64") + `]`
			},
			want: []string{`3 error: SW.VSVR.OS.LNX64.UBNTU.SVR22.G003 is a KVM image, which has to be named by its number|23214590`}},
		{name: "wrong product", keys: []string{rockyXEN, onVPC, `"server_product_code": "SVR.VSVR.STAND.C002.M008.NET.HDD.B50.G002"`}, want: []string{`5 error: There is no server product|Did you mean SVR.VSVR.STAND.C002.M008.NET.HDD.B050.G002`}},
		{name: "Classic product on VPC", keys: []string{rockyXEN, onVPC, `"server_product_code": "SPSVRSTAND000003"`}, want: []string{`5 error: There is no server product SPSVRSTAND000003|This is a code of Classic`}},
		{name: "VDS", keys: []string{rockyXEN, onVPC, `"server_product_code": "SVR.VSVR.VDS.C001.M001"`}, want: []string{`5 error: No image can be made of a VDS server`}},
		{name: "wrong spec", keys: []string{kvm, `"server_spec_code": "s2-g4"`}, want: []string{`4 error: There is no server spec s2-g4 for this image|Did you mean s2-g3`}},
		{name: "product code as spec", keys: []string{kvm, `"server_spec_code": "SVR.VSVR.s4-g3"`}, want: []string{`4 error: There is no server spec|the spec it belongs to is s4-g3`}},
		{name: "unknown number, unknown spec and subnet", keys: []string{`"server_image_number": "999"`, `"server_spec_code": "zz-9"`, `"subnet_no": "4711"`},
			want: []string{`5 error: There is no subnet 4711`, `3 error: There is no server image 999`, `4 error: There is no server spec zz-9 in region KR|Specs:|s2-g3`}},
		{name: "unknown number, known spec", keys: []string{`"server_image_number": "999"`, `"server_spec_code": "s2-g3"`}, want: []string{`3 error: There is no server image 999`}},
		{name: "spec of another hypervisor", keys: []string{kvm, `"server_spec_code": "c2-g2"`}, want: []string{`4 error: There is no server spec c2-g2 for this image`}},
		{name: "hypervisor", keys: []string{kvm, `"hypervisor": "XEN"`}, want: []string{`4 error: The image is for KVM, not for XEN`}},
		{name: "taken name", keys: []string{rockyXEN, onVPC, `"server_image_name": "my-image"`}, want: []string{`5 error: There is already an image called "my-image" (700)|"my-image-2"`}},
		{name: "taken KVM name", keys: []string{kvm, `"server_image_name": "baked-kvm"`}, want: []string{`4 error: There is already an image called "baked-kvm" (500)`}},
		{name: "KVM image named like a XEN one", keys: []string{kvm, `"server_image_name": "my-image"`}, want: []string{`4 error: There is already an image called "my-image" (700)`}},
		{name: "name of NAVER's image is free", keys: []string{kvm, `"server_image_name": "rocky-8-base"`}},
		{name: "taken Classic name", keys: []string{centos, `"server_image_name": "classic image"`}, want: []string{`4 error: There is already an image called "classic image" (800)`}},
		{name: "XEN image by number: stricter name", keys: []string{`"server_image_number": "19463675"`, `"server_image_name": "web_1a"`}, change: func(w world) {
			w["vserver/getServerSpecList"] = `"serverSpecList": [` + spec("c2-g2", 1, 1, "RHV") + `]`
		},
			want: []string{`4 error: "web_1a" cannot be an image name on VPC|"web-1a"`}},
		{name: "no public subnet", keys: []string{kvm, onVPC}, change: func(w world) { w["vpc/getSubnetList"] = `"subnetList": [` + subnet("20", "10", "PRIVATE", "GEN") + `]` },
			want: []string{`4 error: There is no public subnet in region KR`}},
		{name: "private subnet", keys: []string{kvm, `"subnet_no": "20"`}, want: []string{`4 error: Subnet 20 is private|23`}},
		{name: "subnet for load balancers", keys: []string{kvm, `"subnet_no": "22"`}, want: []string{`4 error: Subnet 22 is for LOADB, not for servers`}},
		{name: "unknown subnet", keys: []string{kvm, `"subnet_no": "24"`}, want: []string{`4 error: There is no subnet 24 in region KR|23`}},
		{name: "unknown VPC", keys: []string{kvm, `"vpc_no": "12"`}, want: []string{`4 error: There is no VPC 12 in region KR|first`}},
		{name: "subnet of another VPC", keys: []string{kvm, `"vpc_no": "11"`, `"subnet_no": "23"`}, want: []string{`5 error: Subnet 23 is not in VPC 11|It is in VPC 10`}},
		{name: "unknown ACG", keys: []string{kvm, `"access_control_group_no": "5"`}, want: []string{`4 error: There is no access control group 5|50  ssh-from-office`}},
		{name: "ACG of another VPC", keys: []string{kvm, `"access_control_group_no": "51"`}, want: []string{`4 error: Access control group 51 is of another VPC|50  ssh-from-office`}},
		{name: "ACG for others", keys: []string{kvm, `"access_control_group_no": "50"`}, o: Options{SourceCIDRs: []string{"192.0.2.1/32"}}, want: []string{`4 warning: Access control group 50 (ssh-from-office) may not let this machine reach port 22|192.0.2.1/32`}},
		{name: "ACG for another port", keys: []string{kvm, `"access_control_group_no": "50"`, `"ssh_port": 2222`}, want: []string{`4 error: Access control group 50 (ssh-from-office) does not let anyone reach port 2222`}},
		{name: "default ACG closed", keys: []string{centos}, change: func(w world) { w["server/getAccessControlRuleList"] = `"accessControlRuleList": []` }, want: []string{`2 error: Access control group 60 (ncloud-default-acg) does not let anyone reach port 22`}},
		{name: "nobody may connect", keys: []string{kvm}, o: Options{SourceCIDRs: []string{}}, want: []string{`2 error: Who may connect to the server is not known`}},
		{name: "the world by the environment", keys: []string{kvm}, o: Options{SourceCIDRs: []string{"0.0.0.0/0"}}, want: []string{`2 error: The server would be open to the whole internet`}},
		{name: "the world on purpose", keys: []string{kvm, `"allow_world": true`}, o: Options{SourceCIDRs: []string{"0.0.0.0/0"}}},
		{name: "too many public IPs", keys: []string{kvm}, change: func(w world) {
			w["vserver/getPublicIpInstanceList"] = `"publicIpInstanceList": [{"publicIpInstanceNo": "1", "publicIp": "203.0.113.1", "serverInstanceNo": "40"}, {"publicIpInstanceNo": "2", "publicIp": "203.0.113.2", "serverInstanceNo": "41"}, {"publicIpInstanceNo": "3", "publicIp": "203.0.113.3"}]`
		}, want: []string{`2 error: There would be more public IPs than servers|3 public IPs for 2 servers|203.0.113.3`}},
		{name: "unknown login key", keys: []string{kvm, `"ssh_keypair_name": "teamkey"`, `"ssh_password": "x"`}, want: []string{`4 error: There is no login key "teamkey"|Did you mean team-key`}},
		{name: "disk too large for the image", keys: []string{rockyXEN, onVPC, `"block_storage_size": 2000`}},
		{name: "KVM disk elsewhere", keys: []string{kvm, `"region": "SGN"`, `"block_storage_size": 100`}, o: Options{OfficialProvider: true}, want: []string{`5 warning: The official provider may fail to attach the disk in region SGN|576`}},
		{name: "KVM disk elsewhere, embedded", keys: []string{kvm, `"region": "SGN"`, `"block_storage_size": 100`}},
		{name: "XEN disk on a KVM image", keys: []string{`"server_image_number": "19463675"`, `"block_storage_size": 10`, `"block_storage_volume_type": "CB1"`},
			change: func(w world) {
				w["vserver/getServerSpecList"] = `"serverSpecList": [` + spec("c2-g2", 1, 1, "RHV") + `]`
			},
			want: []string{`5 error: There are no CB1 disks on VPC|SSD or HDD`}},
		{name: "Windows over ssh", keys: []string{`"server_image_product_code": "SW.VSVR.OS.WND64.WND.SVR2019EN.B100"`, onVPC}, want: []string{`2 warning: The image is Windows, but the communicator is ssh`}},
		{name: "shell script on Windows", keys: []string{`"server_image_product_code": "SW.VSVR.OS.WND64.WND.SVR2019EN.B100"`, onVPC, `"communicator": "winrm"`, `"user_data": "#!/bin/sh"`}, want: []string{`6 error: The image is Windows, but the init script is not Visual Basic`}},
		{name: "winrm on Linux", keys: []string{rockyXEN, onVPC, `"communicator": "winrm"`}, want: []string{`5 error: The image is Linux, but the communicator is winrm`}},
		{name: "all at once", keys: []string{`"server_image_number": "16187005"`, `"server_spec_code": "nope"`, `"server_image_name": "baked-kvm"`, `"subnet_no": "20"`, `"access_control_group_no": "5"`},
			want: []string{`6 error: Subnet 20 is private`, `3 error: Image centos-7.8-base`, `5 error: There is already an image`, `7 error: There is no access control group`, `4 error: There is no server spec`}},
		{name: "a question that fails", keys: []string{kvm}, change: func(w world) { delete(w, "vserver/getServerSpecList"); delete(w, "vpc/getVpcList") }, want: []string{`2 error: NAVER Cloud does not accept the keys`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := ordinary()
			if tt.change != nil {
				tt.change(w)
			}
			_, diags, _ := check(t, w, tt.o, tt.keys...)
			got := strings.Split(strings.TrimSpace(show(diags)), "\n")
			if got[0] == "" {
				got = nil
			}
			if len(got) != len(tt.want) {
				t.Fatalf("%d findings, want %d:\n%s", len(got), len(tt.want), show(diags))
			}
			for i, want := range tt.want {
				for n, part := range strings.Split(want, "|") {
					if n == 0 && !strings.HasPrefix(got[i], part) || !strings.Contains(got[i], part) {
						t.Errorf("%q is not in\n%s", part, got[i])
					}
				}
			}
		})
	}
}

// TestAsksInTheRegion looks that what is asked after the region is known names it.
func TestAsksInTheRegion(t *testing.T) {
	t.Parallel()
	_, diags, f := check(t, ordinary(), Options{}, kvm, `"region": "Singapore"`)
	if diags.HasErrors() {
		t.Fatal(show(diags))
	}
	for action, form := range f.forms {
		if !strings.HasSuffix(action, "getRegionList") && form.Get("regionCode") != "SGN" {
			t.Errorf("%s names region %q", action, form.Get("regionCode"))
		}
	}
	if got := f.forms["vserver/getServerSpecList"]; got.Get("serverImageNo") != "23214590" || got.Get("zoneCode") != "KR-2" {
		t.Errorf("specs asked with %v", got)
	}
}

func TestPlainRules(t *testing.T) {
	t.Parallel()
	source := func(change func(*config.Source)) *config.Build {
		b := &config.Build{Communicator: config.Communicator{Type: "ssh"}}
		change(&b.Source)
		return b
	}
	classic := config.Resolved{Platform: config.Classic, OS: "linux", RegionCode: "KR", ServerImageProductCode: "x"}
	xen := config.Resolved{Platform: config.VPC, Hypervisor: "XEN", OS: "linux", RegionCode: "KR", ServerImageProductCode: "x"}
	onKVM := config.Resolved{Platform: config.VPC, Hypervisor: "KVM", OS: "linux", RegionCode: "KR", ServerImageNumber: "x"}
	disk := func(gb int) *config.Build { return source(func(s *config.Source) { s.BlockStorageSize = gb }) }
	data := func(text string) *config.Build { return source(func(s *config.Source) { s.UserData = text }) }
	for _, tt := range []struct {
		name string
		b    *config.Build
		r    config.Resolved
		want string // in the only finding; "": none
	}{
		{"2000 on Classic", disk(2000), classic, ""}, {"2010 on Classic", disk(2010), classic, "The nearest is 2000"}, {"15", disk(15), xen, "The nearest is 20"}, {"5", disk(5), xen, "nearest is 10"},
		{"16380 on KVM", disk(16380), onKVM, ""}, {"16380 on XEN", disk(16380), xen, "from 10 to 2000"}, {"16390 on KVM", disk(16390), onKVM, "nearest is 16380"},
		{"1000 bytes", source(func(s *config.Source) { s.ServerImageDescription = strings.Repeat("a", 1000) }), classic, ""},
		{"Korean", source(func(s *config.Source) { s.ServerImageDescription = strings.Repeat("한", 334) }), xen, "1002 bytes"},
		{"script at the limit", data("#!/bin/sh\n" + strings.Repeat("x", 21847-10)), classic, ""},
		{"script over the limit", data("#!/bin/sh\n" + strings.Repeat("x", 21847-9)), classic, "21848 characters"},
		{"long script on VPC", data("#!/bin/sh\n" + strings.Repeat("x", 30000)), xen, ""},
		{"Visual Basic on Linux", data("Set s = CreateObject(\"WScript.Shell\")"), xen, "The image is Linux"},
	} {
		diags := checkPlain(tt.b, tt.r)
		if tt.want == "" && len(diags) > 0 || tt.want != "" && (len(diags) != 1 || !strings.Contains(show(diags), tt.want)) {
			t.Errorf("%s: %s", tt.name, show(diags))
		}
	}
}

func TestOpens(t *testing.T) {
	t.Parallel()
	rule := func(protocol, block, ports string) []ncloud.Rule {
		return []ncloud.Rule{{Protocol: protocol, IPBlock: block, PortRange: ports, Direction: ncloud.Inbound}}
	}
	us := []string{"203.0.113.7/32"}
	for _, tt := range []struct {
		name  string
		rules []ncloud.Rule
		from  []string
		want  opening
	}{
		{"the world", rule("TCP", "0.0.0.0/0", "22"), us, open}, {"a range", rule("TCP", "203.0.113.0/24", "1-65535"), us, open}, {"by number", rule("6", "203.0.113.7/32", "22"), us, open},
		{"an address", rule("TCP", "203.0.113.7", "22"), us, open}, {"others", rule("TCP", "198.51.100.0/24", "22"), us, others}, {"another ACG", rule("TCP", "", "22"), us, others},
		{"another port", rule("TCP", "0.0.0.0/0", "23-80"), us, closed}, {"UDP", rule("UDP", "0.0.0.0/0", "22"), us, closed}, {"nothing", nil, us, closed},
		{"narrower than us", rule("TCP", "203.0.113.7/32", "22"), []string{"203.0.113.0/24"}, others}, {"we do not know ourselves", rule("TCP", "198.51.100.0/24", "22"), nil, open},
		{"outbound", []ncloud.Rule{{Protocol: "TCP", IPBlock: "0.0.0.0/0", PortRange: "22", Direction: ncloud.Outbound}}, us, closed},
	} {
		if got := opens(tt.rules, 22, tt.from); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestChoicesTable(t *testing.T) {
	t.Parallel()
	var many []row
	for i := range 40 {
		many = append(many, row{fmt.Sprintf("code-%02d", i), "name"})
	}
	got := choices("Codes", "code-33x", many)
	if !strings.HasPrefix(got, "Did you mean code-33 or ") || strings.Count(got, "\n") != maxRows+1 || !strings.Contains(got, "\n  code-33  name") || !strings.HasSuffix(got, "… and 28 more") {
		t.Errorf("got %s", got)
	}
	if got := choices("Codes", "x", nil); got != "There are none." {
		t.Errorf("got %s", got)
	}
}
