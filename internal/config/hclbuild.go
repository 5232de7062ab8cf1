package config

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/dynblock"
	"github.com/zclconf/go-cty/cty"
)

var buildSchema = &hcl.BodySchema{
	Attributes: []hcl.AttributeSchema{{Name: "name"}, {Name: "description"}, {Name: "sources"}, {Name: "for_each"}},
	Blocks: []hcl.BlockHeaderSchema{
		{Type: "source", LabelNames: []string{"reference"}},
		{Type: "provisioner", LabelNames: []string{"type"}},
		{Type: "error-cleanup-provisioner", LabelNames: []string{"type"}},
		{Type: "post-processor", LabelNames: []string{"type"}},
		{Type: "post-processors"},
		{Type: "hcp_packer_registry"},
	},
}

// each is one round of a for_each: its key, and the value of "each" in expressions. The zero value: no for_each.
type each struct {
	key string
	val cty.Value
}

// makeBuilds turns source and build blocks into Builds.
func (l *hclLoader) makeBuilds() {
	var names []string
	seen := map[string]int{}
	for _, b := range l.builds {
		rounds := []each{{}}
		if a := forEachOf(b.Body); a != nil {
			var ok bool
			if rounds, ok = l.forEach(scope{}, a.Expr); !ok {
				continue
			}
		}
		for _, round := range rounds {
			for _, build := range l.makeBuild(b, round, &names) {
				// Packer runs builds of the same name; we must tell them apart.
				if seen[build.Name]++; seen[build.Name] > 1 {
					name := fmt.Sprintf("%s-%d", build.Name, seen[build.Name])
					l.warnf(build.Range, fmt.Sprintf("Two builds are named %q", build.Name), "This one is called %q instead. Give the build block a name, or the source another one: source \"…\" { name = \"…\" }.", name)
					build.Name = name
				}
				l.tmpl.Builds = append(l.tmpl.Builds, build)
			}
		}
	}
	if len(l.builds) == 0 {
		files := sortedKeys(l.srcs)
		r := hcl.Range{Filename: files[0], Start: hcl.InitialPos, End: hcl.InitialPos}
		l.errorf(r, "The template has no build", "Add build { sources = [\"source.ncloud.NAME\"] }.")
		return
	}
	for _, key := range sortedKeys(l.sources) {
		if s := l.sources[key]; !s.used && !l.diags.HasErrors() {
			l.warnf(s.block.DefRange, fmt.Sprintf("No build uses source.%s", key), "Add it to the sources of a build, or remove it.")
		}
	}
	if len(names) > 0 {
		l.diags = append(l.diags, unmatched(l.o, append([]string(nil), names...))...)
		if len(l.tmpl.Builds) == 0 && !l.diags.HasErrors() {
			l.diags = append(l.diags, noBuilds(names))
		}
	}
}

func forEachOf(body hcl.Body) *hcl.Attribute {
	content, _, _ := body.PartialContent(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "for_each"}}})
	if content == nil {
		return nil
	}
	return content.Attributes["for_each"]
}

// forEach works out the rounds of a for_each: the entries of a map, or the elements of a list or set of strings.
func (l *hclLoader) forEach(s scope, expr hcl.Expression) ([]each, bool) {
	v, diags := l.eval(s, expr)
	l.diags = append(l.diags, diags...)
	if diags.HasErrors() {
		return nil, false
	}
	if !v.v.IsWhollyKnown() {
		if v.v.IsKnown() && !v.v.IsNull() && v.v.CanIterateElements() && !isList(v.v) {
			// Keys are what matters; values may come later.
		} else {
			l.warnf(expr.Range(), "for_each is not known yet", "It depends on a data source, which is asked when the bake runs.")
			return nil, false
		}
	}
	if v.v.IsNull() || !v.v.CanIterateElements() {
		l.errorf(expr.Range(), "for_each takes a map or a list of strings", "This is %s.", describe(v.v))
		return nil, false
	}
	var out []each
	seen := map[string]bool{}
	for it := v.v.ElementIterator(); it.Next(); {
		k, e := it.Element()
		key := ""
		if isList(v.v) {
			s, err := asString(e)
			if err != nil || e.IsNull() {
				l.errorf(expr.Range(), "for_each takes a map or a list of strings", "An element is %s.", describe(e))
				return nil, false
			}
			key, k = s, cty.StringVal(s)
		} else {
			key = k.AsString()
		}
		if seen[key] {
			l.errorf(expr.Range(), fmt.Sprintf("for_each has %q twice", key), "Each element makes a build of its own and must differ; distinct() removes the double ones.")
			return nil, false
		}
		seen[key] = true
		out = append(out, each{key: key, val: cty.ObjectVal(map[string]cty.Value{"key": k, "value": e})})
	}
	return out, true
}

