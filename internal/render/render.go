// Package render writes a resolved build down as a Terraform root module. It is pure: the same build and options give
// the same bytes; only Write touches the disk.
//
// The root module holds the build's choices as literals in one module call, not in a tfvars file: who wants to use it
// elsewhere copies the block.
package render

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strings"
	"unicode"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/tfbake/tfbake/internal/config"
	ncloudbake "github.com/tfbake/tfbake/modules/ncloud-bake"
	ncloudbakeclassic "github.com/tfbake/tfbake/modules/ncloud-bake-classic"
)

// Files maps slash-separated paths, relative to the run directory, to their contents.
type Files map[string][]byte

// Options are choices that do not change what is built.
type Options struct {
	// Backend is where the state is kept; nil: in the run directory.
	Backend *Backend
	// ToolVersion goes into the comment on top of main.tf; empty: left out.
	ToolVersion string
	// TemplatePath is named in the README; empty: left out.
	TemplatePath string
	// CustomGateway: the API is reached at NCLOUD_API_GW. The site is then left out of the provider block, for the
	// official provider replaces NCLOUD_API_GW by the site's own address when the site is gov or fin.
	CustomGateway bool
	// Standalone: the module is for a Terraform repository and no run of ours; see Standalone.
	Standalone bool
}

// Standalone is a plan without what only a run brings along: a name that cleanup looks for, and the login key that is made
// through the API. key is what that key would have been called.
func Standalone(r config.Resolved, key string) config.Resolved {
	if r.LoginKeyName == key {
		r.LoginKeyName = ""
	}
	name := config.CleanImageName("bake-" + r.ImageName)
	r.Name, r.RunID = strings.TrimRight(name[:min(len(name), maxName)], "-"), ""
	return r
}

// maxName is what the modules take: the API's 30 characters without the longest suffix.
const maxName = 25

// Backend is a backend block: its type and arguments. Credentials never belong here; backends take them from the
// environment.
type Backend struct {
	Type      string
	Args      map[string]cty.Value
	Workspace string // of the run's state; empty: the default one
}

// ModuleName is the name of the module call in main.tf; all resources are below "module.bake".
const ModuleName = "bake"

// Module returns the files of the root module for r: main.tf, outputs.tf, README.md, .gitignore and the called module
// below modules/.
func Module(r config.Resolved, o Options) (Files, error) {
	m, err := moduleFor(r, o)
	if err != nil {
		return nil, fmt.Errorf("render %s: %w", r.Name, err)
	}
	main, err := m.main(r, o)
	if err != nil {
		return nil, fmt.Errorf("render %s: main.tf: %w", r.Name, err)
	}
	files := Files{
		"main.tf":    main,
		"outputs.tf": m.outputs(o.Standalone && r.LoginKeyName == ""),
		"README.md":  readme(r, o),
		".gitignore": []byte(gitignore),
	}
	if err := m.copyInto(files); err != nil {
		return nil, fmt.Errorf("render %s: %w", r.Name, err)
	}
	return files, nil
}

// module is what differs between the platforms.
type module struct {
	dir        string // below modules/
	fs         embed.FS
	version    string // provider version constraint
	supportVPC bool
	args       []argument
}

// argument is one line of the module call; a null value is left out. An empty name is an empty line.
type argument struct {
	name     string
	value    cty.Value
	keepNull bool // write null, where leaving the argument out would mean the variable's default
}

func moduleFor(r config.Resolved, o Options) (module, error) {
	switch r.Platform {
	case config.VPC:
		return module{"ncloud-bake", ncloudbake.Files, "~> 4.0", true, vpcArguments(r, o)}, nil
	case config.Classic:
		return module{"ncloud-bake-classic", ncloudbakeclassic.Files, "3.3.2", false, classicArguments(r)}, nil
	}
	return module{}, fmt.Errorf("platform %q is neither vpc nor classic", r.Platform)
}

func vpcArguments(r config.Resolved, o Options) []argument {
	ownACG := len(r.ACGNos) == 0
	args := []argument{
		{name: "name", value: text(r.Name)},
		{name: "description", value: text(description(r))},
		{},
		{name: "vpc_no", value: text(r.VPCNo)},
		{name: "subnet_no", value: text(r.SubnetNo)},
		{},
		{name: "hypervisor_type", value: text(r.Hypervisor)},
		{name: "server_image_number", value: text(r.ServerImageNumber)},
		{name: "server_spec_code", value: text(r.ServerSpecCode)},
		{name: "server_image_product_code", value: text(r.ServerImageProductCode)},
		{name: "member_server_image_no", value: text(r.MemberServerImageNo)},
		{name: "server_product_code", value: text(r.ServerProductCode)},
		{name: "fee_system_type_code", value: text(r.FeeSystemTypeCode)},
		{name: "login_key_name", value: text(r.LoginKeyName)},
		{},
	}
	if ownACG {
		args = append(args, argument{name: "port", value: number(r.CommPort), keepNull: true}, argument{name: "source_cidrs", value: list(r.SourceCIDRs)})
		if r.AllowWorld {
			args = append(args, argument{name: "allow_world", value: cty.True})
		}
	} else {
		args = append(args, argument{name: "acg_nos", value: list(r.ACGNos)})
	}
	args = append(args, argument{name: "associate_public_ip", value: cty.BoolVal(r.PublicIP)}, argument{})
	args = append(args, storageArguments(r)...)
	return append(args, argument{}, argument{name: "os_type", value: text(r.OS)}, argument{name: "user_data", value: text(r.InitScript)})
}

