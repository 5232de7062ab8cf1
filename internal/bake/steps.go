package bake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/journal"
	"github.com/tfbake/tfbake/internal/render"
	"github.com/tfbake/tfbake/internal/snapshot"
	"github.com/tfbake/tfbake/internal/terraform"
)

// steps are the steps of one run, each noted in the journal before and after.
type steps struct {
	b     *Baker
	run   *journal.Run
	parts Parts
	plan  config.Resolved
	rec   journal.Record // what an earlier tfbake did of this run, as far as it counts; empty for a new one
	until time.Time      // the end of the time an earlier tfbake was told to keep the run for; zero: none

	keep        bool  // the person at the terminal said so
	anew        bool  // the server is another than the one an earlier tfbake knew
	ready       bool  // the run directory
	up, stopped bool  // the server
	noInit      bool  // terraform could not be made ready: it can destroy nothing
	told        error // the failure, once the story has it
}

// all does the steps in order, leaving out what an earlier tfbake has done. What it makes is noted in res as soon as it
// exists, for the way down and the report.
func (s *steps) all(ctx context.Context, res *Result) (err error) {
	var notReady error
	if s.isShared() && len(s.rec.Entries) > 0 {
		// The directory may come from another machine, without what init lays down; the way down, too, asks terraform for the state.
		notReady = s.init(ctx)
	}
	if s.did(journal.ImageWait) && !s.b.ProvisionOnly {
		// The image is there, and the server perhaps already on its way out: only the rest is to be done.
		if res.Image, err = s.startedImage(ctx); err != nil {
			return err
		}
		if res.Image.No == "" {
			return &Error{StageImage, fmt.Errorf("the image %q that the run had finished is gone: `tfbake destroy %s` removes what is left of the run", s.plan.ImageName, s.run.Facts.RunID)}
		}
		if s.did(journal.Share) {
			return nil
		}
		return s.share(ctx, res.Image)
	}
	if notReady != nil {
		return notReady
	}
	switch knows, err := s.knows(ctx); {
	case err != nil:
		return err
	case knows != everything:
		// An image that was begun needs neither server nor state.
		image, err := s.startedImage(ctx)
		if err != nil {
			return err
		}
		if image.No != "" && !s.b.ProvisionOnly {
			res.Image, err = s.finishImage(ctx, image)
			return err
		}
		if knows == theServer {
			// Somebody has edited it: to go on could create a second one of what it lacks, to start over would destroy the server.
			id := s.run.Facts.RunID
			return &Error{StageInfra, fmt.Errorf("terraform's state has the server of run %s, but not all that was created with it (`tfbake state %s` lists what it has): put that back, or remove the run with `tfbake destroy %s` and bake again", id, id, id)}
		}
		if err := s.startOver(ctx, "terraform's state does not know all of the run any more"); err != nil {
			return err
		}
	case len(s.rec.Entries) > 0 && !s.did(journal.Apply):
		if err := s.startOver(ctx, "the run stopped while creating"); err != nil {
			return err
		}
	}
	if err := s.render(ctx); err != nil {
		return err
	}
	key, err := s.loginKey(ctx)
	if err != nil {
		return err
	}
	if res.Server, err = s.apply(ctx); err != nil {
		return err
	}
	if err := s.provision(ctx, res.Server, key); err != nil {
		return err
	}
	if s.b.ProvisionOnly {
		return nil
	}
	res.Image, err = s.image(ctx, res.Server)
	return err
}

// did tells whether an earlier tfbake finished the step.
func (s *steps) did(step string) bool {
	e, ok := s.rec.Last(step)
	return ok && e.State == journal.Done
}

// knowledge is what of a run whose server was up is in a state.
type knowledge int

const (
	everything knowledge = iota
	theServer            // but less than there was when it was created
	nothing              // that would help: it was deleted, cut off, or could not be written
)

// knows tells what terraform's state knows of a run whose server was up. Where that is not everything, apply would create the
// rest a second time, under names that are taken.
func (s *steps) knows(ctx context.Context) (knowledge, error) {
	if !s.did(journal.Apply) {
		return everything, nil
	}
	state, err := s.parts.Infra.State(ctx)
	if err != nil {
		return nothing, &Error{StageInfra, because(ctx, err)}
	}
	knows := s.knownBy(state)
	if knows == everything {
		return everything, nil
	}
	recovered, err := s.parts.Infra.UseErroredState(ctx, func(state terraform.State) bool { return s.knownBy(state) == everything })
	if err != nil {
		return knows, &Error{StageInfra, because(ctx, err)}
	}
	if recovered {
		s.b.Story.Say("going on with the state that terraform could not write where it belongs (%s)", terraform.ErroredFile)
		return everything, nil
	}
	return knows, nil
}

