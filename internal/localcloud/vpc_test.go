package localcloud

import (
	"strings"
	"testing"
	"time"

	sdkvpc "github.com/NaverCloudPlatform/ncloud-sdk-go-v2/services/vpc"
	"github.com/NaverCloudPlatform/ncloud-sdk-go-v2/services/vserver"
)

// A bake on XEN from the first call to the last, through the official SDK: a server, its files in an image, a second
// server from the image, nothing left.
func TestVPCXenLifecycle(t *testing.T) {
	t.Parallel()
	slow := Fast() // slow enough to see each state on a busy machine
	slow.Server, slow.Setup, slow.Image = 600*time.Millisecond, 300*time.Millisecond, 300*time.Millisecond
	slow.Network = 200 * time.Millisecond
	c := start(t, Options{Latency: slow})
	vpcNo, public, _, _ := c.network()
	private := *must(c.vserver.CreateLoginKey(&vserver.CreateLoginKeyRequest{KeyName: p("bake-key")}))(t).PrivateKey

	acg := *must(c.vserver.CreateAccessControlGroup(&vserver.CreateAccessControlGroupRequest{VpcNo: &vpcNo, AccessControlGroupName: p("bake-acg")}))(t).AccessControlGroupList[0].AccessControlGroupNo
	must(c.vserver.AddAccessControlGroupInboundRule(&vserver.AddAccessControlGroupInboundRuleRequest{VpcNo: &vpcNo, AccessControlGroupNo: &acg,
		AccessControlGroupRuleList: []*vserver.AddAccessControlGroupRuleParameter{{IpBlock: p("127.0.0.1/32"), PortRange: p("22"), ProtocolTypeCode: p("TCP")}}}))(t)
	eventually(t, "ACG runs", func() bool {
		return *must(c.vserver.GetAccessControlGroupDetail(&vserver.GetAccessControlGroupDetailRequest{AccessControlGroupNo: &acg}))(t).AccessControlGroupList[0].AccessControlGroupStatus.Code == "RUN"
	})
	nic := *must(c.vserver.CreateNetworkInterface(&vserver.CreateNetworkInterfaceRequest{VpcNo: &vpcNo, SubnetNo: &public, AccessControlGroupNoList: strs(acg), NetworkInterfaceName: p("bake-nic")}))(t).NetworkInterfaceList[0].NetworkInterfaceNo
	script := *must(c.vserver.CreateInitScript(&vserver.CreateInitScriptRequest{InitScriptName: p("bake-init"), InitScriptContent: p("#!/bin/sh\necho hi > /root/hi\n"), OsTypeCode: p("LNX")}))(t).InitScriptList[0].InitScriptNo

	no := c.newVPCServer(func(r *vserver.CreateServerInstancesRequest) {
		r.ServerName, r.LoginKeyName, r.InitScriptNo = p("bake-01"), p("bake-key"), &script
		r.NetworkInterfaceList = []*vserver.NetworkInterfaceParameter{{NetworkInterfaceOrder: p(int32(0)), NetworkInterfaceNo: &nic, SubnetNo: &public}}
	})
	seen := []string{c.vpcStatus(no)}
	eventually(t, "RUN", func() bool {
		if s := c.vpcStatus(no); s != seen[len(seen)-1] {
			seen = append(seen, s)
		}
		return seen[len(seen)-1] == "RUN/NULL"
	})
	if got := strings.Join(seen, " "); got != "INIT/NULL CREAT/START RUN/NULL" {
		t.Errorf("states on the way to RUN: %s", got)
	}
	s := must(c.vserver.GetServerInstanceDetail(&vserver.GetServerInstanceDetailRequest{ServerInstanceNo: &no}))(t).ServerInstanceList[0]
	if *s.HypervisorType.Code != "XEN" || *s.ServerProductCode != "SVR.VSVR.CPU.C002.M004.NET.HDD.B050.G002" || *s.ZoneCode != "KR-1" || *s.PlatformType.Code != "LNX64" || *s.NetworkInterfaceNoList[0] != nic {
		t.Errorf("server = %+v", s)
	}
	if n := must(c.vserver.GetNetworkInterfaceDetail(&vserver.GetNetworkInterfaceDetailRequest{NetworkInterfaceNo: &nic}))(t).NetworkInterfaceList[0]; *n.NetworkInterfaceStatus.Code != "USED" || *n.DeviceName != "eth0" || *n.InstanceNo != no {
		t.Errorf("NIC = %v %v %v", *n.NetworkInterfaceStatus.Code, *n.DeviceName, *n.InstanceNo)
	}
	if g := c.guests.last(t); g.UserData != "#!/bin/sh\necho hi > /root/hi\n" || !g.FirstBoot || g.OS != "rocky-8.10" || g.Hostname != "bake-01" {
		t.Errorf("guest = %+v", g)
	}

	pw := *must(c.vserver.GetRootPassword(&vserver.GetRootPasswordRequest{ServerInstanceNo: &no, PrivateKey: &private}))(t).RootPassword
	if pw != c.guests.last(t).RootPassword {
		t.Errorf("root password is not the guest's")
	}
	_, err := c.vserver.GetRootPassword(&vserver.GetRootPasswordRequest{ServerInstanceNo: &no, PrivateKey: p(c.key("other-key"))})
	refused(t, err, "24001")

	disk := *must(c.vserver.CreateBlockStorageInstance(&vserver.CreateBlockStorageInstanceRequest{ServerInstanceNo: &no, BlockStorageSize: p(int32(20)), BlockStorageName: p("bake-disk")}))(t).BlockStorageInstanceList[0].BlockStorageInstanceNo
	eventually(t, "disk attached", func() bool {
		d := must(c.vserver.GetBlockStorageInstanceDetail(&vserver.GetBlockStorageInstanceDetailRequest{BlockStorageInstanceNo: &disk}))(t).BlockStorageInstanceList[0]
		return *d.BlockStorageInstanceStatus.Code == "ATTAC" && *d.BlockStorageInstanceOperation.Code == "NULL"
	})
	c.waitVPC(no, "RUN/NULL")

	ip := must(c.vserver.CreatePublicIpInstance(&vserver.CreatePublicIpInstanceRequest{ServerInstanceNo: &no, PublicIpDescription: p("bake")}))(t).PublicIpInstanceList[0]
	if *ip.PublicIpInstanceStatus.Code != "INIT" {
		t.Errorf("new IP is %s", *ip.PublicIpInstanceStatus.Code)
	}
	if got := c.vpcStatus(no); got != "RUN/SETUP" {
		t.Errorf("server is %s while the IP is set up", got)
	}
	eventually(t, "server has the IP", func() bool {
		return *must(c.vserver.GetServerInstanceDetail(&vserver.GetServerInstanceDetailRequest{ServerInstanceNo: &no}))(t).ServerInstanceList[0].PublicIp == *ip.PublicIp
	})
	if got, err := c.greeting(*ip.PublicIp + ":22"); got != "guest bake-01 port 22" {
		t.Errorf("greeting = %q, %v", got, err)
	}
	if _, err := c.greeting(*ip.PublicIp + ":5985"); err == nil {
		t.Error("a Linux guest answers on 5985")
	}

	c.waitVPC(no, "RUN/NULL")
	_, err = c.vserver.TerminateServerInstances(&vserver.TerminateServerInstancesRequest{ServerInstanceNoList: strs(no)})
	refused(t, err, "25022")
	must(c.vserver.StopServerInstances(&vserver.StopServerInstancesRequest{ServerInstanceNoList: strs(no)}))(t)
	c.waitVPC(no, "NSTOP/NULL")
	if _, err := c.greeting(*ip.PublicIp + ":22"); err == nil {
		t.Error("a stopped server answers")
	}

	img := *must(c.vserver.CreateMemberServerImageInstance(&vserver.CreateMemberServerImageInstanceRequest{ServerInstanceNo: &no, MemberServerImageName: p("bake-image")}))(t).MemberServerImageInstanceList[0].MemberServerImageInstanceNo
	if got := c.vpcStatus(no); got != "NSTOP/COPY" {
		t.Errorf("server is %s while imaged", got)
	}
	_, err = c.vserver.TerminateServerInstances(&vserver.TerminateServerInstancesRequest{ServerInstanceNoList: strs(no)})
	refused(t, err, "25018")
	c.waitImage(img, "CREAT")
	i := must(c.vserver.GetMemberServerImageInstanceDetail(&vserver.GetMemberServerImageInstanceDetailRequest{MemberServerImageInstanceNo: &img}))(t).MemberServerImageInstanceList[0]
	if *i.MemberServerImageBlockStorageTotalRows != 2 || *i.MemberServerImageBlockStorageTotalSize != 70<<30 {
		t.Errorf("image has %d disks of %d bytes", *i.MemberServerImageBlockStorageTotalRows, *i.MemberServerImageBlockStorageTotalSize)
	}

	must(c.vserver.DeleteBlockStorageInstances(&vserver.DeleteBlockStorageInstancesRequest{BlockStorageInstanceNoList: strs(disk)}))(t)
	eventually(t, "disk gone", func() bool { return len(c.Inventory().BlockStorages) == 0 })
	c.waitVPC(no, "NSTOP/NULL")
	must(c.vserver.TerminateServerInstances(&vserver.TerminateServerInstancesRequest{ServerInstanceNoList: strs(no)}))(t)
	c.waitVPC(no, "gone")

	// The image is enough for a second server, with its disk.
	two := c.vpcServer(func(r *vserver.CreateServerInstancesRequest) {
		r.ServerImageProductCode, r.MemberServerImageInstanceNo, r.ServerName = nil, &img, p("two")
	})
	if g := c.guests.last(t); g.Hostname != "two" || g.OS != "rocky-8.10" || !g.FirstBoot {
		t.Errorf("second guest = %+v", g)
	}
	if n := len(c.Inventory().BlockStorages); n != 1 {
		t.Errorf("server from an image with a disk has %d disks", n)
	}
	must(c.vserver.StopServerInstances(&vserver.StopServerInstancesRequest{ServerInstanceNoList: strs(two)}))(t)
	c.waitVPC(two, "NSTOP/NULL")
	must(c.vserver.TerminateServerInstances(&vserver.TerminateServerInstancesRequest{ServerInstanceNoList: strs(two)}))(t)
	c.waitVPC(two, "gone")

	for _, d := range c.Inventory().BlockStorages {
		must(c.vserver.DeleteBlockStorageInstances(&vserver.DeleteBlockStorageInstancesRequest{BlockStorageInstanceNoList: strs(d.No)}))(t)
	}
	// The public IP stayed behind.
	must(c.vserver.DeletePublicIpInstance(&vserver.DeletePublicIpInstanceRequest{PublicIpInstanceNo: ip.PublicIpInstanceNo}))(t)
	must(c.vserver.DeleteNetworkInterface(&vserver.DeleteNetworkInterfaceRequest{NetworkInterfaceNo: &nic}))(t)
	eventually(t, "NIC gone", func() bool { return len(c.Inventory().NetworkInterfaces) == 0 })
	must(c.vserver.DeleteAccessControlGroup(&vserver.DeleteAccessControlGroupRequest{VpcNo: &vpcNo, AccessControlGroupNo: &acg}))(t)
	must(c.vserver.DeleteInitScripts(&vserver.DeleteInitScriptsRequest{InitScriptNoList: strs(script)}))(t)
	must(c.vserver.DeleteLoginKeys(&vserver.DeleteLoginKeysRequest{KeyNameList: strs("bake-key", "other-key", "test-key")}))(t)
	c.none()
	if inv := c.Inventory(); len(inv.Images) != 1 || inv.Images[0].Name != "bake-image" {
		t.Errorf("images = %v", inv.Images)
	}
	must(c.vserver.DeleteMemberServerImageInstances(&vserver.DeleteMemberServerImageInstancesRequest{MemberServerImageInstanceNoList: strs(img)}))(t)
	eventually(t, "image gone", func() bool { return len(c.Inventory().Images) == 0 })
}

