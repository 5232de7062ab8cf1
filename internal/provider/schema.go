package provider

import (
	"fmt"
	"slices"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
	"github.com/zclconf/go-cty/cty"
)

// schema is the shape of a resource, a data source or the provider block: what the protocol tells Terraform, and beside it the
// rules our planning needs (what forces a replacement, what excludes what). Facts are the official provider's; testdata
// holds its schema as its own binary prints it, and a test compares the two.
type schema struct {
	attributes map[string]*attribute
	blocks     map[string]*block

	typ cty.Type // of the whole object, see finish
}

// block is a nested block. A single one is null or an object; of the others there is a list or a set.
type block struct {
	nesting    tfprotov6.SchemaNestedBlockNestingMode
	attributes map[string]*attribute
	computed   bool // the provider fills it when the configuration has none; the protocol cannot say so
}

// attribute is one argument or exported value.
type attribute struct {
	typ        cty.Type
	nested     map[string]*attribute // a list of nested objects instead of typ
	required   bool
	optional   bool
	computed   bool
	sensitive  bool
	deprecated string    // what to use instead
	forceNew   bool      // another value means another object
	fallback   cty.Value // value where the configuration has none; NilVal: no such value
	conflicts  []string
	with       []string // must be set as well
	check      func(cty.Value) error
}

type option func(*attribute)

func required(a *attribute)  { a.required = true }
func optional(a *attribute)  { a.optional = true }
func computed(a *attribute)  { a.computed = true }
func sensitive(a *attribute) { a.sensitive = true }
func forceNew(a *attribute)  { a.forceNew = true }

func deprecated(instead string) option     { return func(a *attribute) { a.deprecated = instead } }
func conflicts(names ...string) option     { return func(a *attribute) { a.conflicts = names } }
func together(names ...string) option      { return func(a *attribute) { a.with = names } }
func fallback(v cty.Value) option          { return func(a *attribute) { a.fallback = v } }
func check(f func(cty.Value) error) option { return func(a *attribute) { a.check = f } }

func attr(typ cty.Type, options ...option) *attribute {
	a := &attribute{typ: typ, fallback: cty.NilVal}
	for _, o := range options {
		o(a)
	}
	return a
}

func text(o ...option) *attribute   { return attr(cty.String, o...) }
func number(o ...option) *attribute { return attr(cty.Number, o...) }
func flag(o ...option) *attribute   { return attr(cty.Bool, o...) }
func texts(o ...option) *attribute  { return attr(cty.List(cty.String), o...) }

// rows is a computed list of objects in one attribute.
func rows(columns map[string]cty.Type, o ...option) *attribute {
	return attr(cty.List(cty.Object(columns)), o...)
}

// nestedRows is a computed list of objects whose columns are attributes of their own in the schema.
func nestedRows(columns map[string]*attribute) *attribute {
	return &attribute{nested: columns, typ: cty.List(objectType(columns, nil)), computed: true, fallback: cty.NilVal}
}

func listBlock(attributes map[string]*attribute) *block {
	return &block{nesting: tfprotov6.SchemaNestedBlockNestingModeList, attributes: attributes}
}

// filterBlock is the "filter" of the data sources; the older ones take a list of values, the newer ones a set.
func filterBlock(values cty.Type) *block {
	return &block{nesting: tfprotov6.SchemaNestedBlockNestingModeSet, attributes: map[string]*attribute{
		"name":   text(required),
		"values": attr(values, required),
		"regex":  flag(optional),
	}}
}

var (
	oldFilter = filterBlock(cty.List(cty.String))
	newFilter = filterBlock(cty.Set(cty.String))
)

// timeoutsBlock is the block with which a user bounds the waits of a resource.
func timeoutsBlock(operations ...string) *block {
	b := &block{nesting: tfprotov6.SchemaNestedBlockNestingModeSingle, attributes: map[string]*attribute{}}
	for _, o := range operations {
		b.attributes[o] = text(optional)
	}
	return b
}

func objectType(attributes map[string]*attribute, blocks map[string]*block) cty.Type {
	types := map[string]cty.Type{}
	for name, a := range attributes {
		types[name] = a.typ
	}
	for name, b := range blocks {
		types[name] = b.typ()
	}
	return cty.Object(types)
}

func (b *block) typ() cty.Type {
	t := objectType(b.attributes, nil)
	switch b.nesting {
	case tfprotov6.SchemaNestedBlockNestingModeSingle:
		return t
	case tfprotov6.SchemaNestedBlockNestingModeSet:
		return cty.Set(t)
	default:
		return cty.List(t)
	}
}

// finish computes what follows from the parts. Every schema passes it once, before it is used.
func (s schema) finish() *schema {
	s.typ = objectType(s.attributes, s.blocks)
	return &s
}

// protocol is the schema as the protocol carries it.
func (s *schema) protocol() *tfprotov6.Schema {
	out := &tfprotov6.SchemaBlock{Attributes: protocolAttributes(s.attributes)}
	for _, name := range sortedKeys(s.blocks) {
		b := s.blocks[name]
		out.BlockTypes = append(out.BlockTypes, &tfprotov6.SchemaNestedBlock{
			TypeName: name,
			Nesting:  b.nesting,
			Block:    &tfprotov6.SchemaBlock{Attributes: protocolAttributes(b.attributes)},
		})
	}
	return &tfprotov6.Schema{Version: 0, Block: out}
}

func protocolAttributes(in map[string]*attribute) []*tfprotov6.SchemaAttribute {
	var out []*tfprotov6.SchemaAttribute
	for _, name := range sortedKeys(in) {
		a := in[name]
		p := &tfprotov6.SchemaAttribute{
			Name: name, Required: a.required, Optional: a.optional, Computed: a.computed,
			Sensitive: a.sensitive, Deprecated: a.deprecated != "",
		}
		if a.nested != nil {
			p.NestedType = &tfprotov6.SchemaObject{
				Nesting: tfprotov6.SchemaObjectNestingModeList, Attributes: protocolAttributes(a.nested),
			}
		} else {
			p.Type = wireType(a.typ)
		}
		out = append(out, p)
	}
	return out
}

// wireType is a type in the protocol library's terms.
func wireType(t cty.Type) tftypes.Type {
	switch {
	case t == cty.String:
		return tftypes.String
	case t == cty.Number:
		return tftypes.Number
	case t == cty.Bool:
		return tftypes.Bool
	case t.IsListType():
		return tftypes.List{ElementType: wireType(t.ElementType())}
	case t.IsSetType():
		return tftypes.Set{ElementType: wireType(t.ElementType())}
	case t.IsObjectType():
		types := map[string]tftypes.Type{}
		for name, at := range t.AttributeTypes() {
			types[name] = wireType(at)
		}
		return tftypes.Object{AttributeTypes: types}
	}
	panic(fmt.Sprintf("provider schema: no wire type for %s", t.FriendlyName()))
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// null is no object of the schema.
func (s *schema) null() cty.Value { return cty.NullVal(s.typ) }
