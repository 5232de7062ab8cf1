package main

import (
	"context"
	"fmt"
	"path/filepath"
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

// baker makes all of a build's baker that needs no client.
func (m maker) baker(b *config.Build, tmpl *config.Template, o runFlags, story *ui.Story) *bake.Baker {
	a := m.app
	facts := journal.Facts{Version: toolVersion(), Template: tmpl.Path, Build: b.Name, Provider: m.provider, UUID: m.runUUID, LoadedAt: a.loadedAt,
		Terraform: m.terraform.Path, Endpoint: m.target.endpointForLater(), LocalDir: m.target.localDir,
		Backend: encodeBackend(m.backend)}
	if tmpl.Path != "-" {
		facts.Template, _ = filepath.Abs(tmpl.Path)
		facts.TemplateDigest, _ = templateDigest(facts.Template) // it was read a moment ago; without one the run cannot be resumed
	}
	return &bake.Baker{
		PostProcessor: postProcessor{m, b, story},
		Story:         story,
		RunsDir:       a.runsDir,
		Facts:         facts,
		Redact:        a.redact.String,
		OnError:       o.applyOnError(b),
		Keep:          o.keep,
		KeepFor:       o.keepFor,
		KeepDir:       o.keepDir,
		Hard:          a.hard,
		Asker:         a.choose,
		ApplyRetries:  applyRetries(m.provider),
	}
}

// parts returns the function that makes the means of a run, once its client is known.
func (m maker) parts(b *config.Build, clientOf func() *ncloud.Client, story *ui.Story) func(context.Context, *journal.Run, config.Resolved) (bake.Parts, error) {
	return func(ctx context.Context, run *journal.Run, plan config.Resolved) (bake.Parts, error) {
		client := clientOf()
		kind, err := snapshot.KindOf(plan.Platform, plan.Hypervisor)
		if err != nil {
			return bake.Parts{}, err
		}
		infra, stop, err := m.infra(run, plan.Platform, client, story, locator(b, plan))
		if err != nil {
			return bake.Parts{}, err
		}
		own := m.pause.around(bake.Parts{
			Infra:       infra,
			Imager:      imager{snapshot.Imager{Client: client, Progress: progress(story)}, run, kind, plan},
			Keys:        keys{client, plan.Platform},
			Provisioner: provisioner{m, b, plan, client, story},
			Sweeper:     m.sweeper(run, client, story, 0),
			Files: func(plan config.Resolved) (render.Files, error) {
				return render.Module(plan, render.Options{ToolVersion: toolVersion(), TemplatePath: run.Facts.Template, CustomGateway: m.target.gateway != "", Backend: renderedBackend(run.Facts)})
			},
			Keep:  func(ctx context.Context) error { return m.keep(ctx, run, plan.Platform, infra) },
			Close: func() { stop(); client.Close() },
		}, story)
		p, err := m.share(ctx, run, own, story)
		if err != nil {
			own.Close()
			return bake.Parts{}, err
		}
		return p, nil
	}
}

// locator names the place in the template that a terraform error is about.
func locator(b *config.Build, plan config.Resolved) func(terraform.Diagnostic) string {
	return func(d terraform.Diagnostic) string {
		key := render.TemplateKey(plan, d.Address, d.Attribute, d.Summary+"\n"+d.Detail)
		if key == "" || !b.Source.Has(key) {
			return ""
		}
		r := b.Source.Range(key)
		return fmt.Sprintf("%s:%d:%d: %s", r.Filename, r.Start.Line, r.Start.Column, key)
	}
}

func applyRetries(provider string) int {
	if provider == officialProvider {
		return 3
	}
	return 0
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
