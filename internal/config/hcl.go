package config

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/hashicorp/go-version"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	hcljson "github.com/hashicorp/hcl/v2/json"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
)

type namedText struct {
	name string
	text []byte
}

// DataSource answers data "ncloud-image", "ncloud-spec" and "ncloud-subnet" blocks.
type DataSource interface {
	// Read returns the attributes of the one thing that the arguments (an object) describe. Its error says what is
	// there instead.
	Read(ctx context.Context, typ string, args cty.Value) (cty.Value, error)
}

// dataTypes are the data sources there are.
var dataTypes = []string{"http", "ncloud-image", "ncloud-spec", "ncloud-subnet", "null"}

var rootSchema = &hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{
	{Type: "packer"},
	{Type: "variable", LabelNames: []string{"name"}},
	{Type: "variables"},
	{Type: "local", LabelNames: []string{"name"}},
	{Type: "locals"},
	{Type: "data", LabelNames: []string{"type", "name"}},
	{Type: "source", LabelNames: []string{"type", "name"}},
	{Type: "build"},
	{Type: "communicator", LabelNames: []string{"type", "name"}},
	{Type: "hcp_packer_registry"},
	backendHeader,
}}

// hclLoader reads one HCL2 template, of one or more files.
type hclLoader struct {
	ctx   context.Context // of Load; bounds the data sources, which are asked from within expressions
	o     Options
	root  string // directory of the template as the user named it: path.root
	tmpl  *Template
	srcs  map[string]*source
	diags hcl.Diagnostics

	funcs   map[string]function.Function
	vars    map[string]*hclVar
	locals  map[string]*hclLocal
	data    map[string]*hclData // by "type.name"
	sources map[string]*hclSource
	builds  []*hcl.Block
	backend *hcl.Block
	path    []string // what is being worked out, outermost first: to tell a circle
}

type hclVar struct {
	name     string
	typ      cty.Type
	defaults *typeDefaults
	def      hcl.Expression
	rules    []hclRule
	block    hcl.Range
	value    cty.Value // NilVal: none given
	from     hcl.Range // where the value was given
	secret   bool
	index    int // in Template.Variables
}

type hclRule struct {
	condition, message hcl.Expression
}

type hclLocal struct {
	expr   hcl.Expression
	rng    hcl.Range
	secret bool
	value  cty.Value // NilVal: not worked out yet
	busy   bool
}

type hclData struct {
	typ, name string
	block     *hcl.Block
	value     cty.Value
	busy      bool
}

type hclSource struct {
	typ, name string
	block     *hcl.Block
	used      bool
}

// loadDir reads a directory of HCL2 files.
func loadDir(ctx context.Context, path string, o Options) (*Template, hcl.Diagnostics) {
	entries, err := o.FS.ReadDir(absPath(o.Cwd, path))
	if err != nil {
		return nil, cannotRead(path, err)
	}
	var files []namedText
	var auto, plainJSON []string
	for _, e := range entries {
		name := filepath.Join(path, e.Name())
		switch {
		case e.IsDir():
		case strings.HasSuffix(e.Name(), ".auto.pkrvars.hcl"), strings.HasSuffix(e.Name(), ".auto.pkrvars.json"):
			auto = append(auto, name)
		case strings.HasSuffix(e.Name(), ".pkr.hcl"), strings.HasSuffix(e.Name(), ".pkr.json"):
			text, err := o.FS.ReadFile(absPath(o.Cwd, name))
			if err != nil {
				return nil, cannotRead(name, err)
			}
			files = append(files, namedText{name, text})
		case strings.HasSuffix(e.Name(), ".json") && !strings.HasSuffix(e.Name(), ".pkrvars.json"):
			plainJSON = append(plainJSON, name)
		}
	}
	if len(files) == 0 {
		detail := "A directory is read for its *.pkr.hcl and *.pkr.json files."
		if len(plainJSON) > 0 {
			detail += fmt.Sprintf(" To read a JSON template, name it: %s.", plainJSON[0])
		}
		return nil, hcl.Diagnostics{{Severity: hcl.DiagError, Summary: fmt.Sprintf("%s holds no template", path), Detail: detail}}
	}
	o.VarFiles = append(auto, o.VarFiles...)
	return loadHCL(ctx, path, files, o)
}

