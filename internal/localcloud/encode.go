package localcloud

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// An answer is an ordered tree, written as JSON or XML. Handlers return typed structs; tree turns them into nodes by
// their json tags, so that there is one description of each response for both formats.
type node struct {
	name   string
	kind   nodeKind
	text   string  // scalar
	number bool    // scalar written without quotes in JSON
	sub    []*node // members of an object, items of a list
}

type nodeKind int

const (
	scalar nodeKind = iota
	object
	list
)

// reply is what a handler answers: a list of rows, or single fields, or both.
type reply struct {
	list  string // name of the list, "" = none
	rows  any    // slice of response structs
	extra any    // struct whose fields stand beside the list, nil = none
	total int    // rows before paging, when more than len(rows)
}

func rowsOf[T any](name string, rows []T) reply { return reply{list: name, rows: rows} }

// envelope wraps a reply as the real API does. The order of the keys is that of live answers.
func (r reply) envelope(action, requestID string) *node {
	inner := &node{name: action + "Response", kind: object}
	if r.list != "" {
		l := tree(r.list, reflect.ValueOf(r.rows))
		inner.sub = append(inner.sub, numberNode("totalRows", int64(max(r.total, len(l.sub)))), l)
	}
	if r.extra != nil {
		inner.sub = append(inner.sub, tree("", reflect.ValueOf(r.extra)).sub...)
	}
	inner.sub = append(inner.sub, textNode("requestId", requestID), textNode("returnCode", "0"), textNode("returnMessage", "success"))
	return inner
}

func textNode(name, v string) *node { return &node{name: name, text: v} }
func numberNode(name string, v int64) *node {
	return &node{name: name, text: strconv.FormatInt(v, 10), number: true}
}

// tree builds the nodes of a value. Nil pointers and fields with omitempty that are empty are left out.
func tree(name string, v reflect.Value) *node {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return tree(name, v.Elem())
	case reflect.String:
		return textNode(name, v.String())
	case reflect.Bool:
		return &node{name: name, text: strconv.FormatBool(v.Bool()), number: true}
	case reflect.Int, reflect.Int32, reflect.Int64:
		return numberNode(name, v.Int())
	case reflect.Slice:
		n := &node{name: name, kind: list}
		for i := range v.Len() {
			if item := tree(strings.TrimSuffix(name, "List"), v.Index(i)); item != nil {
				n.sub = append(n.sub, item)
			}
		}
		return n
	case reflect.Struct:
		n := &node{name: name, kind: object}
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if f.Anonymous {
				n.sub = append(n.sub, tree("", v.Field(i)).sub...)
				continue
			}
			tag, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
			if tag == "" || tag == "-" || strings.Contains(opts, "omitempty") && v.Field(i).IsZero() {
				continue
			}
			if m := tree(tag, v.Field(i)); m != nil {
				n.sub = append(n.sub, m)
			}
		}
		return n
	}
	panic(fmt.Sprintf("localcloud: response field %s has type %s", name, v.Type()))
}

// asJSON writes {"<root>": {…}} with a space after the first colon and nothing after the last brace: the Go SDK cuts
// the outer object away by position and fails on anything tighter.
func (n *node) asJSON() []byte {
	var b bytes.Buffer
	b.WriteString("{\n  ")
	b.Write(quote(n.name))
	b.WriteString(": ")
	n.writeJSON(&b, 1)
	b.WriteString("\n}")
	return b.Bytes()
}

func (n *node) writeJSON(b *bytes.Buffer, depth int) {
	if n.kind == scalar {
		if n.number {
			b.WriteString(n.text)
		} else {
			b.Write(quote(n.text))
		}
		return
	}
	open, shut := byte('{'), byte('}')
	if n.kind == list {
		open, shut = '[', ']'
	}
	b.WriteByte(open)
	for i, m := range n.sub {
		if i > 0 {
			b.WriteByte(',')
		}
		indent(b, depth+1)
		if n.kind == object {
			b.Write(quote(m.name))
			b.WriteString(": ")
		}
		m.writeJSON(b, depth+1)
	}
	if len(n.sub) > 0 {
		indent(b, depth)
	}
	b.WriteByte(shut)
}

func indent(b *bytes.Buffer, depth int) {
	b.WriteByte('\n')
	for range depth {
		b.WriteString("  ")
	}
}

func quote(s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always encodes
	return bytes.TrimRight(b.Bytes(), "\n")
}

// asXML writes lists as <xList><x>…</x></xList>.
func (n *node) asXML() []byte {
	var b bytes.Buffer
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n")
	n.writeXML(&b)
	b.WriteByte('\n')
	return b.Bytes()
}

func (n *node) writeXML(b *bytes.Buffer) {
	fmt.Fprintf(b, "<%s>", n.name)
	if n.kind == scalar {
		_ = xml.EscapeText(b, []byte(n.text)) // a bytes.Buffer takes everything
	}
	for _, m := range n.sub {
		m.writeXML(b)
	}
	fmt.Fprintf(b, "</%s>", n.name)
}
