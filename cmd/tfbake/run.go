package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/tfbake/tfbake/internal/bake"
	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/ncloud"
	"github.com/tfbake/tfbake/internal/terraform"
	"github.com/tfbake/tfbake/internal/ui"
)

// runFlags are the flags of `tfbake run`.
type runFlags struct {
	templateFlags
	cloudFlags
	keep, keepDir bool
	onError       string
	asJSON        bool
	keepFor       time.Duration
	template      string // of resume: where it is on this machine
	unlock        bool   // of resume
	provisionOnly bool
	changed       bool
	parallel      int
	color         bool
	timestamps    bool
	debug, force  bool
	packerFlags
}

// cloudFlags are the flags of every command that works in a cloud.
type cloudFlags struct {
	local     bool
	provider  string
	terraform string
	backend   string // file

	sameAccount bool // of cleanup, destroy and resume
}

func (c *cloudFlags) register(f flags, env func(string) string) {
	f.StringVar(&c.provider, "provider", "", "the Terraform provider: official (registry or mirror) or embedded (in tfbake); default official, with -local embedded")
	f.StringVar(&c.terraform, "terraform", env("TFBAKE_TERRAFORM"), "the terraform or tofu program; default the first in PATH")
	f.StringVar(&c.backend, "backend", env("TFBAKE_BACKEND"), backendUsage)
}

func (c cloudFlags) check() error {
	switch c.provider {
	case "", officialProvider, embeddedProvider:
		return nil
	}
	return failWith(exitUsage, fmt.Errorf("-provider is official or embedded, not %q", c.provider))
}

// runCleanupProvisioner is -on-error=abort once the error-cleanup-provisioner has run.
const runCleanupProvisioner = "run-cleanup-provisioner"

func (o runFlags) check() error {
	switch o.onError {
	case string(bake.Cleanup), string(bake.Abort), string(bake.Ask), runCleanupProvisioner:
	default:
		return failWith(exitUsage, fmt.Errorf("-on-error is cleanup, abort, run-cleanup-provisioner or ask, not %q", o.onError))
	}
	switch {
	case o.keepFor < 0:
		return failWith(exitUsage, fmt.Errorf("-keep-for is a time such as 2h, not %s", o.keepFor))
	case o.keepFor > 0 && !o.keep && o.onError == string(bake.Cleanup):
		return failWith(exitUsage, errors.New("-keep-for is for a run that is kept: add -keep (also after success) or -on-error=abort (after a failure)"))
	}
	return o.cloudFlags.check()
}

// onInterrupt says what a signal makes a bake do.
func (o runFlags) onInterrupt() string {
	if o.keep || o.onError == string(bake.Abort) || o.onError == runCleanupProvisioner {
		return "stopping; everything stays as it is"
	}
	return "stopping, and destroying what exists; once more stops at once and leaves it"
}

// applyOnError prepares a build for what -on-error says, and returns what bake does of it.
func (o runFlags) applyOnError(b *config.Build) bake.OnError {
	switch o.onError {
	case string(bake.Abort):
		b.ErrorCleanup = nil // as in Packer: abort leaves everything as it is
	case runCleanupProvisioner:
		return bake.Abort
	}
	return bake.OnError(o.onError)
}