func (c *testCloud) waitImage(no, status string) {
	c.t.Helper()
	eventually(c.t, "image "+no+" "+status, func() bool {
		l := must(c.vserver.GetMemberServerImageInstanceDetail(&vserver.GetMemberServerImageInstanceDetailRequest{MemberServerImageInstanceNo: &no}))(c.t).MemberServerImageInstanceList
		return len(l) == 1 && *l[0].MemberServerImageInstanceStatus.Code == status && *l[0].MemberServerImageInstanceOperation.Code == "NULL"
	})
}

// KVM: image number and spec, disk created detached and attached, createServerImage, a server from the image.
func TestVPCKVMLifecycle(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	kvm := func(r *vserver.CreateServerInstancesRequest) {
		r.ServerImageProductCode, r.ServerImageNo, r.ServerSpecCode, r.ServerName = nil, p(kvmUbu), p("s2-g3"), p("kvm-01")
	}
	no := c.vpcServer(kvm)
	s := must(c.vserver.GetServerInstanceDetail(&vserver.GetServerInstanceDetailRequest{ServerInstanceNo: &no}))(t).ServerInstanceList[0]
	if *s.HypervisorType.Code != "KVM" || *s.PlatformType.Code != "UBD64" || *s.ServerSpecCode != "s2-g3" || *s.MemorySize != 8<<30 || *s.ServerImageNo != kvmUbu {
		t.Errorf("server = %v %v %v", *s.HypervisorType.Code, *s.PlatformType.Code, *s.ServerSpecCode)
	}
	if g := c.guests.last(t); g.OS != "ubuntu-22.04" {
		t.Errorf("guest OS = %s", g.OS)
	}

	disk := must(c.vserver.CreateBlockStorageInstance(&vserver.CreateBlockStorageInstanceRequest{BlockStorageSize: p(int32(10)), BlockStorageVolumeTypeCode: p("CB1"), ZoneCode: p("KR-1")}))(t).BlockStorageInstanceList[0].BlockStorageInstanceNo
	name := func() string {
		return *must(c.vserver.GetBlockStorageInstanceDetail(&vserver.GetBlockStorageInstanceDetailRequest{BlockStorageInstanceNo: disk}))(t).BlockStorageInstanceList[0].BlockStorageInstanceStatusName
	}
	eventually(t, "detached", func() bool { return name() == "detached" })
	must(c.vserver.AttachBlockStorageInstance(&vserver.AttachBlockStorageInstanceRequest{ServerInstanceNo: &no, BlockStorageInstanceNo: disk}))(t)
	eventually(t, "attached", func() bool { return name() == "attached" })
	c.waitVPC(no, "RUN/NULL")

	_, err := c.vserver.CreateMemberServerImageInstance(&vserver.CreateMemberServerImageInstanceRequest{ServerInstanceNo: &no, MemberServerImageName: p("no-way")})
	refused(t, err, "1100000")
	_, err = c.vserver.CreateServerImage(&vserver.CreateServerImageRequest{ServerInstanceNo: &no, ServerImageName: p("9bad")})
	refused(t, err, "1100000")
	img := must(c.vserver.CreateServerImage(&vserver.CreateServerImageRequest{ServerInstanceNo: &no, ServerImageName: p("kvm-image")}))(t).ServerImageList[0].ServerImageNo
	status := func() string {
		l := must(c.vserver.GetServerImageDetail(&vserver.GetServerImageDetailRequest{ServerImageNo: img}))(t).ServerImageList
		if len(l) == 0 {
			return "gone"
		}
		return *l[0].ServerImageStatus.Code + "/" + *l[0].ServerImageOperation.Code
	}
	if got := status(); got != "INIT/CREAT" {
		t.Errorf("new image is %s", got)
	}
	eventually(t, "image created", func() bool { return status() == "CREAT/NULL" })
	own := must(c.vserver.GetServerImageList(&vserver.GetServerImageListRequest{ServerImageTypeCodeList: strs("SELF")}))(t).ServerImageList
	if len(own) != 1 || *own[0].ServerImageName != "kvm-image" || len(own[0].BlockStorageMappingList) != 2 || *own[0].OsType.Code != "UBUNTU" {
		t.Errorf("own images = %+v", own)
	}
	_, err = c.vserver.CreateServerImage(&vserver.CreateServerImageRequest{ServerInstanceNo: &no, ServerImageName: p("kvm-image")})
	refused(t, err, "10300")

	two := c.vpcServer(func(r *vserver.CreateServerInstancesRequest) {
		kvm(r)
		r.ServerImageNo, r.ServerName = img, p("kvm-02")
	})
	if len(c.Inventory().BlockStorages) != 2 {
		t.Errorf("the image's disk did not come with the second server")
	}
	c.terminate(no, two)
	must(c.vserver.DeleteServerImage(&vserver.DeleteServerImageRequest{ServerImageNoList: []*string{img}}))(t)
	eventually(t, "image gone", func() bool { return status() == "gone" })
}