func loadHCL(ctx context.Context, path string, files []namedText, o Options) (*Template, hcl.Diagnostics) {
	l := &hclLoader{ctx: ctx, o: o, srcs: map[string]*source{}, vars: map[string]*hclVar{}, locals: map[string]*hclLocal{},
		data: map[string]*hclData{}, sources: map[string]*hclSource{}}
	l.tmpl = &Template{Path: path, Files: map[string]*hcl.File{}}
	switch info, err := o.FS.Stat(absPath(o.Cwd, path)); {
	case path == "-":
		l.root = o.Cwd
	case err == nil && info.IsDir():
		l.root = path
	default:
		l.root = filepath.Dir(path)
	}
	l.funcs = hclFunctions(absPath(o.Cwd, l.root), o.Now)

	var bodies []hcl.Body
	for _, f := range files {
		if body := l.parse(f.name, f.text); body != nil {
			bodies = append(bodies, body)
		}
	}
	if l.diags.HasErrors() || o.SyntaxOnly {
		return l.tmpl, finish(l.diags)
	}
	for _, body := range bodies {
		l.collect(body)
	}
	l.variableValues()
	l.evaluateAll()
	l.tmpl.eval = l.console
	l.readBackend()
	l.makeBuilds()
	l.tmpl.hints()
	return l.tmpl, finish(l.diags)
}

// parse reads one file; nil when there is nothing to go on with.
func (l *hclLoader) parse(name string, text []byte) hcl.Body {
	src := newSource(name, text)
	l.srcs[name] = src
	l.tmpl.Files[name] = &hcl.File{Bytes: text}
	if strings.HasSuffix(name, ".json") || name == "<stdin>" && looksLikeJSON(text) {
		// Our own parser first: it finds trailing text, comments and missing commas, and says where. Double keys are
		// left to hcl, in whose JSON several blocks of a type may be written so.
		p := &jsonParser{src: src, b: src.bytes, twice: true}
		if n := p.file(); p.diags.HasErrors() || n == nil {
			diags := p.diags
			l.diags = append(l.diags, diags...)
			return nil
		}
		f, diags := hcljson.Parse(text, name)
		l.diags = append(l.diags, diags...)
		if f == nil || diags.HasErrors() {
			return nil
		}
		return f.Body
	}
	f, diags := hclsyntax.ParseConfig(text, name, hcl.InitialPos)
	l.diags = append(l.diags, diags...)
	if f == nil {
		return nil
	}
	return f.Body
}

func (l *hclLoader) errorf(r hcl.Range, summary, format string, args ...any) {
	l.diags = append(l.diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: &r})
}

func (l *hclLoader) warnf(r hcl.Range, summary, format string, args ...any) {
	l.diags = append(l.diags, &hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: &r})
}