func cmdRun(ctx context.Context, a *app, args []string) (err error) {
	f := a.flags("run", "TEMPLATE", "Bakes the images of a template. Prints the number of each image; everything else goes to standard error.")
	var o runFlags
	o.templateFlags.register(f.FlagSet)
	o.cloudFlags.register(f, a.getenv)
	f.BoolVar(&o.local, "local", false, "bake in the simulated cloud on this machine: no account, no cost")
	f.BoolVar(&o.keep, "keep", false, "leave server and run directory in place, also after success")
	f.DurationVar(&o.keepFor, "keep-for", 0, "with -keep or -on-error=abort: how long cleanup -all leaves the run alone, such as 2h; 0: until it is named")
	f.BoolVar(&o.keepDir, "keep-dir", false, "destroy as usual, but leave the run directory of a clean run")
	f.StringVar(&o.onError, "on-error", "cleanup", "when a step fails: cleanup, abort (leave everything in place), run-cleanup-provisioner (the same, after the error-cleanup-provisioner) or ask")
	f.BoolVar(&o.asJSON, "json", false, "print the result as JSON")
	f.BoolVar(&o.machine, "machine-readable", false, "print everything as Packer's comma-separated lines")
	f.BoolVar(&o.debug, "debug", false, "one build after the other, with a pause before each step")
	f.BoolVar(&o.force, "force", false, "begin the manifest anew; it does not overwrite images, which NAVER Cloud cannot do safely")
	f.BoolVar(&o.warnUndeclared, "warn-on-undeclared-var", false, "warn of values for variables the template does not declare")
	o.packerFlags.register(f)
	f.IntVar(&o.parallel, "parallel-builds", 0, "how many builds at once; 0: all")
	f.BoolVar(&o.color, "color", true, "colours on a terminal")
	f.BoolVar(&o.timestamps, "timestamp-ui", false, "time before each line")
	rest, err := f.parse(args, 1, 1)
	if err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	if o.machine {
		if o.asJSON {
			return failWith(exitUsage, errors.New("-machine-readable and -json exclude each other"))
		}
		defer a.machineReadable()()
	}
	story := a.story
	if a.machine == nil {
		story = ui.New(a.stderr, a.redact, ui.Options{Color: o.color && a.color(), Timestamps: o.timestamps})
	}
	a.tellWith(story, o.onInterrupt())
	cloud := a.lazily(ctx, o.cloudFlags, a.localDir())
	defer func() { err = errors.Join(err, cloud.close()) }()
	tmpl, err := a.load(ctx, rest[0], o.templateFlags, a.withData(cloud), func(c *config.Options) { c.WarnUndeclared = o.warnUndeclared })
	if err != nil {
		return err
	}
	o.packerFlags.note(a)
	a.notes(tmpl)
	if o.debug {
		o.parallel = 1
	}
	return a.run(ctx, tmpl, o, cloud)
}

// run bakes the builds of a template, side by side, and prints what came of them.
func (a *app) run(ctx context.Context, tmpl *config.Template, o runFlags, cloud *lazyTarget) (err error) {
	bin, err := a.findTerraform(ctx, o.terraform)
	if err != nil {
		return failWith(exitInfra, err)
	}
	t, err := cloud.get()
	if err != nil {
		return err
	}
	m := maker{app: a, target: t, terraform: bin, provider: cmp.Or(o.provider, t.provider), runUUID: uuid.NewString(), force: o.force, pause: a.pauser(o.debug)}
	if m.backend, err = a.backendOf(tmpl, o.cloudFlags); err != nil {
		return err
	}
	if o.parallel <= 0 {
		o.parallel = len(tmpl.Builds)
	}

	outcomes := make([]outcome, len(tmpl.Builds))
	var group errgroup.Group
	group.SetLimit(max(o.parallel, 1))
	for i, b := range tmpl.Builds {
		group.Go(func() error {
			outcomes[i] = m.bake(ctx, tmpl, b, o)
			return nil
		})
	}
	group.Wait()
	return a.report(outcomes, o)
}

// outcome is a build with what came of it.
type outcome struct {
	bake.Result
	err          error
	communicator string
}

// bake bakes one build.
func (m maker) bake(ctx context.Context, tmpl *config.Template, b *config.Build, o runFlags) outcome {
	a := m.app
	story := a.story.Named(b.Name)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	m.lost = cancel
	check := &checker{maker: m, story: story, tmpl: tmpl}
	baker := m.baker(b, tmpl, o, story)
	baker.Preflight = check
	baker.Time = func(ctx context.Context) time.Time { return check.client.Time(ctx) }
	baker.Variables = func(ctx context.Context, runID string) (map[string]string, error) {
		return digests(ctx, check.client, runID, valuesOf(tmpl, o.templateFlags))
	}
	if m.target.localDir == "" {
		baker.Account = func(runID string) string { return accountOf(ctx, check.client, runID) }
	}
	baker.Parts = m.parts(b, func() *ncloud.Client { return check.client }, story)
	res, err := baker.Run(ctx, b)
	if err != nil && !res.Told && len(tmpl.Builds) > 1 {
		story.Error("%s", err) // now: the last word is for what the others have left
		res.Told = true
	}
	return outcome{res, err, b.Communicator.Type}
}

func (a *app) findTerraform(ctx context.Context, path string) (terraform.Binary, error) {
	cache, err := os.UserCacheDir()
	if err == nil {
		cache = filepath.Join(cache, "tfbake", "terraform")
	}
	return terraform.Find(ctx, terraform.FindOptions{Path: path, SearchPath: a.getenv("PATH"), CacheDir: cache, Log: a.story})
}

