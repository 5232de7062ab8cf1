package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/lookup"
	"github.com/tfbake/tfbake/internal/ncloud"
)

// lazyTarget chooses the cloud when it is first asked for: by a data block while the template is read, else by the run.
type lazyTarget struct {
	choose func() (*target, error)
	t      *target
	err    error
}

func (l *lazyTarget) get() (*target, error) {
	if l.t == nil && l.err == nil {
		l.t, l.err = l.choose()
	}
	return l.t, l.err
}

func (l *lazyTarget) close() error {
	if l.t == nil {
		return nil
	}
	return l.t.close()
}

// lazily returns the target that the flags name.
func (a *app) lazily(ctx context.Context, o cloudFlags, localDir string) *lazyTarget {
	return &lazyTarget{choose: func() (*target, error) { return a.chooseTarget(ctx, o, localDir) }}
}

// httpDataTimeout bounds one data "http" block.
const httpDataTimeout = time.Minute

// withData has the data blocks of a template asked and fetched, in the cloud of the run.
func (a *app) withData(l *lazyTarget) option {
	source := &lookup.Source{
		Default: lookup.Place{Region: a.getenv("NCLOUD_REGION"), Site: a.getenv("NCLOUD_SITE")},
		Client: func(ctx context.Context, p lookup.Place) (*ncloud.Client, error) {
			t, err := l.get()
			if err != nil {
				return nil, err
			}
			a.redact.Add(p.SecretKey)
			return a.client(ctx, t, config.Source{Site: p.Site, Region: p.Region, AccessKey: p.AccessKey, SecretKey: p.SecretKey}, a.story)
		},
	}
	return func(o *config.Options) {
		o.Data = source
		o.HTTP = &http.Client{Timeout: httpDataTimeout, Transport: userAgent{http.DefaultTransport}}
	}
}

// userAgent names us to the servers of data "http" blocks, which may ask that of their clients.
type userAgent struct{ http.RoundTripper }

func (u userAgent) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("User-Agent") == "" {
		r = r.Clone(r.Context())
		r.Header.Set("User-Agent", "tfbake/"+toolVersion())
	}
	return u.RoundTripper.RoundTrip(r)
}

// serverSize is a build's size in words, for inspect.
func serverSize(s config.Source) string {
	return cmp.Or(s.ServerSpecCode, s.ServerProductCode, "the smallest that fits")
}

// serverBase is what a build starts from in words, for inspect.
func serverBase(s config.Source) string {
	switch {
	case s.ServerImageNumber != "":
		return "server image " + s.ServerImageNumber
	case s.MemberServerImageNo != "":
		return "member image " + s.MemberServerImageNo
	case s.ServerImageProductCode != "":
		return s.ServerImageProductCode
	}
	return fmt.Sprintf("(%s)", "known while the bake runs")
}
