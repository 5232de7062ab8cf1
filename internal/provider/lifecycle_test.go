package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tfbake/tfbake/internal/localcloud"
	"github.com/tfbake/tfbake/internal/ncloud"
)

// These tests run a real terraform with the embedded provider against the simulated cloud.

// world is a cloud, a provider served to it, and a root module.
type world struct {
	*workspace
	cloud  *localcloud.Cloud
	client *ncloud.Client
	stop   func() // of the provider
}

func newWorld(t *testing.T, f Flavour, region, config string) *world {
	t.Helper()
	return newWorldBehind(t, f, region, config, nil)
}

// newWorldBehind is newWorld with the provider's calls going through a transport.
func newWorldBehind(t *testing.T, f Flavour, region, config string, transport http.RoundTripper) *world {
	t.Helper()
	bin := findTerraform(t)
	cloud, err := localcloud.Start(context.Background(), localcloud.Options{HighPorts: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cloud.Close(); err != nil {
			t.Error(err)
		}
	})
	access, secret := cloud.Credentials()
	client, err := ncloud.New(ncloud.Options{
		Endpoint: cloud.Endpoint(), Credentials: ncloud.Credentials{AccessKey: access, SecretKey: secret, Source: "the test"},
		Transport: transport,
		Pace:      ncloud.Pace{First: 5 * time.Millisecond, Max: 50 * time.Millisecond},
		Retry:     ncloud.Retry{First: 5 * time.Millisecond, Max: 50 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	var regions []ncloud.Region
	if f == Classic {
		regions, err = client.Classic.GetRegionList(t.Context())
	} else {
		regions, err = client.VPC.GetRegionList(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := ncloud.ResolveRegion(regions, region)
	if err != nil {
		t.Fatal(err)
	}
	client = client.In(r)
	workspace := newWorkspace(t, bin, f, config)
	info, stop, err := Reattach(context.Background(), Options{Flavour: f, Client: client, Dir: workspace.dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	w := &world{workspace: workspace, cloud: cloud, client: client, stop: stop}
	w.env = append(w.env, "NCLOUD_REGION="+region) // keys are not needed: the client has them
	w.reattach(info)
	// No init: terraform needs none for a provider that runs already.
	return w
}

// clean fails unless a plan finds nothing to do.
func (w *world) clean(args ...string) {
	w.t.Helper()
	out, err := w.try(append([]string{"plan", "-no-color", "-detailed-exitcode"}, args...)...)
	if err != nil {
		w.t.Fatalf("the plan is not empty: %v\n%s", err, out)
	}
}

func (w *world) apply(args ...string) string {
	w.t.Helper()
	return w.run(append([]string{"apply", "-no-color", "-auto-approve"}, args...)...)
}

func (w *world) destroy(args ...string) {
	w.t.Helper()
	w.run(append([]string{"destroy", "-no-color", "-auto-approve"}, args...)...)
}

// nothingLeft fails if the cloud still has anything, or the state.
func (w *world) nothingLeft() {
	w.t.Helper()
	if left := w.cloud.Inventory().Left(); len(left) > 0 {
		w.t.Errorf("left in the cloud: %v", left)
	}
	if out := strings.TrimSpace(w.run("state", "list")); out != "" {
		w.t.Errorf("left in the state: %s", out)
	}
}

// instance is a resource of the state file.
type instance struct {
	Status     string         `json:"status"`
	Attributes map[string]any `json:"attributes"`
	Private    []byte         `json:"private"`
}

func (w *world) state() map[string]instance {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, "terraform.tfstate"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		w.t.Fatal(err)
	}
	var s struct {
		Resources []struct {
			Mode, Type, Name string
			Instances        []instance
		}
	}
	if err := json.Unmarshal(b, &s); err != nil {
		w.t.Fatal(err)
	}
	out := map[string]instance{}
	for _, r := range s.Resources {
		if r.Mode == "managed" && len(r.Instances) == 1 {
			out[r.Type+"."+r.Name] = r.Instances[0]
		}
	}
	return out
}

func (w *world) id(address string) string {
	w.t.Helper()
	id, _ := w.state()[address].Attributes["id"].(string)
	if id == "" {
		w.t.Fatalf("%s has no id in the state", address)
	}
	return id
}

func (w *world) inject(f localcloud.Fault) {
	w.t.Helper()
	if _, err := w.cloud.Inject(f); err != nil {
		w.t.Fatal(err)
	}
}

// reimport takes resources out of the state and imports them by their ids; nothing must be made, replaced or destroyed, and
// afterwards nothing is left to do.
func (w *world) reimport(addresses ...string) {
	w.t.Helper()
	var blocks strings.Builder
	for _, a := range addresses {
		blocks.WriteString("import {\n  to = " + a + "\n  id = \"" + w.id(a) + "\"\n}\n")
	}
	w.run(append([]string{"state", "rm"}, addresses...)...)
	w.write("imports.tf", blocks.String())
	out := w.apply()
	// Timeouts and stop_instance_before_detaching are the configuration's only; setting them is no change in the cloud.
	if !strings.Contains(out, strconv.Itoa(len(addresses))+" imported, 0 added") || !strings.Contains(out, "0 destroyed") {
		w.t.Errorf("import:\n%s", out)
	}
	w.write("imports.tf", "")
	w.clean()
}

// vpcBake is what tfbake's own module makes, and a disk.
const vpcBake = `
variable "spec" { default = "s2-g3" }
variable "size" { default = 10 }
variable "acgs" { default = 1 }
variable "port" { default = "22" }
variable "attach" { default = true }

data "ncloud_subnets" "public" {
  subnet_type = "PUBLIC"
  usage_type  = "GEN"
}

data "ncloud_vpc" "vpc" {
  id = data.ncloud_subnets.public.subnets[0].vpc_no
}

data "ncloud_server_image_numbers" "image" {
  server_image_name = "ubuntu-22.04-base"
  filter {
    name   = "hypervisor_type"
    values = ["KVM"]
  }
}

locals {
  subnet = data.ncloud_subnets.public.subnets[0]
}

resource "ncloud_login_key" "key" {
  key_name = "tfb-1-key"
}

resource "ncloud_init_script" "init" {
  name    = "tfb-1-init"
  content = "#!/bin/sh\necho hello\n"
}

resource "ncloud_access_control_group" "acg" {
  name   = "tfb-1-acg"
  vpc_no = local.subnet.vpc_no
}

resource "ncloud_access_control_group_rule" "rules" {
  access_control_group_no = ncloud_access_control_group.acg.id
  inbound {
    protocol   = "TCP"
    ip_block   = "127.0.0.1/32"
    port_range = var.port
  }
  outbound {
    protocol   = "TCP"
    ip_block   = "0.0.0.0/0"
    port_range = "1-65535"
  }
  outbound {
    protocol = "ICMP"
    ip_block = "0.0.0.0/0"
  }
}

resource "ncloud_network_interface" "nic" {
  name                  = "tfb-1-nic"
  subnet_no             = local.subnet.subnet_no
  access_control_groups = slice([ncloud_access_control_group.acg.id, data.ncloud_vpc.vpc.default_access_control_group_no], 0, var.acgs)
}

resource "ncloud_server" "server" {
  name                = "tfb-1"
  subnet_no           = local.subnet.subnet_no
  server_image_number = data.ncloud_server_image_numbers.image.image_number_list[0].server_image_number
  server_spec_code    = var.spec
  login_key_name      = ncloud_login_key.key.key_name
  init_script_no      = ncloud_init_script.init.id
  network_interface {
    network_interface_no = ncloud_network_interface.nic.id
    order                = 0
  }
  timeouts {
    create = "90m"
  }
  depends_on = [ncloud_access_control_group_rule.rules]
}

resource "ncloud_public_ip" "ip" {
  server_instance_no = var.attach ? ncloud_server.server.id : ""
  description        = "tfb-1"
}

resource "ncloud_block_storage" "disk" {
  name               = "tfb-1-disk"
  size               = var.size
  server_instance_no = ncloud_server.server.id
  hypervisor_type    = "KVM"
  volume_type        = "CB1"
  zone               = local.subnet.zone
}

resource "ncloud_block_storage_snapshot" "snapshot" {
  name                      = "tfb-1-snap"
  block_storage_instance_no = ncloud_block_storage.disk.id
}
`

func TestVPC(t *testing.T) {
	t.Parallel()
	w := newWorld(t, VPC, "KR", vpcBake)
	w.apply()
	w.clean()

	state := w.state()
	server := state["ncloud_server.server"]
	for name, want := range map[string]any{
		"name": "tfb-1", "hypervisor_type": "KVM", "cpu_count": 2.0, "description": "", "member_server_image_no": nil,
		"private_ip": nil, "region": nil,
	} {
		if got := server.Attributes[name]; got != want {
			t.Errorf("server's %s is %#v, want %#v", name, got, want)
		}
	}
	nic := server.Attributes["network_interface"].([]any)[0].(map[string]any)
	if nic["network_interface_no"] != w.id("ncloud_network_interface.nic") || nic["private_ip"] == "" || nic["order"] != 0.0 {
		t.Errorf("server's NIC: %v", nic)
	}
	if !strings.Contains(string(server.Private), `"create":5400000000000`) {
		t.Errorf("server's private state: %s", server.Private)
	}
	if key, _ := state["ncloud_login_key.key"].Attributes["private_key"].(string); !strings.HasPrefix(key, "-----BEGIN") {
		t.Error("the login key has no private key")
	}
	if n := len(w.cloud.Inventory().Servers); n != 1 {
		t.Errorf("%d servers", n)
	}

	// What changes in place; then back.
	w.apply("-var=port=22-23", "-var=attach=false")
	w.clean("-var=port=22-23", "-var=attach=false")
	changed := w.state()
	if got := changed["ncloud_public_ip.ip"].Attributes["server_instance_no"]; got != "" {
		t.Errorf("the public IP is still at %v", got)
	}
	for address := range state {
		if changed[address].Attributes["id"] != state[address].Attributes["id"] {
			t.Errorf("%s was replaced", address)
		}
	}
	w.apply()
	w.clean()

	// Taken out of the state and imported again, nothing is to be changed.
	w.reimport("ncloud_server.server", "ncloud_network_interface.nic", "ncloud_access_control_group.acg",
		"ncloud_access_control_group_rule.rules", "ncloud_public_ip.ip", "ncloud_init_script.init", "ncloud_block_storage.disk",
		"ncloud_block_storage_snapshot.snapshot", "ncloud_login_key.key")

	w.destroy()
	w.nothingLeft()
}

// notSimulated answers actions that the simulated cloud does not have, and makes later answers show their effect.
type notSimulated struct {
	mu    sync.Mutex
	calls []string // actions that change something, in order, with what they were told
	edits []func(action string, body map[string]any)
}

func (n *notSimulated) RoundTrip(r *http.Request) (*http.Response, error) {
	var form url.Values
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body.Close()
		if form, err = url.ParseQuery(string(b)); err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(b))
	}
	action := path.Base(r.URL.Path)
	n.mu.Lock()
	if !strings.HasPrefix(action, "get") {
		n.calls = append(n.calls, action)
	}
	edit := func(of, list, field string, value any) bool {
		n.edits = append(n.edits, func(action string, body map[string]any) {
			if action != of {
				return
			}
			for _, inner := range body {
				rows, _ := inner.(map[string]any)[list].([]any)
				for _, row := range rows {
					row.(map[string]any)[field] = value
				}
			}
		})
		return form.Get("regionCode") == "KR"
	}
	handled, regional := true, true
	switch action {
	case "changeServerInstanceSpec":
		regional = edit("getServerInstanceDetail", "serverInstanceList", "serverSpecCode", form.Get("serverSpecCode"))
		edit("getServerInstanceDetail", "serverInstanceList", "cpuCount", 4)
	case "changeBlockStorageInstance":
		size, _ := strconv.ParseInt(form.Get("blockStorageSize"), 10, 64)
		regional = edit("getBlockStorageInstanceDetail", "blockStorageInstanceList", "blockStorageSize", size<<30)
	case "addNetworkInterfaceAccessControlGroup", "removeNetworkInterfaceAccessControlGroup":
		acg := form.Get("accessControlGroupNoList.1")
		n.calls[len(n.calls)-1] += " " + acg
		regional = form.Get("regionCode") == "KR"
		add := strings.HasPrefix(action, "add")
		n.edits = append(n.edits, func(action string, body map[string]any) {
			if action != "getNetworkInterfaceDetail" {
				return
			}
			rows := body["getNetworkInterfaceDetailResponse"].(map[string]any)["networkInterfaceList"].([]any)
			if len(rows) == 0 {
				return
			}
			row := rows[0].(map[string]any)
			list := slices.DeleteFunc(row["accessControlGroupNoList"].([]any), func(v any) bool { return v == acg })
			if add {
				list = append(list, acg)
			}
			row["accessControlGroupNoList"] = list
		})
	default:
		handled = false
	}
	edits := slices.Clone(n.edits)
	n.mu.Unlock()
	if !regional {
		return nil, errors.New(action + " does not name the region")
	}
	reply := func(resp *http.Response, body []byte) *http.Response {
		resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		return resp
	}
	if handled {
		body := `{"` + action + `Response": {"requestId":"1","returnCode":"0","returnMessage":"success","totalRows":0}}`
		return reply(&http.Response{StatusCode: 200, Status: "200 OK", Header: http.Header{"Content-Type": {"application/json"}}, Request: r}, []byte(body)), nil
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || len(edits) == 0 {
		return resp, err
	}
	defer resp.Body.Close()
	d := json.NewDecoder(resp.Body)
	d.UseNumber()
	var body map[string]any
	if err := d.Decode(&body); err != nil {
		return nil, err
	}
	for _, e := range edits {
		e(action, body)
	}
	b, err := json.MarshalIndent(body, "", " ")
	if err != nil {
		return nil, err
	}
	return reply(resp, b), nil
}

func TestChangesInPlace(t *testing.T) {
	t.Parallel()
	n := &notSimulated{}
	w := newWorldBehind(t, VPC, "KR", vpcBake, n)
	w.apply()
	before := w.state()
	n.calls = nil
	changed := []string{"-var=spec=s4-g3", "-var=size=20", "-var=acgs=2"}
	w.apply(append(changed, "-parallelism=1")...)
	w.clean(changed...)
	after := w.state()
	for address := range before {
		if after[address].Attributes["id"] != before[address].Attributes["id"] {
			t.Errorf("%s was replaced", address)
		}
	}
	if got := after["ncloud_server.server"].Attributes["cpu_count"]; got != 4.0 {
		t.Errorf("cpu_count %v after the change of spec", got)
	}
	if got := after["ncloud_block_storage.disk"].Attributes["size"]; got != 20.0 {
		t.Errorf("the disk has %v GB", got)
	}
	calls := strings.Join(n.calls, " ")
	for _, order := range []string{
		"stopServerInstances changeServerInstanceSpec startServerInstances",
		"detachBlockStorageInstances changeBlockStorageInstance attachBlockStorageInstance",
		"addNetworkInterfaceAccessControlGroup",
	} {
		if !strings.Contains(calls, order) {
			t.Errorf("calls %s, want %s among them", calls, order)
		}
	}
	n.calls = nil
	w.apply("-var=spec=s4-g3", "-var=size=20")
	if want := "removeNetworkInterfaceAccessControlGroup " + lacking(acgsOf(before), acgsOf(after))[0]; !slices.Contains(n.calls, want) {
		t.Errorf("calls %v, want %s", n.calls, want)
	}
	// A disk cannot shrink, and says so before anything is touched.
	n.calls = nil
	out, err := w.try("apply", "-no-color", "-auto-approve", "-var=spec=s4-g3")
	if err == nil || !strings.Contains(out, "can only grow") || len(n.calls) > 0 {
		t.Errorf("%v, calls %v\n%s", err, n.calls, out)
	}
	w.destroy("-var=size=20")
	w.nothingLeft()
}

func acgsOf(state map[string]instance) (out []string) {
	for _, v := range state["ncloud_network_interface.nic"].Attributes["access_control_groups"].([]any) {
		out = append(out, v.(string))
	}
	return out
}

// A run directory that is kept works with the user's own terraform: tfbake itself is laid down as the provider. The test
// binary stands for it, see TestMain.
func TestKeptDirectory(t *testing.T) {
	t.Parallel()
	for f, config := range map[Flavour]string{VPC: vpcBare, Classic: classicBake} {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, f, "KR", config)
			w.apply()
			if _, err := InstallMirror(w.dir, f); err != nil {
				t.Fatal(err)
			}
			access, secret := w.cloud.Credentials()
			w.env = slices.DeleteFunc(w.env, func(v string) bool { return strings.HasPrefix(v, "TF_REATTACH_PROVIDERS=") })
			w.env = append(w.env, "NCLOUD_ACCESS_KEY="+access, "NCLOUD_SECRET_KEY="+secret, "NCLOUD_API_GW="+w.cloud.Endpoint())
			w.run("init")
			w.clean()
			if out := w.run("show", "-no-color"); !strings.Contains(out, `resource "ncloud_server" "server"`) {
				t.Errorf("show:\n%s", out)
			}
			w.destroy()
			w.nothingLeft()
		})
	}
}

func TestMain(m *testing.M) {
	if StartedByTerraform() {
		if err := Serve(); err != nil {
			panic(err)
		}
		return
	}
	os.Exit(m.Run())
}

// In another region every call must name it: the official provider forgets it for KVM disks.
func TestVPCInAnotherRegion(t *testing.T) {
	t.Parallel()
	w := newWorld(t, VPC, "SGN", vpcBake)
	w.apply()
	w.clean()
	w.destroy()
	w.nothingLeft()
	for _, c := range w.cloud.Calls() {
		// Login keys belong to the account; the region list is asked to find the region.
		if c.Params["regionCode"] != "SGN" && !strings.Contains(c.Action, "LoginKey") && c.Action != "getRegionList" {
			t.Errorf("%s names region %q", c.Action, c.Params["regionCode"])
		}
	}
}

// The server alone, on the VPC's default ACG and a NIC made with it.
const vpcBare = `
variable "protect" { default = false }

data "ncloud_subnets" "public" {
  subnet_type = "PUBLIC"
  usage_type  = "GEN"
  zone        = "KR-1"
}

resource "ncloud_login_key" "key" {
  key_name = "tfb-1-key"
}

resource "ncloud_server" "server" {
  name                      = "tfb-1"
  login_key_name            = ncloud_login_key.key.key_name

  is_protect_server_termination = var.protect

  subnet_no                 = data.ncloud_subnets.public.subnets[0].subnet_no
  server_image_product_code = "SW.VSVR.OS.LNX64.ROCKY.0810.B050"
  server_product_code       = "SVR.VSVR.STAND.C002.M008.NET.SSD.B050.G002"
}
`

func TestInterruptedCreate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, VPC, "KR", vpcBare)
	slow := localcloud.Fast()
	slow.Server = 4 * time.Second
	w.cloud.SetLatency(slow)

	cmd := w.command("apply", "-no-color", "-auto-approve")
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for len(w.cloud.Inventory().Servers) == 0 && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(100 * time.Millisecond) // into the wait
	interrupted := time.Now()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatalf("the apply succeeded:\n%s", out.String())
	}
	if took := time.Since(interrupted); took > 3*time.Second {
		t.Errorf("the interrupt took %s", took)
	}
	server := w.state()["ncloud_server.server"]
	if got, want := server.Attributes["id"], w.cloud.Inventory().Servers[0].No; got != want || server.Status != "tainted" {
		t.Fatalf("the state has server %v, %s; the cloud %s\n%s", got, server.Status, want, out.String())
	}
	if !strings.Contains(out.String(), "terraform destroy") {
		t.Errorf("the message does not say what to do:\n%s", out.String())
	}
	// The server is still being made. Its destruction waits until it can be stopped.
	w.destroy()
	w.nothingLeft()
}

