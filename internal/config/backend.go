package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	hcljson "github.com/hashicorp/hcl/v2/json"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// Backend is where Terraform keeps the state of a template's runs, so that other machines see them. It holds no secret:
// those come from the environment variables that terraform itself reads.
type Backend struct {
	Type  string               // pg, s3, http, …
	Args  map[string]cty.Value // as terraform takes them: strings, numbers, bools, lists, objects
	Range hcl.Range
	// Refused holds the secrets that stood in the file all the same: an error says so, and nothing may show them.
	Refused []string
}

// RunPlaceholder stands for the run in a backend's arguments, where every run is to have a key of its own.
const RunPlaceholder = "{run}"

// backendKind is what has to be known of a backend type beside its arguments.
type backendKind struct {
	workspaces bool
	env        []string          // environment variables that terraform reads for it; a final * stands for any ending
	secrets    map[string]string // arguments that hold a secret, and where to put it instead
}

// backendKinds are Terraform's backends. Source: the backends' pages in Terraform's documentation.
var backendKinds = map[string]backendKind{
	"pg": {true, []string{"PG*"}, nil}, // conn_str is looked into
	"s3": {true, []string{"AWS_*"}, map[string]string{"access_key": "AWS_ACCESS_KEY_ID", "secret_key": "AWS_SECRET_ACCESS_KEY",
		"token": "AWS_SESSION_TOKEN", "sse_customer_key": "AWS_SSE_CUSTOMER_KEY"}},
	"http": {false, []string{"TF_HTTP_USERNAME", "TF_HTTP_PASSWORD", "TF_HTTP_CLIENT_*"}, map[string]string{"password": "TF_HTTP_PASSWORD",
		"client_private_key_pem": "TF_HTTP_CLIENT_PRIVATE_KEY_PEM"}},
	"consul": {true, []string{"CONSUL_*"}, map[string]string{"access_token": "CONSUL_HTTP_TOKEN", "http_auth": "CONSUL_HTTP_AUTH"}},
	"gcs": {true, []string{"GOOGLE_*", "CLOUDSDK_*"}, map[string]string{"credentials": "GOOGLE_BACKEND_CREDENTIALS", "access_token": "GOOGLE_OAUTH_ACCESS_TOKEN",
		"encryption_key": "GOOGLE_ENCRYPTION_KEY"}},
	"azurerm": {true, []string{"ARM_*", "AZURE_*"}, map[string]string{"access_key": "ARM_ACCESS_KEY", "client_secret": "ARM_CLIENT_SECRET", "sas_token": "ARM_SAS_TOKEN",
		"client_certificate_password": "ARM_CLIENT_CERTIFICATE_PASSWORD", "oidc_token": "ARM_OIDC_TOKEN", "oidc_request_token": "ARM_OIDC_REQUEST_TOKEN"}},
	"kubernetes": {true, []string{"KUBE_*", "KUBECONFIG"}, map[string]string{"password": "KUBE_PASSWORD", "token": "KUBE_TOKEN", "client_key": "KUBE_CLIENT_KEY_DATA"}},
	"oss": {true, []string{"ALICLOUD_*", "ALIBABA_CLOUD_*"}, map[string]string{"access_key": "ALICLOUD_ACCESS_KEY", "secret_key": "ALICLOUD_SECRET_KEY",
		"security_token": "ALICLOUD_SECURITY_TOKEN"}},
	"cos": {true, []string{"TENCENTCLOUD_*"}, map[string]string{"secret_id": "TENCENTCLOUD_SECRET_ID", "secret_key": "TENCENTCLOUD_SECRET_KEY",
		"security_token": "TENCENTCLOUD_SECURITY_TOKEN"}},
}

// PerKey tells whether every run has a key of its own, by a {run} in an argument, instead of a workspace.
func (b *Backend) PerKey() bool {
	return slices.ContainsFunc(slices.Collect(maps.Values(b.Args)), hasPlaceholder)
}

// For returns the arguments with {run} replaced.
func (b *Backend) For(run string) map[string]cty.Value {
	out := map[string]cty.Value{}
	for name, v := range b.Args {
		out[name], _ = cty.Transform(v, func(_ cty.Path, v cty.Value) (cty.Value, error) {
			if v.Type() == cty.String && !v.IsNull() {
				return cty.StringVal(strings.ReplaceAll(v.AsString(), RunPlaceholder, run)), nil
			}
			return v, nil
		})
	}
	return out
}

