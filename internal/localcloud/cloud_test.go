package localcloud

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/NaverCloudPlatform/ncloud-sdk-go-v2/ncloud"
	sdkserver "github.com/NaverCloudPlatform/ncloud-sdk-go-v2/services/server"
	sdkvpc "github.com/NaverCloudPlatform/ncloud-sdk-go-v2/services/vpc"
	"github.com/NaverCloudPlatform/ncloud-sdk-go-v2/services/vserver"
	"golang.org/x/crypto/ssh"

	"github.com/tfbake/tfbake/internal/localcloud/guest"
)

// fakeGuests stands in for package guest: a root is a directory with a file, a guest answers connections with a line
// that names itself and its root's files.
type fakeGuests struct {
	mu     sync.Mutex
	booted []machineConfig
}

func (f *fakeGuests) NewRoot(dir, osName string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "os"), []byte(osName), 0o600)
}

func (f *fakeGuests) CopyRoot(dst, src string) error { return os.CopyFS(dst, os.DirFS(src)) }

func (f *fakeGuests) CopyDisk(string, string) error { return nil }

func (f *fakeGuests) Boot(_ context.Context, c machineConfig) (machine, error) {
	if _, err := os.Stat(filepath.Join(c.Dir, "os")); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.booted = append(f.booted, c)
	return &fakeGuest{c: c, conns: map[net.Conn]bool{}}, nil
}

func (f *fakeGuests) last(t *testing.T) machineConfig {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.booted) == 0 {
		t.Fatal("no guest was booted")
	}
	return f.booted[len(f.booted)-1]
}

type fakeGuest struct {
	c     machineConfig
	mu    sync.Mutex
	conns map[net.Conn]bool
}

// ServeConn greets, then echoes until the connection ends.
func (g *fakeGuest) ServeConn(conn net.Conn, port int) {
	g.mu.Lock()
	g.conns[conn] = true
	g.mu.Unlock()
	fmt.Fprintf(conn, "guest %s port %d\n", g.c.Hostname, port)
	io.Copy(conn, conn)
}

func (g *fakeGuest) SetDisks([]guest.Disk)          {}
func (g *fakeGuest) Shutdown(context.Context) error { g.Kill(); return nil }
func (g *fakeGuest) Reboot(context.Context) error   { g.Kill(); return nil }
func (g *fakeGuest) Kill() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := range g.conns {
		c.Close()
	}
}

// testCloud is a cloud with fake guests and clients of the official SDK for its three services.
type testCloud struct {
	*Cloud
	t       *testing.T
	guests  *fakeGuests
	server  *sdkserver.V2ApiService
	vserver *vserver.V2ApiService
	vpc     *sdkvpc.V2ApiService
}

func start(t *testing.T, o Options) *testCloud {
	t.Helper()
	fake := &fakeGuests{}
	if o.guests == nil {
		o.guests = fake
	}
	if o.Log == nil && testing.Verbose() {
		o.Log = testLog{t}
	}
	c, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	tc := &testCloud{Cloud: c, t: t, guests: fake}
	access, secret := c.Credentials()
	tc.server, tc.vserver, tc.vpc = clients(c.Endpoint(), access, secret)
	return tc
}

func clients(endpoint, access, secret string) (*sdkserver.V2ApiService, *vserver.V2ApiService, *sdkvpc.V2ApiService) {
	config := func(service string) *ncloud.Configuration {
		cfg := vserver.NewConfiguration(&ncloud.APIKey{AccessKey: access, SecretKey: secret})
		cfg.BasePath = endpoint + "/" + service + "/v2"
		cfg.HTTPClient = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{}}
		return cfg
	}
	return sdkserver.NewAPIClient(config("server")).V2Api, vserver.NewAPIClient(config("vserver")).V2Api, sdkvpc.NewAPIClient(config("vpc")).V2Api
}

type testLog struct{ t *testing.T }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

func p[T any](v T) *T { return &v }

func strs(s ...string) []*string {
	var out []*string
	for _, v := range s {
		out = append(out, &v)
	}
	return out
}

// must unwraps an answer of the SDK.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// refused checks that an error of the SDK carries the code.
func refused(t *testing.T, err error, code string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", code)) {
		t.Errorf("error = %v, want code %s", err, code)
	}
}

// eventually polls until ok; states change by themselves within tens of milliseconds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
		time.Sleep(3 * time.Millisecond)
	}
}

// account content of the default region, learnt through the API as a client would.
func (c *testCloud) network() (vpcNo, public, private, acgNo string) {
	v := must(c.vpc.GetVpcList(&sdkvpc.GetVpcListRequest{}))(c.t).VpcList
	vpcNo = *v[0].VpcNo
	for _, n := range must(c.vpc.GetSubnetList(&sdkvpc.GetSubnetListRequest{VpcNo: &vpcNo}))(c.t).SubnetList {
		if *n.SubnetType.Code == "PUBLIC" {
			public = *n.SubnetNo
		} else {
			private = *n.SubnetNo
		}
	}
	acgNo = *must(c.vserver.GetAccessControlGroupList(&vserver.GetAccessControlGroupListRequest{VpcNo: &vpcNo}))(c.t).AccessControlGroupList[0].AccessControlGroupNo
	return vpcNo, public, private, acgNo
}

