package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/tfbake/tfbake/internal/clock"
	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/journal"
	"github.com/tfbake/tfbake/internal/render"
)

func cmdRender(ctx context.Context, a *app, args []string) (err error) {
	f := a.flags("render", "-o DIR TEMPLATE", "Writes the Terraform root module that `tfbake run` would apply, for a Terraform repository. It asks the API\nfor the choices that the template leaves open, and creates nothing.")
	var t templateFlags
	t.register(f.FlagSet)
	out := f.String("o", "", "directory to write to; new or empty")
	local := f.Bool("local", false, "ask the simulated cloud")
	rest, err := f.parse(args, 1, 1)
	if err != nil {
		return err
	}
	if *out == "" {
		return f.misused(errors.New("render needs -o DIR, the directory to write to"))
	}
	if err := mustBeEmpty(*out); err != nil {
		return failWith(exitUsage, err)
	}
	cloud := a.lazily(ctx, cloudFlags{local: *local}, a.localDir())
	defer func() { err = errors.Join(err, cloud.close()) }()
	tmpl, err := a.load(ctx, rest[0], t, a.withData(cloud))
	if err != nil {
		return err
	}
	if len(tmpl.Builds) != 1 {
		return failWith(exitUsage, fmt.Errorf("%s has %s: choose one with -only", rest[0], count(len(tmpl.Builds), "build")))
	}
	target, err := cloud.get()
	if err != nil {
		return err
	}

	m := maker{app: a, target: target, provider: officialProvider}
	build := tmpl.Builds[0]
	check := &checker{maker: m, story: a.story.Named(build.Name), tmpl: tmpl}
	plan, err := check.Check(ctx, build, journal.NewRunID(clock.Now()))
	if err != nil {
		return failWith(exitPreflight, err)
	}
	files, err := render.Module(render.Standalone(plan, plan.Name+config.KeySuffix), render.Options{ToolVersion: toolVersion(), TemplatePath: rest[0], Standalone: true})
	if err != nil {
		return err
	}
	if err := render.Write(*out, files); err != nil {
		return err
	}
	fmt.Fprintf(a.stderr, "wrote %d files to %s: terraform -chdir=%s init && terraform -chdir=%s plan\n", len(files), *out, *out, *out)
	return nil
}

func mustBeEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is not empty: render overwrites nothing", dir)
	}
	return nil
}
