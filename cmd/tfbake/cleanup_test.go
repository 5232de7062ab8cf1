//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/journal"
	"github.com/tfbake/tfbake/internal/localcloud"
	"github.com/tfbake/tfbake/internal/ncloud"
	"github.com/tfbake/tfbake/internal/snapshot"
)

// What a dead run left is made by hand here: its directory through the journal, and two things of it in the cloud.

const accessOf = "access-key-of-"

// cloudOf is a victim whose cloud accepts the keys of an account of that name. dir is the cloud's data, "" for its own.
func cloudOf(t *testing.T, account, dir string) *victim {
	t.Helper()
	v := &victim{t: t, dir: t.TempDir()}
	cloud, err := localcloud.Start(context.Background(), localcloud.Options{Dir: dir, AccessKey: accessOf + account, SecretKey: "secret-key-of-" + account})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cloud.Close() })
	v.cloud = cloud
	return v
}

// client is one for a region of the cloud.
func (v *victim) client(region string) *ncloud.Client {
	v.t.Helper()
	access, secret := v.cloud.Credentials()
	c, err := ncloud.New(ncloud.Options{Endpoint: v.cloud.Endpoint(), Credentials: ncloud.Credentials{AccessKey: access, SecretKey: secret}, RegionCode: region})
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(c.Close)
	return c
}

// makeLeftovers makes what bears the run's name: a login key, which is to be seen from everywhere, and an init script.
func (v *victim) makeLeftovers(region, id string) {
	v.t.Helper()
	if _, err := v.client(region).VPC.CreateLoginKey(v.t.Context(), "tfb-"+id+"-key"); err != nil {
		v.t.Fatal(err)
	}
	v.makeScript(region, id)
}

func (v *victim) makeScript(region, id string) {
	v.t.Helper()
	c := v.client(region)
	if _, err := c.VPC.CreateInitScript(v.t.Context(), ncloud.CreateInitScript{Name: "tfb-" + id + "-init", Content: "#!/bin/sh\n"}); err != nil {
		v.t.Fatal(err)
	}
}

