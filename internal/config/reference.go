package config

import (
	"sort"
	"time"
)

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

// FunctionDoc describes one function of {{…}}.
type FunctionDoc struct{ Usage, Doc string }

// functionDocs has an entry for every function of {{…}}, by name.
var functionDocs = map[string]FunctionDoc{
	"build":               {"{{build `ID`}}", "A value of the running build: " + "`ID`, `Host`, `Port`, `User`, `Password`, `ConnType`, `PackerRunUUID`, `SourceImageName`, `SSHPublicKey`, `SSHPrivateKey`, `WinRMPassword`" + ". In provisioners and post-processors."},
	"build_name":          {"{{build_name}}", "Name of the build."},
	"build_type":          {"{{build_type}}", "Type of the builder: `ncloud`."},
	"clean_resource_name": {"{{clean_resource_name `Web Server`}}", "Lower-case letters and digits, `-` for the rest: what a name may hold."},
	"env":                 {"{{env `HOME`}}", "An environment variable; in `variables` only."},
	"isotime":             {"{{isotime}}, {{isotime `20060102`}}", "UTC time at the start, RFC 3339 or in a layout of Go's."},
	"lower":               {"{{lower `TEXT`}}", "In lower case."},
	"packer_version":      {"{{packer_version}}", "The version of Packer whose templates are understood."},
	"pwd":                 {"{{pwd}}", "The working directory."},
	"replace":             {"{{replace `old` `new` 1 `text`}}", "With the first so many occurrences replaced; -1: all."},
	"replace_all":         {"{{replace_all `old` `new` `text`}}", "With all occurrences replaced."},
	"split":               {"{{split `a-b` `-` 1}}", "One part of a text, counted from 0."},
	"strftime":            {"{{strftime `%Y%m%d`}}", "UTC time at the start, in a format of C's."},
	"template_dir":        {"{{template_dir}}", "The template's directory."},
	"timestamp":           {"{{timestamp}}", "Seconds since 1970 at the start, the same everywhere in a run."},
	"upper":               {"{{upper `text`}}", "In upper case."},
	"user":                {"{{user `name`}}", "A variable; in HCL2 that is `var.name`."},
	"uuid":                {"{{uuid}}", "A new UUID, another one each time."},
}

// Functions lists the functions of {{…}} in order of their names, and the names of HCL2's.
func Functions() (interpolation []FunctionDoc, hcl2 []string) {
	for _, name := range sortedKeys(functionDocs) {
		interpolation = append(interpolation, functionDocs[name])
	}
	for _, name := range sortedKeys(hclFunctions("", time.Time{})) {
		if notSupported[name] == "" {
			hcl2 = append(hcl2, name)
		}
	}
	return interpolation, hcl2
}
