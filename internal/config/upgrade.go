package config

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"text/template/parse"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Upgrade writes a JSON template as HCL2. What cannot be said in HCL2 stays as it is, with a comment; notes tell of
// every place that wants a look. The result is for people to go on with: formatted, in the usual order.
func Upgrade(name string, text []byte) (out []byte, notes []string, diags hcl.Diagnostics) {
	root, diags := parseJSON(newSource(name, text))
	if diags.HasErrors() || root == nil || root.kind != jsonObject {
		if root != nil && root.kind != jsonObject {
			r := root.Range()
			diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "A template is an object", Detail: fmt.Sprintf("This is %s.", root.kind), Subject: &r})
		}
		return nil, nil, diags
	}
	u := &upgrader{locals: map[string]bool{}, names: map[string]string{}, declared: map[string]bool{}}
	root.fold(jsonRoots)
	u.template(root)
	for _, name := range u.missing {
		u.notes = append(u.notes, fmt.Sprintf("the variable %s is used and not declared: in HCL2 it has to be", name))
		u.line("\nvariable %s {\ntype = string\ndefault = \"\"\n}", u.quote(identifier(name)))
	}
	return hclwrite.Format(u.b.Bytes()), u.notes, nil
}

type upgrader struct {
	b       bytes.Buffer
	notes   []string
	pending []string          // comments for the attribute being written
	locals  map[string]bool   // variables that became locals, because they are made of others
	names   map[string]string // builder name -> "ncloud.name"
	inVar   bool
	inStep  bool            // build values exist
	written map[string]bool // attributes of the block being written

	declared map[string]bool // variables the template declares
	missing  []string        // variables it uses and does not declare
}

func (u *upgrader) note(n *jsonNode, format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	u.notes = append(u.notes, fmt.Sprintf("line %d: %s", n.src.pos(n.from).Line, msg))
	u.pending = append(u.pending, msg)
}

func (u *upgrader) line(format string, args ...any) { fmt.Fprintf(&u.b, format+"\n", args...) }

// open begins a block.
func (u *upgrader) open(format string, args ...any) {
	u.line(format, args...)
	u.written = map[string]bool{}
}

// attr writes one attribute, after what there is to say about it. The second of a name, which an old spelling or an odd
// character can bring about, becomes a comment.
func (u *upgrader) attr(key, expr string) {
	if u.written[key] {
		u.notes = append(u.notes, fmt.Sprintf("%s is set twice", key))
		u.line("# %s is set twice: %s", key, strings.ReplaceAll(expr, "\n", " "))
		return
	}
	u.written[key] = true
	for _, c := range u.pending {
		u.line("# %s", c)
	}
	u.pending = nil
	u.line("%s = %s", key, expr)
}

func (u *upgrader) template(root *jsonNode) {
	for _, m := range root.members {
		if m.name[:min(1, len(m.name))] == "_" && m.val.kind == jsonString {
			for _, l := range strings.Split(m.val.text, "\n") {
				u.line("# %s", l)
			}
		}
	}
	if n := root.member("min_packer_version"); n != nil && n.kind == jsonString {
		u.line("packer {\nrequired_version = %s\n}\n", u.quote(">= "+n.text))
	}
	u.variables(root)
	var sources []string
	if n := root.member("builders"); n != nil {
		for _, b := range n.elems {
			if s := u.source(b); s != "" {
				sources = append(sources, s)
			}
		}
	}
	if len(sources) == 0 {
		return
	}
	u.open("build {")
	if n := root.member("description"); n != nil && n.kind == jsonString {
		u.attr("description", u.quote(n.text))
	}
	var list []string
	for _, s := range sources {
		list = append(list, u.quote("source."+s))
	}
	u.line("sources = [%s]", strings.Join(list, ", "))
	if n := root.member("provisioners"); n != nil {
		for _, p := range n.elems {
			u.step("provisioner", p, provisionerTypes)
		}
	}
	if n := root.member("error-cleanup-provisioner"); n != nil && n.kind == jsonObject {
		u.step("error-cleanup-provisioner", n, provisionerTypes)
	}
	if n := root.member("post-processors"); n != nil {
		for _, p := range n.elems {
			if p.kind != jsonArray {
				u.step("post-processor", p, postProcessorTypes)
				continue
			}
			u.line("\npost-processors {")
			for _, q := range p.elems {
				u.step("post-processor", q, postProcessorTypes)
			}
			u.line("}")
		}
	}
	u.line("}")
}

