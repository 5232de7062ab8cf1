package config

import (
	"fmt"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

type typeDefaults = typeexpr.Defaults

var variableSchema = &hcl.BodySchema{
	Attributes: []hcl.AttributeSchema{{Name: "type"}, {Name: "default"}, {Name: "description"}, {Name: "sensitive"}},
	Blocks:     []hcl.BlockHeaderSchema{{Type: "validation"}},
}

// variableBlock reads a variable's declaration.
func (l *hclLoader) variableBlock(b *hcl.Block) {
	content, diags := b.Body.Content(variableSchema)
	l.diags = append(l.diags, diags...)
	v := &hclVar{name: b.Labels[0], typ: cty.DynamicPseudoType, block: b.LabelRanges[0]}
	if !hclsyntax.ValidIdentifier(v.name) {
		l.errorf(v.block, fmt.Sprintf("%q is not a name", v.name), "A name begins with a letter and holds letters, digits, _ and -.")
	}
	if a, ok := content.Attributes["type"]; ok {
		if t, defaults, diags := typeexpr.TypeConstraintWithDefaults(a.Expr); diags.HasErrors() {
			l.diags = append(l.diags, diags...)
		} else {
			v.typ, v.defaults = t, defaults
		}
	}
	description := ""
	if a, ok := content.Attributes["description"]; ok {
		d, diags := a.Expr.Value(nil)
		l.diags = append(l.diags, diags...)
		if !diags.HasErrors() {
			var err error
			if description, err = asString(d); err != nil {
				l.errorf(a.Expr.Range(), "description takes a string", "This is %s.", describe(d))
			}
		}
	}
	v.secret = l.constBool(content.Attributes["sensitive"])
	if a, ok := content.Attributes["default"]; ok {
		v.def = a.Expr
	}
	for _, rule := range content.Blocks {
		c, diags := rule.Body.Content(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "condition", Required: true}, {Name: "error_message", Required: true}}})
		l.diags = append(l.diags, diags...)
		if !diags.HasErrors() {
			v.rules = append(v.rules, hclRule{c.Attributes["condition"].Expr, c.Attributes["error_message"].Expr})
		}
	}
	l.declare(v, description, v.block)
}

func (l *hclLoader) declare(v *hclVar, description string, r hcl.Range) {
	if before, twice := l.vars[v.name]; twice {
		l.errorf(r, fmt.Sprintf("The variable %s is declared twice", v.name), "The other is at %s.", place(before.block))
		return
	}
	v.index = len(l.tmpl.Variables)
	l.vars[v.name] = v
	l.tmpl.Variables = append(l.tmpl.Variables, Variable{Name: v.name, Description: description, Sensitive: v.secret, Range: v.block})
}

// variableValues gives every variable its value: default, then PKR_VAR_ and TFBAKE_VAR_ of the environment, then
// variable files, then -var, each winning over those before.
func (l *hclLoader) variableValues() {
	names := sortedKeys(l.vars)
	for _, name := range names {
		v := l.vars[name]
		if v.def != nil {
			ctx, diags := l.context(scope{env: true, bare: true}, v.def)
			if !diags.HasErrors() {
				val, ds := v.def.Value(ctx)
				diags = append(diags, ds...)
				if !ds.HasErrors() {
					if val = l.assign(v, val, v.def.Range(), "default"); val.IsWhollyKnown() && !val.IsNull() {
						shown := showValue(val)
						l.tmpl.Variables[v.index].Default = &shown
					}
				}
			}
			l.diags = append(l.diags, diags...)
			if diags.HasErrors() {
				v.value = cty.DynamicVal
			}
			if v.typ == cty.DynamicPseudoType && v.value != cty.NilVal && !v.value.Type().Equals(cty.EmptyObject) && !v.value.Type().Equals(cty.EmptyTuple) {
				v.typ = v.value.Type() // as in Packer, a default says what type is meant
			}
		}
		for _, prefix := range []string{"PKR_VAR_", "TFBAKE_VAR_"} {
			if s, ok := l.o.Env(prefix + name); ok {
				l.fromText(v, prefix+name, s)
			}
		}
	}
	for _, file := range l.o.VarFiles {
		l.varFile(file)
	}
	for _, a := range l.o.Vars {
		v := l.vars[a.Name]
		if v == nil {
			l.diags = append(l.diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: fmt.Sprintf("-var sets the undeclared variable %q", a.Name),
				Detail: nearest(a.Name, names, fmt.Sprintf("Declare it: variable %q {}.", a.Name))})
			continue
		}
		l.fromText(v, "-var "+a.Name, a.Value)
	}
	for _, name := range names {
		v := l.vars[name]
		if v.value == cty.NilVal {
			v.value = cty.DynamicVal
			if l.o.Incomplete {
				continue
			}
			l.errorf(v.block, fmt.Sprintf("The variable %s has no value", name), "It has no default, which makes it required: give -var %s=…, a -var-file, or PKR_VAR_%s.", name, name)
			continue
		}
		if v.secret {
			l.secrets(v.value)
		}
		if v.value.IsWhollyKnown() {
			l.tmpl.Variables[v.index].Value = showValue(v.value)
		}
	}
	for _, name := range names {
		l.validate(l.vars[name])
	}
}