// collect sorts a file's blocks; nothing is evaluated but what declares variables.
func (l *hclLoader) collect(body hcl.Body) {
	content, diags := body.Content(rootSchema)
	l.diags = append(l.diags, diags...)
	for _, b := range content.Blocks {
		switch b.Type {
		case "packer":
			l.packerBlock(b)
		case "variable":
			l.variableBlock(b)
		case "variables":
			for _, a := range l.attributes(b.Body) {
				l.declare(&hclVar{name: a.Name, typ: cty.DynamicPseudoType, def: a.Expr, block: a.NameRange}, "", a.NameRange)
			}
		case "local":
			l.localBlock(b)
		case "locals":
			for _, a := range l.attributes(b.Body) {
				l.local(a.Name, &hclLocal{expr: a.Expr, rng: a.NameRange})
			}
		case "data":
			d := &hclData{typ: b.Labels[0], name: b.Labels[1], block: b}
			if before, twice := l.data[d.typ+"."+d.name]; twice {
				l.errorf(b.LabelRanges[1], fmt.Sprintf("data %q %q is there twice", d.typ, d.name), "The other is at %s.", place(before.block.DefRange))
				continue
			}
			if !contains(dataTypes, d.typ) {
				detail := "tfbake has " + strings.Join(dataTypes, ", ") + "."
				if s := suggest(d.typ, dataTypes); s != "" {
					detail = fmt.Sprintf("Did you mean %q? ", s) + detail
				}
				l.errorf(b.LabelRanges[0], fmt.Sprintf("There is no data source %q", d.typ), "%s", detail)
				d.value = cty.DynamicVal
			}
			l.data[d.typ+"."+d.name] = d
		case "source":
			s := &hclSource{typ: b.Labels[0], name: b.Labels[1], block: b}
			if before, twice := l.sources[s.typ+"."+s.name]; twice {
				l.errorf(b.LabelRanges[1], fmt.Sprintf("source %q %q is there twice", s.typ, s.name), "The other is at %s.", place(before.block.DefRange))
				continue
			}
			if !hclsyntax.ValidIdentifier(s.name) {
				l.errorf(b.LabelRanges[1], fmt.Sprintf("%q is not a name", s.name), "A name begins with a letter and holds letters, digits, _ and -.")
			}
			l.sources[s.typ+"."+s.name] = s
		case "build":
			l.builds = append(l.builds, b)
		case "backend":
			if l.backend != nil {
				l.diags = append(l.diags, twoBackends(b.DefRange, l.backend.DefRange))
				continue
			}
			l.backend = b
		case "communicator":
			l.warnf(b.TypeRange, "communicator blocks have no effect", "Write the communicator's keys (ssh_…, winrm_…) into the source.")
		case "hcp_packer_registry":
			l.warnf(b.TypeRange, "hcp_packer_registry has no effect", "tfbake does not report to HCP Packer.")
		}
	}
}

// readBackend reads where the runs' states are kept.
func (l *hclLoader) readBackend() {
	if l.backend == nil {
		return
	}
	b, diags := hclBackend(l.backend, func(e hcl.Expression) (cty.Value, hcl.Diagnostics) {
		ctx, diags := l.context(scope{}, e)
		if diags.HasErrors() {
			return cty.DynamicVal, diags
		}
		v, ds := e.Value(ctx)
		return v, append(diags, ds...)
	})
	if l.tmpl.Backend = b; b != nil {
		l.tmpl.Sensitive = append(l.tmpl.Sensitive, b.Refused...)
	}
	l.diags = append(l.diags, diags...)
}

func place(r hcl.Range) string { return fmt.Sprintf("%s:%d", r.Filename, r.Start.Line) }

// attributes are a body's attributes in order of appearance.
func (l *hclLoader) attributes(body hcl.Body) []*hcl.Attribute {
	attrs, diags := body.JustAttributes()
	l.diags = append(l.diags, diags...)
	return sortAttrs(attrs)
}

func sortAttrs(attrs hcl.Attributes) []*hcl.Attribute {
	out := make([]*hcl.Attribute, 0, len(attrs))
	for _, a := range attrs {
		out = append(out, a)
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i].Range, out[j].Range
		if a.Filename != b.Filename {
			return a.Filename < b.Filename
		}
		if a.Start.Byte != b.Start.Byte {
			return a.Start.Byte < b.Start.Byte
		}
		return out[i].Name < out[j].Name
	})
	return out
}