// usage is a source as a build uses it.
type sourceUse struct {
	src  *hclSource
	over hcl.Body  // keys the build sets differently, and "name"; nil: none
	name string    // local name
	rng  hcl.Range // where the build names it
}

func (l *hclLoader) makeBuild(block *hcl.Block, round each, names *[]string) []*Build {
	s := scope{extra: map[string]cty.Value{"source": unknownSource}}
	if round.val != cty.NilVal {
		s.extra["each"] = round.val
	}
	// Everything in the build may use locals and data, all of which are worked out; "dynamic" blocks need them now.
	body := dynblock.Expand(block.Body, l.scoped(s, nil))
	content, diags := body.Content(buildSchema)
	l.diags = append(l.diags, diags...)

	prefix := ""
	if a, ok := content.Attributes["name"]; ok {
		prefix = l.str(s, a)
	}
	if round.val != cty.NilVal {
		prefix = strings.TrimPrefix(prefix+"-"+round.key, "-")
	}
	if a, ok := content.Attributes["description"]; ok && l.tmpl.Description == "" {
		l.tmpl.Description = l.str(s, a)
	}

	var uses []sourceUse
	if a, ok := content.Attributes["sources"]; ok {
		v, diags := l.evalReferences(s, a.Expr)
		l.diags = append(l.diags, diags...)
		if !diags.HasErrors() && v.v.IsWhollyKnown() {
			if !isList(v.v) {
				l.errorf(a.Expr.Range(), "sources takes a list", "This is %s. Write [\"source.ncloud.NAME\"].", describe(v.v))
			} else {
				for _, e := range v.list() {
					ref, err := asString(e.v)
					if err != nil {
						l.errorf(e.rng, "sources takes names of sources", "This is %s.", describe(e.v))
						continue
					}
					if u := l.use(ref, e.rng); u != nil {
						uses = append(uses, *u)
					}
				}
			}
		}
	}
	for _, b := range content.Blocks {
		if b.Type == "source" {
			if u := l.use(b.Labels[0], b.LabelRanges[0]); u != nil {
				c, _, diags := b.Body.PartialContent(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "name"}}})
				l.diags = append(l.diags, diags...)
				if a, ok := c.Attributes["name"]; ok {
					if u.name = l.str(s, a); u.name == "" {
						u.name = u.src.name
					}
				}
				u.over = b.Body
				uses = append(uses, *u)
			}
		}
		if b.Type == "hcp_packer_registry" {
			l.warnf(b.TypeRange, "hcp_packer_registry has no effect", "tfbake does not report to HCP Packer.")
		}
	}
	if len(uses) == 0 && !l.diags.HasErrors() {
		l.errorf(block.DefRange, "A build without a source", "Write sources = [\"source.ncloud.NAME\"].")
	}

	var out []*Build
	called := stepNames{}
	for _, u := range uses {
		rounds := []each{{}}
		a := forEachOf(u.src.block.Body)
		if a != nil {
			var ok bool
			if rounds, ok = l.forEach(scope{}, a.Expr); !ok {
				continue
			}
			if round.val != cty.NilVal {
				l.errorf(a.NameRange, "for_each on both the source and the build", "Keep one: the other's values can be had with setproduct or a for expression.")
				continue
			}
		}
		for _, r := range rounds {
			local := u.name
			if r.val != cty.NilVal {
				local += "-" + r.key
			}
			called.add(u, local)
			name := u.src.typ + "." + local
			if prefix != "" {
				name = prefix + "." + name
			}
			*names = append(*names, name)
			if !selected(l.o, name) {
				continue
			}
			if r.val == cty.NilVal {
				r = round
			}
			if b := l.oneBuild(block, content, u, r, prefix, local, name); b != nil {
				out = append(out, b)
			}
		}
	}
	l.checkStepNames(content.Blocks, called)
	return out
}

