package localcloud

import (
	"bufio"
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/NaverCloudPlatform/ncloud-sdk-go-v2/services/vserver"
)

// Who reaches a guest: those that a rule lets in. The others get silence; without a server or IP there is nobody.
func TestAccessControl(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	vpcNo, _, _, _ := c.network()
	acg := *must(c.vserver.CreateAccessControlGroup(&vserver.CreateAccessControlGroupRequest{VpcNo: &vpcNo, AccessControlGroupName: p("tight")}))(t).AccessControlGroupList[0].AccessControlGroupNo
	no := c.vpcServer(func(r *vserver.CreateServerInstancesRequest) {
		r.NetworkInterfaceList[0].AccessControlGroupNoList = strs(acg)
	})
	ip := c.publicIP(no)
	rules := func(add bool, cidr, ports, protocol string) {
		t.Helper()
		var err error
		if add {
			_, err = c.vserver.AddAccessControlGroupInboundRule(&vserver.AddAccessControlGroupInboundRuleRequest{VpcNo: &vpcNo, AccessControlGroupNo: &acg,
				AccessControlGroupRuleList: []*vserver.AddAccessControlGroupRuleParameter{{IpBlock: &cidr, PortRange: &ports, ProtocolTypeCode: &protocol}}})
		} else {
			_, err = c.vserver.RemoveAccessControlGroupInboundRule(&vserver.RemoveAccessControlGroupInboundRuleRequest{VpcNo: &vpcNo, AccessControlGroupNo: &acg,
				AccessControlGroupRuleList: []*vserver.RemoveAccessControlGroupRuleParameter{{IpBlock: &cidr, PortRange: &ports, ProtocolTypeCode: &protocol}}})
		}
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "ACG runs", func() bool {
			return *must(c.vserver.GetAccessControlGroupDetail(&vserver.GetAccessControlGroupDetailRequest{AccessControlGroupNo: &acg}))(t).AccessControlGroupList[0].AccessControlGroupStatus.Code == "RUN"
		})
	}
	for _, tt := range []struct {
		cidr, ports, protocol string
		in                    bool
	}{
		{"127.0.0.1/32", "22", "TCP", true},
		{"0.0.0.0/0", "1-1024", "TCP", true},
		{"0.0.0.0/0", "23", "TCP", false},
		{"10.0.0.0/8", "22", "TCP", false},
		{"0.0.0.0/0", "22", "UDP", false},
	} {
		rules(true, tt.cidr, tt.ports, tt.protocol)
		got, err := c.greeting(ip + ":22")
		if err != nil || (got != "") != tt.in {
			t.Errorf("with %s %s %s: %q, %v", tt.protocol, tt.cidr, tt.ports, got, err)
		}
		rules(false, tt.cidr, tt.ports, tt.protocol)
	}
	ipNo := c.Inventory().PublicIPs[0].No
	must(c.vserver.DisassociatePublicIpFromServerInstance(&vserver.DisassociatePublicIpFromServerInstanceRequest{PublicIpInstanceNo: &ipNo}))(t)
	if _, err := c.greeting(ip + ":22"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("unassociated IP: %v", err)
	}
}

// From inside a guest: other servers of its VPC by private address, itself, public IPs of this cloud; nothing else.
func TestGuestsReachEachOther(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	_, _, private, _ := c.network()
	bastion := c.vpcServer(func(r *vserver.CreateServerInstancesRequest) { r.ServerName = p("bastion") })
	dial := c.guests.last(t).Dial
	inner := c.vpcServer(func(r *vserver.CreateServerInstancesRequest) { r.ServerName, r.SubnetNo = p("inner"), &private })
	greet := func(addr string, wait time.Duration) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		defer cancel()
		conn, err := dial(ctx, "tcp", addr)
		if err != nil {
			return "", err
		}
		defer conn.Close()
		line, err := bufio.NewReader(conn).ReadString('\n')
		return strings.TrimSpace(line), err
	}
	var innerIP string
	for _, n := range c.Inventory().NetworkInterfaces {
		if n.Server == inner {
			innerIP = n.Address
		}
	}
	for addr, want := range map[string]string{innerIP + ":22": "guest inner port 22", "127.0.0.1:22": "guest bastion port 22", c.publicIP(bastion) + ":22": "guest bastion port 22"} {
		if got, err := greet(addr, 5*time.Second); got != want {
			t.Errorf("dial %s: %q, %v; want %q", addr, got, err, want)
		}
	}
	for addr, want := range map[string]error{"10.0.1.200:22": syscall.ENETUNREACH, "192.0.2.1:22": syscall.ENETUNREACH, innerIP + ":3389": syscall.ECONNREFUSED} {
		if _, err := greet(addr, 5*time.Second); !errors.Is(err, want) {
			t.Errorf("dial %s: %v, want %v", addr, err, want)
		}
	}
	if _, err := greet(innerIP+":80", 50*time.Millisecond); !errors.Is(err, syscall.ETIMEDOUT) {
		t.Errorf("filtered port: %v", err)
	}
	// From outside a private address is not reachable.
	if _, err := c.greeting(innerIP + ":22"); !errors.Is(err, syscall.EHOSTUNREACH) {
		t.Errorf("private address from outside: %v", err)
	}
	// Other addresses are dialled as usual.
	if conn, err := c.DialContext(t.Context(), "tcp", strings.TrimPrefix(c.Endpoint(), "http://")); err != nil {
		t.Error(err)
	} else {
		conn.Close()
	}
}