func (l *hclLoader) packerBlock(b *hcl.Block) {
	content, diags := b.Body.Content(&hcl.BodySchema{
		Attributes: []hcl.AttributeSchema{{Name: "required_version"}},
		Blocks:     []hcl.BlockHeaderSchema{{Type: "required_plugins"}},
	})
	l.diags = append(l.diags, diags...)
	if a, ok := content.Attributes["required_version"]; ok {
		v, diags := a.Expr.Value(nil)
		l.diags = append(l.diags, diags...)
		s, err := asString(v)
		if err == nil && v.IsKnown() && !v.IsNull() {
			constraint, err := version.NewConstraint(s)
			if err != nil {
				l.errorf(a.Expr.Range(), fmt.Sprintf("%q is not a version constraint", s), "Write it as \">= 1.8.0\".")
			} else if !constraint.Check(version.Must(version.NewVersion(PackerVersion))) {
				l.warnf(a.Expr.Range(), fmt.Sprintf("This template asks for Packer %s", s), "tfbake reads templates as Packer %s does.", PackerVersion)
			}
		}
	}
	for _, p := range content.Blocks {
		var names []string
		for _, a := range l.attributes(p.Body) {
			names = append(names, a.Name)
		}
		if len(names) > 0 {
			l.tmpl.Notes = append(l.tmpl.Notes, fmt.Sprintf("required_plugins (%s): tfbake needs no plugins", strings.Join(names, ", ")))
		}
	}
}

func (l *hclLoader) localBlock(b *hcl.Block) {
	content, diags := b.Body.Content(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "expression", Required: true}, {Name: "sensitive"}}})
	l.diags = append(l.diags, diags...)
	loc := &hclLocal{rng: b.LabelRanges[0], value: cty.DynamicVal}
	if a, ok := content.Attributes["expression"]; ok {
		loc.expr, loc.value = a.Expr, cty.NilVal
	}
	loc.secret = l.constBool(content.Attributes["sensitive"])
	l.local(b.Labels[0], loc)
}

func (l *hclLoader) local(name string, loc *hclLocal) {
	if before, twice := l.locals[name]; twice {
		l.errorf(loc.rng, fmt.Sprintf("local.%s is defined twice", name), "The other is at %s.", place(before.rng))
		return
	}
	l.locals[name] = loc
}

// constBool reads an attribute that must be true or false as it stands.
func (l *hclLoader) constBool(a *hcl.Attribute) bool {
	if a == nil {
		return false
	}
	v, diags := a.Expr.Value(nil)
	l.diags = append(l.diags, diags...)
	if diags.HasErrors() || !v.IsKnown() {
		return false
	}
	b, err := asBool(v)
	if err != nil {
		l.errorf(a.Expr.Range(), fmt.Sprintf("%s takes true or false", a.Name), "This is %s.", describe(v))
	}
	return b
}

// scope is what an expression may refer to beside var, local, data, path and packer.
type scope struct {
	extra map[string]cty.Value // source, build, each
	env   bool                 // env() is allowed: defaults of variables
	bare  bool                 // no local and data: variables
	later *scope               // the same with stand-ins for what only a running bake knows; nil: it needs none
}

// context makes the evaluation context for an expression, working out the locals and data it needs first.
func (l *hclLoader) context(s scope, exprs ...hcl.Expression) (*hcl.EvalContext, hcl.Diagnostics) {
	var diags hcl.Diagnostics
	// Only what is referred to goes into the context: with everything, a template of n locals would cost n².
	needs := map[string]map[string]bool{"var": {}, "local": {}}
	for _, e := range exprs {
		for _, t := range e.Variables() {
			if names, ok := needs[t.RootName()]; ok {
				if a, ok := attrOf(t, 1); ok && names != nil {
					names[a] = true
				} else if !ok {
					needs[t.RootName()] = nil // all of them
				}
			}
			if ds := l.reference(s, t); len(ds) > 0 && !tolerated(e, t) {
				diags = append(diags, ds...)
			}
		}
	}
	return l.scoped(s, needs), diags
}

