package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// PackerVersion is the Packer whose templates we read as it does; {{packer_version}} and packer.version say so too.
const PackerVersion = "1.16.0"

// engine renders the {{…}} of templates: Go's text/template with Packer's functions. It is a value: copies with another
// build name or with run-time values are cheap.
type engine struct {
	user        func(name string) (string, error) // nil: user is not allowed here (HCL2)
	userNames   []string
	env         func(string) (string, bool) // nil: env is not allowed here
	now         time.Time
	cwd         string
	templateDir string
	buildName   string
	buildType   string
	inStep      bool       // inside a provisioner or post-processor, where run-time values will exist
	run         *RunValues // nil: not yet
	guess       bool       // run holds placeholders: what fails with them says nothing
}

// errNotYet comes from functions whose value exists only while a bake runs.
var errNotYet = errors.New("not known yet")

// runData are the names {{build `…`}} and {{.…}} know.
func runData(v RunValues) map[string]string {
	return map[string]string{
		"BuildName": v.BuildName, "BuilderType": v.BuilderType,
		"ID": v.ID, "Host": v.Host, "Port": strconv.Itoa(v.Port), "User": v.User, "Password": v.Password,
		"ConnType": v.ConnType, "PackerRunUUID": v.RunUUID,
		"PackerHTTPAddr": "", "PackerHTTPIP": "", "PackerHTTPPort": "", // no HTTP server is run
		"SSHPublicKey": v.SSHPublicKey, "SSHPrivateKey": v.SSHPrivateKey, "SSHPrivateKeyFile": v.SSHPrivateKeyFile,
		"WinRMPassword": v.WinRMPassword, "SourceImageName": v.SourceImageName,
		"ImageNo": v.ImageNo, "ImageName": v.ImageName, "Region": v.Region, "Platform": v.Platform,
		"ArtifactId": v.ImageNo,
	}
}

// placeholders are stand-ins for the run-time values, for looking at a template without running it.
func placeholders() RunValues {
	p := func(name string) string { return "<" + name + ", known while the bake runs>" }
	return RunValues{
		BuildName: p("build name"), BuilderType: "ncloud", ID: p("server number"), Host: p("host"), Port: 22, User: p("user"),
		Password: p("password"), ConnType: "ssh", RunUUID: p("run uuid"), SSHPublicKey: p("public key"),
		SSHPrivateKey: p("private key"), SSHPrivateKeyFile: p("private key file"), WinRMPassword: p("password"),
		SourceImageName: p("source image"), ImageNo: p("image number"), ImageName: p("image name"), Region: p("region"),
		Platform: p("platform"),
	}
}

