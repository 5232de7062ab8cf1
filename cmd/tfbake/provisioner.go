package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/tfbake/tfbake/internal/bake"
	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/journal"
	"github.com/tfbake/tfbake/internal/ncloud"
	"github.com/tfbake/tfbake/internal/postprocess"
	"github.com/tfbake/tfbake/internal/provision"
	"github.com/tfbake/tfbake/internal/terraform"
	"github.com/tfbake/tfbake/internal/ui"
)

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