func classicArguments(r config.Resolved) []argument {
	args := []argument{
		{name: "name", value: text(r.Name)},
		{name: "description", value: text(description(r))},
		{name: "zone", value: text(r.ZoneCode)},
		{},
		{name: "server_image_product_code", value: text(r.ServerImageProductCode)},
		{name: "member_server_image_no", value: text(r.MemberServerImageNo)},
		{name: "server_product_code", value: text(r.ServerProductCode)},
		{name: "fee_system_type_code", value: text(r.FeeSystemTypeCode)},
		{name: "login_key_name", value: text(r.LoginKeyName)},
		{},
		{name: "access_control_group_configuration_no_list", value: list(r.ACGNos)},
		{name: "associate_public_ip", value: cty.BoolVal(r.PublicIP)},
		{},
	}
	args = append(args, storageArguments(r)...)
	return append(args, argument{}, argument{name: "user_data", value: text(r.InitScript)})
}

func storageArguments(r config.Resolved) []argument {
	if r.BlockStorageSize == 0 {
		return nil
	}
	return []argument{
		{name: "block_storage_size", value: number(r.BlockStorageSize)},
		{name: "block_storage_volume_type", value: text(r.BlockStorageVolumeType)},
	}
}

// description is what everything of the run carries in the console; the modules put the name in front of it.
func description(r config.Resolved) string {
	if r.ImageName == "" {
		return "temporary, made by tfbake"
	}
	return "temporary, made by tfbake for image " + r.ImageName
}

func (m module) main(r config.Resolved, o Options) ([]byte, error) {
	f := hclwrite.NewEmptyFile()
	b := f.Body()
	tool := strings.TrimSpace("tfbake " + o.ToolVersion)
	purpose := "for run " + r.RunID
	if o.Standalone {
		purpose = "render"
	}
	comment(b, "Written by "+tool+" "+purpose+". An ordinary Terraform root module: see README.md.")
	b.AppendNewline()

	t := b.AppendNewBlock("terraform", nil).Body()
	t.SetAttributeValue("required_version", cty.StringVal(">= 1.5"))
	t.AppendNewline()
	t.AppendNewBlock("required_providers", nil).Body().SetAttributeRaw("ncloud", hclwrite.TokensForObject([]hclwrite.ObjectAttrTokens{
		{Name: hclwrite.TokensForIdentifier("source"), Value: hclwrite.TokensForValue(cty.StringVal("NaverCloudPlatform/ncloud"))},
		{Name: hclwrite.TokensForIdentifier("version"), Value: hclwrite.TokensForValue(cty.StringVal(m.version))},
	}))
	if o.Backend != nil {
		t.AppendNewline()
		if err := o.Backend.write(t); err != nil {
			return nil, err
		}
	}
	b.AppendNewline()

	comment(b, "Keys come from NCLOUD_ACCESS_KEY and NCLOUD_SECRET_KEY, never from a file.")
	p := b.AppendNewBlock("provider", []string{"ncloud"}).Body()
	p.SetAttributeValue("support_vpc", cty.BoolVal(m.supportVPC))
	p.SetAttributeValue("region", cty.StringVal(r.RegionCode))
	if r.Site != "" && !o.CustomGateway {
		p.SetAttributeValue("site", cty.StringVal(r.Site))
	}
	b.AppendNewline()

	call := b.AppendNewBlock("module", []string{ModuleName}).Body()
	call.SetAttributeValue("source", cty.StringVal("./modules/"+m.dir))
	call.AppendNewline()
	if err := m.arguments(call); err != nil {
		return nil, err
	}
	return hclwrite.Format(f.Bytes()), nil
}

// arguments writes the module call's arguments, groups separated by one empty line, empty groups left out.
func (m module) arguments(call *hclwrite.Body) error {
	pending := false
	first := true
	for _, a := range m.args {
		switch {
		case a.name == "":
			pending = !first
		case a.value.IsNull() && !a.keepNull:
		default:
			if pending {
				call.AppendNewline()
				pending = false
			}
			if err := setAttribute(call, a.name, a.value); err != nil {
				return err
			}
			first = false
		}
	}
	return nil
}

