package main

import (
	"context"
	"sync"

	"github.com/tfbake/tfbake/internal/bake"
	"github.com/tfbake/tfbake/internal/snapshot"
	"github.com/tfbake/tfbake/internal/terraform"
	"github.com/tfbake/tfbake/internal/ui"
)

// pauser waits for the person at the terminal before each step of a bake: -debug. A nil pauser never waits.
type pauser struct {
	app  *app
	once sync.Once
}

func (a *app) pauser(debug bool) *pauser {
	if !debug {
		return nil
	}
	return &pauser{app: a}
}

// before waits until the person says go on, or ctx ends. Where nobody is there, it says so once and never waits.
func (p *pauser) before(ctx context.Context, story *ui.Story, step string) {
	if p == nil || ctx.Err() != nil {
		return
	}
	if !p.app.interactive {
		p.once.Do(func() { story.Info("-debug: nobody is at the terminal, so there are no pauses") })
		story.Info("-debug: next is %s", step)
		return
	}
	// An answer that never comes is an interrupt: ctx tells the step itself.
	_, _ = p.app.ask(ctx, "    "+"-debug: next is "+step+". Press Enter to go on.", true)
}

// around has the steps of a run wait for us.
func (p *pauser) around(parts bake.Parts, story *ui.Story) bake.Parts {
	if p == nil {
		return parts
	}
	parts.Infra = slowInfra{parts.Infra, p, story}
	parts.Imager = slowImager{parts.Imager, p, story}
	// Before the way down and not in it: that is bounded, and goes on after an interrupt.
	parts.BeforeDown = func(ctx context.Context) { p.before(ctx, story, "terraform destroy") }
	return parts
}

type slowInfra struct {
	bake.Infra
	p     *pauser
	story *ui.Story
}

func (s slowInfra) Apply(ctx context.Context) (terraform.Server, error) {
	s.p.before(ctx, s.story, "terraform apply: the server and what it needs")
	return s.Infra.Apply(ctx)
}

type slowImager struct {
	bake.Imager
	p     *pauser
	story *ui.Story
}

func (s slowImager) Stop(ctx context.Context, server terraform.Server) error {
	s.p.before(ctx, s.story, "stopping the server")
	return s.Imager.Stop(ctx, server)
}

func (s slowImager) Start(ctx context.Context, server terraform.Server) (snapshot.Image, error) {
	s.p.before(ctx, s.story, "making the image")
	return s.Imager.Start(ctx, server)
}
