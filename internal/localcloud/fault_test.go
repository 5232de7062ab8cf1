package localcloud

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	sdkserver "github.com/NaverCloudPlatform/ncloud-sdk-go-v2/services/server"
	"github.com/NaverCloudPlatform/ncloud-sdk-go-v2/services/vserver"
)

func (c *testCloud) inject(f Fault) string {
	c.t.Helper()
	id, err := c.Inject(f)
	if err != nil {
		c.t.Fatal(err)
	}
	return id
}

func (c *testCloud) newKey(name string) error {
	_, err := c.vserver.ImportLoginKey(&vserver.ImportLoginKeyRequest{KeyName: &name, PublicKey: p(testKey().public)})
	return err
}

// What the client sees of each fault, and whether the call was processed.
func TestFaultsOnAnswers(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	for i, tt := range []struct {
		fault     Fault
		err       string // part of the client's error, "" = none
		processed bool
	}{
		{Fault{Kind: HTTPStatus}, `503 Service Unavailable`, false},
		{Fault{Kind: HTTPStatus, Status: 429}, `"errorCode": "410"`, false},
		{Fault{Kind: HTTPStatus, Status: 429, Code: "420", Message: "Rate Limited"}, `"Rate Limited"`, false},
		{Fault{Kind: HTTPStatus, Status: 500, When: After}, `500 Internal Server Error`, true},
		{Fault{Kind: Business, Code: "25041", Message: "no"}, `"returnCode": "25041"`, false},
		{Fault{Kind: Business, Status: 500, Code: "1000", When: After}, `500 Internal Server Error`, true},
		{Fault{Kind: ErrorIn200}, ``, false},
		{Fault{Kind: Drop}, `EOF`, false},
		{Fault{Kind: Drop, When: After}, `EOF`, true},
		{Fault{Kind: Hang, Delay: Duration(10 * time.Millisecond)}, `EOF`, false},
		{Fault{Kind: Truncate}, `unexpected end of JSON`, true},
	} {
		t.Run(fmt.Sprintf("%s %s", tt.fault.Kind, tt.fault.When), func(t *testing.T) {
			tt.fault.Action, tt.fault.Nth = "importLoginKey", 1
			c.inject(tt.fault)
			defer c.ClearFaults()
			name := fmt.Sprintf("key-%d", i)
			r, err := c.vserver.ImportLoginKey(&vserver.ImportLoginKeyRequest{KeyName: &name, PublicKey: p(testKey().public)})
			if tt.err == "" && (err != nil || len(r.LoginKeyList) != 0) || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("client sees %+v, %v; want %q", r, err, tt.err)
			}
			found := must(c.vserver.GetLoginKeyList(&vserver.GetLoginKeyListRequest{KeyName: &name}))(t).LoginKeyList
			if (len(found) == 1) != tt.processed {
				t.Errorf("key exists: %v, want %v", len(found) == 1, tt.processed)
			}
			if err := c.newKey(name + "-again"); err != nil {
				t.Errorf("the second call is hit as well: %v", err)
			}
		})
	}
}

func TestFaultCounting(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	c.inject(Fault{Action: "import*", Nth: 2, Count: 2, Kind: Business, Code: "77777"})
	var got []string
	for i := range 5 {
		if err := c.newKey(fmt.Sprintf("key-%d", i)); err != nil {
			got = append(got, "hit")
		} else {
			got = append(got, "ok")
		}
		c.vserver.GetRegionList(&vserver.GetRegionListRequest{}) // does not count
	}
	if s := strings.Join(got, " "); s != "ok hit hit ok ok" {
		t.Errorf("import* from 2, twice: %s", s)
	}
	c.ClearFaults()

	// The k-th call that changes something, whatever it is, of one service.
	c.inject(Fault{Mutating: true, Action: "vserver/*", Nth: 3, Kind: HTTPStatus})
	c.vserver.GetRegionList(&vserver.GetRegionListRequest{})
	for i := range 3 {
		_, err := c.server.ImportLoginKey(&sdkserver.ImportLoginKeyRequest{KeyName: p(fmt.Sprintf("other-%d", i)), PublicKey: p(testKey().public)})
		if err != nil {
			t.Errorf("a call of another service is hit: %v", err)
		}
		if err := c.newKey(fmt.Sprintf("more-%d", i)); (err != nil) != (i == 2) {
			t.Errorf("call %d: %v", i+1, err)
		}
	}
	f := c.Faults()[0]
	if f.Matched != 3 || f.Hits != 1 {
		t.Errorf("matched %d, hits %d", f.Matched, f.Hits)
	}
	if n := c.MutatingCalls(); n != 11 {
		t.Errorf("%d mutating calls, want 11", n)
	}
	calls := c.Calls()
	if last := calls[len(calls)-1]; last.Status != 503 || last.Processed || !strings.Contains(last.Fault, "http") || last.MutatingSeq != 11 {
		t.Errorf("log: %+v", last)
	}
}

