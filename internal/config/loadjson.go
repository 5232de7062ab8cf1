package config

import (
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/hashicorp/go-version"
	"github.com/hashicorp/hcl/v2"
)

// jsonLoader reads one Packer JSON template.
type jsonLoader struct {
	o     Options
	path  string
	src   *source
	tmpl  *Template
	diags hcl.Diagnostics
	eng   engine // functions for everything outside "variables"
	vars  *jsonVars
}

var jsonRoots = []string{"min_packer_version", "description", "variables", "sensitive-variables", "builders",
	"provisioners", "post-processors", "error-cleanup-provisioner", "backend", "push"}

func loadJSON(path string, src *source, o Options) (*Template, hcl.Diagnostics) {
	l := &jsonLoader{o: o, path: path, src: src}
	l.tmpl = &Template{Path: path, Files: map[string]*hcl.File{src.name: {Bytes: src.bytes}}}
	root, diags := parseJSON(src)
	l.diags = diags
	if root == nil || o.SyntaxOnly {
		return l.tmpl, finish(l.diags)
	}
	if root.kind != jsonObject {
		l.errorf(root.Range(), "A template is an object", "This is %s. Begin with { and put \"builders\" inside.", root.kind)
		return l.tmpl, finish(l.diags)
	}
	root.fold(jsonRoots)
	l.roots(root)
	l.variables(root)
	l.tmpl.eval = func(expr string) (string, hcl.Diagnostics) {
		src := newSource("<console>", []byte(expr))
		out, unknown, diags := l.eng.render(text{s: expr, at: src.rng})
		if unknown {
			out = "(known while the bake runs)"
		}
		return out, diags
	}
	l.backend(root)
	l.builds(root)
	l.tmpl.hints()
	return l.tmpl, finish(l.diags)
}

func (l *jsonLoader) errorf(r hcl.Range, summary, format string, args ...any) {
	l.diags = append(l.diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: &r})
}

func (l *jsonLoader) warnf(r hcl.Range, summary, format string, args ...any) {
	l.diags = append(l.diags, &hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: &r})
}

// roots checks the keys of the template itself and reads the simple ones.
func (l *jsonLoader) roots(root *jsonNode) {
	for _, m := range root.members {
		switch {
		case strings.HasPrefix(m.name, "_") || contains(jsonRoots, m.name):
		case m.name == "provisioner" || m.name == "builder" || m.name == "variable" || m.name == "post-processor":
			l.errorf(m.key.Range(), fmt.Sprintf("Unknown key %q", m.name), "Did you mean %q?", m.name+"s")
		default:
			detail := fmt.Sprintf("A template has the keys %s. To keep it as a comment, begin its name with \"_\".", strings.Join(jsonRoots[:8], ", "))
			if s := suggest(m.name, jsonRoots); s != "" {
				detail = fmt.Sprintf("Did you mean %q?", s)
			}
			l.errorf(m.key.Range(), fmt.Sprintf("Unknown key %q", m.name), "%s", detail)
		}
	}
	if n := root.member("push"); n != nil {
		l.warnf(n.Range(), "push has no effect", "Packer dropped it long ago. Remove it.")
	}
	if n := root.member("description"); n != nil {
		if n.kind != jsonString {
			l.errorf(n.Range(), "description takes a string", "This is %s.", n.kind)
		}
		l.tmpl.Description = n.text
	}
	if n := root.member("min_packer_version"); n != nil {
		want, err := version.NewVersion(n.text)
		switch {
		case n.kind != jsonString || err != nil:
			l.errorf(n.Range(), "min_packer_version takes a version", "Write it as \"1.8.0\".")
		case want.GreaterThan(version.Must(version.NewVersion(PackerVersion))):
			l.warnf(n.Range(), fmt.Sprintf("This template asks for Packer %s", want), "tfbake reads templates as Packer %s does; what is newer may not be known.", PackerVersion)
		}
	}
}

// fold gives members their names as Packer knows them, where it takes them in any case.
func (n *jsonNode) fold(names []string) {
	for i, m := range n.members {
		if lower := strings.ToLower(m.name); contains(names, lower) && n.member(lower) == nil {
			n.members[i].name = lower
		}
	}
}

