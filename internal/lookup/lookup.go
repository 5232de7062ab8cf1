// Package lookup answers a template's data blocks about the account: data "ncloud-image", "ncloud-spec" and
// "ncloud-subnet" find a number or code by what people know, such as "the latest Ubuntu 22.04 for KVM".
//
// Asking (this file) is apart from choosing (choose.go), which is a function of what was asked and what the API said.
package lookup

import (
	"cmp"
	"context"
	"fmt"

	"github.com/zclconf/go-cty/cty"

	"github.com/tfbake/tfbake/internal/ncloud"
)

// Place is where a data block wants to look, and with which keys; empty: as everywhere else.
type Place struct{ Site, Region, AccessKey, SecretKey string }

// Source reads data blocks. It is a config.DataSource.
type Source struct {
	// Client makes the API client for a place; it need not be in the region yet. Called once for each place.
	Client func(ctx context.Context, p Place) (*ncloud.Client, error)
	// Default is the place of a block that does not say.
	Default Place

	clients map[regionOf]*ncloud.Client
}

type regionOf struct {
	Place
	platform string
}

// Read answers one block. Templates are read one block at a time: Read is not for concurrent use.
func (s *Source) Read(ctx context.Context, typ string, args cty.Value) (cty.Value, error) {
	switch typ {
	case "ncloud-image":
		q, err := imageQueryOf(args)
		if err != nil {
			return cty.NilVal, err
		}
		return s.image(ctx, q)
	case "ncloud-spec":
		q, err := specQueryOf(args)
		if err != nil {
			return cty.NilVal, err
		}
		return s.spec(ctx, q)
	case "ncloud-subnet":
		q, err := subnetQueryOf(args)
		if err != nil {
			return cty.NilVal, err
		}
		return s.subnet(ctx, q)
	}
	return cty.NilVal, fmt.Errorf("there is no data source %q", typ)
}

// client returns a client in the region of the query.
func (s *Source) client(ctx context.Context, p Place, platform string) (*ncloud.Client, error) {
	p.Site, p.Region = cmp.Or(p.Site, s.Default.Site), cmp.Or(p.Region, s.Default.Region)
	key := regionOf{p, platform}
	if c := s.clients[key]; c != nil {
		return c, nil
	}
	c, err := s.Client(ctx, p)
	if err != nil {
		return nil, err
	}
	regions, err := c.On(platform).GetRegionList(ctx)
	if err != nil {
		return nil, err
	}
	word := p.Region
	if word == "" {
		word = "KR"
		if p.Site == "fin" {
			word = "FKR"
		}
	}
	region, err := ncloud.ResolveRegion(regions, word)
	if err != nil {
		return nil, err
	}
	if s.clients == nil {
		s.clients = map[regionOf]*ncloud.Client{}
	}
	s.clients[key] = c.In(region)
	return s.clients[key], nil
}

func (s *Source) image(ctx context.Context, q imageQuery) (cty.Value, error) {
	c, err := s.client(ctx, q.Place, q.platform)
	if err != nil {
		return cty.NilVal, err
	}
	var all []image
	if q.platform == classic {
		all, err = classicImages(ctx, c, q)
	} else {
		all, err = vpcImages(ctx, c, q)
	}
	if err != nil {
		return cty.NilVal, err
	}
	img, err := q.choose(all)
	if err != nil {
		return cty.NilVal, err
	}
	return img.value(q.platform), nil
}

func classicImages(ctx context.Context, c *ncloud.Client, q imageQuery) (all []image, err error) {
	if !q.ownOnly() {
		products, err := c.Classic.GetServerImageProductList(ctx, ncloud.ImageProductFilter{})
		if err != nil {
			return nil, err
		}
		for _, p := range products {
			all = append(all, imageOfProduct(p, ""))
		}
	}
	if !q.publicOnly() {
		own, err := c.Classic.GetMemberServerImageList(ctx, ncloud.MemberImageFilter{})
		if err != nil {
			return nil, err
		}
		for _, m := range own {
			all = append(all, imageOfMember(m, ""))
		}
	}
	return all, nil
}

func vpcImages(ctx context.Context, c *ncloud.Client, q imageQuery) (all []image, err error) {
	numbered, err := c.VPC.GetServerImageList(ctx, ncloud.ServerImageFilter{})
	if err != nil {
		return nil, err
	}
	hypervisor := map[string]string{} // of image products, which do not say it themselves
	for _, i := range numbered {
		hypervisor[i.ProductCode] = i.Hypervisor
		if i.Hypervisor == kvm {
			all = append(all, imageOfNumber(i))
		}
	}
	if q.hypervisor == kvm {
		return all, nil
	}
	if !q.ownOnly() {
		products, err := c.VPC.GetServerImageProductList(ctx, ncloud.ImageProductFilter{})
		if err != nil {
			return nil, err
		}
		for _, p := range products {
			if h := hypervisor[p.Code]; h != kvm { // a KVM image is named by its number only
				all = append(all, imageOfProduct(p, cmp.Or(h, "XEN")))
			}
		}
	}
	if !q.publicOnly() {
		own, err := c.VPC.GetMemberServerImageInstanceList(ctx, ncloud.MemberImageFilter{})
		if err != nil {
			return nil, err
		}
		for _, m := range own {
			all = append(all, imageOfMember(m, cmp.Or(hypervisor[m.OriginalImageProductCode], "XEN")))
		}
	}
	return all, nil
}

func (s *Source) spec(ctx context.Context, q specQuery) (cty.Value, error) {
	c, err := s.client(ctx, q.Place, q.platform)
	if err != nil {
		return cty.NilVal, err
	}
	var all []spec
	switch {
	case q.imageProduct != "":
		list := c.VPC.GetServerProductList
		if q.platform == classic {
			list = c.Classic.GetServerProductList
		}
		products, err := list(ctx, ncloud.ServerProductFilter{ImageProductCode: q.imageProduct})
		if err != nil {
			return cty.NilVal, err
		}
		for _, p := range products {
			all = append(all, specOfProduct(p))
		}
	default:
		specs, err := c.VPC.GetServerSpecList(ctx, ncloud.SpecFilter{ImageNo: q.imageNumber})
		if err != nil {
			return cty.NilVal, err
		}
		for _, p := range specs {
			all = append(all, specOf(p))
		}
	}
	found, err := q.choose(all)
	if err != nil {
		return cty.NilVal, err
	}
	return found.value(), nil
}

func (s *Source) subnet(ctx context.Context, q subnetQuery) (cty.Value, error) {
	c, err := s.client(ctx, q.Place, vpc)
	if err != nil {
		return cty.NilVal, err
	}
	vpcs, err := c.VPC.GetVpcList(ctx, ncloud.VPCFilter{})
	if err != nil {
		return cty.NilVal, err
	}
	subnets, err := c.VPC.GetSubnetList(ctx, ncloud.SubnetFilter{})
	if err != nil {
		return cty.NilVal, err
	}
	n, v, err := q.choose(vpcs, subnets)
	if err != nil {
		return cty.NilVal, err
	}
	return subnetValue(n, v), nil
}