// unknownSource stands for source.* where no source is chosen yet.
var unknownSource = cty.ObjectVal(map[string]cty.Value{"type": cty.UnknownVal(cty.String), "name": cty.UnknownVal(cty.String)})

// use finds the source a build refers to: "source.ncloud.x", "sources.ncloud.x" or "ncloud.x".
func (l *hclLoader) use(ref string, r hcl.Range) *sourceUse {
	key := strings.TrimPrefix(strings.TrimPrefix(ref, "sources."), "source.")
	src := l.sources[key]
	if src == nil {
		if strings.Count(key, ".") != 1 {
			l.errorf(r, fmt.Sprintf("%q does not name a source", ref), "Write \"source.TYPE.NAME\", such as \"source.ncloud.web\".")
			return nil
		}
		l.errorf(r, fmt.Sprintf("There is no source %q", key), "%s", nearest(key, sortedKeys(l.sources), knownSources(l.sources)))
		return nil
	}
	src.used = true
	return &sourceUse{src: src, name: src.name, rng: r}
}

func knownSources(m map[string]*hclSource) string {
	if len(m) == 0 {
		return "The template has no source blocks: source \"ncloud\" \"NAME\" {}."
	}
	return "Known: " + strings.Join(sortedKeys(m), ", ") + "."
}

// evalReferences evaluates a list of sources, whose elements may also be written without quotes: source.ncloud.x.
func (l *hclLoader) evalReferences(s scope, expr hcl.Expression) (value, hcl.Diagnostics) {
	exprs, diags := hcl.ExprList(expr)
	if diags.HasErrors() {
		return l.eval(s, expr)
	}
	diags = nil
	var vals []cty.Value
	out := value{rng: expr.Range(), elems: []value{}}
	for _, e := range exprs {
		if t, ds := hcl.AbsTraversalForExpr(e); !ds.HasErrors() && (t.RootName() == "source" || t.RootName() == "sources") && len(t) == 3 {
			parts := []string{t.RootName()}
			for _, step := range t[1:] {
				if a, ok := step.(hcl.TraverseAttr); ok {
					parts = append(parts, a.Name)
				}
			}
			v := cty.StringVal(strings.Join(parts, "."))
			out.elems = append(out.elems, value{v: v, rng: e.Range()})
			vals = append(vals, v)
			continue
		}
		v, ds := l.eval(s, e)
		diags = append(diags, ds...)
		if ds.HasErrors() {
			continue
		}
		out.elems = append(out.elems, v)
		vals = append(vals, v.v)
	}
	out.v = cty.TupleVal(vals)
	return out, diags
}

// str evaluates an attribute that must be a string known before the build runs.
func (l *hclLoader) str(s scope, a *hcl.Attribute) string {
	v, diags := l.eval(s, a.Expr)
	l.diags = append(l.diags, diags...)
	if diags.HasErrors() {
		return ""
	}
	if v.unknown() {
		l.errorf(a.Expr.Range(), fmt.Sprintf("%s is not known here", a.Name), "It cannot depend on the source or the running build.")
		return ""
	}
	out, err := asString(v.v)
	if err != nil {
		l.errorf(a.Expr.Range(), fmt.Sprintf("%s takes a string", a.Name), "This is %s.", describe(v.v))
	}
	return out
}