// backend reads where the runs' states are kept.
func (l *jsonLoader) backend(root *jsonNode) {
	n := root.member("backend")
	if n == nil {
		return
	}
	b, diags := jsonBackend(n, func(t text) (string, hcl.Diagnostics) {
		s, unknown, diags := l.eng.render(t)
		if r := t.whole(); unknown && !diags.HasErrors() {
			diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "This is not known yet", Detail: "A backend's arguments must be known before anything is built.", Subject: &r})
		}
		return s, diags
	})
	if l.tmpl.Backend = b; b != nil {
		l.tmpl.Sensitive = append(l.tmpl.Sensitive, b.Refused...)
	}
	l.diags = append(l.diags, diags...)
}

// jsonVars are a template's variables. A default may use other variables, so values are worked out when first asked for.
type jsonVars struct {
	eng    engine
	decl   map[string]text   // what to render
	static map[string]bool   // the text is final
	values map[string]string // worked out
	busy   map[string]bool   // being worked out: meeting one again is a circle
	failed map[string]bool
	diags  hcl.Diagnostics
}

// errReported stands for a failure whose diagnostics have been given already.
var errReported = errors.New("see above")

func (v *jsonVars) get(name string) (string, error) {
	if s, ok := v.values[name]; ok {
		return s, nil
	}
	t, ok := v.decl[name]
	switch {
	case !ok:
		return "", fmt.Errorf("there is no variable %q", name)
	case v.failed[name]:
		return "", errReported
	case v.busy[name]:
		return "", fmt.Errorf("variable %q is defined by itself", name)
	}
	v.busy[name] = true
	defer delete(v.busy, name)
	s := t.s
	if strings.Contains(s, "{{") && !v.static[name] {
		tree, diags := v.eng.parse(t)
		if tree != nil && !diags.HasErrors() {
			var err error
			if uses(tree.Root).field {
				// {{.Path}} in a variable stays as it is, the rest is filled in.
				var failed bool
				var ds hcl.Diagnostics
				s, failed, ds = v.eng.renderKept(t)
				if diags = append(diags, ds...); failed {
					err = errReported
				}
			} else {
				s, err = v.eng.execute(tree)
			}
			if errors.Is(err, errReported) {
				v.failed[name] = true
				return "", errReported
			}
			if err != nil {
				diags = append(diags, execDiag(t, err)...)
			}
		}
		if diags.HasErrors() {
			v.diags = append(v.diags, diags...)
			v.failed[name] = true
			return "", errReported
		}
	}
	v.values[name] = s
	return s, nil
}

