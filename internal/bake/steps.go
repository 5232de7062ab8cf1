package bake

import (
	"context"
	"errors"
	"fmt"
	"strings"

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

	keep bool // the person at the terminal said so
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
		if ctx.Err() != nil && !errors.Is(err, context.Cause(ctx)) {
			err = fmt.Errorf("%w (%w)", context.Cause(ctx), err)
		}
		noteErr := s.run.Fail(name, firstLine(err))
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
		return nil, render.Write(s.run.Dir, files)
	})
}

func (s *steps) loginKey(ctx context.Context) (key LoginKey, err error) {
	if s.plan.LoginKeyName != s.plan.Name+KeySuffix {
		return LoginKey{Name: s.plan.LoginKeyName}, nil // the template names a key of the account's own
	}
	err = s.step(ctx, StageInfra, journal.LoginKey, notes{"login_key": s.plan.LoginKeyName}, func() (notes, error) {
		key, err = s.parts.Keys.Make(ctx, s.plan.LoginKeyName)
		return nil, err
	})
	return key, err
}

func (s *steps) apply(ctx context.Context) (server terraform.Server, err error) {
	err = s.step(ctx, StageInfra, journal.Init, nil, func() (notes, error) {
		s.b.Story.Say("terraform: preparing the run directory %s", s.run.Dir)
		return nil, s.parts.Infra.Init(ctx)
	})
	if err != nil {
		return server, err
	}
	err = s.step(ctx, StageInfra, journal.Apply, nil, func() (notes, error) {
		s.b.Story.Say("terraform: creating the server and what it needs")
		server, err = s.parts.Infra.Apply(ctx)
		return notes{"server_no": server.ID, "public_ip": server.PublicIP, "public_ip_no": server.PublicIPNo}, err
	})
	if err == nil {
		s.b.Story.Info("server %s (%s) is running at %s", server.Name, server.ID, address(server))
	}
	return server, err
}

func address(s terraform.Server) string {
	if s.PublicIP != "" {
		return s.PublicIP
	}
	return s.PrivateIP + " (private)"
}

func (s *steps) provision(ctx context.Context, server terraform.Server, key LoginKey) error {
	return s.step(ctx, StageProvision, journal.Provision, nil, func() (notes, error) {
		return nil, s.parts.Provisioner.Provision(ctx, s.run, server, key)
	})
}

func (s *steps) image(ctx context.Context, server terraform.Server) (image snapshot.Image, err error) {
	err = s.step(ctx, StageImage, journal.Stop, nil, func() (notes, error) {
		s.b.Story.Say("stopping the server, so that the image is of a quiet disk")
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
	if err != nil {
		return snapshot.Image{}, err
	}
	started := image
	err = s.step(ctx, StageImage, journal.ImageWait, notes{"image_no": image.No}, func() (notes, error) {
		return notes{"image_no": started.No}, s.parts.Imager.Wait(ctx, started)
	})
	if err != nil {
		return snapshot.Image{}, err // the way down removes what is unfinished: its name would be in the way of the next try
	}
	s.b.Story.Say("image %q is ready: %s", image.Name, image.No)
	if len(s.plan.ShareWith) == 0 {
		return image, nil
	}
	return image, s.step(ctx, StageImage, journal.Share, nil, func() (notes, error) {
		s.b.Story.Info("sharing the image with %s", strings.Join(s.plan.ShareWith, ", "))
		return nil, s.parts.Imager.Share(ctx, image)
	})
}

// finish is the end of every run: the way down, or word of what was kept, and the journal's last line.
func (s *steps) finish(ctx context.Context, res Result, failure error) (Result, error) {
	keep := s.b.Keep || s.keep || (failure != nil && s.b.OnError == Abort)
	if keep {
		res.Kept = true
		return res, errors.Join(failure, s.run.Done(journal.Keep, nil), s.parts.Keep(s.b.Hard))
	}
	if failure != nil {
		s.b.Story.Error("%s", firstLine(failure))
		s.b.Story.Say("destroying what exists")
	}
	down := Down{Infra: s.parts.Infra, Keys: s.parts.Keys, Sweeper: s.parts.Sweeper, Story: s.b.Story}
	downCtx, cancel := context.WithTimeout(s.b.Hard, downTimeout)
	defer cancel()
	left, err := down.Run(downCtx, s.run, s.plan.Name, s.plan.LoginKeyName == s.plan.Name+KeySuffix)
	res.Left = left
	if err != nil {
		err = &Error{StageCleanup, err}
	} else {
		err = s.run.End(len(left), failure)
	}
	if err == nil && len(left) == 0 && failure == nil && !s.b.KeepDir {
		if err := s.run.Remove(); err != nil {
			return res, &Error{StageCleanup, err}
		}
		res.Dir = ""
		return res, nil
	}
	return res, errors.Join(failure, err)
}

// firstLine keeps the journal and the story short; the whole error is shown at the end.
func firstLine(err error) string {
	line, rest, _ := strings.Cut(err.Error(), "\n")
	if next, _, _ := strings.Cut(rest, "\n"); strings.HasSuffix(line, ":") {
		line += " " + strings.TrimSpace(next)
	}
	return line
}