func (c *testCloud) vpcStatus(no string) string {
	l := must(c.vserver.GetServerInstanceDetail(&vserver.GetServerInstanceDetailRequest{ServerInstanceNo: &no}))(c.t).ServerInstanceList
	if len(l) == 0 {
		return "gone"
	}
	return *l[0].ServerInstanceStatus.Code + "/" + *l[0].ServerInstanceOperation.Code
}

func (c *testCloud) waitVPC(no, status string) {
	c.t.Helper()
	eventually(c.t, "server "+no+" "+status, func() bool { return c.vpcStatus(no) == status })
}

const (
	rocky   = "SW.VSVR.OS.LNX64.ROCKY.0810.B050"
	win2019 = "SW.VSVR.OS.WND64.WND.SVR2019EN.B100"
	kvmUbu  = "23214590"
	centos  = "SPSW0LINUX000139"
)

// vpcServer makes a XEN server in the default public subnet and waits for it.
func (c *testCloud) vpcServer(change func(*vserver.CreateServerInstancesRequest)) string {
	c.t.Helper()
	no := c.newVPCServer(change)
	c.waitVPC(no, "RUN/NULL")
	return no
}

func (c *testCloud) newVPCServer(change func(*vserver.CreateServerInstancesRequest)) string {
	c.t.Helper()
	vpcNo, public, _, acgNo := c.network()
	c.key("test-key")
	req := &vserver.CreateServerInstancesRequest{VpcNo: &vpcNo, SubnetNo: &public, ServerImageProductCode: p(rocky), LoginKeyName: p("test-key"),
		NetworkInterfaceList: []*vserver.NetworkInterfaceParameter{{NetworkInterfaceOrder: p(int32(0)), AccessControlGroupNoList: strs(acgNo)}}}
	if change != nil {
		change(req)
	}
	return *must(c.vserver.CreateServerInstances(req))(c.t).ServerInstanceList[0].ServerInstanceNo
}

// key imports the tests' key under a name unless it exists, and returns its private half.
func (c *testCloud) key(name string) string {
	c.t.Helper()
	_, err := c.vserver.ImportLoginKey(&vserver.ImportLoginKeyRequest{KeyName: &name, PublicKey: p(testKey().public)})
	if err != nil && !strings.Contains(err.Error(), "10405") {
		c.t.Fatal(err)
	}
	return testKey().private
}

// testKey is one RSA key for all tests: making one takes longer than everything else that they do.
var testKey = sync.OnceValue(func() (k struct{ public, private string }) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	pub, err := ssh.NewPublicKey(&key.PublicKey)
	if err != nil {
		panic(err)
	}
	k.public = string(ssh.MarshalAuthorizedKey(pub))
	k.private = string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	return k
})

// greeting is what a guest says first on ip:port, "" if it stays silent for a while.
func (c *testCloud) greeting(addr string) (string, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Second)
	defer cancel()
	conn, err := c.DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(150 * time.Millisecond))
	line, err := bufio.NewReader(conn).ReadString('\n')
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return "", nil
	}
	return strings.TrimSpace(line), err
}

// raw sends a signed request as the documentation's examples do, and returns status and body.
func (c *testCloud) raw(method, pathQuery, form string, header map[string]string) (int, string) {
	c.t.Helper()
	access, secret := c.Credentials()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.Endpoint()+pathQuery, strings.NewReader(form))
	if err != nil {
		c.t.Fatal(err)
	}
	if form != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	stamp := fmt.Sprint(time.Now().UnixMilli())
	if v := header["x-ncp-apigw-timestamp"]; v != "" {
		stamp = v
	}
	if v := header["x-ncp-iam-access-key"]; v != "" {
		access = v
	}
	req.Header.Set("x-ncp-apigw-timestamp", stamp)
	req.Header.Set("x-ncp-iam-access-key", access)
	req.Header.Set("x-ncp-apigw-signature-v2", sign(secret, method, pathQuery, stamp, access))
	for k, v := range header {
		req.Header.Set(k, v)
		if v == "-" {
			req.Header.Del(k)
		}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return res.StatusCode, string(bytes.TrimSpace(b))
}

// none tells that nothing is left but images.
func (c *testCloud) none() {
	c.t.Helper()
	var left []Item
	eventually(c.t, fmt.Sprintf("empty account, left %v", left), func() bool {
		left = c.Inventory().Left()
		return len(left) == 0
	})
}