// variables reads "variables", "sensitive-variables", variable files, TFBAKE_VAR_* and -var, and works out all values.
func (l *jsonLoader) variables(root *jsonNode) {
	o := l.o
	base := engine{env: o.Env, now: o.Now, cwd: o.Cwd, templateDir: templateDir(l.path, o.Cwd)}
	v := &jsonVars{decl: map[string]text{}, values: map[string]string{}, busy: map[string]bool{}, failed: map[string]bool{}, static: map[string]bool{}}
	l.vars = v
	place := map[string]hcl.Range{}
	required := map[string]hcl.Range{}
	var order []string

	if n := root.member("variables"); n != nil {
		if n.kind != jsonObject {
			l.errorf(n.Range(), "variables takes an object", "This is %s. Write {\"name\": \"default\", …}.", n.kind)
		}
		for _, m := range n.members {
			order = append(order, m.name)
			place[m.name] = m.key.Range()
			variable := Variable{Name: m.name, Range: m.key.Range()}
			switch m.val.kind {
			case jsonNull:
				required[m.name] = m.key.Range()
			case jsonString:
				v.decl[m.name] = text{s: m.val.text, at: m.val.textRange}
				variable.Default = &m.val.text
			case jsonNumber, jsonBool:
				s := m.val.text
				if m.val.kind == jsonBool {
					s = fmt.Sprint(m.val.boolean)
				}
				r := m.val.Range()
				v.decl[m.name], v.static[m.name] = text{s: s, at: func(int, int) hcl.Range { return r }}, true
				variable.Default = &s
			default:
				l.errorf(m.val.Range(), fmt.Sprintf("The variable %s takes a string", m.name), "This is %s. Variables of JSON templates are strings; HCL2 has lists and objects.", m.val.kind)
				v.failed[m.name] = true
				v.decl[m.name] = text{at: m.val.textRange}
			}
			l.tmpl.Variables = append(l.tmpl.Variables, variable)
		}
	}

	// Values from outside; later ones win.
	given := map[string]text{}
	undeclared := func(name string, r *hcl.Range, from string) {
		if _, ok := place[name]; ok || !o.WarnUndeclared {
			return
		}
		detail := fmt.Sprintf("The template declares no variable of this name, yet {{user `%s`}} finds it, as in Packer.", name)
		if s := suggest(name, order); s != "" {
			detail = fmt.Sprintf("Did you mean %q?", s)
		}
		l.diags = append(l.diags, &hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: fmt.Sprintf("%s sets the undeclared variable %q", from, name), Detail: detail, Subject: r})
	}
	for _, name := range order {
		if s, ok := o.Env("TFBAKE_VAR_" + name); ok {
			given[name] = l.outside("TFBAKE_VAR_"+name, s)
			v.static[name] = true
		}
	}
	for _, file := range o.VarFiles {
		for _, m := range l.varFile(file) {
			r := m.key.Range()
			undeclared(m.name, &r, file)
			given[m.name] = text{s: m.val.text, at: m.val.textRange}
			v.static[m.name] = m.val.kind != jsonString
		}
	}
	for _, a := range o.Vars {
		undeclared(a.Name, nil, "-var")
		given[a.Name] = l.outside("-var "+a.Name, a.Value)
		v.static[a.Name] = false
	}
	for name, t := range given {
		v.decl[name] = t
		delete(required, name)
		delete(v.failed, name)
	}
	for name, r := range required {
		v.decl[name], v.failed[name] = text{at: func(int, int) hcl.Range { return r }}, true
		if o.Incomplete {
			continue
		}
		l.errorf(r, fmt.Sprintf("The variable %s has no value", name), "Its default is null, which makes it required: give -var %s=…, a -var-file, or TFBAKE_VAR_%s.", name, name)
	}

	var names []string
	for name := range v.decl {
		names = append(names, name)
	}
	sort.Strings(names)
	base.user, base.userNames = v.get, names
	v.eng = base
	for _, name := range names {
		_, err := v.get(name)
		_ = err // told in v.diags
	}
	l.diags = append(l.diags, v.diags...)
	v.diags = nil
	for i := range l.tmpl.Variables {
		l.tmpl.Variables[i].Value = v.values[l.tmpl.Variables[i].Name]
	}

	if n := root.member("sensitive-variables"); n != nil {
		if n.kind != jsonArray {
			l.errorf(n.Range(), "sensitive-variables takes a list", "This is %s. Write the names of variables: [\"password\"].", n.kind)
		}
		for _, e := range n.elems {
			if e.kind != jsonString {
				l.errorf(e.Range(), "sensitive-variables takes names", "This is %s.", e.kind)
				continue
			}
			if _, ok := v.decl[e.text]; !ok {
				l.warnf(e.Range(), fmt.Sprintf("There is no variable %q", e.text), "%s", didYouMean(e.text, order))
				continue
			}
			l.sensitive(v.values[e.text])
			if v.failed[e.text] {
				l.sensitive(v.decl[e.text].s) // the message about it must not show it either
			}
			for i := range l.tmpl.Variables {
				if l.tmpl.Variables[i].Name == e.text {
					l.tmpl.Variables[i].Sensitive = true
				}
			}
		}
	}
	l.eng = base
	l.eng.env = nil
	l.eng.user = func(name string) (string, error) {
		if _, ok := v.decl[name]; !ok {
			return "", nil // as in Packer; there was a warning
		}
		return v.get(name)
	}
}

// outside is a value from the command line or the environment, shown in messages as a file of its own.
func (l *jsonLoader) outside(name, s string) text {
	src := newSource("<"+name+">", []byte(s))
	l.tmpl.Files[src.name] = &hcl.File{Bytes: src.bytes}
	return text{s: s, at: src.rng}
}

func (l *jsonLoader) sensitive(s string) {
	if s != "" && !contains(l.tmpl.Sensitive, s) {
		l.tmpl.Sensitive = append(l.tmpl.Sensitive, s)
	}
}

