package main

import (
	"context"
	"time"

	"github.com/tfbake/tfbake/internal/bake"
	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/journal"
	"github.com/tfbake/tfbake/internal/ncloud"
	"github.com/tfbake/tfbake/internal/render"
	"github.com/tfbake/tfbake/internal/shared"
	"github.com/tfbake/tfbake/internal/snapshot"
	"github.com/tfbake/tfbake/internal/terraform"
	"github.com/tfbake/tfbake/internal/ui"
)

// maker makes the parts of the bakes of one command: everything that is the same for all of its builds.
type maker struct {
	app       *app
	target    *target
	terraform terraform.Binary
	provider  string // official or embedded
	runUUID   string
	backend   *config.Backend // of new runs; nil: the state is in the run directory
	hold      *shared.Hold    // of a run that is resumed; nil: a new one
	lost      func(error)     // another machine has taken the run over
	force     bool
	pause     *pauser // -debug; nil: never
}

// parts makes the means of one run.
func (m maker) parts(ctx context.Context, run *journal.Run, plan config.Resolved, client *ncloud.Client, story *ui.Story, locate func(terraform.Diagnostic) string) (bake.Parts, error) {
	infra, stop, err := m.infra(ctx, run, plan.Platform, client, story, locate)
	if err != nil {
		return bake.Parts{}, err
	}
	kind, err := snapshot.KindOf(plan.Platform, plan.Hypervisor)
	if err != nil {
		stop()
		return bake.Parts{}, err
	}
	return bake.Parts{
		Infra:   infra,
		Imager:  imager{snapshot.Imager{Client: client, Progress: progress(story)}, run, kind, plan},
		Keys:    keys{client, plan.Platform},
		Sweeper: m.sweeper(run, client, story, 0),
		Files: func(plan config.Resolved) (render.Files, error) {
			return render.Module(plan, render.Options{ToolVersion: toolVersion(), TemplatePath: run.Facts.Template, CustomGateway: m.target.gateway != "", Backend: renderedBackend(run.Facts)})
		},
		Keep:  func(ctx context.Context) error { return m.keep(ctx, run, plan.Platform, infra) },
		Close: func() { stop(); client.Close() },
	}, nil
}

// progress tells, every 15 seconds of a wait, what is waited for and how much longer.
func progress(story *ui.Story) func(ncloud.Progress) {
	const every = 15 * time.Second
	next := every
	return func(p ncloud.Progress) {
		if p.Elapsed < every {
			next = every // a new wait
		}
		if p.Elapsed < next {
			return
		}
		next = p.Elapsed + every
		story.Info("waiting for %s: %s after %s, giving up in %s", p.What, p.State, p.Elapsed.Round(time.Second), p.Left.Round(time.Minute))
	}
}