// A server that never leaves a state, one whose creation fails, one that dies, an image that fails or never ends.
func TestFaultsOnStates(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	status := func(no string) string { return c.vpcStatus(no) }

	c.inject(Fault{Action: "createServerInstances", Nth: 1, Kind: Stuck})
	stuck := c.newVPCServer(nil)
	c.inject(Fault{Action: "createServerInstances", Nth: 1, Kind: CreateFails})
	failed := c.newVPCServer(nil)
	eventually(t, "failed server", func() bool { return status(failed) == "FSTOP/NULL" })
	good := c.vpcServer(nil)
	if s := status(stuck); s != "INIT/NULL" {
		t.Errorf("stuck server is %s", s)
	}
	// Both can be cleaned up.
	must(c.vserver.TerminateServerInstances(&vserver.TerminateServerInstancesRequest{ServerInstanceNoList: strs(stuck, failed)}))(t)
	c.waitVPC(stuck, "gone")
	c.waitVPC(failed, "gone")

	image := func(name string) string {
		return *must(c.vserver.CreateMemberServerImageInstance(&vserver.CreateMemberServerImageInstanceRequest{ServerInstanceNo: &good, MemberServerImageName: &name}))(t).MemberServerImageInstanceList[0].MemberServerImageInstanceNo
	}
	c.inject(Fault{Action: "createMemberServerImageInstance", Nth: 1, Kind: CreateFails})
	bad := image("img-bad")
	c.waitImage(bad, "CREFL")
	c.waitVPC(good, "RUN/NULL")
	c.ClearFaults()
	c.inject(Fault{Action: "createMemberServerImageInstance", Nth: 1, Kind: Stuck})
	never := image("img-never")
	c.waitVPC(good, "RUN/NULL")
	time.Sleep(2 * Fast().Image)
	if i := must(c.vserver.GetMemberServerImageInstanceDetail(&vserver.GetMemberServerImageInstanceDetailRequest{MemberServerImageInstanceNo: &never}))(t).MemberServerImageInstanceList[0]; *i.MemberServerImageInstanceStatus.Code != "INIT" {
		t.Errorf("stuck image is %s", *i.MemberServerImageInstanceStatus.Code)
	}
	must(c.vserver.DeleteMemberServerImageInstances(&vserver.DeleteMemberServerImageInstancesRequest{MemberServerImageInstanceNoList: strs(bad, never)}))(t)
	eventually(t, "images gone", func() bool { return len(c.Inventory().Images) == 0 })

	c.inject(Fault{Action: "getServerInstanceDetail", Nth: 1, Kind: Die, Server: good})
	status(good)
	if s := status(good); s != "FSTOP/NULL" {
		t.Errorf("dead server is %s", s)
	}
}

func TestFaultDisconnect(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	no := c.vpcServer(nil)
	ip := c.publicIP(no)
	conn, err := c.DialContext(t.Context(), "tcp", ip+":22")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	if _, err := r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	c.inject(Fault{Action: "getRegionList", Nth: 1, Kind: Disconnect, Server: no})
	c.vserver.GetRegionList(&vserver.GetRegionListRequest{})
	conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := r.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("connection lives: %v", err)
	}
	if got, err := c.greeting(ip + ":22"); got == "" {
		t.Errorf("the guest does not answer any more: %v", err)
	}
}

// publicIP gives a VPC server a public IP and waits until it is there.
func (c *testCloud) publicIP(serverNo string) string {
	c.t.Helper()
	ip := *must(c.vserver.CreatePublicIpInstance(&vserver.CreatePublicIpInstanceRequest{ServerInstanceNo: &serverNo}))(c.t).PublicIpInstanceList[0].PublicIp
	eventually(c.t, "IP associated", func() bool {
		return *must(c.vserver.GetServerInstanceDetail(&vserver.GetServerInstanceDetailRequest{ServerInstanceNo: &serverNo}))(c.t).ServerInstanceList[0].PublicIp == ip
	})
	c.waitVPC(serverNo, "RUN/NULL")
	return ip
}