// Windows answers on the WinRM ports, and on a port above 1024 if low ones may not be bound.
func TestWindowsAndHighPorts(t *testing.T) {
	t.Parallel()
	c := start(t, Options{HighPorts: true})
	vpcNo, _, _, acgNo := c.network()
	must(c.vserver.AddAccessControlGroupInboundRule(&vserver.AddAccessControlGroupInboundRuleRequest{VpcNo: &vpcNo, AccessControlGroupNo: &acgNo,
		AccessControlGroupRuleList: []*vserver.AddAccessControlGroupRuleParameter{{IpBlock: p("0.0.0.0/0"), PortRange: p("5985-5986"), ProtocolTypeCode: p("TCP")}}}))(t)
	win := c.vpcServer(func(r *vserver.CreateServerInstancesRequest) {
		r.ServerImageProductCode, r.ServerName = p(win2019), p("win")
	})
	if g := c.guests.last(t); g.OS != "windows-2019" {
		t.Errorf("guest OS = %s", g.OS)
	}
	ip := c.publicIP(win)
	for _, port := range []string{"5985", "5986"} {
		if got, err := c.greeting(ip + ":" + port); got != "guest win port "+port {
			t.Errorf("port %s: %q, %v", port, got, err)
		}
	}
	if _, err := c.greeting(ip + ":22"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("Windows on 22: %v", err)
	}
	lin := c.vpcServer(func(r *vserver.CreateServerInstancesRequest) { r.ServerName = p("lin") })
	linIP := c.publicIP(lin)
	if got, err := c.greeting(linIP + ":22"); got != "guest lin port 22" {
		t.Errorf("Linux on a high port: %q, %v", got, err)
	}
	for _, e := range c.guestEndpoints() {
		if strings.HasSuffix(e.Address, ":22") {
			t.Errorf("listens on %s", e.Address)
		}
	}
}

// A guest that shuts itself down is a stopped server; one that the API starts again boots.
func TestGuestPowersItselfOff(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	no := c.vpcServer(nil)
	g := c.guests.last(t)
	g.OnPowerOff(true) // a reboot of its own changes nothing
	if s := c.vpcStatus(no); s != "RUN/NULL" {
		t.Errorf("after a reboot: %s", s)
	}
	g.OnPowerOff(false)
	c.waitVPC(no, "NSTOP/NULL")
	must(c.vserver.StartServerInstances(&vserver.StartServerInstancesRequest{ServerInstanceNoList: strs(no)}))(t)
	c.waitVPC(no, "RUN/NULL")
	if g := c.guests.last(t); g.FirstBoot {
		t.Error("second boot is a first boot")
	}
	must(c.vserver.RebootServerInstances(&vserver.RebootServerInstancesRequest{ServerInstanceNoList: strs(no)}))(t)
	c.waitVPC(no, "RUN/NULL")
}

// Two clouds at once have different addresses.
func TestTwoCloudsDoNotClash(t *testing.T) {
	t.Parallel()
	a, b := start(t, Options{}), start(t, Options{})
	ipA := a.publicIP(a.vpcServer(func(r *vserver.CreateServerInstancesRequest) { r.ServerName = p("on-a") }))
	ipB := b.publicIP(b.vpcServer(func(r *vserver.CreateServerInstancesRequest) { r.ServerName = p("on-b") }))
	if ipA == ipB {
		t.Fatal("same address")
	}
	if b.claim(ipA) {
		t.Error("b can claim a's address")
	}
	if got, err := a.greeting(ipA + ":22"); got != "guest on-a port 22" {
		t.Errorf("a: %q, %v", got, err)
	}
}