// runNames are the names in runData, sorted.
var runNames = func() []string {
	var out []string
	for n := range runData(RunValues{}) {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}()

// notSupported are Packer's functions that fetch from elsewhere.
var notSupported = map[string]string{
	"vault":                  "Read the secret before the bake and hand it over: export TFBAKE_VAR_name, or -var name=…, with the variable listed in sensitive-variables.",
	"consul_key":             "Read the key before the bake and hand it over with -var or a variable file.",
	"aws_secretsmanager":     "Read the secret before the bake and hand it over with -var or a variable file.",
	"aws_secretsmanager_raw": "Read the secret before the bake and hand it over with -var or a variable file.",
	"sed":                    "Packer has dropped it too. Use replace or replace_all: {{replace_all `old` `new` `text`}}.",
}

// funcs are the engine's functions; functionDocs describes each.
func (e engine) funcs() template.FuncMap {
	m := template.FuncMap{
		"build_name": func() string { return e.buildName },
		"build_type": func() string { return e.buildType },
		"build": func(name string) (string, error) {
			if e.run == nil {
				return "", errNotYet
			}
			v, ok := runData(*e.run)[name]
			if !ok {
				return "", fmt.Errorf("there is no build value %q", name)
			}
			return v, nil
		},
		"env": func(name string) (string, error) {
			if e.env == nil {
				return "", errors.New("environment variables can be read in \"variables\" only")
			}
			v, _ := e.env(name)
			return v, nil
		},
		"isotime": func(format ...string) (string, error) {
			switch len(format) {
			case 0:
				return e.now.Format(time.RFC3339), nil
			case 1:
				return e.now.Format(format[0]), nil
			}
			return "", errors.New("isotime takes one format")
		},
		"strftime":     func(format string) string { return strftime(format, e.now) },
		"timestamp":    func() string { return strconv.FormatInt(e.now.Unix(), 10) },
		"pwd":          func() string { return e.cwd },
		"template_dir": func() string { return e.templateDir },
		"user": func(name string) (string, error) {
			if e.user == nil {
				return "", errors.New("user variables are written ${var.name} in HCL2")
			}
			return e.user(name)
		},
		"packer_version": func() string { return PackerVersion },
	}
	for name, f := range pureFuncs {
		m[name] = f
	}
	for name := range notSupported {
		m[name] = func(...string) (string, error) { return "", errors.New("not supported") }
	}
	return m
}

// pureFuncs depend on nothing but their arguments (and the clock, for uuid).
var pureFuncs = template.FuncMap{
	"uuid": func() (string, error) {
		u, err := uuid.NewV7()
		return u.String(), err
	},
	"upper":       strings.ToUpper,
	"lower":       strings.ToLower,
	"replace":     func(old, new string, n int, s string) string { return strings.Replace(s, old, new, n) },
	"replace_all": func(old, new, s string) string { return strings.ReplaceAll(s, old, new) },
	"split": func(s, sep string, i int) (string, error) {
		parts := strings.Split(s, sep)
		if i < 0 || i >= len(parts) {
			return "", fmt.Errorf("there is no part %d: splitting at %q gives %d", i, sep, len(parts))
		}
		return parts[i], nil
	},
	"clean_resource_name": func(s string) string { return cleanName(s, len(s), "") },
}

// builtins are text/template's own functions, for suggestions.
var builtins = []string{"and", "call", "eq", "ge", "gt", "html", "index", "js", "le", "len", "lt", "ne", "not", "or", "print", "printf", "println", "slice", "urlquery"}

// RenderLater fills in a template that a step kept for later, such as execute_command's {{.Path}}.
func RenderLater(text string, data map[string]string) (string, error) {
	t, err := template.New("t").Option("missingkey=error").Funcs(pureFuncs).Parse(text)
	if err != nil {
		return "", errors.New(strings.TrimPrefix(err.Error(), "template: t:"))
	}
	var out strings.Builder
	if err := t.Execute(&out, data); err != nil {
		return "", errors.New(strings.TrimPrefix(err.Error(), "template: t:"))
	}
	return out.String(), nil
}

// text is a string to render and how to find its bytes in a file.
type text struct {
	s  string
	at func(from, to int) hcl.Range
}

func (t text) whole() hcl.Range { return t.at(0, len(t.s)) }

// render fills in a string. Unknown: the value is not known until the bake runs; out is then what it may look like, or "".
func (e engine) render(t text) (out string, unknown bool, diags hcl.Diagnostics) {
	tree, diags := e.parse(t)
	if tree == nil || diags.HasErrors() {
		return t.s, false, diags
	}
	diags = append(diags, e.missing(t, tree)...)
	if e.run == nil && e.deferred(tree.Root) {
		return e.standIn(tree), true, append(diags, e.tryParts(t, tree)...)
	}
	out, err := e.execute(tree)
	if errors.Is(err, errNotYet) || errors.Is(err, errReported) || err != nil && e.guess {
		return "", true, diags
	}
	if err != nil {
		return t.s, false, append(diags, execDiag(t, err)...)
	}
	return out, false, diags
}

// missing warns of {{.Name}} that nothing has a value for, which comes out as in Packer.
func (e engine) missing(t text, tree *parse.Tree) (diags hcl.Diagnostics) {
	walk(tree.Root, func(n parse.Node) {
		f, ok := n.(*parse.FieldNode)
		if !ok || e.inStep && contains(runNames, f.Ident[0]) {
			return
		}
		from := int(f.Position())
		r := t.at(from, from+len(f.String()))
		detail := fmt.Sprintf("Templates are filled in before anything runs, and nothing is called %s here. To hand on {{%s}} as it is, write {{`{{%s}}`}}.", f.Ident[0], f, f)
		if near := suggest(f.Ident[0], runNames); near != "" && e.inStep {
			detail += fmt.Sprintf(" Or did you mean {{.%s}}?", near)
		}
		diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: fmt.Sprintf("{{%s}} becomes %q, as in Packer", f, "<no value>"), Detail: detail, Subject: &r})
	})
	return diags
}

