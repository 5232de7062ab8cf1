package localcloud

import (
	"strings"
	"testing"
	"time"

	sdkserver "github.com/NaverCloudPlatform/ncloud-sdk-go-v2/services/server"
)

func (c *testCloud) classicServer(no string) *sdkserver.ServerInstance {
	c.t.Helper()
	l := must(c.server.GetServerInstanceList(&sdkserver.GetServerInstanceListRequest{ServerInstanceNoList: strs(no)}))(c.t).ServerInstanceList
	if len(l) == 0 {
		return nil
	}
	return l[0]
}

func (c *testCloud) waitClassic(no, status string) {
	c.t.Helper()
	eventually(c.t, "server "+no+" "+status, func() bool {
		s := c.classicServer(no)
		return s == nil && status == "gone" || s != nil && *s.ServerInstanceStatus.Code+"/"+*s.ServerInstanceOperation.Code == status
	})
}

// A Classic bake as Packer's plugin does it: key, server with user data, disk, password, public IP, stop, image, disk
// and server deleted with the IP still associated.
func TestClassicLifecycle(t *testing.T) {
	t.Parallel()
	slow := Fast()
	slow.Image, slow.Network = 300*time.Millisecond, 200*time.Millisecond
	c := start(t, Options{Latency: slow})
	private := *must(c.server.CreateLoginKey(&sdkserver.CreateLoginKeyRequest{KeyName: p("packer-1")}))(t).PrivateKey
	no := *must(c.server.CreateServerInstances(&sdkserver.CreateServerInstancesRequest{ServerImageProductCode: p(centos), ServerProductCode: p(""), MemberServerImageNo: p(""),
		LoginKeyName: p("packer-1"), ZoneNo: p("2"), FeeSystemTypeCode: p("MTRAT"), UserData: p("#!/bin/sh\necho hi\n")}))(t).ServerInstanceList[0].ServerInstanceNo
	c.waitClassic(no, "RUN/NULL")
	s := c.classicServer(no)
	if *s.ServerProductCode != "SPSVRSTAND000056" || *s.Zone.ZoneCode != "KR-1" || *s.Region.RegionNo != "1" || *s.PlatformType.Code != "LNX64" ||
		len(s.AccessControlGroupList) != 1 || *s.PortForwardingPublicIp == "" || *s.UserData != "#!/bin/sh\necho hi\n" {
		t.Errorf("server = %+v", s)
	}
	if g := c.guests.last(t); g.UserData != "#!/bin/sh\necho hi\n" || g.OS != "centos-7.8" {
		t.Errorf("guest = %+v", g)
	}
	disk := *must(c.server.CreateBlockStorageInstance(&sdkserver.CreateBlockStorageInstanceRequest{BlockStorageSize: p(int64(10)), ServerInstanceNo: &no}))(t).BlockStorageInstanceList[0].BlockStorageInstanceNo
	eventually(t, "disk attached", func() bool {
		d := must(c.server.GetBlockStorageInstanceList(&sdkserver.GetBlockStorageInstanceListRequest{BlockStorageInstanceNoList: strs(disk)}))(t).BlockStorageInstanceList[0]
		return *d.BlockStorageInstanceStatus.Code == "ATTAC" && *d.BlockStorageInstanceOperation.Code == "NULL" && *d.BlockStorageSize == 10<<30
	})
	if pw := *must(c.server.GetRootPassword(&sdkserver.GetRootPasswordRequest{ServerInstanceNo: &no, PrivateKey: &private}))(t).RootPassword; pw != c.guests.last(t).RootPassword {
		t.Error("root password is not the guest's")
	}
	if sealed := *must(c.server.GetRootPassword(&sdkserver.GetRootPasswordRequest{ServerInstanceNo: &no}))(t).RootPassword; len(sealed) < 300 {
		t.Errorf("password without a key = %q, want it sealed", sealed)
	}
	ip := must(c.server.CreatePublicIpInstance(&sdkserver.CreatePublicIpInstanceRequest{ServerInstanceNo: &no}))(t).PublicIpInstanceList[0]
	if *ip.PublicIpInstanceStatus.Code != "CREAT" || *ip.PublicIpInstanceOperation.Code != "USE" {
		t.Errorf("new IP is %s/%s", *ip.PublicIpInstanceStatus.Code, *ip.PublicIpInstanceOperation.Code)
	}
	eventually(t, "server has the IP", func() bool { return *c.classicServer(no).PublicIp == *ip.PublicIp })
	if got, err := c.greeting(*ip.PublicIp + ":22"); !strings.HasPrefix(got, "guest s-") {
		t.Errorf("greeting = %q, %v", got, err)
	}
	c.waitClassic(no, "RUN/NULL")

	image := func() error {
		_, err := c.server.CreateMemberServerImage(&sdkserver.CreateMemberServerImageRequest{ServerInstanceNo: &no, MemberServerImageName: p("classic-image"), MemberServerImageDescription: p("")})
		return err
	}
	refused(t, image(), "25008")
	must(c.server.StopServerInstances(&sdkserver.StopServerInstancesRequest{ServerInstanceNoList: strs(no)}))(t)
	c.waitClassic(no, "NSTOP/NULL")
	if err := image(); err != nil {
		t.Fatal(err)
	}
	refused(t, image(), "25018")
	own := func() *sdkserver.MemberServerImage {
		return must(c.server.GetMemberServerImageList(&sdkserver.GetMemberServerImageListRequest{}))(t).MemberServerImageList[0]
	}
	eventually(t, "image", func() bool { return *own().MemberServerImageStatus.Code == "CREAT" })
	if i := own(); *i.MemberServerImageBlockStorageTotalRows != 2 || *i.OriginalServerProductCode != "SPSVRSTAND000056" || *i.OriginalServerImageProductCode != centos {
		t.Errorf("image = %+v", i)
	}
	refused(t, image(), "10300")

	must(c.server.DeleteBlockStorageInstances(&sdkserver.DeleteBlockStorageInstancesRequest{BlockStorageInstanceNoList: strs(disk)}))(t)
	eventually(t, "disk gone", func() bool { return len(c.Inventory().BlockStorages) == 0 })
	c.waitClassic(no, "NSTOP/NULL")
	must(c.server.TerminateServerInstances(&sdkserver.TerminateServerInstancesRequest{ServerInstanceNoList: strs(no)}))(t)
	c.waitClassic(no, "gone")
	must(c.server.DeletePublicIpInstances(&sdkserver.DeletePublicIpInstancesRequest{PublicIpInstanceNoList: []*string{ip.PublicIpInstanceNo}}))(t)
	must(c.server.DeleteLoginKey(&sdkserver.DeleteLoginKeyRequest{KeyName: p("packer-1")}))(t)
	c.none()

	c.key("second")
	two := *must(c.server.CreateServerInstances(&sdkserver.CreateServerInstancesRequest{MemberServerImageNo: own().MemberServerImageNo, ServerName: p("of-image")}))(t).ServerInstanceList[0].ServerInstanceNo
	c.waitClassic(two, "RUN/NULL")
	if len(c.Inventory().BlockStorages) != 1 {
		t.Error("the image's disk did not come with the server")
	}
	must(c.server.DeleteMemberServerImages(&sdkserver.DeleteMemberServerImagesRequest{MemberServerImageNoList: []*string{own().MemberServerImageNo}}))(t)
	eventually(t, "image gone", func() bool { return len(c.Inventory().Images) == 0 })
}

