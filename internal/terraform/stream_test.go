package terraform

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// feed puts a recorded run through a stream in pieces of n bytes.
func feed(t *testing.T, b []byte, n int) (*stream, *recorder) {
	t.Helper()
	log := &recorder{}
	s := newStream(log)
	w := &lines{to: s}
	for len(b) > 0 {
		k := min(n, len(b))
		if m, err := w.Write(b[:k]); m != k || err != nil {
			t.Fatalf("Write: %d, %v", m, err)
		}
		b = b[k:]
	}
	w.Close()
	return s, log
}

// The recordings in testdata are real runs of Terraform 1.11.4 and OpenTofu 1.10.10: the story of each, and of its errors,
// is compared whole.
func TestRecordedRuns(t *testing.T) {
	files, err := filepath.Glob("testdata/*.jsonl")
	if err != nil || len(files) < 16 {
		t.Fatalf("recordings: %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s, log := feed(t, b, 1<<20)
			var got strings.Builder
			fmt.Fprintf(&got, "%s\n", log)
			if len(s.outputs) > 0 {
				fmt.Fprintf(&got, "outputs: %v\n", s.outputs)
			}
			if len(s.diagnostics) > 0 {
				e := &Error{Op: "run", Diagnostics: s.diagnostics, Hint: hint(s.diagnostics, "", Options{Dir: "DIR"})}
				fmt.Fprintf(&got, "error: %v\n", e)
				for _, d := range s.diagnostics {
					fmt.Fprintf(&got, "address %q attribute %q at %s:%d\n", d.Address, d.Attribute, d.File, d.Line)
				}
			}
			if len(s.text) > 0 || len(s.inFlight) > 0 {
				t.Errorf("not understood: %q, still in flight: %v", s.text, s.inFlight)
			}
			golden := strings.TrimSuffix(file, ".jsonl") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := read(t, golden); got.String() != want {
				t.Errorf("got\n%s\nwant\n%s", got.String(), want)
			}

			// However the bytes arrive, it is the same story.
			for _, n := range []int{1, 7, 4096} {
				s2, log2 := feed(t, b, n)
				if log2.String() != log.String() || !reflect.DeepEqual(s2.diagnostics, s.diagnostics) {
					t.Errorf("in pieces of %d bytes: %s", n, log2)
				}
			}
		})
	}
}

func hook(kind, addr, typ, action string, more string) string {
	return fmt.Sprintf(`{"@level":"info","@module":"terraform.ui","type":%q,"hook":{"resource":{"addr":%q,"resource_type":%q},"action":%q%s}}`+"\n", kind, addr, typ, action, more)
}

func TestStoryOfABake(t *testing.T) {
	const server = "module.bake.ncloud_server.this"
	var b strings.Builder
	b.WriteString(hook("apply_start", server, "ncloud_server", "create", ""))
	for s := 10; s <= 250; s += 10 {
		b.WriteString(hook("apply_progress", server, "ncloud_server", "create", fmt.Sprintf(`,"elapsed_seconds":%d`, s)))
	}
	b.WriteString(hook("apply_complete", server, "ncloud_server", "create", `,"id_key":"id","id_value":"123","elapsed_seconds":252`))
	b.WriteString(hook("apply_start", "module.bake.ncloud_public_ip.this[0]", "ncloud_public_ip", "delete", `,"id_value":"9"`))
	b.WriteString(hook("apply_errored", "module.bake.ncloud_public_ip.this[0]", "ncloud_public_ip", "delete", `,"elapsed_seconds":3`))
	b.WriteString(`{"type":"diagnostic","diagnostic":{"severity":"warning","summary":"Argument is deprecated"}}` + "\n")
	b.WriteString(`{"type":"diagnostic","diagnostic":{"severity":"warning","summary":"Argument is deprecated"}}` + "\n")
	b.WriteString(`{"type":"some_new_thing","hook":{"unknown":[1,2]},"diagnostic":null}` + "\n")
	_, log := feed(t, []byte(b.String()), 100)
	want := `server: creating…
server: still creating (20 s)
server: still creating (40 s)
server: still creating (1 min)
server: still creating (1 min 20 s)
server: still creating (1 min 40 s)
server: still creating (2 min 40 s)
server: still creating (3 min 40 s)
server: created (id 123) in 4 min 12 s
public IP: destroying (id 9)…
public IP: destroying failed after 3 s
warning: Argument is deprecated`
	if log.String() != want {
		t.Errorf("got\n%s\nwant\n%s", log, want)
	}
}