// A stop of the provider under way ends the operation, and its state still reaches terraform.
func TestStopDuringACreate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, VPC, "KR", vpcBare)
	w.cloud.SetLatency(localcloud.Realistic())
	cmd := w.command("apply", "-no-color", "-auto-approve")
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for len(w.cloud.Inventory().Servers) == 0 && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(300 * time.Millisecond) // into the wait
	start := time.Now()
	w.stop()
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("the stop took %s", took)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatalf("the apply succeeded:\n%s", out.String())
	}
	if got, want := w.state()["ncloud_server.server"].Attributes["id"], w.cloud.Inventory().Servers[0].No; got != want {
		t.Errorf("the state has server %v, the cloud %s\n%s", got, want, out.String())
	}
}

func TestCreateThatFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, VPC, "KR", vpcBare)
	// Refused: nothing in the state, the API's code in the message.
	w.inject(localcloud.Fault{Action: "createServerInstances", Kind: localcloud.Business, Code: "10102", Message: "Unable to create server anymore.", Nth: 1})
	out, err := w.try("apply", "-no-color", "-auto-approve")
	if err == nil || !strings.Contains(out, "10102") || !strings.Contains(out, "limit") {
		t.Errorf("%v\n%s", err, out)
	}
	if v, ok := w.state()["ncloud_server.server"]; ok {
		t.Errorf("state: %v", v)
	}
	// Made, but broken: it says so at once and the server is in the state.
	w.inject(localcloud.Fault{Action: "createServerInstances", Kind: localcloud.CreateFails, Nth: 1})
	start := time.Now()
	out, err = w.try("apply", "-no-color", "-auto-approve")
	if err == nil || !strings.Contains(out, "FSTOP") || time.Since(start) > 20*time.Second {
		t.Errorf("%v after %s\n%s", err, time.Since(start), out)
	}
	if got := w.state()["ncloud_server.server"].Status; got != "tainted" {
		t.Errorf("the broken server is %q in the state", got)
	}
}