// terminate stops servers and waits until they are gone.
func (c *testCloud) terminate(nos ...string) {
	c.t.Helper()
	for _, no := range nos {
		if c.vpcStatus(no) == "RUN/NULL" {
			must(c.vserver.StopServerInstances(&vserver.StopServerInstancesRequest{ServerInstanceNoList: strs(no)}))(c.t)
			c.waitVPC(no, "NSTOP/NULL")
		}
		must(c.vserver.TerminateServerInstances(&vserver.TerminateServerInstancesRequest{ServerInstanceNoList: strs(no)}))(c.t)
		c.waitVPC(no, "gone")
	}
}

// Snapshots, and an image made of one.
func TestSnapshots(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	no := c.vpcServer(func(r *vserver.CreateServerInstancesRequest) {
		r.ServerImageProductCode, r.ServerImageNo = nil, p(kvmUbu)
	})
	root := must(c.vserver.GetBlockStorageInstanceList(&vserver.GetBlockStorageInstanceListRequest{ServerInstanceNo: &no, BlockStorageTypeCodeList: strs("BASIC")}))(t).BlockStorageInstanceList
	if len(root) != 1 || *root[0].BlockStorageInstanceStatusName != "attached" || *root[0].BlockStorageSize != 10<<30 {
		t.Fatalf("root disk = %+v", root)
	}
	snap := must(c.vserver.CreateBlockStorageSnapshotInstance(&vserver.CreateBlockStorageSnapshotInstanceRequest{OriginalBlockStorageInstanceNo: root[0].BlockStorageInstanceNo, BlockStorageSnapshotName: p("snap-1")}))(t).BlockStorageSnapshotInstanceList[0]
	eventually(t, "snapshot", func() bool {
		return *must(c.vserver.GetBlockStorageSnapshotInstanceDetail(&vserver.GetBlockStorageSnapshotInstanceDetailRequest{BlockStorageSnapshotInstanceNo: snap.BlockStorageSnapshotInstanceNo}))(t).BlockStorageSnapshotInstanceList[0].BlockStorageSnapshotInstanceStatus.Code == "CREAT"
	})
	if l := must(c.vserver.GetBlockStorageSnapshotInstanceList(&vserver.GetBlockStorageSnapshotInstanceListRequest{IsBootable: p(true)}))(t).BlockStorageSnapshotInstanceList; len(l) != 1 {
		t.Errorf("bootable snapshots: %d", len(l))
	}
	code, body := c.raw("GET", "/vserver/v2/createServerImageFromSnapshot?serverImageName=from-snap&blockStorageList.1.order=0&blockStorageList.1.snapshotInstanceNo="+*snap.BlockStorageSnapshotInstanceNo, "", nil)
	if code != 200 {
		t.Fatalf("image from snapshot: %d %s", code, body)
	}
	var img string
	eventually(t, "image from snapshot", func() bool {
		l := must(c.vserver.GetServerImageList(&vserver.GetServerImageListRequest{ServerImageName: p("from-snap")}))(t).ServerImageList
		img = *l[0].ServerImageNo
		return *l[0].ServerImageStatus.Code == "CREAT"
	})
	two := c.vpcServer(func(r *vserver.CreateServerInstancesRequest) {
		r.ServerImageProductCode, r.ServerImageNo, r.ServerName = nil, &img, p("of-snap")
	})
	c.terminate(no, two)
	must(c.vserver.DeleteBlockStorageSnapshotInstances(&vserver.DeleteBlockStorageSnapshotInstancesRequest{BlockStorageSnapshotInstanceNoList: []*string{snap.BlockStorageSnapshotInstanceNo}}))(t)
	eventually(t, "snapshot gone", func() bool { return len(c.Inventory().Snapshots) == 0 })
}

