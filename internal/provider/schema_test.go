package provider

import (
	"encoding/json"
	"os"
	"reflect"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
)

// official is a schema as testdata holds it: `terraform providers schema -json` of the official release, cut down.
type official struct {
	Version     string                     `json:"version"`
	Provider    officialBlock              `json:"provider"`
	Resources   map[string]officialBlock   `json:"resources"`
	DataSources map[string]officialBlock   `json:"data_sources"`
	_           map[string]json.RawMessage // the rest is for people
}

type officialBlock struct {
	Version    int64                        `json:"version"`
	Nesting    string                       `json:"nesting"`
	Attributes map[string]officialAttribute `json:"attributes"`
	Blocks     map[string]officialBlock     `json:"blocks"`
}

type officialAttribute struct {
	Required, Optional, Computed, Sensitive, Deprecated bool
	Type                                                any
	Nesting                                             string
	Nested                                              *officialBlock
}

func readOfficial(t *testing.T, f Flavour) official {
	t.Helper()
	b, err := os.ReadFile("testdata/official-" + f.Version() + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var o official
	if err := json.Unmarshal(b, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestSchemaIsTheOfficialOne(t *testing.T) {
	for _, f := range []Flavour{VPC, Classic} {
		t.Run(f.String(), func(t *testing.T) {
			want := readOfficial(t, f)
			got, err := newEngine(Options{Flavour: f}).GetProviderSchema(t.Context(), &tfprotov6.GetProviderSchemaRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if want.Version != f.Version() {
				t.Errorf("testdata is of %s, the flavour says %s", want.Version, f.Version())
			}
			compareBlock(t, "provider", got.Provider.Block, want.Provider)
			compareAll(t, "resource ", got.ResourceSchemas, want.Resources)
			compareAll(t, "data source ", got.DataSourceSchemas, want.DataSources)
		})
	}
}

func compareAll(t *testing.T, kind string, got map[string]*tfprotov6.Schema, want map[string]officialBlock) {
	for name, w := range want {
		g, ok := got[name]
		if !ok {
			t.Errorf("%s%s is missing", kind, name)
			continue
		}
		if g.Version != w.Version {
			t.Errorf("%s%s: version %d, want %d", kind, name, g.Version, w.Version)
		}
		compareBlock(t, kind+name, g.Block, w)
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s%s: testdata does not know it", kind, name)
		}
	}
}

func compareBlock(t *testing.T, path string, got *tfprotov6.SchemaBlock, want officialBlock) {
	compareAttributes(t, path, got.Attributes, want.Attributes)
	seen := map[string]bool{}
	for _, b := range got.BlockTypes {
		seen[b.TypeName] = true
		w, ok := want.Blocks[b.TypeName]
		if !ok {
			t.Errorf("%s: block %s does not exist officially", path, b.TypeName)
			continue
		}
		nesting := map[tfprotov6.SchemaNestedBlockNestingMode]string{
			tfprotov6.SchemaNestedBlockNestingModeList: "list", tfprotov6.SchemaNestedBlockNestingModeSet: "set",
			tfprotov6.SchemaNestedBlockNestingModeSingle: "single",
		}[b.Nesting]
		if nesting != w.Nesting || b.MinItems != 0 || b.MaxItems != 0 {
			t.Errorf("%s.%s: nesting %s (%d to %d), want %s", path, b.TypeName, nesting, b.MinItems, b.MaxItems, w.Nesting)
		}
		compareBlock(t, path+"."+b.TypeName, b.Block, w)
	}
	for name := range want.Blocks {
		if !seen[name] {
			t.Errorf("%s: block %s is missing", path, name)
		}
	}
}

func compareAttributes(t *testing.T, path string, got []*tfprotov6.SchemaAttribute, want map[string]officialAttribute) {
	seen := map[string]bool{}
	for _, a := range got {
		seen[a.Name] = true
		at := path + "." + a.Name
		w, ok := want[a.Name]
		if !ok {
			t.Errorf("%s does not exist officially", at)
			continue
		}
		type flags struct{ required, optional, computed, sensitive, deprecated bool }
		g := flags{a.Required, a.Optional, a.Computed, a.Sensitive, a.Deprecated}
		if v := (flags{w.Required, w.Optional, w.Computed, w.Sensitive, w.Deprecated}); g != v {
			t.Errorf("%s: %+v, want %+v", at, g, v)
		}
		if w.Nested != nil {
			if a.NestedType == nil || a.NestedType.Nesting != tfprotov6.SchemaObjectNestingModeList || w.Nesting != "list" {
				t.Errorf("%s: no nested list as it is officially", at)
				continue
			}
			compareAttributes(t, at, a.NestedType.Attributes, w.Nested.Attributes)
			continue
		}
		if a.Type == nil {
			t.Errorf("%s has no type", at)
			continue
		}
		//lint:ignore SA1019 the one way to a type's JSON
		b, err := a.Type.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var typ any
		if err := json.Unmarshal(b, &typ); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(typ, w.Type) {
			t.Errorf("%s: type %s, want %v", at, b, w.Type)
		}
	}
	for name := range want {
		if !seen[name] {
			t.Errorf("%s.%s is missing", path, name)
		}
	}
}

// Every schema's rules name attributes that exist, and what forces a replacement can be set.
func TestSchemaRulesNameAttributes(t *testing.T) {
	for _, f := range []Flavour{VPC, Classic} {
		for name, r := range newEngine(Options{Flavour: f}).resources {
			for an, a := range r.schema.attributes {
				for _, other := range append(append([]string{}, a.conflicts...), a.with...) {
					if r.schema.attributes[other] == nil {
						t.Errorf("%s.%s: rule names %s", name, an, other)
					}
				}
				if a.forceNew && !a.required && !a.optional {
					t.Errorf("%s.%s forces a new object but cannot be set", name, an)
				}
			}
			for an := range r.normalize {
				if r.schema.attributes[an] == nil {
					t.Errorf("%s normalizes %s", name, an)
				}
			}
		}
	}
}
