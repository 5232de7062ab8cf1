package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"golang.org/x/term"

	"github.com/tfbake/tfbake/internal/bake"
	"github.com/tfbake/tfbake/internal/clock"
	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/journal"
	"github.com/tfbake/tfbake/internal/ncloud"
	"github.com/tfbake/tfbake/internal/provision"
	"github.com/tfbake/tfbake/internal/tempdir"
	"github.com/tfbake/tfbake/internal/terraform"
	"github.com/tfbake/tfbake/internal/ui"
)

// sshFlags are the flags of `tfbake ssh`.
type sshFlags struct {
	templateFlags
	cloudFlags
	template string
}

func cmdSSH(ctx context.Context, a *app, args []string) error {
	f := a.flags("ssh", "RUN [COMMAND…]", "Logs in to the server of a run that is kept, was cut off, or is under way, as its provisioners do, or runs a command\nthere and ends with its exit code. What stands behind RUN and its flags is the command's.")
	var o sshFlags
	o.templateFlags.register(f.FlagSet)
	f.StringVar(&o.cloudFlags.terraform, "terraform", a.getenv("TFBAKE_TERRAFORM"), "the terraform or tofu program, for -backend")
	f.StringVar(&o.backend, "backend", a.getenv("TFBAKE_BACKEND"), backendUsage)
	f.StringVar(&o.template, "template", "", "where the template is on this machine, for a run of another one")
	name, command, err := f.parseCommand(args)
	if err != nil {
		return err
	}
	return a.ssh(ctx, name, command, o)
}

// parseCommand is parse for a command that takes a run and a command line: what follows the run and its flags is not ours.
func (f flags) parseCommand(args []string) (name string, command []string, err error) {
	for range 2 { // flags may stand before and after the run
		if err := f.parseFlags(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				f.Usage()
				return "", nil, err
			}
			return "", nil, f.misused(err)
		}
		if args = f.Args(); name == "" && len(args) > 0 {
			name, args = args[0], args[1:]
		}
	}
	if name == "" {
		return "", nil, f.misused(errors.New("ssh takes a run"))
	}
	return name, args, nil
}

func (a *app) ssh(ctx context.Context, name string, command []string, o sshFlags) (err error) {
	run, rec, remove, err := a.lookAt(ctx, name, o.cloudFlags)
	if err != nil {
		return err
	}
	defer remove()
	facts := rec.Facts
	if facts.Platform == "" || bake.Server(rec) == "" {
		return failWith(exitUsage, fmt.Errorf("run %s has no server to log in to yet", facts.RunID))
	}
	if err := templateHere(&facts, o.template); err != nil {
		return err
	}
	o.local = facts.LocalDir != ""
	cloud := a.lazily(ctx, o.cloudFlags, facts.LocalDir)
	defer func() { err = errors.Join(err, cloud.close()) }()
	t, err := cloud.get()
	if err != nil {
		return err
	}
	story := a.story.Named(facts.Build)
	client, err := a.clientOf(ctx, t, facts, story)
	if err != nil {
		return failWith(exitPreflight, err)
	}
	server, err := serverOf(ctx, client, rec)
	if err != nil {
		return err
	}
	plan, err := bake.LoadPlan(run.Dir)
	if err != nil {
		return err
	}
	build := a.communicatorOf(ctx, client, facts, o, a.withData(cloud), story)
	if build.Communicator.Type == "none" {
		build.Communicator.Type = "ssh" // the template's provisioners do not log in; a person may
	}
	if build.Communicator.Type == "winrm" && len(command) == 0 {
		return failWith(exitUsage, fmt.Errorf("the server of run %s is reached over WinRM, which has no shell to log in to: `tfbake ssh %s COMMAND` runs one command with cmd.exe", facts.RunID, facts.RunID))
	}

	key := bake.LoginKey{Name: plan.LoginKeyName}
	if plan.LoginKeyName == plan.Name+config.KeySuffix {
		if key, err = (keys{client, plan.Platform}).Recall(run, plan.LoginKeyName); err != nil {
			return fmt.Errorf("the login key of run %s: %w", facts.RunID, err)
		}
	}
	p := provisioner{maker{app: a, target: t}, build, plan, client, story}
	target, err := p.reach(ctx, server, key)
	if err != nil {
		return failWith(exitProvision, err)
	}
	comm, err := provision.Connect(ctx, build.Communicator, target, story)
	if err != nil {
		return failWith(exitCodeOf(&bake.Error{Stage: bake.StageProvision, Err: err}), err)
	}
	defer comm.Close()
	exit, err := 0, error(nil)
	if len(command) > 0 {
		exit, err = comm.Run(ctx, provision.Command{Line: strings.Join(command, " "), Stdin: a.stdin, Stdout: a.stdout, Stderr: a.stderr})
	} else {
		exit, err = a.shell(ctx, comm)
	}
	if err != nil {
		return failWith(exitCodeOf(&bake.Error{Stage: bake.StageProvision, Err: err}), err)
	}
	if exit != 0 {
		return &exitError{code: exit}
	}
	return nil
}

