package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/ncloud"
)

func TestKindOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		p    config.Platform
		hv   string
		want Kind
	}{
		{config.Classic, "", ClassicMember}, {config.VPC, "XEN", VPCMember}, {config.VPC, "RHV", VPCMember}, {config.VPC, "KVM", VPCServer}, {config.VPC, "", ""}, {"", "", ""},
	} {
		if got, err := KindOf(tt.p, tt.hv); got != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("%s %s: %q, %v", tt.p, tt.hv, got, err)
		}
	}
}

func TestStopStep(t *testing.T) {
	t.Parallel()
	for state, want := range map[string]step{
		"RUN/NULL": ask, "RUN/SHTDN": busy, "RUN/SETUP": busy, "NSTOP/NULL": stopped, "NSTOP/COPY": busy, "NSTOP/TERMT": hopeless, "TERMT/NULL": hopeless,
		"FSTOP/NULL": hopeless, "SD_FL/NULL": hopeless, "INIT/NULL": busy, "CREAT/START": busy, "RUN/HSHTD": busy,
	} {
		status, op, _ := strings.Cut(state, "/")
		if got := stopStep(status, op); got != want {
			t.Errorf("%s: %v, want %v", state, got, want)
		}
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		s    state
		want outcome
	}{
		{state{"INIT", "CREAT", "creating"}, coming}, {state{"INIT", "NULL", "initialized"}, coming}, {state{"CREAT", "NULL", "created"}, ready},
		{state{"CREAT", "CREAT", "copying"}, coming}, {state{"CREFL", "NULL", "createFailed"}, failed}, {state{"INIT", "CREAT", "createFailed"}, failed},
		{state{"CREAT", "TERMT", "terminating"}, failed}, {state{"CREAT", "", ""}, ready}, {state{"NEWST", "NULL", ""}, coming},
	} {
		if got := judge(tt.s); got != tt.want {
			t.Errorf("%v: %v, want %v", tt.s, got, tt.want)
		}
	}
}

// api answers actions from scripts; the last reply of an action is repeated. A status other than 200 is "400 code".
type api struct {
	mu      sync.Mutex
	replies map[string][]string
	calls   []string
	forms   []url.Values
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	form, _ := url.ParseQuery(string(body))
	action := path.Base(r.URL.Path)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls, a.forms = append(a.calls, action), append(a.forms, form)
	rs := a.replies[action]
	if len(rs) == 0 {
		fmt.Fprintf(w, `{"%sResponse": {"returnCode": "0"}}`, action)
		return
	}
	if len(rs) > 1 {
		a.replies[action] = rs[1:]
	}
	if rs[0] == "drop" {
		conn, _, _ := w.(http.Hijacker).Hijack()
		conn.Close()
		return
	}
	if code, ok := strings.CutPrefix(rs[0], "400 "); ok {
		w.WriteHeader(400)
		fmt.Fprintf(w, `{"responseError": {"returnCode": %q, "returnMessage": "no"}}`, code)
		return
	}
	fmt.Fprintf(w, `{"%sResponse": {"returnCode": "0", %s}}`, action, rs[0])
}

func (a *api) count(action string) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.calls {
		if c == action {
			n++
		}
	}
	return n
}

