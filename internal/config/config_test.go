package config

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// loadText loads a template held in a string under the given file name.
func loadText(t *testing.T, name, text string, change func(*Options)) (*Template, hcl.Diagnostics) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	o := testOptions(dir)
	if change != nil {
		change(&o)
	}
	return Load(context.Background(), name, o)
}

const base = `"type": "ncloud", "server_image_product_code": "SPSW0LINUX000130"`

func TestStdin(t *testing.T) {
	for _, c := range []struct{ name, text string }{
		{"json", `{"builders": [{` + base + `}]}`},
		{"hcl", "source \"ncloud\" \"x\" {\n server_image_number = 1\n}\nbuild {\n sources = [\"source.ncloud.x\"]\n}\n"},
	} {
		o := testOptions(t.TempDir())
		o.Stdin = strings.NewReader(c.text)
		tmpl, diags := Load(context.Background(), "-", o)
		if diags.HasErrors() || len(tmpl.Builds) != 1 {
			t.Errorf("%s: %v", c.name, diags)
		}
	}
	_, diags := Load(context.Background(), "-", testOptions(t.TempDir()))
	if !diags.HasErrors() {
		t.Error("an empty standard input was taken for a template")
	}
}

func TestUnreadable(t *testing.T) {
	o := testOptions(t.TempDir())
	for _, path := range []string{"nowhere.json", "nowhere.pkr.hcl"} {
		_, diags := Load(context.Background(), path, o)
		if len(diags) != 1 || diags[0].Summary != path+" cannot be read" {
			t.Errorf("%s: %v", path, diags)
		}
	}
	_, diags := loadText(t, "t.json", `{"builders": [{`+base+`}]}`, func(o *Options) { o.VarFiles = []string{"none.json"} })
	if !diags.HasErrors() || !strings.Contains(diags.Error(), "none.json cannot be read") {
		t.Errorf("a missing variable file: %v", diags)
	}
	_, diags = loadText(t, "x.pkrvars.hcl", `a = 1`, nil)
	if !diags.HasErrors() || !strings.Contains(diags.Error(), "is a variable file") {
		t.Errorf("a variable file as template: %v", diags)
	}
}

func TestSyntaxOnly(t *testing.T) {
	_, diags := loadText(t, "t.json", `{"nonsense": true}`, func(o *Options) { o.SyntaxOnly = true })
	if len(diags) != 0 {
		t.Errorf("%v", diags)
	}
	_, diags = loadText(t, "t.pkr.hcl", `nonsense {}`, func(o *Options) { o.SyntaxOnly = true })
	if len(diags) != 0 {
		t.Errorf("%v", diags)
	}
	_, diags = loadText(t, "t.pkr.hcl", `nonsense {`, func(o *Options) { o.SyntaxOnly = true })
	if !diags.HasErrors() {
		t.Error("bad syntax passed")
	}
}

// The place of a key is known under its old spelling as well.
func TestSourceRange(t *testing.T) {
	tmpl, diags := loadText(t, "t.json", "{\"builders\": [{\n\"type\": \"ncloud\", \"server_image_product_code\": \"A\",\n\"server_description\": \"old spelling\"}]}", nil)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	s := tmpl.Builds[0].Source
	if !s.Has("server_image_description") || s.Has("region") {
		t.Error("Has is wrong")
	}
	if r := s.Range("server_image_description"); r.Start.Line != 3 || r.Start.Column != 23 {
		t.Errorf("at %v", r)
	}
	if r := s.Range("region"); r.Start.Line != 2 || r.Start.Column != 9 {
		t.Errorf("a key that is not set points to %v, not the builder", r)
	}
}