// deadRun makes the directory of a run that died while it was creating, and what it left.
func (v *victim) deadRun(account string) (dir string) {
	v.t.Helper()
	id := journal.NewRunID(time.Now())
	run, err := journal.Create(filepath.Join(v.dir, ".tfbake", "runs"), journal.Facts{RunID: id, Name: "tfb-" + id, Started: time.Now(), Build: "web",
		Platform: string(config.VPC), Region: "KR", ImageName: "web", Provider: embeddedProvider, Account: journal.AccountOf(id, accessOf+account)}, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	defer run.Close()
	run.Begin(journal.LoginKey, nil)
	v.makeLeftovers("KR", id)
	return run.Dir
}

// says runs tfbake, which must end with the code, say the texts, and this in its last line.
func (v *victim) says(code int, last string, args []string, texts ...string) {
	v.t.Helper()
	r := v.tfbake(args...)
	lines := strings.Split(strings.TrimSpace(r.stderr), "\n")
	if r.code != code || !strings.Contains(lines[len(lines)-1], last) {
		v.t.Errorf("tfbake %s: exit code %d, want %d with %q in the last line:\n%s%s", strings.Join(args, " "), r.code, code, last, r.stdout, r.stderr)
	}
	for _, text := range texts {
		if strings.Count(r.stdout+r.stderr, text) != 1 {
			v.t.Errorf("tfbake %s: %q is to be said once:\n%s%s", strings.Join(args, " "), text, r.stdout, r.stderr)
		}
	}
}

func (v *victim) isLeft(n int) {
	v.t.Helper()
	if left := v.cloud.Inventory().Left(); len(left) != n {
		v.t.Errorf("the cloud has %v; want %d", left, n)
	}
}

func isThere(path string) bool { _, err := os.Stat(path); return err == nil }

// With the keys of another account nothing of a run is to be seen: that is not taken for nothing left.
func TestCleanupWithOtherKeys(t *testing.T) {
	t.Parallel()
	cloudDir := t.TempDir()
	mine, other := cloudOf(t, "mine", cloudDir), cloudOf(t, "other", "")
	dir := mine.deadRun("mine")
	id := filepath.Base(dir)
	other.dir = mine.dir
	for _, c := range []struct {
		args []string
		code int
	}{{[]string{"cleanup", id}, exitLeftovers}, {[]string{"cleanup", "-all"}, exitLeftovers}, {[]string{"cleanup", "-dry-run", id}, exitLeftovers}, {[]string{"destroy", id}, exitLeftovers}} {
		other.says(c.code, "-same-account", c.args, "run "+id+" was begun with other API keys than the keys from NCLOUD_ACCESS_KEY and NCLOUD_SECRET_KEY")
	}
	mine.isLeft(2)
	if !isThere(dir) {
		t.Fatal("the run directory is gone")
	}

	// New keys of the same account: what they show proves it.
	mine.cloud.Close()
	mine.cloud = cloudOf(t, "rotated", cloudDir).cloud
	mine.says(exitOK, "0 resources left", []string{"cleanup", id})
	mine.isLeft(0)
	if isThere(dir) {
		t.Error("the run directory is still there")
	}

	// Where nothing is left to prove it, the user says so.
	dir = mine.deadRun("mine")
	other.says(exitOK, "0 resources left", []string{"destroy", "-same-account", filepath.Base(dir)})
	if isThere(dir) {
		t.Error("the run directory is still there")
	}
}

// A run whose facts are lost is looked for by its name, wherever it may be.
func TestCleanupOfALostJournal(t *testing.T) {
	t.Parallel()
	lose := map[string]func(t *testing.T, file string){
		"empty": func(t *testing.T, file string) { overwrite(t, file, "") },
		"first line cut": func(t *testing.T, file string) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			overwrite(t, file, string(text[100:]))
		},
		"missing": func(t *testing.T, file string) {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, lose := range lose {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := cloudOf(t, "mine", "")
			dir := v.deadRun("mine")
			overwrite(t, filepath.Join(dir, "main.tf"), "")
			lose(t, filepath.Join(dir, "journal.jsonl"))
			v.makeScript("JPN", filepath.Base(dir))
			v.says(exitOK, "", []string{"cleanup", "-dry-run", "-all"}, "vpc, KR): 2 resources", "vpc, JPN): 1 resources")
			v.says(exitOK, "0 resources left", []string{"cleanup", "-all"})
			v.isLeft(0)
			if isThere(dir) {
				t.Error("the run directory is still there")
			}
		})
	}
	t.Run("state", func(t *testing.T) { // which says that there was something
		t.Parallel()
		v := cloudOf(t, "mine", "")
		dir := filepath.Join(v.dir, ".tfbake", "runs", journal.NewRunID(time.Now()))
		os.MkdirAll(dir, 0o700)
		overwrite(t, filepath.Join(dir, "terraform.tfstate"), `{"version": 4, "terraform_version": "1.9.0", "serial": 1, "lineage": "x", "outputs": {}, "resources": [
			{"mode": "managed", "type": "ncloud_server", "name": "this", "provider": "p", "instances": [{"schema_version": 0, "attributes": {"id": "7"}}]}]}`)
		v.says(exitLeftovers, "-same-account", []string{"cleanup", dir})
		v.says(exitOK, "0 resources left", []string{"cleanup", "-same-account", dir})
		if isThere(dir) {
			t.Error("the run directory is still there")
		}
	})
	t.Run("bare", func(t *testing.T) {
		t.Parallel()
		v := cloudOf(t, "mine", "")
		dir := filepath.Join(v.dir, ".tfbake", "runs", journal.NewRunID(time.Now()))
		os.MkdirAll(dir, 0o700)
		overwrite(t, filepath.Join(dir, "lock"), "")
		v.says(exitOK, "died before it created anything: 0 resources left", []string{"cleanup", filepath.Base(dir)})
		if isThere(dir) || len(v.cloud.Calls()) > 0 {
			t.Errorf("the run directory is still there, or the API was asked: %v", v.cloud.Calls())
		}
	})
}