// tryParts executes what can be executed of a text that waits for run-time values, for the mistakes in it.
func (e engine) tryParts(t text, tree *parse.Tree) (diags hcl.Diagnostics) {
	for _, n := range tree.Root.Nodes {
		if _, plain := n.(*parse.TextNode); plain || uses(n).variable || e.deferred(n) {
			continue
		}
		one := tree.Copy()
		one.Root.Nodes = []parse.Node{n}
		if _, err := e.execute(one); err != nil && !errors.Is(err, errNotYet) && !errors.Is(err, errReported) {
			diags = append(diags, execDiag(t, err)...)
		}
	}
	return diags
}

// standIn is what a text that waits for run-time values may look like; "" where that cannot be told.
func (e engine) standIn(tree *parse.Tree) string {
	values := placeholders()
	e.run = &values
	out, err := e.execute(tree)
	if err != nil {
		return ""
	}
	return out
}

// deferred tells whether a part of a template needs run-time values.
func (e engine) deferred(n parse.Node) bool {
	found := false
	walk(n, func(n parse.Node) {
		switch n := n.(type) {
		case *parse.FieldNode:
			found = found || e.inStep && contains(runNames, n.Ident[0])
		case *parse.IdentifierNode:
			found = found || n.Ident == "build"
		}
	})
	return found
}

// renderKept fills in what can be filled in of a template whose {{.Path}} and the like are for later.
func (e engine) renderKept(t text) (out string, unknown bool, diags hcl.Diagnostics) {
	if !strings.Contains(t.s, "{{") {
		return t.s, false, nil
	}
	tree, diags := e.parse(t)
	if tree == nil || diags.HasErrors() {
		return t.s, false, diags
	}
	var b strings.Builder
	for _, n := range tree.Root.Nodes {
		u := uses(n)
		if txt, ok := n.(*parse.TextNode); ok {
			b.Write(txt.Text)
			continue
		}
		if u.field || u.variable || !u.engine {
			b.WriteString(n.String())
			continue
		}
		if e.run == nil && e.deferred(n) {
			return "", true, nil
		}
		one := tree.Copy()
		one.Root.Nodes = []parse.Node{n}
		s, err := e.execute(one)
		if errors.Is(err, errNotYet) || errors.Is(err, errReported) || err != nil && e.guess {
			return "", true, nil
		}
		if err != nil {
			return t.s, false, execDiag(t, err)
		}
		b.WriteString(strings.ReplaceAll(s, "{{", "{{`{{`}}"))
	}
	return b.String(), false, nil
}

func (e engine) execute(tree *parse.Tree) (string, error) {
	// What is missing becomes "<no value>", as in Packer; missing has warned of it.
	t, err := template.New("t").Funcs(e.funcs()).AddParseTree("t", tree)
	if err != nil {
		return "", err
	}
	var data any
	if e.run != nil {
		data = runData(*e.run)
	}
	w := &limitedWriter{left: maxRendered}
	err = t.Execute(w, data)
	return w.b.String(), err
}

// maxRendered keeps a template from filling the memory by repeating itself.
const maxRendered = 8 << 20

type limitedWriter struct {
	b    strings.Builder
	left int
}

func (w *limitedWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, errors.New("the text grows without end")
	}
	return w.b.Write(p)
}

