package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tfbake/tfbake/internal/bake"
	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/journal"
	"github.com/tfbake/tfbake/internal/ncloud"
	"github.com/tfbake/tfbake/internal/postprocess"
	"github.com/tfbake/tfbake/internal/preflight"
	"github.com/tfbake/tfbake/internal/provider"
	"github.com/tfbake/tfbake/internal/provision"
	"github.com/tfbake/tfbake/internal/render"
	"github.com/tfbake/tfbake/internal/seal"
	"github.com/tfbake/tfbake/internal/shared"
	"github.com/tfbake/tfbake/internal/snapshot"
	"github.com/tfbake/tfbake/internal/sweep"
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

// infra makes terraform for a run directory. stop ends the embedded provider, where that is used.
func (m maker) infra(ctx context.Context, run *journal.Run, p config.Platform, client *ncloud.Client, story *ui.Story, locate func(terraform.Diagnostic) string) (*terraform.Terraform, func(), error) {
	opts := terraform.Options{Binary: m.terraform, Dir: run.Dir, Log: story, Locate: locate, Clock: clockCheck(client), Workspace: workspaceOf(run.Facts)}
	stop := func() {}
	if m.provider == embeddedProvider {
		served, stopServing, err := provider.Reattach(m.app.hard, provider.Options{Flavour: flavour(p), Client: client, Dir: run.Dir})
		if err != nil {
			return nil, nil, err
		}
		stop = stopServing
		opts.Reattach = terraform.Reattach{}
		for address, r := range served {
			opts.Reattach[address] = terraform.ReattachConfig{Protocol: r.Protocol, ProtocolVersion: r.ProtocolVersion, Pid: r.Pid, Test: r.Test, Addr: terraform.ReattachAddr(r.Addr)}
		}
	}
	opts.Env, opts.Keys = m.environment(run), apiKeys(client)
	opts.Hard = m.app.hard // a second signal is for terraform, too; what it was creating is then found by name
	t, err := terraform.New(opts)
	if err != nil {
		stop()
		return nil, nil, err
	}
	return t, stop, nil
}

// clockCheck tells whether this machine's clock is so wrong that calls signed with it are refused.
func clockCheck(client *ncloud.Client) func() string {
	return func() string {
		if client.Time(context.Background()); client.Ahead().Abs() <= ncloud.Tolerance {
			return ""
		}
		return ncloud.ClockOff(client.Ahead())
	}
}

// apiKeys returns the variables with the client's keys, those of a server role renewed.
func apiKeys(client *ncloud.Client) func(context.Context) map[string]string {
	return func(ctx context.Context) map[string]string {
		keys := client.Credentials(ctx)
		return map[string]string{"NCLOUD_ACCESS_KEY": keys.AccessKey, "NCLOUD_SECRET_KEY": keys.SecretKey}
	}
}

// environment is terraform's in a run directory, but for the keys.
func (m maker) environment(run *journal.Run) map[string]string {
	env := terraform.Environment(terraform.EnvOptions{
		Environ: m.app.environ(), Cwd: m.app.cwd, Dir: run.Dir,
		Region: run.Facts.Region, Site: run.Facts.Site, APIGateway: m.target.gateway,
		Pass: m.app.backendEnv(run.Facts),
	})
	m.withPluginCache(env, config.Platform(run.Facts.Platform))
	return env
}

func flavour(p config.Platform) provider.Flavour {
	if p == config.Classic {
		return provider.Classic
	}
	return provider.VPC
}

// keep makes a kept run directory ready for the user's own terraform. A run with the embedded provider has none in
// its .terraform; tfbake itself is laid down as the provider, so that plan and destroy work without any registry.
func (m maker) keep(ctx context.Context, run *journal.Run, p config.Platform, infra *terraform.Terraform) error {
	if m.provider != embeddedProvider {
		return nil
	}
	if _, err := provider.InstallMirror(run.Dir, flavour(p)); err != nil {
		return fmt.Errorf("lay down the provider in %s: %w", run.Dir, err)
	}
	client, err := terraform.New(terraform.Options{Binary: m.terraform, Dir: run.Dir, Hard: m.app.hard, Env: terraform.Environment(terraform.EnvOptions{Environ: m.app.environ(), Dir: run.Dir, Pass: m.app.backendEnv(run.Facts)})})
	if err != nil {
		return err
	}
	return client.Init(ctx)
}

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
	s.Except = append([]string{name + bake.KeySuffix}, known...)
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

// keys makes login keys through the API: a pair of our own is imported; where the API refuses that, it makes one.
type keys struct {
	client   *ncloud.Client
	platform config.Platform
}

// sealedKey is the file of the run directory that holds the login key's private half, sealed.
const sealedKey = "login-key.sealed"