// Env returns which of these environment variables (name=value) terraform needs for the backend, and what must be set beside
// them.
func (b *Backend) Env(environ []string) []string {
	var out []string
	if skip := b.Args["skip_s3_checksum"]; b.Type == "s3" && !skip.IsNull() && (skip.RawEquals(cty.True) || skip.RawEquals(cty.StringVal("true"))) {
		// Terraform leaves the checksum of its own out, but not the one that the AWS SDK adds since 2025, in a form (aws-chunked
		// with a trailer) that S3-compatible storages refuse: https://github.com/hashicorp/terraform/issues/36742. What the user
		// has set comes after, and wins.
		out = []string{"AWS_REQUEST_CHECKSUM_CALCULATION=when_required", "AWS_RESPONSE_CHECKSUM_VALIDATION=when_required"}
	}
	for _, kv := range environ {
		name, _, _ := strings.Cut(kv, "=")
		for _, pattern := range backendKinds[b.Type].env {
			if prefix, any := strings.CutSuffix(pattern, "*"); name == pattern || any && strings.HasPrefix(name, prefix) {
				out = append(out, kv)
			}
		}
	}
	return out
}

// secretName tells the variables whose values are secret; keyPassword finds the password in a libpq text of key=value.
var (
	secretName  = regexp.MustCompile(`(?i)password|secret|token|private|_key$|ACCESS_KEY_ID|CREDENTIALS|_AUTH$|^PG_CONN_STR$`)
	keyPassword = regexp.MustCompile(`(?i)(?:^|\s)password\s*=\s*('(?:[^'\\]|\\.)*'|\S+)`)
)

// Secrets returns the values among these environment variables that must not be shown.
func (b *Backend) Secrets(environ []string) []string {
	var out []string
	for _, kv := range b.Env(environ) {
		name, value, _ := strings.Cut(kv, "=")
		if value == "" || !secretName.MatchString(name) {
			continue
		}
		out = append(out, value)
		if p := passwordIn(value); p != "" {
			out = append(out, p)
		}
	}
	return out
}

// passwordIn finds the password in a URL or in a libpq text of key=value; "" when there is none.
func passwordIn(s string) string {
	if m := keyPassword.FindStringSubmatch(s); m != nil {
		return strings.Trim(m[1], "'")
	}
	if _, rest, ok := strings.Cut(s, "://"); ok {
		authority, _, _ := strings.Cut(rest, "/")
		if at := strings.LastIndexByte(authority, '@'); at >= 0 {
			if _, password, ok := strings.Cut(authority[:at], ":"); ok {
				if plain, err := url.PathUnescape(password); err == nil {
					return plain
				}
				return password
			}
		}
		if u, err := url.Parse(s); err == nil {
			return u.Query().Get("password")
		}
	}
	return ""
}