// outputs passes the module's outputs on. The sensitive ones (the private key) only where nobody else would have them:
// a root module's outputs are in its state twice.
func (m module) outputs(secrets bool) []byte {
	f := hclwrite.NewEmptyFile()
	b := f.Body()
	for _, o := range m.moduleOutputs() {
		if o.sensitive && !secrets {
			continue
		}
		if len(b.Blocks()) > 0 {
			b.AppendNewline()
		}
		out := b.AppendNewBlock("output", []string{o.name}).Body()
		out.SetAttributeTraversal("value", hcl.Traversal{
			hcl.TraverseRoot{Name: "module"}, hcl.TraverseAttr{Name: ModuleName}, hcl.TraverseAttr{Name: o.name},
		})
		if o.sensitive {
			out.SetAttributeValue("sensitive", cty.True)
		}
	}
	return hclwrite.Format(f.Bytes())
}

type moduleOutput struct {
	name      string
	sensitive bool
}

// moduleOutputs are the module's outputs, in the order they are written there.
func (m module) moduleOutputs() []moduleOutput {
	src, err := m.fs.ReadFile("outputs.tf")
	if err != nil {
		panic(err) // embedded
	}
	f, diags := hclsyntax.ParseConfig(src, "outputs.tf", hcl.InitialPos)
	if diags.HasErrors() {
		panic(diags) // embedded, and validated by its test
	}
	var out []moduleOutput
	for _, b := range f.Body.(*hclsyntax.Body).Blocks {
		if b.Type == "output" {
			_, sensitive := b.Body.Attributes["sensitive"]
			out = append(out, moduleOutput{b.Labels[0], sensitive})
		}
	}
	return out
}

func (m module) copyInto(files Files) error {
	return fs.WalkDir(m.fs, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if path.Dir(p) != "." { // examples/ stays out
			return nil
		}
		b, err := m.fs.ReadFile(p)
		files["modules/"+m.dir+"/"+p] = b
		return err
	})
}

func text(s string) cty.Value {
	if s == "" {
		return cty.NullVal(cty.String)
	}
	return cty.StringVal(s)
}

func number(n int) cty.Value {
	if n == 0 {
		return cty.NullVal(cty.Number)
	}
	return cty.NumberIntVal(int64(n))
}