// oneBuild makes the Build of one source.
func (l *hclLoader) oneBuild(block *hcl.Block, content *hcl.BodyContent, u sourceUse, round each, prefix, local, name string) *Build {
	build := &Build{Name: name, Label: u.src.name + strings.TrimPrefix(local, u.name), Type: u.src.typ, Range: u.rng}
	if u.src.typ != "ncloud" {
		l.errorf(u.src.block.LabelRanges[0], fmt.Sprintf("There is no builder %q", u.src.typ), "tfbake bakes images of NAVER Cloud: source \"ncloud\" %q. Leave this one out with -except=%s.", u.src.name, name)
	}
	extra := map[string]cty.Value{
		"source": cty.ObjectVal(map[string]cty.Value{"type": cty.StringVal(u.src.typ), "name": cty.StringVal(local)}),
	}
	if round.val != cty.NilVal {
		extra["each"] = round.val
	}
	eng := engine{now: l.o.Now, cwd: l.o.Cwd, templateDir: absPath(l.o.Cwd, l.root), buildName: build.Label, buildType: u.src.typ}
	if u.src.typ == "ncloud" {
		l.decodeSource(build, u, eng, scope{extra: extra})
	}

	eng.inStep = true
	st := &hclStep{l: l, extra: extra, eng: eng, prefix: prefix, names: namesOf(u, local)}
	for _, sb := range content.Blocks {
		switch sb.Type {
		case "provisioner":
			if s := st.make(sb, "provisioner"); s != nil {
				build.Steps = append(build.Steps, s)
			}
		case "error-cleanup-provisioner":
			if build.ErrorCleanup != nil {
				l.errorf(sb.TypeRange, "A second error-cleanup-provisioner", "One at most can be there. The first is at %s.", place(build.ErrorCleanup.Range))
				continue
			}
			build.ErrorCleanup = st.make(sb, "provisioner")
		case "post-processor":
			if s := st.make(sb, "post-processor"); s != nil && !l.excepted(s) {
				build.PostProcessors = append(build.PostProcessors, []*Step{s})
			}
		case "post-processors":
			c, diags := sb.Body.Content(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "post-processor", LabelNames: []string{"type"}}}})
			l.diags = append(l.diags, diags...)
			var seq []*Step
			for _, pb := range c.Blocks {
				if s := st.make(pb, "post-processor"); s != nil {
					if l.excepted(s) {
						break
					}
					seq = append(seq, s)
				}
			}
			if len(seq) > 0 {
				build.PostProcessors = append(build.PostProcessors, seq)
			}
		}
	}
	return build
}

// decodeSource fills the build's Source and Communicator.
func (l *hclLoader) decodeSource(build *Build, u sourceUse, eng engine, sc scope) {
	obj, diags := l.body(sc, eng, u.src.block.Body, nil, "for_each")
	obj.rng = u.src.block.DefRange
	if u.over != nil {
		over, ds := l.body(sc, eng, u.over, nil, "name")
		diags = append(diags, ds...)
		obj = obj.merge(over)
	}
	d := &decoder{files: l.o.FS, cwd: l.o.Cwd, onDisk: true, also: []string{"for_each"}}
	b := decode(d, builderSchema, obj)
	l.diags = append(append(l.diags, diags...), d.diags...)
	build.Source, build.Communicator = b.Source, b.comm
	for _, s := range secretsOf(&b) {
		l.secrets(cty.StringVal(s))
	}
}

// stepNames is what steps call builds: only and except TYPE.NAME, override NAME, as in Packer. The NAME is the one that the
// build block gives the source, if it does. The builds of a for_each are also known together, without their keys.
type stepNames struct {
	step, override []string
	other          map[string][]string // what else someone may write -> the NAMEs that may be meant
}

func namesOf(u sourceUse, local string) stepNames {
	n := stepNames{step: []string{u.src.typ + "." + local}, override: []string{local}}
	if local != u.name {
		n.step, n.override = append(n.step, u.src.typ+"."+u.name), append(n.override, u.name)
	}
	return n
}

