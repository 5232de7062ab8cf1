package ncloud

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/NaverCloudPlatform/ncloud-sdk-go-v2/services/vserver"
)

const testAccess, testSecret = "access-key-0123456789", "secret-key-ABCDEFGHIJ"

// call is a request as the fake saw it.
type call struct {
	action, path string
	form         url.Values
}

// fake answers API calls by action. A reply is a body, or a func of the call; the last of several is repeated.
type fake struct {
	t       *testing.T
	mu      sync.Mutex
	calls   []call
	replies map[string][]any
}

type reply struct {
	status int
	body   string
	header map[string]string
}

type (
	drop     struct{}                  // close the connection instead of answering
	dropLate struct{ after func() }    // do it, then close the connection
	hang     struct{}                  // answer never, until the client goes
	handle   func(form url.Values) any // computes a reply
	events   struct {
		sync.Mutex
		list []Event
	}
)

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	form, err := url.ParseQuery(string(body))
	if err != nil {
		f.t.Errorf("unreadable body %q", body)
	}
	action := path.Base(r.URL.Path)
	f.mu.Lock()
	f.calls = append(f.calls, call{action, r.URL.Path, form})
	var answer any = ok(action, "")
	if rs := f.replies[action]; len(rs) > 0 {
		answer = rs[0]
		if len(rs) > 1 {
			f.replies[action] = rs[1:]
		}
	}
	if h, isHandle := answer.(handle); isHandle {
		answer = h(form)
	}
	f.mu.Unlock()
	cut := func() {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			conn.Close()
		}
	}
	switch a := answer.(type) {
	case string:
		io.WriteString(w, a)
	case reply:
		for k, v := range a.header {
			w.Header().Set(k, v)
		}
		w.WriteHeader(a.status)
		io.WriteString(w, a.body)
	case drop:
		cut()
	case dropLate:
		a.after()
		cut()
	case hang:
		<-r.Context().Done()
	}
}

func (f *fake) count(action string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, c := range f.calls {
		if c.action == action {
			n++
		}
	}
	return n
}

// ok is a success answer with the given fields after the common ones.
func ok(action, fields string) string {
	if fields != "" {
		fields = ", " + fields
	}
	return fmt.Sprintf(`{"%sResponse": {"requestId": "r", "returnCode": "0", "returnMessage": "success"%s}}`, action, fields)
}

func business(status int, code, message string) reply {
	return reply{status: status, body: fmt.Sprintf(`{"responseError": {"returnCode": %q, "returnMessage": %q}}`, code, message)}
}

func gateway(status int, code, message, details string) reply {
	return reply{status: status, body: fmt.Sprintf(`{"error": {"errorCode": %q, "message": %q, "details": %q}}`, code, message, details)}
}

