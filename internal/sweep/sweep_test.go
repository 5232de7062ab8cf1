package sweep

import (
	"testing"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/snapshot"
)

const run = "tfb-261122-081500-ab12"

func TestOwned(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		run: true, run + "-nic": true, run + "-disk-2": true,
		"": false, run + "x": false, "x" + run: false, run[:21]: false, "tfb": false, "tfb-": false, "my-" + run: false,
	} {
		if Owned(name, run) != want {
			t.Errorf("%q: want %v", name, want)
		}
	}
	if Owned("", "") || Owned("-x", "") {
		t.Error("an empty run owns something")
	}
	for text, want := range map[string]bool{
		run: true, run + " baked by tfbake": true, "ip of " + run: true, run + "-ip": true,
		"": false, run + "x": false, "see" + run: false, "a " + run + ", b": false,
	} {
		if ownedText(text, run) != want {
			t.Errorf("%q: want %v", text, want)
		}
	}
	for text, want := range map[string]string{run: run, run + "-nic": run, run + " of somebody": run, "tfb-261122-081500-ab123": "", "tfb-261122": "", "x" + run: "", "": ""} {
		if got := RunOf(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}

func TestNext(t *testing.T) {
	t.Parallel()
	vpc := func(r Resource) Resource { r.Platform = config.VPC; return r }
	server := func(status, op string) Resource {
		return vpc(Resource{Kind: Server, No: "1", Name: run, status: status, operation: op})
	}
	ip := vpc(Resource{Kind: PublicIP, No: "2", status: "RUN", operation: "NULL", server: "1"})
	disk := vpc(Resource{Kind: BlockStorage, No: "3", status: "ATTAC", operation: "NULL", server: "1"})
	nic := vpc(Resource{Kind: NIC, No: "4", status: "USED", server: "1"})
	acg := vpc(Resource{Kind: ACG, No: "5", status: "RUN"})
	script := vpc(Resource{Kind: InitScript, No: "6"})
	key := vpc(Resource{Kind: LoginKey, No: "k"})
	off := func(r Resource) Resource { r.server = ""; r.status = "NOTUSED"; return r }
	classicServer := server("RUN", "NULL")
	classicServer.Platform = config.Classic

	for _, tt := range []struct {
		name string
		r    Resource
		all  []Resource
		want action
	}{
		{"running server", server("RUN", "NULL"), []Resource{ip, nic}, stop},
		{"busy server", server("RUN", "SETUP"), nil, wait},
		{"server being made, or stuck there", server("INIT", "NULL"), nil, terminate},
		{"broken server that holds its disk", server("FSTOP", "NULL"), []Resource{disk}, terminate},
		{"server being imaged", server("NSTOP", "COPY"), nil, wait},
		{"stopped server with an IP", server("NSTOP", "NULL"), []Resource{ip}, wait},
		{"stopped server with a disk", server("NSTOP", "NULL"), []Resource{disk}, wait},
		{"stopped server", server("NSTOP", "NULL"), []Resource{nic, acg, key}, terminate},
		{"failed server", server("FSTOP", "NULL"), nil, terminate},
		{"server on its way", server("NSTOP", "TERMT"), nil, wait},
		{"associated IP", ip, []Resource{server("RUN", "NULL")}, disassociate},
		{"free IP", off(ip), nil, remove},
		{"IP being deleted", vpc(Resource{Kind: PublicIP, status: "TERMTING", operation: "TERMT"}), nil, wait},
		{"disk of a running server", disk, []Resource{server("RUN", "NULL")}, wait},
		{"disk of a stopped server", disk, []Resource{server("NSTOP", "NULL")}, detach},
		{"disk of a server that is not ours", disk, nil, detach},
		{"free disk", off(disk), []Resource{server("RUN", "NULL")}, remove},
		{"disk being detached", vpc(Resource{Kind: BlockStorage, server: "1", operation: "DETAC"}), nil, wait},
		{"NIC of a server", nic, []Resource{server("NSTOP", "NULL")}, wait},
		{"NIC left behind", nic, nil, detach},
		{"free NIC", off(nic), []Resource{acg}, remove},
		{"free NIC, server on the other platform", off(nic), []Resource{classicServer}, remove},
		{"ACG of a NIC", acg, []Resource{nic}, wait},
		{"free ACG", acg, []Resource{key, script}, remove},
		{"ACG being changed", vpc(Resource{Kind: ACG, status: "SET"}), nil, wait},
		{"script of a server", script, []Resource{server("INIT", "NULL")}, wait},
		{"script", script, []Resource{acg, nic}, remove},
		{"key of a server", key, []Resource{server("RUN", "NULL")}, wait},
		{"key", key, nil, remove},
		{"image", vpc(Resource{Kind: Image, status: "INIT", operation: "CREAT"}), []Resource{server("NSTOP", "COPY")}, remove},
		{"image on its way", vpc(Resource{Kind: Image, status: "CREAT", operation: "TERMT"}), nil, wait},
		{"snapshot", vpc(Resource{Kind: Snapshot, status: "CREAT", operation: "NULL"}), nil, remove},
	} {
		protected := tt.r
		if got := next(tt.r, append(tt.all, tt.r)); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
		if protected.protected = true; tt.r.Kind == Server && (tt.want == stop || tt.want == terminate) && next(protected, tt.all) != unprotect {
			t.Errorf("%s, protected: %s", tt.name, next(protected, tt.all))
		}
	}
}

func TestHalf(t *testing.T) {
	t.Parallel()
	s := &Sweeper{Images: []snapshot.Begun{{Name: "web", ServerNo: "1", Run: run}, {No: "7", Name: "db"}}}
	for _, tt := range []struct {
		no, name, server, description, status, operation string

		want   bool
		spared string
	}{
		{"1", "web", "1", "", "INIT", "CREAT", true, ""},
		{"1", "web", "1", "", "CREFL", "NULL", true, ""},
		{"1", "web", "1", "", "CREAT", "NULL", true, finished},
		{"1", "web", "1", "", "CREAT", "TERMT", true, ""},
		{"1", "web", "2", "", "INIT", "CREAT", false, ""}, // another run's, which bakes the same name
		{"1", "web", "", run, "INIT", "CREAT", true, ""},
		{"1", "web", "", run, "CREAT", "NULL", true, finished},
		{"1", "web", "", "tfb-261122-081500-ab13", "INIT", "CREAT", false, ""},
		{"1", "web", "", "nginx", "INIT", "CREAT", true, doubtful},
		{"1", "web", "", "nginx", "CREAT", "NULL", false, ""},
		{"1", "other", "1", "", "INIT", "CREAT", false, ""},
		{"7", "db", "2", "", "INIT", "CREAT", true, ""},
		{"7", "db", "2", "", "CREAT", "NULL", true, finished},
		{"8", "db", "2", "", "INIT", "CREAT", false, ""},
	} {
		got, listed := s.half(Resource{No: tt.no, status: tt.status, operation: tt.operation},
			snapshot.Image{No: tt.no, Name: tt.name, ServerNo: tt.server, Description: tt.description}, "")
		if listed != tt.want || got.spared != tt.spared {
			t.Errorf("%+v: %v %q", tt, listed, got.spared)
		}
	}
}