// A paused call waits until it is released; one whose client has gone meanwhile is not processed afterwards.
func TestFaultPause(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	waiting := func(id string) func() bool {
		return func() bool {
			for _, f := range c.Faults() {
				if f.ID == id {
					return f.Waiting
				}
			}
			return false
		}
	}
	exists := func(name string) bool {
		return *must(c.vserver.GetLoginKeyList(&vserver.GetLoginKeyListRequest{KeyName: &name}))(t).TotalRows == 1
	}
	for _, when := range []When{Before, After} {
		id := c.inject(Fault{Action: "importLoginKey", Nth: 1, Kind: Pause, When: when})
		name := "key-" + string(when)
		done := make(chan error, 1)
		go func() { done <- c.newKey(name) }()
		eventually(t, "paused", waiting(id))
		if exists(name) != (when == After) {
			t.Errorf("paused %s: key exists = %v", when, exists(name))
		}
		if err := c.Release(id); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Errorf("released: %v", err)
		}
		if err := c.Release(id); err == nil {
			t.Error("released twice")
		}
	}

	id := c.inject(Fault{Action: "importLoginKey", Nth: 1, Kind: Pause})
	done := make(chan struct{})
	go func() {
		defer close(done)
		access, secret := c.Credentials()
		uri := "/vserver/v2/importLoginKey?keyName=key-lost&publicKey=" + url.QueryEscape(testKey().public)
		req, _ := http.NewRequest("GET", c.Endpoint()+uri, nil)
		stamp := fmt.Sprint(time.Now().UnixMilli())
		req.Header.Set("x-ncp-apigw-timestamp", stamp)
		req.Header.Set("x-ncp-iam-access-key", access)
		req.Header.Set("x-ncp-apigw-signature-v2", sign(secret, "GET", uri, stamp, access))
		client := &http.Client{Timeout: 100 * time.Millisecond}
		if res, err := client.Do(req); err == nil {
			res.Body.Close()
		}
	}()
	eventually(t, "paused", waiting(id))
	<-done
	eventually(t, "client noticed as gone", func() bool { return !waiting(id)() })
	time.Sleep(10 * time.Millisecond)
	if exists("key-lost") {
		t.Error("a request whose client died before processing was processed")
	}
}

// OnCall sees each call before and after it is processed, in order.
func TestOnCall(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen []string
	var c *testCloud
	c = start(t, Options{OnCall: func(call Call, when When) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, fmt.Sprintf("%s %d %s %d keys", call.Action, call.MutatingSeq, when, len(c.Inventory().LoginKeys)))
	}})
	c.newKey("key-1")
	c.vserver.GetRegionList(&vserver.GetRegionListRequest{})
	c.newKey("key-2")
	mu.Lock()
	defer mu.Unlock()
	want := "importLoginKey 1 before 0 keys, importLoginKey 1 after 1 keys, getRegionList 0 before 1 keys, getRegionList 0 after 1 keys, importLoginKey 2 before 1 keys, importLoginKey 2 after 2 keys"
	if got := strings.Join(seen, ", "); got != want {
		t.Errorf("seen %s", got)
	}
}

// A signal goes to the process that the fault names, and nobody else. The client is this test, so its call goes on.
func TestFaultSignal(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	c.inject(Fault{Action: "importLoginKey", Nth: 1, Kind: Signal, PID: cmd.Process.Pid, When: After})
	if err := c.newKey("key-1"); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("process ended with %v", err)
	}
}

// The log is JSON that tests in other processes can read.
func TestCallLogJSON(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	c.newKey("key-1")
	c.newKey("key-1")
	b, err := json.Marshal(c.Calls())
	if err != nil {
		t.Fatal(err)
	}
	var back []Call
	if err := json.Unmarshal(b, &back); err != nil || len(back) != 2 || back[1].ReturnCode != "10405" || back[1].Processed || !back[0].Processed || back[0].Params["keyName"] != "key-1" {
		t.Errorf("%s: %v", b, err)
	}
}
