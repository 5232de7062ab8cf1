package main

import (
	"context"
	"fmt"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/journal"
	"github.com/tfbake/tfbake/internal/ncloud"
	"github.com/tfbake/tfbake/internal/provider"
	"github.com/tfbake/tfbake/internal/terraform"
	"github.com/tfbake/tfbake/internal/ui"
)

// infra makes terraform for a run directory. stop ends the embedded provider, where that is used.
func (m maker) infra(run *journal.Run, p config.Platform, client *ncloud.Client, story *ui.Story, locate func(terraform.Diagnostic) string) (*terraform.Terraform, func(), error) {
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
