package config

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
)

// The JSON of bake files is read by a parser of our own. encoding/json forgets where things stood and lets the last of
// two equal keys win; hcl/v2/json wants HCL's expressions in strings. Ours keeps the byte range of every key and value,
// maps positions inside a string back to the file through its escapes, and carries on after the mistakes people make.

type jsonKind int

const (
	jsonNull jsonKind = iota
	jsonBool
	jsonNumber
	jsonString
	jsonArray
	jsonObject
)

func (k jsonKind) String() string {
	return [...]string{"null", "a boolean", "a number", "a string", "a list", "an object"}[k]
}

// jsonNode is a JSON value: where it stands, and what it holds according to its kind.
type jsonNode struct {
	kind     jsonKind
	src      *source
	from, to int // byte range in src, quotes and brackets included

	text    string // jsonString: decoded; jsonNumber: as written
	boolean bool
	elems   []*jsonNode
	members []jsonMember
}

type jsonMember struct {
	name string
	key  *jsonNode // the string node of the key
	val  *jsonNode
}

func (n *jsonNode) Range() hcl.Range { return n.src.rng(n.from, n.to) }

// member finds a key of an object; nil when absent.
func (n *jsonNode) member(name string) *jsonNode {
	for _, m := range n.members {
		if m.name == name {
			return m.val
		}
	}
	return nil
}

// textRange maps a range of a decoded string's bytes to the file.
func (n *jsonNode) textRange(from, to int) hcl.Range {
	return n.src.rng(n.textOffset(from), n.textOffset(to))
}

// textOffset finds where the byte at off of the decoded string begins in the file, walking its escapes again.
func (n *jsonNode) textOffset(off int) int {
	i, end := n.from+1, n.to-1
	for decoded := 0; i < end && decoded < off; {
		size, width := 1, 1
		if n.src.bytes[i] == '\\' {
			var r rune
			r, width = jsonEscape(n.src.bytes[i:end])
			size = utf8.RuneLen(r)
		}
		decoded += size
		if decoded > off {
			break // off is inside what the escape stands for: point at the escape
		}
		i += width
	}
	return i
}

// jsonEscape decodes the escape b begins with: the character, and how many bytes it took. An invalid escape is its own
// second character; parsing has complained about it already.
func jsonEscape(b []byte) (rune, int) {
	if len(b) < 2 {
		return '\\', 1
	}
	switch b[1] {
	case 'n':
		return '\n', 2
	case 't':
		return '\t', 2
	case 'r':
		return '\r', 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'u':
		r, ok := hex4(b)
		if !ok {
			return 'u', 2
		}
		if utf16.IsSurrogate(r) {
			if low, ok := hex4(b[6:]); ok {
				if both := utf16.DecodeRune(r, low); both != utf8.RuneError {
					return both, 12
				}
			}
			return utf8.RuneError, 6
		}
		return r, 6
	}
	if b[1] >= utf8.RuneSelf {
		r, n := utf8.DecodeRune(b[1:])
		return r, 1 + n
	}
	return rune(b[1]), 2
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(b[2:6]), 16, 32)
	return rune(n), err == nil
}

// maxJSONDepth keeps a hostile file from exhausting the stack.
const maxJSONDepth = 500

// parseJSON reads one JSON value and insists that nothing follows it. The node is nil when the text is too broken to
// go on with; otherwise it is whole, even when diagnostics tell of a missing comma or a comment.
func parseJSON(src *source) (*jsonNode, hcl.Diagnostics) {
	p := &jsonParser{src: src, b: src.bytes}
	n := p.file()
	return n, p.diags
}