// A step is resolved anew each time, from several builds at once.
func TestResolveConcurrently(t *testing.T) {
	for name, text := range map[string]string{
		"t.json":    `{"variables": {"a": "x"}, "builders": [{` + base + `}], "provisioners": [{"type": "shell", "inline": ["{{user ` + "`a`" + `}}-{{build ` + "`Host`" + `}}"]}]}`,
		"t.pkr.hcl": "locals {\n a = \"x\"\n}\nsource \"ncloud\" \"x\" {\n server_image_number = 1\n}\nbuild {\n sources = [\"ncloud.x\"]\n provisioner \"shell\" {\n inline = [\"${local.a}-${build.Host}\"]\n }\n}\n",
	} {
		tmpl, diags := loadText(t, name, text, nil)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				host := fmt.Sprintf("10.0.0.%d", i)
				out, diags := tmpl.Builds[0].Steps[0].Resolve(RunValues{Host: host})
				if diags.HasErrors() || out.(*Shell).Inline[0] != "x-"+host {
					t.Errorf("%s: %v %v", name, out, diags)
				}
			}()
		}
		wg.Wait()
		if out, diags := tmpl.Builds[0].Steps[0].Resolve(placeholders()); diags.HasErrors() || !strings.Contains(out.(*Shell).Inline[0], "host") {
			t.Errorf("%s: with placeholders: %v %v", name, out, diags)
		}
	}
}

func TestRenderLater(t *testing.T) {
	got, err := RenderLater(`chmod +x {{.Path}}; {{.Vars}} {{if .EnvVarFile}}x{{else}}y{{end}} {{.Path | upper}}`, map[string]string{"Path": "/tmp/s", "Vars": "A=1", "EnvVarFile": ""})
	if err != nil || got != "chmod +x /tmp/s; A=1 y /TMP/S" {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"{{.Path", "{{.Nothing}}", "{{nothing}}"} {
		if got, err := RenderLater(bad, map[string]string{"Path": "x"}); err == nil {
			t.Errorf("%s gave %q", bad, got)
		}
	}
}