// What createServerInstances refuses, with the code of each refusal.
func TestVPCServerRefusals(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	vpcNo, public, private, acgNo := c.network()
	c.key("test-key")
	used := c.vpcServer(func(r *vserver.CreateServerInstancesRequest) { r.ServerName = p("taken") })
	usedNIC := *must(c.vserver.GetNetworkInterfaceList(&vserver.GetNetworkInterfaceListRequest{InstanceNo: &used}))(t).NetworkInterfaceList[0].NetworkInterfaceNo
	script := *must(c.vserver.CreateInitScript(&vserver.CreateInitScriptRequest{InitScriptContent: p("x"), OsTypeCode: p("WND")}))(t).InitScriptList[0].InitScriptNo

	type req = vserver.CreateServerInstancesRequest
	for _, tt := range []struct {
		name, code string
		change     func(*req)
	}{
		{"no image", "900", func(r *req) { r.ServerImageProductCode = nil }},
		{"two images", "1100000", func(r *req) { r.ServerImageNo = p(kvmUbu) }},
		{"unknown image product", "10712", func(r *req) { r.ServerImageProductCode = p("SW.VSVR.NONE") }},
		{"KVM image by product code", "1401", func(r *req) { r.ServerImageProductCode = p("SW.VSVR.OS.LNX64.UBNTU.SVR22.G003") }},
		{"unknown product", "1401", func(r *req) { r.ServerProductCode = p("SVR.NONE") }},
		{"product with another root disk", "1401", func(r *req) { r.ServerProductCode = p("SVR.VSVR.STAND.C002.M008.NET.SSD.B100.G002") }},
		{"first generation for Rocky", "1401", func(r *req) { r.ServerProductCode = p("SVR.VSVR.STAND.C002.M004.NET.SSD.B050.G001") }},
		{"KVM image with a product code", "1401", func(r *req) {
			r.ServerImageProductCode, r.ServerImageNo, r.ServerProductCode = nil, p(kvmUbu), p("SVR.VSVR.STAND.C002.M008.NET.SSD.B050.G002")
		}},
		{"XEN spec for a KVM image", "1401", func(r *req) {
			r.ServerImageProductCode, r.ServerImageNo, r.ServerSpecCode = nil, p(kvmUbu), p("s2-g2-s50")
		}},
		{"spec of another region", "1401", func(r *req) {
			r.ServerImageProductCode, r.ServerImageNo, r.ServerSpecCode = nil, p(kvmUbu), p("c2-g3")
		}},
		{"unknown image number", "1100000", func(r *req) { r.ServerImageProductCode, r.ServerImageNo = nil, p("1") }},
		{"unknown member image", "1100000", func(r *req) { r.ServerImageProductCode, r.MemberServerImageInstanceNo = nil, p("1") }},
		{"MSSQL at an hourly fee", "1100000", func(r *req) { r.ServerImageProductCode = p("SW.VSVR.DBMS.WND64.WND.SVR2016STDEN.MSSQL.2019.B100") }},
		{"no VPC", "900", func(r *req) { r.VpcNo = nil }},
		{"unknown VPC", "1100000", func(r *req) { r.VpcNo = p("1") }},
		{"unknown subnet", "1100000", func(r *req) { r.SubnetNo = p("1") }},
		{"no NIC", "900", func(r *req) { r.NetworkInterfaceList = nil }},
		{"no default NIC", "900", func(r *req) { r.NetworkInterfaceList[0].NetworkInterfaceOrder = p(int32(1)) }},
		{"no ACG", "900", func(r *req) { r.NetworkInterfaceList[0].AccessControlGroupNoList = nil }},
		{"unknown ACG", "1100000", func(r *req) { r.NetworkInterfaceList[0].AccessControlGroupNoList = strs("1") }},
		{"four ACGs", "1100000", func(r *req) {
			r.NetworkInterfaceList[0].AccessControlGroupNoList = strs(acgNo, acgNo, acgNo, acgNo)
		}},
		{"unknown NIC", "1100000", func(r *req) { r.NetworkInterfaceList[0].NetworkInterfaceNo = p("1") }},
		{"NIC in use", "1100000", func(r *req) { r.NetworkInterfaceList[0].NetworkInterfaceNo = &usedNIC }},
		{"reserved address", "1100000", func(r *req) { r.NetworkInterfaceList[0].Ip = p("10.0.1.3") }},
		{"unknown key", "10406", func(r *req) { r.LoginKeyName = p("nope") }},
		{"unknown script", "1100000", func(r *req) { r.InitScriptNo = p("1") }},
		{"Windows script on Linux", "1100000", func(r *req) { r.InitScriptNo = &script }},
		{"bad name", "1100000", func(r *req) { r.ServerName = p("Bad_Name") }},
		{"long name", "1100000", func(r *req) { r.ServerName = p(strings.Repeat("a", 31)) }},
		{"taken name", "10300", func(r *req) { r.ServerName = p("taken") }},
		{"public IP in a private subnet", "1100000", func(r *req) { r.SubnetNo, r.AssociateWithPublicIp = &private, p(true) }},
		{"too many", "1100000", func(r *req) { r.ServerCreateCount = p(int32(21)) }},
		{"bad fee", "1100000", func(r *req) { r.FeeSystemTypeCode = p("FREE") }},
		{"unknown region", "1100000", func(r *req) { r.RegionCode = p("XX") }},
		{"VPC of another region", "1100000", func(r *req) { r.RegionCode = p("JPN") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &req{VpcNo: &vpcNo, SubnetNo: &public, ServerImageProductCode: p(rocky), LoginKeyName: p("test-key"),
				NetworkInterfaceList: []*vserver.NetworkInterfaceParameter{{NetworkInterfaceOrder: p(int32(0)), AccessControlGroupNoList: strs(acgNo)}}}
			tt.change(r)
			_, err := c.vserver.CreateServerInstances(r)
			refused(t, err, tt.code)
		})
	}
	if n := len(c.Inventory().Servers); n != 1 {
		t.Errorf("refused calls left %d servers", n-1)
	}
	if n := len(c.Inventory().NetworkInterfaces); n != 1 {
		t.Errorf("refused calls left %d NICs", n-1)
	}
}