// knownBy goes by the server's number, and by how many resources there were when it was created.
func (s *steps) knownBy(state terraform.State) knowledge {
	applied, _ := s.rec.Last(journal.Apply)
	resources, _ := strconv.Atoi(applied.Data["resources"]) // 0 when it was not noted
	isServer := func(r terraform.Resource) bool { return r.ID == applied.Data["server_no"] }
	switch {
	case !state.Status.Sound() || !slices.ContainsFunc(state.Resources, isServer):
		return nothing
	case len(state.Resources) < resources:
		return theServer
	}
	return everything
}

func (s *steps) isShared() bool { return len(s.run.Facts.Backend) > 0 }

// startOver removes what an earlier tfbake created before it died in the middle of creating, or lost sight of: a fresh start
// is sure, which picking up the pieces of an unknown state is not.
func (s *steps) startOver(ctx context.Context, why string) error {
	s.b.Story.Say("%s: removing what exists and creating anew", why)
	down := s.down()
	down.Step = journal.StartOver
	left, err := down.Run(ctx, s.run, s.plan.Name, s.ownKey())
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("%d pieces could not be removed", len(left))
	}
	if err != nil {
		return &Error{StageInfra, fmt.Errorf("start over: %w", err)}
	}
	if err := s.parts.Infra.ForgetBrokenState(); err != nil {
		return &Error{StageInfra, err}
	}
	s.forget()
	return nil
}

// forget is for a server that is another than the one an earlier tfbake worked on.
func (s *steps) forget() { s.rec, s.anew, s.stopped = journal.Record{}, true, false }

func (s *steps) ownKey() bool { return s.plan.LoginKeyName == s.plan.Name+config.KeySuffix }

func (s *steps) down() Down {
	infra := s.parts.Infra
	if s.noInit {
		infra = nil
	}
	return Down{Infra: infra, Keys: s.parts.Keys, Sweeper: s.parts.Sweeper, Story: s.b.Story}
}

// notes are what a finished step leaves in the journal.
type notes map[string]string

// step notes the begin of a step, does it, and notes what came of it. With -on-error=ask a failed step may be tried
// again; it must therefore cope with what its last try has left.
func (s *steps) step(ctx context.Context, stage Stage, name string, intent notes, do func() (notes, error)) error {
	for {
		if err := ctx.Err(); err != nil {
			return &Error{stage, context.Cause(ctx)}
		}
		if err := s.run.Begin(name, intent); err != nil {
			return &Error{stage, err}
		}
		done, err := do()
		if err == nil {
			if err := s.run.Done(name, done); err != nil {
				return &Error{stage, err}
			}
			return nil
		}
		err = because(ctx, err)
		noteErr := s.run.Fail(name, firstLine(err), done)
		err = &Error{stage, errors.Join(err, noteErr)}
		if !s.retry(ctx, err) {
			return err
		}
	}
}

// retry asks what to do about a failed step. Without a person there, the answer is to clean up.
func (s *steps) retry(ctx context.Context, failure error) bool {
	if s.b.OnError != Ask {
		return false
	}
	s.b.Story.Error("%s", failure)
	s.told = failure
	if ctx.Err() != nil || s.b.Asker == nil {
		s.b.Story.Say("nobody can be asked here: cleaning up")
		return false
	}
	answer, err := s.b.Asker(s.b.Hard, "[c] clean up, [a] leave everything as it is, [r] try the step again", "car")
	if err != nil {
		s.b.Story.Say("no answer (%s): cleaning up", err)
		return false
	}
	s.keep = answer == 'a'
	return answer == 'r'
}

func (s *steps) render(ctx context.Context) error {
	return s.step(ctx, StageInfra, journal.Render, nil, func() (notes, error) {
		files, err := s.parts.Files(s.plan)
		if err != nil {
			return nil, fmt.Errorf("render the terraform module: %w", err)
		}
		if files[planFile], err = encodePlan(s.plan); err != nil {
			return nil, err
		}
		return nil, render.Write(s.run.Dir, files)
	})
}