// MarshalJSON writes the backend in Terraform's JSON shape: {"pg": {"schema_name": "…"}}.
func (b *Backend) MarshalJSON() ([]byte, error) {
	args := map[string]json.RawMessage{}
	for name, v := range b.Args {
		raw, err := ctyjson.Marshal(v, v.Type())
		if err != nil {
			return nil, fmt.Errorf("backend %s: %s: %w", b.Type, name, err)
		}
		args[name] = raw
	}
	return json.Marshal(map[string]any{b.Type: args})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (b *Backend) UnmarshalJSON(text []byte) error {
	var f map[string]map[string]json.RawMessage
	if err := json.Unmarshal(text, &f); err != nil || len(f) != 1 {
		return fmt.Errorf("this is no backend: one type with its arguments is expected")
	}
	for typ, args := range f {
		b.Type, b.Args = typ, map[string]cty.Value{}
		for name, raw := range args {
			t, err := ctyjson.ImpliedType(raw)
			if err != nil {
				return fmt.Errorf("backend %s: %s: %w", typ, name, err)
			}
			if b.Args[name], err = ctyjson.Unmarshal(raw, t); err != nil {
				return fmt.Errorf("backend %s: %s: %w", typ, name, err)
			}
		}
	}
	return nil
}

// LoadBackend reads the backend from a file that holds nothing else, or from a template, whose variables are not known
// here. JSON and HCL have the shapes they have in a template.
func LoadBackend(path string, o Options) (*Backend, map[string]*hcl.File, hcl.Diagnostics) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, nil, cannotRead(path, err)
	}
	content, err := o.FS.ReadFile(absPath(o.Cwd, path))
	if err != nil {
		return nil, nil, cannotRead(path, err)
	}
	files := map[string]*hcl.File{path: {Bytes: content}}
	missing := hcl.Diagnostics{{Severity: hcl.DiagError, Summary: path + " names no backend", Detail: `Write {"backend": {"pg": {"schema_name": "tfbake"}}} or, in HCL, backend "pg" { schema_name = "tfbake" }.`}}
	if !strings.HasSuffix(path, ".hcl") && !strings.HasSuffix(path, ".pkr.json") && (strings.HasSuffix(filepath.Base(path), ".json") || looksLikeJSON(content)) {
		root, diags := parseJSON(newSource(path, content))
		if root == nil || diags.HasErrors() {
			return nil, files, diags
		}
		n := root.member("backend")
		if n == nil {
			return nil, files, missing
		}
		b, diags := jsonBackend(n, func(t text) (string, hcl.Diagnostics) { return t.s, nil })
		return b, files, finish(diags)
	}
	var f *hcl.File
	var diags hcl.Diagnostics
	if strings.HasSuffix(path, ".json") {
		f, diags = hcljson.Parse(content, path)
	} else {
		f, diags = hclsyntax.ParseConfig(content, path, hcl.InitialPos)
	}
	if f == nil || diags.HasErrors() {
		return nil, files, diags
	}
	found, _, diags := f.Body.PartialContent(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{backendHeader}})
	if diags.HasErrors() {
		return nil, files, diags
	}
	if len(found.Blocks) == 0 {
		return nil, files, missing
	}
	b, diags := hclBackend(found.Blocks[0], func(e hcl.Expression) (cty.Value, hcl.Diagnostics) { return e.Value(nil) })
	if len(found.Blocks) > 1 {
		diags = append(diags, twoBackends(found.Blocks[1].DefRange, found.Blocks[0].DefRange))
	}
	return b, files, finish(diags)
}

var backendHeader = hcl.BlockHeaderSchema{Type: "backend", LabelNames: []string{"type"}}

func twoBackends(at, first hcl.Range) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "There are two backends", Detail: "The other is at " + place(first) + ".", Subject: &at}
}

// jsonBackend reads {"pg": {…}}; render fills in the template's variables.
func jsonBackend(n *jsonNode, render func(text) (string, hcl.Diagnostics)) (*Backend, hcl.Diagnostics) {
	wrong := func(r hcl.Range, summary, format string, args ...any) hcl.Diagnostics {
		return hcl.Diagnostics{{Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: &r}}
	}
	if n.kind != jsonObject || len(n.members) != 1 || n.members[0].val.kind != jsonObject {
		return nil, wrong(n.Range(), "backend takes one type and its arguments", `Write it as {"pg": {"schema_name": "tfbake"}}.`)
	}
	m := n.members[0]
	b := &Backend{Type: m.name, Args: map[string]cty.Value{}, Range: m.key.Range()}
	where := map[string]hcl.Range{}
	var diags hcl.Diagnostics
	for _, a := range m.val.members {
		v, ds := jsonValue(a.val, render)
		diags = append(diags, ds...)
		b.Args[a.name], where[a.name] = v, a.val.Range()
	}
	return b, append(diags, b.check(where)...)
}

func jsonValue(n *jsonNode, render func(text) (string, hcl.Diagnostics)) (cty.Value, hcl.Diagnostics) {
	var diags hcl.Diagnostics
	switch n.kind {
	case jsonString:
		s, diags := render(text{s: n.text, at: n.textRange})
		return cty.StringVal(s), diags
	case jsonBool:
		return cty.BoolVal(n.boolean), nil
	case jsonNumber:
		v, err := cty.ParseNumberVal(n.text)
		if err != nil {
			r := n.Range()
			return cty.Zero, hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "This is no number", Subject: &r}}
		}
		return v, nil
	case jsonArray:
		vals := []cty.Value{}
		for _, e := range n.elems {
			v, ds := jsonValue(e, render)
			vals, diags = append(vals, v), append(diags, ds...)
		}
		return cty.TupleVal(vals), diags
	case jsonObject:
		vals := map[string]cty.Value{}
		for _, m := range n.members {
			v, ds := jsonValue(m.val, render)
			vals[m.name], diags = v, append(diags, ds...)
		}
		return cty.ObjectVal(vals), diags
	}
	return cty.NullVal(cty.DynamicPseudoType), nil
}

