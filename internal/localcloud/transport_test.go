package localcloud

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/NaverCloudPlatform/ncloud-sdk-go-v2/services/vserver"
)

// Who may call: key, signature, time. Errors of the gateway come before the service's.
func TestAuthentication(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	const path = "/vserver/v2/getRegionList?responseFormatType=json"
	old := fmt.Sprint(time.Now().Add(-6 * time.Minute).UnixMilli())
	early := fmt.Sprint(time.Now().Add(6 * time.Minute).UnixMilli())
	for _, tt := range []struct {
		name    string
		header  map[string]string
		status  int
		details string
	}{
		{"v2 signature", nil, 200, ""},
		{"four minutes late", map[string]string{"x-ncp-apigw-timestamp": fmt.Sprint(time.Now().Add(-4 * time.Minute).UnixMilli())}, 200, ""},
		{"no signature", map[string]string{"x-ncp-apigw-signature-v2": "-"}, 401, "Authentication information are missing."},
		{"no key", map[string]string{"x-ncp-iam-access-key": "-"}, 401, "Authentication information are missing."},
		{"wrong key", map[string]string{"x-ncp-iam-access-key": "someone"}, 401, "Invalid authentication information."},
		{"wrong signature", map[string]string{"x-ncp-apigw-signature-v2": "AAAA"}, 401, "Invalid signature"},
		{"old", map[string]string{"x-ncp-apigw-timestamp": old}, 401, "Expired timestamp"},
		{"from the future", map[string]string{"x-ncp-apigw-timestamp": early}, 401, "Expired timestamp"},
		{"no time", map[string]string{"x-ncp-apigw-timestamp": "soon"}, 401, "Expired timestamp"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, body := c.raw("GET", path, "", tt.header)
			if status != tt.status {
				t.Fatalf("status %d, want %d: %s", status, tt.status, body)
			}
			if tt.status == 200 {
				return
			}
			var e struct {
				Error struct{ ErrorCode, Message, Details string }
			}
			if err := json.Unmarshal([]byte(body), &e); err != nil || e.Error.ErrorCode != "200" || e.Error.Details != tt.details {
				t.Errorf("body %s: %v", body, err)
			}
		})
	}

	// The SDK's own signature (v1), with a wrong secret.
	access, _ := c.Credentials()
	_, v, _ := clients(c.Endpoint(), access, "wrong")
	if _, err := v.GetRegionList(&vserver.GetRegionListRequest{}); err == nil || !strings.Contains(err.Error(), "Authentication Failed") {
		t.Errorf("wrong secret: %v", err)
	}
}

func TestRequestForms(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	for _, tt := range []struct {
		name, method, path, form string
		status                   int
		code                     string
	}{
		{"GET", "GET", "/server/v2/getZoneList?regionNo=1&responseFormatType=json", "", 200, ""},
		{"POST", "POST", "/server/v2/getZoneList", "responseFormatType=json&regionNo=1", 200, ""},
		{"POST with a query", "POST", "/server/v2/getZoneList?regionNo=1", "responseFormatType=JSON", 200, ""},
		{"unknown action", "GET", "/vserver/v2/makeCoffee?responseFormatType=json", "", 404, "300"},
		{"unknown service", "GET", "/coffee/v2/getRegionList?responseFormatType=json", "", 404, "300"},
		{"action of another service", "GET", "/server/v2/getVpcList?responseFormatType=json", "", 404, "300"},
		{"DELETE", "DELETE", "/vserver/v2/getRegionList?responseFormatType=json", "", 400, "100"},
		{"missing parameter", "GET", "/vserver/v2/getServerInstanceDetail?responseFormatType=json", "", 400, "900"},
		{"empty parameter", "POST", "/vserver/v2/getServerInstanceDetail", "responseFormatType=json&serverInstanceNo=", 400, "900"},
		{"bad enum", "GET", "/vserver/v2/getLoginKeyList?pageNo=x&responseFormatType=json", "", 400, "1100000"},
		{"page without a size", "GET", "/vserver/v2/getLoginKeyList?pageNo=1&responseFormatType=json", "", 400, "900"},
		{"unknown parameter", "GET", "/vserver/v2/getLoginKeyList?colour=red&responseFormatType=json", "", 200, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, body := c.raw(tt.method, tt.path, tt.form, nil)
			if status != tt.status || tt.code != "" && !strings.Contains(body, `"`+tt.code+`"`) {
				t.Errorf("%d %s, want %d with %q", status, body, tt.status, tt.code)
			}
		})
	}
}

