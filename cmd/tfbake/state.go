package main

import (
	"context"
	"fmt"

	"github.com/tfbake/tfbake/internal/terraform"
)

func cmdState(ctx context.Context, a *app, args []string) error {
	const usage = "tfbake state [-backend FILE] RUN [list | show ADDRESS | pull | …]"
	name, backend, sub := stateArguments(args, a.getenv("TFBAKE_BACKEND"))
	switch name {
	case "-h", "--h", "-help", "--help":
		fmt.Fprintf(a.stderr, "Usage: %s\n\nRuns `terraform state` in a run's directory, or with -backend FILE on the state of another machine's run; without more it lists.\n", usage)
		return nil
	case "":
		return failWith(exitUsage, fmt.Errorf("state takes a run\nusage: %s", usage))
	}
	dir, pass, remove, err := a.stateDir(ctx, name, backend)
	if err != nil {
		return err
	}
	defer remove()
	if len(sub) == 0 {
		sub = []string{"list"}
	}
	bin, err := a.findTerraform(ctx, a.getenv("TFBAKE_TERRAFORM"))
	if err != nil {
		return failWith(exitInfra, err)
	}
	tf, err := terraform.New(terraform.Options{
		Binary: bin, Dir: dir, Hard: a.hard,
		Env: terraform.Environment(terraform.EnvOptions{Environ: a.environ(), Cwd: a.cwd, Dir: dir, Pass: pass}),
	})
	if err != nil {
		return err
	}
	stderr := a.redact.Writer(a.stderr)
	defer stderr.Close()
	if err := tf.Passthrough(ctx, a.stdout, stderr, append([]string{"state"}, sub...)...); err != nil {
		return failWith(exitCodeOf(err), err)
	}
	return nil
}
