package config

import (
	"fmt"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Change is one thing Fix has changed.
type Change struct {
	Range hcl.Range // in the text as it was
	What  string    // "renamed server_description to server_image_description"
}

// edit replaces the bytes [from, to) of a text.
type edit struct {
	from, to  int
	text, why string
}

// Fix turns an old JSON template into one that today's Packer and tfbake take, changing as little of the text as can
// be: old spellings of keys, settings that exclude each other, small mistakes of syntax. The text comes back as it was
// when there is nothing to do, and diagnostics when it cannot be read at all.
func Fix(name string, text []byte) ([]byte, []Change, hcl.Diagnostics) {
	src := newSource(name, text)
	p := &jsonParser{src: src, b: text}
	root := p.file()
	if root == nil || root.kind != jsonObject {
		diags := p.diags
		if root != nil {
			r := root.Range()
			diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "A template is an object", Detail: fmt.Sprintf("This is %s.", root.kind), Subject: &r})
		}
		return text, nil, finish(diags)
	}
	f := &fixer{src: src, edits: p.repairs}
	f.template(root)
	sort.SliceStable(f.edits, func(i, j int) bool { return f.edits[i].from < f.edits[j].from })
	var out []byte
	var changes []Change
	at := 0
	for _, e := range f.edits {
		if e.from < at {
			continue // inside something that has been removed
		}
		out = append(append(out, text[at:e.from]...), e.text...)
		at = e.to
		if e.why != "" {
			changes = append(changes, Change{Range: src.rng(e.from, e.to), What: e.why})
		}
	}
	out = append(out, text[at:]...)
	if len(changes) == 0 {
		return text, nil, nil
	}
	if _, diags := parseJSON(newSource(name, out)); diags.HasErrors() {
		return text, changes, diags // mistakes that a machine should not guess about: they remain to be told
	}
	return out, changes, nil
}

type fixer struct {
	src   *source
	edits []edit
}

func (f *fixer) replace(n *jsonNode, text, why string, args ...any) {
	f.edits = append(f.edits, edit{from: n.from, to: n.to, text: text, why: fmt.Sprintf(why, args...)})
}

// rename gives a key another name, unless that one is there as well: then the old one goes.
func (f *fixer) rename(obj *jsonNode, from, to string) {
	for i, m := range obj.members {
		if m.name != from {
			continue
		}
		if obj.member(to) != nil {
			f.remove(obj, i, fmt.Sprintf("removed %s: %s is set too", from, to))
			return
		}
		f.replace(m.key, quoteJSON(to), "renamed %s to %s", from, to)
	}
}