// JSON must have a space after the first colon and no newline at the end, or the SDK's cutter fails; XML is the default.
func TestFormats(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	c.vpcServer(func(r *vserver.CreateServerInstancesRequest) { r.ServerDescription = p("a < b & \"c\" 한글") })

	req, _ := http.NewRequest("GET", c.Endpoint()+"/vserver/v2/getServerInstanceList?responseFormatType=json", nil)
	access, secret := c.Credentials()
	stamp := fmt.Sprint(time.Now().UnixMilli())
	req.Header.Set("x-ncp-apigw-timestamp", stamp)
	req.Header.Set("x-ncp-iam-access-key", access)
	req.Header.Set("x-ncp-apigw-signature-v1", sign(secret, "GET", req.URL.RequestURI(), stamp, access))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	if s := string(b); !strings.HasPrefix(s, "{\n  \"getServerInstanceListResponse\": {") || !strings.HasSuffix(s, "}\n}") {
		t.Errorf("JSON begins %q and ends %q", s[:40], s[len(s)-10:])
	}
	if res.Header.Get("x-ncp-trace-id") == "" {
		t.Error("no trace id")
	}
	if d := *must(c.vserver.GetServerInstanceList(&vserver.GetServerInstanceListRequest{}))(t).ServerInstanceList[0].ServerDescription; d != "a < b & \"c\" 한글" {
		t.Errorf("description = %q", d)
	}

	_, body := c.raw("GET", "/vserver/v2/getServerInstanceList", "", nil)
	var x struct {
		XMLName    xml.Name `xml:"getServerInstanceListResponse"`
		TotalRows  int      `xml:"totalRows"`
		ReturnCode string   `xml:"returnCode"`
		Servers    []struct {
			Description string   `xml:"serverDescription"`
			Status      string   `xml:"serverInstanceStatus>code"`
			NICs        []string `xml:"networkInterfaceNoList>networkInterfaceNo"`
		} `xml:"serverInstanceList>serverInstance"`
	}
	if err := xml.Unmarshal([]byte(body), &x); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	if x.TotalRows != 1 || x.ReturnCode != "0" || len(x.Servers) != 1 || x.Servers[0].Status != "RUN" || len(x.Servers[0].NICs) != 1 || x.Servers[0].Description != "a < b & \"c\" 한글" {
		t.Errorf("XML = %+v", x)
	}
	_, body = c.raw("GET", "/vserver/v2/getServerInstanceDetail", "", nil)
	if !strings.Contains(body, "<responseError><returnCode>900</returnCode>") {
		t.Errorf("XML error = %s", body)
	}
}

// Every action of the three services, called through the SDK with an empty request: it answers or refuses in a shape
// that the SDK and the official provider can read. No call may be unknown or break the answer's form.
func TestEveryActionThroughTheSDK(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	called := map[string]bool{}
	for service, api := range map[string]any{"server": c.server, "vserver": c.vserver, "vpc": c.vpc} {
		v := reflect.ValueOf(api)
		for i := range v.NumMethod() {
			name := v.Type().Method(i).Name
			action := strings.ToLower(name[:1]) + name[1:]
			if _, ok := actions[service+"/"+action]; !ok {
				continue
			}
			called[service+"/"+action] = true
			out := v.Method(i).Call([]reflect.Value{reflect.New(v.Method(i).Type().In(0).Elem())})
			if err, _ := out[1].Interface().(error); err != nil {
				_, body, ok := strings.Cut(err.Error(), "Body: ")
				var e struct {
					ResponseError struct{ ReturnCode, ReturnMessage string }
				}
				if !ok || json.Unmarshal([]byte(body), &e) != nil || e.ResponseError.ReturnCode == "" || e.ResponseError.ReturnMessage == "" {
					t.Errorf("%s/%s: %v", service, action, err)
				}
				continue
			}
			if code := out[0].Elem().FieldByName("ReturnCode").Interface().(*string); code == nil || *code != "0" {
				t.Errorf("%s/%s: no return code", service, action)
			}
		}
	}
	for name := range actions {
		if !called[name] {
			t.Errorf("the SDK has no call for %s", name)
		}
	}
}