func TestCleanImageName(t *testing.T) {
	for in, want := range map[string]string{
		"packer-test 1700000000": "packer-test-1700000000", "Web__Server": "web-server", "1st": "image-st", "한글": "image", "-a-": "image-a",
		strings.Repeat("abc-", 10): "abc-abc-abc-abc-abc-abc-abc-ab",
	} {
		if got := CleanImageName(in); got != want || !vpcImageName.MatchString(got) {
			t.Errorf("CleanImageName(%q) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{"Web__Server_": "web__server", "_x": "image-x", "My image_1": "my-image_1"} {
		if got := CleanKVMImageName(in); got != want || !kvmImageName.MatchString(got) {
			t.Errorf("CleanKVMImageName(%q) = %q, want %q", in, got, want)
		}
	}
}

// What a builder is told about one key, with its advice.
func TestBuilderAdvice(t *testing.T) {
	const number, xen = `"server_image_number": "104630229"`, `"server_image_product_code": "SW.VSVR.OS.LNX64.ROCKY.0810.B050", "support_vpc": true`
	const ssd = `, "block_storage_size": 10, "block_storage_volume_type": "SSD"`
	for keys, want := range map[string]string{
		number + ssd: "A KVM image would not take an SSD disk|SSD and HDD are for XEN and RHV images; KVM has CB1, CB2, FB1 and FB2.",
		number + strings.Replace(ssd, "SSD", "CB1", 1): "",
		number + ssd + `, "hypervisor": "XEN"`:         "",
		xen + ssd:                                      "",
		number + `, "server_image_name": "Web_1 x_"`:   `"Web_1 x_" cannot be an image name on VPC|made of letters, digits, "-" and "_", begin with a lower-case letter and end with a lower-case letter or digit. Perhaps "web_1-x"?`,
		number + `, "server_image_name": "web_Ab1"`:    "",
		xen + `, "server_image_name": "Web_1"`:         `"Web_1" cannot be an image name on VPC|made of lower-case letters, digits and "-", begin|Perhaps "web-1"?`,
		number + `, "ssh_timeout": "5"`:                `ssh_timeout takes a duration with its unit|Did you mean "5s" or "5m"?`,
		number + `, "ssh_timeout": 90`:                 `ssh_timeout takes a duration with its unit|Did you mean "90s" or "90m"?`,
		number + `, "ssh_timeout": "soon"`:             `ssh_timeout takes a duration with its unit|This is a string.`,
		number + `, "ssh_timeout": "-5"`:               `ssh_timeout takes a duration with its unit|This is a string.`,
		number + `, "ssh_timeout": true`:               `ssh_timeout takes a duration with its unit|This is true.`,
	} {
		_, diags := Load(t.Context(), "-", Options{Stdin: strings.NewReader(`{"builders": [{"type": "ncloud", ` + keys + `}]}`)})
		if want == "" && len(diags) > 0 || want != "" && len(diags) != 1 {
			t.Errorf("%s: %v", keys, diags)
			continue
		}
		for _, part := range strings.Split(want, "|") {
			if part != "" && !strings.Contains(diags[0].Summary+"\n"+diags[0].Detail, part) {
				t.Errorf("%s: %q is not in %s: %s", keys, part, diags[0].Summary, diags[0].Detail)
			}
		}
		if warning := strings.Contains(keys, "SSD"); want != "" && diags.HasErrors() == warning {
			t.Errorf("%s: a warning: want %v", keys, warning)
		}
	}
}

func TestParseVar(t *testing.T) {
	if v, err := ParseVar("a=b=c"); err != nil || v != (Var{"a", "b=c"}) {
		t.Errorf("%v %v", v, err)
	}
	for _, bad := range []string{"a", "=b", ""} {
		if _, err := ParseVar(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// A secret value that is used must be known as one, however it got there.
func TestSensitive(t *testing.T) {
	tmpl, diags := loadText(t, "t.json", `{"variables": {"s": "s3cret-var"}, "sensitive-variables": ["s"],
		"builders": [{`+base+`, "secret_key": "s3cret-key", "ssh_password": "s3cret-ssh"}]}`, nil)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	for _, want := range []string{"s3cret-var", "s3cret-key", "s3cret-ssh"} {
		if !contains(tmpl.Sensitive, want) {
			t.Errorf("%s is not among %q", want, tmpl.Sensitive)
		}
	}
}

func TestDataHTTP(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ip":
			w.Header().Set("X-Method", r.Method+r.Header.Get("X-Ask"))
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "203.0.113.7%s\n", body)
		default:
			http.Error(w, "no", http.StatusNotFound)
		}
	}))
	defer srv.Close()
	text := `data "http" "ip" {
  url             = "URL"
  method          = "POST"
  request_headers = { X-Ask = "!" }
  request_body    = ""
}
source "ncloud" "x" {
  server_image_number      = 1
  source_cidrs             = ["${chomp(data.http.ip.body)}/32"]
  server_image_description = data.http.ip.request_headers["X-Method"]
}
build {
  sources = ["ncloud.x"]
}
`
	client := func(o *Options) { o.HTTP = srv.Client() }
	tmpl, diags := loadText(t, "t.pkr.hcl", strings.Replace(text, "URL", srv.URL+"/ip", 1), client)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if s := tmpl.Builds[0].Source; s.SourceCIDRs[0] != "203.0.113.7/32" || s.ServerImageDescription != "POST!" {
		t.Errorf("%+v", s)
	}
	_, diags = loadText(t, "t.pkr.hcl", strings.Replace(text, "URL", srv.URL+"/none", 1), client)
	if !diags.HasErrors() || !strings.Contains(diags.Error(), "404") {
		t.Errorf("a 404: %v", diags)
	}
	_, diags = loadText(t, "t.pkr.hcl", strings.Replace(text, "url  ", "uri  ", 1), client)
	if !diags.HasErrors() {
		t.Error("data http without url passed")
	}
}

type failingData struct{}

func (failingData) Read(context.Context, string, cty.Value) (cty.Value, error) {
	return cty.NilVal, errors.New("no such image")
}

// Without a way to ask, a data source's values are unknown and nothing is complained of; with one, its error has a place.
func TestDataSource(t *testing.T) {
	text := `data "ncloud-image" "x" {
  name = "ubuntu"
}
source "ncloud" "x" {
  server_image_number = data.ncloud-image.x.number
}
build {
  sources = ["ncloud.x"]
}
`
	tmpl, diags := loadText(t, "t.pkr.hcl", text, nil)
	if diags.HasErrors() || !tmpl.Builds[0].Source.Has("server_image_number") {
		t.Errorf("%v", diags)
	}
	_, diags = loadText(t, "t.pkr.hcl", text, func(o *Options) { o.Data = failingData{} })
	if len(diags) != 1 || diags[0].Subject.Start.Line != 1 || diags[0].Detail != "No such image." {
		t.Errorf("%v", diags)
	}
}