// An answer that is lost, or an error after the deed, must neither make two nor leave one unknown.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, VPC, "KR", vpcBake)
	for _, action := range []string{"createServerInstances", "createNetworkInterface", "createAccessControlGroup", "createInitScript",
		"createPublicIpInstance", "createBlockStorageInstance", "createBlockStorageSnapshotInstance", "createLoginKey", "addAccessControlGroupInboundRule"} {
		w.inject(localcloud.Fault{Action: action, Kind: localcloud.Drop, When: localcloud.After, Nth: 1})
	}
	w.apply()
	w.clean()
	inv := w.cloud.Inventory()
	for what, items := range map[string][]localcloud.Item{
		"servers": inv.Servers, "NICs": inv.NetworkInterfaces, "ACGs": inv.AccessControlGroups, "init scripts": inv.InitScripts,
		"public IPs": inv.PublicIPs, "disks": inv.BlockStorages, "snapshots": inv.Snapshots, "login keys": inv.LoginKeys,
	} {
		if len(items) != 1 {
			t.Errorf("%s: %v, want one", what, items)
		}
	}
	w.cloud.ClearFaults()
	for _, action := range []string{"deletePublicIpInstance", "terminateServerInstances", "deleteNetworkInterface", "deleteBlockStorageInstances",
		"deleteAccessControlGroup", "deleteInitScripts", "deleteLoginKeys", "detachBlockStorageInstances", "stopServerInstances"} {
		w.inject(localcloud.Fault{Action: action, Kind: localcloud.HTTPStatus, Status: 500, When: localcloud.After, Nth: 1})
	}
	w.destroy()
	w.nothingLeft()
}

