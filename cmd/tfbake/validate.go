package main

import (
	"context"
	"fmt"
)

func cmdValidate(_ context.Context, a *app, args []string) error {
	f := a.flags("validate", "TEMPLATE", "Checks a template without talking to the cloud. `tfbake run` checks the rest before it creates anything.")
	var t templateFlags
	t.register(f.FlagSet)
	f.Bool("syntax-only", false, "accepted for Packer's sake; the whole template is always checked")
	rest, err := f.parse(args, 1, 1)
	if err != nil {
		return err
	}
	tmpl, err := a.load(rest[0], t)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stderr, "%s is valid: %s\n", rest[0], count(len(tmpl.Builds), "build"))
	return nil
}