func start(t *testing.T, replies map[string][]string) (*Imager, *api) {
	a := &api{replies: replies}
	srv := httptest.NewServer(a)
	t.Cleanup(srv.Close)
	c, err := ncloud.New(ncloud.Options{Endpoint: srv.URL, Credentials: ncloud.Credentials{AccessKey: "a", SecretKey: "s"}, RegionCode: "SGN", RegionNo: "7",
		Retry: ncloud.Retry{First: time.Millisecond, Max: 2 * time.Millisecond, Attempts: 3, Patience: 50 * time.Millisecond}, Pace: ncloud.Pace{First: time.Millisecond, Max: 2 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return &Imager{Client: c, StopTimeout: 5 * time.Second, StartTimeout: 5 * time.Second, ImageTimeout: 5 * time.Second, Missing: 50 * time.Millisecond}, a
}

func server(status, operation string) string {
	return fmt.Sprintf(`"serverInstanceList": [{"serverInstanceNo": "1", "serverInstanceStatus": {"code": %q}, "serverInstanceOperation": {"code": %q}}]`, status, operation)
}

func TestStop(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		states []string
		refuse string // reply to the stop
		asked  int    // stops asked for, at least 0 exactly
		wantIn string // error
	}{
		{"in order", []string{server("RUN", "NULL"), server("RUN", "SHTDN"), server("NSTOP", "NULL")}, "", 1, ""},
		{"stopped already", []string{server("NSTOP", "NULL")}, "", 0, ""},
		{"shuts itself down meanwhile", []string{server("RUN", "NULL"), server("RUN", "NULL"), server("NSTOP", "NULL")}, "400 25041", 1, ""},
		{"set up first", []string{server("RUN", "SETUP"), server("RUN", "SETUP"), server("RUN", "NULL"), server("RUN", "SHTDN"), server("NSTOP", "NULL")}, "", 1, ""},
		{"broke", []string{server("RUN", "SHTDN"), server("FSTOP", "NULL")}, "", 0, "FSTOP"},
		{"gone", []string{`"serverInstanceList": []`}, "", 0, "server 1: not found"},
		{"not allowed", []string{server("RUN", "NULL")}, "400 900", 1, "code 900"},
	} {
		for _, p := range []config.Platform{config.VPC, config.Classic} {
			t.Run(tt.name+" "+string(p), func(t *testing.T) {
				t.Parallel()
				action := "getServerInstanceDetail"
				if p == config.Classic {
					action = "getServerInstanceList"
				}
				replies := map[string][]string{action: slices.Clone(tt.states)}
				if tt.refuse != "" {
					replies["stopServerInstances"] = []string{tt.refuse}
				}
				m, a := start(t, replies)
				err := m.Stop(context.Background(), p, "1")
				if tt.wantIn == "" && err != nil || tt.wantIn != "" && (err == nil || !strings.Contains(err.Error(), tt.wantIn)) {
					t.Errorf("got %v", err)
				}
				if n := a.count("stopServerInstances"); n != tt.asked {
					t.Errorf("asked %d times", n)
				}
			})
		}
	}
}

var kinds = []struct {
	kind                 Kind
	create, list, detail string
	share                string
	items                string // list key
	no, name, status, op string // field names
}{
	{ClassicMember, "createMemberServerImage", "getMemberServerImageList", "getMemberServerImageList", "addMemberServerImageSharingPermission",
		"memberServerImageList", "memberServerImageNo", "memberServerImageName", "memberServerImageStatus", "memberServerImageOperation"},
	{VPCMember, "createMemberServerImageInstance", "getMemberServerImageInstanceList", "getMemberServerImageInstanceDetail", "addMemberServerImageSharingPermission",
		"memberServerImageInstanceList", "memberServerImageInstanceNo", "memberServerImageName", "memberServerImageInstanceStatus", "memberServerImageInstanceOperation"},
	{VPCServer, "createServerImage", "getServerImageList", "getServerImageDetail", "addServerImageSharingPermission",
		"serverImageList", "serverImageNo", "serverImageName", "serverImageStatus", "serverImageOperation"},
}

// TestKinds runs an image of each kind through its life: started while the server is busy, answer lost, found, waited for,
// shared.
func TestKinds(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		t.Run(string(k.kind), func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			image := func(status, op string) string {
				return fmt.Sprintf(`%q: [{%q: "500", %q: "web", %q: {"code": %q}, %q: {"code": %q}}]`, k.items, k.no, k.name, k.status, status, k.op, op)
			}
			none := fmt.Sprintf(`%q: []`, k.items)

			// Two refusals while the server is busy, each after a look at what bears the name; then the answer is lost.
			m, a := start(t, map[string][]string{k.create: {"400 25018", "400 25008", "drop"}, k.list: {none, none, none, image("INIT", "CREAT")}})
			img, err := m.Start(ctx, Request{Kind: k.kind, ServerNo: "1", Name: "web", Description: "d"})
			if err != nil || img.No != "500" || img.Kind != k.kind || img.Region != "SGN" || a.count(k.create) != 3 {
				t.Fatalf("%+v, %v, %d creates", img, err, a.count(k.create))
			}
			for i, c := range a.calls {
				if region := a.forms[i].Get("regionCode"); k.kind != ClassicMember && region != "SGN" {
					t.Errorf("%s names region %q", c, region)
				}
			}
			if (img.Platform == config.Classic) != (k.kind == ClassicMember) {
				t.Errorf("platform %s", img.Platform)
			}

			m, _ = start(t, map[string][]string{k.detail: {none, image("INIT", "CREAT"), image("INIT", "CREAT"), image("CREAT", "NULL")}})
			if err := m.Wait(ctx, img); err != nil {
				t.Errorf("wait: %v", err)
			}
			for name, replies := range map[string][]string{
				"fails": {image("INIT", "CREAT"), image("CREFL", "NULL")}, "is deleted": {image("INIT", "CREAT"), image("INIT", "TERMT")},
				"vanishes": {image("INIT", "CREAT"), none}, "never comes": {none},
			} {
				m, _ = start(t, map[string][]string{k.detail: replies})
				began := time.Now()
				err := m.Wait(ctx, img)
				if _, ok := errors.AsType[*UnusableError](err); !ok || time.Since(began) > 20*time.Second || strings.Contains(err.Error(), "waiting") || strings.Contains(err.Error(), "delete") {
					t.Errorf("an image that %s: %v after %s", name, err, time.Since(began))
				}
			}
			m, _ = start(t, map[string][]string{k.detail: {image("INIT", "CREAT")}})
			m.ImageTimeout = time.Second
			if err := m.Wait(ctx, img); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "INIT/CREAT") {
				t.Errorf("an image that never ends: %v", err)
			}

			m, _ = start(t, map[string][]string{k.list: {image("CREAT", "NULL")}})
			if found, err := m.Find(ctx, k.kind, "web"); err != nil || found.No != "500" {
				t.Errorf("find: %+v, %v", found, err)
			}
			if _, err := m.Find(ctx, k.kind, "we"); !ncloud.IsNotFound(err) {
				t.Errorf("find of another: %v", err)
			}

			m, a = start(t, nil)
			if err := m.Share(ctx, img, []string{"a@example.com"}); err != nil || a.count(k.share) != 1 || a.forms[0].Get("targetLoginIdList.1") != "a@example.com" {
				t.Errorf("share: %v, %v", err, a.forms)
			}

		})
	}
}