// varFile reads a JSON variable file, or an HCL one whose values are plain. Values come back as text.
func (l *jsonLoader) varFile(file string) []jsonMember {
	b, err := l.o.FS.ReadFile(absPath(l.o.Cwd, file))
	if err != nil {
		l.diags = append(l.diags, cannotRead(file, err)...)
		return nil
	}
	src := newSource(file, b)
	l.tmpl.Files[file] = &hcl.File{Bytes: b}
	if !looksLikeJSON(b) {
		return l.hclVarFile(src)
	}
	n, diags := parseJSON(src)
	l.diags = append(l.diags, diags...)
	if n == nil {
		return nil
	}
	if n.kind != jsonObject {
		l.errorf(n.Range(), "A variable file is an object", "This is %s. Write {\"name\": \"value\", …}.", n.kind)
		return nil
	}
	var out []jsonMember
	for _, m := range n.members {
		switch m.val.kind {
		case jsonArray, jsonObject:
			l.errorf(m.val.Range(), fmt.Sprintf("The variable %s takes a string", m.name), "This is %s. Variables of JSON templates are strings; HCL2 has lists and objects.", m.val.kind)
			continue
		case jsonBool:
			m.val.text = fmt.Sprint(m.val.boolean)
		}
		out = append(out, m)
	}
	return out
}

// builds reads builders, provisioners and post-processors and puts them together.
func (l *jsonLoader) builds(root *jsonNode) {
	builders := l.list(root, "builders")
	if builders == nil {
		if n := root.member("builders"); n == nil {
			l.errorf(headOf(root), "builders is missing", "A template needs at least one: \"builders\": [{\"type\": \"ncloud\", …}].")
		}
		return
	}
	provisioners := l.list(root, "provisioners")
	var cleanup *jsonNode
	if n := root.member("error-cleanup-provisioner"); n != nil {
		if n.kind == jsonObject {
			cleanup = n
		} else if n.kind != jsonNull {
			l.errorf(n.Range(), "error-cleanup-provisioner takes one object", "This is %s.", n.kind)
		}
	}
	sequences := l.sequences(root)

	type named struct {
		node      *jsonNode
		typ       string
		name, raw string
	}
	var all []named
	var names []string
	lines := map[string]int{}
	for _, n := range builders {
		if n.kind != jsonObject {
			l.errorf(n.Range(), "A builder is an object", "This is %s. Write {\"type\": \"ncloud\", …}.", n.kind)
			continue
		}
		b := named{node: n}
		ok := true
		str := func(key string) string {
			m := n.member(key)
			if m == nil {
				return ""
			}
			v, diags := l.eng.evalJSON(m)
			l.diags = append(l.diags, diags...)
			if v.unknown() {
				ok = false
				return ""
			}
			s, err := asString(v.v)
			if err != nil {
				l.errorf(m.Range(), fmt.Sprintf("%s takes a string", key), "This is %s.", m.kind)
				ok = false
			}
			return s
		}
		b.typ = str("type")
		if b.typ == "" {
			if ok {
				l.errorf(headOf(n), "A builder without a type", "Write \"type\": \"ncloud\".")
			}
			continue
		}
		b.name = str("name")
		if b.raw = b.name; n.member("name") != nil && n.member("name").kind == jsonString {
			b.raw = n.member("name").text
		}
		if b.name == "" {
			b.name, b.raw = b.typ, b.typ
		}
		if line, twice := lines[b.name]; twice {
			at := headOf(n)
			if m := n.member("name"); m != nil {
				at = m.Range()
			}
			l.errorf(at, fmt.Sprintf("Two builders are named %q", b.name), "The other is on line %d. Give one of them another \"name\".", line)
			continue
		}
		lines[b.name] = l.src.pos(n.from).Line
		all = append(all, b)
		names = append(names, b.name)
		if b.raw != b.name {
			names = append(names, b.raw)
		}
	}
	if len(builders) == 0 {
		l.errorf(root.member("builders").Range(), "builders is empty", "A template needs at least one: [{\"type\": \"ncloud\", …}].")
	}
	l.diags = append(l.diags, unmatched(l.o, append([]string(nil), names...))...)

	checkNames := func(n *jsonNode, key string) {
		m := n.member(key)
		if m == nil {
			return
		}
		elems := m.elems
		if m.kind == jsonString {
			elems = []*jsonNode{m}
		}
		for _, e := range elems {
			if e.kind == jsonString && !contains(names, e.text) && !strings.Contains(e.text, "{{") {
				l.errorf(e.Range(), fmt.Sprintf("There is no builder %q", e.text), "%s", didYouMean(e.text, names))
			}
		}
	}
	stepNodes := append([]*jsonNode(nil), provisioners...)
	if cleanup != nil {
		stepNodes = append(stepNodes, cleanup)
	}
	for _, seq := range sequences {
		stepNodes = append(stepNodes, seq...)
	}
	for _, n := range stepNodes {
		checkNames(n, "only")
		checkNames(n, "except")
		if m := n.member("override"); m != nil && m.kind == jsonObject {
			for _, o := range m.members {
				if !contains(names, o.name) {
					l.errorf(o.key.Range(), fmt.Sprintf("There is no builder %q", o.name), "%s", didYouMean(o.name, names))
				}
			}
		}
	}

	for _, b := range all {
		if !selected(l.o, b.name) {
			continue
		}
		if b.typ != "ncloud" {
			detail := "tfbake bakes images of NAVER Cloud: \"type\": \"ncloud\"."
			if len(all) > 1 {
				detail += fmt.Sprintf(" Leave this builder out with -except=%s.", b.name)
			}
			l.errorf(headOf(b.node), fmt.Sprintf("There is no builder %q", b.typ), "%s", detail)
		}
		build := &Build{Name: b.name, Label: b.name, Type: b.typ, Range: headOf(b.node)}
		eng := l.eng
		eng.buildName, eng.buildType = b.name, b.typ
		if b.typ == "ncloud" {
			obj, diags := eng.evalObject(b.node, nil)
			l.diags = append(l.diags, diags...)
			l.builder(build, obj.without("type", "name"))
		}
		eng.inStep = true
		for _, n := range provisioners {
			if s := l.step(n, "provisioner", eng, b.name, b.raw); s != nil {
				build.Steps = append(build.Steps, s)
			}
		}
		if cleanup != nil {
			build.ErrorCleanup = l.step(cleanup, "provisioner", eng, b.name, b.raw)
		}
		for _, seq := range sequences {
			var steps []*Step
			for _, n := range seq {
				if s := l.step(n, "post-processor", eng, b.name, b.raw); s != nil {
					if contains(l.o.Except, s.Name) {
						break // as in Packer, leaving one out leaves out what depends on it
					}
					steps = append(steps, s)
				}
			}
			if len(steps) > 0 {
				build.PostProcessors = append(build.PostProcessors, steps)
			}
		}
		l.tmpl.Builds = append(l.tmpl.Builds, build)
	}
	if len(all) > 0 && len(l.tmpl.Builds) == 0 && !l.diags.HasErrors() {
		l.diags = append(l.diags, noBuilds(names))
	}
}

