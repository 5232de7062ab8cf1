package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/journal"
	"github.com/tfbake/tfbake/internal/ncloud"
	"github.com/tfbake/tfbake/internal/ui"
)

func cmdResume(ctx context.Context, a *app, args []string) error {
	f := a.flags("resume", "RUN", "Goes on with a run that was kept or whose tfbake died, from the step it stopped at: creating, a provisioner, or the\nimage. The template must be the one the run began with; variables given then must be given again.")
	o := resumeFlags(a, f)
	rest, err := f.parse(args, 1, 1)
	if err != nil {
		return err
	}
	return a.resume(ctx, rest[0], *o, -1)
}

func cmdProvision(ctx context.Context, a *app, args []string) error {
	f := a.flags("provision", "RUN", "Runs the provisioners of a kept run again, from the one that failed or from -from, and leaves the run kept.\n`tfbake resume RUN` then makes the image.")
	from := f.Int("from", 0, "number of the first provisioner to run, from 1; 0: the one that did not finish")
	o := resumeFlags(a, f)
	rest, err := f.parse(args, 1, 1)
	if err != nil {
		return err
	}
	if *from < 0 {
		return failWith(exitUsage, fmt.Errorf("-from is the number of a provisioner, from 1, not %d", *from))
	}
	o.provisionOnly, o.keep = true, true
	return a.resume(ctx, rest[0], *o, *from-1)
}

func resumeFlags(a *app, f flags) *runFlags {
	o := &runFlags{parallel: 1}
	o.templateFlags.register(f.FlagSet)
	o.cloudFlags.register(f, a.getenv)
	f.BoolVar(&o.changed, "changed", false, "take the template and its variables as they are now: the provisioners count, while server and image stay as they were chosen")
	f.BoolVar(&o.keep, "keep", false, "leave server and run directory in place, also after success")
	f.DurationVar(&o.keepFor, "keep-for", 0, "how long cleanup -all leaves the run alone when it is kept, such as 2h; 0: as was said before, if it was")
	f.StringVar(&o.onError, "on-error", "abort", "when a step fails: abort (leave everything, as it was), run-cleanup-provisioner (the same, after the error-cleanup-provisioner), cleanup or ask")
	f.BoolVar(&o.asJSON, "json", false, "print the result as JSON")
	f.BoolVar(&o.unlock, "unlock", false, unlockUsage)
	f.BoolVar(&o.sameAccount, "same-account", false, sameAccountUsage)
	f.StringVar(&o.template, "template", "", "where the template is on this machine, for a run of another one")
	return o
}

func (a *app) resume(ctx context.Context, name string, o runFlags, from int) (err error) {
	if err := o.check(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r, err := a.openRun(ctx, name, openOptions{cloudFlags: o.cloudFlags, doing: "resume", unlock: o.unlock, lost: cancel})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close(ctx)) }()
	run, rec, dir := r.run, r.rec, r.run.Dir
	if r.gone {
		id := rec.Facts.RunID
		return failWith(exitUsage, fmt.Errorf("run %s was finished or cleaned up from another machine: `tfbake cleanup %s` removes its directory here", id, id))
	}
	facts := rec.Facts
	if err := templateHere(&facts, o.template); err != nil {
		return err
	}
	if facts.Template == "" || facts.Template == "-" {
		return failWith(exitUsage, fmt.Errorf("run %s cannot be resumed: its template came from standard input", facts.RunID))
	}
	if err := sameTemplate(facts); err != nil && !o.changed {
		return failWith(exitTemplate, err)
	}
	a.tellWith(ui.New(a.stderr, a.redact, ui.Options{Color: a.color()}), o.onInterrupt())
	o.local = facts.LocalDir != ""
	cloud := a.lazily(ctx, o.cloudFlags, facts.LocalDir)
	defer func() { err = errors.Join(err, cloud.close()) }()
	withData := a.withData(cloud)
	tmpl, err := a.loadAt(ctx, facts.Template, o.templateFlags, facts.LoadedAt, withData)
	if err != nil {
		return err
	}
	var build *config.Build
	for _, b := range tmpl.Builds {
		if b.Name == facts.Build {
			build = b
		}
	}
	if build == nil {
		return failWith(exitTemplate, fmt.Errorf("%s has no build %q any more", facts.Template, facts.Build))
	}
	story := a.story.Named(build.Name)
	if err := waitForTerraform(ctx, dir, story); err != nil {
		return err
	}

	bin, err := a.findTerraform(ctx, o.terraform)
	if err != nil {
		return failWith(exitInfra, err)
	}
	t, err := cloud.get()
	if err != nil {
		return err
	}
	client, err := a.clientOf(ctx, t, facts, story)
	if err != nil {
		return failWith(exitPreflight, err)
	}
	if err := a.sameAccountAs(ctx, client, rec, o.sameAccount); err != nil {
		return failWith(exitPreflight, err)
	}
	if !o.changed {
		if err := a.sameVariables(ctx, client, facts, tmpl, o.templateFlags, withData); err != nil {
			return err
		}
	}
	m := maker{app: a, target: t, terraform: bin, provider: cmp.Or(o.provider, facts.Provider), runUUID: facts.UUID, hold: r.hold, lost: cancel}
	baker := m.baker(build, tmpl, o, story)
	baker.Parts = m.parts(build, func() *ncloud.Client { return client }, story)
	baker.Time = client.Time
	baker.From, baker.ProvisionOnly = from, o.provisionOnly
	res, err := baker.Resume(ctx, build, run, rec)
	return a.report([]outcome{{res, err, build.Communicator.Type}}, o)
}

// templateDigest identifies the text of a template, so that a run is resumed with the one it began with. The files it
// names (scripts, uploads) may be mended meanwhile: that is what one resumes for.
func templateDigest(path string) (string, error) {
	st, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	files := []string{path}
	if st.IsDir() {
		files = nil
		for _, pattern := range []string{"*.pkr.hcl", "*.pkr.json"} {
			found, err := filepath.Glob(filepath.Join(path, pattern))
			if err != nil {
				return "", err
			}
			files = append(files, found...)
		}
	}
	h := sha256.New()
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %d\n", filepath.Base(f), len(b))
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func sameTemplate(f journal.Facts) error {
	digest, err := templateDigest(f.Template)
	if err != nil {
		return fmt.Errorf("read the template of run %s: %w", f.RunID, err)
	}
	if digest != f.TemplateDigest {
		return fmt.Errorf("%s is not the template that run %s began with: undo the change (files it names, such as scripts, may change), or add -changed to go on with its provisioners as they are now", f.Template, f.RunID)
	}
	return nil
}