func TestHCLVarFileForJSON(t *testing.T) {
	_, diags := loadText(t, "t.json", `{"variables": {"a": ""}, "builders": [{`+base+`, "region": "{{user `+"`a`"+`}}"}]}`, func(o *Options) {
		if err := os.WriteFile(filepath.Join(o.Cwd, "v.pkrvars.hcl"), []byte("a = \"KR\"\nl = [1]\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		o.VarFiles = []string{"v.pkrvars.hcl"}
	})
	if len(diags) != 1 || !strings.Contains(diags[0].Summary, "l takes a string") {
		t.Errorf("%v", diags)
	}
}

func TestNotes(t *testing.T) {
	tmpl, _ := Load(context.Background(), "H3-packer.pkr.hcl", testOptions(mustAbs(t, "testdata/matrix")))
	if len(tmpl.Notes) == 0 || !strings.HasPrefix(tmpl.Notes[0], "required_plugins (ncloud)") {
		t.Errorf("%q", tmpl.Notes)
	}
}

func mustAbs(t *testing.T, p string) string {
	t.Helper()
	p, err := filepath.Abs(p)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The reference is the decoding table itself; what can be checked is that each row is fit to print and names are unique.
func TestReference(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range Reference() {
		for _, name := range append([]string{d.Name}, d.Aliases...) {
			k := d.Block + " " + d.Of + " " + name
			if seen[k] {
				t.Errorf("%s is there twice", k)
			}
			seen[k] = true
		}
		if d.Doc == "" || !strings.HasSuffix(d.Doc, ".") && !strings.HasSuffix(d.Doc, ".\"") {
			t.Errorf("%s %s %s: doc %q", d.Block, d.Of, d.Name, d.Doc)
		}
	}
	// The keys of PACKER.md 1.6 and 1.8, one by one.
	for _, key := range strings.Fields(`access_key ncloud_access_key secret_key ncloud_secret_key server_image_product_code
		server_product_code member_server_image_no server_image_name server_image_description server_description block_storage_size access_control_group_no
		access_control_group_configuration_no user_data user_data_file region region_code site support_vpc vpc_no subnet_no
		server_image_number server_spec_code hypervisor block_storage_volume_type share_with
		communicator pause_before_connecting ssh_host ssh_port ssh_username ssh_password ssh_private_key_file ssh_certificate_file
		ssh_agent_auth ssh_timeout ssh_wait_timeout ssh_handshake_attempts ssh_pty ssh_disable_agent_forwarding ssh_keep_alive_interval
		ssh_read_write_timeout ssh_clear_authorized_keys ssh_file_transfer_method ssh_bastion_host ssh_bastion_port ssh_bastion_username
		ssh_bastion_password ssh_bastion_interactive ssh_bastion_agent_auth ssh_bastion_private_key_file ssh_bastion_certificate_file
		ssh_proxy_host ssh_proxy_port ssh_proxy_username ssh_proxy_password ssh_local_tunnels ssh_remote_tunnels ssh_ciphers
		ssh_key_exchange_algorithms temporary_key_pair_type temporary_key_pair_bits temporary_key_pair_name ssh_keypair_name
		winrm_username winrm_password winrm_host winrm_port winrm_timeout winrm_use_ssl winrm_insecure winrm_use_ntlm winrm_no_proxy`) {
		if !seen["builder ncloud "+key] {
			t.Errorf("the builder does not know %s", key)
		}
	}
}

func TestWriteDiagnostics(t *testing.T) {
	src := "a\n\t\"한글\": bad\n" + strings.Repeat("x", 300) + "HERE" + strings.Repeat("y", 300) + "\n"
	files := map[string]*hcl.File{"f": {Bytes: []byte(src)}}
	s := newSource("f", []byte(src))
	at := func(sub string) *hcl.Range {
		i := strings.Index(src, sub)
		return s.rng(i, i+len(sub)).Ptr()
	}
	show := func(d *hcl.Diagnostic, columns uint, color bool) string {
		var b bytes.Buffer
		if err := WriteDiagnostics(&b, files, hcl.Diagnostics{d}, columns, color, nil); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for _, c := range []struct {
		name    string
		d       *hcl.Diagnostic
		columns uint
		color   bool
		want    string
	}{
		{"wide letters and tabs", &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Bad", Subject: at("bad")}, 80, false,
			"Error: Bad\n  on f:2:8\n    2 |     \"한글\": bad\n      |             ^^^\n"},
		{"a long line", &hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: "Long", Detail: "word word word word word", Subject: at("HERE")}, 40, false,
			"Warning: Long\n  on f:3:301\n    3 | …xxxxxxxxxxxxxxHEREyyyyyyyyyyyy…\n      |                ^^^^\n  word word word word word\n"},
		{"colour", &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Bad", Subject: at("bad")}, 80, true,
			"\x1b[31mError:\x1b[0m \x1b[1mBad\x1b[0m\n  on f:2:8\n    2 |     \"한글\": bad\n      |             \x1b[31m^^^\x1b[0m\n"},
		{"no place", &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Bad", Detail: "Do this."}, 0, false, "Error: Bad\n  Do this.\n"},
		{"unknown file", &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Bad", Subject: &hcl.Range{Filename: "g", Start: hcl.InitialPos, End: hcl.InitialPos}}, 0, false, "Error: Bad\n  on g:1:1\n"},
	} {
		if got := show(c.d, c.columns, c.color); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
	end := s.rng(len(src), len(src))
	if got := show(&hcl.Diagnostic{Summary: "End", Severity: hcl.DiagError, Subject: &end}, 0, false); !strings.Contains(got, "^") {
		t.Errorf("no caret at the end of the file: %q", got)
	}
}

func TestStrftime(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 8009010, time.UTC)
	for in, want := range map[string]string{
		"%Y-%m-%d %H:%M:%S": "2026-03-04 05:06:07", "%y %b %B %a %A %p %I": "26 Mar March Wed Wednesday AM 05", "%j %e %s %u %w %V": "063  4 1772600767 3 3 10",
		"%f %L %%": "008009 008 %", "%Q%": "%Q%", "%F %T %z": "2026-03-04 05:06:07 +0000",
	} {
		if got := strftime(in, at); got != want {
			t.Errorf("strftime(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestGlobMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"*", "a.b", true}, {"ncloud.*", "ncloud.web", true}, {"*.web", "ncloud.web", true}, {"w?b", "web", true}, {"{a,b}-x", "b-x", true},
		{"web", "web2", false}, {"[ab]", "a", true}, {"[", "[", true}, {"a/*", "a/b/c", true}, {"", "x", false},
	} {
		if got := globMatch(c.pattern, c.s); got != c.want {
			t.Errorf("globMatch(%q, %q) = %v", c.pattern, c.s, got)
		}
	}
}

// Positions must hold for every byte of a file, however strange.
func TestSourcePositions(t *testing.T) {
	s := newSource("f", []byte("ab\r\n한글x\n\xff\xfe\n"))
	for _, c := range []struct{ off, line, column int }{{0, 1, 1}, {1, 1, 2}, {4, 2, 1}, {7, 2, 2}, {8, 2, 2}, {10, 2, 3}, {11, 2, 4}, {12, 3, 1}, {15, 4, 1}, {99, 4, 1}, {-1, 1, 1}} {
		if p := s.pos(c.off); p.Line != c.line || p.Column != c.column {
			t.Errorf("offset %d is at %d:%d, want %d:%d", c.off, p.Line, p.Column, c.line, c.column)
		}
	}
}

// bigTemplate makes a template of at least the given number of lines.
func bigTemplate(lines int, hcl2 bool) string {
	var b strings.Builder
	if hcl2 {
		b.WriteString("source \"ncloud\" \"x\" {\n  server_image_number = 1\n}\n")
		n := 3
		for i := 0; n < lines/2; i++ {
			fmt.Fprintf(&b, "variable \"v%d\" {\n  default = \"x\"\n}\nlocals {\n  l%d = \"${var.v%d}-${local.l%d}\"\n}\n", i+1, i+1, i+1, i)
			n += 6
		}
		b.WriteString("locals {\n  l0 = \"start\"\n}\nbuild {\n  sources = [\"ncloud.x\"]\n")
		for i := 1; n < lines; i++ {
			fmt.Fprintf(&b, "  provisioner \"shell\" {\n    inline = [\n      \"echo ${local.l%d} ${build.Host}\",\n      \"echo {{timestamp}}\",\n    ]\n  }\n", i%9+1)
			n += 6
		}
		b.WriteString("}\n")
		return b.String()
	}
	b.WriteString("{\n\"variables\": {\n")
	n := 3
	for i := 1; n < lines/2; i++ {
		fmt.Fprintf(&b, "\"v%d\": \"{{user `v%d`}}x\",\n", i, i/7)
		n++
		if i%7 == 0 {
			fmt.Fprintf(&b, "\"w%d\": \"{{env `HOME`}}\",\n", i)
			n++
		}
	}
	b.WriteString("\"v0\": \"start\"\n},\n\"builders\": [{" + base + "}],\n\"provisioners\": [\n")
	for n < lines {
		b.WriteString("{\n\"type\": \"shell\",\n\"inline\": [\n\"echo {{user `v3`}} {{build `Host`}}\",\n\"echo {{timestamp}}\"\n]\n},\n")
		n += 7
	}
	b.WriteString("{\"type\": \"shell\", \"inline\": [\"x\"]}\n]\n}\n")
	return b.String()
}

func BenchmarkLoad2000Lines(b *testing.B) {
	for _, c := range []struct {
		name string
		text string
	}{{"t.json", bigTemplate(2000, false)}, {"t.pkr.hcl", bigTemplate(2000, true)}} {
		b.Run(c.name, func(b *testing.B) {
			dir := b.TempDir()
			if err := os.WriteFile(filepath.Join(dir, c.name), []byte(c.text), 0o600); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, diags := Load(context.Background(), c.name, testOptions(dir)); diags.HasErrors() {
					b.Fatal(diags[0])
				}
			}
		})
	}
}

func TestWholeLocalAndOneLocal(t *testing.T) {
	tmpl, diags := loadText(t, "t.pkr.hcl", `
variable "k" {
  default = "b"
}
locals {
  a = "x"
  b = "y"
}
source "ncloud" "x" {
  server_image_number      = 1
  server_image_description = "${local[var.k]} ${local.a} ${var["k"]} ${length(var)}"
}
build {
  sources = ["ncloud.x"]
}
`, nil)
	if diags.HasErrors() || tmpl.Builds[0].Source.ServerImageDescription != "y x b 1" {
		t.Errorf("%v %v", tmpl.Builds, diags)
	}
}

func TestEval(t *testing.T) {
	tmpl, diags := loadText(t, "t.json", `{"variables": {"a": "x"}, "builders": [{`+base+`}]}`, nil)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	for in, want := range map[string]string{"{{user `a` | upper}}": "X", "plain": "plain", "{{isotime `2006`}}": "2026"} {
		if got, diags := tmpl.Eval(in); got != want || diags.HasErrors() {
			t.Errorf("%s is %q %v", in, got, diags)
		}
	}
	if got, diags := tmpl.Eval("{{user `b`}}"); got != "" || len(diags) != 1 || diags.HasErrors() {
		t.Errorf("an undeclared variable: %q %v", got, diags)
	}
	tmpl, diags = loadText(t, "t.pkr.hcl", "variable \"a\" {\n default = [\"x\"]\n}\nlocals {\n b = upper(var.a[0])\n}\ndata \"ncloud-image\" \"i\" {}\nsource \"ncloud\" \"x\" {\n server_image_number = 1\n}\nbuild {\n sources = [\"ncloud.x\"]\n}\n", nil)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	for in, want := range map[string]string{`local.b`: "X", `"${local.b}y"`: "Xy", `var.a`: `["x"]`, `null`: "null", `1 + 1`: "2", `data.ncloud-image.i.number`: "(known while the bake runs)"} {
		if got, diags := tmpl.Eval(in); got != want || diags.HasErrors() {
			t.Errorf("%s is %q %v", in, got, diags)
		}
	}
	for _, bad := range []string{"local.c", "1 +", "build.Host", ""} {
		if got, diags := tmpl.Eval(bad); !diags.HasErrors() {
			t.Errorf("%s is %q", bad, got)
		}
	}
	if _, diags := (&Template{}).Eval("1"); !diags.HasErrors() {
		t.Error("an empty template evaluates")
	}
}

func TestClassicHint(t *testing.T) {
	tmpl, _ := loadText(t, "t.json", `{"builders": [{`+base+`, "name": "a"}, {`+base+`, "name": "b", "support_vpc": "true"}, {"type": "ncloud", "name": "c", "server_image_number": 1}]}`, nil)
	if len(tmpl.Notes) != 1 || !strings.HasPrefix(tmpl.Notes[0], "a: built on Classic") {
		t.Errorf("%q", tmpl.Notes)
	}
	if b := tmpl.Builds; b[0].Source.IsVPC() || !b[1].Source.IsVPC() || !b[2].Source.IsVPC() {
		t.Error("IsVPC is wrong")
	}
}

// Nobody writes the template to standard input: waiting for it ends with the context.
func TestLoadEndsWithContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("Ctrl-C"))
	o := testOptions(t.TempDir())
	in, out := io.Pipe()
	defer out.Close()
	o.Stdin = in
	_, diags := Load(ctx, "-", o)
	if !diags.HasErrors() || !strings.Contains(diags.Error(), "Ctrl-C") {
		t.Errorf("it says %v", diags)
	}
}

// A line is cut to the terminal's width; no part of a secret may be left at either end of it, wherever the cut falls.
func TestWriteDiagnosticsHidesSecrets(t *testing.T) {
	const secret = "K9f/3+qUzW0vB7yT1mXcR8sLdJ2hPgN6aEoYiVtQ"
	hide := func(s string) string { return strings.ReplaceAll(s, secret, "<sensitive>") }
	for pad := range 120 {
		fill := strings.Repeat(".", pad)
		for name, src := range map[string]string{
			"cut at the left":  fill + `"secret_key":"` + secret + `"` + fill + `,"bogus":1` + strings.Repeat("-", 200),
			"cut at the right": strings.Repeat("-", 200) + `"bogus":1,` + fill + `"secret_key":"` + secret + `"` + fill,
			"inside":           fill + `"secret_key":"` + secret + `"` + fill,
		} {
			s := newSource("f", []byte(src))
			from := strings.Index(src, "bogus")
			if from < 0 {
				from = strings.Index(src, secret) + pad%len(secret)
			}
			r := s.rng(from, from+5)
			var b bytes.Buffer
			d := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Bad " + secret, Detail: "It is " + secret + ".", Subject: &r}
			if err := WriteDiagnostics(&b, map[string]*hcl.File{"f": {Bytes: []byte(src)}}, hcl.Diagnostics{d}, 100, false, hide); err != nil {
				t.Fatal(err)
			}
			for i := range len(secret) - 4 {
				if strings.Contains(b.String(), secret[i:i+4]) {
					t.Fatalf("%s, pad %d: a part of the secret shows:\n%s", name, pad, &b)
				}
			}
			if !strings.Contains(b.String(), "^") || name != "inside" && !strings.Contains(b.String(), "bogus") {
				t.Fatalf("%s, pad %d: the place is not shown:\n%s", name, pad, &b)
			}
		}
	}
}

// What is not known as a secret, because nothing could be read or the key is misspelt, must not show in messages either.
func TestLikelySecrets(t *testing.T) {
	const secret = "K9f/3+qUzW0vB7yT1mXcR8sLdJ2hPgN6aEoYiVtQ"
	for name, text := range map[string]string{
		"t.json":     `{"builders": [{"type": "ncloud", "secret_key": "` + secret + `", "x": }]}`,
		"open.json":  `{"builders": [{"type": "ncloud", "secret_key": "` + secret,
		"typo.json":  `{"builders": [{` + base + `, "secret_kye": "` + secret + `"}]}`,
		"t.pkr.hcl":  "source \"ncloud\" \"a\" {\n  secret_key = \"" + secret + "\" x\n}\n",
		"ty.pkr.hcl": "source \"ncloud\" \"a\" {\n  ssh_pasword = \"x\"\n ssh_passwort = \"" + secret + "\"\n}\nbuild {\n sources = [\"ncloud.a\"]\n}\n",
	} {
		tmpl, diags := loadText(t, name, text, nil)
		if !diags.HasErrors() || tmpl == nil || !slices.Contains(LikelySecrets(tmpl.Files), secret) {
			t.Errorf("%s: %v", name, diags)
		}
	}
	if tmpl, _ := loadText(t, "v.json", `{"variables": {"p": "x"}, "builders": [{`+base+`, "ssh_password": "{{user `+"`p`"+`}}", "bogus": 1}]}`, nil); len(LikelySecrets(tmpl.Files)) != 0 {
		t.Errorf("%q", LikelySecrets(tmpl.Files))
	}
}