func TestClassicRefusals(t *testing.T) {
	t.Parallel()
	slow := Fast()
	slow.Server = 500 * time.Millisecond
	c := start(t, Options{Latency: slow})
	c.key("test-key")
	create := func(change func(*sdkserver.CreateServerInstancesRequest)) (string, error) {
		r := &sdkserver.CreateServerInstancesRequest{ServerImageProductCode: p(centos), LoginKeyName: p("test-key")}
		change(r)
		res, err := c.server.CreateServerInstances(r)
		if err != nil {
			return "", err
		}
		return *res.ServerInstanceList[0].ServerInstanceNo, nil
	}
	no, err := create(func(r *sdkserver.CreateServerInstancesRequest) { r.ServerName = p("Taken_1") })
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.server.GetRootPassword(&sdkserver.GetRootPasswordRequest{ServerInstanceNo: &no})
	refused(t, err, "1300") // not ready yet
	c.waitClassic(no, "RUN/NULL")

	type req = sdkserver.CreateServerInstancesRequest
	for _, tt := range []struct {
		name, code string
		change     func(*req)
	}{
		{"no image", "900", func(r *req) { r.ServerImageProductCode = nil }},
		{"unknown image", "10712", func(r *req) { r.ServerImageProductCode = p("SPSW0LINUX999999") }},
		{"unknown product", "10712", func(r *req) { r.ServerProductCode = p("SPSVRNONE") }},
		{"product that does not fit", "1413", func(r *req) { r.ServerProductCode = p("SPSVRSTAND000004A") }},
		{"unknown member image", "1100000", func(r *req) { r.MemberServerImageNo = p("77") }},
		{"unknown ACG", "24076", func(r *req) { r.AccessControlGroupConfigurationNoList = strs("77") }},
		{"unknown key", "10406", func(r *req) { r.LoginKeyName = p("none") }},
		{"taken name", "10300", func(r *req) { r.ServerName = p("Taken_1") }},
		{"short name", "1100000", func(r *req) { r.ServerName = p("ab") }},
		{"unknown zone", "1100000", func(r *req) { r.ZoneNo = p("99") }},
		{"long user data", "1100000", func(r *req) { r.UserData = p(strings.Repeat("x", 21848)) }},
		{"MSSQL at an hourly fee", "1100000", func(r *req) { r.ServerImageProductCode = p("SPSW0WINNTEN0047A") }},
	} {
		_, err := create(tt.change)
		t.Run(tt.name, func(t *testing.T) { refused(t, err, tt.code) })
	}
	if _, err := create(func(r *req) {
		r.ServerImageProductCode, r.FeeSystemTypeCode = p("SPSW0WINNTEN0047A"), p("FXSUM")
	}); err != nil {
		t.Errorf("MSSQL at a flat fee: %v", err)
	}

	_, err = c.server.TerminateServerInstances(&sdkserver.TerminateServerInstancesRequest{ServerInstanceNoList: strs("1")})
	refused(t, err, "10713")
	_, err = c.server.StopServerInstances(&sdkserver.StopServerInstancesRequest{ServerInstanceNoList: strs("1")})
	refused(t, err, "24120")
	_, err = c.server.CreateBlockStorageInstance(&sdkserver.CreateBlockStorageInstanceRequest{ServerInstanceNo: &no, BlockStorageSize: p(int64(5))})
	refused(t, err, "1100000")
	_, err = c.server.DetachBlockStorageInstances(&sdkserver.DetachBlockStorageInstancesRequest{BlockStorageInstanceNoList: strs("1")})
	refused(t, err, "24109")
	_, err = c.server.DeletePublicIpInstances(&sdkserver.DeletePublicIpInstancesRequest{PublicIpInstanceNoList: strs("1")})
	refused(t, err, "10713")
	_, err = c.server.GetAccessControlRuleList(&sdkserver.GetAccessControlRuleListRequest{AccessControlGroupConfigurationNo: p("1")})
	refused(t, err, "24076")
	ip := must(c.server.CreatePublicIpInstance(&sdkserver.CreatePublicIpInstanceRequest{}))(t).PublicIpInstanceList[0].PublicIpInstanceNo
	_, err = c.server.DisassociatePublicIpFromServerInstance(&sdkserver.DisassociatePublicIpFromServerInstanceRequest{PublicIpInstanceNo: ip})
	refused(t, err, "28102")
	// The platforms do not see each other's servers.
	if got := c.vpcStatus(no); got != "gone" {
		t.Errorf("VPC sees a Classic server: %s", got)
	}
}