func TestStartRefused(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		m, a := start(t, map[string][]string{k.create: {"400 10300"}})
		_, err := m.Start(context.Background(), Request{Kind: k.kind, ServerNo: "1", Name: "web"})
		if !ncloud.IsExists(err) || a.count(k.create) != 1 || strings.Contains(err.Error(), "waiting") {
			t.Errorf("%s: %v", k.kind, err)
		}
	}
	m, _ := start(t, map[string][]string{"createServerImage": {"400 25018"}})
	ctx, cancel := context.WithCancelCause(context.Background())
	time.AfterFunc(20*time.Millisecond, func() { cancel(errors.New("Ctrl-C")) })
	if _, err := m.Start(ctx, Request{Kind: VPCServer, ServerNo: "1", Name: "web"}); err == nil || !strings.Contains(err.Error(), "Ctrl-C") {
		t.Errorf("cancelled: %v", err)
	}
}

func TestWhose(t *testing.T) {
	t.Parallel()
	const run, other = "tfb-261122-081500-ab12", "tfb-261122-081600-cd34"
	known := Begun{No: "7", Name: "web", ServerNo: "1", Run: run}
	unknown := Begun{Name: "web", ServerNo: "1", Run: run}
	for _, tt := range []struct {
		what  string
		begun Begun
		image Image
		want  Whose
	}{
		{"the number", known, Image{No: "7", Name: "web"}, Ours},
		{"another number", known, Image{No: "8", Name: "web", ServerNo: "1", Description: run}, Others},
		{"another name", unknown, Image{No: "7", Name: "db", ServerNo: "1"}, Others},
		{"its server", unknown, Image{No: "7", Name: "web", ServerNo: "1"}, Ours},
		{"another server", unknown, Image{No: "7", Name: "web", ServerNo: "2"}, Others},
		{"KVM, our description", unknown, Image{No: "7", Name: "web", Description: run}, Ours},
		{"KVM, another run's", unknown, Image{No: "7", Name: "web", Description: other}, Others},
		{"KVM, the user's description", unknown, Image{No: "7", Name: "web", Description: "nginx"}, Doubtful},
		{"our server not known", Begun{Name: "web", Run: run}, Image{No: "7", Name: "web", ServerNo: "2"}, Doubtful},
		{"nothing known", Begun{Run: run}, Image{No: "7"}, Others},
	} {
		if got := tt.begun.Whose(tt.image); got != tt.want {
			t.Errorf("%s: %v", tt.what, got)
		}
	}
}