func TestLongAndBrokenLines(t *testing.T) {
	long := strings.Repeat("long ", 200_000) // 1 MB, far over bufio.Scanner's 64 KiB
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"type":"diagnostic","diagnostic":{"severity":"error","summary":"first","detail":%q}}`+"\n", long)
	b.WriteString("{\"type\":\"diagnostic\",\"diagn\n")                                       // cut off by a full disk
	b.WriteString("panic: runtime error\n\ngoroutine 1 [running]:\n")                         // a crash
	b.WriteString(`{"type":"diagnostic","diagnostic":{"severity":"error","summary":"last"}}`) // no newline
	s, _ := feed(t, b.Bytes(), 4096)
	if len(s.diagnostics) != 2 || s.diagnostics[0].Detail != strings.TrimSpace(long) || s.diagnostics[1].Summary != "last" {
		t.Errorf("%d diagnostics", len(s.diagnostics))
	}
	if got := strings.Join(s.text, "|"); got != `{"type":"diagnostic","diagn|panic: runtime error|goroutine 1 [running]:` {
		t.Errorf("text: %s", got)
	}
	var plain bytes.Buffer
	w := bufio.NewWriter(&plain)
	for i := range 1000 {
		fmt.Fprintf(w, "line %d %s\n", i, strings.Repeat("x", 3000))
	}
	w.Flush()
	s, _ = feed(t, plain.Bytes(), 1<<16)
	if len(s.text) != 60 || !strings.HasPrefix(s.text[59], "line 999 ") || len(s.text[0]) > 2100 {
		t.Errorf("kept %d lines, last %.20s", len(s.text), s.text[len(s.text)-1])
	}
}

func TestWaitingFor(t *testing.T) {
	now := time.Date(2026, 1, 14, 9, 30, 0, 0, time.UTC)
	s := newStream(nil) // silent
	s.now = func() time.Time { return now }
	if got := s.waitingFor(); got != "" {
		t.Errorf("idle: %q", got)
	}
	w := &lines{to: s}
	fmt.Fprint(w, hook("apply_start", "module.bake.ncloud_server.this", "ncloud_server", "create", ""))
	now = now.Add(31 * time.Second)
	if got, want := s.waitingFor(), "creating server for 31 s"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 s", 41 * time.Second: "41 s", 125 * time.Second: "2 min 5 s", 120 * time.Second: "2 min", 65 * time.Minute: "1 h 5 min", time.Hour: "1 h", 1600 * time.Millisecond: "2 s",
	} {
		if got := duration(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func TestErrorText(t *testing.T) {
	api := `Status: 400 Bad Request, Body: {"responseError": {"returnCode": "1401", "returnMessage": "Not found server product. Please check\nthe product code."}}`
	server := Diagnostic{Severity: "error", Summary: api, Address: "module.bake.ncloud_server.this", File: "modules/ncloud-bake/main.tf", Line: 90}
	for name, c := range map[string]struct {
		e    Error
		want string
	}{
		"one": {Error{Op: "apply", Err: fmt.Errorf("exit status 1"), Diagnostics: []Diagnostic{server}},
			"terraform apply: server: NCloud says: Not found server product. Please check the product code. (code 1401, HTTP 400) (modules/ncloud-bake/main.tf line 90)"},
		"placed": {Error{Op: "apply", Diagnostics: []Diagnostic{{Summary: "Resource precondition failed", Detail: "Give vpc_no.", Place: "bake.json:12:7: vpc_no"}}, Hint: "do this."},
			"terraform apply: bake.json:12:7: vpc_no: Give vpc_no.\ndo this."},
		"two": {Error{Op: "destroy", Diagnostics: []Diagnostic{{Summary: "a", Detail: "b"}, {Summary: "c", Address: "x.y"}}},
			"terraform destroy:\n  a: b\n  x.y: c"},
		"gateway": {Error{Op: "plan", Diagnostics: []Diagnostic{{Summary: `Status: 401 Unauthorized, Body: {"error":{"errorCode":"200","message":"Authentication Failed","details":"Invalid authentication information."}}`}}},
			"terraform plan: NCloud says: Authentication Failed Invalid authentication information. (code 200, HTTP 401)"},
		"interrupted": {Error{Op: "apply", Canceled: true, Err: fmt.Errorf("Ctrl-C")}, "terraform apply: interrupted: Ctrl-C"},
		"killed":      {Error{Op: "apply", Canceled: true, Killed: true, Err: fmt.Errorf("Ctrl-C")}, "terraform apply: killed: Ctrl-C"},
		"crash": {Error{Op: "apply", Err: fmt.Errorf("exit status 2"), Output: "panic: x\ngoroutine 1", CrashLog: "/d/crash.log", ErroredState: "/d/errored.tfstate"},
			"terraform apply: exit status 2\n  panic: x\n  goroutine 1\nterraform could not save its state and left it in /d/errored.tfstate: \"terraform state push errored.tfstate\" puts it back\nterraform crashed; see /d/crash.log"},
		"not an API answer": {Error{Op: "apply", Diagnostics: []Diagnostic{{Summary: "Status: 500 x, Body: {not json}"}}}, "terraform apply: Status: 500 x, Body: {not json}"},
	} {
		if got := c.e.Error(); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, c.want)
		}
	}
}