// parse reads a template and looks for what can be told without running it: unknown functions, undeclared variables.
func (e engine) parse(t text) (*parse.Tree, hcl.Diagnostics) {
	tree, err := parseTree(t.s)
	if err != nil {
		return nil, syntaxDiag(t, err)
	}
	var diags hcl.Diagnostics
	add := func(from, to int, summary, format string, args ...any) *hcl.Diagnostic {
		r := t.at(from, to)
		diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: &r})
		return diags[len(diags)-1]
	}
	known := e.funcs()
	walk(tree.Root, func(n parse.Node) {
		from := int(n.Position())
		switch n := n.(type) {
		case *parse.IdentifierNode:
			to := from + len(n.Ident)
			_, ours := known[n.Ident]
			switch {
			case notSupported[n.Ident] != "":
				add(from, to, fmt.Sprintf("%s is not supported", n.Ident), "%s", notSupported[n.Ident])
			case !ours && !contains(builtins, n.Ident):
				names := append([]string(nil), builtins...)
				for name := range known {
					names = append(names, name)
				}
				detail := "docs/template.md lists the functions there are."
				if s := suggest(n.Ident, names); s != "" {
					detail = fmt.Sprintf("Did you mean %q?", s)
				}
				if e.user != nil && contains(e.userNames, n.Ident) {
					detail = fmt.Sprintf("A variable is written {{user `%s`}}.", n.Ident)
				}
				add(from, to, fmt.Sprintf("There is no function %q", n.Ident), "%s", detail)
			case n.Ident == "env" && e.env == nil:
				add(from, to, "env is for variables only", "Declare a variable whose default is {{env `NAME`}} and use {{user `…`}} here.")
			case n.Ident == "build" && !e.inStep:
				add(from, to, "build values do not exist yet here", "They are known while the bake runs, to provisioners and post-processors.")
			case n.Ident == "user" && e.user == nil:
				add(from, to, "user is for JSON templates", "In HCL2 a variable is written ${var.name}.")
			}
		case *parse.CommandNode:
			if len(n.Args) < 2 {
				return
			}
			ident, isIdent := n.Args[0].(*parse.IdentifierNode)
			arg, isString := n.Args[1].(*parse.StringNode)
			if !isIdent || !isString {
				return
			}
			from, to := int(arg.Position()), int(arg.Position())+len(arg.Quoted)
			switch {
			case ident.Ident == "user" && e.user != nil && !contains(e.userNames, arg.Text):
				detail := fmt.Sprintf("Declare it: \"variables\": {%q: \"…\"}.", arg.Text)
				if s := suggest(arg.Text, e.userNames); s != "" {
					detail = fmt.Sprintf("Did you mean %q?", s)
				}
				if d := add(from, to, fmt.Sprintf("There is no variable %q", arg.Text), "%s", detail); e.env == nil {
					// Only the variables themselves must not use what is not there.
					d.Severity, d.Detail = hcl.DiagWarning, "Nothing is filled in, as in Packer. "+detail
				}
			case ident.Ident == "build" && e.inStep && !contains(runNames, arg.Text):
				add(from, to, fmt.Sprintf("There is no build value %q", arg.Text), "%s", didYouMean(arg.Text, runNames))
			}
		}
	})
	return tree, diags
}

func didYouMean(given string, names []string) string {
	if len(names) == 0 {
		return "There is none at all."
	}
	if s := suggest(given, names); s != "" {
		return fmt.Sprintf("Did you mean %q?", s)
	}
	return "Known: " + strings.Join(names, ", ") + "."
}

// parseTree reads a template without minding which functions exist. The parser is known not to survive everything.
func parseTree(s string) (tree *parse.Tree, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	tree = parse.New("t")
	tree.Mode = parse.SkipFuncCheck
	trees := map[string]*parse.Tree{}
	if _, err = tree.Parse(s, "", "", trees); err != nil {
		return nil, err
	}
	if len(trees) > 1 {
		return nil, errors.New("define and block cannot be used in a bake file")
	}
	return tree, nil
}

type usage struct {
	field    bool // {{.Name}}
	variable bool // {{$x}}
	engine   bool // calls a function of ours
}

func uses(n parse.Node) usage {
	var u usage
	walk(n, func(n parse.Node) {
		switch n.(type) {
		case *parse.FieldNode, *parse.DotNode:
			u.field = true
		case *parse.VariableNode:
			u.variable = true
		case *parse.IdentifierNode, *parse.StringNode, *parse.NumberNode, *parse.BoolNode:
			u.engine = true
		}
	})
	return u
}

