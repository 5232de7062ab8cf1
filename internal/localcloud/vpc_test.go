package localcloud

import (
	"strings"
	"testing"

	"github.com/NaverCloudPlatform/ncloud-sdk-go-v2/services/vserver"
)

// A bake on XEN from the first call to the last, through the official SDK: a server, its files in an image, a second
// server from the image, nothing left.
func TestVPCXenLifecycle(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	vpcNo, public, _, _ := c.network()
	private := c.key("bake-key")

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
