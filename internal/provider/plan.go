package provider

import (
	"slices"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/zclconf/go-cty/cty"
)

// plan is what a change will come to: the state that is to be, as far as it is known, and the attributes whose change needs a
// new object.
type plan struct {
	config, prior *object // prior is nil when the object is to be made
	planned       *object
	replace       []cty.Path
}

// makePlan decides, without asking anybody, what a configuration means for an object that is, or is not yet.
//
// The rules are the older SDK's, for the official resources are its: null and the zero value are the same; what the
// configuration leaves open stays as it is; a list of blocks that the provider may fill is left alone when the
// configuration has none. Only values of the configuration change anything.
func makePlan(r *resource, config, prior *object) *plan {
	p := &plan{config: config, prior: prior, planned: config.clone()}
	changed := false
	for name, a := range r.schema.attributes {
		want := config.get(name)
		if a.fallback != cty.NilVal && want.IsNull() {
			want = a.fallback
		}
		if n := r.normalize[name]; n != nil {
			want = n(want)
		}
		switch {
		case prior == nil && want.IsNull() && a.computed:
			want = cty.UnknownVal(a.typ)
		case prior == nil:
		case want.IsNull() && a.computed, same(want, prior.get(name)):
			want = prior.get(name)
		default:
			changed = true
			if a.forceNew {
				p.replace = append(p.replace, cty.GetAttrPath(name))
			}
		}
		p.planned.values[name] = want
	}
	for name, b := range r.schema.blocks {
		if b.nesting == tfprotov6.SchemaNestedBlockNestingModeList && p.planBlocks(name, b) {
			changed = true
		}
	}
	if prior == nil || changed {
		if r.plan != nil {
			r.plan(p)
		}
	}
	slices.SortFunc(p.replace, func(a, b cty.Path) int { return comparePaths(a, b) })
	return p
}

// planBlocks plans a list of nested blocks and says whether it changes.
func (p *plan) planBlocks(name string, b *block) bool {
	want := p.config.get(name)
	if !want.IsKnown() {
		return true
	}
	elements := want.AsValueSlice()
	if len(elements) == 0 && b.computed {
		if p.prior == nil {
			p.planned.values[name] = cty.UnknownVal(b.typ())
		} else {
			p.planned.values[name] = p.prior.get(name)
		}
		return false
	}
	var before []cty.Value
	if p.prior != nil {
		before = p.prior.list(name)
	}
	changed := p.prior != nil && len(before) != len(elements)
	var out []cty.Value
	for i, e := range elements {
		values := map[string]cty.Value{}
		var old cty.Value
		if i < len(before) {
			old = before[i]
		}
		differs := false
		for column, a := range b.attributes {
			v := e.GetAttr(column)
			if old != cty.NilVal && !(v.IsNull() && a.computed) && !same(v, old.GetAttr(column)) {
				differs = true
				if a.forceNew {
					p.replace = append(p.replace, cty.GetAttrPath(name).IndexInt(i).GetAttr(column))
				}
			}
			values[column] = v
		}
		for column, a := range b.attributes {
			switch v := values[column]; {
			case old != cty.NilVal && !differs:
				values[column] = old.GetAttr(column)
			case v.IsNull() && a.computed:
				values[column] = cty.UnknownVal(a.typ)
			}
		}
		if differs || old == cty.NilVal && p.prior != nil {
			changed = true
		}
		if old == cty.NilVal && p.prior != nil {
			for column, a := range b.attributes {
				if a.forceNew && !e.GetAttr(column).IsNull() {
					p.replace = append(p.replace, cty.GetAttrPath(name).IndexInt(i).GetAttr(column))
				}
			}
		}
		out = append(out, cty.ObjectVal(values))
	}
	if p.prior != nil && len(before) > len(elements) {
		for column, a := range b.attributes {
			if a.forceNew {
				p.replace = append(p.replace, cty.GetAttrPath(name).IndexInt(len(elements)).GetAttr(column))
				break
			}
		}
	}
	p.planned.values[name] = collection(b.typ(), out)
	return changed
}

// changes says whether the attribute will have another value than now; a new object changes nothing.
func (p *plan) changes(name string) bool {
	return p.prior != nil && !same(p.planned.get(name), p.prior.get(name))
}

// forget makes computed attributes unknown that follow from something that changes, where the configuration leaves them open.
func (p *plan) forget(names ...string) {
	for _, name := range names {
		if p.config.get(name).IsNull() {
			p.planned.values[name] = cty.UnknownVal(p.planned.get(name).Type())
		}
	}
}

func comparePaths(a, b cty.Path) int {
	return slices.Compare([]byte(pathText(a)), []byte(pathText(b)))
}