func TestClassicPortForwarding(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	c.key("test-key")
	no := *must(c.server.CreateServerInstances(&sdkserver.CreateServerInstancesRequest{ServerImageProductCode: p(centos), ServerName: p("fwd")}))(t).ServerInstanceList[0].ServerInstanceNo
	c.waitClassic(no, "RUN/NULL")
	config := *must(c.server.GetPortForwardingConfigurationList(&sdkserver.GetPortForwardingConfigurationListRequest{}))(t).PortForwardingConfigurationList[0].PortForwardingConfigurationNo
	rule := func(ext, in int32) []*sdkserver.PortForwardingRuleParameter {
		return []*sdkserver.PortForwardingRuleParameter{{PortForwardingExternalPort: &ext, PortForwardingInternalPort: &in, ServerInstanceNo: &no}}
	}
	_, err := c.server.AddPortForwardingRules(&sdkserver.AddPortForwardingRulesRequest{PortForwardingConfigurationNo: &config, PortForwardingRuleList: rule(1025, 80)})
	refused(t, err, "1100000")
	must(c.server.AddPortForwardingRules(&sdkserver.AddPortForwardingRulesRequest{PortForwardingConfigurationNo: &config, PortForwardingRuleList: rule(1025, 22)}))(t)
	s := c.classicServer(no)
	if *s.PortForwardingExternalPort != 1025 {
		t.Errorf("server forwards %d", *s.PortForwardingExternalPort)
	}
	if got, err := c.greeting(*s.PortForwardingPublicIp + ":1025"); got != "guest fwd port 22" {
		t.Errorf("greeting = %q, %v", got, err)
	}
	if n := len(must(c.server.GetPortForwardingRuleList(&sdkserver.GetPortForwardingRuleListRequest{}))(t).PortForwardingRuleList); n != 1 {
		t.Errorf("%d rules are listed", n)
	}
	if n := len(c.Inventory().PortForwardingRules); n != 1 {
		t.Errorf("inventory has %d rules", n)
	}
	must(c.server.DeletePortForwardingRules(&sdkserver.DeletePortForwardingRulesRequest{PortForwardingConfigurationNo: &config, PortForwardingRuleList: rule(1025, 22)}))(t)
	if _, err := c.greeting(*s.PortForwardingPublicIp + ":1025"); err == nil {
		t.Error("a deleted rule still forwards")
	}
}

