package main

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/tfbake/tfbake/internal/config"
)

// templateFlags are the flags of every command that reads a template.
type templateFlags struct {
	vars, varFiles listFlag
	only, except   string
}

func (t *templateFlags) register(f *flag.FlagSet) {
	f.Var(&t.vars, "var", "set a variable: -var 'name=value'; may be repeated")
	f.Var(&t.varFiles, "var-file", "read variables from a file; may be repeated, later ones win")
	f.StringVar(&t.only, "only", "", "only the builds with these names, separated by commas")
	f.StringVar(&t.except, "except", "", "all but the builds with these names, separated by commas")
}

// load reads a template and prints what is wrong with it. Warnings do not stop it. more are options beyond the flags.
func (a *app) load(ctx context.Context, path string, t templateFlags, more ...option) (*config.Template, error) {
	return a.loadAt(ctx, path, t, a.loadedAt, more...)
}

// option changes how a template is read.
type option func(*config.Options)

// loadAt reads a template as of a time: what {{timestamp}} and isotime say.
func (a *app) loadAt(ctx context.Context, path string, t templateFlags, now time.Time, more ...option) (*config.Template, error) {
	tmpl, diags, err := a.read(ctx, path, t, now, more...)
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, failWith(exitInterrupted, context.Cause(ctx)) // what was cut short is no mistake of the template
	}
	var files map[string]*hcl.File
	if tmpl != nil {
		files = tmpl.Files
	}
	a.diagnostics(files, diags)
	if diags.HasErrors() {
		n := len(diags.Errs())
		return nil, &exitError{code: exitTemplate, err: fmt.Errorf("%s: %s; nothing was created", path, count(n, "error"))}
	}
	return tmpl, nil
}

// read reads a template without a word. The error is about the flags, the diagnostics are about the template.
func (a *app) read(ctx context.Context, path string, t templateFlags, now time.Time, more ...option) (*config.Template, hcl.Diagnostics, error) {
	var vars []config.Var
	for _, arg := range t.vars {
		v, err := config.ParseVar(arg)
		if err != nil {
			return nil, nil, failWith(exitUsage, err)
		}
		vars = append(vars, v)
	}
	opts := config.Options{
		Vars: vars, VarFiles: t.varFiles,
		Only: names(t.only), Except: names(t.except),
		Env: a.env, Stdin: a.stdin, Now: now, Cwd: a.cwd,
	}
	for _, change := range more {
		change(&opts)
	}
	tmpl, diags := config.Load(ctx, path, opts)
	if tmpl != nil {
		a.redact.Add(tmpl.Sensitive...)
	}
	return tmpl, diags, nil
}

// notes tells what is worth knowing about a template that is right.
func (a *app) notes(tmpl *config.Template) {
	for _, n := range tmpl.Notes {
		a.story.Info("%s", n)
	}
}

func names(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

func (a *app) diagnostics(files map[string]*hcl.File, diags hcl.Diagnostics) {
	if len(diags) == 0 {
		return
	}
	if diags.HasErrors() {
		a.redact.Add(config.LikelySecrets(files)...)
	}
	w := a.redact.Writer(a.stderr)
	defer w.Close()
	config.WriteDiagnostics(w, files, diags, 100, a.color(), a.redact.String)
}

// color tells whether standard error may carry ANSI colours: a terminal, and neither NO_COLOR nor PACKER_NO_COLOR set.
func (a *app) color() bool {
	return a.interactive && a.getenv("NO_COLOR") == "" && a.getenv("PACKER_NO_COLOR") == ""
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
