package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/tfbake/tfbake/internal/atomicfile"
	"github.com/tfbake/tfbake/internal/config"
)

func cmdUpgrade(_ context.Context, a *app, args []string) error {
	f := a.flags("hcl2-upgrade", "TEMPLATE", "Writes a JSON template as HCL2, beside it under the name TEMPLATE.pkr.hcl. Places that want a look are told.")
	output := f.String("output-file", "", "file to write; -: standard output; default TEMPLATE.pkr.hcl")
	annotate := f.Bool("with-annotations", false, "say in comments what each block is for")
	force := f.Bool("force", false, "overwrite the file")
	rest, err := f.parse(args, 1, 1)
	if err != nil {
		return err
	}
	path := rest[0]
	text, err := a.readText(path)
	if err != nil {
		return err
	}
	out, notes, diags := config.Upgrade(path, text)
	if diags.HasErrors() {
		a.diagnostics(hclFiles(path, text), diags)
		return failWith(exitTemplate, fmt.Errorf("%s cannot be read: %s", path, count(len(diags.Errs()), "error")))
	}
	for _, n := range notes {
		a.story.Info("%s", n)
	}
	if *annotate {
		out = annotated(out)
	}
	if *output == "" {
		*output = path + ".pkr.hcl"
		if path == "-" {
			*output = "-"
		}
	}
	if *output == "-" {
		_, err := a.stdout.Write(out)
		return err
	}
	if _, err := os.Stat(*output); err == nil && !*force {
		return failWith(exitUsage, fmt.Errorf("%s exists: -force overwrites it", *output))
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := atomicfile.Write(*output, out, 0o644); err != nil {
		return err
	}
	fmt.Fprintf(a.stderr, "wrote %s\n", *output)
	return nil
}

// blockNotes are what -with-annotations says about each kind of block.
var blockNotes = map[string]string{
	"packer":   "What the template asks of the program that reads it.",
	"variable": "An input: set it with -var 'name=value', -var-file or PKR_VAR_name; without a default it is required.",
	"locals":   "Named expressions, worked out once; referred to as local.name.",
	"source":   "A server to start from; a build names it as \"sources.type.name\".",
	"build":    "What is done with the sources: provisioners run in order, then the image is made, then the post-processors run.",
	"data":     "Something looked up when the template is read; referred to as data.type.name.",
}

// annotated puts a comment above the first block of each kind.
func annotated(text []byte) []byte {
	f, diags := hclsyntax.ParseConfig(text, "upgraded", hcl.InitialPos)
	if diags.HasErrors() {
		return text
	}
	at := map[int]string{} // line -> comment above it
	seen := map[string]bool{}
	for _, b := range f.Body.(*hclsyntax.Body).Blocks {
		if note := blockNotes[b.Type]; note != "" && !seen[b.Type] {
			seen[b.Type] = true
			at[b.TypeRange.Start.Line] = note
		}
	}
	var out strings.Builder
	for n, line := range strings.SplitAfter(string(text), "\n") {
		if note := at[n+1]; note != "" {
			fmt.Fprintf(&out, "# %s\n", note)
		}
		out.WriteString(line)
	}
	return []byte(out.String())
}
