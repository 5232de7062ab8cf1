package config

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"
)

const aBuilder = `"builders": [{"type": "ncloud", "region": "KR", "server_image_product_code": "SPSW0LINUX000046", "server_product_code": "SPSVRCPU00000001"}]`

func loadBackendText(t *testing.T, name, text string) (*Template, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	tmpl, diags := Load(context.Background(), path, Options{Env: func(string) (string, bool) { return "", false }})
	var out []string
	for _, d := range diags.Errs() {
		out = append(out, strings.ReplaceAll(d.Error(), path, name))
	}
	return tmpl, strings.Join(out, "\n")
}

func TestBackendOfATemplate(t *testing.T) {
	for name, text := range map[string]string{
		"bake.json": `{"variables": {"bucket": "states"}, "backend": {"s3": {"bucket": "{{user ` + "`bucket`" + `}}", "key": "bakes/{run}", "use_path_style": true, "endpoints": {"s3": "https://kr.object.ncloudstorage.com"}}}, ` + aBuilder + `}`,
		"bake.pkr.hcl": `variable "bucket" { default = "states" }
backend "s3" {
  bucket = var.bucket
  key = "bakes/{run}"
  use_path_style = true
  endpoints = { s3 = "https://kr.object.ncloudstorage.com" }
}
source "ncloud" "x" {
  region = "KR"
  server_image_product_code = "SPSW0LINUX000046"
  server_product_code = "SPSVRCPU00000001"
}
build { sources = ["source.ncloud.x"] }
`,
	} {
		tmpl, errs := loadBackendText(t, name, text)
		if errs != "" || tmpl.Backend == nil {
			t.Fatalf("%s: %s, backend %v", name, errs, tmpl.Backend)
		}
		got, err := json.Marshal(tmpl.Backend)
		if err != nil {
			t.Fatal(err)
		}
		const want = `{"s3":{"bucket":"states","endpoints":{"s3":"https://kr.object.ncloudstorage.com"},"key":"bakes/{run}","use_path_style":true}}`
		if string(got) != want {
			t.Errorf("%s: %s\nwant %s", name, got, want)
		}
		var again Backend
		if err := json.Unmarshal(got, &again); err != nil || !maps.EqualFunc(again.Args, tmpl.Backend.Args, func(a, b cty.Value) bool { return a.RawEquals(b) }) {
			t.Errorf("%s: read back as %v, %v", name, again, err)
		}
		if !again.PerKey() || again.For("260102-030405-abcd")["key"].AsString() != "bakes/260102-030405-abcd" {
			t.Errorf("%s: {run} is not replaced: %v", name, again.For("x"))
		}
	}
}

func TestBackendFile(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"b.json": `{"backend": {"pg": {"schema_name": "bakes"}}}`,
		"b.hcl":  "backend \"pg\" {\n  schema_name = \"bakes\"\n}\n",
	} {
		path := filepath.Join(dir, name)
		os.WriteFile(path, []byte(text), 0o600)
		b, _, diags := LoadBackend(path, Options{})
		if diags.HasErrors() || b.Type != "pg" || b.Args["schema_name"].AsString() != "bakes" || b.PerKey() {
			t.Errorf("%s: %v, %v", name, b, diags)
		}
	}
	path := filepath.Join(dir, "none.json")
	os.WriteFile(path, []byte(`{}`), 0o600)
	if _, _, diags := LoadBackend(path, Options{}); !diags.HasErrors() {
		t.Error("a file without a backend was taken")
	}
}

func TestBackendMistakesAreFoundWhereTheyAre(t *testing.T) {
	for _, c := range []struct{ backend, place, want string }{
		{`{"pg": {"conn_str": "postgres://me:hush@db/x"}}`, "2:33", "PGPASSWORD"},
		{`{"pg": {"conn_str": "host=db user=me password=hush"}}`, "2:33", "PGPASSWORD"},
		{`{"pg": {"conn_str": "postgres://db/x?user=me&password=hush"}}`, "2:33", "PGPASSWORD"},
		{`{"s3": {"bucket": "b", "secret_key": "hush"}}`, "2:50", "AWS_SECRET_ACCESS_KEY"},
		{`{"http": {"address": "https://me:hush@state/{run}"}}`, "2:34", "TF_HTTP_PASSWORD"},
		{`{"http": {"address": "https://state/x"}}`, "2:34", "must hold {run}"},
		{`{"http": {"address": "https://state/{run}", "lock_address": "https://state/lock"}}`, "2:73", "must hold {run}"},
		{`{"https": {}}`, "2:14", `Did you mean "http"?`},
		{`{"local": {"path": "x"}}`, "2:14", "run directory"},
		{`{"pg": {}, "s3": {}}`, "2:13", "one type"},
		{`"pg"`, "2:13", "one type"},
	} {
		tmpl, errs := loadBackendText(t, "bake.json", "{\n \"backend\": "+c.backend+",\n "+aBuilder+"}")
		if !strings.Contains(errs, "bake.json:"+strings.Replace(c.place, ":", ",", 1)+"-") || !strings.Contains(errs, c.want) {
			t.Errorf("%s: want %q at %s, got %s", c.backend, c.want, c.place, errs)
		}
		if strings.Contains(c.backend, "hush") && !slices.Contains(tmpl.Sensitive, "hush") {
			t.Errorf("%s: the snippet of the error would show the secret", c.backend)
		}
		if strings.Contains(errs, "hush") {
			t.Errorf("%s: the secret is in the error: %s", c.backend, errs)
		}
	}
}

func TestBackendEnvironment(t *testing.T) {
	environ := []string{"PG_CONN_STR=postgres://me:p%40ss@db/x", "PGPASSWORD=other", "PGHOST=db", "AWS_PROFILE=p", "AWS_SECRET_ACCESS_KEY=hush", "TF_WORKSPACE=prod", "TF_HTTP_ADDRESS=http://x", "TF_HTTP_PASSWORD=pw"}
	for typ, want := range map[string][]string{
		"pg": environ[:3], "s3": environ[3:5], "http": environ[7:],
	} {
		if got := (&Backend{Type: typ}).Env(environ); !slices.Equal(got, want) {
			t.Errorf("%s: passes %v, want %v", typ, got, want)
		}
	}
	compatible := &Backend{Type: "s3", Args: map[string]cty.Value{"skip_s3_checksum": cty.True}}
	if got := compatible.Env([]string{"AWS_REQUEST_CHECKSUM_CALCULATION=when_supported"}); len(got) != 3 || got[0] != "AWS_REQUEST_CHECKSUM_CALCULATION=when_required" || got[2] != "AWS_REQUEST_CHECKSUM_CALCULATION=when_supported" {
		t.Errorf("without checksums, but as the user wants: %v", got)
	}
	secrets := (&Backend{Type: "pg"}).Secrets(environ)
	for _, want := range []string{"p@ss", "other", "postgres://me:p%40ss@db/x"} {
		if !slices.Contains(secrets, want) {
			t.Errorf("%q is not known as a secret: %v", want, secrets)
		}
	}
}