// lookAt reads a run without taking it from whoever works on it: from its directory or, with a backend, from what another
// machine noted. The run cannot be written to.
func (a *app) lookAt(ctx context.Context, name string, o cloudFlags) (*journal.Run, journal.Record, func(), error) {
	nothing := func() {}
	dir, notHere := a.findRun(name)
	if notHere == nil {
		rec, err := journal.Read(dir)
		return &journal.Run{Dir: dir, Facts: rec.Facts}, rec, nothing, err
	}
	_, note, err := a.sharedNote(ctx, name, o, "ssh", notHere)
	if err != nil {
		return nil, journal.Record{}, nothing, err
	}
	rec, err := note.Record(clock.Now())
	if err != nil {
		return nil, rec, nothing, err
	}
	dir, remove, err := tempdir.Make()
	if err != nil {
		return nil, rec, nothing, err
	}
	if err := note.WriteFiles(dir); err != nil {
		remove()
		return nil, rec, nothing, err
	}
	return &journal.Run{Dir: dir, Facts: rec.Facts}, rec, remove, nil
}

// serverOf asks the API for the run's server, and says why nobody can log in to it.
func serverOf(ctx context.Context, client *ncloud.Client, rec journal.Record) (terraform.Server, error) {
	id, no := rec.Facts.RunID, bake.Server(rec)
	s, err := client.On(rec.Facts.Platform).GetServerInstanceDetail(ctx, no)
	switch {
	case ncloud.IsNotFound(err) || err == nil && s.Status == "TERMT":
		return terraform.Server{}, failWith(exitUsage, fmt.Errorf("server %s of run %s does not exist any more", no, id))
	case err != nil:
		return terraform.Server{}, err
	case s.Status == "NSTOP":
		return terraform.Server{}, failWith(exitUsage, fmt.Errorf("server %s of run %s is stopped, as it is for the making of the image: nobody can log in", no, id))
	}
	out := terraform.Server{ID: s.No, Name: s.Name, PublicIP: s.PublicIP, PrivateIP: s.PrivateIP}
	if out.PublicIP != "" || out.PrivateIP != "" || len(s.NetworkInterfaceNos) == 0 {
		return out, nil
	}
	nic, err := client.VPC.GetNetworkInterfaceDetail(ctx, s.NetworkInterfaceNos[0])
	out.PrivateIP = nic.IP
	return out, err
}

// communicatorOf returns a build that knows how its server is reached: the template's, or where that cannot be had any more
// the one that fits most servers.
func (a *app) communicatorOf(ctx context.Context, client *ncloud.Client, f journal.Facts, o sshFlags, withData option, story *ui.Story) *config.Build {
	b, err := a.buildOf(ctx, client, f, o, withData)
	if err != nil {
		story.Info("%s: trying root at port 22", err)
		return &config.Build{Name: f.Build, Communicator: config.Communicator{Type: "ssh"}}
	}
	own := *b
	c := &own.Communicator
	c.PauseBeforeConnecting, c.LocalTunnels, c.RemoteTunnels = 0, nil, nil // the bake's own; the ports may be in use by it
	return &own
}

// buildOf reads the run's build from its template.
func (a *app) buildOf(ctx context.Context, client *ncloud.Client, f journal.Facts, o sshFlags, withData option) (*config.Build, error) {
	if f.Template == "" || f.Template == "-" {
		return nil, errors.New("the run's template came from standard input")
	}
	switch digest, err := templateDigest(f.Template); {
	case err != nil:
		return nil, fmt.Errorf("the run's template cannot be read (%w)", err)
	case digest != f.TemplateDigest:
		return nil, fmt.Errorf("%s is not as it was when the run began", f.Template)
	}
	tmpl, diags, err := a.read(ctx, f.Template, o.templateFlags, f.LoadedAt, withData)
	if err != nil {
		return nil, err
	}
	if diags.HasErrors() {
		return nil, fmt.Errorf("the run's template cannot be read without what the run was given (%s), such as -var", firstError(diags))
	}
	for _, b := range tmpl.Builds {
		if b.Name == f.Build {
			return b, nil
		}
	}
	return nil, fmt.Errorf("%s has no build %q", f.Template, f.Build)
}

func firstError(diags hcl.Diagnostics) string {
	for _, d := range diags {
		if d.Severity == hcl.DiagError {
			return d.Summary
		}
	}
	return ""
}

// resizeEvery is how often the terminal's size is looked at: not every system tells when it changes.
const resizeEvery = 250 * time.Millisecond

// shell connects this terminal with a shell on the server.
func (a *app) shell(ctx context.Context, comm provision.Communicator) (int, error) {
	t := provision.Terminal{In: a.stdin, Out: a.stdout, Err: a.stderr}
	in, ok := a.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return provision.Shell(ctx, comm, t) // what is piped in are commands
	}
	fd := int(in.Fd())
	if t.Kind = a.getenv("TERM"); t.Kind == "" {
		t.Kind = "xterm"
	}
	size := func() provision.Size {
		columns, rows, err := term.GetSize(fd)
		if err != nil || columns == 0 || rows == 0 {
			return provision.Size{Columns: 80, Rows: 24}
		}
		return provision.Size{Columns: columns, Rows: rows}
	}
	t.Size = size()
	resized := make(chan provision.Size)
	t.Resized = resized
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		tick := time.NewTicker(resizeEvery)
		defer tick.Stop()
		for last := t.Size; ; {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			if now := size(); now != last {
				last = now
				select {
				case resized <- now:
				case <-ctx.Done():
				}
			}
		}
	}()
	before, err := term.MakeRaw(fd)
	if err != nil {
		return 0, fmt.Errorf("prepare the terminal: %w", err)
	}
	defer term.Restore(fd, before)
	return provision.Shell(ctx, comm, t)
}
