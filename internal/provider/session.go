package provider

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/tfbake/tfbake/internal/ncloud"
)

// defaultTimeout bounds operations that have no timeout of their own, and every data source.
const defaultTimeout = 20 * time.Minute

// providerSchema is the provider block, the same in both flavours.
var providerSchema = schema{attributes: map[string]*attribute{
	"access_key":  text(optional),
	"secret_key":  text(optional),
	"region":      text(optional),
	"site":        text(optional),
	"support_vpc": flag(optional),
}}.finish()

// session is a configured provider: the API of one region.
type session struct {
	flavour Flavour
	options Options
	client  *ncloud.Client
	api     ncloud.Platform // the flavour's; what only one platform has is asked of vpc and classic
	vpc     *ncloud.VPCService
	classic *ncloud.ClassicService
	regions []ncloud.Region
}

// configure makes a session of the provider block, falling back to the environment by the official provider's names. A
// ready-made client in the options takes the place of keys and site.
func configure(ctx context.Context, o Options, config *object) (*session, error) {
	env := o.Env
	if env == nil {
		env = os.Getenv
	}
	first := func(name string, variables ...string) string {
		if v := config.text(name); v != "" {
			return v
		}
		for _, variable := range variables {
			if v := env(variable); v != "" {
				return v
			}
		}
		return ""
	}

	site := first("site", "NCLOUD_SITE")
	switch vpc := config.flag("support_vpc"); {
	case o.Flavour == VPC && !vpc:
		return nil, errors.New("support_vpc = true is missing: version 4 of the provider speaks to VPC only; for Classic require version 3.3.2")
	case o.Flavour == Classic && (vpc || env("NCLOUD_SUPPORT_VPC") != ""):
		return nil, errors.New("support_vpc is set: tfbake's embedded provider speaks to Classic only in version 3.3.2; for VPC require version ~> 4.0")
	case o.Flavour == Classic && site == "fin":
		return nil, errors.New("site fin has no Classic platform; require version ~> 4.0 with support_vpc = true")
	}

	region := first("region", "NCLOUD_REGION")
	client := o.Client
	if client == nil {
		keys := ncloud.Credentials{
			AccessKey: first("access_key", "NCLOUD_ACCESS_KEY", "NCLOUD_ACCESS_KEY_ID"),
			SecretKey: first("secret_key", "NCLOUD_SECRET_KEY", "NCLOUD_SECRET_ACCESS_KEY"),
			Source:    "the provider block or NCLOUD_ACCESS_KEY and NCLOUD_SECRET_KEY",
		}
		switch {
		case keys.AccessKey == "":
			return nil, errors.New("the access key is missing: set access_key or NCLOUD_ACCESS_KEY")
		case keys.SecretKey == "":
			return nil, errors.New("the secret key is missing: set secret_key or NCLOUD_SECRET_KEY")
		}
		endpoint, err := ncloud.Endpoint(site, env("NCLOUD_API_GW"))
		if err != nil {
			return nil, err
		}
		client, err = ncloud.New(ncloud.Options{
			Endpoint: endpoint, Credentials: keys, Transport: o.Transport, UserAgent: "tfbake-provider/" + o.Flavour.Version(),
			Pace: ncloud.Pace{First: o.PollMin, Max: o.PollMax},
			Log: func(e ncloud.Event) {
				logTo(o.Log, "%s %s: again in %s: %v", e.Action, e.Subject, e.Wait.Round(time.Millisecond), e.Err)
			},
		})
		if err != nil {
			return nil, err
		}
	} else if region == "" {
		region = client.RegionCode()
	}
	if region == "" {
		return nil, errors.New("the region is missing: set region or NCLOUD_REGION, to KR for example")
	}

	s := &session{flavour: o.Flavour, options: o}
	regions, err := client.On(o.Flavour.String()).GetRegionList(ctx)
	if err != nil {
		return nil, err
	}
	s.regions = regions
	r, err := ncloud.ResolveRegion(s.regions, region)
	if err != nil {
		return nil, err
	}
	if r.Code != region {
		// The official provider takes codes only; the same configuration is to work with both.
		return nil, fmt.Errorf("region %q is not a region code; write %s", region, r.Code)
	}
	s.client = client.In(r)
	s.api, s.vpc, s.classic = s.client.On(o.Flavour.String()), s.client.VPC, s.client.Classic
	return s, nil
}

func (s *session) logf(format string, args ...any) { logTo(s.options.Log, format, args...) }

// wait polls until done, at growing intervals, for as long as the operation's deadline allows.
func (s *session) wait(ctx context.Context, what string, poll func(context.Context) (state string, done bool, err error)) error {
	limit := defaultTimeout // but operations have a deadline of their own, see bounded
	if deadline, ok := ctx.Deadline(); ok {
		limit = time.Until(deadline)
	}
	last := ""
	err := s.client.Wait(ctx, ncloud.WaitFor{What: what, Timeout: limit, Poll: poll, Progress: func(p ncloud.Progress) {
		if p.State != last {
			last = p.State
			s.logf("waiting for %s: %s", what, p.State)
		}
	}})
	if err == nil {
		s.logf("done waiting for %s", what)
	}
	return err
}

// insist repeats a write for as long as again says so of its error and the operation's deadline allows.
func (s *session) insist(ctx context.Context, what string, again func(error) bool, do func(context.Context) error) error {
	var refused error
	err := s.wait(ctx, what, func(ctx context.Context) (string, bool, error) {
		if refused = do(ctx); refused == nil {
			return "", true, nil
		}
		if again(refused) && ctx.Err() == nil {
			return "refused for now", false, nil
		}
		return "", false, refused
	})
	switch {
	case err == nil:
		return nil
	case refused != nil && ctx.Err() == nil:
		return fmt.Errorf("%s: %w", what, refused)
	case refused != nil && !errors.Is(err, refused):
		return fmt.Errorf("%w; the API's last word: %w", err, refused)
	}
	return err
}

// gone says that the object does not exist (any more).
func gone(err error) bool { return ncloud.IsNotFound(err) }

// missingIsFine turns "does not exist" into the answer of a read.
func missingIsFine(err error) (bool, error) {
	if gone(err) {
		return false, nil
	}
	return false, err
}

// untilGone is the answer of a poll that waits for an object's end.
func untilGone(state string, err error) (string, bool, error) {
	if gone(err) {
		return "gone", true, nil
	}
	return state, false, err
}

// busy says that the API refused because something else is under way with the object, or that it is in trouble of its own.
// The same call will do later.
func busy(err error) bool {
	return ncloud.IsState(err) || ncloud.IsTransient(err) || hasCode(err, "23003")
}

// passing is trouble of the API's own, after which what was asked may have happened.
func passing(err error) bool { return ncloud.IsTransient(err) || ncloud.IsUncertain(err) }

// stillUsed also takes plain refusals for passing ones, for a while: just after a server's end, what it used counts as used, and
// the API's codes for that are not known one by one.
func stillUsed() func(error) bool {
	const patience = 30 * time.Second
	start := time.Now()
	return func(err error) bool {
		if busy(err) {
			return true
		}
		e, ok := errors.AsType[*ncloud.APIError](err)
		return ok && e.HTTPStatus == 400 && !e.Gateway && !gone(err) && !ncloud.IsAuth(err) && time.Since(start) < patience
	}
}

func hasCode(err error, code string) bool {
	e, ok := errors.AsType[*ncloud.APIError](err)
	return ok && e.Code == code && !e.Gateway
}

// explain tells a stop and a deadline from what they made of a call.
func (s *session) explain(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("stopped: %w", err)
	}
	return err
}