// attrOf is the name that the i-th step of a traversal takes: var.x, var["x"].
func attrOf(t hcl.Traversal, i int) (string, bool) {
	if i >= len(t) {
		return "", false
	}
	switch step := t[i].(type) {
	case hcl.TraverseAttr:
		return step.Name, true
	case hcl.TraverseIndex:
		if step.Key.Type() == cty.String && step.Key.IsKnown() && !step.Key.IsNull() {
			return step.Key.AsString(), true
		}
	}
	return "", false
}

// tolerated tells whether it is not for us to judge a reference: the arguments of try, can and convert are looked at by
// these functions, and inside a dynamic block there are names only that block knows. Evaluation finds what is wrong.
func tolerated(e hcl.Expression, t hcl.Traversal) bool {
	if w, ok := e.(interface{ UnwrapExpression() hcl.Expression }); ok {
		if inner := w.UnwrapExpression(); inner != e {
			return true
		}
	}
	node, ok := e.(hclsyntax.Node)
	if !ok {
		return false
	}
	at, found := t.SourceRange(), false
	_ = hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics {
		if call, ok := n.(*hclsyntax.FunctionCallExpr); ok && contains([]string{"try", "can", "convert"}, call.Name) {
			r := call.Range()
			found = found || r.Start.Byte <= at.Start.Byte && at.End.Byte <= r.End.Byte
		}
		return nil
	})
	return found
}

// scoped is the evaluation context with what has been worked out so far: the needed variables and locals, or all.
func (l *hclLoader) scoped(s scope, needs map[string]map[string]bool) *hcl.EvalContext {
	vars := map[string]cty.Value{}
	addVar := func(name string) {
		if v := l.vars[name]; v != nil {
			vars[name] = v.value
			if v.value == cty.NilVal {
				vars[name] = cty.DynamicVal
			}
		}
	}
	if names := needs["var"]; names != nil {
		for name := range names {
			addVar(name)
		}
	} else {
		for name := range l.vars {
			addVar(name)
		}
	}
	ctx := &hcl.EvalContext{Functions: l.funcs, Variables: map[string]cty.Value{
		"var": cty.ObjectVal(vars),
		"path": cty.ObjectVal(map[string]cty.Value{
			"cwd": cty.StringVal(filepath.ToSlash(l.o.Cwd)), "root": cty.StringVal(filepath.ToSlash(l.root)),
		}),
		"packer": cty.ObjectVal(map[string]cty.Value{
			"version": cty.StringVal(PackerVersion), "versionFingerprint": cty.StringVal(""), "iterationID": cty.StringVal(""),
		}),
	}}
	if s.env {
		ctx.Functions = map[string]function.Function{}
		for n, f := range l.funcs {
			ctx.Functions[n] = f
		}
		ctx.Functions["env"] = envFunc(l.o.Env)
	}
	if !s.bare {
		locals := map[string]cty.Value{}
		addLocal := func(name string) {
			if loc := l.locals[name]; loc != nil && loc.value != cty.NilVal {
				locals[name] = loc.value
			}
		}
		if names := needs["local"]; names != nil {
			for name := range names {
				addLocal(name)
			}
		} else {
			for name := range l.locals {
				addLocal(name)
			}
		}
		data := map[string]map[string]cty.Value{}
		for _, d := range l.data {
			if d.value == cty.NilVal {
				continue
			}
			if data[d.typ] == nil {
				data[d.typ] = map[string]cty.Value{}
			}
			data[d.typ][d.name] = d.value
		}
		byType := map[string]cty.Value{}
		for typ, m := range data {
			byType[typ] = cty.ObjectVal(m)
		}
		ctx.Variables["local"], ctx.Variables["data"] = cty.ObjectVal(locals), cty.ObjectVal(byType)
	}
	for name, v := range s.extra {
		ctx.Variables[name] = v
	}
	return ctx
}