// With something of everything in the account, every field the SDK knows of a row is there, apart from those that the
// real API leaves out as well.
func TestRowsAreComplete(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	no := c.vpcServer(nil)
	ip := must(c.vserver.CreatePublicIpInstance(&vserver.CreatePublicIpInstanceRequest{ServerInstanceNo: &no}))(t)
	c.waitVPC(no, "RUN/NULL")
	must(c.vserver.CreateMemberServerImageInstance(&vserver.CreateMemberServerImageInstanceRequest{ServerInstanceNo: &no, MemberServerImageName: p("full-rows")}))(t)
	for _, rows := range []any{
		must(c.vserver.GetServerInstanceList(&vserver.GetServerInstanceListRequest{}))(t).ServerInstanceList[0],
		must(c.vserver.GetNetworkInterfaceList(&vserver.GetNetworkInterfaceListRequest{}))(t).NetworkInterfaceList[0],
		must(c.vserver.GetBlockStorageInstanceList(&vserver.GetBlockStorageInstanceListRequest{}))(t).BlockStorageInstanceList[0],
		must(c.vserver.GetMemberServerImageInstanceList(&vserver.GetMemberServerImageInstanceListRequest{}))(t).MemberServerImageInstanceList[0],
		must(c.vserver.GetAccessControlGroupList(&vserver.GetAccessControlGroupListRequest{}))(t).AccessControlGroupList[0],
		must(c.vserver.GetServerImageList(&vserver.GetServerImageListRequest{}))(t).ServerImageList[0],
		must(c.vserver.GetServerSpecList(&vserver.GetServerSpecListRequest{}))(t).ServerSpecList[0],
		must(c.vserver.GetServerImageProductList(&vserver.GetServerImageProductListRequest{}))(t).ProductList[0],
		ip.PublicIpInstanceList[0],
	} {
		v := reflect.ValueOf(rows).Elem()
		var missing []string
		for i := range v.NumField() {
			if v.Field(i).IsNil() {
				missing = append(missing, v.Type().Field(i).Name)
			}
		}
		// Fields of bare metal, GPU and encryption services, and of product kinds, that live answers do not have either.
		missing = slices.DeleteFunc(missing, func(f string) bool {
			return slices.Contains([]string{"FabricClusterPoolNo", "FabricClusterPoolName", "FabricClusterMode", "FabricClusterNo", "FabricClusterName", "Throughput", "Iops",
				"BlockStorageSnapshotInstanceNo", "DiskType", "GenerationCode", "InfraResourceDetailType", "OsMemorySize", "GpuCount", "ServerSpecNo", "SharedLoginIdList", "EventList", "BlockDevicePartitionList"}, f)
		})
		if len(missing) > 0 {
			t.Errorf("%s lacks %v", v.Type(), missing)
		}
	}
}

func TestPagingAndFilters(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	for _, n := range []string{"key-a", "key-b", "key-c"} {
		c.key(n)
	}
	names := func(page, size int32) string {
		r := must(c.vserver.GetLoginKeyList(&vserver.GetLoginKeyListRequest{PageNo: &page, PageSize: &size}))(t)
		out := []string{fmt.Sprint(*r.TotalRows)}
		for _, k := range r.LoginKeyList {
			out = append(out, *k.KeyName)
		}
		return strings.Join(out, " ")
	}
	for page, want := range map[int32]string{0: "3 key-a key-b", 1: "3 key-a key-b", 2: "3 key-c", 3: "3"} {
		if got := names(page, 2); got != want {
			t.Errorf("page %d = %q, want %q", page, got, want)
		}
	}
	if r := must(c.vserver.GetLoginKeyList(&vserver.GetLoginKeyListRequest{KeyName: p("key-b")}))(t); *r.TotalRows != 1 {
		t.Errorf("filter by name: %d", *r.TotalRows)
	}
	if r := must(c.vserver.GetServerSpecList(&vserver.GetServerSpecListRequest{ServerImageNo: p(kvmUbu)}))(t); *r.ServerSpecList[0].HypervisorType.Code != "KVM" || len(r.ServerSpecList) < 20 {
		t.Errorf("specs for a KVM image: %d", len(r.ServerSpecList))
	}
	if r := must(c.vserver.GetServerImageProductList(&vserver.GetServerImageProductListRequest{PlatformTypeCodeList: strs("WND64")}))(t); len(r.ProductList) < 10 {
		t.Errorf("Windows images: %d", len(r.ProductList))
	}
}