func (n *stepNames) add(u sourceUse, local string) {
	of := namesOf(u, local)
	n.step, n.override = append(n.step, of.step...), append(n.override, of.override...)
	if n.other == nil {
		n.other = map[string][]string{}
	}
	for _, name := range []string{local, u.name, u.src.name, u.src.typ + "." + u.src.name} {
		n.other[name] = append(n.other[name], u.src.typ+"."+local)
	}
}

// checkStepNames warns of only, except and override that name no source. Packer says nothing, and the step then runs
// nowhere, or everywhere.
func (l *hclLoader) checkStepNames(blocks hcl.Blocks, called stepNames) {
	warn := func(e hcl.Expression, names []string, effect string, meant func(string) []string) {
		v, diags := e.Value(nil)
		if diags.HasErrors() || v.Type() != cty.String || !v.IsKnown() || v.IsNull() || contains(names, v.AsString()) {
			return
		}
		hint := didYouMean(v.AsString(), names)
		if m := meant(v.AsString()); len(m) > 0 {
			slices.Sort(m)
			hint = fmt.Sprintf("Did you mean %s?", orList(slices.Compact(m)))
		}
		l.warnf(e.Range(), fmt.Sprintf("There is no source %q in this build", v.AsString()), "%s, as in Packer. %s", effect, hint)
	}
	for _, b := range blocks {
		inner := hcl.Blocks{b}
		if b.Type == "post-processors" {
			c, _, _ := b.Body.PartialContent(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "post-processor", LabelNames: []string{"type"}}}})
			inner = c.Blocks
		}
		for _, b := range inner {
			if b.Type == "source" {
				continue
			}
			c, _, _ := b.Body.PartialContent(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "only"}, {Name: "except"}, {Name: "override"}}})
			for key, effect := range map[string]string{"only": "only does not match", "except": "except does not match"} {
				a, ok := c.Attributes[key]
				if !ok {
					continue
				}
				exprs, diags := hcl.ExprList(a.Expr)
				if diags.HasErrors() {
					continue
				}
				for _, e := range exprs {
					warn(e, called.step, effect, func(given string) []string { return slices.Clone(called.other[given]) })
				}
			}
			a, ok := c.Attributes["override"]
			if !ok || b.Type == "post-processor" {
				continue
			}
			pairs, diags := hcl.ExprMap(a.Expr)
			if diags.HasErrors() {
				continue
			}
			for _, p := range pairs {
				warn(p.Key, called.override, "It is not overridden", func(given string) (names []string) {
					if _, name, _ := strings.Cut(given, "."); contains(called.override, name) {
						return []string{name}
					}
					for _, full := range called.other[given] {
						_, name, _ := strings.Cut(full, ".")
						names = append(names, name)
					}
					return names
				})
			}
		}
	}
}

// hclStep makes the steps of one build.
type hclStep struct {
	l      *hclLoader
	extra  map[string]cty.Value // source, build.name, each
	eng    engine
	prefix string
	names  stepNames
}

// scope is what a step's expressions see: build.* is unknown until run gives it.
func (st *hclStep) scope(run *RunValues) scope {
	build := map[string]cty.Value{"name": cty.StringVal(st.prefix)}
	if run == nil {
		for name := range runData(RunValues{}) {
			build[name] = cty.UnknownVal(cty.String)
		}
		build["Port"] = cty.UnknownVal(cty.Number)
	} else {
		for name, s := range runData(*run) {
			build[name] = cty.StringVal(s)
		}
		build["Port"] = cty.NumberIntVal(int64(run.Port))
	}
	extra := map[string]cty.Value{"build": cty.ObjectVal(build)}
	for k, v := range st.extra {
		if k != "build" {
			extra[k] = v
		}
	}
	sc := scope{extra: extra}
	if run == nil {
		values := placeholders()
		later := st.scope(&values)
		sc.later = &later
	}
	return sc
}