// reference checks that what an expression names exists, and works it out when it is a local or data source.
func (l *hclLoader) reference(s scope, t hcl.Traversal) hcl.Diagnostics {
	fail := func(r hcl.Range, summary, format string, args ...any) hcl.Diagnostics {
		return hcl.Diagnostics{{Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: &r}}
	}
	attr := func(i int) (string, hcl.Range, bool) {
		name, ok := attrOf(t, i)
		if !ok {
			return "", hcl.Range{}, false
		}
		return name, t[i].SourceRange(), true
	}
	root := t.RootName()
	switch {
	case root == "var":
		name, r, ok := attr(1)
		if ok && l.vars[name] == nil {
			return fail(r, fmt.Sprintf("There is no variable %q", name), "%s", nearest(name, sortedKeys(l.vars), fmt.Sprintf("Declare it: variable %q {}.", name)))
		}
	case root == "local" && !s.bare:
		name, r, ok := attr(1)
		if !ok {
			var diags hcl.Diagnostics
			for _, n := range sortedKeys(l.locals) {
				if !l.locals[n].busy { // "local" inside a local means the others
					diags = append(diags, l.workOutLocal(n, t.SourceRange())...)
				}
			}
			return diags
		}
		if l.locals[name] == nil {
			return fail(r, fmt.Sprintf("There is no local %q", name), "%s", nearest(name, sortedKeys(l.locals), "Define it in a locals block."))
		}
		return l.workOutLocal(name, t.SourceRange())
	case root == "data" && !s.bare:
		typ, _, ok1 := attr(1)
		name, r, ok2 := attr(2)
		if !ok1 || !ok2 {
			var diags hcl.Diagnostics
			for _, n := range sortedKeys(l.data) {
				if !l.data[n].busy {
					diags = append(diags, l.workOutData(n, t.SourceRange())...)
				}
			}
			return diags
		}
		if l.data[typ+"."+name] == nil {
			return fail(r, fmt.Sprintf("There is no data source %s.%s", typ, name), "%s", nearest(typ+"."+name, sortedKeys(l.data), fmt.Sprintf("Define it: data %q %q {}.", typ, name)))
		}
		return l.workOutData(typ+"."+name, t.SourceRange())
	case root == "path" || root == "packer":
		name, r, ok := attr(1)
		known := []string{"cwd", "root"}
		if root == "packer" {
			known = []string{"version", "versionFingerprint", "iterationID"}
		}
		if ok && !contains(known, name) {
			return fail(r, fmt.Sprintf("There is no %s.%s", root, name), "%s", nearest(name, known, fmt.Sprintf("There is %s.%s.", root, strings.Join(known, ", "+root+"."))))
		}
	default:
		v, ok := s.extra[root]
		if !ok {
			known := []string{"var", "path", "packer"}
			if !s.bare {
				known = append(known, "local", "data")
			}
			known = append(known, sortedKeys(s.extra)...)
			detail := map[string]string{
				"build":  "build.… is known to provisioners and post-processors.",
				"source": "source.… is known inside build blocks and sources.",
				"each":   "each.key and each.value are known where for_each is set.",
				"local":  "Variables cannot use locals: locals are made of variables.",
				"data":   "Variables cannot use data sources.",
			}[root]
			if detail == "" {
				detail = nearest(root, known, fmt.Sprintf("An expression refers to %s. A plain word is no string: put it in quotes.", strings.Join(known, ", ")))
			}
			return fail(t[0].SourceRange(), fmt.Sprintf("%q is not known here", root), "%s", detail)
		}
		if name, r, ok := attr(1); ok && v.Type().IsObjectType() && !v.Type().HasAttribute(name) {
			names := sortedKeys(v.Type().AttributeTypes())
			return fail(r, fmt.Sprintf("There is no %s.%s", root, name), "%s", nearest(name, names, fmt.Sprintf("There is %s.%s.", root, strings.Join(names, ", "+root+"."))))
		}
	}
	return nil
}

func nearest(given string, names []string, otherwise string) string {
	if s := suggest(given, names); s != "" {
		return fmt.Sprintf("Did you mean %q?", s)
	}
	return otherwise
}