func TestHint(t *testing.T) {
	lock := Diagnostic{Summary: "Error acquiring the state lock", Detail: "resource temporarily unavailable\nLock Info:\n  ID:        38c9c3a8-6d2f-4d1a-9a1f-000000000000\n  Path:      terraform.tfstate\n"}
	for _, c := range []struct {
		d    Diagnostic
		o    Options
		want string
	}{
		{lock, Options{}, "terraform force-unlock 38c9c3a8-6d2f-4d1a-9a1f-000000000000"},
		{Diagnostic{Summary: "Failed to query available provider packages"}, Options{}, "-provider embedded"},
		{Diagnostic{Summary: "Failed to query available provider packages"}, Options{Reattach: Reattach{"x": {}}}, ""},
		{Diagnostic{Summary: "Inconsistent dependency lock file"}, Options{Dir: "/d"}, "terraform init in /d"},
		{Diagnostic{Summary: "Authentication Failed"}, Options{}, "and this machine's clock"},
		{Diagnostic{Summary: "Authentication Failed"}, Options{Clock: func() string { return "" }}, "and this machine's clock"},
		{Diagnostic{Summary: "Authentication Failed"}, Options{Clock: func() string { return "this clock is slow" }}, "this clock is slow, and calls signed with it are refused"},
		{Diagnostic{Summary: "whatever"}, Options{}, ""},
	} {
		got := hint([]Diagnostic{c.d}, "", c.o)
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.d.Summary, got, c.want)
		}
	}
}

func TestTransient(t *testing.T) {
	for text, want := range map[string]bool{
		`Status: 400 Bad Request, Body: {"responseError": {"returnCode": "1007009", "returnMessage": null}}`: true,
		`Status: 500 Internal, Body: {"responseError": {"returnCode": "1000", "returnMessage": "x"}}`:        true,
		`Status: 429 Too Many Requests, Body: {"error":{"errorCode":"410","message":"Throttle Limited"}}`:    true,
		`NCloud says: cannot be controlled (code 1100031, HTTP 400)`:                                         true,
		`Post "https://x": read tcp: connection reset by peer`:                                               true,
		`fail to get Server instance, 143116661 doesn't exist`:                                               true,
		`Status: 400 Bad Request, Body: {"responseError": {"returnCode": "1401", "returnMessage": "x"}}`:     false,
		`port must be between 1 and 65535.`:                                                                  false,
	} {
		e := &Error{Diagnostics: []Diagnostic{{Summary: "Error", Detail: text}}}
		if e.Transient() != want {
			t.Errorf("%s: %v", text, !want)
		}
	}
	mixed := &Error{Diagnostics: []Diagnostic{{Summary: "Endpoint Error"}, {Summary: "Not found"}}}
	if mixed.Transient() || (&Error{}).Transient() {
		t.Error("one lasting error, or none, makes it lasting")
	}
}