func noBuilds(names []string) *hcl.Diagnostic {
	sort.Strings(names)
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "-only and -except leave no build", Detail: fmt.Sprintf("The template has %s.", strings.Join(names, ", "))}
}

// builder decodes a builder's keys into the build.
func (l *jsonLoader) builder(build *Build, obj object) {
	d := l.decoder(true)
	d.also, d.json = []string{"name", "type"}, true
	b := decode(d, builderSchema, obj)
	l.diags = append(l.diags, d.diags...)
	build.Source, build.Communicator = b.Source, b.comm
	for _, s := range secretsOf(&b) {
		l.sensitive(s)
	}
}

// secretsOf are the values of a builder that must never be shown.
func secretsOf(b *builder) []string {
	var out []string
	for _, f := range builderSchema.fields {
		if p, ok := f.ptr(b).(*string); ok && f.secret && *p != "" {
			out = append(out, *p)
		}
	}
	return out
}

func (l *jsonLoader) decoder(onDisk bool) *decoder {
	return &decoder{files: l.o.FS, cwd: l.o.Cwd, onDisk: onDisk}
}

// list reads a root key that holds a list; nil when it is absent or something else.
func (l *jsonLoader) list(root *jsonNode, key string) []*jsonNode {
	n := root.member(key)
	if n == nil || n.kind == jsonNull {
		return nil
	}
	if n.kind != jsonArray {
		l.errorf(n.Range(), fmt.Sprintf("%s takes a list", key), "This is %s. Put it into brackets: [ … ].", n.kind)
		if n.kind == jsonObject {
			return []*jsonNode{n} // what was meant is plain; go on and look at it
		}
		return nil
	}
	if n.elems == nil {
		return []*jsonNode{}
	}
	return n.elems
}