// showValue is a value as text: strings as they are, the rest as JSON.
func showValue(v cty.Value) string {
	if v.IsNull() {
		return ""
	}
	if s, err := asString(v); err == nil {
		return s
	}
	b, err := ctyjson.Marshal(v, v.Type())
	if err != nil {
		return ""
	}
	return string(b)
}

// assign gives a variable a value of its type.
func (l *hclLoader) assign(v *hclVar, val cty.Value, r hcl.Range, from string) cty.Value {
	if v.defaults != nil && !val.IsNull() {
		val = v.defaults.Apply(val)
	}
	if v.secret {
		l.secrets(val) // before anything can be said about it
	}
	out, err := convert.Convert(val, v.typ)
	if err != nil {
		what := fmt.Sprintf("The value of %s does not fit", v.name)
		if from == "default" {
			what = fmt.Sprintf("The default of %s does not fit", v.name)
		}
		path := ""
		if pe, ok := err.(cty.PathError); ok && len(pe.Path) > 0 {
			path = showPath(pe.Path) + ": "
		}
		l.errorf(r, what, "Its type is %s; %s%s.", typeexpr.TypeString(v.typ), path, err)
		out = cty.DynamicVal
	}
	v.value, v.from = out, r
	return out
}

func showPath(p cty.Path) string {
	var b strings.Builder
	for _, step := range p {
		switch s := step.(type) {
		case cty.GetAttrStep:
			b.WriteString("." + s.Name)
		case cty.IndexStep:
			if s.Key.Type() == cty.String {
				fmt.Fprintf(&b, "[%q]", s.Key.AsString())
			} else if i, err := asInt(s.Key); err == nil {
				fmt.Fprintf(&b, "[%d]", i)
			}
		}
	}
	return strings.TrimPrefix(b.String(), ".")
}

// fromText gives a variable a value written on the command line or in the environment: text for simple types, an
// expression for lists and objects.
func (l *hclLoader) fromText(v *hclVar, from, s string) {
	src := newSource("<"+from+">", []byte(s))
	l.tmpl.Files[src.name], l.srcs[src.name] = &hcl.File{Bytes: src.bytes}, src
	r := src.rng(0, len(s))
	if v.typ.IsPrimitiveType() || v.typ == cty.DynamicPseudoType {
		l.assign(v, cty.StringVal(s), r, from)
		return
	}
	expr, diags := hclsyntax.ParseExpression([]byte(s), src.name, hcl.InitialPos)
	if !diags.HasErrors() {
		val, ds := expr.Value(nil)
		if diags = append(diags, ds...); !ds.HasErrors() {
			l.assign(v, val, r, from)
		}
	}
	if diags.HasErrors() {
		l.errorf(r, fmt.Sprintf("The value of %s cannot be read", v.name), "Its type is %s; write it as in HCL, such as [\"a\", \"b\"] or {a = 1}. %s", typeexpr.TypeString(v.typ), diags[0].Detail)
		v.value = cty.DynamicVal
	}
}

// varFile reads a .pkrvars file, HCL or JSON.
func (l *hclLoader) varFile(file string) {
	text, err := l.o.FS.ReadFile(absPath(l.o.Cwd, file))
	if err != nil {
		l.diags = append(l.diags, cannotRead(file, err)...)
		return
	}
	name := file
	body := hcl.Body(nil)
	if !strings.HasSuffix(name, ".json") && looksLikeJSON(text) && len(strings.TrimSpace(string(text))) > 0 {
		// A JSON variable file under any name, as with JSON templates.
		src := newSource(name, text)
		l.srcs[name], l.tmpl.Files[name] = src, &hcl.File{Bytes: text}
		n, diags := parseJSON(src)
		l.diags = append(l.diags, diags...)
		if n == nil || diags.HasErrors() {
			return
		}
		e := engine{}
		for _, m := range n.members {
			v, _ := literal(e, m.val)
			l.fromFile(m.name, m.key.Range(), m.val.Range(), v.v, file)
		}
		return
	}
	if body = l.parse(name, text); body == nil {
		return
	}
	content, _, _ := body.PartialContent(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "variable", LabelNames: []string{"name"}}}})
	if len(content.Blocks) > 0 && !strings.HasSuffix(name, ".json") {
		for _, b := range content.Blocks {
			l.errorf(b.DefRange, "A variable file declares no variables", "It gives values: %s = \"…\". Declarations belong into a .pkr.hcl file.", b.Labels[0])
		}
		return
	}
	for _, a := range l.attributes(body) {
		val, diags := a.Expr.Value(nil)
		l.diags = append(l.diags, diags...)
		if diags.HasErrors() {
			val = cty.DynamicVal
		}
		l.fromFile(a.Name, a.NameRange, a.Expr.Range(), val, file)
	}
}

