// Package preflight asks the API every cheap question before anything costs money, and makes all the choices the template
// left open. It reports everything it finds at once, each finding with the key and the place in the template.
//
// Asking (this file) is apart from deciding (decide.go): a decision is a function of the build and of what the API said.
package preflight

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"golang.org/x/sync/errgroup"

	"github.com/tfbake/tfbake/internal/config"
	"github.com/tfbake/tfbake/internal/ncloud"
)

// Options are what the template does not say.
type Options struct {
	RunID string // yymmdd-hhmmss-xxxx; names are derived from it
	// SourceCIDRs are the networks our own ACG lets in when the template names none: this machine's address as the
	// server will see it.
	SourceCIDRs []string
	// SourceUnknown is why SourceCIDRs is empty; nil: it was not asked for.
	SourceUnknown error
	// OfficialProvider is true when terraform will use the official provider, which has limits the embedded one has not.
	OfficialProvider bool
}

// Check resolves a build or says all that is wrong with it. client needs no region yet; the resolved region is in the
// result. Warnings may come with a usable result; when diags.HasErrors(), the result is only what was settled so far.
func Check(ctx context.Context, client *ncloud.Client, build *config.Build, o Options) (config.Resolved, hcl.Diagnostics) {
	s := &build.Source
	r := start(build, o)
	region, diags := findRegion(ctx, client, s, r.Platform)
	if diags.HasErrors() {
		return r, append(diags, checkPlain(build, r)...) // nothing else can be asked
	}
	r.RegionCode, r.RegionNo = region.Code, region.No

	a := &asker{ctx: ctx, c: client.In(region), build: build, r: &r}
	f := a.first()
	diags = append(diags, decidePlace(s, f, &r)...)
	diags = append(diags, decideImage(s, f, &r)...)
	diags = append(diags, checkPlain(build, r)...)
	diags = append(diags, checkName(s, f, &r)...)
	diags = append(diags, decideACG(build, f, o, &r)...)
	diags = append(diags, checkPublicIPs(s, f, r)...)
	diags = append(diags, checkLoginKey(build, f)...)
	diags = append(diags, checkProviderLimits(s, o, r)...)
	if f.base.ok || f.base.bySpec && s.ServerSpecCode != "" { // of an image that is not known, too: a spec may be unknown to all
		a.second(f)
		diags = append(diags, decideProduct(s, f, &r)...)
	}
	diags = append(diags, a.diags()...)
	return r, diags
}

// findRegion asks for the region list, the first question of all: it also tells whether the keys are good.
func findRegion(ctx context.Context, c *ncloud.Client, s *config.Source, p config.Platform) (ncloud.Region, hcl.Diagnostics) {
	regions, err := c.On(string(p)).GetRegionList(ctx)
	if err != nil {
		return ncloud.Region{}, hcl.Diagnostics{apiFailure(s, err)}
	}
	region, err := ncloud.ResolveRegion(regions, s.Region)
	if err == nil {
		return region, nil
	}
	summary := fmt.Sprintf("There is no region %q on %s", s.Region, platformName(p))
	var unknown *ncloud.UnknownValueError
	if !errors.As(err, &unknown) {
		return ncloud.Region{}, hcl.Diagnostics{failure(s.Range("region"), summary, err.Error())}
	}
	detail := ""
	if len(unknown.Nearest) > 0 {
		detail = "Did you mean " + orList(unknown.Nearest) + "? "
	}
	detail += "Valid: " + strings.Join(unknown.Valid, ", ") + "."
	return ncloud.Region{}, hcl.Diagnostics{failure(s.Range("region"), summary, detail)}
}

// facts are what the API said. A question that failed or was not asked leaves its zero value; known tells which were
// answered, so that no decision takes silence for "there is none".
type facts struct {
	zones         []ncloud.Zone
	imageProducts []ncloud.Product
	serverImages  []ncloud.ServerImage // VPC: NAVER's and own
	memberImages  []ncloud.MemberImage
	vpcs          []ncloud.VPC
	subnets       []ncloud.Subnet
	acgs          []ncloud.ACG
	rules         []ncloud.Rule // of the ACG in use
	publicIPs     []ncloud.PublicIP
	servers       []ncloud.Server
	keys          []ncloud.LoginKey
	products      []ncloud.Product // that fit the image
	specs         []ncloud.Spec    // that fit the image

	known map[string]bool
	base  base // what decideImage settled
}

// asker asks several questions at a time and keeps what went wrong.
type asker struct {
	ctx   context.Context
	c     *ncloud.Client
	build *config.Build
	r     *config.Resolved

	mu     sync.Mutex
	failed []error
	facts  *facts
	group  errgroup.Group
}

// ask puts a question; what it answers is stored under the lock.
func ask[T any](a *asker, name string, question func(context.Context) (T, error), store func(T)) {
	a.group.Go(func() error {
		v, err := question(a.ctx)
		a.mu.Lock()
		defer a.mu.Unlock()
		if err != nil && !ncloud.IsNotFound(err) {
			a.failed = append(a.failed, err)
			return nil
		}
		store(v)
		a.facts.known[name] = true
		return nil
	})
}

// listed makes a question of a list action with a filter.
func listed[F, T any](list func(context.Context, F) ([]T, error), f F) func(context.Context) ([]T, error) {
	return func(ctx context.Context) ([]T, error) { return list(ctx, f) }
}