func list(s []string) cty.Value {
	if len(s) == 0 {
		return cty.NullVal(cty.List(cty.String))
	}
	vals := make([]cty.Value, len(s))
	for i := range s {
		vals[i] = cty.StringVal(s[i])
	}
	return cty.ListVal(vals)
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func comment(b *hclwrite.Body, s string) {
	b.AppendUnstructuredTokens(hclwrite.Tokens{{Type: hclsyntax.TokenComment, Bytes: []byte("# " + s + "\n")}})
}

// setAttribute writes name = v and makes sure that it reads back as v.
func setAttribute(b *hclwrite.Body, name string, v cty.Value) error {
	if !hclsyntax.ValidIdentifier(name) {
		return fmt.Errorf("%q is not an argument name", name)
	}
	for _, toks := range candidates(v) {
		if readsBack(toks, v) {
			b.SetAttributeRaw(name, toks)
			return nil
		}
	}
	return fmt.Errorf("%s cannot be written in HCL: it is not UTF-8 text", name)
}

// candidates are the ways to write v, the most readable first: a text of several lines is a heredoc.
func candidates(v cty.Value) []hclwrite.Tokens {
	plain := hclwrite.TokensForValue(v)
	if v.IsNull() || v.Type() != cty.String {
		return []hclwrite.Tokens{plain}
	}
	s := v.AsString()
	if strings.Count(s, "\n") < 2 || !strings.HasSuffix(s, "\n") || strings.ContainsFunc(s, invisible) {
		return []hclwrite.Tokens{plain}
	}
	return []hclwrite.Tokens{heredoc(s), plain}
}

// invisible characters are better seen escaped; and a CR would not survive every version control.
func invisible(r rune) bool { return r != '\n' && r != '\t' && !unicode.IsPrint(r) }

func heredoc(s string) hclwrite.Tokens {
	end := "EOT"
	for i := 1; containsLine(s, end); i++ {
		end = fmt.Sprintf("EOT%d", i)
	}
	esc := strings.NewReplacer("${", "$${", "%{", "%%{")
	return hclwrite.Tokens{
		{Type: hclsyntax.TokenOHeredoc, Bytes: []byte("<<" + end + "\n")},
		{Type: hclsyntax.TokenStringLit, Bytes: []byte(esc.Replace(s))},
		{Type: hclsyntax.TokenCHeredoc, Bytes: []byte(end)},
	}
}

func containsLine(s, line string) bool {
	for l := range strings.Lines(s) {
		if strings.TrimSpace(l) == line {
			return true
		}
	}
	return false
}

// readsBack parses the tokens as Terraform will, formatted as they will be, and compares the value.
func readsBack(toks hclwrite.Tokens, want cty.Value) bool {
	f := hclwrite.NewEmptyFile()
	f.Body().SetAttributeRaw("x", toks)
	src := hclwrite.Format(f.Bytes())
	got, diags := hclsyntax.ParseConfig(src, "x", hcl.InitialPos)
	if diags.HasErrors() {
		return false
	}
	attr, ok := got.Body.(*hclsyntax.Body).Attributes["x"]
	if !ok {
		return false
	}
	v, diags := attr.Expr.Value(nil)
	if diags.HasErrors() {
		return false
	}
	if want.IsNull() {
		return v.IsNull()
	}
	if want.Type().IsListType() || want.Type().IsTupleType() {
		return v.Type().IsTupleType() && v.RawEquals(cty.TupleVal(want.AsValueSlice()))
	}
	return v.RawEquals(want)
}

const gitignore = `# The state holds what Terraform made, user_data included: keep it out of version control.
.terraform/
terraform.tfstate*
.terraform.tfstate.lock.info
errored.tfstate
crash.log
*.log
journal.jsonl
.terraform.pid
.terraformrc
`

func readme(r config.Resolved, o Options) []byte {
	var b bytes.Buffer
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	from := ""
	if o.TemplatePath != "" {
		from = " from `" + o.TemplatePath + "`"
	}
	if o.Standalone {
		p("# Server `%s`", r.Name)
		p("")
		p("This directory is an ordinary Terraform root module. `tfbake render` wrote it%s; it makes the server `%s` in", from, r.Name)
		p("region %s, as `tfbake run` would to bake an image of it. It is yours to change: tfbake knows nothing of it, and", r.RegionCode)
		p("`tfbake cleanup` does not touch what it makes.")
		p("")
		p("Make it:")
		p("")
		p("    export NCLOUD_ACCESS_KEY=… NCLOUD_SECRET_KEY=…")
		p("    terraform init")
		p("    terraform apply")
		p("")
		if r.LoginKeyName == "" {
			p("Log in, with root's password, which the console shows to whoever has the login key:")
			p("")
			p("    terraform output -raw private_key")
			p("")
			p("The module makes that key, and so it is in the state in clear text.")
			p("")
		}
	} else {
		p("# Run %s", r.RunID)
		p("")
		p("This directory is an ordinary Terraform root module. tfbake wrote it%s, to make the temporary server `%s`", from, r.Name)
		p("in region %s. The image itself is made through the API and is not part of it.", r.RegionCode)
		p("")
	}
	p("What exists:")
	p("")
	if o.Backend != nil {
		p("    terraform init")
		if o.Backend.Workspace != "" {
			p("    terraform workspace select %s", o.Backend.Workspace)
		}
	}
	p("    terraform state list")
	p("    terraform show")
	p("")
	p("Remove it all:")
	p("")
	if !o.Standalone {
		p("    export NCLOUD_ACCESS_KEY=… NCLOUD_SECRET_KEY=…")
		if o.Backend == nil {
			p("    terraform init")
		}
	}
	p("    terraform destroy -parallelism=4")
	p("")
	if !o.Standalone {
		p("or `tfbake destroy %s`, which also removes the login key `%s` and afterwards asks the API whether", r.RunID, r.LoginKeyName)
		p("anything of this run is left.")
		p("")
	}
	p("OpenTofu (`tofu`) works as well. `init` fetches the official provider from the registry, or from the mirror your CLI")
	p("configuration names. Everything made here has a name that begins with `%s`, or a description that does.", r.Name)
	if r.Platform == config.Classic {
		p("")
		p("`NCLOUD_SUPPORT_VPC` must not be set: provider 3.3.2 would take this for a VPC account.")
	}
	if o.CustomGateway {
		p("")
		p("The API was reached through a gateway of its own: set `NCLOUD_API_GW` as it was for the run. After a `-local` run,")
		p("`tfbake local serve`, in the directory the run began in, starts the simulated cloud and prints what to set.")
	}
	p("")
	if o.Backend == nil {
		p("`terraform.tfstate` holds the text of `user_data`; treat it as you treat that.")
		return b.Bytes()
	}
	p("The state is not here but in the %s backend that `main.tf` names, so that other machines can look after the run. Its", o.Backend.Type)
	p("credentials come from the environment, as they did for tfbake.")
	if o.Backend.Type == "s3" {
		p("Storages that are not Amazon's also need `AWS_REQUEST_CHECKSUM_CALCULATION=when_required` there.")
	}
	p("The state holds the text of `user_data`; treat it as you treat that.")
	return b.Bytes()
}
