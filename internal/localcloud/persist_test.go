package localcloud

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/NaverCloudPlatform/ncloud-sdk-go-v2/services/vserver"
)

// A cloud with a directory goes on where it was: objects, guests' files, running servers.
func TestRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := start(t, Options{Dir: dir})
	no := c.vpcServer(func(r *vserver.CreateServerInstancesRequest) { r.ServerName = p("survivor") })
	ip := c.publicIP(no)
	if err := os.WriteFile(filepath.Join(dir, "guests", no, "note"), []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	img := *must(c.vserver.CreateMemberServerImageInstance(&vserver.CreateMemberServerImageInstanceRequest{ServerInstanceNo: &no, MemberServerImageName: p("img-1")}))(t).MemberServerImageInstanceList[0].MemberServerImageInstanceNo
	c.waitImage(img, "CREAT")
	if b, err := os.ReadFile(filepath.Join(dir, "images", img, "note")); string(b) != "kept" {
		t.Errorf("the image has not the server's file: %v", err)
	}

	if _, err := Start(t.Context(), Options{Dir: dir, guests: c.guests}); err == nil || !strings.Contains(err.Error(), "in use by process") || !strings.Contains(err.Error(), c.Endpoint()) {
		t.Errorf("second cloud on the directory: %v", err)
	}
	before, _ := json.Marshal(c.Inventory())
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "state.json")); err != nil {
		t.Fatal(err)
	}

	d := start(t, Options{Dir: dir})
	after, _ := json.Marshal(d.Inventory())
	if string(before) != string(after) {
		t.Errorf("inventory before %s\nafter %s", before, after)
	}
	if g := d.guests.last(t); g.Hostname != "survivor" || g.FirstBoot {
		t.Errorf("booted again: %+v", g)
	}
	if got, err := d.greeting(ip + ":22"); got != "guest survivor port 22" {
		t.Errorf("greeting after restart: %q, %v", got, err)
	}
	two := d.vpcServer(func(r *vserver.CreateServerInstancesRequest) {
		r.ServerImageProductCode, r.MemberServerImageInstanceNo = nil, &img
	})
	if b, _ := os.ReadFile(filepath.Join(dir, "guests", two, "note")); string(b) != "kept" {
		t.Error("a server from the image has not the file")
	}
	d.terminate(two)
	eventually(t, "guest's files gone", func() bool {
		_, err := os.Stat(filepath.Join(dir, "guests", two))
		return os.IsNotExist(err)
	})
}

// What a killed process left behind, in the middle of everything: state.json is whole, and work that was cut off is
// done again. The kill is simulated by copying the directory while calls are under way.
func TestRestartInTheMiddle(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	slow := Fast()
	slow.Server, slow.Image, slow.Stop = time.Hour, time.Hour, time.Hour
	c := start(t, Options{Dir: dir})
	running := c.vpcServer(func(r *vserver.CreateServerInstancesRequest) { r.ServerName = p("running") })
	stopping := c.vpcServer(func(r *vserver.CreateServerInstancesRequest) { r.ServerName = p("stopping") })
	c.SetLatency(slow)
	booting := c.newVPCServer(func(r *vserver.CreateServerInstancesRequest) { r.ServerName = p("booting") })
	must(c.vserver.StopServerInstances(&vserver.StopServerInstancesRequest{ServerInstanceNoList: strs(stopping)}))(t)
	img := *must(c.vserver.CreateMemberServerImageInstance(&vserver.CreateMemberServerImageInstanceRequest{ServerInstanceNo: &running, MemberServerImageName: p("img-1")}))(t).MemberServerImageInstanceList[0].MemberServerImageInstanceNo

	copied := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	c.Close()
	// The waits of an hour are over.
	path := filepath.Join(copied, "state.json")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var st state
	if err := json.Unmarshal(b, &st); err != nil {
		t.Fatal(err)
	}
	for _, t := range st.things() {
		for i := range t.common().Next {
			t.common().Next[i].At = time.Now()
		}
	}
	if err := st.save(copied); err != nil {
		t.Fatal(err)
	}

	d := start(t, Options{Dir: copied})
	d.waitVPC(running, "RUN/NULL")
	d.waitVPC(stopping, "NSTOP/NULL")
	d.waitVPC(booting, "RUN/NULL")
	d.waitImage(img, "CREAT")
}

func TestBadState(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{"{": "unexpected end", `{"Version":99}`: "version 99"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "state.json"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Start(t.Context(), Options{Dir: dir, guests: &fakeGuests{}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", content, err)
		}
	}
}

// A private directory is gone after Close.
func TestPrivateDirectory(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	c.vpcServer(nil)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(c.Dir()); !os.IsNotExist(err) {
		t.Errorf("directory: %v", err)
	}
}