func (k keys) Make(ctx context.Context, run *journal.Run, name string) (bake.LoginKey, error) {
	private, public, err := bake.NewKeyPair(name)
	if err != nil {
		return bake.LoginKey{}, err
	}
	if err := k.seal(ctx, run, private); err != nil {
		return bake.LoginKey{}, err
	}
	api := k.client.On(string(k.platform))
	_, err = api.ImportLoginKey(ctx, name, public)
	if err == nil {
		return bake.LoginKey{Name: name, PrivateKey: private}, nil
	}
	if ncloud.IsAuth(err) || ncloud.IsUncertain(err) || ncloud.IsExists(err) || ctx.Err() != nil {
		return bake.LoginKey{}, fmt.Errorf("import the login key %s: %w", name, err)
	}
	made, createErr := api.CreateLoginKey(ctx, name)
	if createErr != nil {
		return bake.LoginKey{}, fmt.Errorf("make the login key %s: %w", name, errors.Join(createErr, err))
	}
	return bake.LoginKey{Name: name, PrivateKey: []byte(made.PrivateKey)}, k.seal(ctx, run, []byte(made.PrivateKey))
}

func (k keys) seal(ctx context.Context, run *journal.Run, private []byte) error {
	sealed, err := seal.Seal(k.client.Credentials(ctx).SecretKey, run.Facts.RunID, private)
	if err != nil {
		return err
	}
	return render.Write(run.Dir, render.Files{sealedKey: []byte(sealed + "\n")})
}

func (k keys) Recall(run *journal.Run, name string) (bake.LoginKey, error) {
	sealed, err := os.ReadFile(filepath.Join(run.Dir, sealedKey))
	if err != nil {
		return bake.LoginKey{}, err
	}
	now := k.client.Credentials(context.Background())
	private, err := seal.Open(now.SecretKey, run.Facts.RunID, strings.TrimSpace(string(sealed)))
	if errors.Is(err, seal.ErrKey) && !now.Expires.IsZero() {
		err = fmt.Errorf("it was sealed with another secret key, and the %s change in time: such a run cannot be resumed, `tfbake destroy %s` ends it", now, run.Facts.RunID)
	}
	return bake.LoginKey{Name: name, PrivateKey: private}, err
}

func (k keys) Delete(ctx context.Context, name string) error {
	return k.client.On(string(k.platform)).DeleteLoginKey(ctx, name) // one that is gone already is no error
}

// provisioner connects to the server and runs the template's provisioners.
type provisioner struct {
	maker
	build  *config.Build
	plan   config.Resolved
	client *ncloud.Client
	story  *ui.Story
}

// passwordTimeout bounds the wait for the first password: Windows servers have theirs minutes after they run.
const passwordTimeout = 15 * time.Minute

func (p provisioner) Provision(ctx context.Context, run *journal.Run, s terraform.Server, key bake.LoginKey, from int) error {
	comm := p.build.Communicator
	if comm.Type == "none" && len(p.build.Steps) == 0 {
		return nil
	}
	target, err := p.reach(ctx, s, key)
	if err != nil {
		return err
	}
	c, err := provision.Connect(ctx, comm, target, p.story)
	if err != nil {
		return err
	}
	if c != nil {
		defer c.Close()
	}
	values := config.RunValues{
		BuildName: p.build.Label, BuilderType: p.build.Type, RunUUID: p.runUUID,
		ID: s.ID, Host: target.Host, Port: target.Port, User: target.User, Password: target.Password, ConnType: comm.Type,
		SSHPrivateKey: string(target.PrivateKey), SSHPrivateKeyFile: comm.PrivateKeyFile, SourceImageName: sourceImage(p.plan),
	}
	temporary := ""
	if key.PrivateKey != nil {
		if temporary, err = provision.PublicKey(key.PrivateKey, key.Name); err != nil {
			return err
		}
	}
	if comm.PrivateKeyFile == "" {
		values.SSHPublicKey = temporary // as with Packer: of a key that the user brings, the public half is not told
	} else if values.SSHPrivateKey, err = p.privateKey(); err != nil {
		return err
	}
	if comm.Type == "winrm" {
		values.WinRMPassword = target.Password
	}
	return provision.Run(ctx, provision.Options{
		Steps: p.build.Steps, From: from, ErrorCleanup: p.build.ErrorCleanup, Values: values,
		Comm: c, Communicator: comm, Target: target, TemporaryKey: temporary,
		Story: p.story, Redactor: p.app.redact, Dir: p.app.cwd,
		Stopped: p.stopped(s.ID),
		OnStep: func(e provision.StepEvent) error {
			if e.State == provision.StepStarted {
				p.pause.before(ctx, p.story, fmt.Sprintf("provisioner %d (%s)", e.Index+1, e.Step.Type))
			}
			return noteStep(run, e)
		},
		Ask: p.app.asker(),
	})
}