func start(t *testing.T, replies map[string][]any, change ...func(*Options)) (*Client, *fake) {
	t.Helper()
	f := &fake{t: t, replies: replies}
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	o := Options{Endpoint: srv.URL, Credentials: Credentials{AccessKey: testAccess, SecretKey: testSecret, Source: "the test"}, RegionCode: "SGN", RegionNo: "7",
		Retry: Retry{First: time.Millisecond, Max: 4 * time.Millisecond, Attempts: 4, Patience: 100 * time.Millisecond}, Pace: Pace{First: time.Millisecond, Max: 5 * time.Millisecond}}
	for _, c := range change {
		c(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, f
}

// TestRegionEverywhere calls every method of both faces and looks that each VPC request names the region and each request
// goes to its service.
func TestRegionEverywhere(t *testing.T) {
	t.Parallel()
	c, f := start(t, nil)
	called := map[string]bool{}
	for _, face := range []any{c.VPC, c.Classic} {
		v := reflect.ValueOf(face)
		for i := range v.NumMethod() {
			m := v.Method(i)
			args := []reflect.Value{reflect.ValueOf(context.Background())}
			for j := 1; j < m.Type().NumIn(); j++ {
				arg := reflect.New(m.Type().In(j)).Elem()
				if arg.Kind() == reflect.String {
					arg.SetString("1")
				}
				args = append(args, arg)
			}
			m.Call(args) // errors are expected: the fake knows nothing
			called[v.Type().Method(i).Name] = true
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.calls) < 100 {
		t.Fatalf("only %d requests from %d methods", len(f.calls), len(called))
	}
	for _, c := range f.calls {
		vpc := strings.HasPrefix(c.path, "/vserver/v2/") || strings.HasPrefix(c.path, "/vpc/v2/")
		if !vpc && !strings.HasPrefix(c.path, "/server/v2/") {
			t.Errorf("%s went to %s", c.action, c.path)
		}
		if vpc && c.action != "getRegionList" && c.form.Get("regionCode") != "SGN" {
			t.Errorf("%s does not name the region: %v", c.action, c.form)
		}
		if !vpc && strings.HasSuffix(c.action, "List") && c.form.Has("regionNo") && c.form.Get("regionNo") != "7" {
			t.Errorf("%s names region %s", c.action, c.form.Get("regionNo"))
		}
		if c.form.Get("responseFormatType") != "json" {
			t.Errorf("%s: no JSON asked for", c.action)
		}
	}
	for _, action := range []string{"getServerInstanceList", "getPublicIpInstanceList", "getMemberServerImageList", "getServerProductList", "getZoneList"} {
		if !slices.ContainsFunc(f.calls, func(c call) bool {
			return c.action == action && strings.HasPrefix(c.path, "/server/") && c.form.Get("regionNo") == "7"
		}) {
			t.Errorf("Classic %s does not name the region", action)
		}
	}
}

func TestReframe(t *testing.T) {
	t.Parallel()
	good := `{"getZoneListResponse": {"totalRows":1,"returnCode":"0"}}`
	for _, tt := range []struct {
		name, body string
		status     int
		want       string // framed body
		code, in   string // of the error: code, part of the text
		class      string // letters: t ransient, h throttled, b usy, u ncertain, a uth, n ot found
	}{
		{name: "as documented", status: 200, body: good, want: good},
		{name: "compact", status: 200, body: `{"getZoneListResponse":{"totalRows":1,"returnCode":"0"}}`, want: good},
		{name: "trailing newline", status: 200, body: good + "\r\n", want: good},
		{name: "pretty", status: 200, body: "{\n  \"getZoneListResponse\": {\"totalRows\":1,\"returnCode\":\"0\"}\n}\n", want: good},
		{name: "number as code", status: 200, body: `{"xResponse": {"returnCode":0}}`, want: `{"xResponse": {"returnCode":0}}`},
		{name: "error under 200", status: 200, body: `{"error": {"errorCode": "200", "message": "Authentication Failed", "details": "Invalid authentication information."}}`, code: "200", in: "Invalid authentication", class: "a"},
		{name: "error under 200, number", status: 200, body: `{"error":{"errorCode":500,"message":"Endpoint Error"}}`, code: "500", in: "Endpoint Error", class: "tu"},
		{name: "throttled under 200", status: 200, body: `{"error":{"errorCode":"410","message":"Throttle Limited"}}`, code: "410", class: "th"},
		{name: "business under 200", status: 200, body: `{"xResponse": {"returnCode": "10300", "returnMessage": "in use"}}`, code: "10300", in: "in use"},
		{name: "business", status: 400, body: `{"responseError": {"returnCode": "10712", "returnMessage": "Not found product.  \n"}}`, code: "10712", in: "Not found product."},
		{name: "business, other keys", status: 500, body: `{"responseError": {"responseCode": "3000100", "responseMessage": "External"}}`, code: "3000100", in: "External", class: "tu"},
		{name: "business, no object", status: 400, body: `{"responseError": "what"}`, in: "HTTP 400"},
		{name: "later", status: 400, body: `{"responseError": {"returnCode": "1300", "returnMessage": "later"}}`, code: "1300", class: "tu"},
		{name: "busy", status: 400, body: `{"responseError": {"returnCode": "1007009", "returnMessage": ""}}`, code: "1007009", class: "tb"},
		{name: "not found", status: 400, body: `{"responseError": {"returnCode": "1007000", "returnMessage": "x"}}`, code: "1007000", class: "n"},
		{name: "no permission", status: 401, body: `{"error": {"errorCode": "210", "message": "Permission Denied"}}`, code: "210", in: "sub account", class: "a"},
		{name: "429", status: 429, body: `{"error": {"errorCode": "420", "message": "Rate Limited"}}`, code: "420", class: "th"},
		{name: "504", status: 504, body: `{"error": {"errorCode": "510", "message": "Endpoint Timeout"}}`, code: "510", class: "tu"},
		{name: "xml error", status: 400, body: `<responseError><returnCode>900</returnCode><returnMessage>Required field</returnMessage></responseError>`, code: "900", in: "Required field"},
		{name: "proxy page", status: 502, body: "<html><body>\nBad   Gateway</body></html>", in: "Bad Gateway", class: "tu"},
		{name: "empty 503", status: 503, body: "", in: "503", class: "tu"},
		{name: "redirect", status: 302, body: "", in: "302"},
		{name: "truncated", status: 200, body: `{"getZoneListResponse": {"totalRows":1,"zoneList":[{"zo`, in: "cannot be understood", class: "tu"},
		{name: "truncated at a brace", status: 200, body: `{"getZoneListResponse": {"returnCode":"0"}`, in: "cannot be understood", class: "tu"},
		{name: "empty", status: 200, body: "", in: "cannot be understood", class: "tu"},
		{name: "html under 200", status: 200, body: "<html>login</html>", in: "cannot be understood", class: "tu"},
		{name: "array", status: 200, body: `[]`, in: "cannot be understood", class: "tu"},
		{name: "no object inside", status: 200, body: `{"x": 3}`, in: "cannot be understood", class: "tu"},
		{name: "two roots", status: 200, body: `{"x": {}, "y": {}}`, in: "cannot be understood", class: "tu"},
	} {
		framed, e := reframe(tt.status, []byte(tt.body))
		if e == nil {
			if string(framed) != tt.want || tt.want == "" {
				t.Errorf("%s: got %s", tt.name, framed)
			}
			continue
		}
		class := ""
		for letter, is := range map[string]bool{"t": IsTransient(e), "h": e.Throttled, "b": e.Busy, "u": IsUncertain(e), "a": IsAuth(e), "n": IsNotFound(e)} {
			if is {
				class += letter
			}
		}
		if sorted(class) != sorted(tt.class) || e.Code != tt.code || !strings.Contains(e.Error(), tt.in) {
			t.Errorf("%s: class %q (want %q), code %q, %v", tt.name, class, tt.class, e.Code, e)
		}
	}
}

func sorted(s string) string {
	b := []byte(s)
	slices.Sort(b)
	return string(b)
}

// TestSDKReadsWhatWeFrame proves the framing with the SDK itself, and that a list item may hold anything.
func TestSDKReadsWhatWeFrame(t *testing.T) {
	t.Parallel()
	c, _ := start(t, map[string][]any{
		"getInitScriptDetail":     {`{"getInitScriptDetailResponse":{"returnCode":"0","initScriptList":[{"initScriptNo":"5","initScriptContent":"echo '{\"error\": {}}' {","osType":{"code":"LNX"}}]}}` + "\n"},
		"getZoneList":             {ok("getZoneList", `"totalRows": 2, "zoneList": [{"zoneCode": "KR-1"}, null, {"zoneCode": "KR-2"}]`)},
		"getServerInstanceDetail": {ok("getServerInstanceDetail", `"totalRows": 0, "serverInstanceList": []`)},
	})
	s, err := c.VPC.GetInitScriptDetail(context.Background(), "5")
	if err != nil || s.Content != `echo '{"error": {}}' {` || s.OSType != "LNX" {
		t.Errorf("got %+v, %v", s, err)
	}
	zones, err := c.VPC.GetZoneList(context.Background())
	if err != nil || len(zones) != 2 || zones[1].Code != "KR-2" {
		t.Errorf("got %+v, %v", zones, err)
	}
	if _, err := c.VPC.GetServerInstanceDetail(context.Background(), "77"); !IsNotFound(err) || !strings.Contains(err.Error(), "server 77") {
		t.Errorf("an empty list should be not found: %v", err)
	}
}

func TestReadsAreRepeated(t *testing.T) {
	t.Parallel()
	done := ok("getZoneList", `"zoneList": [{"zoneCode": "KR-1"}]`)
	for name, trouble := range map[string]any{
		"500":            business(500, "1000", "later"),
		"503":            gateway(503, "500", "Endpoint Error", ""),
		"429":            gateway(429, "410", "Throttle Limited", ""),
		"dropped":        drop{},
		"truncated":      `{"getZoneListResponse": {"zoneList`,
		"error in 200":   `{"error": {"errorCode": "500", "message": "Endpoint Error"}}`,
		"hanging":        hang{},
		"empty":          "",
		"wrong type":     ok("getZoneList", `"zoneList": "none"`),
		"broken body":    reply{status: 200, body: done[:40], header: map[string]string{"Content-Length": "4000"}},
		"later as a 400": business(400, "1300", "later"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var seen events
			c, f := start(t, map[string][]any{"getZoneList": {trouble, trouble, done}}, func(o *Options) {
				o.ReadTimeout = 150 * time.Millisecond
				o.Log = func(e Event) { seen.Lock(); seen.list = append(seen.list, e); seen.Unlock() }
			})
			zones, err := c.VPC.GetZoneList(context.Background())
			if err != nil || len(zones) != 1 {
				t.Fatalf("%v, %v", zones, err)
			}
			if n := f.count("getZoneList"); n != 3 {
				t.Errorf("%d calls", n)
			}
			if len(seen.list) != 2 || seen.list[0].Action != "getZoneList" || seen.list[0].Err == nil {
				t.Errorf("repetitions were not told: %+v", seen.list)
			}
		})
	}
}

func TestReadsGiveUp(t *testing.T) {
	t.Parallel()
	c, f := start(t, map[string][]any{
		"getZoneList":   {business(500, "1000", "later")},
		"getRegionList": {gateway(401, "200", "Authentication Failed", "Invalid authentication information.")},
		"getVpcList":    {business(400, "1100000", "Parameter is invalid.")},
	})
	if _, err := c.VPC.GetZoneList(context.Background()); !IsTransient(err) || f.count("getZoneList") != 4 {
		t.Errorf("%d calls, %v", f.count("getZoneList"), err)
	}
	_, err := c.VPC.GetRegionList(context.Background())
	if !IsAuth(err) || f.count("getRegionList") != 1 || !strings.Contains(err.Error(), "the keys came from the test") {
		t.Errorf("%d calls, %v", f.count("getRegionList"), err)
	}
	if _, err := c.VPC.GetVpcList(context.Background(), VPCFilter{}); err == nil || f.count("getVpcList") != 1 {
		t.Errorf("%d calls, %v", f.count("getVpcList"), err)
	}
}

func TestCancelEndsACall(t *testing.T) {
	t.Parallel()
	c, _ := start(t, map[string][]any{"getZoneList": {hang{}}})
	ctx, cancel := context.WithTimeoutCause(context.Background(), 50*time.Millisecond, errors.New("stopped by the user"))
	defer cancel()
	began := time.Now()
	_, err := c.VPC.GetZoneList(ctx)
	if err == nil || !strings.Contains(err.Error(), "stopped by the user") || time.Since(began) > 2*time.Second {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
}

func TestPatienceWithThrottling(t *testing.T) {
	t.Parallel()
	c, f := start(t, map[string][]any{"createInitScript": {gateway(429, "420", "Rate Limited", "")}})
	began := time.Now()
	_, err := c.VPC.CreateInitScript(context.Background(), CreateInitScript{Name: "a", Content: "#!/bin/sh"})
	if e, ok := errors.AsType[*APIError](err); !ok || !e.Throttled || f.count("createInitScript") < 5 || time.Since(began) < 90*time.Millisecond {
		t.Errorf("%d calls in %s: %v", f.count("createInitScript"), time.Since(began), err)
	}
}

// TestWriteIsNotDoubled: without a way to look, a write whose answer is lost is made once.
func TestWriteIsNotDoubled(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]any{"500": business(500, "1000", "later"), "dropped": drop{}, "garbled": `{"x`, "no object": ok("createServerInstances", "")} {
		c, f := start(t, map[string][]any{"createServerInstances": {trouble}})
		_, err := c.VPC.CreateServerInstances(context.Background(), CreateServer{})
		if !IsUncertain(err) || f.count("createServerInstances") != 1 {
			t.Errorf("%s: %d calls, %v", name, f.count("createServerInstances"), err)
		}
	}
}

// scripts is a tiny cloud of init scripts.
type scripts struct{ names []string }

func (s *scripts) list(form url.Values) any {
	var items []string
	for i, n := range s.names {
		items = append(items, fmt.Sprintf(`{"initScriptNo": "%d", "initScriptName": %q}`, i+1, n))
	}
	return ok("getInitScriptList", fmt.Sprintf(`"totalRows": %d, "initScriptList": [%s]`, len(items), strings.Join(items, ",")))
}

func (s *scripts) add(form url.Values) any {
	name := form.Get("initScriptName")
	if slices.Contains(s.names, name) {
		return business(400, "10300", "Instance name is already in use.")
	}
	s.names = append(s.names, name)
	return ok("createInitScript", fmt.Sprintf(`"initScriptList": [{"initScriptNo": "%d", "initScriptName": %q}]`, len(s.names), name))
}

func TestLostAnswers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		first   func(s *scripts) any // the reply to the first create
		made    int                  // init scripts called "x" in the end
		calls   int
		wantErr bool
	}{
		{"processed, answer lost", func(s *scripts) any { return handle(func(f url.Values) any { s.add(f); return drop{} }) }, 1, 1, false},
		{"processed, 500", func(s *scripts) any {
			return handle(func(f url.Values) any { s.add(f); return business(500, "1000", "later") })
		}, 1, 1, false},
		{"processed, garbled", func(s *scripts) any { return handle(func(f url.Values) any { s.add(f); return `{"create` }) }, 1, 1, false},
		{"not processed, dropped", func(s *scripts) any { return drop{} }, 1, 2, false},
		{"not processed, 503", func(s *scripts) any { return gateway(503, "500", "Endpoint Error", "") }, 1, 2, false},
		{"refused", func(s *scripts) any { return business(400, "900", "Required field") }, 0, 1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &scripts{names: []string{"other"}}
			c, f := start(t, map[string][]any{
				"getInitScriptList": {handle(s.list)},
				"createInitScript":  {tt.first(s), handle(s.add)},
			})
			got, err := c.VPC.CreateInitScript(context.Background(), CreateInitScript{Name: "x", Content: "#!/bin/sh"})
			if (err != nil) != tt.wantErr {
				t.Fatal(err)
			}
			if err == nil && (got.No != "2" || got.Name != "x") {
				t.Errorf("got %+v", got)
			}
			n := 0
			for _, name := range s.names {
				if name == "x" {
					n++
				}
			}
			if n != tt.made || f.count("createInitScript") != tt.calls {
				t.Errorf("made %d with %d calls", n, f.count("createInitScript"))
			}
		})
	}
}

