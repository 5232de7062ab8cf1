package provider

import (
	"encoding/json"
	"fmt"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
	"github.com/zclconf/go-cty/cty/msgpack"
)

// object is the configuration, plan or state of one resource or data source while it is worked on: a value per attribute and
// block. Getters take null and unknown for the zero value, as the official resources do.
type object struct {
	schema *schema
	values map[string]cty.Value
}

// newObject takes apart v, an object of the schema's type or null.
func newObject(s *schema, v cty.Value) *object {
	o := &object{schema: s, values: map[string]cty.Value{}}
	for name, t := range s.typ.AttributeTypes() {
		if v.IsNull() {
			o.values[name] = cty.NullVal(t)
		} else {
			o.values[name] = v.GetAttr(name)
		}
	}
	return o
}

// value puts the object together again. Terraform knows no null list or set of blocks: none of them is an empty one.
func (o *object) value() cty.Value {
	for name, b := range o.schema.blocks {
		if v := o.values[name]; v.Type().IsCollectionType() && v.IsNull() {
			o.values[name] = collection(b.typ(), nil)
		}
	}
	return cty.ObjectVal(o.values)
}

func (o *object) clone() *object {
	c := &object{schema: o.schema, values: make(map[string]cty.Value, len(o.values))}
	for k, v := range o.values {
		c.values[k] = v
	}
	return c
}

// settle replaces what is still unknown by null: nothing unknown may reach a state.
func (o *object) settle() {
	for name, v := range o.values {
		settled, err := cty.Transform(v, func(_ cty.Path, v cty.Value) (cty.Value, error) {
			if !v.IsKnown() {
				return cty.NullVal(v.Type()), nil
			}
			return v, nil
		})
		if err != nil { // Transform fails only when our function does
			settled = cty.NullVal(v.Type())
		}
		o.values[name] = settled
	}
}

func (o *object) get(name string) cty.Value {
	v, ok := o.values[name]
	if !ok {
		panic(fmt.Sprintf("provider: no attribute %q", name)) // a slip of ours: names are constants
	}
	return v
}

// has says whether the attribute has a known value other than its type's zero value.
func (o *object) has(name string) bool {
	v := o.get(name)
	return v.IsKnown() && !isZero(v)
}

func (o *object) text(name string) string { return textOf(o.get(name)) }

func (o *object) number(name string) int64 {
	v := o.get(name)
	if !v.IsKnown() || v.IsNull() {
		return 0
	}
	n, _ := v.AsBigFloat().Int64()
	return n
}

func (o *object) flag(name string) bool {
	v := o.get(name)
	return v.IsKnown() && !v.IsNull() && v.True()
}

// flagOrNil is nil where the attribute is unset or false: the official provider then sends nothing.
func (o *object) flagOrNil(name string) *bool {
	if !o.flag(name) {
		return nil
	}
	t := true
	return &t
}

func (o *object) texts(name string) []string { return textsOf(o.get(name)) }

// list is the elements of a list or set of objects; nil when unset.
func (o *object) list(name string) []cty.Value {
	v := o.get(name)
	if !v.IsKnown() || v.IsNull() {
		return nil
	}
	return v.AsValueSlice()
}

func (o *object) set(name string, v cty.Value) {
	if _, ok := o.values[name]; !ok {
		return // an attribute of the other flavour
	}
	o.values[name] = v
}

func (o *object) setText(name, s string) { o.set(name, cty.StringVal(s)) }

// setTextIf sets a text that the API leaves away when there is none: the attribute then keeps its value.
func (o *object) setTextIf(name, s string) {
	if s != "" {
		o.setText(name, s)
	}
}

func (o *object) setNumber(name string, n int64) { o.set(name, cty.NumberIntVal(n)) }
func (o *object) setFlag(name string, b bool)    { o.set(name, cty.BoolVal(b)) }

func textOf(v cty.Value) string {
	if !v.IsKnown() || v.IsNull() || v.Type() != cty.String {
		return ""
	}
	return v.AsString()
}