// Several servers in one call, with numbered names, default key and smallest spec.
func TestSeveralServersAtOnce(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	c.newVPCServer(func(r *vserver.CreateServerInstancesRequest) {
		r.ServerName, r.ServerCreateCount, r.ServerCreateStartNo, r.LoginKeyName = p("web"), p(int32(3)), p(int32(5)), nil
		r.ServerImageProductCode, r.ServerImageNo = nil, p(kvmUbu)
	})
	l := must(c.vserver.GetServerInstanceList(&vserver.GetServerInstanceListRequest{ServerName: p("web")}))(t).ServerInstanceList
	var names []string
	for _, s := range l {
		names = append(names, *s.ServerName)
	}
	if got := strings.Join(names, " "); got != "web-005 web-006 web-007" {
		t.Errorf("names = %s", got)
	}
	if *l[0].ServerSpecCode != "mi1-g3" || *l[0].LoginKeyName != "test-key" {
		t.Errorf("defaults: %s %s", *l[0].ServerSpecCode, *l[0].LoginKeyName)
	}
}

// What else VPC calls refuse.
func TestVPCRefusals(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	vpcNo, public, private, acgNo := c.network()
	no := c.vpcServer(nil)
	kvm := c.vpcServer(func(r *vserver.CreateServerInstancesRequest) {
		r.ServerImageProductCode, r.ServerImageNo = nil, p(kvmUbu)
	})
	inPrivate := c.vpcServer(func(r *vserver.CreateServerInstancesRequest) { r.SubnetNo = &private })
	nic := *must(c.vserver.GetNetworkInterfaceList(&vserver.GetNetworkInterfaceListRequest{InstanceNo: &no}))(t).NetworkInterfaceList[0].NetworkInterfaceNo
	acg := *must(c.vserver.CreateAccessControlGroup(&vserver.CreateAccessControlGroupRequest{VpcNo: &vpcNo, AccessControlGroupName: p("own")}))(t).AccessControlGroupList[0].AccessControlGroupNo
	root := *must(c.vserver.GetBlockStorageInstanceList(&vserver.GetBlockStorageInstanceListRequest{ServerInstanceNo: &no}))(t).BlockStorageInstanceList[0].BlockStorageInstanceNo
	slow := Fast()
	slow.Network = 300 * time.Millisecond // so that what is refused meanwhile is refused on a busy machine too
	c.SetLatency(slow)
	ip := *must(c.vserver.CreatePublicIpInstance(&vserver.CreatePublicIpInstanceRequest{ServerInstanceNo: &no}))(t).PublicIpInstanceList[0].PublicIpInstanceNo
	_, err := c.vserver.DeletePublicIpInstance(&vserver.DeletePublicIpInstanceRequest{PublicIpInstanceNo: &ip})
	refused(t, err, "1080101") // still INIT
	eventually(t, "IP is set up", func() bool {
		return *must(c.vserver.GetPublicIpInstanceDetail(&vserver.GetPublicIpInstanceDetailRequest{PublicIpInstanceNo: &ip}))(t).PublicIpInstanceList[0].PublicIpInstanceOperation.Code == "NULL"
	})
	c.waitVPC(no, "RUN/NULL")
	rule := func(cidr, ports, protocol string) []*vserver.AddAccessControlGroupRuleParameter {
		return []*vserver.AddAccessControlGroupRuleParameter{{IpBlock: &cidr, PortRange: &ports, ProtocolTypeCode: &protocol}}
	}
	addTo := func(group string, r []*vserver.AddAccessControlGroupRuleParameter) error {
		_, err := c.vserver.AddAccessControlGroupInboundRule(&vserver.AddAccessControlGroupInboundRuleRequest{VpcNo: &vpcNo, AccessControlGroupNo: &group, AccessControlGroupRuleList: r})
		return err
	}
	add := func(r []*vserver.AddAccessControlGroupRuleParameter) error { return addTo(acg, r) }

	for _, tt := range []struct {
		name, code string
		call       func() error
	}{
		{"start a running server", "25041", func() error {
			_, err := c.vserver.StartServerInstances(&vserver.StartServerInstancesRequest{ServerInstanceNoList: strs(no)})
			return err
		}},
		{"stop an unknown server", "24120", func() error {
			_, err := c.vserver.StopServerInstances(&vserver.StopServerInstancesRequest{ServerInstanceNoList: strs("1")})
			return err
		}},
		{"stop one of another region", "24120", func() error {
			_, err := c.vserver.StopServerInstances(&vserver.StopServerInstancesRequest{RegionCode: p("JPN"), ServerInstanceNoList: strs(no)})
			return err
		}},
		{"second public IP of a server", "1100000", func() error {
			_, err := c.vserver.CreatePublicIpInstance(&vserver.CreatePublicIpInstanceRequest{ServerInstanceNo: &no})
			return err
		}},
		{"public IP in a private subnet", "1100000", func() error {
			_, err := c.vserver.CreatePublicIpInstance(&vserver.CreatePublicIpInstanceRequest{ServerInstanceNo: &inPrivate})
			return err
		}},
		{"delete an associated IP", "24073", func() error {
			_, err := c.vserver.DeletePublicIpInstance(&vserver.DeletePublicIpInstanceRequest{PublicIpInstanceNo: &ip})
			return err
		}},
		{"associate an associated IP", "1003016", func() error {
			_, err := c.vserver.AssociatePublicIpWithServerInstance(&vserver.AssociatePublicIpWithServerInstanceRequest{PublicIpInstanceNo: &ip, ServerInstanceNo: &kvm})
			return err
		}},
		{"delete a NIC in use", "1002035", func() error {
			_, err := c.vserver.DeleteNetworkInterface(&vserver.DeleteNetworkInterfaceRequest{NetworkInterfaceNo: &nic})
			return err
		}},
		{"NIC for a server in a public subnet", "1100000", func() error {
			_, err := c.vserver.CreateNetworkInterface(&vserver.CreateNetworkInterfaceRequest{VpcNo: &vpcNo, SubnetNo: &public, AccessControlGroupNoList: strs(acgNo), ServerInstanceNo: &no})
			return err
		}},
		{"delete the default ACG", "1100000", func() error {
			_, err := c.vserver.DeleteAccessControlGroup(&vserver.DeleteAccessControlGroupRequest{VpcNo: &vpcNo, AccessControlGroupNo: &acgNo})
			return err
		}},
		{"delete an unknown ACG", "1007000", func() error {
			_, err := c.vserver.DeleteAccessControlGroup(&vserver.DeleteAccessControlGroupRequest{VpcNo: &vpcNo, AccessControlGroupNo: p("1")})
			return err
		}},
		{"rules of an unknown ACG", "1007000", func() error {
			_, err := c.vserver.GetAccessControlGroupRuleList(&vserver.GetAccessControlGroupRuleListRequest{AccessControlGroupNo: p("1")})
			return err
		}},
		{"ACG name taken", "10300", func() error {
			_, err := c.vserver.CreateAccessControlGroup(&vserver.CreateAccessControlGroupRequest{VpcNo: &vpcNo, AccessControlGroupName: p("own")})
			return err
		}},
		{"rule without a port", "1100000", func() error { return add(rule("0.0.0.0/0", "", "TCP")) }},
		{"rule with a bad port", "1100000", func() error { return add(rule("0.0.0.0/0", "70000", "TCP")) }},
		{"rule with a bad block", "1100000", func() error { return add(rule("0.0.0.0/99", "22", "TCP")) }},
		{"rule with protocol 6", "1100000", func() error { return add(rule("0.0.0.0/0", "", "6")) }},
		{"good rule", "", func() error { return add(rule("0.0.0.0/0", "22", "TCP")) }},
		{"next rule at once, for a group of no NIC", "", func() error { return add(rule("0.0.0.0/0", "23", "TCP")) }},
		{"good rule for a NIC's group", "", func() error { return addTo(acgNo, rule("0.0.0.0/0", "24", "TCP")) }},
		{"rule while a NIC takes another", "1007009", func() error { return addTo(acgNo, rule("0.0.0.0/0", "25", "TCP")) }},
		{"odd disk size", "1100000", func() error {
			_, err := c.vserver.CreateBlockStorageInstance(&vserver.CreateBlockStorageInstanceRequest{ServerInstanceNo: &no, BlockStorageSize: p(int32(15))})
			return err
		}},
		{"large XEN disk", "1100000", func() error {
			_, err := c.vserver.CreateBlockStorageInstance(&vserver.CreateBlockStorageInstanceRequest{ServerInstanceNo: &no, BlockStorageSize: p(int32(2010))})
			return err
		}},
		{"KVM disk without a zone", "900", func() error {
			_, err := c.vserver.CreateBlockStorageInstance(&vserver.CreateBlockStorageInstanceRequest{BlockStorageVolumeTypeCode: p("CB1"), BlockStorageSize: p(int32(10))})
			return err
		}},
		{"KVM disk with a server", "1100000", func() error {
			_, err := c.vserver.CreateBlockStorageInstance(&vserver.CreateBlockStorageInstanceRequest{BlockStorageVolumeTypeCode: p("CB1"), BlockStorageSize: p(int32(10)), ZoneCode: p("KR-1"), ServerInstanceNo: &kvm})
			return err
		}},
		{"XEN disk for a KVM server", "1100000", func() error {
			_, err := c.vserver.CreateBlockStorageInstance(&vserver.CreateBlockStorageInstanceRequest{BlockStorageSize: p(int32(10)), ServerInstanceNo: &kvm})
			return err
		}},
		{"delete a root disk", "24121", func() error {
			_, err := c.vserver.DeleteBlockStorageInstances(&vserver.DeleteBlockStorageInstancesRequest{BlockStorageInstanceNoList: strs(root)})
			return err
		}},
		{"script with Korean text", "1100000", func() error {
			_, err := c.vserver.CreateInitScript(&vserver.CreateInitScriptRequest{InitScriptContent: p("# 안녕"), OsTypeCode: p("LNX")})
			return err
		}},
		{"key name taken", "10405", func() error {
			_, err := c.vserver.CreateLoginKey(&vserver.CreateLoginKeyRequest{KeyName: p("test-key")})
			return err
		}},
		{"delete an unknown key", "10406", func() error {
			_, err := c.vserver.DeleteLoginKeys(&vserver.DeleteLoginKeysRequest{KeyNameList: strs("nope")})
			return err
		}},
		{"import no key", "1100000", func() error {
			_, err := c.vserver.ImportLoginKey(&vserver.ImportLoginKeyRequest{KeyName: p("imp"), PublicKey: p("ssh-ed25519 AAAA")})
			return err
		}},
		{"protect", "", func() error {
			_, err := c.vserver.SetProtectServerTermination(&vserver.SetProtectServerTerminationRequest{ServerInstanceNo: &kvm, IsProtectServerTermination: p(true)})
			return err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.call()
			if tt.code == "" && err != nil {
				t.Fatal(err)
			}
			if tt.code != "" {
				refused(t, err, tt.code)
			}
		})
	}

	// A protected server is not terminated although it is stopped; unknown ids of detail calls are empty lists.
	must(c.vserver.StopServerInstances(&vserver.StopServerInstancesRequest{ServerInstanceNoList: strs(kvm)}))(t)
	c.waitVPC(kvm, "NSTOP/NULL")
	_, err = c.vserver.TerminateServerInstances(&vserver.TerminateServerInstancesRequest{ServerInstanceNoList: strs(kvm)})
	refused(t, err, "25022")
	if l := must(c.vserver.GetAccessControlGroupDetail(&vserver.GetAccessControlGroupDetailRequest{AccessControlGroupNo: p("1")}))(t); *l.TotalRows != 0 {
		t.Error("unknown ACG has rows")
	}

	// No more public IPs than servers: two are left beside the one.
	for range 2 {
		must(c.vserver.CreatePublicIpInstance(&vserver.CreatePublicIpInstanceRequest{}))(t)
	}
	_, err = c.vserver.CreatePublicIpInstance(&vserver.CreatePublicIpInstanceRequest{})
	refused(t, err, "1015009")
}