func (u *upgrader) variables(root *jsonNode) {
	secret := map[string]bool{}
	if n := root.member("sensitive-variables"); n != nil {
		for _, e := range n.elems {
			secret[e.text] = true
		}
	}
	n := root.member("variables")
	if n == nil {
		return
	}
	var locals []jsonMember
	for _, m := range n.members {
		u.declared[m.name] = true
		if m.val.kind == jsonString && madeOfOthers(m.val.text) {
			u.locals[m.name] = true
			locals = append(locals, m)
		}
	}
	for _, m := range n.members {
		if u.locals[m.name] {
			continue
		}
		u.open("variable %s {", u.quote(identifier(m.name)))
		u.line("type = string")
		if m.val.kind != jsonNull {
			u.inVar = true
			u.attr("default", u.value(m.val, false))
			u.inVar = false
		}
		if secret[m.name] {
			u.line("sensitive = true")
		}
		u.line("}\n")
	}
	if len(locals) > 0 {
		for _, m := range locals {
			u.notes = append(u.notes, fmt.Sprintf("line %d: the variable %s is made of others and became a local: -var %s=… no longer sets it", m.key.src.pos(m.key.from).Line, m.name, m.name))
			u.open("local %s {", u.quote(identifier(m.name)))
			u.attr("expression", u.value(m.val, false))
			if secret[m.name] {
				u.line("sensitive = true")
			}
			u.line("}\n")
		}
	}
}

// madeOfOthers tells whether a variable's default uses what HCL2 does not allow there: other variables, or the time and
// the like together with anything.
func madeOfOthers(s string) bool {
	if !strings.Contains(s, "{{") {
		return false
	}
	tree, err := parseTree(s)
	if err != nil {
		return false
	}
	others := false
	walk(tree.Root, func(n parse.Node) {
		if id, ok := n.(*parse.IdentifierNode); ok && id.Ident == "user" {
			others = true
		}
	})
	return others
}

var notIdentifier = regexp.MustCompile(`[^A-Za-z0-9_-]`)

// identifier makes a name HCL2 takes.
func identifier(s string) string {
	if hclsyntax.ValidIdentifier(s) {
		return s
	}
	s = notIdentifier.ReplaceAllString(s, "_")
	if s == "" || !hclsyntax.ValidIdentifier(s) {
		s = "_" + s
	}
	return s
}

func (u *upgrader) source(b *jsonNode) string {
	if b.kind != jsonObject {
		return ""
	}
	typ, name := "", ""
	if t := b.member("type"); t != nil {
		typ = t.text
	}
	raw := typ
	if n := b.member("name"); n != nil {
		raw = n.text
	}
	if name = identifier(raw); name != raw {
		u.note(b, "the builder %q is called %q now", raw, name)
	}
	u.names[raw] = identifier(typ) + "." + name
	for _, c := range u.pending {
		u.line("# %s", c)
	}
	u.pending = nil
	u.open("source %s %s {", u.quote(identifier(typ)), u.quote(name))
	b.fold(builderSchema.names())
	for _, m := range b.members {
		if m.name != "type" && m.name != "name" && !strings.HasPrefix(m.name, "packer_") {
			u.attr(u.key(m), u.value(m.val, false))
		}
	}
	u.line("}\n")
	return u.names[raw]
}

// key is a key's name as an attribute, today's spelling.
func (u *upgrader) key(m jsonMember) string {
	for _, f := range builderSchema.fields {
		for _, a := range f.aliases {
			if a.name == m.name {
				return f.name
			}
		}
	}
	return identifier(m.name)
}