// file reads the whole text.
func (p *jsonParser) file() *jsonNode {
	if bytes.HasPrefix(p.b, []byte("\xef\xbb\xbf")) {
		p.i = 3
	}
	if bytes.HasPrefix(p.b, []byte("\xff\xfe")) || bytes.HasPrefix(p.b, []byte("\xfe\xff")) {
		return p.stop(0, 1, "The file is UTF-16", "Save it as UTF-8.")
	}
	p.space()
	if p.i == len(p.b) {
		return p.stop(p.i, p.i, "The file is empty", "A JSON template is an object with at least \"builders\".")
	}
	n := p.value(0)
	if n == nil {
		return nil
	}
	p.space()
	if p.i < len(p.b) && p.b[p.i] == ':' && n.kind == jsonString {
		return p.stop(n.from, n.to, "The template's outer braces are missing", "Put { before this and } at the end: a template is one object.")
	}
	if p.i < len(p.b) && !p.stopped {
		return p.stop(p.i, p.i+1, "Text after the end of the template",
			fmt.Sprintf("The object opened on line %d ends before this. Remove what follows, or the bracket that closes it too early.",
				p.src.pos(n.from).Line))
	}
	return n
}

type jsonParser struct {
	src     *source
	b       []byte
	i       int
	diags   hcl.Diagnostics
	twice   bool   // a key may be given twice
	repairs []edit // what would make the text valid where reading could go on
	stopped bool   // a mistake after which guessing would only produce noise
}

func (p *jsonParser) fail(from, to int, summary, detail string) {
	if p.stopped {
		return
	}
	r := p.src.rng(from, to)
	p.diags = append(p.diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &r})
}

func (p *jsonParser) stop(from, to int, summary, detail string) *jsonNode {
	p.fail(from, to, summary, detail)
	p.stopped = true
	return nil
}

// space skips white space, and comments with a complaint.
func (p *jsonParser) space() {
	for p.i < len(p.b) {
		switch c := p.b[p.i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			p.i++
		case c == '#' || c == '/' && p.i+1 < len(p.b) && p.b[p.i+1] == '/':
			from := p.i
			for p.i < len(p.b) && p.b[p.i] != '\n' {
				p.i++
			}
			p.comment(from)
		case c == '/' && p.i+1 < len(p.b) && p.b[p.i+1] == '*':
			from := p.i
			if end := bytes.Index(p.b[p.i+2:], []byte("*/")); end >= 0 {
				p.i += end + 4
			} else {
				p.i = len(p.b)
			}
			p.comment(from)
		default:
			return
		}
	}
}

func (p *jsonParser) comment(from int) {
	p.repairs = append(p.repairs, edit{from: from, to: p.i, why: "removed a comment, which JSON does not have"})
	p.fail(from, p.i, "JSON has no comments", `Remove it, or keep the text under a top-level key that begins with "_", such as "_comment".`)
}

func (p *jsonParser) value(depth int) *jsonNode {
	p.space()
	if p.i >= len(p.b) {
		return p.stop(p.i, p.i, "The file ends in the middle of a value", "A closing quote or bracket is missing further up.")
	}
	if depth > maxJSONDepth {
		return p.stop(p.i, p.i+1, "Nested too deeply", fmt.Sprintf("At most %d levels are read.", maxJSONDepth))
	}
	switch c := p.b[p.i]; {
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.array(depth)
	case c == '"':
		return p.str()
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	case c == '\'':
		return p.stop(p.i, p.i+1, "Single quotes around a string", `JSON strings stand in double quotes: "like this".`)
	default:
		return p.word()
	}
}

func (p *jsonParser) word() *jsonNode {
	from := p.i
	for p.i < len(p.b) && isWordByte(p.b[p.i]) {
		p.i++
	}
	n := &jsonNode{src: p.src, from: from, to: p.i}
	switch w := string(p.b[from:p.i]); w {
	case "true", "false":
		n.kind, n.boolean = jsonBool, w == "true"
	case "null":
		n.kind = jsonNull
	case "":
		return p.stop(from, from+1, fmt.Sprintf("A value is expected, not %s", quoteByte(p.b[from:])), "Write a string, number, true, false, null, {…} or […].")
	default:
		if w == "True" || w == "False" || w == "None" || w == "TRUE" || w == "FALSE" || w == "NULL" {
			return p.stop(from, p.i, fmt.Sprintf("%s is not JSON", w), "JSON's words are lower case: true, false, null.")
		}
		return p.stop(from, p.i, fmt.Sprintf("%s is neither a string nor a number", w), fmt.Sprintf("Put a string in double quotes: %q.", w))
	}
	return n
}