// What somebody else has deleted already is no error, with or without a refresh before.
func TestDestroyWithThingsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, VPC, "KR", vpcBake)
	w.apply()
	ctx, api := t.Context(), w.client.VPC
	s := &session{client: w.client, api: api, vpc: api}
	for _, r := range []struct {
		resource *resource
		address  string
	}{
		{snapshot(VPC), "ncloud_block_storage_snapshot.snapshot"}, {blockStorage(VPC), "ncloud_block_storage.disk"},
		{publicIP(VPC), "ncloud_public_ip.ip"}, {vpcServer(), "ncloud_server.server"}, {networkInterface(), "ncloud_network_interface.nic"},
		{accessControlGroup(), "ncloud_access_control_group.acg"}, {initScript(), "ncloud_init_script.init"},
	} {
		o := newObject(r.resource.schema, r.resource.schema.null())
		o.setText("id", w.id(r.address))
		if err := r.resource.delete(ctx, s, o); err != nil {
			t.Fatal(err)
		}
	}
	if err := api.DeleteLoginKey(ctx, "tfb-1-key"); err != nil {
		t.Fatal(err)
	}
	if left := w.cloud.Inventory().Left(); len(left) > 0 {
		t.Fatalf("not gone: %v", left)
	}
	backup, err := os.ReadFile(filepath.Join(w.dir, "terraform.tfstate"))
	if err != nil {
		t.Fatal(err)
	}
	w.destroy("-refresh=false")
	w.nothingLeft()
	w.write("terraform.tfstate", string(backup))
	w.destroy()
	w.nothingLeft()
}

