package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/tfbake/tfbake/internal/config"
)

func cmdValidate(ctx context.Context, a *app, args []string) (err error) {
	f := a.flags("validate", "TEMPLATE", "Checks a template without talking to the cloud. `tfbake run` checks the rest before it creates anything.")
	var t templateFlags
	var p packerFlags
	var c cloudFlags
	t.register(f.FlagSet)
	p.register(f)
	syntax := f.Bool("syntax-only", false, "read the template and no more: no variables, no keys")
	data := f.Bool("evaluate-datasources", false, "ask the data sources, too: the account, or with -local the simulated cloud")
	f.BoolVar(&c.local, "local", false, "with -evaluate-datasources: ask the simulated cloud")
	quiet := f.Bool("no-warn-undeclared-var", false, "do not warn of values for variables the template does not declare")
	f.BoolVar(&p.machine, "machine-readable", false, "print everything as Packer's comma-separated lines")
	rest, err := f.parse(args, 1, 1)
	if err != nil {
		return err
	}
	if p.machine {
		defer a.machineReadable()()
	}
	opts := []option{func(o *config.Options) { o.WarnUndeclared, o.SyntaxOnly = !*quiet, *syntax }}
	if *data {
		cloud := a.lazily(ctx, c, a.localDir())
		defer func() { err = errors.Join(err, cloud.close()) }()
		opts = append(opts, a.withData(cloud))
	}
	tmpl, err := a.load(ctx, rest[0], t, opts...)
	if err != nil {
		return err
	}
	p.note(a)
	if *syntax {
		fmt.Fprintf(a.stderr, "%s: the syntax is right; nothing else was checked\n", rest[0])
		return nil
	}
	a.notes(tmpl)
	fmt.Fprintf(a.stderr, "%s is valid: %s\n", rest[0], count(len(tmpl.Builds), "build"))
	return nil
}