func isWordByte(c byte) bool {
	return c == '_' || c == '-' || c == '.' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func quoteByte(b []byte) string {
	r, _ := utf8.DecodeRune(b)
	return strconv.QuoteRune(r)
}

func (p *jsonParser) number() *jsonNode {
	from := p.i
	for p.i < len(p.b) && (isWordByte(p.b[p.i]) || p.b[p.i] == '+') {
		p.i++
	}
	text := string(p.b[from:p.i])
	if !validJSONNumber(text) {
		return p.stop(from, p.i, fmt.Sprintf("%s is not a number", text), fmt.Sprintf("Put it in double quotes if it is meant as a string: %q.", text))
	}
	return &jsonNode{kind: jsonNumber, src: p.src, from: from, to: p.i, text: text}
}

// validJSONNumber follows the grammar of RFC 8259, which strconv is more generous than.
func validJSONNumber(s string) bool {
	i := 0
	digits := func() bool {
		from := i
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		return i > from
	}
	if i < len(s) && s[i] == '-' {
		i++
	}
	if i < len(s) && s[i] == '0' {
		i++
	} else if !digits() {
		return false
	}
	if i < len(s) && s[i] == '.' {
		i++
		if !digits() {
			return false
		}
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		// An exponent beyond this makes arithmetic on the number a way to exhaust memory.
		from := i
		if !digits() || i-from > 4 {
			return false
		}
	}
	return i == len(s)
}

func (p *jsonParser) str() *jsonNode {
	from := p.i
	p.i++
	var out []byte
	for p.i < len(p.b) {
		switch c := p.b[p.i]; {
		case c == '"':
			p.i++
			return &jsonNode{kind: jsonString, src: p.src, from: from, to: p.i, text: string(out)}
		case c == '\\':
			if p.i+1 < len(p.b) && !bytes.ContainsRune([]byte(`"\/bfnrtu`), rune(p.b[p.i+1])) {
				p.fail(p.i, p.i+2, fmt.Sprintf(`\%c is not an escape JSON knows`, p.b[p.i+1]), `Write \\ for a backslash.`)
			} else if p.i+1 < len(p.b) && p.b[p.i+1] == 'u' {
				if _, ok := hex4(p.b[p.i:]); !ok {
					p.fail(p.i, min(p.i+6, len(p.b)), `\u wants four hexadecimal digits`, `Write \\u for a backslash and a u.`)
				}
			}
			r, width := jsonEscape(p.b[p.i:])
			out = utf8.AppendRune(out, r)
			p.i += width
		case c == '\n' || c == '\r':
			return p.stop(from, p.i, "A string runs over the end of its line", `Close it with a double quote, or write \n for a line break inside it.`)
		case c < ' ':
			p.fail(p.i, p.i+1, "A control character in a string", fmt.Sprintf(`Write it as \u%04x, a tab as \t.`, c))
			out = append(out, c)
			p.i++
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRune(p.b[p.i:])
			if r == utf8.RuneError && n == 1 {
				return p.stop(p.i, p.i+1, "The text is not valid UTF-8 here", "Save the file as UTF-8.")
			}
			out = append(out, p.b[p.i:p.i+n]...)
			p.i += n
		default:
			out = append(out, c)
			p.i++
		}
	}
	return p.stop(from, from+1, "A string is never closed", "Its closing double quote is missing.")
}

func (p *jsonParser) array(depth int) *jsonNode {
	n := &jsonNode{kind: jsonArray, src: p.src, from: p.i}
	p.i++
	for first := true; ; first = false {
		done, ok := p.next(n, ']', first)
		if !ok {
			return nil
		}
		if done {
			return n
		}
		e := p.value(depth + 1)
		if e == nil {
			return nil
		}
		n.elems = append(n.elems, e)
	}
}

func (p *jsonParser) object(depth int) *jsonNode {
	n := &jsonNode{kind: jsonObject, src: p.src, from: p.i}
	p.i++
	seen := map[string]*jsonNode{}
	for first := true; ; first = false {
		done, ok := p.next(n, '}', first)
		if !ok {
			return nil
		}
		if done {
			return n
		}
		if p.b[p.i] != '"' {
			from := p.i
			for p.i < len(p.b) && isWordByte(p.b[p.i]) {
				p.i++
			}
			if p.i > from {
				return p.stop(from, p.i, fmt.Sprintf("The key %s is not in quotes", p.b[from:p.i]), fmt.Sprintf("Write %q.", p.b[from:p.i]))
			}
			return p.stop(from, from+1, fmt.Sprintf("A key in double quotes is expected, not %s", quoteByte(p.b[from:])), "Inside {…} every value has a key: \"key\": value.")
		}
		key := p.str()
		if key == nil {
			return nil
		}
		p.space()
		if p.i >= len(p.b) || p.b[p.i] != ':' {
			return p.stop(key.from, key.to, fmt.Sprintf("The key %q has no value", key.text), "A colon and the value must follow it.")
		}
		p.i++
		val := p.value(depth + 1)
		if val == nil {
			return nil
		}
		if before, ok := seen[key.text]; ok && !p.twice {
			p.fail(key.from, key.to, fmt.Sprintf("The key %q is given twice", key.text),
				fmt.Sprintf("It was first set on line %d. Remove one of the two.", p.src.pos(before.from).Line))
			continue
		}
		seen[key.text] = key
		n.members = append(n.members, jsonMember{name: key.text, key: key, val: val})
	}
}

// next moves to the next element of n: done when its closing bracket was there, !ok when reading must stop.
func (p *jsonParser) next(n *jsonNode, closing byte, first bool) (done, ok bool) {
	p.space()
	open := p.src.pos(n.from)
	if p.i >= len(p.b) {
		p.stop(n.from, n.from+1, fmt.Sprintf("%c is never closed", p.b[n.from]), fmt.Sprintf("The file ends before its %c.", closing))
		return false, false
	}
	comma := -1
	if !first && p.b[p.i] == ',' {
		comma = p.i
		p.i++
		p.space()
	}
	for p.i < len(p.b) && p.b[p.i] == ',' {
		p.fail(p.i, p.i+1, "A comma too many", "Remove it.")
		p.repairs = append(p.repairs, edit{from: p.i, to: p.i + 1, why: "removed a comma too many"})
		p.i++
		p.space()
	}
	if p.i >= len(p.b) {
		p.stop(n.from, n.from+1, fmt.Sprintf("%c is never closed", p.b[n.from]), fmt.Sprintf("The file ends before its %c.", closing))
		return false, false
	}
	switch c := p.b[p.i]; {
	case c == closing:
		if comma >= 0 {
			p.fail(comma, comma+1, "A comma after the last element", "JSON allows none before a closing bracket; remove it.")
			p.repairs = append(p.repairs, edit{from: comma, to: comma + 1, why: "removed the comma after the last element"})
		}
		p.i++
		n.to = p.i
		return true, true
	case c == '}' || c == ']':
		p.stop(p.i, p.i+1, fmt.Sprintf("%c closes nothing here", c), fmt.Sprintf("The %c opened on line %d, column %d, is closed by %c.", p.b[n.from], open.Line, open.Column, closing))
		return false, false
	case !first && comma < 0:
		if c == ':' || c == '=' {
			p.stop(p.i, p.i+1, fmt.Sprintf("%q is not expected here", c), "Inside […] there are values only; key and value pairs stand in {…}.")
			return false, false
		}
		end := p.i
		for end > 0 && bytes.ContainsRune([]byte(" \t\r\n"), rune(p.b[end-1])) {
			end--
		}
		p.fail(end, end, "A comma is missing", "Elements are separated by commas; write one here.")
		p.repairs = append(p.repairs, edit{from: end, to: end, text: ",", why: "added a missing comma"})
	}
	return false, true
}