// TestCancelledWriteIsKnown: a create that is on its way when the context ends is not given up: its number is learned, from
// its answer or by looking. Nothing is begun after that.
func TestCancelledWriteIsKnown(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(made any) any{
		"answered":    func(made any) any { return made },
		"answer lost": func(any) any { return drop{} },
		"500":         func(any) any { return business(500, "1000", "later") },
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		s := &scripts{names: []string{"other"}}
		c, f := start(t, map[string][]any{
			"getInitScriptList": {handle(s.list)},
			"createInitScript": {handle(func(form url.Values) any {
				made := s.add(form)
				cancel(errors.New("stopped by the user"))
				time.Sleep(50 * time.Millisecond) // a call given up would have ended by now
				return answer(made)
			})},
		})
		got, err := c.VPC.CreateInitScript(ctx, CreateInitScript{Name: "x"})
		if err != nil || got.No != "2" || f.count("createInitScript") != 1 {
			t.Errorf("%s: %+v, %v, %d calls", name, got, err, f.count("createInitScript"))
		}
		_, err = c.VPC.CreateInitScript(ctx, CreateInitScript{Name: "y"})
		if err == nil || !strings.Contains(err.Error(), "stopped by the user") || f.count("createInitScript") != 1 {
			t.Errorf("%s: after the end: %v, %d calls", name, err, f.count("createInitScript"))
		}
	}
}