func overwrite(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A run without a directory is looked for in the cloud when its whole id is given; and it may be repeated.
func TestCleanupOfARunThatIsGone(t *testing.T) {
	t.Parallel()
	v := cloudOf(t, "mine", "")
	id, other := "261122-120000-abcd", "261122-120000-abce"
	v.makeLeftovers("JPN", id)
	v.makeLeftovers("KR", other)
	v.says(exitOK, "", []string{"cleanup", "-dry-run", id}, "tfb-"+id+" (vpc, KR): 1 resources", "tfb-"+id+" (vpc, JPN): 1 resources")
	v.isLeft(4)
	v.says(exitOK, "0 resources left", []string{"cleanup", "tfb-" + id})
	v.isLeft(2)
	for _, command := range []string{"cleanup", "destroy"} {
		v.says(exitOK, "there is nothing of run "+id+": 0 resources left", []string{command, id})
		v.says(exitUsage, `there is no run "261122-12"`, []string{command, "261122-12"})
	}
	v.says(exitOK, "0 resources left", []string{"destroy", ".tfbake/runs/" + other})
	v.isLeft(0)
	cmd := v.command("cleanup", id)
	cmd.Env = append(cmd.Env, "NCLOUD_ACCESS_KEY=", "NCLOUD_SECRET_KEY=", "NCLOUD_METADATA_API_ENDPOINT=http://127.0.0.1:1")
	if r := v.finish(cmd); r.code != exitPreflight || !strings.Contains(r.stderr, "-local") {
		t.Errorf("without keys: %d\n%s", r.code, r.stderr)
	}
}

func TestOrphansEverywhere(t *testing.T) {
	t.Parallel()
	v := cloudOf(t, "mine", "")
	v.says(exitOK, "0 resources left", []string{"cleanup", "-orphans"})
	v.says(exitUsage, `region "XX" does not exist`, []string{"cleanup", "-orphans", "-region", "XX"}, "JPN (")
	one, two := "261122-120000-abcd", "261122-120000-abce"
	v.makeLeftovers("JPN", one)
	v.makeLeftovers("SGN", two)
	v.says(exitOK, "0 resources left of dead runs; 2 runs may be at work", []string{"cleanup", "-orphans"})
	v.says(exitOK, "1 run may be at work", []string{"cleanup", "-orphans", "-older-than", "1ns", "-region", "sgn"}, "tfb-"+two+" (vpc, SGN): 2 resources")
	v.isLeft(2)
	v.says(exitOK, "0 resources left", []string{"cleanup", "-orphans", "-older-than", "1ns"}, "tfb-"+one+" (vpc, KR): 1 resources", "tfb-"+one+" (vpc, JPN): 1 resources")
	v.isLeft(0)
}

func TestCleanupExitCodes(t *testing.T) {
	t.Parallel()
	v := cloudOf(t, "mine", "")
	dir := v.deadRun("mine")
	id := filepath.Base(dir)
	v.says(exitUsage, "whatever its age", []string{"cleanup", "-older-than", "2h", id})
	v.says(exitUsage, "not negative", []string{"cleanup", "-older-than", "-2h", "-all"})

	run, _, err := journal.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"cleanup", "destroy", "resume"} {
		v.says(exitFailed, "is being worked on by another tfbake", []string{command, id})
	}
	run.Close()

	v.cloud.Inject(localcloud.Fault{Action: "deleteInitScripts", Kind: localcloud.HTTPStatus, Status: 401, Code: "200"})
	v.says(exitLeftovers, "1 resources left, and they may cost money: `tfbake cleanup "+id+"` goes on", []string{"cleanup", id}, "still there: init script tfb-"+id+"-init")
	v.cloud.ClearFaults()
	second := v.deadRun("mine")
	v.says(exitOK, "0 resources left in all", []string{"cleanup", "-all"})
	if isThere(dir) || isThere(second) {
		t.Error("a run directory is still there")
	}
}