func (a *app) chooseTarget(ctx context.Context, o cloudFlags, localDir string) (*target, error) {
	if o.local {
		return a.simulation(ctx, localDir)
	}
	return a.account(), nil
}

// resultJSON is one build in the output of `tfbake run -json`.
type resultJSON struct {
	Build     string   `json:"build"`
	OK        bool     `json:"ok"`
	ImageNo   string   `json:"image_no,omitempty"`
	ImageName string   `json:"image_name,omitempty"`
	Kind      string   `json:"image_kind,omitempty"`
	Platform  string   `json:"platform,omitempty"`
	Region    string   `json:"region,omitempty"`
	Run       string   `json:"run,omitempty"`
	Dir       string   `json:"dir,omitempty"`
	Kept      bool     `json:"kept,omitempty"`
	Left      []string `json:"left"` // null: not asked, as of a kept run, or unknown
	Seconds   float64  `json:"seconds"`
	Error     string   `json:"error,omitempty"`
}

// report prints the results and returns the error of the command: the worst of its builds.
func (a *app) report(outcomes []outcome, o runFlags) error {
	var failures []error
	code := exitOK
	results := make([]resultJSON, 0, len(outcomes))
	for _, r := range outcomes {
		if r.err != nil {
			code = worse(code, exitCodeOf(r.err))
			if !r.Told {
				failures = append(failures, fmt.Errorf("%s: %w", r.Build, r.err))
			}
		}
		var unknown *bake.UnknownError
		if len(r.Left) > 0 || errors.As(r.err, &unknown) {
			code = worse(code, exitLeftovers)
		}
		if r.Kept {
			a.tellKept(r)
		}
		j := resultJSON{Build: r.Build, OK: r.err == nil, ImageNo: r.Image.No, ImageName: r.Image.Name, Kind: string(r.Image.Kind),
			Platform: string(r.Plan.Platform), Region: r.Plan.RegionCode, Run: r.RunID, Dir: r.Dir, Kept: r.Kept,
			Left: r.Left, Seconds: r.Elapsed.Round(time.Millisecond).Seconds()}
		if j.Left == nil && !r.Kept && unknown == nil {
			j.Left = []string{}
		}
		if r.err != nil {
			j.Error = a.redact.String(r.err.Error())
		}
		results = append(results, j)
	}
	switch {
	case a.machine != nil:
		a.machine.results(results)
	case o.asJSON:
		enc := json.NewEncoder(a.stdout)
		enc.SetIndent("", "  ")
		if err := enc.Encode(map[string]any{"builds": results}); err != nil {
			return err
		}
	default:
		for _, r := range results {
			if r.ImageNo != "" {
				fmt.Fprintln(a.stdout, r.ImageNo)
			}
		}
	}
	if code == exitOK {
		return nil
	}
	return &exitError{code: code, err: errors.Join(failures...)}
}

// tellKept says what was kept, how to look at it and how to get rid of it.
func (a *app) tellKept(r outcome) {
	s := a.story.Named(r.Build)
	s.Info("look:    terraform -chdir=%s state list", r.Dir)
	if r.Running && r.communicator == "ssh" {
		s.Info("log in:  tfbake ssh %s", r.RunID)
	}
	if r.Resumable {
		s.Info("go on:   tfbake resume %s", r.RunID)
	}
	s.Info("destroy: tfbake destroy %s", r.RunID)
	s.Info("%s/README.md says more", r.Dir)
	s.Say("kept: everything of run %s is still there, and may cost money", r.RunID)
}

// exitCodeOf maps where a bake failed to an exit code.
func exitCodeOf(err error) int {
	var i *interrupted
	if errors.As(err, &i) {
		return exitInterrupted
	}
	var e *bake.Error
	if !errors.As(err, &e) {
		return exitFailed
	}
	switch e.Stage {
	case bake.StageUsage:
		return exitUsage
	case bake.StagePreflight:
		return exitPreflight
	case bake.StageInfra:
		return exitInfra
	case bake.StageProvision:
		return exitProvision
	case bake.StageImage:
		return exitImage
	case bake.StageCleanup:
		return exitLeftovers
	}
	return exitFailed
}

// worse picks the exit code of a command with several builds: leftovers before everything, an interruption next, then
// the first failure.
func worse(a, b int) int {
	rank := func(code int) int {
		switch code {
		case exitOK:
			return 0
		case exitInterrupted:
			return 2
		case exitLeftovers:
			return 3
		}
		return 1
	}
	if rank(b) > rank(a) {
		return b
	}
	return a
}