func (u *upgrader) step(block string, p *jsonNode, types map[string]*stepType) {
	typ := p.text
	if t := p.member("type"); p.kind == jsonObject && t != nil {
		typ = t.text
	}
	u.inStep = true
	u.open("\n%s %s {", block, u.quote(identifier(typ)))
	var raw map[string]bool
	lists := map[string]bool{}
	if t := types[typ]; t != nil {
		raw = t.raw
		var names []string
		for _, k := range t.keys() {
			lists[k.Name] = strings.HasPrefix(k.Type, "list")
			names = append(names, k.Name)
		}
		p.fold(names)
	}
	for _, m := range p.members {
		if strings.HasPrefix(m.name, "packer_") {
			continue
		}
		switch m.name {
		case "type":
		case "only", "except":
			var list []string
			elems := m.val.elems
			if m.val.kind == jsonString {
				elems = []*jsonNode{m.val}
			}
			for _, e := range elems {
				name, ok := u.names[e.text]
				if !ok {
					name = e.text
				}
				list = append(list, u.quote(name))
			}
			u.attr(m.name, "["+strings.Join(list, ", ")+"]")
		case "override":
			var parts []string
			for _, o := range m.val.members {
				name := u.names[o.name]
				if name = name[strings.IndexByte(name, '.')+1:]; name == "" {
					name = o.name
				}
				parts = append(parts, fmt.Sprintf("%s = %s", u.quote(name), u.value(o.val, false)))
			}
			u.attr("override", "{\n"+strings.Join(parts, "\n")+"\n}")
		default:
			if n := m.val; lists[m.name] && n.kind == jsonString && strings.Contains(n.text, ",") {
				m.val = &jsonNode{kind: jsonArray, src: n.src, from: n.from, to: n.to}
				for _, part := range strings.Split(n.text, ",") {
					m.val.elems = append(m.val.elems, &jsonNode{kind: jsonString, text: part, src: n.src, from: n.from, to: n.to})
				}
			}
			v := u.value(m.val, raw[m.name])
			if lists[m.name] && m.val.kind != jsonArray {
				v = "[" + v + "]" // HCL2 is stricter: a list of one must be a list
			}
			u.attr(identifier(m.name), v)
		}
	}
	u.line("}")
}

// value writes a JSON value as an HCL2 expression. Keep leaves {{…}} for the step to fill in.
func (u *upgrader) value(n *jsonNode, keep bool) string {
	switch n.kind {
	case jsonNull:
		return "null"
	case jsonBool:
		return strconv.FormatBool(n.boolean)
	case jsonNumber:
		return n.text
	case jsonString:
		return u.str(n, keep)
	case jsonArray:
		if len(n.elems) == 0 {
			return "[]"
		}
		var parts []string
		long := false
		for _, e := range n.elems {
			v := u.value(e, keep)
			long = long || len(v) > 40
			parts = append(parts, v)
		}
		if len(parts) > 1 && long {
			return "[\n" + strings.Join(parts, ",\n") + ",\n]"
		}
		return "[" + strings.Join(parts, ", ") + "]"
	default:
		var parts []string
		for _, m := range n.members {
			key := m.name
			if !hclsyntax.ValidIdentifier(key) {
				key = u.quote(key)
			}
			parts = append(parts, fmt.Sprintf("%s = %s", key, u.value(m.val, keep)))
		}
		if len(parts) == 0 {
			return "{}"
		}
		return "{\n" + strings.Join(parts, "\n") + "\n}"
	}
}

// quote writes a literal string.
func (u *upgrader) quote(s string) string { return `"` + escapeHCL(s) + `"` }