// A resume does not take another run's image for its own.
func TestWhoseImageIsFound(t *testing.T) {
	t.Parallel()
	const name = "tfb-261122-120000-abcd"
	for _, c := range []struct {
		what, description string
		kind              snapshot.Kind
		server            string
		number            string // as the journal knows it
		want              string // in the error; "" for none
	}{
		{"a KVM image of ours", name, snapshot.VPCServer, "", "", ""},
		{"a KVM image of another run", "tfb-261122-130000-abcd", snapshot.VPCServer, "", "", "another run has made it"},
		{"a KVM image of who knows whom", "nginx", snapshot.VPCServer, "", "", "nothing tells whether run"},
		{"our number", "nginx", snapshot.VPCServer, "", "500", ""},
		{"another number", name, snapshot.VPCServer, "", "400", "another run has made it"},
		{"made of our server", "", snapshot.VPCMember, "7", "", ""},
		{"made of another server", "", snapshot.VPCMember, "8", "", "another run has made it"},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				action := filepath.Base(r.URL.Path)
				list, image := "serverImageList", map[string]any{"serverImageNo": "500", "serverImageName": "web", "serverImageDescription": c.description}
				if c.kind == snapshot.VPCMember {
					list, image = "memberServerImageInstanceList", map[string]any{"memberServerImageInstanceNo": "500", "memberServerImageName": "web", "originalServerInstanceNo": c.server}
				}
				w.Header().Set("Content-Type", "application/json")
				json.NewEncoder(w).Encode(map[string]any{action + "Response": map[string]any{"returnCode": "0", "totalRows": 1, list: []any{image}}})
			}))
			t.Cleanup(api.Close)
			client, err := ncloud.New(ncloud.Options{Endpoint: api.URL, Credentials: ncloud.Credentials{AccessKey: "a", SecretKey: "s"}, RegionCode: "KR"})
			if err != nil {
				t.Fatal(err)
			}
			run, err := journal.Create(t.TempDir(), journal.Facts{RunID: name[4:], Name: name, Platform: string(config.VPC), ImageName: "web"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { run.Close() })
			run.Begin(journal.Image, map[string]string{"image_name": "web", "server_no": "7"})
			if c.number != "" {
				run.Done(journal.Image, map[string]string{"image_no": c.number})
			}
			i := imager{snapshot.Imager{Client: client}, run, c.kind, config.Resolved{ImageName: "web"}}
			found, ok, err := i.Find(t.Context())
			if ok != (c.want == "") || ok && found.No != "500" || !strings.Contains(fmt.Sprint(err), c.want) {
				t.Errorf("%+v, %v, %v", found, ok, err)
			}
		})
	}
}

// Run 1 never got its image, run 2 baked one of that name: run 1 does not take it for its own, neither to go on with nor to
// delete.
func TestAnotherRunsImage(t *testing.T) {
	if testing.Short() {
		t.Skip("-short")
	}
	t.Parallel()
	v := newVictim(t, `{"builders":[{"type":"ncloud","region":"KR","server_image_number":"23214590","server_spec_code":"s2-g3","communicator":"none","server_image_name":"killed"}]}`)
	if _, err := v.cloud.Inject(localcloud.Fault{Action: "createServerImage", Kind: localcloud.Business, Status: 400, Code: "1300001", Message: "not today"}); err != nil {
		t.Fatal(err)
	}
	if r := v.tfbake("run", "-on-error=abort", "bake.json"); r.code != exitImage || strings.Count(r.stderr, "not today") != 1 || !strings.HasSuffix(r.stderr, " is still there, and may cost money\n") {
		t.Fatalf("run 1: %d\n%s", r.code, r.stderr)
	}
	v.cloud.ClearFaults()
	one := v.onlyRun()
	v.run("run", "bake.json")
	second := v.finished()
	r := v.tfbake("resume", one)
	if r.code != exitImage || r.stdout != "" || !strings.Contains(r.stderr, "another run has made it since") {
		t.Errorf("resume: %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	v.says(exitOK, "0 resources left", []string{"cleanup", one})
	v.expectNothing(second...)
	if len(second) != 1 || len(v.cloud.Inventory().Images) != 1 {
		t.Errorf("images: %v", v.cloud.Inventory().Images)
	}
}