func (st *hclStep) make(b *hcl.Block, kind string) *Step {
	l := st.l
	meta, types := provisionerMeta, provisionerTypes
	if kind == "post-processor" {
		meta, types = postProcessorMeta, postProcessorTypes
	}
	typ := b.Labels[0]
	var attrs []hcl.AttributeSchema
	var metaKeys []string
	for _, f := range meta.fields {
		if f.name != "type" {
			attrs = append(attrs, hcl.AttributeSchema{Name: f.name})
			metaKeys = append(metaKeys, f.name)
		}
	}
	c, _, diags := b.Body.PartialContent(&hcl.BodySchema{Attributes: attrs})
	l.diags = append(l.diags, diags...)
	var overrideAttr *hcl.Attribute
	obj := object{rng: b.DefRange}
	for _, a := range sortAttrs(c.Attributes) {
		if a.Name == "override" {
			overrideAttr = a
			continue
		}
		v, diags := l.eval(st.scope(nil), a.Expr)
		l.diags = append(l.diags, diags...)
		if !diags.HasErrors() {
			obj.items = append(obj.items, item{key: a.Name, rng: a.NameRange, val: v})
		}
	}
	d := &decoder{files: l.o.FS, cwd: l.o.Cwd}
	m := decode(d, meta, obj)
	for key := range d.pending {
		d.errorf(d.at(key), fmt.Sprintf("%s cannot depend on the running build", key), "It is needed before the build runs.")
	}
	l.diags = append(l.diags, d.diags...)
	if !m.runsIn(st.names.step...) {
		return nil
	}
	t, ok := types[typ]
	if !ok {
		l.diags = append(l.diags, unknownStep(kind, typ, b.LabelRanges[0]))
		return nil
	}
	step := &Step{Type: typ, Name: m.Name, PauseBefore: m.PauseBefore, MaxRetries: m.MaxRetries, Timeout: m.Timeout,
		ContinueOnError: m.ContinueOnError, KeepInput: m.KeepInput, Range: b.DefRange}
	if kind == "post-processor" && step.Name == "" {
		step.Name = typ
	}
	evaluate := func(run *RunValues, onDisk bool) (any, hcl.Diagnostics) {
		eng := st.eng
		eng.run = run
		s := st.scope(run)
		obj, diags := l.body(s, eng, b.Body, t.raw, metaKeys...)
		obj.rng = b.DefRange
		if overrideAttr != nil && kind == "provisioner" {
			over, ds := st.override(s, eng, overrideAttr, t.raw)
			diags = append(diags, ds...)
			obj = obj.merge(over)
		}
		d := &decoder{files: l.o.FS, cwd: l.o.Cwd, onDisk: onDisk, also: metaKeys}
		out := t.decode(d, obj)
		return out, append(diags, d.diags...)
	}
	step.resolve = func(v RunValues) (any, hcl.Diagnostics) {
		out, diags := evaluate(&v, false)
		return out, errorsOnly(finish(diags))
	}
	_, diags = evaluate(nil, true)
	l.diags = append(l.diags, diags...)
	return step
}

// override picks the keys that a provisioner sets differently in this build.
func (st *hclStep) override(s scope, eng engine, a *hcl.Attribute, raw map[string]bool) (object, hcl.Diagnostics) {
	v, diags := st.l.eval(s, a.Expr)
	if diags.HasErrors() || v.v.IsNull() {
		return object{}, diags
	}
	wrong := func(v value) (object, hcl.Diagnostics) {
		return object{}, append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "override takes objects",
			Detail: fmt.Sprintf("This is %s. Write { \"source name\" = { key = value } }.", describe(v.v)), Subject: v.rng.Ptr()})
	}
	if !v.v.Type().IsObjectType() && !v.v.Type().IsMapType() || !v.v.IsKnown() {
		return wrong(v)
	}
	for _, it := range v.entries() {
		if !contains(st.names.override, it.key) {
			continue
		}
		if !it.val.v.Type().IsObjectType() && !it.val.v.Type().IsMapType() || !it.val.v.IsKnown() || it.val.v.IsNull() {
			return wrong(it.val)
		}
		var out object
		for _, o := range it.val.entries() {
			if o.key == "type" {
				continue // Packer overlooks it, too
			}
			val, ds := st.l.fill(eng, o.val, raw[o.key])
			diags = append(diags, ds...)
			out.items = append(out.items, item{key: o.key, rng: o.rng, val: val})
		}
		return out, diags
	}
	return object{}, diags
}