// TestCancelledWriteIsNotRepeated: what did not happen by the time the context ends is not tried again; a call that hangs
// is given up, in doubt.
func TestCancelledWriteIsNotRepeated(t *testing.T) {
	t.Parallel()
	for name, reply := range map[string]any{"lost": drop{}, "busy": business(400, "1001015", "busy"), "hangs": hang{}} {
		ctx, cancel := context.WithCancelCause(t.Context())
		s := &scripts{}
		c, f := start(t, map[string][]any{
			"getInitScriptList": {handle(s.list)},
			"createInitScript": {handle(func(url.Values) any {
				cancel(errors.New("stopped by the user"))
				return reply
			})},
		}, func(o *Options) { o.Settle = 200 * time.Millisecond })
		_, err := c.VPC.CreateInitScript(ctx, CreateInitScript{Name: "x"})
		if err == nil || IsUncertain(err) != (name != "busy") || f.count("createInitScript") != 1 {
			t.Errorf("%s: %v, %d calls", name, err, f.count("createInitScript"))
		}
	}
}

// TestNeverAdoptsAForeigner: an object of the name that was there before is not ours, whatever happens.
func TestNeverAdoptsAForeigner(t *testing.T) {
	t.Parallel()
	s := &scripts{names: []string{"x"}}
	c, _ := start(t, map[string][]any{"getInitScriptList": {handle(s.list)}, "createInitScript": {drop{}, handle(s.add)}})
	got, err := c.VPC.CreateInitScript(context.Background(), CreateInitScript{Name: "x"})
	if !IsExists(err) || got.No != "" {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestLateEffect: the lost create shows up only when it is tried again and refused: it is taken then.
func TestLateEffect(t *testing.T) {
	t.Parallel()
	s := &scripts{}
	c, f := start(t, map[string][]any{
		"getInitScriptList": {handle(s.list)},
		"createInitScript": {drop{}, handle(func(form url.Values) any {
			s.add(form)
			return business(400, "10300", "Instance name is already in use.")
		})},
	})
	got, err := c.VPC.CreateInitScript(context.Background(), CreateInitScript{Name: "x"})
	if err != nil || got.No != "1" || f.count("createInitScript") != 2 {
		t.Errorf("%+v, %v, %d calls", got, err, f.count("createInitScript"))
	}
}

// TestLostKey: a key pair whose private half was lost is deleted and made anew; a foreign key is left alone.
func TestLostKey(t *testing.T) {
	t.Parallel()
	for _, foreign := range []bool{false, true} {
		keys := map[string]bool{}
		if foreign {
			keys["k"] = true
		}
		made := 0
		c, f := start(t, map[string][]any{
			"getLoginKeyList": {handle(func(url.Values) any {
				if keys["k"] {
					return ok("getLoginKeyList", `"loginKeyList": [{"keyName": "k"}]`)
				}
				return ok("getLoginKeyList", `"loginKeyList": []`)
			})},
			"createLoginKey": {handle(func(url.Values) any {
				if keys["k"] {
					return business(400, "10405", "The key name already exists.")
				}
				keys["k"] = true
				made++
				if made == 1 {
					return drop{}
				}
				return ok("createLoginKey", `"keyName": "k", "privateKey": "PEM"`)
			})},
			"deleteLoginKeys": {handle(func(form url.Values) any {
				delete(keys, form.Get("keyNameList.1"))
				return ok("deleteLoginKeys", "")
			})},
		})
		k, err := c.VPC.CreateLoginKey(context.Background(), "k")
		if foreign {
			if !IsExists(err) || f.count("deleteLoginKeys") != 0 {
				t.Errorf("foreign key: %v, %d deletes", err, f.count("deleteLoginKeys"))
			}
			continue
		}
		if err != nil || k.PrivateKey != "PEM" || made != 2 {
			t.Errorf("%v, %v, made %d", k, err, made)
		}
		if s := fmt.Sprintf("%v %+v %#v", k, k, k); strings.Contains(s, "PEM") {
			t.Errorf("a private key prints: %s", s)
		}
	}
}

func TestGoals(t *testing.T) {
	t.Parallel()
	stopped := ok("getServerInstanceDetail", `"serverInstanceList": [{"serverInstanceNo": "1", "serverInstanceStatus": {"code": "NSTOP"}, "serverInstanceOperation": {"code": "NULL"}}]`)
	running := strings.Replace(stopped, "NSTOP", "RUN", 1)
	gone := ok("getServerInstanceDetail", `"serverInstanceList": []`)
	ctx := context.Background()

	c, _ := start(t, map[string][]any{"stopServerInstances": {business(400, "25041", "wrong state")}, "getServerInstanceDetail": {stopped}})
	if err := c.VPC.StopServerInstances(ctx, "1"); err != nil {
		t.Errorf("a server that is stopped already: %v", err)
	}
	c, _ = start(t, map[string][]any{"stopServerInstances": {business(400, "25041", "wrong state")}, "getServerInstanceDetail": {running}})
	if err := c.VPC.StopServerInstances(ctx, "1"); !IsState(err) {
		t.Errorf("a server that does not stop: %v", err)
	}
	c, f := start(t, map[string][]any{"terminateServerInstances": {drop{}}, "getServerInstanceDetail": {gone}})
	if err := c.VPC.TerminateServerInstances(ctx, "1"); err != nil || f.count("terminateServerInstances") != 1 {
		t.Errorf("a lost terminate that worked: %v", err)
	}
	c, f = start(t, map[string][]any{"terminateServerInstances": {drop{}, ok("terminateServerInstances", "")}, "getServerInstanceDetail": {stopped}})
	if err := c.VPC.TerminateServerInstances(ctx, "1"); err != nil || f.count("terminateServerInstances") != 2 {
		t.Errorf("a lost terminate that did not: %v", err)
	}
	c, _ = start(t, map[string][]any{"terminateServerInstances": {business(400, "24120", "number is invalid")}, "getServerInstanceDetail": {gone}})
	if err := c.VPC.TerminateServerInstances(ctx, "1"); err != nil {
		t.Errorf("a server that is gone: %v", err)
	}
	c, f = start(t, map[string][]any{"rebootServerInstances": {drop{}}})
	if err := c.VPC.RebootServerInstances(ctx, "1"); !IsUncertain(err) || f.count("rebootServerInstances") != 1 {
		t.Errorf("a lost reboot: %v, %d calls", err, f.count("rebootServerInstances"))
	}
	c, f = start(t, map[string][]any{"deleteAccessControlGroup": {business(400, "1007009", ""), business(400, "1007009", ""), ok("deleteAccessControlGroup", "")}})
	if err := c.VPC.DeleteAccessControlGroup(ctx, "1", "2"); err != nil || f.count("deleteAccessControlGroup") != 3 {
		t.Errorf("a busy ACG: %v, %d calls", err, f.count("deleteAccessControlGroup"))
	}
}

// TestUserDataOnce: the SDK encodes UserData in the request it is given; every attempt must send the same.
func TestUserDataOnce(t *testing.T) {
	t.Parallel()
	c, f := start(t, map[string][]any{
		"createServerInstances": {gateway(429, "410", "Throttle", ""), business(400, "25013", "busy"), ok("createServerInstances", `"serverInstanceList": [{"serverInstanceNo": "9", "serverName": "s"}]`)},
	})
	q := CreateServer{Name: "s", UserData: "#!/bin/sh\necho hi + bye\n"}
	if _, err := c.Classic.CreateServerInstances(context.Background(), q); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, call := range f.calls {
		if call.action == "createServerInstances" {
			n++
			text, err := base64.StdEncoding.DecodeString(call.form.Get("userData"))
			if err != nil || string(text) != q.UserData {
				t.Errorf("attempt %d sent %q", n, call.form.Get("userData"))
			}
		}
	}
	if n != 3 {
		t.Errorf("%d attempts", n)
	}
}

func TestListParametersAreEscaped(t *testing.T) {
	t.Parallel()
	c, f := start(t, nil)
	ids := []string{"a+b@example.com", "x&y=z@example.com", "한글"}
	c.VPC.AddServerImageSharingPermission(context.Background(), "1", ids)
	form := f.calls[0].form
	for i, id := range ids {
		if got := form.Get(fmt.Sprintf("targetLoginIdList.%d", i+1)); got != id {
			t.Errorf("sent %q for %q", got, id)
		}
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	const total = 230
	c, f := start(t, map[string][]any{"getServerInstanceList": {handle(func(form url.Values) any {
		page, size := 1, 20 // what the API sends unasked
		fmt.Sscan(form.Get("pageNo"), &page)
		fmt.Sscan(form.Get("pageSize"), &size)
		var items []string
		for i := (page - 1) * size; i < min(page*size, total); i++ {
			items = append(items, fmt.Sprintf(`{"serverInstanceNo": "%d"}`, i))
		}
		return ok("getServerInstanceList", fmt.Sprintf(`"totalRows": %d, "serverInstanceList": [%s]`, total, strings.Join(items, ",")))
	})}})
	for name, get := range map[string]func(context.Context, ServerFilter) ([]Server, error){"VPC": c.VPC.GetServerInstanceList, "Classic": c.Classic.GetServerInstanceList} {
		servers, err := get(context.Background(), ServerFilter{})
		seen := map[string]bool{}
		for _, s := range servers {
			seen[s.No] = true
		}
		if err != nil || len(servers) != total || len(seen) != total {
			t.Errorf("%s: %d servers, %d different, %v", name, len(servers), len(seen), err)
		}
	}
	if n := f.count("getServerInstanceList"); n != 8 {
		t.Errorf("%d calls", n)
	}
}

func TestPanicIsAnError(t *testing.T) {
	t.Parallel()
	c, _ := start(t, nil)
	_, e := invoke(context.Background(), c, context.WithCancel, func(*vsv, *vserver.GetZoneListRequest) (*vserver.GetZoneListResponse, error) {
		panic("index out of range")
	},
		vserver.GetZoneListRequest{}, "nothing")
	if e == nil || !strings.Contains(e.Error(), "index out of range") || e.Action != "getZoneList" {
		t.Errorf("got %v", e)
	}
}

func TestNoConnection(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // nobody listens there now
	c, _ := start(t, nil, func(o *Options) { o.Endpoint = "http://" + l.Addr().String() })
	_, err = c.VPC.CreateInitScript(context.Background(), CreateInitScript{})
	if err == nil || IsUncertain(err) || !strings.Contains(err.Error(), "check the network") {
		t.Errorf("got %v", err)
	}
}

// TestErrorsHoldNoKey provokes every kind of error and looks for the keys in its text.
func TestErrorsHoldNoKey(t *testing.T) {
	t.Parallel()
	for _, trouble := range []any{drop{}, hang{}, `{"x`, business(500, "1", "x"), gateway(401, "200", "Authentication Failed", ""), reply{status: 302, header: map[string]string{"Location": "http://127.0.0.1:1/"}}} {
		c, _ := start(t, map[string][]any{"getRootPassword": {trouble}}, func(o *Options) { o.ReadTimeout = 20 * time.Millisecond })
		_, err := c.VPC.GetRootPassword(context.Background(), "1", "-----BEGIN RSA PRIVATE KEY-----")
		if err == nil {
			t.Fatalf("%v: no error", trouble)
		}
		for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", c.o.Credentials)} {
			for _, secret := range []string{testAccess, testSecret, "BEGIN RSA"} {
				if strings.Contains(text, secret) {
					t.Errorf("%q is in %s", secret, text)
				}
			}
		}
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	c, _ := start(t, nil)
	ctx := context.Background()
	var steps []Progress
	n := 0
	err := c.Wait(ctx, WaitFor{What: "it", Timeout: time.Minute, Progress: func(p Progress) { steps = append(steps, p) }, Poll: func(context.Context) (string, bool, error) {
		n++
		return fmt.Sprint("state ", n), n == 3, nil
	}})
	if err != nil || len(steps) != 2 || steps[1].State != "state 2" || steps[1].What != "it" || steps[1].Left <= 0 {
		t.Errorf("%v, %+v", err, steps)
	}

	fatal := errors.New("it is broken")
	err = c.Wait(ctx, WaitFor{What: "it", Timeout: time.Minute, Poll: func(context.Context) (string, bool, error) { return "bad", false, fatal }})
	if !errors.Is(err, fatal) || !strings.Contains(err.Error(), "waiting for it") {
		t.Errorf("got %v", err)
	}
	began := time.Now()
	err = c.Wait(ctx, WaitFor{What: "it", Timeout: 50 * time.Millisecond, Poll: func(context.Context) (string, bool, error) { return "RUN/SHTDN", false, nil }})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "gave up after") || !strings.Contains(err.Error(), "RUN/SHTDN") || time.Since(began) > time.Second {
		t.Errorf("got %v", err)
	}
	cancelled, cancel := context.WithCancelCause(ctx)
	time.AfterFunc(20*time.Millisecond, func() { cancel(errors.New("Ctrl-C")) })
	err = c.Wait(cancelled, WaitFor{What: "it", Timeout: time.Minute, Poll: func(context.Context) (string, bool, error) { return "", false, nil }})
	if err == nil || !strings.Contains(err.Error(), "Ctrl-C") {
		t.Errorf("got %v", err)
	}
}

// TestWaitStandsAnOutage: what is waited for goes on while the API cannot be asked; a write in doubt is no such thing.
func TestWaitStandsAnOutage(t *testing.T) {
	t.Parallel()
	trouble := business(500, "1000", "later")
	c, f := start(t, map[string][]any{"getZoneList": {trouble, trouble, trouble, trouble, trouble, trouble, ok("getZoneList", "")}, "createServerInstances": {trouble}},
		func(o *Options) { o.Retry.Patience = 10 * time.Second })
	err := c.Wait(context.Background(), WaitFor{What: "it", Timeout: time.Minute, Poll: func(ctx context.Context) (string, bool, error) {
		_, err := c.VPC.GetZoneList(ctx)
		return "", err == nil, err
	}})
	if err != nil || f.count("getZoneList") != 7 {
		t.Errorf("%v after %d calls", err, f.count("getZoneList"))
	}
	err = c.Wait(context.Background(), WaitFor{What: "it", Timeout: time.Minute, Poll: func(ctx context.Context) (string, bool, error) {
		_, err := c.VPC.CreateServerInstances(ctx, CreateServer{})
		return "", err == nil, err
	}})
	if !IsUncertain(err) || f.count("createServerInstances") != 1 {
		t.Errorf("%v after %d calls", err, f.count("createServerInstances"))
	}
}

// TestNetworkAway: once the API was reached, an endpoint that refuses connections is waited for.
func TestNetworkAway(t *testing.T) {
	t.Parallel()
	f := &fake{t: t}
	srv := httptest.NewServer(f)
	address := srv.Listener.Addr().String()
	c, _ := start(t, nil, func(o *Options) {
		o.Endpoint = srv.URL
		o.Retry.Patience = 10 * time.Second
		o.Retry.Max = 20 * time.Millisecond
	})
	if _, err := c.VPC.GetZoneList(context.Background()); err != nil {
		t.Fatal(err)
	}
	srv.Close()
	back := make(chan *httptest.Server, 1)
	time.AfterFunc(200*time.Millisecond, func() {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Error(err)
			back <- nil
			return
		}
		again := &httptest.Server{Listener: l, Config: &http.Server{Handler: f}}
		again.Start()
		back <- again
	})
	_, err := c.VPC.GetZoneList(context.Background())
	if again := <-back; again != nil {
		again.Close()
	}
	if err != nil {
		t.Error(err)
	}
}

func TestConversions(t *testing.T) {
	t.Parallel()
	c, _ := start(t, map[string][]any{
		"getServerInstanceList": {ok("getServerInstanceList", `"totalRows": 1, "serverInstanceList": [{"serverInstanceNo": "1", "serverName": "s", "region": {"regionNo": "7", "regionCode": "SGN"},
			"zone": {"zoneNo": "8"}, "userData": "`+base64.StdEncoding.EncodeToString([]byte("#!/bin/sh"))+`", "accessControlGroupList": [{"accessControlGroupConfigurationNo": "4", "isDefaultGroup": true}]}]`)},
		"getPublicIpInstanceList":       {ok("getPublicIpInstanceList", `"publicIpInstanceList": [{"publicIpInstanceNo": "3", "serverInstanceAssociatedWithPublicIp": {"serverInstanceNo": "1"}}]`)},
		"getAccessControlGroupRuleList": {ok("getAccessControlGroupRuleList", `"accessControlGroupRuleList": [{"protocolType": {"code": "TCP", "number": 6}, "ipBlock": "10.0.0.0/8", "portRange": "22", "accessControlGroupRuleType": {"code": "INBND"}}]`)},
	})
	s, err := c.Classic.GetServerInstanceDetail(context.Background(), "1")
	if err != nil || s.RegionCode != "SGN" || s.ZoneNo != "8" || s.UserData != "#!/bin/sh" || len(s.ACGs) != 1 || !s.ACGs[0].IsDefault {
		t.Errorf("%+v, %v", s, err)
	}
	p, err := c.Classic.GetPublicIpInstanceDetail(context.Background(), "3")
	if err != nil || p.ServerNo != "1" {
		t.Errorf("%+v, %v", p, err)
	}
	rules, err := c.VPC.GetAccessControlGroupRuleList(context.Background(), "1", Inbound)
	want := Rule{Protocol: "TCP", IPBlock: "10.0.0.0/8", PortRange: "22"}
	if err != nil || !hasRule(rules, want) || hasRule(rules, Rule{Protocol: "UDP", IPBlock: "10.0.0.0/8", PortRange: "22"}) || !hasRule(rules, Rule{Protocol: "6", IPBlock: "10.0.0.0/8", PortRange: "22"}) {
		t.Errorf("%+v, %v", rules, err)
	}
	if _, err := json.Marshal(s); err != nil {
		t.Error(err)
	}
}