// walk visits every node of a template.
func walk(n parse.Node, visit func(parse.Node)) {
	list := func(l *parse.ListNode) {
		if l != nil {
			for _, n := range l.Nodes {
				walk(n, visit)
			}
		}
	}
	pipe := func(p *parse.PipeNode) {
		if p != nil {
			for _, c := range p.Cmds {
				walk(c, visit)
			}
		}
	}
	branch := func(b *parse.BranchNode) {
		pipe(b.Pipe)
		list(b.List)
		list(b.ElseList)
	}
	visit(n)
	switch n := n.(type) {
	case *parse.ListNode:
		list(n)
	case *parse.ActionNode:
		pipe(n.Pipe)
	case *parse.PipeNode:
		pipe(n)
	case *parse.CommandNode:
		for _, a := range n.Args {
			walk(a, visit)
		}
	case *parse.ChainNode:
		walk(n.Node, visit)
	case *parse.IfNode:
		branch(&n.BranchNode)
	case *parse.RangeNode:
		branch(&n.BranchNode)
	case *parse.WithNode:
		branch(&n.BranchNode)
	case *parse.TemplateNode:
		pipe(n.Pipe)
	}
}

var (
	syntaxMessage = regexp.MustCompile(`^template: t:\d+: `)
	execMessage   = regexp.MustCompile(`(?s)^template: t:(\d+):(\d+): executing "t" at <.*?>: (?:error calling \w+: )?(.*)$`)
)

// syntaxDiag points at the {{…}} that cannot be read: the first one with which the text stops making sense.
func syntaxDiag(t text, err error) hcl.Diagnostics {
	msg := syntaxMessage.ReplaceAllString(err.Error(), "")
	from, to := 0, len(t.s)
	if i := strings.LastIndex(t.s, "{{"); i >= 0 {
		from = i
	}
	for i := 0; i < len(t.s); {
		open := strings.Index(t.s[i:], "{{")
		if open < 0 {
			break
		}
		open += i
		end := strings.Index(t.s[open:], "}}")
		if end < 0 {
			from = open
			break
		}
		end += open + 2
		if _, err := parseTree(t.s[:end]); err != nil && !strings.Contains(err.Error(), "unexpected EOF") {
			from, to = open, end
			break
		}
		i = end
	}
	detail := upperFirst(msg) + "."
	switch {
	case strings.Contains(msg, "unclosed action"):
		detail = "The }} that closes it is missing."
	case strings.Contains(msg, "unexpected EOF"):
		detail = "The {{end}} that closes it is missing."
	default:
		detail += " To get a literal {{ write {{`{{`}}."
	}
	r := t.at(from, to)
	return hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "This {{…}} cannot be read", Detail: detail, Subject: &r}}
}

// execDiag points at the call that failed.
func execDiag(t text, err error) hcl.Diagnostics {
	r := t.whole()
	detail := err.Error()
	if m := execMessage.FindStringSubmatch(detail); m != nil {
		line, _ := strconv.Atoi(m[1])
		col, _ := strconv.Atoi(m[2])
		off := 0
		for ; line > 1; line-- {
			off += strings.IndexByte(t.s[off:], '\n') + 1
		}
		if off += col; off <= len(t.s) {
			end := len(t.s)
			if i := strings.Index(t.s[off:], "}}"); i >= 0 {
				end = off + i
			}
			r = t.at(off, max(end, off+1))
		}
		detail = m[3]
	}
	detail = upperFirst(strings.TrimSuffix(detail, "."))
	if strings.Contains(detail, "nvalid value; expected") || strings.Contains(detail, "no entry for key") || strings.Contains(detail, "can't evaluate field") {
		detail = "There is no such value here. To get a literal {{ write {{`{{`}}"
	}
	return hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "This {{…}} cannot be filled in", Detail: detail + ".", Subject: &r}}
}

// evalJSON turns a parsed JSON value into an evaluated one. Strings under the keys in keep (of the outermost object)
// are templates for later.
func (e engine) evalJSON(n *jsonNode) (value, hcl.Diagnostics) { return e.evalNode(n, false) }