// The control plane and the page for people.
func TestControlPlane(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	do := func(method, path, body string) (int, string) {
		req, _ := http.NewRequest(method, c.Endpoint()+path, strings.NewReader(body))
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(b)
	}
	if _, b := do("GET", "/", ""); !strings.Contains(b, "not NAVER Cloud") {
		t.Errorf("index: %s", b)
	}
	if s, b := do("POST", "/_local/faults", `[{"action":"getRegionList","kind":"http","status":500,"nth":1},{"id":"mine","kind":"slow","delay":"1ms"}]`); s != 200 || !strings.Contains(b, `"mine"`) {
		t.Errorf("inject: %d %s", s, b)
	}
	for _, bad := range []string{`{"kind":"explode"}`, `{"kind":"http","nht":1}`, `{"kind":"signal"}`, `{"kind":"signal","pid":1}`, `{"kind":"http","when":"later"}`, `{"kind":"slow","delay":5}`} {
		if s, b := do("POST", "/_local/faults", bad); s != 400 {
			t.Errorf("inject %s: %d %s", bad, s, b)
		}
	}
	if s, b := c.raw("GET", "/vserver/v2/getRegionList?responseFormatType=json", "", nil); s != 500 {
		t.Errorf("fault did not hit: %d %s", s, b)
	}
	if _, b := do("GET", "/_local/faults", ""); !strings.Contains(b, `"hits": 1`) {
		t.Errorf("faults: %s", b)
	}
	if s, _ := do("DELETE", "/_local/faults", ""); s != 200 || len(c.Faults()) != 0 {
		t.Error("faults were not cleared")
	}
	c.raw("POST", "/vserver/v2/importLoginKey", url.Values{"keyName": {"a-key"}, "privateKey": {"secret-stuff"}, "publicKey": {"x"}}.Encode(), nil)
	if _, b := do("GET", "/_local/calls?mutating=1", ""); strings.Contains(b, "secret-stuff") || !strings.Contains(b, `"importLoginKey"`) || strings.Contains(b, `"getRegionList"`) {
		t.Errorf("calls: %s", b)
	}
	if s, b := do("POST", "/_local/latency", `{"server":"5ms","image":"1s"}`); s != 200 || !strings.Contains(b, `"image": "1s"`) || !strings.Contains(b, `"stop": "30ms"`) {
		t.Errorf("latency: %d %s", s, b)
	}
	if s, b := do("POST", "/_local/latency", `"realistic"`); s != 200 || !strings.Contains(b, `"server": "1m30s"`) {
		t.Errorf("latency: %d %s", s, b)
	}
	if s, _ := do("POST", "/_local/latency", `{"sever":"5ms"}`); s != 400 {
		t.Error("misspelt latency was taken")
	}
	var inv Inventory
	if _, b := do("GET", "/_local/inventory", ""); json.Unmarshal([]byte(b), &inv) != nil || len(inv.Left()) != 0 {
		t.Errorf("inventory: %s", b)
	}
	if s, _ := do("GET", "/_local/other", ""); s != 404 {
		t.Error("unknown control path answers")
	}
	req, _ := http.NewRequestWithContext(context.Background(), "GET", c.Endpoint()+"/_local/inventory", nil)
	req.Header.Set("Origin", "http://example.org")
	if res, err := http.DefaultClient.Do(req); err != nil || res.StatusCode != 403 {
		t.Errorf("a web page may use the control plane: %v %v", res, err)
	}
}