func textsOf(v cty.Value) []string {
	if !v.IsKnown() || v.IsNull() {
		return nil
	}
	var out []string
	for _, e := range v.AsValueSlice() {
		out = append(out, textOf(e))
	}
	return out
}

func textList(in []string) cty.Value {
	if len(in) == 0 {
		return cty.ListValEmpty(cty.String)
	}
	var out []cty.Value
	for _, s := range in {
		out = append(out, cty.StringVal(s))
	}
	return cty.ListVal(out)
}

func textSet(in []string) cty.Value {
	if len(in) == 0 {
		return cty.SetValEmpty(cty.String)
	}
	return cty.SetVal(textList(in).AsValueSlice())
}

// isZero says whether a known value is null or its type's zero value. The official resources take the two for the same.
func isZero(v cty.Value) bool {
	if v.IsNull() {
		return true
	}
	switch t := v.Type(); {
	case t == cty.String:
		return v.AsString() == ""
	case t == cty.Number:
		return v.AsBigFloat().Sign() == 0
	case t == cty.Bool:
		return v.False()
	case t.IsCollectionType():
		return v.LengthInt() == 0
	}
	return false
}

// same says whether a change from a to b is none in the eyes of the official resources.
func same(a, b cty.Value) bool {
	if !a.IsWhollyKnown() || !b.IsWhollyKnown() {
		return a.RawEquals(b)
	}
	return a.RawEquals(b) || isZero(a) && isZero(b)
}

// decode reads a value off the wire; nothing on the wire is null.
func decode(d *tfprotov6.DynamicValue, t cty.Type) (cty.Value, error) {
	switch {
	case d == nil:
		return cty.NullVal(t), nil
	case len(d.MsgPack) > 0:
		return msgpack.Unmarshal(d.MsgPack, t)
	case len(d.JSON) > 0:
		return ctyjson.Unmarshal(d.JSON, t)
	}
	return cty.NullVal(t), nil
}

func encode(v cty.Value, t cty.Type) (*tfprotov6.DynamicValue, error) {
	b, err := msgpack.Marshal(v, t)
	if err != nil {
		return nil, err
	}
	return &tfprotov6.DynamicValue{MsgPack: b}, nil
}

// decodeState reads a state file's JSON. It forgives what another release may have written: attributes we do not know are
// dropped and missing ones are null.
func decodeState(raw []byte, t cty.Type) (cty.Value, error) {
	var fields map[string]json.RawMessage
	if t.IsObjectType() {
		if err := json.Unmarshal(raw, &fields); err != nil {
			return cty.NilVal, err
		}
		if fields == nil {
			return cty.NullVal(t), nil
		}
		out := map[string]cty.Value{}
		for name, at := range t.AttributeTypes() {
			field, ok := fields[name]
			if !ok {
				out[name] = cty.NullVal(at)
				continue
			}
			v, err := decodeState(field, at)
			if err != nil {
				return cty.NilVal, fmt.Errorf("%s: %w", name, err)
			}
			out[name] = v
		}
		return cty.ObjectVal(out), nil
	}
	if t.IsCollectionType() && t.ElementType().IsObjectType() {
		var elements []json.RawMessage
		if err := json.Unmarshal(raw, &elements); err != nil {
			return cty.NilVal, err
		}
		if elements == nil {
			return cty.NullVal(t), nil
		}
		var out []cty.Value
		for _, e := range elements {
			v, err := decodeState(e, t.ElementType())
			if err != nil {
				return cty.NilVal, err
			}
			out = append(out, v)
		}
		return collection(t, out), nil
	}
	return ctyjson.Unmarshal(raw, t)
}

// collection makes a list or set of the type.
func collection(t cty.Type, elements []cty.Value) cty.Value {
	switch {
	case len(elements) == 0 && t.IsSetType():
		return cty.SetValEmpty(t.ElementType())
	case len(elements) == 0:
		return cty.ListValEmpty(t.ElementType())
	case t.IsSetType():
		return cty.SetVal(elements)
	}
	return cty.ListVal(elements)
}