// sequences reads "post-processors": each a string, an object, or a list of those that run one after the other.
func (l *jsonLoader) sequences(root *jsonNode) [][]*jsonNode {
	one := func(n *jsonNode) *jsonNode {
		switch n.kind {
		case jsonString:
			return &jsonNode{kind: jsonObject, src: n.src, from: n.from, to: n.to,
				members: []jsonMember{{name: "type", key: n, val: n}}}
		case jsonObject:
			return n
		case jsonArray:
			l.errorf(n.Range(), "A sequence inside a sequence", "Post-processors are nested one level deep at most.")
		default:
			l.errorf(n.Range(), "A post-processor is a name or an object", "This is %s.", n.kind)
		}
		return nil
	}
	var out [][]*jsonNode
	for _, n := range l.list(root, "post-processors") {
		var seq []*jsonNode
		if n.kind == jsonArray {
			for _, e := range n.elems {
				if p := one(e); p != nil {
					seq = append(seq, p)
				}
			}
		} else if p := one(n); p != nil {
			seq = append(seq, p)
		}
		if len(seq) > 0 {
			out = append(out, seq)
		}
	}
	return out
}

// step reads a provisioner or post-processor for one build; nil when the build does not run it or it is wrong.
func (l *jsonLoader) step(n *jsonNode, kind string, eng engine, buildName, rawName string) *Step {
	if n.kind != jsonObject {
		l.errorf(n.Range(), fmt.Sprintf("A %s is an object", kind), "This is %s. Write {\"type\": \"shell\", …}.", n.kind)
		return nil
	}
	meta := provisionerMeta
	types := provisionerTypes
	if kind == "post-processor" {
		meta, types = postProcessorMeta, postProcessorTypes
	}
	metaKeys := meta.names()
	part := &jsonNode{kind: jsonObject, src: n.src, from: n.from, to: n.to}
	for _, m := range n.members {
		if contains(metaKeys, m.name) && m.name != "override" {
			part.members = append(part.members, m)
		}
	}
	obj, diags := eng.evalObject(part, nil)
	l.diags = append(l.diags, diags...)
	d := l.decoder(false)
	m := decode(d, meta, obj)
	for key := range d.pending {
		d.errorf(d.at(key), fmt.Sprintf("%s cannot depend on the running build", key), "It is needed before the build runs.")
	}
	l.diags = append(l.diags, d.diags...)
	if m.Type == "" {
		if !d.has("type") {
			l.errorf(headOf(n), fmt.Sprintf("A %s without a type", kind), "Write \"type\": \"…\".")
		}
		return nil
	}
	if !m.runsIn(buildName, rawName) {
		return nil
	}
	t, ok := types[m.Type]
	if !ok {
		l.diags = append(l.diags, unknownStep(kind, m.Type, d.at("type")))
		return nil
	}
	step := &Step{Type: m.Type, Name: m.Name, PauseBefore: m.PauseBefore, MaxRetries: m.MaxRetries, Timeout: m.Timeout,
		ContinueOnError: m.ContinueOnError, KeepInput: m.KeepInput, Range: headOf(n)}
	if kind == "post-processor" && step.Name == "" {
		step.Name = step.Type
	}
	body := &jsonNode{kind: jsonObject, src: n.src, from: n.from, to: n.to}
	for _, mem := range n.members {
		if !contains(metaKeys, mem.name) {
			body.members = append(body.members, mem)
		}
	}
	var over *jsonNode
	if o := n.member("override"); o != nil && kind == "provisioner" {
		if o.kind != jsonObject {
			l.errorf(o.Range(), "override takes an object", "This is %s. Write {\"build name\": {\"key\": value}}.", o.kind)
		}
		for _, name := range []string{buildName, rawName} {
			if over == nil {
				over = o.member(name)
			}
		}
		if over != nil && over.kind != jsonObject {
			l.errorf(over.Range(), "An override is an object", "This is %s. Write {\"key\": value}.", over.kind)
			over = nil
		}
	}
	evaluate := func(eng engine, onDisk bool) (any, hcl.Diagnostics) {
		obj, diags := eng.evalObject(body, t.raw)
		obj.rng = headOf(n)
		if over != nil {
			o, ds := eng.evalObject(over, t.raw)
			diags = append(diags, ds...)
			obj = obj.merge(o.without("type")) // Packer overlooks it, too
		}
		d := l.decoder(onDisk)
		d.also, d.json = metaKeys, true
		out := t.decode(d, obj)
		return out, append(diags, d.diags...)
	}
	step.resolve = func(v RunValues) (any, hcl.Diagnostics) {
		eng := eng
		eng.run = &v
		out, diags := evaluate(eng, false)
		return out, errorsOnly(finish(diags))
	}
	_, diags = evaluate(eng, true)
	l.diags = append(l.diags, diags...)
	return step
}