// first asks everything that does not depend on another answer.
func (a *asker) first() *facts {
	f := &facts{known: map[string]bool{}}
	a.facts = f
	a.group.SetLimit(6)
	s, v, c := &a.build.Source, a.c.VPC, a.c.Classic
	if a.r.Platform == config.Classic {
		ask(a, "zones", c.GetZoneList, func(x []ncloud.Zone) { f.zones = x })
		ask(a, "imageProducts", listed(c.GetServerImageProductList, ncloud.ImageProductFilter{}), func(x []ncloud.Product) { f.imageProducts = x })
		ask(a, "memberImages", listed(c.GetMemberServerImageList, ncloud.MemberImageFilter{}), func(x []ncloud.MemberImage) { f.memberImages = x })
		ask(a, "acgs", listed(c.GetAccessControlGroupList, ncloud.ACGFilter{}), func(x []ncloud.ACG) { f.acgs = x })
		ask(a, "publicIPs", listed(c.GetPublicIpInstanceList, ncloud.PublicIPFilter{}), func(x []ncloud.PublicIP) { f.publicIPs = x })
		ask(a, "servers", listed(c.GetServerInstanceList, ncloud.ServerFilter{}), func(x []ncloud.Server) { f.servers = x })
	} else {
		ask(a, "serverImages", listed(v.GetServerImageList, ncloud.ServerImageFilter{}), func(x []ncloud.ServerImage) { f.serverImages = x })
		ask(a, "memberImages", listed(v.GetMemberServerImageInstanceList, ncloud.MemberImageFilter{}), func(x []ncloud.MemberImage) { f.memberImages = x })
		ask(a, "vpcs", listed(v.GetVpcList, ncloud.VPCFilter{}), func(x []ncloud.VPC) { f.vpcs = x })
		ask(a, "subnets", listed(v.GetSubnetList, ncloud.SubnetFilter{}), func(x []ncloud.Subnet) { f.subnets = x })
		ask(a, "publicIPs", listed(v.GetPublicIpInstanceList, ncloud.PublicIPFilter{}), func(x []ncloud.PublicIP) { f.publicIPs = x })
		ask(a, "servers", listed(v.GetServerInstanceList, ncloud.ServerFilter{}), func(x []ncloud.Server) { f.servers = x })
		if s.ServerImageNumber == "" {
			ask(a, "imageProducts", listed(v.GetServerImageProductList, ncloud.ImageProductFilter{}), func(x []ncloud.Product) { f.imageProducts = x })
		}
		if s.AccessControlGroupNo != "" {
			ask(a, "acgs", listed(v.GetAccessControlGroupList, ncloud.ACGFilter{}), func(x []ncloud.ACG) { f.acgs = x })
		}
	}
	if a.build.Communicator.KeyPairName != "" {
		ask(a, "keys", func(ctx context.Context) ([]ncloud.LoginKey, error) {
			return a.c.On(string(a.r.Platform)).GetLoginKeyList(ctx, "")
		}, func(x []ncloud.LoginKey) { f.keys = x })
	}
	a.group.Wait()
	if g, ok := usedACG(s, f); ok { // its rules only now, since a Classic build without a number uses the default one
		if a.r.Platform == config.Classic {
			ask(a, "rules", func(ctx context.Context) ([]ncloud.Rule, error) { return c.GetAccessControlRuleList(ctx, g.No) }, func(x []ncloud.Rule) { f.rules = x })
		} else {
			ask(a, "rules", func(ctx context.Context) ([]ncloud.Rule, error) {
				return v.GetAccessControlGroupRuleList(ctx, g.No, ncloud.Inbound)
			}, func(x []ncloud.Rule) { f.rules = x })
		}
		a.group.Wait()
	}
	return f
}

// second asks for the products or specs that fit the image and the zone.
func (a *asker) second(f *facts) {
	v, c := a.c.VPC, a.c.Classic
	switch {
	case a.r.Platform == config.Classic:
		ask(a, "products", listed(c.GetServerProductList, ncloud.ServerProductFilter{ImageProductCode: f.base.productCode, Zone: a.r.ZoneNo}), func(x []ncloud.Product) { f.products = x })
	case f.base.bySpec:
		ask(a, "specs", listed(v.GetServerSpecList, ncloud.SpecFilter{ImageNo: a.r.ServerImageNumber, Zone: a.r.ZoneCode}), func(x []ncloud.Spec) { f.specs = x })
	default:
		ask(a, "products", listed(v.GetServerProductList, ncloud.ServerProductFilter{ImageProductCode: f.base.productCode, MemberImageNo: a.r.MemberServerImageNo, Zone: a.r.ZoneCode}), func(x []ncloud.Product) { f.products = x })
	}
	a.group.Wait()
}

// diags reports the questions that could not be asked; refused keys once, not once per question.
func (a *asker) diags() hcl.Diagnostics {
	var out hcl.Diagnostics
	var seen []string
	for _, err := range a.failed {
		d := apiFailure(&a.build.Source, err)
		key := d.Detail
		if e, ok := errors.AsType[*ncloud.APIError](err); ok {
			key = fmt.Sprint(e.HTTPStatus, e.Code, e.Message)
		}
		if !slices.Contains(seen, key) {
			seen = append(seen, key)
			out = append(out, d)
		}
	}
	return out
}

// apiFailure is a question without an answer, placed where it can be mended.
func apiFailure(s *config.Source, err error) *hcl.Diagnostic {
	at, summary := s.Range(""), "The NAVER Cloud API could not be asked"
	if ncloud.IsAuth(err) {
		summary = "NAVER Cloud does not accept the keys"
		if s.Has("access_key") {
			at = s.Range("access_key")
		}
	}
	return failure(at, summary, err.Error())
}
