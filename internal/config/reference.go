package config

import "sort"

// KeyDoc describes one key of a template, for the generated reference.
type KeyDoc struct {
	Block    string // "builder", "provisioner", "post-processor", "every provisioner", "every post-processor"
	Of       string // type of the block: "ncloud", "shell", …; "" for keys of every one
	Name     string
	Aliases  []string
	Type     string // "string", "number", "bool", "duration", "list of strings", "list of numbers", "map of strings"
	Default  string
	Required bool
	Secret   bool
	Since    string // "original", "plugin", "tfbake"; "": Packer's own
	Doc      string
}

// Reference lists every key there is: the very table that templates are decoded by.
func Reference() []KeyDoc {
	var out []KeyDoc
	add := func(block string, docs []KeyDoc) {
		for _, d := range docs {
			d.Block = block
			out = append(out, d)
		}
	}
	add("builder", builderSchema.docs("ncloud"))
	add("every provisioner", provisionerMeta.docs(""))
	for _, name := range sortedKeys(provisionerTypes) {
		add("provisioner", provisionerTypes[name].keys())
	}
	add("every post-processor", postProcessorMeta.docs(""))
	for _, name := range sortedKeys(postProcessorTypes) {
		add("post-processor", postProcessorTypes[name].keys())
	}
	return out
}

func (s *schema[T]) docs(of string) []KeyDoc {
	var out []KeyDoc
	var t T
	for _, f := range s.fields {
		d := KeyDoc{Of: of, Name: f.name, Type: typeName(f.ptr(&t)), Default: f.def, Required: f.need, Secret: f.secret, Since: f.since, Doc: upperFirst(f.doc)}
		for _, a := range f.aliases {
			d.Aliases = append(d.Aliases, a.name)
		}
		out = append(out, d)
	}
	return out
}

func typeName(p any) string {
	switch p.(type) {
	case *string:
		return "string"
	case *int:
		return "number"
	case *bool, **bool:
		return "bool"
	case *[]string:
		return "list of strings"
	case *[]int:
		return "list of numbers"
	case *map[string]string:
		return "map of strings"
	}
	return "duration"
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