// A destroy asks again where the API refuses for the moment, and only there.
func TestDestroyInsists(t *testing.T) {
	t.Parallel()
	w := newWorld(t, VPC, "KR", vpcBake)
	w.apply()
	for action, code := range map[string]string{
		"terminateServerInstances": "1100031",                                        // "cannot be controlled" while something is set up
		"deleteNetworkInterface":   "1002099", "deleteAccessControlGroup": "1007099", // no known codes: in use
		"deletePublicIpInstance": "1080101",
	} {
		w.inject(localcloud.Fault{Action: action, Kind: localcloud.Business, Code: code, Message: "Not now.", Nth: 1, Count: 2})
	}
	w.destroy()
	w.nothingLeft()
}

func TestProtectedServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, VPC, "KR", vpcBare)
	w.apply("-var=protect=true")
	start := time.Now()
	out, err := w.try("destroy", "-no-color", "-auto-approve")
	if err == nil || !strings.Contains(out, "is_protect_server_termination = false") || time.Since(start) > 20*time.Second {
		t.Errorf("%v after %s\n%s", err, time.Since(start), out)
	}
	if s := w.cloud.Inventory().Servers; len(s) != 1 || s[0].Status != "RUN" {
		t.Errorf("the protected server: %v", s)
	}
	w.apply()
	w.destroy()
	w.nothingLeft()
}