// hclBackend reads backend "pg" { … }.
func hclBackend(block *hcl.Block, eval func(hcl.Expression) (cty.Value, hcl.Diagnostics)) (*Backend, hcl.Diagnostics) {
	b := &Backend{Type: block.Labels[0], Args: map[string]cty.Value{}, Range: block.LabelRanges[0]}
	attrs, diags := block.Body.JustAttributes()
	where := map[string]hcl.Range{}
	for name, a := range attrs {
		v, ds := eval(a.Expr)
		diags = append(diags, ds...)
		where[name] = a.Expr.Range()
		if ds.HasErrors() {
			continue
		}
		if v, _ = v.UnmarkDeep(); !v.IsWhollyKnown() {
			r := a.Expr.Range()
			diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: name + " is not known yet", Detail: "A backend's arguments must be known before anything is built.", Subject: &r})
			continue
		}
		b.Args[name] = v
	}
	return b, append(diags, b.check(where)...)
}

// check finds what cannot work or would write a secret into a file. where holds the places of the arguments.
func (b *Backend) check(where map[string]hcl.Range) (diags hcl.Diagnostics) {
	fail := func(r hcl.Range, summary, format string, args ...any) {
		diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: &r})
	}
	kinds := slices.Sorted(maps.Keys(backendKinds))
	kind, ok := backendKinds[b.Type]
	switch {
	case b.Type == "local":
		fail(b.Range, "A local backend is what tfbake does without one", "Remove it: the state is then in the run directory.")
		return diags
	case !ok:
		detail := "tfbake works with " + strings.Join(kinds, ", ") + "."
		if s := suggest(b.Type, kinds); s != "" {
			detail = fmt.Sprintf("Did you mean %q? ", s) + detail
		}
		fail(b.Range, fmt.Sprintf("There is no backend %q", b.Type), "%s", detail)
		return diags
	}
	for _, name := range slices.Sorted(maps.Keys(b.Args)) {
		v := b.Args[name]
		if v.IsNull() {
			delete(b.Args, name)
			continue
		}
		if env, secret := kind.secrets[name]; secret {
			if v.Type() == cty.String {
				b.Refused = append(b.Refused, v.AsString())
			}
			fail(where[name], fmt.Sprintf("%s must not be in a file", name), "It would be in every run's directory. Remove it and set the environment variable %s.", env)
			continue
		}
		if v.Type() != cty.String {
			continue
		}
		password := passwordIn(v.AsString())
		if password == "" {
			continue
		}
		b.Refused = append(b.Refused, password)
		if b.Type == "pg" {
			fail(where[name], fmt.Sprintf("The password in %s must not be in a file", name), "It would be in every run's directory. Leave it out and set the environment variable PGPASSWORD, or leave %s out and set PG_CONN_STR.", name)
		} else {
			fail(where[name], fmt.Sprintf("The password in %s must not be in a file", name), "It would be in every run's directory. Leave it out and set the environment variables TF_HTTP_USERNAME and TF_HTTP_PASSWORD.")
		}
	}
	if b.Type == "http" {
		for _, name := range []string{"address", "lock_address", "unlock_address"} {
			if v, ok := b.Args[name]; (ok || name == "address") && (!ok || !hasPlaceholder(v)) {
				fail(rangeOr(where, name, b.Range), fmt.Sprintf("%s must hold {run}", name), "The http backend has no workspaces, so every run needs an address of its own: https://state.example.com/{run}.")
			}
		}
	}
	return diags
}

func rangeOr(where map[string]hcl.Range, name string, other hcl.Range) hcl.Range {
	if r, ok := where[name]; ok {
		return r
	}
	return other
}

func hasPlaceholder(v cty.Value) bool {
	return !v.IsNull() && v.Type() == cty.String && strings.Contains(v.AsString(), RunPlaceholder)
}
