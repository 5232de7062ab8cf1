package config

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
)

// plain is a node as encoding/json would decode it.
func (n *jsonNode) plain() any {
	switch n.kind {
	case jsonBool:
		return n.boolean
	case jsonNumber:
		return json.Number(n.text)
	case jsonString:
		return n.text
	case jsonArray:
		out := []any{}
		for _, e := range n.elems {
			out = append(out, e.plain())
		}
		return out
	case jsonObject:
		out := map[string]any{}
		for _, m := range n.members {
			out[m.name] = m.val.plain()
		}
		return out
	}
	return nil
}

// likeStandard holds the parser against encoding/json: the same texts are valid, and they mean the same. We refuse more:
// double keys, numbers with absurd exponents, deep nesting, bytes that are not UTF-8.
func likeStandard(t *testing.T, text []byte) {
	n, diags := parseJSON(newSource("t", text))
	if !json.Valid(text) {
		if !diags.HasErrors() && !strings.HasPrefix(string(text), "\xef\xbb\xbf") {
			t.Errorf("%q is not JSON and was taken", text)
		}
		return
	}
	for _, d := range diags {
		if !strings.HasSuffix(d.Summary, "is given twice") && !strings.HasSuffix(d.Summary, "is not a number") && d.Summary != "Nested too deeply" && d.Summary != "The text is not valid UTF-8 here" {
			t.Errorf("%q: %s", text, d.Summary)
		}
	}
	if diags.HasErrors() || !utf8.Valid(text) {
		return
	}
	var want any
	dec := json.NewDecoder(strings.NewReader(string(text)))
	dec.UseNumber()
	if err := dec.Decode(&want); err != nil {
		t.Fatal(err)
	}
	if got := n.plain(); !reflect.DeepEqual(got, want) {
		t.Errorf("%q is %#v, want %#v", text, got, want)
	}
	var check func(n *jsonNode)
	check = func(n *jsonNode) {
		if n.kind == jsonString {
			for i := 0; i <= len(n.text); i++ {
				if at := n.textOffset(i); at <= n.from || at >= n.to {
					t.Errorf("%q: byte %d of the string %q is at %d, outside %d-%d", text, i, n.text, at, n.from, n.to)
				}
			}
		}
		for _, e := range n.elems {
			check(e)
		}
		for _, m := range n.members {
			check(m.key)
			check(m.val)
		}
	}
	check(n)
}

func TestJSONLikeStandard(t *testing.T) {
	for _, text := range []string{
		`{}`, `[]`, `null`, `true`, `false`, `"x"`, `0`, `-0`, `1.5e3`, `-12E-2`, `[1, "a", {"b": [null]}]`, " { \"a\" :\n[ ] } \n",
		`"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00\ud83d x\udc00"`, `"한글"`, "\"\x7f\"",
		``, ` `, `{`, `}`, `[1,]`, `{"a":1,}`, `{"a" 1}`, `{a: 1}`, `{"a": 01}`, `{"a": .5}`, `{"a": 1.}`, `{"a": 1e}`, `{"a": +1}`, `{"a": -}`, `[1 2]`, `[1,,2]`,
		`'x'`, `"x`, "\"a\nb\"", "\"a\tb\"", `"\q"`, `"\u12"`, `tru`, `nul`, `True`, `{"a": 1} x`, `[1]]`, `{"a": [1}`, `{"a"}`, `{"a":}`, `{,}`, `/* c */ 1`, `1 // c`, `# c`, `{"a": undefined}`,
	} {
		likeStandard(t, []byte(text))
	}
}

func TestJSONMessages(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "1:1 The file is empty"},
		{"{'a': 1}", "1:2 A key in double quotes is expected, not '\\''"},
		{`{"a": 'b'}`, "1:7 Single quotes around a string"},
		{`{a: 1}`, "1:2 The key a is not in quotes"},
		{`{"a" 1}`, `1:2 The key "a" has no value`},
		{`{"a": hello}`, "1:7 hello is neither a string nor a number"},
		{`{"a": True}`, "1:7 True is not JSON"},
		{`{"a": 01}`, "1:7 01 is not a number"},
		{"{\"a\": \"x\n}", "1:7 A string runs over the end of its line"},
		{`{"a": "x`, "1:7 A string is never closed"},
		{`{"a": [1, 2}`, "1:12 } closes nothing here"},
		{`{"a": 1`, "1:1 { is never closed"},
		{`{"a": ["b": 1]}`, "1:11 ':' is not expected here"},
		{`{"a": }`, "1:7 A value is expected, not '}'"},
		{`"builders": []`, "1:1 The template's outer braces are missing"},
		{"\xff\xfe{\x00", "1:1 The file is UTF-16"},
		{"{\"a\": \"\xff\"}", "1:8 The text is not valid UTF-8 here"},
		{strings.Repeat("[", 600), "1:502 Nested too deeply"},
	} {
		_, diags := parseJSON(newSource("t", []byte(c.text)))
		if len(diags) != 1 {
			t.Errorf("%.20q: %v", c.text, diags)
			continue
		}
		d := diags[0]
		if got := position(d) + " " + d.Summary; got != c.want {
			t.Errorf("%.20q: %s, want %s", c.text, got, c.want)
		}
		if d.Detail == "" {
			t.Errorf("%.20q: nothing said about what to do", c.text)
		}
	}
}

func position(d *hcl.Diagnostic) string {
	at := d.Subject.String()
	at = at[strings.IndexByte(at, ':')+1:]
	return strings.Replace(at[:strings.IndexByte(at+"-", '-')], ",", ":", 1)
}