const classicBake = `
variable "size" { default = 10 }

data "ncloud_access_control_group" "default" {
  is_default = true
}

resource "ncloud_login_key" "key" {
  key_name = "tfb-1-key"
}

resource "ncloud_server" "server" {
  name                                       = "tfb-1"
  server_image_product_code                  = "SPSW0LINUX000046"
  server_product_code                        = "SPSVRCPU00000001"
  login_key_name                             = ncloud_login_key.key.key_name
  access_control_group_configuration_no_list = [data.ncloud_access_control_group.default.id]
  zone                                       = "KR-1"
  user_data                                  = "#!/bin/sh\necho hello\n"
  tag_list {
    tag_key   = "run"
    tag_value = "1"
  }
}

resource "ncloud_public_ip" "ip" {
  server_instance_no = ncloud_server.server.id
  description        = "tfb-1"
}

resource "ncloud_block_storage" "disk" {
  name               = "tfb-1-disk"
  size               = var.size
  server_instance_no = ncloud_server.server.id
}

resource "ncloud_port_forwarding_rule" "ssh" {
  server_instance_no               = ncloud_server.server.id
  port_forwarding_configuration_no = "1672" # the one of KR-1
  port_forwarding_external_port    = 2022
  port_forwarding_internal_port    = 22
}
`

func TestClassic(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Classic, "KR", classicBake)
	w.apply()
	w.clean()
	server := w.state()["ncloud_server.server"].Attributes
	for name, want := range map[string]any{"name": "tfb-1", "zone": "KR-1", "hypervisor_type": nil, "vpc_no": nil} {
		if server[name] != want {
			t.Errorf("server's %s is %#v, want %#v", name, server[name], want)
		}
	}
	if server["private_ip"] == "" || server["server_image_name"] == "" {
		t.Errorf("server: %v", server)
	}
	// The server's user data, ACGs and tags are not to be read back; an import of it ends in a replacement, officially too.
	w.reimport("ncloud_public_ip.ip", "ncloud_block_storage.disk", "ncloud_port_forwarding_rule.ssh", "ncloud_login_key.key")
	w.destroy()
	w.nothingLeft()
}