// body evaluates a block's attributes; strings are then filled in as in JSON templates, for Packer does so too.
func (l *hclLoader) body(s scope, eng engine, body hcl.Body, raw map[string]bool, skip ...string) (object, hcl.Diagnostics) {
	var out object
	attrs, diags := body.JustAttributes()
	if diags.HasErrors() {
		diags = blockDiags(diags)
	}
	// JustAttributes of a dynamic block forgets the block's iterator, asking for attributes by name does not.
	schema := &hcl.BodySchema{}
	for name := range attrs {
		schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: name})
	}
	if content, _, _ := body.PartialContent(schema); content != nil {
		attrs = content.Attributes
	}
	for _, a := range sortAttrs(attrs) {
		if contains(skip, a.Name) {
			continue
		}
		v, ds := l.eval(s, a.Expr)
		diags = append(diags, ds...)
		if ds.HasErrors() {
			if parts, no := hcl.ExprList(a.Expr); !no.HasErrors() {
				// One bad element must not hide what is wrong with the others.
				for _, p := range parts {
					if e, no := l.eval(s, p); !no.HasErrors() {
						_, more := l.fill(eng, e, raw[a.Name])
						diags = append(diags, more...)
					}
				}
			}
			// The key is there, its value is not known: rules between keys must not complain as well.
			v = value{v: cty.DynamicVal, rng: a.Expr.Range()}
		} else {
			v, ds = l.fill(eng, v, raw[a.Name])
			diags = append(diags, ds...)
		}
		out.items = append(out.items, item{key: a.Name, rng: a.NameRange, val: v})
	}
	sort.SliceStable(out.items, func(i, j int) bool { return out.items[i].rng.Start.Byte < out.items[j].rng.Start.Byte })
	return out, diags
}

// blockDiags rewords hcl's complaint about a block where only attributes may be.
func blockDiags(diags hcl.Diagnostics) hcl.Diagnostics {
	for _, d := range diags {
		if strings.HasPrefix(d.Summary, "Unexpected") && strings.Contains(d.Detail, "Blocks are not allowed here") {
			d.Detail = "A block cannot stand here. Write the key with an equals sign: name = { … }."
		}
	}
	return diags
}

// eval evaluates an expression and notes where its parts were written.
func (l *hclLoader) eval(s scope, expr hcl.Expression) (value, hcl.Diagnostics) {
	ctx, diags := l.context(s, expr)
	if diags.HasErrors() {
		return value{v: cty.DynamicVal, rng: expr.Range()}, diags
	}
	v, ds := expr.Value(ctx)
	if diags = append(diags, ds...); ds.HasErrors() {
		return value{v: cty.DynamicVal, rng: expr.Range()}, diags
	}
	v, _ = v.UnmarkDeep()
	out := located(ctx, expr, v)
	if s.later != nil && out.unknown() {
		if w, ds := l.eval(*s.later, expr); !ds.HasErrors() {
			out.standBy(w)
		}
	}
	return out, diags
}