func (s *steps) loginKey(ctx context.Context) (key LoginKey, err error) {
	if !s.ownKey() {
		return LoginKey{Name: s.plan.LoginKeyName}, nil // the template names a key of the account's own
	}
	if s.did(journal.LoginKey) {
		key, err = s.parts.Keys.Recall(s.run, s.plan.LoginKeyName)
		if err != nil {
			return key, &Error{StageInfra, fmt.Errorf("the run's login key: %w", err)}
		}
		return key, nil
	}
	err = s.step(ctx, StageInfra, journal.LoginKey, notes{"login_key": s.plan.LoginKeyName}, func() (notes, error) {
		key, err = s.parts.Keys.Make(ctx, s.run, s.plan.LoginKeyName)
		return nil, err
	})
	return key, err
}

// retryPause is the pause before the first repetition of an apply; each further one is twice as long.
const retryPause = 2 * time.Second

// mayPass tells whether a failed apply is worth repeating.
func mayPass(ctx context.Context, err error) bool {
	var e *terraform.Error
	return ctx.Err() == nil && errors.As(err, &e) && e.Transient()
}

func (s *steps) init(ctx context.Context) error {
	if s.ready {
		return nil
	}
	return s.step(ctx, StageInfra, journal.Init, nil, func() (notes, error) {
		s.b.Story.Say("terraform: preparing the run directory %s", s.run.Dir)
		err := s.parts.Infra.Init(ctx)
		s.ready, s.noInit = err == nil, err != nil
		return nil, err
	})
}

// apply brings the server up. On a run that is resumed it finds everything in the state and changes nothing.
func (s *steps) apply(ctx context.Context) (server terraform.Server, err error) {
	if err := s.init(ctx); err != nil {
		return server, err
	}
	err = s.step(ctx, StageInfra, journal.Apply, nil, func() (notes, error) {
		s.b.Story.Say("terraform: creating the server and what it needs")
		server, err = s.parts.Infra.Apply(ctx)
		for try := 1; try <= s.b.ApplyRetries && mayPass(ctx, err); try++ {
			s.b.Story.Error("%s", firstLine(err))
			s.b.Story.Say("that may pass: trying again in %s (%d of %d)", retryPause<<(try-1), try, s.b.ApplyRetries)
			select {
			case <-time.After(retryPause << (try - 1)):
			case <-ctx.Done():
				return nil, err
			}
			// What was created while its answer was lost is in no state; a second one would get in its way.
			s.down().removeStrays(ctx, s.plan.Name)
			server, err = s.parts.Infra.Apply(ctx)
		}
		done := notes{"server_no": server.ID, "public_ip": server.PublicIP, "public_ip_no": server.PublicIPNo}
		if err != nil {
			return done, err
		}
		if state, err := s.parts.Infra.State(ctx); err == nil {
			done["resources"] = strconv.Itoa(len(state.Resources))
		}
		return done, nil
	})
	if err != nil {
		return server, err
	}
	s.b.Story.Info("server %s (%s) is at %s", server.Name, server.ID, address(server))
	if was := s.rec.Value("server_no"); was != "" && was != server.ID {
		s.b.Story.Say("server %s of the interrupted run is gone, this is a new one: provisioning from the start", was)
		s.forget()
	}
	s.up = true
	return server, nil
}

func address(s terraform.Server) string {
	if s.PublicIP != "" {
		return s.PublicIP
	}
	return s.PrivateIP + " (private)"
}

func (s *steps) provision(ctx context.Context, server terraform.Server, key LoginKey) error {
	if s.did(journal.Provision) && !s.b.ProvisionOnly {
		return nil
	}
	from := s.rec.NextProvisioner()
	if s.b.ProvisionOnly && s.b.From >= 0 && !s.anew {
		from = s.b.From
	}
	return s.step(ctx, StageProvision, journal.Provision, nil, func() (notes, error) {
		return nil, s.parts.Provisioner.Provision(ctx, s.run, server, key, from)
	})
}

// image makes the image. One that is finished is returned also with the error of sharing it.
func (s *steps) image(ctx context.Context, server terraform.Server) (image snapshot.Image, err error) {
	started, err := s.startedImage(ctx)
	if err != nil {
		return image, err
	}
	if started.No == "" {
		if started, err = s.startImage(ctx, server); err != nil {
			return image, err
		}
	}
	return s.finishImage(ctx, started)
}

// finishImage waits for an image that was begun, and shares it.
func (s *steps) finishImage(ctx context.Context, started snapshot.Image) (snapshot.Image, error) {
	// Whatever happens now, the way down removes an image that is unfinished: its name would be in the way of the next try.
	err := s.step(ctx, StageImage, journal.ImageWait, notes{"image_no": started.No}, func() (notes, error) {
		return notes{"image_no": started.No}, s.parts.Imager.Wait(ctx, started)
	})
	if err != nil {
		return snapshot.Image{}, err
	}
	s.b.Story.Say("image %q is ready: %s", started.Name, started.No)
	return started, s.share(ctx, started)
}