func noteStep(run *journal.Run, e provision.StepEvent) error {
	data := map[string]string{"index": fmt.Sprint(e.Index), "type": e.Step.Type}
	switch e.State {
	case provision.StepStarted:
		return run.Begin(journal.Step, data)
	case provision.StepFailed:
		return run.Fail(journal.Step, fmt.Sprintf("provisioner %d (%s) failed", e.Index+1, e.Step.Type), data)
	}
	return run.Done(journal.Step, data)
}

// stopped asks whether a server has shut itself down, as Sysprep does at the end of a Windows bake.
func (p provisioner) stopped(serverNo string) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		server, err := p.client.On(string(p.plan.Platform)).GetServerInstanceDetail(ctx, serverNo)
		return err == nil && server.Status == "NSTOP", err
	}
}

// reach gathers what it takes to log in.
func (p provisioner) reach(ctx context.Context, s terraform.Server, key bake.LoginKey) (provision.Target, error) {
	comm := p.build.Communicator
	t := provision.Target{
		Host: s.PublicIP, Port: comm.Port, User: comm.Username, Password: comm.Password, PrivateKey: key.PrivateKey,
		Dial: p.target.dial, Ask: p.app.asker(),
		Facts: provision.Facts{ACGNo: s.ACGNo, OwnACG: s.ACGNo != "", SourceCIDRs: p.plan.SourceCIDRs, PrivateIP: s.PublicIP == "", InitScript: p.plan.InitScript != ""},
	}
	if t.Host == "" {
		t.Host = s.PrivateIP
	}
	if comm.Host != "" {
		t.Host = comm.Host
	}
	if len(p.plan.ACGNos) > 0 {
		t.Facts.ACGNo = p.plan.ACGNos[0]
	}
	if t.PrivateKey == nil && comm.PrivateKeyFile != "" {
		pem, err := p.privateKey()
		if err != nil {
			return t, err
		}
		t.PrivateKey = []byte(pem)
	}
	p.app.redact.Add(string(t.PrivateKey), t.Password)
	if t.Password != "" || t.PrivateKey == nil || comm.Type == "none" {
		return t, nil
	}
	password, err := p.password(ctx, s.ID, string(t.PrivateKey))
	if err != nil && comm.Type == "winrm" {
		return t, fmt.Errorf("get the Administrator's password: %w", err)
	}
	if err != nil {
		if ctx.Err() != nil {
			return t, err
		}
		p.story.Info("no password to log in with (%s); the key must do", err)
	}
	p.app.redact.Add(password)
	t.Password = password
	return t, nil
}

// privateKey is what ssh_private_key_file holds.
func (p provisioner) privateKey() (string, error) {
	pem, err := os.ReadFile(p.build.Communicator.PrivateKeyFile)
	if err != nil {
		return "", fmt.Errorf("read ssh_private_key_file: %w", err)
	}
	p.app.redact.Add(string(pem))
	return string(pem), nil
}

// password asks for the server's first password, which may not be there right after the first boot.
func (p provisioner) password(ctx context.Context, serverNo, privateKey string) (password string, err error) {
	api := p.client.On(string(p.plan.Platform))
	err = p.client.Wait(ctx, ncloud.WaitFor{
		What: "the first password of server " + serverNo, Timeout: passwordTimeout, Progress: progress(p.story),
		Poll: func(ctx context.Context) (string, bool, error) {
			password, err = api.GetRootPassword(ctx, serverNo, privateKey)
			if ncloud.IsState(err) || ncloud.IsTransient(err) || (err == nil && password == "") {
				return "not there yet", false, nil
			}
			return "", err == nil, err
		},
	})
	return password, err
}

func sourceImage(r config.Resolved) string {
	for _, s := range []string{r.MemberServerImageNo, r.ServerImageNumber, r.ServerImageProductCode} {
		if s != "" {
			return s
		}
	}
	return ""
}

// postProcessor runs the template's post-processors.
type postProcessor struct {
	maker
	build *config.Build
	story *ui.Story
}

func (p postProcessor) PostProcess(ctx context.Context, r bake.Result) error {
	if len(p.build.PostProcessors) == 0 {
		return nil
	}
	return postprocess.Run(ctx, postprocess.Options{
		Sequences: p.build.PostProcessors,
		Values: config.RunValues{
			BuildName: p.build.Label, BuilderType: p.build.Type, RunUUID: p.runUUID, ID: r.Server.ID, Host: r.Server.PublicIP,
			ImageNo: r.Image.No, ImageName: r.Image.Name, Region: r.Plan.RegionCode, Platform: string(r.Plan.Platform), SourceImageName: sourceImage(r.Plan),
		},
		Story: p.story, Redactor: p.app.redact, Dir: p.app.cwd,
		Force: p.force,
	})
}