// located pairs a value with the expressions its elements come from, where that can be told.
func located(ctx *hcl.EvalContext, expr hcl.Expression, v cty.Value) value {
	out := value{v: v, rng: expr.Range()}
	if !v.IsKnown() || v.IsNull() {
		return out
	}
	switch t := v.Type(); {
	case t.IsTupleType() || t.IsListType():
		exprs, diags := hcl.ExprList(expr)
		if diags.HasErrors() || len(exprs) != v.LengthInt() {
			return out
		}
		out.elems = []value{}
		for i, e := range exprs {
			out.elems = append(out.elems, located(ctx, e, v.Index(cty.NumberIntVal(int64(i)))))
		}
	case t.IsObjectType():
		pairs, diags := hcl.ExprMap(expr)
		if diags.HasErrors() || len(pairs) != len(t.AttributeTypes()) {
			return out
		}
		fields := []item{}
		for _, p := range pairs {
			k, diags := p.Key.Value(ctx)
			if diags.HasErrors() || !k.IsKnown() || k.IsNull() || k.Type() != cty.String || !t.HasAttribute(k.AsString()) {
				return out
			}
			fields = append(fields, item{key: k.AsString(), rng: p.Key.Range(), val: located(ctx, p.Value, v.GetAttr(k.AsString()))})
		}
		out.fields = fields
	}
	return out
}

// fill renders the {{…}} in the strings of a value.
func (l *hclLoader) fill(eng engine, v value, keep bool) (value, hcl.Diagnostics) {
	var diags hcl.Diagnostics
	switch t := v.v.Type(); {
	case !v.v.IsKnown():
		if v.stand != nil {
			values := placeholders()
			eng.run, eng.guess = &values, true
			var w value
			w, diags = l.fill(eng, *v.stand, keep)
			v.stand = &w
		}
	case v.v.IsNull():
	case t == cty.String:
		s := v.v.AsString()
		if !strings.Contains(s, "{{") {
			break
		}
		render := eng.render
		if keep {
			render = eng.renderKept
		}
		out, unknown, ds := render(text{s: s, at: l.inside(v.rng, s)})
		diags = ds
		if v.v = cty.StringVal(out); unknown || ds.HasErrors() {
			v.v = cty.UnknownVal(cty.String)
		}
		if unknown && out != "" {
			v.stand = &value{v: cty.StringVal(out), rng: v.rng}
		}
	case isList(v.v):
		elems, vals := []value{}, []cty.Value{}
		for _, e := range v.list() {
			e, ds := l.fill(eng, e, keep)
			diags = append(diags, ds...)
			elems, vals = append(elems, e), append(vals, e.v)
		}
		v.elems, v.v = elems, cty.TupleVal(vals)
	case t.IsObjectType() || t.IsMapType():
		fields, vals := []item{}, map[string]cty.Value{}
		for _, it := range v.entries() {
			e, ds := l.fill(eng, it.val, keep)
			diags = append(diags, ds...)
			it.val = e
			fields, vals[it.key] = append(fields, it), e.v
		}
		v.fields, v.v = fields, cty.ObjectVal(vals)
	}
	return v, diags
}

// inside maps positions in a string to the file when the string stands there as it is, between quotes or in a heredoc;
// otherwise to the whole expression.
func (l *hclLoader) inside(r hcl.Range, s string) func(from, to int) hcl.Range {
	if src := l.srcs[r.Filename]; src != nil && r.Start.Byte >= 0 && r.End.Byte <= len(src.bytes) && r.Start.Byte <= r.End.Byte {
		written := string(src.bytes[r.Start.Byte:r.End.Byte])
		if i := strings.Index(written, s); i >= 0 {
			return func(from, to int) hcl.Range { return src.rng(r.Start.Byte+i+from, r.Start.Byte+i+to) }
		}
		// Indented heredocs and escapes: the piece in question may still stand there, once.
		return func(from, to int) hcl.Range {
			if from >= 0 && from < to && to <= len(s) && strings.Count(written, s[from:to]) == 1 {
				i := r.Start.Byte + strings.Index(written, s[from:to])
				return src.rng(i, i+to-from)
			}
			return r
		}
	}
	return func(int, int) hcl.Range { return r }
}

// excepted tells whether -except drops a post-processor.
func (l *hclLoader) excepted(s *Step) bool {
	return slices.ContainsFunc(l.o.Except, func(pattern string) bool { return globMatch(pattern, s.Name) })
}
