package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/journal"
	"github.com/tfbake/tfbake/internal/localcloud"
	"github.com/tfbake/tfbake/internal/ncloud"
	"github.com/tfbake/tfbake/internal/sourceip"
	"github.com/tfbake/tfbake/internal/ui"
)

// Names of the providers, as -provider takes them.
const (
	officialProvider = "official"
	embeddedProvider = "embedded"
)

// target is the cloud to bake in: an account, or the simulation. What differs between the two is here and nowhere else:
// endpoint, keys, how to open a connection, who may connect, and the default provider.
type target struct {
	gateway     string              // replaces the site's endpoint; empty: the site's own
	credentials *ncloud.Credentials // nil: from the template, the environment, …
	dial        func(ctx context.Context, network, addr string) (net.Conn, error)
	sourceCIDRs func(ctx context.Context) ([]string, error)
	provider    string
	localDir    string
	close       func() error
}

// account is the target of a real bake.
func (a *app) account() *target {
	return &target{
		gateway:     a.getenv("NCLOUD_API_GW"),
		dial:        (&net.Dialer{}).DialContext,
		sourceCIDRs: a.askSourceCIDRs,
		provider:    officialProvider,
		close:       func() error { return nil },
	}
}

// askSourceCIDRs tells who may connect to the server when the template does not say: this machine.
func (a *app) askSourceCIDRs(ctx context.Context) ([]string, error) {
	if v := a.getenv("TFBAKE_SOURCE_CIDRS"); v != "" {
		from, err := sourceip.Parse(v)
		if err != nil {
			return nil, fmt.Errorf("TFBAKE_SOURCE_CIDRS: %w", err)
		}
		return from, nil
	}
	url := a.getenv("TFBAKE_CHECKIP_URL")
	if url == "" {
		url = sourceip.DefaultURL
	}
	cidr, err := sourceip.Ask(ctx, url)
	if err != nil {
		return nil, err
	}
	return []string{cidr}, nil
}

// simulated is the simulated cloud, in this process or another one.
type simulated interface {
	Endpoint() string
	Credentials() (accessKey, secretKey string)
	DialContext(ctx context.Context, network, addr string) (net.Conn, error)
	Close() error
}

// simulation is the target of a -local bake. Its cloud runs in this process, unless one already runs for the directory
// (`tfbake local serve`, another bake): then that one is used. ctx ending does not end it, for the way down needs it.
func (a *app) simulation(ctx context.Context, dir string) (*target, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	cloud, err := a.startOrAttach(context.WithoutCancel(ctx), dir)
	if err != nil {
		return nil, err
	}
	access, secret := cloud.Credentials()
	return &target{
		gateway:     cloud.Endpoint(),
		credentials: &ncloud.Credentials{AccessKey: access, SecretKey: secret, Source: "the simulated cloud"},
		dial:        cloud.DialContext,
		sourceCIDRs: func(context.Context) ([]string, error) { return []string{"127.0.0.0/8"}, nil },
		provider:    embeddedProvider,
		localDir:    dir,
		close:       func() error { return a.closeLocal(cloud) },
	}, nil
}

func (a *app) startOrAttach(ctx context.Context, dir string) (simulated, error) {
	cloud, err := a.startLocal(ctx, dir)
	var used *localcloud.InUseError
	if errors.As(err, &used) && used.Endpoint != "" {
		return localcloud.Attach(ctx, used)
	}
	if err != nil {
		return nil, err // not a typed nil
	}
	return cloud, nil
}

// closeLocal ends the cloud of this process once nobody else uses it.
func (a *app) closeLocal(cloud simulated) error {
	own, ok := cloud.(*localcloud.Cloud)
	if !ok {
		return cloud.Close()
	}
	err := own.WaitForClients(a.hard, func() {
		a.story.Say("another tfbake uses this simulated cloud: waiting for it to end (Ctrl-C twice does not)")
	})
	return errors.Join(err, own.Close())
}

// endpointForLater is the endpoint that a later tfbake needs to be told: not the simulation's, whose port is new each time,
// and not a site's own.
func (t *target) endpointForLater() string {
	if t.localDir != "" {
		return ""
	}
	return t.gateway
}

// client makes the API client of a build: site and keys from the template, else from the environment. It names no region
// yet; preflight finds it in the region list.
func (a *app) client(ctx context.Context, t *target, src config.Source, story *ui.Story) (*ncloud.Client, error) {
	site := src.Site
	if site == "" {
		site = a.getenv("NCLOUD_SITE")
	}
	endpoint, err := ncloud.Endpoint(site, t.gateway)
	if err != nil {
		return nil, err
	}
	var keys ncloud.Credentials
	if t.credentials != nil {
		keys = *t.credentials
	} else {
		home, _ := os.UserHomeDir() // without one there is no file to look at
		keys, err = ncloud.ResolveCredentials(ctx, ncloud.CredentialOptions{AccessKey: src.AccessKey, SecretKey: src.SecretKey, Env: a.getenv, Home: home})
		if err != nil {
			return nil, err
		}
	}
	a.redact.Add(keys.AccessKey, keys.SecretKey)
	return ncloud.New(ncloud.Options{
		Endpoint: endpoint, Credentials: keys, UserAgent: "tfbake/" + toolVersion(), Transport: a.log.transport(),
		Renewed: func(fresh ncloud.Credentials) { a.redact.Add(fresh.AccessKey, fresh.SecretKey) },
		Log: func(e ncloud.Event) {
			if e.Wait == 0 {
				story.Info("%s", e.Err)
				return
			}
			story.Info("%s; trying again in %s", strings.TrimSpace(e.Err.Error()), e.Wait.Round(100_000_000))
		},
	})
}

// accountOf is what the facts of a run say of a client's account; "" for a server role's keys, which change in time.
func accountOf(ctx context.Context, c *ncloud.Client, runID string) string {
	keys := c.Credentials(ctx)
	if !keys.Expires.IsZero() {
		return ""
	}
	return journal.AccountOf(runID, keys.AccessKey)
}

// clientOf makes the API client for looking after an earlier run.
func (a *app) clientOf(ctx context.Context, t *target, f journal.Facts, story *ui.Story) (*ncloud.Client, error) {
	if t.gateway == "" {
		t.gateway = f.Endpoint
	}
	c, err := a.client(ctx, t, config.Source{Site: f.Site}, story)
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", f.RunID, err)
	}
	return c.In(ncloud.Region{Code: f.Region, No: f.RegionNo}), nil
}