func (s *steps) share(ctx context.Context, image snapshot.Image) error {
	if len(s.plan.ShareWith) == 0 {
		return nil
	}
	return s.step(ctx, StageImage, journal.Share, nil, func() (notes, error) {
		s.b.Story.Info("sharing the image with %s", strings.Join(s.plan.ShareWith, ", "))
		return nil, s.parts.Imager.Share(ctx, image)
	})
}

// startedImage is the image that an earlier tfbake of this run has started, also when it died before it got the answer:
// preflight made sure that nobody else has an image of that name.
func (s *steps) startedImage(ctx context.Context) (snapshot.Image, error) {
	if _, begun := s.rec.Last(journal.Image); !begun {
		return snapshot.Image{}, nil
	}
	image, ok, err := s.parts.Imager.Find(ctx)
	if err != nil {
		return image, &Error{StageImage, fmt.Errorf("look for the image that was begun: %w", err)}
	}
	if ok {
		s.b.Story.Say("the image %q (%s) was begun already", image.Name, image.No)
		return image, nil
	}
	return snapshot.Image{}, nil
}

// startImage stops the server and has the image begun.
func (s *steps) startImage(ctx context.Context, server terraform.Server) (image snapshot.Image, err error) {
	err = s.step(ctx, StageImage, journal.Stop, nil, func() (notes, error) {
		s.b.Story.Say("stopping the server, so that the image is of a quiet disk")
		s.stopped = true
		return nil, s.parts.Imager.Stop(ctx, server)
	})
	if err != nil {
		return image, err
	}
	intent := notes{"image_name": s.plan.ImageName, "server_no": server.ID}
	err = s.step(ctx, StageImage, journal.Image, intent, func() (notes, error) {
		s.b.Story.Say("creating the image %q", s.plan.ImageName)
		image, err = s.parts.Imager.Start(ctx, server)
		return notes{"image_no": image.No}, err
	})
	return image, err
}

// finish is the end of every run: the way down, or word of what was kept, and the journal's last line.
func (s *steps) finish(ctx context.Context, res Result, failure error) (Result, error) {
	if takenOver(failure) {
		return res, failure
	}
	keep := s.b.Keep || s.keep || (failure != nil && s.b.OnError == Abort)
	if keep {
		res.Kept, res.KeptUntil = true, s.until
		template := s.run.Facts.Template
		res.Resumable = (failure != nil || res.Image.No == "") && template != "" && template != "-"
		res.Running = s.up && !s.stopped
		if s.b.KeepFor > 0 {
			res.KeptUntil = s.b.Time(s.b.Hard).Add(s.b.KeepFor)
		}
		until := notes{}
		if !res.KeptUntil.IsZero() {
			until["until"] = res.KeptUntil.UTC().Format(time.RFC3339)
		}
		return res, errors.Join(failure, s.run.Done(journal.Keep, until), s.parts.Keep(s.b.Hard))
	}
	if failure != nil {
		if s.told != failure {
			s.b.Story.Error("%s", failure)
			s.told = failure
		}
		s.b.Story.Say("destroying what exists")
	}
	if s.parts.BeforeDown != nil {
		s.parts.BeforeDown(ctx)
	}
	downCtx, cancel := context.WithTimeout(s.b.Hard, downTimeout)
	defer cancel()
	left, err := s.down().Run(downCtx, s.run, s.plan.Name, s.ownKey())
	res.Left = left
	if err != nil {
		return res, errors.Join(failure, &Error{StageCleanup, err})
	}
	if err := s.run.End(len(left), failure); err != nil {
		return res, errors.Join(failure, &Error{StageCleanup, err})
	}
	if failure != nil || s.b.KeepDir {
		return res, failure
	}
	if err := s.run.Remove(); err != nil {
		return res, &Error{StageCleanup, err}
	}
	res.Dir = ""
	return res, nil
}

// firstLine keeps the journal short; the story has the whole error.
func firstLine(err error) string {
	line, rest, _ := strings.Cut(err.Error(), "\n")
	if next, _, _ := strings.Cut(rest, "\n"); strings.HasSuffix(line, ":") {
		line += " " + strings.TrimSpace(next)
	}
	return line
}
