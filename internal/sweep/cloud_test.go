package sweep_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/localcloud"
	"github.com/tfbake/tfbake/internal/ncloud"
	"github.com/tfbake/tfbake/internal/snapshot"
	"github.com/tfbake/tfbake/internal/sweep"
)

// These tests run client, image making and sweep against the simulated cloud, with every mutating call going wrong in
// turn. Guests are of no interest here, so the waits are as short as the simulation allows.

const (
	run   = "tfb-261122-081500-ab12"
	other = "tfb-261122-081500-ab13" // somebody else's, one letter away
)

var ms = time.Millisecond

type account struct {
	t      *testing.T
	cloud  *localcloud.Cloud
	client *ncloud.Client
}

func open(t *testing.T) *account {
	t.Helper()
	dir := t.TempDir()
	if shm, err := os.MkdirTemp("/dev/shm", "tfbake-sweep-"); err == nil { // guests are many small files
		t.Cleanup(func() { os.RemoveAll(shm) })
		dir = shm
	}
	cloud, err := localcloud.Start(context.Background(), localcloud.Options{Dir: dir, HighPorts: true, Latency: localcloud.Latency{
		Server: 4 * ms, Stop: 2 * ms, Terminate: 2 * ms, Setup: 2 * ms, Image: 6 * ms, Disk: 2 * ms, Network: 2 * ms}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cloud.Close() })
	access, secret := cloud.Credentials()
	c, err := ncloud.New(ncloud.Options{Endpoint: cloud.Endpoint(), Credentials: ncloud.Credentials{AccessKey: access, SecretKey: secret, Source: "the test"}, RegionCode: "KR", RegionNo: "1",
		ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second, Retry: ncloud.Retry{First: 2 * ms, Max: 10 * ms, Patience: 10 * time.Second}, Pace: ncloud.Pace{First: 2 * ms, Max: 5 * ms}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return &account{t, cloud, c}
}

var publicKey = sync.OnceValue(func() string {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	public, err := ssh.NewPublicKey(&key.PublicKey)
	if err != nil {
		panic(err)
	}
	return string(ssh.MarshalAuthorizedKey(public))
})

// flavour is a kind of server to bake on.
type flavour struct {
	platform   config.Platform
	hypervisor string
}

var flavours = []flavour{{config.Classic, ""}, {config.VPC, config.XEN}, {config.VPC, config.KVM}}

func (f flavour) String() string { return strings.TrimSpace(string(f.platform) + " " + f.hypervisor) }

// until waits for a state of a server.
func (a *account) until(ctx context.Context, f flavour, no, status string) error {
	get := a.client.VPC.GetServerInstanceDetail
	if f.platform == config.Classic {
		get = a.client.Classic.GetServerInstanceDetail
	}
	return a.client.Wait(ctx, ncloud.WaitFor{What: "server " + no + " to be " + status, Timeout: 20 * time.Second, Poll: func(ctx context.Context) (string, bool, error) {
		s, err := get(ctx, no)
		return s.Status + "/" + s.Operation, s.Status == status && s.Operation == "NULL", err
	}})
}

// build makes all that a bake makes, and a snapshot of its disk; upTo stops after so many things (0: never).
func (a *account) build(ctx context.Context, f flavour, name string, upTo int) (serverNo string, err error) {
	v, c := a.client.VPC, a.client.Classic
	n := 0
	do := func(what string, f func() error) {
		if n++; err == nil && (upTo == 0 || n <= upTo) {
			if err = f(); err != nil {
				err = fmt.Errorf("%s: %w", what, err)
			}
		}
	}
	var ip ncloud.PublicIP
	var disk ncloud.BlockStorage
	if f.platform == config.Classic {
		do("key", func() error { _, err := c.ImportLoginKey(ctx, name+"-key", publicKey()); return err })
		do("server", func() error {
			s, err := c.CreateServerInstances(ctx, ncloud.CreateServer{Name: name, ImageProductCode: "SPSW0LINUX000046", LoginKeyName: name + "-key", UserData: "#!/bin/sh\n"})
			if serverNo = s.No; err == nil {
				err = a.until(ctx, f, serverNo, "RUN")
			}
			return err
		})
		do("public IP", func() error {
			ip, err = c.CreatePublicIpInstance(ctx, ncloud.CreatePublicIP{ServerNo: serverNo, Description: name + " for the bake"})
			return errors.Join(err, a.until(ctx, f, serverNo, "RUN"))
		})
		do("disk", func() error {
			disk, err = c.CreateBlockStorageInstance(ctx, ncloud.CreateBlockStorage{Name: name + "-disk", Size: 10, ServerNo: serverNo})
			return errors.Join(err, a.until(ctx, f, serverNo, "RUN"))
		})
		return serverNo, err
	}
	var vpcNo, subnetNo, zone string
	do("subnet", func() error {
		subnets, err := v.GetSubnetList(ctx, ncloud.SubnetFilter{Type: "PUBLIC", UsageType: "GEN"})
		if err == nil && len(subnets) > 0 {
			vpcNo, subnetNo, zone = subnets[0].VPCNo, subnets[0].No, subnets[0].ZoneCode
		}
		return err
	})
	var acg ncloud.ACG
	var nic ncloud.NetworkInterface
	var script ncloud.InitScript
	do("key", func() error { _, err := v.ImportLoginKey(ctx, name+"-key", publicKey()); return err })
	do("ACG", func() error {
		acg, err = v.CreateAccessControlGroup(ctx, ncloud.CreateACG{Name: name + "-acg", VPCNo: vpcNo})
		return err
	})
	do("rule", func() error {
		return v.AddAccessControlGroupInboundRule(ctx, vpcNo, acg.No, []ncloud.Rule{{Protocol: "TCP", IPBlock: "127.0.0.1/32", PortRange: "22"}})
	})
	do("NIC", func() error {
		nic, err = v.CreateNetworkInterface(ctx, ncloud.CreateNetworkInterface{Name: name + "-nic", VPCNo: vpcNo, SubnetNo: subnetNo, ACGNos: []string{acg.No}})
		return err
	})
	do("init script", func() error {
		script, err = v.CreateInitScript(ctx, ncloud.CreateInitScript{Name: name + "-init", Content: "#!/bin/sh\n"})
		return err
	})
	do("server", func() error {
		q := ncloud.CreateServer{Name: name, VPCNo: vpcNo, SubnetNo: subnetNo, LoginKeyName: name + "-key", InitScriptNo: script.No, NetworkInterfaces: []ncloud.ServerNIC{{No: nic.No, SubnetNo: subnetNo}}}
		if f.hypervisor == config.KVM {
			q.ImageNo, q.SpecCode = "23214590", "s2-g3"
		} else {
			q.ImageProductCode, q.ProductCode = "SW.VSVR.OS.LNX64.ROCKY.0810.B050", "SVR.VSVR.HICPU.C002.M004.NET.SSD.B050.G002"
		}
		s, err := v.CreateServerInstances(ctx, q)
		if serverNo = s.No; err == nil {
			err = a.until(ctx, f, serverNo, "RUN")
		}
		return err
	})
	do("public IP", func() error {
		ip, err = v.CreatePublicIpInstance(ctx, ncloud.CreatePublicIP{Description: name + " for the bake"})
		return err
	})
	do("association", func() error {
		return errors.Join(v.AssociatePublicIpWithServerInstance(ctx, ip.No, serverNo), a.until(ctx, f, serverNo, "RUN"))
	})
	do("disk", func() error {
		q := ncloud.CreateBlockStorage{Name: name + "-disk", Size: 10, ServerNo: serverNo}
		if f.hypervisor == config.KVM {
			q.ServerNo, q.ZoneCode, q.VolumeType = "", zone, "CB1"
		}
		if disk, err = v.CreateBlockStorageInstance(ctx, q); err != nil {
			return err
		}
		return a.client.Wait(ctx, ncloud.WaitFor{What: "disk", Timeout: 10 * time.Second, Poll: func(ctx context.Context) (string, bool, error) {
			b, err := v.GetBlockStorageInstanceDetail(ctx, disk.No)
			return b.Status, b.Status != "INIT" && b.Operation == "NULL", err
		}})
	})
	if f.hypervisor == config.KVM {
		do("attach", func() error {
			return errors.Join(v.AttachBlockStorageInstance(ctx, disk.No, serverNo), a.until(ctx, f, serverNo, "RUN"))
		})
	}
	do("snapshot", func() error {
		return a.client.Wait(ctx, ncloud.WaitFor{What: "disk to be free", Timeout: 10 * time.Second, Poll: func(ctx context.Context) (string, bool, error) {
			b, err := v.GetBlockStorageInstanceDetail(ctx, disk.No)
			if err != nil || b.Operation != "NULL" || b.Status != "ATTAC" {
				return b.Status, false, err
			}
			_, err = v.CreateBlockStorageSnapshotInstance(ctx, ncloud.CreateSnapshot{Name: name + "-snap", BlockStorageNo: disk.No})
			return "", err == nil, err
		}})
	})
	return serverNo, err
}

// left names what the run has left in the account, by the simulation's own word.
func (a *account) left(name string) (out []string) {
	for _, i := range a.cloud.Inventory().Left() {
		if sweep.Owned(i.Name, name) || strings.HasPrefix(i.Description, name) {
			out = append(out, i.String())
		}
	}
	return out
}

func (a *account) sweep(ctx context.Context, f flavour, images ...snapshot.Begun) {
	a.t.Helper()
	s := sweep.Sweeper{Client: a.client, Platforms: []config.Platform{f.platform}, Images: images, Patience: 5 * time.Second, Pause: 2 * ms}
	left, err := s.Sweep(ctx, run)
	if err != nil || len(left) > 0 {
		a.t.Errorf("swept: %v, left %v", err, left)
	}
	if left := a.left(run); len(left) > 0 {
		a.t.Errorf("the cloud still has %v", left)
	}
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// TestBake is the life of a bake: build, stop, image, sweep. What is not the run's stays.
func TestBake(t *testing.T) {
	t.Parallel()
	for _, f := range flavours {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			ctx, a := deadline(t), open(t)
			server, err := a.build(ctx, f, run, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := a.build(ctx, f, other, 0); err != nil {
				t.Fatal(err)
			}
			theirs := len(a.left(other))

			kind, err := snapshot.KindOf(f.platform, f.hypervisor)
			if err != nil {
				t.Fatal(err)
			}
			m := snapshot.Imager{Client: a.client, StopTimeout: 10 * time.Second, StartTimeout: 10 * time.Second, ImageTimeout: 10 * time.Second}
			if err := m.Stop(ctx, f.platform, server); err != nil {
				t.Fatal(err)
			}
			img, err := m.Start(ctx, snapshot.Request{Kind: kind, ServerNo: server, Name: "web", Description: "baked"})
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Wait(ctx, img); err != nil {
				t.Fatal(err)
			}
			if err := m.Share(ctx, img, []string{"friend+1@example.com"}); err != nil {
				t.Error(err)
			}
			found, err := m.Find(ctx, kind, "web")
			if err != nil || found.No != img.No {
				t.Errorf("found %+v, %v", found, err)
			}
			for _, begun := range []snapshot.Begun{{Name: "web", ServerNo: server, Run: run}, {No: img.No}} { // finished, so it must stay
				a.sweep(ctx, f, begun)
				if images := a.cloud.Inventory().Images; len(images) != 1 || images[0].No != img.No {
					t.Errorf("images: %v", images)
				}
			}
			if n := len(a.left(other)); n != theirs {
				t.Errorf("of %d things of another run %d are left", theirs, n)
			}
		})
	}
}

// A public IP that somebody attached to a run's server comes off it, and stays; one that terraform's server has is left alone.
func TestPublicIPOfSomebodyElse(t *testing.T) {
	t.Parallel()
	for _, f := range flavours[:2] {
		for _, description := range []string{"", "the office", other + " for the bake"} {
			t.Run(f.String()+" "+description, func(t *testing.T) {
				t.Parallel()
				ctx, a := deadline(t), open(t)
				server, err := a.build(ctx, f, run, map[string]int{"": 2, config.XEN: 7}[f.hypervisor])
				if err != nil {
					t.Fatal(err)
				}
				q := ncloud.CreatePublicIP{ServerNo: server, Description: description}
				create, get := a.client.Classic.CreatePublicIpInstance, a.client.Classic.GetPublicIpInstanceDetail
				if f.platform == config.VPC {
					q.ServerNo = ""
					create, get = a.client.VPC.CreatePublicIpInstance, a.client.VPC.GetPublicIpInstanceDetail
				}
				ip, err := create(ctx, q)
				if err == nil && f.platform == config.VPC {
					err = a.client.VPC.AssociatePublicIpWithServerInstance(ctx, ip.No, server)
				}
				if err = errors.Join(err, a.until(ctx, f, server, "RUN")); err != nil {
					t.Fatal(err)
				}
				if ip, err = get(ctx, ip.No); err != nil || ip.ServerNo != server {
					t.Fatalf("before: %+v, %v", ip, err)
				}

				s := sweep.Sweeper{Client: a.client, Platforms: []config.Platform{f.platform}, Except: []string{server}}
				if found, err := s.List(ctx, run); err != nil || strings.Contains(fmt.Sprint(found), ip.No) {
					t.Errorf("beside terraform's server: %v, %v", found, err)
				}
				s.Except = nil
				if found, err := s.List(ctx, run); err != nil || !strings.Contains(fmt.Sprint(found), "which is not the run's and stays") {
					t.Errorf("found %v, %v", found, err)
				}
				a.sweep(ctx, f)
				if ip, err = get(ctx, ip.No); err != nil || ip.ServerNo != "" {
					t.Errorf("afterwards: %+v, %v", ip, err)
				}
			})
		}
	}
}

// TestSweepAnyTime sweeps after each step of a build, also while the server is still being made, and during the image.
func TestSweepAnyTime(t *testing.T) {
	t.Parallel()
	for _, f := range flavours {
		for upTo := 1; upTo <= map[string]int{"": 4, config.XEN: 11, config.KVM: 12}[f.hypervisor]; upTo++ {
			t.Run(fmt.Sprint(f, " after ", upTo), func(t *testing.T) {
				t.Parallel()
				ctx, a := deadline(t), open(t)
				if _, err := a.build(ctx, f, run, upTo); err != nil {
					t.Fatal(err)
				}
				a.sweep(ctx, f)
			})
		}
		t.Run(fmt.Sprint(f, " during the image"), func(t *testing.T) {
			t.Parallel()
			ctx, a := deadline(t), open(t)
			server, err := a.build(ctx, f, run, 0)
			if err != nil {
				t.Fatal(err)
			}
			kind, _ := snapshot.KindOf(f.platform, f.hypervisor)
			m := snapshot.Imager{Client: a.client}
			if err := m.Stop(ctx, f.platform, server); err != nil {
				t.Fatal(err)
			}
			if _, err := m.Start(ctx, snapshot.Request{Kind: kind, ServerNo: server, Name: "web", Description: run}); err != nil {
				t.Fatal(err)
			}
			a.sweep(ctx, f, snapshot.Begun{Name: "web", ServerNo: server, Run: run})
			for _, i := range a.cloud.Inventory().Images {
				if i.Status != "CREAT" || i.Operation != "NULL" {
					t.Errorf("half an image is left: %v", i)
				}
			}
		})
	}
}

// faults are the ways in which a call goes wrong that a client must survive.
var faults = []localcloud.Fault{
	{Kind: localcloud.Drop, When: localcloud.Before}, {Kind: localcloud.Drop, When: localcloud.After}, {Kind: localcloud.Truncate},
	{Kind: localcloud.HTTPStatus, Status: 503, Code: "500"}, {Kind: localcloud.HTTPStatus, When: localcloud.After, Status: 504, Code: "510"}, {Kind: localcloud.HTTPStatus, Status: 429, Code: "410"},
	{Kind: localcloud.ErrorIn200}, {Kind: localcloud.Business, Status: 500, Code: "1000"},
}

// TestEveryOtherCallGoesWrong lets every other mutating call of a build, an image and a sweep fail, from the first on and
// from the second on, in each way: all succeed nevertheless, nothing is made twice, and nothing is left.
func TestEveryOtherCallGoesWrong(t *testing.T) {
	t.Parallel()
	for i, way := range faults {
		for _, f := range flavours {
			if f.hypervisor == config.XEN && i > 2 { // differs from KVM by disk and image only
				continue
			}
			t.Run(fmt.Sprint(f, " ", way.Kind, " ", way.When, " ", way.Status), func(t *testing.T) {
				t.Parallel()
				a := open(t)
				for first := 1; first <= 2; first++ {
					for nth := first; nth < 100; nth += 2 {
						way.Nth, way.Mutating = nth, true
						a.cloud.Inject(way)
					}
					if hits := a.bake(f, fmt.Sprint("from call ", first, " on")); hits < 6 {
						t.Errorf("only %d calls went wrong", hits)
					}
				}
			})
		}
	}
}

// TestEveryCallGoesWrong is the same with one call at a time. It takes minutes: TFBAKE_EXHAUSTIVE=1 runs it.
func TestEveryCallGoesWrong(t *testing.T) {
	if os.Getenv("TFBAKE_EXHAUSTIVE") == "" {
		t.Skip("TFBAKE_EXHAUSTIVE is not set")
	}
	t.Parallel()
	for _, f := range flavours {
		for _, way := range faults {
			t.Run(fmt.Sprint(f, " ", way.Kind, " ", way.When, " ", way.Status), func(t *testing.T) {
				t.Parallel()
				a := open(t)
				for nth := 1; !t.Failed(); nth++ {
					way.Nth, way.Mutating = nth, true
					a.cloud.Inject(way)
					if a.bake(f, fmt.Sprint("call ", nth)) == 0 { // past the last call
						if nth < 8 {
							t.Errorf("only %d mutating calls", nth)
						}
						return
					}
				}
			})
		}
	}
}

// bake builds, makes an image, sweeps and removes the image, under the faults in force, which it clears. It returns how
// many calls they hit.
func (a *account) bake(f flavour, when string) (hits int) {
	a.t.Helper()
	ctx := deadline(a.t)
	server, err := a.build(ctx, f, run, 0)
	if err != nil {
		a.t.Fatalf("%s: %v", when, err)
	}
	kind, _ := snapshot.KindOf(f.platform, f.hypervisor)
	m := snapshot.Imager{Client: a.client}
	if err := m.Stop(ctx, f.platform, server); err != nil {
		a.t.Fatalf("%s: %v", when, err)
	}
	img, err := m.Start(ctx, snapshot.Request{Kind: kind, ServerNo: server, Name: "web"})
	if err != nil {
		a.t.Fatalf("%s: %v", when, err)
	}
	if err := m.Wait(ctx, img); err != nil {
		a.t.Fatalf("%s: %v", when, err)
	}
	made := a.cloud.Inventory()
	if len(made.Images) != 1 {
		a.t.Errorf("%s: %d images", when, len(made.Images))
	}
	names := map[string]int{}
	for _, i := range made.Left() {
		name := i.Kind + " " + i.Name
		if names[name]++; names[name] > 1 {
			a.t.Errorf("%s: %s was made %d times", when, name, names[name])
		}
	}
	a.sweep(ctx, f)
	a.deleteImage(ctx, f, img.No)
	for _, s := range a.cloud.Faults() {
		hits += s.Hits
	}
	a.cloud.ClearFaults()
	return hits
}

// deleteImage deletes a finished image, which no sweep does.
func (a *account) deleteImage(ctx context.Context, f flavour, no string) {
	a.t.Helper()
	remove := map[string]func(context.Context, string) error{"": a.client.Classic.DeleteMemberServerImages,
		config.XEN: a.client.VPC.DeleteMemberServerImageInstances, config.KVM: a.client.VPC.DeleteServerImage}[f.hypervisor]
	err := a.client.Wait(ctx, ncloud.WaitFor{What: "image " + no + " to be gone", Timeout: 10 * time.Second, Poll: func(ctx context.Context) (string, bool, error) {
		if len(a.cloud.Inventory().Images) == 0 {
			return "", true, nil
		}
		err := remove(ctx, no)
		if ncloud.IsState(err) || ncloud.IsNotFound(err) {
			err = nil
		}
		return "", false, err
	}})
	if err != nil {
		a.t.Error(err)
	}
}

// TestSweepSays tells what cannot be deleted and why.
func TestSweepSays(t *testing.T) {
	t.Parallel()
	ctx, a := deadline(t), open(t)
	if _, err := a.build(ctx, flavours[2], run, 3); err != nil {
		t.Fatal(err)
	}
	a.cloud.Inject(localcloud.Fault{Action: "deleteAccessControlGroup", Kind: localcloud.Business, Status: 400, Code: "1007999", Message: "something in the way"})
	var said strings.Builder
	s := sweep.Sweeper{Client: a.client, Patience: 300 * ms, Pause: 2 * ms, Platforms: []config.Platform{config.VPC}, Every: 20 * ms,
		Log: func(format string, args ...any) { fmt.Fprintf(&said, format+"\n", args...) }}
	left, err := s.Sweep(ctx, run)
	if !strings.Contains(said.String(), "waiting for access control group "+run+"-acg") || !strings.Contains(said.String(), "something in the way") || !strings.Contains(said.String(), "giving up after 300ms") {
		t.Errorf("while it waited it said only:\n%s", said.String())
	}
	if err != nil || len(left) != 1 || left[0].Kind != sweep.ACG || !strings.Contains(left[0].String(), "something in the way") {
		t.Errorf("%v, %v", left, err)
	}
	a.cloud.ClearFaults()
	if orphans, err := s.Orphans(ctx); err != nil || len(orphans[run]) != 1 || len(orphans) != 1 {
		t.Errorf("%v, %v", orphans, err)
	}
	a.cloud.Inject(localcloud.Fault{Action: "get*", Kind: localcloud.HTTPStatus, Status: 401, Code: "200"})
	if left, err := s.Sweep(ctx, run); err == nil || !ncloud.IsAuth(err) {
		t.Errorf("without an answer: %v, %v", left, err)
	}
	a.cloud.ClearFaults()
	for _, bad := range []string{"", "tfb", "tfb-", "tfb-261122-081500", "web"} {
		if _, err := s.Sweep(ctx, bad); err == nil {
			t.Errorf("%q was swept", bad)
		}
	}
}

// TestSweepStandsAnOutage: a list that cannot be had for a while is asked again; silence is never taken for "nothing".
func TestSweepStandsAnOutage(t *testing.T) {
	t.Parallel()
	ctx, a := deadline(t), open(t)
	if _, err := a.build(ctx, flavours[2], run, 4); err != nil {
		t.Fatal(err)
	}
	a.cloud.Inject(localcloud.Fault{Action: "getAccessControlGroupList", Nth: 1, Count: 20, Kind: localcloud.HTTPStatus, Status: 503, Code: "500"})
	a.sweep(ctx, flavours[2])
	if a.cloud.Faults()[0].Hits != 20 {
		t.Errorf("%+v", a.cloud.Faults())
	}
}