// remove takes a member out, with its comma and its line.
func (f *fixer) remove(obj *jsonNode, i int, why string) {
	from, to := obj.members[i].key.from, obj.members[i].val.to
	b := f.src.bytes
	end := to
	for end < obj.to-1 && isSpace(b[end]) {
		end++
	}
	if end < len(b) && b[end] == ',' {
		// The comma after it goes along, and the line it stood on alone.
		to = end + 1
		start := from
		for start > 0 && (b[start-1] == ' ' || b[start-1] == '\t') {
			start--
		}
		rest := to
		for rest < len(b) && (b[rest] == ' ' || b[rest] == '\t' || b[rest] == '\r') {
			rest++
		}
		if start > 0 && b[start-1] == '\n' && rest < len(b) && b[rest] == '\n' {
			from, to = start, rest+1
		}
	} else {
		// The last one: the comma before it goes.
		for from > obj.from+1 && isSpace(b[from-1]) {
			from--
		}
		if b[from-1] == ',' {
			from--
		}
	}
	f.edits = append(f.edits, edit{from: from, to: to, why: why})
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// insertAfter adds a member behind another, in its style.
func (f *fixer) insertAfter(m jsonMember, key, value, why string) {
	b := f.src.bytes
	start := m.key.from
	for start > 0 && (b[start-1] == ' ' || b[start-1] == '\t') {
		start--
	}
	sep := " "
	if start > 0 && b[start-1] == '\n' {
		sep = "\n" + string(b[start:m.key.from])
	}
	f.edits = append(f.edits, edit{from: m.val.to, to: m.val.to, text: "," + sep + quoteJSON(key) + ": " + quoteJSON(value), why: why})
}

func (f *fixer) template(root *jsonNode) {
	for i, m := range root.members {
		if m.name == "push" {
			f.remove(root, i, "removed push, which Packer has dropped")
		}
	}
	f.createTime(root)
	provisioners := 0
	if n := root.member("provisioners"); n != nil {
		provisioners = len(n.elems)
		for _, p := range n.elems {
			f.provisioner(p)
		}
	}
	if n := root.member("builders"); n != nil {
		for _, b := range n.elems {
			if b.kind == jsonObject {
				f.builder(b, provisioners > 0)
			}
		}
	}
	if n := root.member("post-processors"); n != nil {
		for _, p := range n.elems {
			f.postProcessor(p)
			for _, q := range p.elems {
				f.postProcessor(q)
			}
		}
	}
}

// createTime replaces {{.CreateTime}}, which was what {{timestamp}} is.
func (f *fixer) createTime(n *jsonNode) {
	if n.kind == jsonString {
		for _, old := range []string{"{{.CreateTime}}", "{{ .CreateTime }}"} {
			for from := 0; ; {
				i := strings.Index(n.text[from:], old)
				if i < 0 {
					break
				}
				from += i
				f.edits = append(f.edits, edit{from: n.textOffset(from), to: n.textOffset(from + len(old)), text: "{{timestamp}}", why: "replaced {{.CreateTime}} by {{timestamp}}"})
				from += len(old)
			}
		}
	}
	for _, e := range n.elems {
		f.createTime(e)
	}
	for _, m := range n.members {
		f.createTime(m.val)
	}
}

func (f *fixer) builder(b *jsonNode, provisioned bool) {
	if t := b.member("type"); t == nil || t.text != "ncloud" {
		return
	}
	for _, field := range builderSchema.fields {
		for _, a := range field.aliases {
			f.rename(b, a.name, field.name)
		}
	}
	f.rename(b, "ssh_key_path", "ssh_private_key_file")
	f.rename(b, "ssh_wait_timeout", "ssh_timeout")
	code, member := b.member("server_image_product_code"), -1
	for i, m := range b.members {
		if m.name == "member_server_image_no" {
			member = i
		}
	}
	if code != nil && code.text != "" && member >= 0 {
		f.remove(b, member, "removed member_server_image_no: server_image_product_code is set too and only one can be; the product code names an image that every account has. Remove the other one instead if the image is to grow from your own")
	}
	if n := b.member("server_image_name"); n != nil && n.kind == jsonString {
		if clean := cleanTemplate(n.text); clean != n.text {
			f.replace(n, quoteJSON(clean), "changed server_image_name to %q: on VPC a name is made of lower-case letters, digits and \"-\"", clean)
		}
	}
	for _, m := range b.members {
		if m.name == "user_data" && m.val.kind == jsonString && b.member("communicator") == nil && strings.Contains(strings.ToLower(m.val.text), "createobject(") {
			if provisioned {
				f.insertAfter(m, "communicator", "winrm", "added \"communicator\": \"winrm\": the init script is for Windows, which does not answer SSH. On Classic, access_control_group_no must be added by hand")
			} else {
				f.insertAfter(m, "communicator", "none", "added \"communicator\": \"none\": the init script is for Windows, which does not answer SSH, and there is nothing to provision")
			}
		}
	}
}

// cleanTemplate cleans the words of a name and leaves its {{…}} alone.
func cleanTemplate(s string) string {
	var out strings.Builder
	for s != "" {
		open := strings.Index(s, "{{")
		word := s
		if open >= 0 {
			word = s[:open]
		}
		for _, r := range strings.ToLower(word) {
			switch {
			case r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-':
				out.WriteRune(r)
			case !strings.HasSuffix(out.String(), "-"):
				out.WriteByte('-')
			}
		}
		if open < 0 {
			break
		}
		end := strings.Index(s[open:], "}}")
		if end < 0 {
			out.WriteString(s[open:])
			break
		}
		out.WriteString(s[open : open+end+2])
		s = s[open+end+2:]
	}
	return out.String()
}

func (f *fixer) provisioner(p *jsonNode) {
	t := p.member("type")
	if p.kind != jsonObject || t == nil || t.text != "powershell" {
		return
	}
	// Packer once wanted ` before these; today it writes them itself.
	unescape := strings.NewReplacer("``", "`", "`$", "$", "`\"", "\"", "`'", "'")
	fixString := func(n *jsonNode, key string) {
		if n.kind == jsonString {
			if s := unescape.Replace(n.text); s != n.text {
				f.replace(n, quoteJSON(s), "removed the escapes from %s: they are no longer needed", key)
			}
		}
	}
	if n := p.member("environment_vars"); n != nil {
		for _, e := range n.elems {
			fixString(e, "environment_vars")
		}
	}
	for _, key := range []string{"elevated_user", "elevated_password"} {
		if n := p.member(key); n != nil {
			fixString(n, key)
		}
	}
}

func (f *fixer) postProcessor(p *jsonNode) {
	if t := p.member("type"); p.kind == jsonObject && t != nil && t.text == "manifest" {
		f.rename(p, "filename", "output")
	}
}

// quoteJSON writes a string as JSON, leaving everything readable that may be.
func quoteJSON(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ':
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// Format lays out an HCL2 file as tfbake fmt writes it. A file with mistakes of syntax comes back as it was, with them.
func Format(name string, text []byte) ([]byte, hcl.Diagnostics) {
	if _, diags := hclsyntax.ParseConfig(text, name, hcl.InitialPos); diags.HasErrors() {
		return text, diags
	}
	return hclwrite.Format(text), nil
}