// literal is a JSON value as it stands, templates in strings untouched.
func literal(e engine, n *jsonNode) (value, hcl.Diagnostics) {
	switch n.kind {
	case jsonString:
		return value{v: cty.StringVal(n.text), rng: n.Range()}, nil
	case jsonArray:
		vals := []cty.Value{}
		for _, el := range n.elems {
			v, _ := literal(e, el)
			vals = append(vals, v.v)
		}
		return value{v: cty.TupleVal(vals), rng: n.Range()}, nil
	case jsonObject:
		vals := map[string]cty.Value{}
		for _, m := range n.members {
			v, _ := literal(e, m.val)
			vals[m.name] = v.v
		}
		return value{v: cty.ObjectVal(vals), rng: n.Range()}, nil
	}
	return e.evalJSON(n)
}

func (l *hclLoader) fromFile(name string, key, val hcl.Range, v cty.Value, file string) {
	variable := l.vars[name]
	if variable == nil {
		if l.o.WarnUndeclared {
			names := sortedKeys(l.vars)
			l.warnf(key, fmt.Sprintf("%s sets the undeclared variable %q", file, name), "%s", nearest(name, names, fmt.Sprintf("Declare it: variable %q {}.", name)))
		}
		return
	}
	l.assign(variable, v, val, file)
}

// validate holds a variable's value against its validation blocks.
func (l *hclLoader) validate(v *hclVar) {
	for _, rule := range v.rules {
		ctx, diags := l.context(scope{bare: true}, rule.condition, rule.message)
		if l.diags = append(l.diags, diags...); diags.HasErrors() {
			continue
		}
		ok, diags := rule.condition.Value(ctx)
		l.diags = append(l.diags, diags...)
		if diags.HasErrors() || !ok.IsKnown() {
			continue
		}
		pass, err := asBool(ok)
		if err != nil || ok.IsNull() {
			l.errorf(rule.condition.Range(), "condition takes true or false", "This is %s.", describe(ok))
			continue
		}
		if pass {
			continue
		}
		msg, diags := rule.message.Value(ctx)
		l.diags = append(l.diags, diags...)
		text := ""
		if !diags.HasErrors() && msg.IsKnown() {
			text, _ = asString(msg)
		}
		r := v.from
		if r.Filename == "" {
			r = v.block
		}
		l.errorf(r, fmt.Sprintf("The value of %s is not allowed", v.name), "%s", strings.TrimSpace(text+fmt.Sprintf(" (Checked at %s.)", place(rule.condition.Range()))))
	}
}

// hclVarFile reads an HCL variable file for a JSON template: plain values, as text.
func (l *jsonLoader) hclVarFile(src *source) []jsonMember {
	f, diags := hclsyntax.ParseConfig(src.bytes, src.name, hcl.InitialPos)
	l.diags = append(l.diags, diags...)
	if diags.HasErrors() {
		return nil
	}
	attrs, diags := f.Body.JustAttributes()
	l.diags = append(l.diags, diags...)
	var out []jsonMember
	for _, a := range sortAttrs(attrs) {
		v, diags := a.Expr.Value(nil)
		l.diags = append(l.diags, diags...)
		if diags.HasErrors() {
			continue
		}
		s, err := asString(v)
		if err != nil {
			l.errorf(a.Expr.Range(), fmt.Sprintf("The variable %s takes a string", a.Name), "This is %s. Variables of JSON templates are strings; HCL2 templates have lists and objects.", describe(v))
			continue
		}
		key := &jsonNode{kind: jsonString, src: src, from: a.NameRange.Start.Byte, to: a.NameRange.End.Byte, text: a.Name}
		r := a.Expr.Range()
		// jsonNumber: the text is final, no {{…}} is looked for, and no position inside it is asked for.
		out = append(out, jsonMember{name: a.Name, key: key, val: &jsonNode{kind: jsonNumber, src: src, from: r.Start.Byte, to: r.End.Byte, text: s}})
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].key.from < out[j].key.from })
	return out
}
