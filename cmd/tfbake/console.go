package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/tfbake/tfbake/internal/config"
)

const consoleHelp = `Type an expression, such as var.name, upper("x") or, for a JSON template, {{user ` + "`name`" + `}}.
  variables   lists the variables
  exit        leaves, as Ctrl-D does`

func cmdConsole(ctx context.Context, a *app, args []string) error {
	f := a.flags("console", "[TEMPLATE]", "Evaluates expressions as the template would, one a line: typed, or piped in. Data sources are not asked.")
	var t templateFlags
	t.register(f.FlagSet)
	kind := f.String("config-type", "hcl2", "without a template: whose expressions, hcl2 or json")
	rest, err := f.parse(args, 0, 1)
	if err != nil {
		return err
	}
	in := a.stdin
	opts := []option{func(o *config.Options) { o.Incomplete = true }}
	path := "-"
	switch {
	case len(rest) == 1 && rest[0] != "-":
		path = rest[0]
	case len(rest) == 1:
		return failWith(exitUsage, fmt.Errorf("console reads expressions from standard input: name the template's file"))
	default:
		empty := map[string]string{"hcl2": "locals {}\n", "json": `{"builders": []}`}[*kind]
		if empty == "" {
			return failWith(exitUsage, fmt.Errorf("-config-type is hcl2 or json, not %q", *kind))
		}
		opts = append(opts, func(o *config.Options) { o.Stdin = strings.NewReader(empty) })
	}
	tmpl, diags, err := a.read(ctx, path, t, a.loadedAt, opts...)
	if err != nil {
		return err
	}
	if path != "-" && (diags.HasErrors() || tmpl == nil) {
		_, err := a.load(ctx, path, t, opts...) // tells
		return err
	}
	return a.console(in, tmpl)
}

// console reads expressions and prints their values. Piped in, a mistake makes the exit code 1 in the end; at the
// terminal it is told and forgotten.
func (a *app) console(in io.Reader, tmpl *config.Template) error {
	mistakes := 0
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for {
		if a.interactive {
			fmt.Fprint(a.stdout, "> ")
		}
		if !lines.Scan() {
			break
		}
		switch line := strings.TrimSpace(lines.Text()); line {
		case "":
		case "exit", "quit":
			return nil
		case "help":
			fmt.Fprintln(a.stdout, consoleHelp)
		case "variables":
			a.printVariables(tmpl)
		default:
			value, diags := tmpl.Eval(line)
			if diags.HasErrors() {
				mistakes++
				a.diagnostics(hclFiles("<console>", []byte(line)), diags)
				continue
			}
			fmt.Fprintln(a.stdout, a.redact.String(value))
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if mistakes > 0 && !a.interactive {
		return &exitError{code: exitFailed}
	}
	return nil
}