func (l *hclLoader) circle(what string, at hcl.Range) hcl.Diagnostics {
	from := 0
	for i, p := range l.path {
		if p == what {
			from = i
		}
	}
	return hcl.Diagnostics{{Severity: hcl.DiagError, Summary: fmt.Sprintf("%s depends on itself", what),
		Detail: strings.Join(append(append([]string(nil), l.path[from:]...), what), " uses ") + ".", Subject: &at}}
}

func (l *hclLoader) workOutLocal(name string, at hcl.Range) hcl.Diagnostics {
	loc := l.locals[name]
	switch {
	case loc.value != cty.NilVal:
		return nil
	case loc.busy:
		return l.circle("local."+name, at)
	}
	loc.busy = true
	l.path = append(l.path, "local."+name)
	ctx, diags := l.context(scope{}, loc.expr)
	l.path = l.path[:len(l.path)-1]
	loc.busy = false
	loc.value = cty.DynamicVal
	if !diags.HasErrors() {
		v, ds := loc.expr.Value(ctx)
		diags = append(diags, ds...)
		if !ds.HasErrors() {
			loc.value = v
		}
	}
	if loc.secret {
		l.secrets(loc.value)
	}
	return diags
}

func (l *hclLoader) workOutData(key string, at hcl.Range) hcl.Diagnostics {
	d := l.data[key]
	switch {
	case d.value != cty.NilVal:
		return nil
	case d.busy:
		return l.circle("data."+key, at)
	}
	attrs, diags := d.block.Body.JustAttributes()
	var exprs []hcl.Expression
	for _, a := range sortAttrs(attrs) {
		exprs = append(exprs, a.Expr)
	}
	d.busy = true
	l.path = append(l.path, "data."+key)
	ctx, ds := l.context(scope{}, exprs...)
	l.path = l.path[:len(l.path)-1]
	d.busy = false
	d.value = cty.DynamicVal
	if diags = append(diags, ds...); diags.HasErrors() {
		return diags
	}
	args := map[string]cty.Value{}
	for _, a := range sortAttrs(attrs) {
		v, ds := a.Expr.Value(ctx)
		diags = append(diags, ds...)
		args[a.Name] = v
	}
	argObject := cty.ObjectVal(args)
	if diags.HasErrors() || !argObject.IsWhollyKnown() {
		return diags
	}
	v, err := l.read(d.typ, argObject)
	if err != nil {
		return append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: fmt.Sprintf("data.%s cannot be had", key),
			Detail: upperFirst(strings.TrimSuffix(err.Error(), ".")) + ".", Subject: d.block.DefRange.Ptr()})
	}
	d.value = v
	return diags
}

// dataTimeout is how long one data source may take.
const dataTimeout = time.Minute

// read asks a data source. Without a way to ask, the answer is unknown.
func (l *hclLoader) read(typ string, args cty.Value) (cty.Value, error) {
	ctx, cancel := context.WithTimeout(l.ctx, dataTimeout)
	defer cancel()
	switch typ {
	case "null":
		if !args.Type().HasAttribute("input") {
			return cty.NilVal, fmt.Errorf("it needs input")
		}
		return cty.ObjectVal(map[string]cty.Value{"output": args.GetAttr("input")}), nil
	case "http":
		if l.o.HTTP == nil {
			return cty.UnknownVal(cty.Object(map[string]cty.Type{"url": cty.String, "body": cty.String, "request_headers": cty.Map(cty.String)})), nil
		}
		return readHTTP(ctx, l.o.HTTP, args)
	}
	if l.o.Data == nil {
		return cty.DynamicVal, nil
	}
	return l.o.Data.Read(ctx, typ, args)
}

// httpData are the arguments of data "http".
type httpData struct {
	url, method, body string
	headers           map[string]string
}

