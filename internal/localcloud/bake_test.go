package localcloud

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/NaverCloudPlatform/ncloud-sdk-go-v2/services/vserver"
	"golang.org/x/crypto/ssh"
)

// A bake with real guests: what a shell writes on a server is on a server made from its image.
func TestBakeWithRealGuests(t *testing.T) {
	t.Parallel()
	c := start(t, Options{guests: guests{}})
	script := *must(c.vserver.CreateInitScript(&vserver.CreateInitScriptRequest{InitScriptContent: p("#!/bin/sh\necho from-init > /root/init\n"), OsTypeCode: p("LNX")}))(t).InitScriptList[0].InitScriptNo
	kvm := func(r *vserver.CreateServerInstancesRequest) {
		r.ServerImageProductCode, r.ServerImageNo, r.ServerSpecCode, r.ServerName = nil, p(kvmUbu), p("s2-g3"), p("baked")
	}
	no := c.vpcServer(func(r *vserver.CreateServerInstancesRequest) { kvm(r); r.InitScriptNo = &script })
	ip := c.publicIP(no)

	run := func(no, command string) string {
		t.Helper()
		pw := *must(c.vserver.GetRootPassword(&vserver.GetRootPasswordRequest{ServerInstanceNo: &no, PrivateKey: p(testKey().private)}))(t).RootPassword
		conn, err := c.DialContext(t.Context(), "tcp", ip+":22")
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(2 * time.Minute))
		sc, chans, reqs, err := ssh.NewClientConn(conn, ip, &ssh.ClientConfig{User: "root", Auth: []ssh.AuthMethod{ssh.Password(pw)}, HostKeyCallback: func(string, net.Addr, ssh.PublicKey) error { return nil }})
		if err != nil {
			t.Fatal(err)
		}
		client := ssh.NewClient(sc, chans, reqs)
		defer client.Close()
		s, err := client.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		out, err := s.CombinedOutput(command)
		if err != nil {
			t.Fatalf("%s: %v: %s", command, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	eventually(t, "init script ran", func() bool { return run(no, "cat /root/init 2>/dev/null || true") == "from-init" })
	if got := run(no, "mkdir -p /opt/app && echo baked > /opt/app/version && chmod 640 /opt/app/version && hostname"); got != "baked" {
		t.Errorf("hostname = %q", got)
	}
	// A disk attached to the running server is there, and belongs to the image with what is on it.
	disk := *must(c.vserver.CreateBlockStorageInstance(&vserver.CreateBlockStorageInstanceRequest{BlockStorageSize: p(int32(20)), ZoneCode: p("KR-1"), BlockStorageVolumeTypeCode: p("CB1")}))(t).BlockStorageInstanceList[0].BlockStorageInstanceNo
	diskIs := func(status string) {
		t.Helper()
		eventually(t, "disk "+status, func() bool {
			d := must(c.vserver.GetBlockStorageInstanceDetail(&vserver.GetBlockStorageInstanceDetailRequest{BlockStorageInstanceNo: &disk}))(t).BlockStorageInstanceList[0]
			return *d.BlockStorageInstanceStatus.Code+"/"+*d.BlockStorageInstanceOperation.Code == status
		})
	}
	diskIs("CREAT/NULL")
	must(c.vserver.AttachBlockStorageInstance(&vserver.AttachBlockStorageInstanceRequest{ServerInstanceNo: &no, BlockStorageInstanceNo: &disk}))(t)
	diskIs("ATTAC/NULL")
	if got := run(no, "mkfs.ext4 -q /dev/vdb && mkdir /data && mount /dev/vdb /data && echo filled > /data/f && chown 33 /data/f && echo UUID=$(blkid -s UUID -o value /dev/vdb) /data ext4 defaults 0 2 >> /etc/fstab; lsblk -no NAME,SIZE,MOUNTPOINT"); got != "vda    10G\n└─vda2 10G /\nvdb    20G /data" {
		t.Errorf("lsblk: %q", got)
	}
	must(c.vserver.StopServerInstances(&vserver.StopServerInstancesRequest{ServerInstanceNoList: strs(no)}))(t)
	c.waitVPC(no, "NSTOP/NULL")
	img := must(c.vserver.CreateServerImage(&vserver.CreateServerImageRequest{ServerInstanceNo: &no, ServerImageName: p("real-image")}))(t).ServerImageList[0].ServerImageNo
	eventually(t, "image", func() bool {
		i := must(c.vserver.GetServerImageDetail(&vserver.GetServerImageDetailRequest{ServerImageNo: img}))(t).ServerImageList[0]
		if *i.ServerImageStatus.Code == "CREFL" {
			t.Fatal("image failed")
		}
		return *i.ServerImageStatus.Code == "CREAT"
	})
	ipNo := c.Inventory().PublicIPs[0].No
	c.terminate(no)

	two := c.vpcServer(func(r *vserver.CreateServerInstancesRequest) {
		kvm(r)
		r.ServerImageNo, r.ServerName = img, p("second")
	})
	must(c.vserver.AssociatePublicIpWithServerInstance(&vserver.AssociatePublicIpWithServerInstanceRequest{PublicIpInstanceNo: &ipNo, ServerInstanceNo: &two}))(t)
	eventually(t, "IP moved", func() bool {
		return *must(c.vserver.GetServerInstanceDetail(&vserver.GetServerInstanceDetailRequest{ServerInstanceNo: &two}))(t).ServerInstanceList[0].PublicIp == ip
	})
	if got := run(two, "cat /opt/app/version; stat -c %a /opt/app/version; hostname"); got != "baked\n640\nsecond" {
		t.Errorf("on the second server: %q", got)
	}
	if got := run(two, "cat /data/f; stat -c %u /data/f; findmnt -no SOURCE /data; echo second > /data/f"); got != "filled\n33\n/dev/vdb" {
		t.Errorf("the disk of the second server: %q", got)
	}
	// The first server's disk outlived it, and is what it was.
	must(c.vserver.AttachBlockStorageInstance(&vserver.AttachBlockStorageInstanceRequest{ServerInstanceNo: &two, BlockStorageInstanceNo: &disk}))(t)
	diskIs("ATTAC/NULL")
	if got := run(two, "umount /data; mount /dev/vdc /data && cat /data/f"); got != "filled" {
		t.Errorf("the first server's disk: %q", got)
	}
	must(c.vserver.DetachBlockStorageInstances(&vserver.DetachBlockStorageInstancesRequest{BlockStorageInstanceNoList: strs(disk)}))(t)
	diskIs("CREAT/NULL")
	if got := run(two, "ls /data; ls /dev/vd?; mount -a; cat /data/f"); got != "/dev/vda\n/dev/vdb\nsecond" {
		t.Errorf("after the disk was detached: %q", got)
	}
	// A guest that shuts itself down is stopped.
	run(two, "shutdown -h now || true")
	c.waitVPC(two, "NSTOP/NULL")
}