// Objects live in the region they were made in.
func TestRegions(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	c.key("jpn-key")
	jpn := p("JPN")
	v := must(c.vpc.GetVpcList(&sdkvpc.GetVpcListRequest{RegionCode: jpn}))(t).VpcList[0].VpcNo
	sub := must(c.vpc.GetSubnetList(&sdkvpc.GetSubnetListRequest{RegionCode: jpn, VpcNo: v, SubnetTypeCode: p("PUBLIC")}))(t).SubnetList[0].SubnetNo
	acg := must(c.vserver.GetAccessControlGroupList(&vserver.GetAccessControlGroupListRequest{RegionCode: jpn, VpcNo: v}))(t).AccessControlGroupList[0].AccessControlGroupNo
	no := must(c.vserver.CreateServerInstances(&vserver.CreateServerInstancesRequest{RegionCode: jpn, VpcNo: v, SubnetNo: sub, ServerImageProductCode: p(rocky), LoginKeyName: p("jpn-key"),
		NetworkInterfaceList: []*vserver.NetworkInterfaceParameter{{NetworkInterfaceOrder: p(int32(0)), AccessControlGroupNoList: []*string{acg}}}}))(t).ServerInstanceList[0].ServerInstanceNo
	eventually(t, "runs in JPN", func() bool {
		s := must(c.vserver.GetServerInstanceDetail(&vserver.GetServerInstanceDetailRequest{RegionCode: jpn, ServerInstanceNo: no}))(t).ServerInstanceList[0]
		return *s.ServerInstanceStatus.Code == "RUN" && *s.RegionCode == "JPN" && *s.ZoneCode == "JPN-4"
	})
	if got := c.vpcStatus(*no); got != "gone" {
		t.Errorf("a call without a region sees the server of JPN: %s", got)
	}
	// The official provider forgets the region when it attaches a disk (its issue 576).
	disk := must(c.vserver.CreateBlockStorageInstance(&vserver.CreateBlockStorageInstanceRequest{RegionCode: jpn, ServerInstanceNo: no, BlockStorageSize: p(int32(10))}))(t).BlockStorageInstanceList[0].BlockStorageInstanceNo
	_, err := c.vserver.DetachBlockStorageInstances(&vserver.DetachBlockStorageInstancesRequest{BlockStorageInstanceNoList: []*string{disk}})
	refused(t, err, "1100000")
}