func (e engine) evalNode(n *jsonNode, keep bool) (value, hcl.Diagnostics) {
	out := value{rng: n.Range()}
	var diags hcl.Diagnostics
	switch n.kind {
	case jsonNull:
		out.v = cty.NullVal(cty.DynamicPseudoType)
	case jsonBool:
		out.v = cty.BoolVal(n.boolean)
	case jsonNumber:
		v, err := cty.ParseNumberVal(n.text)
		if err != nil {
			v = cty.Zero // the parser has checked the grammar; only absurd sizes get here
		}
		out.v = v
	case jsonString:
		if !strings.Contains(n.text, "{{") {
			out.v = cty.StringVal(n.text)
			break
		}
		render := e.render
		if keep {
			render = e.renderKept
		}
		s, unknown, ds := render(text{s: n.text, at: n.textRange})
		diags = append(diags, ds...)
		if out.v = cty.StringVal(s); unknown || ds.HasErrors() {
			out.v = cty.UnknownVal(cty.String)
		}
		if unknown && s != "" {
			out.stand = &value{v: cty.StringVal(s), rng: out.rng}
		}
	case jsonArray:
		vals := []cty.Value{}
		out.elems = []value{}
		for _, el := range n.elems {
			v, ds := e.evalNode(el, keep)
			diags = append(diags, ds...)
			out.elems = append(out.elems, v)
			vals = append(vals, v.v)
		}
		out.v = cty.TupleVal(vals)
	case jsonObject:
		vals := map[string]cty.Value{}
		out.fields = []item{}
		for _, m := range n.members {
			v, ds := e.evalNode(m.val, keep)
			diags = append(diags, ds...)
			out.fields = append(out.fields, item{key: m.name, rng: m.key.Range(), val: v})
			vals[m.name] = v.v
		}
		out.v = cty.ObjectVal(vals)
	}
	return out, diags
}

// evalObject turns a JSON object into an object, the strings under the keys in raw kept for later.
func (e engine) evalObject(n *jsonNode, raw map[string]bool) (object, hcl.Diagnostics) {
	o := object{rng: headOf(n)}
	var diags hcl.Diagnostics
	for _, m := range n.members {
		v, ds := e.evalNode(m.val, raw[strings.ToLower(m.name)])
		diags = append(diags, ds...)
		o.items = append(o.items, item{key: m.name, rng: m.key.Range(), val: v})
	}
	return o, diags
}

// headOf is the place that stands for a whole object in a message: its type, or its opening brace.
func headOf(n *jsonNode) hcl.Range {
	if t := n.member("type"); t != nil {
		return t.Range()
	}
	return n.src.rng(n.from, min(n.from+1, n.to))
}

// strftime formats a time as C does; the letters Packer's documentation names.
func strftime(format string, t time.Time) string {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		if layout, ok := strftimeLayouts[format[i]]; ok {
			b.WriteString(t.Format(layout))
			continue
		}
		switch format[i] {
		case 'f':
			fmt.Fprintf(&b, "%06d", t.Nanosecond()/1000)
		case 'L':
			fmt.Fprintf(&b, "%03d", t.Nanosecond()/1000000)
		case 's':
			fmt.Fprintf(&b, "%d", t.Unix())
		case 'u':
			fmt.Fprintf(&b, "%d", (int(t.Weekday())+6)%7+1)
		case 'w':
			fmt.Fprintf(&b, "%d", int(t.Weekday()))
		case 'V':
			_, week := t.ISOWeek()
			fmt.Fprintf(&b, "%02d", week)
		case '%':
			b.WriteByte('%')
		default:
			b.WriteByte('%')
			b.WriteByte(format[i])
		}
	}
	return b.String()
}

var strftimeLayouts = map[byte]string{
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'h': "Jan", 'c': "Mon Jan _2 15:04:05 2006", 'd': "02", 'e': "_2",
	'D': "01/02/06", 'F': "2006-01-02", 'H': "15", 'I': "03", 'j': "002", 'm': "01", 'M': "04", 'p': "PM", 'R': "15:04",
	'S': "05", 'T': "15:04:05", 'y': "06", 'Y': "2006", 'z': "-0700", 'Z': "MST", 'n': "\n", 't': "\t",
}

func templateDir(path, cwd string) string {
	if path == "-" {
		return cwd
	}
	return filepath.Dir(absPath(cwd, path))
}

func stringVal(s string) cty.Value { return cty.StringVal(s) }
