package lookup

import (
	"fmt"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/tfbake/tfbake/internal/ncloud"
)

// placeArguments are taken by every data source.
var placeArguments = []string{"region", "site", "access_key", "secret_key"}

// arguments reads a data block's arguments, an object of known values, and keeps the first mistake.
type arguments struct {
	args  cty.Value
	known []string
	err   error
}

func (a *arguments) get(name string, t cty.Type) (cty.Value, bool) {
	if !a.args.Type().IsObjectType() || !a.args.Type().HasAttribute(name) {
		return cty.NilVal, false
	}
	v := a.args.GetAttr(name)
	if v.IsNull() {
		return cty.NilVal, false
	}
	out, err := convert.Convert(v, t)
	if err != nil {
		a.fail("%s takes a %s: %w", name, t.FriendlyName(), err)
		return cty.NilVal, false
	}
	return out, true
}

func (a *arguments) fail(format string, args ...any) {
	if a.err == nil {
		a.err = fmt.Errorf(format, args...)
	}
}

func (a *arguments) text(name string) string {
	v, ok := a.get(name, cty.String)
	if !ok {
		return ""
	}
	return strings.TrimSpace(v.AsString())
}

func (a *arguments) number(name string) int64 {
	v, ok := a.get(name, cty.Number)
	if !ok {
		return 0
	}
	n, exact := v.AsBigFloat().Int64()
	if exact != 0 {
		a.fail("%s takes a whole number", name)
	}
	return n
}

func (a *arguments) flag(name string) *bool {
	v, ok := a.get(name, cty.Bool)
	if !ok {
		return nil
	}
	b := v.True()
	return &b
}

func (a *arguments) place() Place {
	return Place{Site: a.text("site"), Region: a.text("region"), AccessKey: a.text("access_key"), SecretKey: a.text("secret_key")}
}

func (a *arguments) platform() string {
	switch p := strings.ToLower(a.text("platform")); p {
	case "", vpc:
		return vpc
	case classic:
		return classic
	default:
		a.fail("platform is \"vpc\" or \"classic\", not %q", p)
		return vpc
	}
}

// done returns the first mistake; an argument nobody knows is one.
func (a *arguments) done() error {
	if !a.args.Type().IsObjectType() {
		return a.err
	}
	known := append(slices.Clone(a.known), placeArguments...)
	var names []string
	for name := range a.args.Type().AttributeTypes() {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if !slices.Contains(known, name) {
			hint := "it takes " + strings.Join(known, ", ")
			if near := ncloud.Nearest(name, known, 1); len(near) > 0 {
				hint = fmt.Sprintf("did you mean %q?", near[0])
			}
			a.fail("there is no argument %q: %s", name, hint)
		}
	}
	return a.err
}