// escapeHCL writes what stands between the quotes of an HCL2 string.
func escapeHCL(s string) string {
	s = strings.NewReplacer("\\", "\\\\", "\"", "\\\"", "\n", "\\n", "\r", "\\r", "\t", "\\t").Replace(s)
	s = strings.ReplaceAll(s, "${", "$${")
	s = strings.ReplaceAll(s, "%{", "%%{")
	var b strings.Builder
	for _, r := range s {
		if r < ' ' || r == 0x7f || r == 0xfeff {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// str translates a string and the {{…}} in it.
func (u *upgrader) str(n *jsonNode, keep bool) string {
	if !strings.Contains(n.text, "{{") {
		return u.quote(n.text)
	}
	tree, err := parseTree(n.text)
	if err != nil {
		u.note(n, "this {{…}} could not be read")
		return u.quote(n.text)
	}
	if len(tree.Root.Nodes) == 1 {
		if action, ok := tree.Root.Nodes[0].(*parse.ActionNode); ok {
			if expr, ok := u.action(action, keep); ok {
				return expr
			}
		}
	}
	return `"` + u.nodes(n, tree.Root.Nodes, keep) + `"`
}

// action translates one {{…}} that is to be filled in before the step runs.
func (u *upgrader) action(a *parse.ActionNode, keep bool) (string, bool) {
	used := uses(a)
	if _, literal := literalPipe(a.Pipe); literal || keep && (used.field || used.variable) {
		return "", false
	}
	return u.pipe(a.Pipe)
}

// nodes translates the parts of a string into what stands between the quotes.
func (u *upgrader) nodes(n *jsonNode, nodes []parse.Node, keep bool) string {
	var b strings.Builder
	for _, node := range nodes {
		switch node := node.(type) {
		case *parse.TextNode:
			b.WriteString(escapeHCL(string(node.Text)))
			continue
		case *parse.ActionNode:
			if lit, ok := literalPipe(node.Pipe); ok && !strings.Contains(lit, "{{") {
				b.WriteString(escapeHCL(lit)) // with {{ it stays as it is: HCL2 strings are filled in as well
				continue
			}
			if expr, ok := u.action(node, keep); ok {
				b.WriteString("${" + expr + "}")
				continue
			}
		case *parse.IfNode:
			if cond, ok := u.condition(node.Pipe); ok && !(keep && uses(node).field) {
				otherwise := ""
				if node.ElseList != nil {
					otherwise = u.nodes(n, node.ElseList.Nodes, keep)
				}
				fmt.Fprintf(&b, `${%s ? "%s" : "%s"}`, cond, u.nodes(n, node.List.Nodes, keep), otherwise)
				continue
			}
		}
		if hasUser(node) {
			u.note(n, "%s has no counterpart in HCL2: rewrite it", node)
		}
		b.WriteString(escapeHCL(node.String()))
	}
	return b.String()
}

// condition translates what stands after "if": eq and ne of two values, or one value, which counts when it is not empty.
func (u *upgrader) condition(p *parse.PipeNode) (string, bool) {
	if len(p.Decl) > 0 || len(p.Cmds) != 1 {
		return "", false
	}
	c := p.Cmds[0]
	id, ok := c.Args[0].(*parse.IdentifierNode)
	if op := map[string]string{"eq": "==", "ne": "!="}; ok && op[id.Ident] != "" && len(c.Args) == 3 {
		left, ok1 := u.operand(c.Args[1])
		right, ok2 := u.operand(c.Args[2])
		return left + " " + op[id.Ident] + " " + right, ok1 && ok2
	}
	expr, ok := u.pipe(p)
	return expr + ` != ""`, ok
}

func (u *upgrader) operand(n parse.Node) (string, bool) {
	switch n := n.(type) {
	case *parse.StringNode:
		return u.quote(n.Text), true
	case *parse.PipeNode:
		return u.pipe(n)
	case *parse.IdentifierNode:
		return u.command(&parse.CommandNode{Args: []parse.Node{n}}, "", false)
	}
	return "", false
}

// hasUser tells whether a template calls what exists in JSON templates alone.
func hasUser(n parse.Node) bool {
	found := false
	walk(n, func(n parse.Node) {
		if id, ok := n.(*parse.IdentifierNode); ok && (id.Ident == "user" || id.Ident == "env" || notSupported[id.Ident] != "") {
			found = true
		}
	})
	return found
}

func literalPipe(p *parse.PipeNode) (string, bool) {
	if len(p.Decl) == 0 && len(p.Cmds) == 1 && len(p.Cmds[0].Args) == 1 {
		if s, ok := p.Cmds[0].Args[0].(*parse.StringNode); ok {
			return s.Text, true
		}
	}
	return "", false
}

// pipe translates {{a | b}} into an expression.
func (u *upgrader) pipe(p *parse.PipeNode) (string, bool) {
	if len(p.Decl) > 0 {
		return "", false
	}
	last := ""
	for i, c := range p.Cmds {
		expr, ok := u.command(c, last, i > 0)
		if !ok {
			return "", false
		}
		last = expr
	}
	return last, true
}

func (u *upgrader) command(c *parse.CommandNode, piped string, hasPiped bool) (string, bool) {
	id, ok := c.Args[0].(*parse.IdentifierNode)
	if !ok {
		if f, ok := c.Args[0].(*parse.FieldNode); ok && len(c.Args) == 1 && len(f.Ident) == 1 && contains(runNames, f.Ident[0]) && u.inStep {
			return "build." + f.Ident[0], true
		}
		if p, ok := c.Args[0].(*parse.PipeNode); ok && len(c.Args) == 1 {
			return u.pipe(p)
		}
		return "", false
	}
	var args []string // as expressions
	var texts []string
	for _, a := range c.Args[1:] {
		switch a := a.(type) {
		case *parse.StringNode:
			args, texts = append(args, u.quote(a.Text)), append(texts, a.Text)
		case *parse.NumberNode:
			args, texts = append(args, a.Text), append(texts, a.Text)
		case *parse.PipeNode:
			expr, ok := u.pipe(a)
			if !ok {
				return "", false
			}
			args, texts = append(args, expr), append(texts, "")
		default:
			return "", false
		}
	}
	if hasPiped {
		args, texts = append(args, piped), append(texts, "")
	}
	isText := func(i int) bool { return i < len(c.Args)-1 && c.Args[i+1].Type() == parse.NodeString }
	switch n := len(args); {
	case id.Ident == "user" && n == 1 && isText(0) && !u.inVar:
		if u.locals[texts[0]] {
			return "local." + identifier(texts[0]), true
		}
		if !u.declared[texts[0]] && !contains(u.missing, texts[0]) {
			u.missing = append(u.missing, texts[0])
		}
		return "var." + identifier(texts[0]), true
	case id.Ident == "env" && n == 1 && u.inVar:
		return "env(" + args[0] + ")", true
	case id.Ident == "build" && n == 1 && isText(0) && hclsyntax.ValidIdentifier(texts[0]) && !u.inVar:
		return "build." + texts[0], true
	case id.Ident == "build_name" && n == 0 && !u.inVar:
		return "source.name", true
	case id.Ident == "build_type" && n == 0 && !u.inVar:
		return "source.type", true
	case id.Ident == "pwd" && n == 0:
		return "path.cwd", true
	case id.Ident == "template_dir" && n == 0:
		return "abspath(path.root)", true
	case id.Ident == "packer_version" && n == 0:
		return "packer.version", true
	case id.Ident == "uuid" && n == 0:
		return "uuidv4()", true
	case id.Ident == "isotime" && n <= 1:
		return "legacy_isotime(" + strings.Join(args, "") + ")", true
	case id.Ident == "strftime" && n == 1:
		return "legacy_strftime(" + args[0] + ")", true
	case (id.Ident == "upper" || id.Ident == "lower") && n == 1:
		return id.Ident + "(" + args[0] + ")", true
	case id.Ident == "replace_all" && n == 3 && !strings.HasPrefix(texts[0], "/"):
		return fmt.Sprintf("replace(%s, %s, %s)", args[2], args[0], args[1]), true
	case id.Ident == "split" && n == 3:
		return fmt.Sprintf("split(%s, %s)[%s]", args[1], args[0], args[2]), true
	}
	return "", false
}
