package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/tfbake/tfbake/internal/config"
)

// inspection is what inspect shows, in the words of -json.
type inspection struct {
	Path        string              `json:"path"`
	Description string              `json:"description,omitempty"`
	Variables   []inspectedVariable `json:"variables"`
	Builds      []inspectedBuild    `json:"builds"`
}

type inspectedVariable struct {
	Name        string  `json:"name"`
	Description string  `json:"description,omitempty"`
	Required    bool    `json:"required"`
	Sensitive   bool    `json:"sensitive"`
	Default     *string `json:"default,omitempty"`
	Value       string  `json:"value,omitempty"`
}

type inspectedBuild struct {
	Name           string            `json:"name"`
	Type           string            `json:"type"`
	Platform       string            `json:"platform"`
	Base           string            `json:"base"`
	Size           string            `json:"size"`
	Communicator   string            `json:"communicator"`
	Provisioners   []inspectedStep   `json:"provisioners"`
	ErrorCleanup   *inspectedStep    `json:"error_cleanup_provisioner,omitempty"`
	PostProcessors [][]inspectedStep `json:"post_processors"`
}

type inspectedStep struct {
	Type string `json:"type"`
	Name string `json:"name,omitempty"`
	Line int    `json:"line"`
}

func cmdInspect(ctx context.Context, a *app, args []string) error {
	f := a.flags("inspect", "TEMPLATE", "Shows what a template holds: variables, builds, provisioners, post-processors. Required variables need no value for this.")
	var t templateFlags
	t.register(f.FlagSet)
	asJSON := f.Bool("json", false, "print it as JSON")
	machine := f.Bool("machine-readable", false, "print it as Packer's comma-separated lines")
	rest, err := f.parse(args, 1, 1)
	if err != nil {
		return err
	}
	tmpl, err := a.load(ctx, rest[0], t, func(o *config.Options) { o.Incomplete = true })
	if err != nil {
		return err
	}
	i := a.inspect(tmpl)
	switch {
	case *asJSON:
		enc := json.NewEncoder(a.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(i)
	case *machine:
		a.machineReadable()
		a.machine.inspection(i)
	default:
		a.printInspection(i)
	}
	return nil
}

func (a *app) inspect(tmpl *config.Template) inspection {
	i := inspection{Path: tmpl.Path, Description: tmpl.Description, Variables: []inspectedVariable{}, Builds: []inspectedBuild{}}
	for _, v := range tmpl.Variables {
		out := inspectedVariable{Name: v.Name, Description: v.Description, Required: v.Default == nil, Sensitive: v.Sensitive, Value: a.redact.String(v.Value)}
		if v.Default != nil {
			d := a.redact.String(*v.Default)
			out.Default = &d
		}
		if v.Sensitive { // also what is too short to be redacted
			out.Value = hidden(v.Value)
			if v.Default != nil {
				d := hidden(*v.Default)
				out.Default = &d
			}
		}
		i.Variables = append(i.Variables, out)
	}
	for _, b := range tmpl.Builds {
		out := inspectedBuild{Name: b.Name, Type: b.Type, Platform: "classic", Base: serverBase(b.Source), Size: serverSize(b.Source),
			Communicator: b.Communicator.Type, Provisioners: inspectSteps(b.Steps), PostProcessors: [][]inspectedStep{}}
		if b.Source.IsVPC() {
			out.Platform = "vpc"
		}
		if b.ErrorCleanup != nil {
			out.ErrorCleanup = &inspectSteps([]*config.Step{b.ErrorCleanup})[0]
		}
		for _, seq := range b.PostProcessors {
			out.PostProcessors = append(out.PostProcessors, inspectSteps(seq))
		}
		i.Builds = append(i.Builds, out)
	}
	return i
}

func hidden(s string) string {
	if s == "" {
		return ""
	}
	return "<sensitive>"
}

func inspectSteps(steps []*config.Step) []inspectedStep {
	out := []inspectedStep{}
	for _, s := range steps {
		out = append(out, inspectedStep{s.Type, s.Name, s.Range.Start.Line})
	}
	return out
}

func (a *app) printInspection(i inspection) {
	if i.Description != "" {
		fmt.Fprintf(a.stdout, "%s\n\n", strings.TrimSpace(i.Description))
	}
	fmt.Fprintln(a.stdout, "Variables:")
	a.printVariableList(i.Variables)
	fmt.Fprintln(a.stdout, "\nBuilds:")
	if len(i.Builds) == 0 {
		fmt.Fprintln(a.stdout, "  none")
	}
	for _, b := range i.Builds {
		fmt.Fprintf(a.stdout, "  %s: %s, from %s on %s, over %s\n", b.Name, map[string]string{"vpc": "VPC", "classic": "Classic"}[b.Platform], b.Base, b.Size, b.Communicator)
		for n, s := range b.Provisioners {
			fmt.Fprintf(a.stdout, "    provisioner %d: %s\n", n+1, s)
		}
		if b.ErrorCleanup != nil {
			fmt.Fprintf(a.stdout, "    on error: %s\n", *b.ErrorCleanup)
		}
		for _, seq := range b.PostProcessors {
			var names []string
			for _, s := range seq {
				names = append(names, s.String())
			}
			fmt.Fprintf(a.stdout, "    then: %s\n", strings.Join(names, ", "))
		}
	}
}

func (s inspectedStep) String() string {
	if s.Name != "" && s.Name != s.Type {
		return fmt.Sprintf("%s %q (line %d)", s.Type, s.Name, s.Line)
	}
	return fmt.Sprintf("%s (line %d)", s.Type, s.Line)
}

func (a *app) printVariables(tmpl *config.Template) { a.printVariableList(a.inspect(tmpl).Variables) }

func (a *app) printVariableList(vars []inspectedVariable) {
	if len(vars) == 0 {
		fmt.Fprintln(a.stdout, "  none")
	}
	for _, v := range vars {
		value := fmt.Sprintf("%q", v.Value)
		switch {
		case v.Sensitive && v.Value != "":
			value = v.Value
		case v.Required && v.Value == "":
			value = "(required)"
		}
		line := fmt.Sprintf("  %s = %s", v.Name, value)
		if v.Description != "" {
			line += "   # " + strings.ReplaceAll(strings.TrimSpace(v.Description), "\n", " ")
		}
		fmt.Fprintln(a.stdout, line)
	}
}

// inspection prints the lines Packer's inspect prints.
func (m *machineWriter) inspection(i inspection) {
	for _, v := range i.Variables {
		required, def := "0", ""
		if v.Required {
			required = "1"
		}
		if v.Default != nil {
			def = *v.Default
		}
		m.line("", "template-variable", v.Name, def, required)
	}
	for _, b := range i.Builds {
		m.line("", "template-builder", b.Name, b.Type)
	}
	seen := map[string]bool{} // a step of several builds is listed once, as in the template
	step := func(kind string, s inspectedStep) {
		if k := fmt.Sprint(kind, s); !seen[k] {
			seen[k] = true
			m.line("", kind, s.Type)
		}
	}
	for _, b := range i.Builds {
		for _, s := range b.Provisioners {
			step("template-provisioner", s)
		}
		for _, seq := range b.PostProcessors {
			for _, s := range seq {
				step("template-post-processor", s)
			}
		}
	}
}