func TestDataSources(t *testing.T) {
	t.Parallel()
	for f, config := range map[Flavour]string{
		VPC: `
data "ncloud_regions" "all" {}
data "ncloud_regions" "kr" { code = "KR" }
data "ncloud_zones" "all" {}
data "ncloud_vpcs" "all" {}
data "ncloud_vpc" "one" { id = data.ncloud_vpcs.all.vpcs[0].vpc_no }
data "ncloud_subnets" "public" {
  vpc_no      = data.ncloud_vpc.one.vpc_no
  subnet_type = "PUBLIC"
}
data "ncloud_subnet" "one" { id = data.ncloud_subnets.public.subnets[0].subnet_no }
data "ncloud_access_control_group" "default" {
  vpc_no     = data.ncloud_vpc.one.id
  is_default = true
}
data "ncloud_access_control_groups" "all" {}
data "ncloud_server_image_numbers" "kvm" { hypervisor_type = "KVM" }
data "ncloud_server_specs" "small" {
  filter {
    name   = "cpu_count"
    values = [2]
  }
  filter {
    name   = "hypervisor_type"
    values = ["KVM"]
  }
  output_file = "specs.json"
}
data "ncloud_server_image" "rocky" { product_code = "SW.VSVR.OS.LNX64.ROCKY.0810.B050" }
data "ncloud_server_images" "rocky" {
  filter {
    name   = "product_name"
    values = ["^(?i)rocky"]
    regex  = true
  }
}
data "ncloud_server_product" "small" {
  server_image_product_code = data.ncloud_server_image.rocky.id
  filter {
    name   = "product_code"
    values = ["SVR.VSVR.STAND.C002.M008.NET.SSD.B050.G002"]
  }
}
data "ncloud_server_products" "all" { server_image_product_code = data.ncloud_server_image.rocky.id }
output "all" {
  value = {
    regions = data.ncloud_regions.all.regions[*].region_code, kr = data.ncloud_regions.kr.regions[0].region_code
    zones   = data.ncloud_zones.all.zones[*].zone_code
    acg     = data.ncloud_vpc.one.default_access_control_group_no == data.ncloud_access_control_group.default.id
    acgs    = contains(data.ncloud_access_control_groups.all.access_control_groups, data.ncloud_access_control_group.default.id)
    subnet  = data.ncloud_subnet.one.subnet_type
    image   = contains(data.ncloud_server_image_numbers.kvm.image_number_list[*].name, "ubuntu-22.04-base")
    disk    = data.ncloud_server_image_numbers.kvm.image_number_list[0].block_storage_mapping_list[0].block_storage_size
    specs   = contains(data.ncloud_server_specs.small.server_spec_list[*].server_spec_code, "s2-g3")
    only    = toset(data.ncloud_server_specs.small.server_spec_list[*].cpu_count)
    rocky   = length(data.ncloud_server_images.rocky.ids) == length(data.ncloud_server_images.rocky.server_images) && length(data.ncloud_server_images.rocky.ids) > 0
    base    = data.ncloud_server_image.rocky.base_block_storage_size
    memory  = data.ncloud_server_product.small.memory_size
    product = contains(data.ncloud_server_products.all.ids, data.ncloud_server_product.small.id)
  }
}`,
		Classic: `
data "ncloud_regions" "all" {}
data "ncloud_zones" "all" {}
data "ncloud_access_control_group" "default" { is_default = true }
data "ncloud_access_control_groups" "all" { is_default = true }
data "ncloud_server_image" "centos" { product_code = "SPSW0LINUX000046" }
data "ncloud_server_images" "all" {}
data "ncloud_server_product" "small" {
  server_image_product_code = data.ncloud_server_image.centos.id
  product_code              = "SPSVRCPU00000001"
  zone                      = "KR-1"
}
data "ncloud_server_products" "all" { server_image_product_code = data.ncloud_server_image.centos.id }
output "all" {
  value = {
    regions = contains(data.ncloud_regions.all.regions[*].region_no, "1")
    zones   = contains(data.ncloud_zones.all.zones[*].zone_code, "KR-2")
    acgs    = data.ncloud_access_control_groups.all.access_control_groups == tolist([data.ncloud_access_control_group.default.configuration_no])
    images  = contains(data.ncloud_server_images.all.ids, "SPSW0LINUX000046")
    memory  = data.ncloud_server_product.small.memory_size
    product = contains(data.ncloud_server_products.all.ids, data.ncloud_server_product.small.id)
  }
}`,
	} {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, f, "KR", config)
			w.apply()
			w.clean()
			var got map[string]any
			if err := json.Unmarshal([]byte(w.run("output", "-json", "all")), &got); err != nil {
				t.Fatal(err)
			}
			for name, v := range got {
				if b, ok := v.(bool); ok && !b {
					t.Errorf("%s is false", name)
				}
			}
			if f == Classic {
				if got["memory"] != "4GB" {
					t.Errorf("memory %v", got["memory"])
				}
				return
			}
			for name, want := range map[string]any{"kr": "KR", "subnet": "PUBLIC", "base": "50GB", "memory": "8GB", "disk": float64(10 << 30)} {
				if got[name] != want {
					t.Errorf("%s is %#v, want %#v", name, got[name], want)
				}
			}
			if only := got["only"].([]any); len(only) != 1 || only[0] != 2.0 {
				t.Errorf("the filter let cpu counts %v through", only)
			}
			var specs []map[string]any
			b, err := os.ReadFile(filepath.Join(w.dir, "specs.json"))
			if err != nil || json.Unmarshal(b, &specs) != nil || len(specs) == 0 || specs[0]["server_spec_code"] == "" {
				t.Errorf("output file: %v %s", err, b)
			}
		})
	}
}