// The rest of the Classic lists.
func TestClassicListsAndTags(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	c.key("test-key")
	no := *must(c.server.CreateServerInstances(&sdkserver.CreateServerInstancesRequest{ServerImageProductCode: p(centos), ServerName: p("tagged"), InstanceTagList: []*sdkserver.InstanceTagParameter{{TagKey: p("role"), TagValue: p("bake")}}}))(t).ServerInstanceList[0].ServerInstanceNo
	c.waitClassic(no, "RUN/NULL")
	if n := *must(c.server.GetRegionList(&sdkserver.GetRegionListRequest{}))(t).TotalRows; n != 8 {
		t.Errorf("%d regions", n)
	}
	if z := must(c.server.GetZoneList(&sdkserver.GetZoneListRequest{RegionNo: p("1")}))(t).ZoneList; len(z) != 2 || *z[1].ZoneNo != "3" {
		t.Errorf("zones = %+v", z)
	}
	if n := *must(c.server.GetServerImageProductList(&sdkserver.GetServerImageProductListRequest{}))(t).TotalRows; n != 86 {
		t.Errorf("%d image products", n)
	}
	if n := *must(c.server.GetServerProductList(&sdkserver.GetServerProductListRequest{ServerImageProductCode: p(centos)}))(t).TotalRows; n != 92 {
		t.Errorf("%d server products for %s", n, centos)
	}
	g := must(c.server.GetAccessControlGroupList(&sdkserver.GetAccessControlGroupListRequest{IsDefault: p(true)}))(t).AccessControlGroupList
	if len(g) != 1 || *g[0].AccessControlGroupName != "ncloud-default-acg" {
		t.Fatalf("groups = %+v", g)
	}
	if r := must(c.server.GetAccessControlRuleList(&sdkserver.GetAccessControlRuleListRequest{AccessControlGroupConfigurationNo: g[0].AccessControlGroupConfigurationNo}))(t).AccessControlRuleList; *r[0].DestinationPort != "22" {
		t.Errorf("rules = %+v", r)
	}
	tags := func() (out []string) {
		for _, g := range must(c.server.GetInstanceTagList(&sdkserver.GetInstanceTagListRequest{InstanceNoList: strs(no)}))(t).InstanceTagList {
			out = append(out, *g.TagKey+"="+*g.TagValue)
		}
		return out
	}
	must(c.server.CreateInstanceTags(&sdkserver.CreateInstanceTagsRequest{InstanceNoList: strs(no), InstanceTagList: []*sdkserver.InstanceTagParameter{{TagKey: p("a"), TagValue: p("b")}}}))(t)
	if got := strings.Join(tags(), " "); got != "role=bake a=b" {
		t.Errorf("tags = %s", got)
	}
	if n := len(must(c.server.GetServerInstanceList(&sdkserver.GetServerInstanceListRequest{TagKeyList: strs("a")}))(t).ServerInstanceList); n != 1 {
		t.Errorf("%d servers with the tag", n)
	}
	must(c.server.DeleteInstanceTags(&sdkserver.DeleteInstanceTagsRequest{InstanceNoList: strs(no)}))(t)
	if len(tags()) != 0 {
		t.Errorf("tags after delete = %v", tags())
	}
	must(c.server.RebootServerInstances(&sdkserver.RebootServerInstancesRequest{ServerInstanceNoList: strs(no)}))(t)
	c.waitClassic(no, "RUN/NULL")
	if n := len(must(c.server.GetPublicIpTargetServerInstanceList(&sdkserver.GetPublicIpTargetServerInstanceListRequest{}))(t).ServerInstanceList); n != 1 {
		t.Errorf("%d servers can take a public IP", n)
	}
	ip := must(c.server.CreatePublicIpInstance(&sdkserver.CreatePublicIpInstanceRequest{}))(t).PublicIpInstanceList[0]
	must(c.server.AssociatePublicIpWithServerInstance(&sdkserver.AssociatePublicIpWithServerInstanceRequest{PublicIpInstanceNo: ip.PublicIpInstanceNo, ServerInstanceNo: &no}))(t)
	eventually(t, "associated", func() bool {
		l := must(c.server.GetPublicIpInstanceList(&sdkserver.GetPublicIpInstanceListRequest{IsAssociated: p(true)}))(t).PublicIpInstanceList
		return len(l) == 1 && *l[0].PublicIpInstanceStatus.Code == "USED" && *l[0].ServerInstanceAssociatedWithPublicIp.ServerInstanceNo == no
	})
	must(c.server.DisassociatePublicIpFromServerInstance(&sdkserver.DisassociatePublicIpFromServerInstanceRequest{PublicIpInstanceNo: ip.PublicIpInstanceNo}))(t)
	eventually(t, "disassociated", func() bool { return *c.classicServer(no).PublicIp == "" })
}
