package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/ncloud"
	"github.com/tfbake/tfbake/internal/preflight"
	"github.com/tfbake/tfbake/internal/ui"
)

// checker is preflight as bake wants it: API findings come out as diagnostics of the template.
type checker struct {
	maker
	story  *ui.Story
	tmpl   *config.Template
	client *ncloud.Client // of the build, made by Check
}

func (c *checker) Check(ctx context.Context, b *config.Build, runID string) (config.Resolved, error) {
	if b.Source.Region == "" {
		b.Source.Region = c.app.getenv("NCLOUD_REGION")
	}
	if b.Source.Site == "" {
		b.Source.Site = c.app.getenv("NCLOUD_SITE")
	}
	client, err := c.app.client(ctx, c.target, b.Source, c.story)
	if errors.Is(err, ncloud.ErrNoCredentials) {
		return config.Resolved{}, fmt.Errorf("%w; -local needs none: it bakes in a simulated cloud", err)
	}
	if err != nil {
		return config.Resolved{}, err
	}
	var from []string
	var unknown error
	if src := b.Source; len(src.SourceCIDRs) == 0 && src.AccessControlGroupNo == "" && b.Communicator.Type != "none" {
		from, unknown = c.target.sourceCIDRs(ctx)
	}
	plan, diags := preflight.Check(ctx, client, b, preflight.Options{RunID: runID, SourceCIDRs: from, SourceUnknown: unknown, OfficialProvider: c.provider == officialProvider})
	if c.force {
		explainForce(diags)
	}
	if ctx.Err() != nil {
		return plan, context.Cause(ctx) // the findings tell of nothing else
	}
	c.app.diagnostics(c.tmpl.Files, diags)
	if diags.HasErrors() {
		return plan, fmt.Errorf("%s; nothing was created", count(len(diags.Errs()), "error"))
	}
	if ahead := client.Ahead(); c.provider == officialProvider && ahead.Abs() > ncloud.Tolerance {
		return plan, fmt.Errorf("%s, and the official provider's calls, signed with it, would be refused: set it, or use -provider embedded", ncloud.ClockOff(ahead))
	}
	c.client = client.In(ncloud.Region{Code: plan.RegionCode, No: plan.RegionNo})
	return plan, nil
}