// The data sources that ask for what somebody has made.
func TestDataSourcesOfOwnThings(t *testing.T) {
	t.Parallel()
	for f, c := range map[Flavour]struct{ things, questions string }{
		VPC: {vpcBare + `
resource "ncloud_public_ip" "ip" {
  server_instance_no = ncloud_server.server.id
  description        = "tfb-1"
}`, `
data "ncloud_server" "server" {
  filter {
    name   = "name"
    values = ["tfb-1"]
  }
}
data "ncloud_public_ip" "ip" { is_associated = true }
data "ncloud_root_password" "password" {
  server_instance_no = ncloud_server.server.id
  private_key        = ncloud_login_key.key.private_key
}
data "ncloud_member_server_image" "image" {
  filter {
    name   = "name"
    values = ["tfb-1-image"]
  }
}
data "ncloud_member_server_images" "images" {}
output "all" {
  value = {
    server   = data.ncloud_server.server.instance_no == ncloud_server.server.id && data.ncloud_server.server.public_ip == ncloud_public_ip.ip.public_ip
    nic      = length(data.ncloud_server.server.network_interface) == 1
    ip       = data.ncloud_public_ip.ip.id == ncloud_public_ip.ip.id && data.ncloud_public_ip.ip.server_name == "tfb-1"
    password = nonsensitive(length(data.ncloud_root_password.password.root_password) > 0)
    image    = data.ncloud_member_server_image.image.original_server_instance_no == ncloud_server.server.id
    images   = data.ncloud_member_server_images.images.member_server_images == tolist([data.ncloud_member_server_image.image.no])
  }
}`},
		Classic: {classicBake, `
data "ncloud_public_ip" "ip" {
  is_associated = true
  zone          = "KR-1"
}
data "ncloud_root_password" "password" {
  server_instance_no = ncloud_server.server.id
  private_key        = ncloud_login_key.key.private_key
}
data "ncloud_member_server_image" "image" { no_list = data.ncloud_member_server_images.images.member_server_images }
data "ncloud_member_server_images" "images" {}
data "ncloud_port_forwarding_rule" "ssh" { server_instance_no = ncloud_server.server.id }
data "ncloud_port_forwarding_rules" "ssh" { port_forwarding_internal_port = 22 }
output "all" {
  value = {
    ip       = data.ncloud_public_ip.ip.id == ncloud_public_ip.ip.id && data.ncloud_public_ip.ip.kind_type == ncloud_public_ip.ip.kind_type
    password = nonsensitive(length(data.ncloud_root_password.password.root_password) > 0)
    image    = data.ncloud_member_server_image.image.name == "tfb-1-image" && data.ncloud_member_server_image.image.original_server_name == "tfb-1"
    forward  = data.ncloud_port_forwarding_rule.ssh.port_forwarding_external_port == "2022"
    forwards = data.ncloud_port_forwarding_rules.ssh.port_forwarding_rule_list[0].server_instance_no == ncloud_server.server.id
  }
}`},
	} {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, f, "KR", c.things)
			w.apply()
			server, ctx := w.id("ncloud_server.server"), t.Context()
			s := &session{flavour: f, client: w.client, api: w.client.On(f.String()), vpc: w.client.VPC, classic: w.client.Classic}
			bounded, cancel := context.WithTimeout(ctx, 20*time.Second)
			defer cancel()
			if err := s.stopServer(bounded, server); err != nil {
				t.Fatal(err)
			}
			var err error
			q := ncloud.CreateImage{ServerNo: server, Name: "tfb-1-image"}
			if f == Classic {
				_, err = w.client.Classic.CreateMemberServerImage(ctx, q)
			} else {
				_, err = w.client.VPC.CreateMemberServerImageInstance(ctx, q)
			}
			if err != nil {
				t.Fatal(err)
			}
			w.write("questions.tf", c.questions)
			w.apply()
			w.clean()
			var got map[string]bool
			if err := json.Unmarshal([]byte(w.run("output", "-json", "all")), &got); err != nil {
				t.Fatal(err)
			}
			for name, ok := range got {
				if !ok {
					t.Errorf("%s is false", name)
				}
			}
		})
	}
}

func TestConfigureSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	cloud, err := localcloud.Start(context.Background(), localcloud.Options{HighPorts: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cloud.Close() })
	access, secret := cloud.Credentials()
	for _, c := range []struct {
		name    string
		flavour Flavour
		config  string // arguments of the provider block
		env     map[string]string
		want    string // empty: it works
	}{
		{"all by environment", VPC, "support_vpc = true", map[string]string{"NCLOUD_ACCESS_KEY": access, "NCLOUD_SECRET_KEY": secret, "NCLOUD_REGION": "KR"}, ""},
		{"all by block", VPC, "support_vpc = true\naccess_key = \"" + access + "\"\nsecret_key = \"" + secret + "\"\nregion = \"SGN\"", nil, ""},
		{"classic", Classic, "", map[string]string{"NCLOUD_ACCESS_KEY": access, "NCLOUD_SECRET_KEY": secret, "NCLOUD_REGION": "KR"}, ""},
		{"no support_vpc", VPC, "", nil, "support_vpc = true is missing"},
		{"VPC with 3.3.2", Classic, "support_vpc = true", nil, "speaks to Classic only"},
		{"no keys", VPC, "support_vpc = true", nil, "access key is missing"},
		{"no region", VPC, "support_vpc = true", map[string]string{"NCLOUD_ACCESS_KEY": access, "NCLOUD_SECRET_KEY": secret}, "region is missing"},
		{"a region's short form", VPC, "support_vpc = true\nregion = \"SG\"", map[string]string{"NCLOUD_ACCESS_KEY": access, "NCLOUD_SECRET_KEY": secret}, "write SGN"},
		{"a wrong key", VPC, "support_vpc = true\nregion = \"KR\"", map[string]string{"NCLOUD_ACCESS_KEY": "wrong", "NCLOUD_SECRET_KEY": secret}, "check access key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bin := findTerraform(t)
			info, stop, err := Reattach(t.Context(), Options{Flavour: c.flavour, Env: func(name string) string {
				if name == "NCLOUD_API_GW" {
					return cloud.Endpoint()
				}
				return c.env[name]
			}})
			if err != nil {
				t.Fatal(err)
			}
			defer stop()
			w := newWorkspace(t, bin, c.flavour, `data "ncloud_zones" "z" {}`)
			b, err := os.ReadFile(filepath.Join(w.dir, "versions.tf"))
			if err != nil {
				t.Fatal(err)
			}
			w.write("versions.tf", strings.Split(string(b), "provider \"ncloud\"")[0]+"provider \"ncloud\" {\n"+c.config+"\n}\n")
			w.reattach(info)
			out, err := w.try("plan", "-no-color")
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(strings.Join(strings.Fields(out), " "), c.want)) {
				t.Errorf("%v, want %q\n%s", err, c.want, out)
			}
			if strings.Contains(out, secret) {
				t.Error("the secret key is in the output")
			}
		})
	}
}