var httpDataSchema = &schema[httpData]{what: "data \"http\"", fields: []field[httpData]{
	{name: "url", need: true, doc: "where to ask.", ptr: func(h *httpData) any { return &h.url }},
	{name: "method", def: "GET", doc: "HEAD, GET, POST, PUT, DELETE, OPTIONS or PATCH.", ptr: func(h *httpData) any { return &h.method }, check: oneOf("HEAD", "GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")},
	{name: "request_headers", doc: "Headers to send.", ptr: func(h *httpData) any { return &h.headers }},
	{name: "request_body", doc: "Text to send.", ptr: func(h *httpData) any { return &h.body }},
}}

// maxHTTPBody is how much of an answer is read.
const maxHTTPBody = 16 << 20

func readHTTP(ctx context.Context, client *http.Client, args cty.Value) (cty.Value, error) {
	d := &decoder{}
	h := decode(d, httpDataSchema, object{items: value{v: args}.entries()})
	for _, diag := range d.diags {
		return cty.NilVal, fmt.Errorf("%s: %s", diag.Summary, diag.Detail)
	}
	req, err := http.NewRequestWithContext(ctx, h.method, h.url, strings.NewReader(h.body))
	if err != nil {
		return cty.NilVal, err
	}
	for k, v := range h.headers {
		req.Header.Set(k, v)
	}
	resp, err := client.Do(req)
	if err != nil {
		return cty.NilVal, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxHTTPBody+1))
	if err != nil {
		return cty.NilVal, fmt.Errorf("%s %s: reading the answer: %w", h.method, h.url, err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return cty.NilVal, fmt.Errorf("%s %s: %s", h.method, h.url, resp.Status)
	}
	if len(body) > maxHTTPBody {
		return cty.NilVal, fmt.Errorf("%s %s: the answer is larger than %d MB", h.method, h.url, maxHTTPBody>>20)
	}
	headers := map[string]cty.Value{}
	for k, v := range resp.Header {
		headers[k] = cty.StringVal(strings.Join(v, ", "))
	}
	headersVal := cty.MapValEmpty(cty.String)
	if len(headers) > 0 {
		headersVal = cty.MapVal(headers)
	}
	return cty.ObjectVal(map[string]cty.Value{"url": cty.StringVal(h.url), "body": cty.StringVal(string(body)), "request_headers": headersVal}), nil
}

// evaluateAll works out every local and data source, so that a mistake in one that nothing uses is found as well.
func (l *hclLoader) evaluateAll() {
	for _, name := range sortedKeys(l.locals) {
		l.diags = append(l.diags, l.workOutLocal(name, l.locals[name].rng)...)
	}
	for _, key := range sortedKeys(l.data) {
		l.diags = append(l.diags, l.workOutData(key, l.data[key].block.DefRange)...)
	}
}

// console evaluates one expression for Template.Eval.
func (l *hclLoader) console(text string) (string, hcl.Diagnostics) {
	expr, diags := hclsyntax.ParseExpression([]byte(text), "<console>", hcl.InitialPos)
	if diags.HasErrors() {
		return "", diags
	}
	v, diags := l.eval(scope{}, expr)
	switch {
	case diags.HasErrors():
		return "", diags
	case v.unknown():
		return "(known while the bake runs)", diags
	case v.v.IsNull():
		return "null", diags
	}
	return showValue(v.v), diags
}

// secrets remembers all strings inside a value as not to be shown.
func (l *hclLoader) secrets(v cty.Value) {
	if v == cty.NilVal || v.IsNull() || !v.IsKnown() {
		return
	}
	if s, err := convert.Convert(v, cty.String); err == nil && s.IsKnown() && !s.IsNull() {
		if v.Type() != cty.Bool && s.AsString() != "" && !contains(l.tmpl.Sensitive, s.AsString()) {
			l.tmpl.Sensitive = append(l.tmpl.Sensitive, s.AsString())
		}
		return
	}
	if v.CanIterateElements() {
		for it := v.ElementIterator(); it.Next(); {
			_, e := it.Element()
			l.secrets(e)
		}
	}
}
