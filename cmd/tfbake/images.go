package main

import (
	"context"
	"fmt"
	"time"

	"github.com/tfbake/tfbake/internal/bake"
	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/journal"
	"github.com/tfbake/tfbake/internal/ncloud"
	"github.com/tfbake/tfbake/internal/snapshot"
	"github.com/tfbake/tfbake/internal/sweep"
	"github.com/tfbake/tfbake/internal/terraform"
	"github.com/tfbake/tfbake/internal/ui"
)

// afterDeath is how long the sweep of a run whose tfbake died waits before it believes that nothing is left: a create that
// was under way may still come out of the cloud.
const afterDeath = 3 * time.Second

func (m maker) sweeper(run *journal.Run, client *ncloud.Client, story *ui.Story, settle time.Duration) bake.Sweeper {
	return sweeper{run, sweep.Sweeper{
		Client: client, Platforms: []config.Platform{config.Platform(run.Facts.Platform)},
		Settle: settle, Log: story.Info,
	}}
}

// sweeper is sweep.Sweeper as bake wants it: it learns from the journal which image is unfinished.
type sweeper struct {
	run *journal.Run
	sweep.Sweeper
}

func (s sweeper) Sweep(ctx context.Context, name string) ([]string, error) {
	return s.sweep(ctx, name)
}

func (s sweeper) SweepStrays(ctx context.Context, name string, known []string) ([]string, error) {
	s.Except = append([]string{name + config.KeySuffix}, known...)
	return s.sweep(ctx, name)
}

// sweep sweeps with what the journal knows. An unfinished image goes with the strays: terraform would wait for the server until
// the image is finished.
func (s sweeper) sweep(ctx context.Context, name string) ([]string, error) {
	rec, err := journal.Read(s.run.Dir)
	if err != nil {
		return nil, err
	}
	s.Images, s.Disks = unfinishedImages(rec), rec.Disks()
	s.Note = func(no string) error { return s.run.Done(journal.Disk, map[string]string{"disk_no": no}) }
	left, err := s.Sweeper.Sweep(ctx, name)
	out := make([]string, 0, len(left))
	for _, r := range left {
		out = append(out, r.String())
	}
	return out, err
}

// imager is snapshot.Imager as bake wants it.
type imager struct {
	snapshot.Imager
	run  *journal.Run
	kind snapshot.Kind
	plan config.Resolved
}

func (i imager) Stop(ctx context.Context, s terraform.Server) error {
	return i.Imager.Stop(ctx, i.plan.Platform, s.ID)
}

func (i imager) Start(ctx context.Context, s terraform.Server) (snapshot.Image, error) {
	description := i.plan.ImageDescription
	if description == "" && i.kind == snapshot.VPCServer {
		description = i.run.Facts.Name // nothing else of such an image tells who made it
	}
	return i.Imager.Start(ctx, snapshot.Request{Kind: i.kind, ServerNo: s.ID, Name: i.plan.ImageName, Description: description})
}

func (i imager) Wait(ctx context.Context, img snapshot.Image) error { return i.Imager.Wait(ctx, img) }

// Find looks for the image that the journal says was begun. One that another run has made under that name since is an error:
// it is neither this run's result nor in its power.
func (i imager) Find(ctx context.Context) (snapshot.Image, bool, error) {
	rec, err := journal.Read(i.run.Dir)
	if err != nil {
		return snapshot.Image{}, false, err
	}
	img, err := i.Imager.Find(ctx, i.kind, i.plan.ImageName)
	if ncloud.IsNotFound(err) {
		return img, false, nil
	}
	if err != nil {
		return img, false, err
	}
	begun, _ := rec.Image()
	run := rec.Facts.RunID
	switch begunImage(rec, begun).Whose(img) {
	case snapshot.Ours:
		return img, true, nil
	case snapshot.Doubtful:
		return img, false, fmt.Errorf("there is an image %q (%s), and nothing tells whether run %s made it or another one: if it is wanted, `tfbake destroy %s` leaves it and removes the rest of the run; if not, delete it and resume again", img.Name, img.No, run, run)
	}
	return img, false, fmt.Errorf("the image %q (%s) is not run %s's, another run has made it since: `tfbake destroy %s` leaves it and removes what is left of this one", img.Name, img.No, run, run)
}

func (i imager) Share(ctx context.Context, img snapshot.Image) error {
	return i.Imager.Share(ctx, img, i.plan.ShareWith)
}

// unfinishedImages are the images of a run that were begun and not seen to their end.
func unfinishedImages(rec journal.Record) []snapshot.Begun {
	if i, ok := rec.UnfinishedImage(); ok {
		return []snapshot.Begun{begunImage(rec, i)}
	}
	return nil
}

func begunImage(rec journal.Record, i journal.BegunImage) snapshot.Begun {
	return snapshot.Begun{No: i.No, Name: i.Name, ServerNo: i.ServerNo, Run: rec.Facts.Name}
}
