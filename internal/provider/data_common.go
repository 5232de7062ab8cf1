package provider

import (
	"context"
	"strconv"

	"github.com/zclconf/go-cty/cty"

	"github.com/tfbake/tfbake/internal/ncloud"
)

// vpcResources and its like are the tables of what each flavour has.
func vpcResources() []*resource {
	return []*resource{
		vpcServer(), networkInterface(), accessControlGroup(), accessControlGroupRule(), publicIP(VPC), initScript(),
		blockStorage(VPC), snapshot(VPC), loginKey(),
	}
}

func classicResources() []*resource {
	return []*resource{classicServer(), publicIP(Classic), blockStorage(Classic), snapshot(Classic), loginKey(), portForwardingRule()}
}

func vpcData() []*dataSource {
	return []*dataSource{
		acgData(VPC), acgsData(VPC), memberImageData(VPC), memberImagesData(VPC), publicIPData(VPC), regionsData(), rootPasswordData(), serverData(),
		imageProductData(VPC), imageProductsData(VPC), serverProductData(VPC), serverProductsData(VPC), zonesData(),
		imageNumbersData(), specsData(), subnetData(), subnetsData(), vpcOneData(), vpcsData(),
	}
}

func classicData() []*dataSource {
	return []*dataSource{
		acgData(Classic), acgsData(Classic), memberImageData(Classic), memberImagesData(Classic), publicIPData(Classic), regionsData(), rootPasswordData(),
		imageProductData(Classic), imageProductsData(Classic), serverProductData(Classic), serverProductsData(Classic), zonesData(),
		forwardingData(), forwardingsData(),
	}
}

const deprecatedLine = "This parameter is no longer used."

// ---- regions and zones

func regionsData() *dataSource {
	columns := map[string]*attribute{"region_no": text(computed), "region_code": text(computed), "region_name": text(computed)}
	return &dataSource{
		name: "ncloud_regions",
		schema: schema{
			attributes: map[string]*attribute{"id": text(optional, computed), "code": text(optional), "output_file": text(optional)},
			blocks:     map[string]*block{"filter": oldFilter, "regions": listBlock(columns)},
		}.finish(),
		read: func(ctx context.Context, s *session, o *object) error {
			var rows []row
			for _, r := range s.regions {
				if code := o.text("code"); code == "" || code == r.Code {
					rows = append(rows, row{"id": str(r.Code), "region_no": str(r.No), "region_code": str(r.Code), "region_name": str(r.Name)})
				}
			}
			rows, err := many(o, rows)
			if err != nil {
				return err
			}
			o.setText("id", hashID(ids(rows)))
			o.set("regions", table(o.schema.blocks["regions"].typ(), rows))
			return s.output(o, o.get("regions"))
		},
	}
}

func zonesData() *dataSource {
	columns := map[string]cty.Type{}
	for _, c := range []string{"zone_no", "zone_code", "zone_name", "zone_description", "region_no", "region_code"} {
		columns[c] = cty.String
	}
	return &dataSource{
		name: "ncloud_zones",
		schema: schema{
			attributes: map[string]*attribute{
				"id": text(optional, computed), "region": text(optional), "output_file": text(optional), "zones": rows(columns, computed),
			},
			blocks: map[string]*block{"filter": oldFilter},
		}.finish(),
		read: func(ctx context.Context, s *session, o *object) error {
			zones, err := s.api.GetZoneList(ctx)
			if err != nil {
				return err
			}
			var rows []row
			for _, z := range zones {
				rows = append(rows, row{
					"id": str(z.Code), "zone_no": str(z.No), "zone_code": str(z.Code), "zone_name": str(z.Name), "zone_description": str(z.Description),
					"region_no": str(z.RegionNo), "region_code": str(z.RegionCode),
				})
			}
			rows, err = filtered(o, rows)
			if err != nil {
				return err
			}
			o.setText("id", hashID(ids(rows)))
			o.set("zones", table(o.schema.attributes["zones"].typ, rows))
			return s.output(o, o.get("zones"))
		},
	}
}

// ---- access control groups

func acgRows(ctx context.Context, s *session, o *object) ([]row, error) {
	f := ncloud.ACGFilter{Name: o.text("name")}
	want := func(names ...string) *bool {
		for _, n := range names {
			if v := o.get(n); v.IsKnown() && !v.IsNull() {
				b := v.True()
				return &b
			}
		}
		return nil
	}
	isDefault := want("is_default", "is_default_group")
	if _, ok := o.values["configuration_no_list"]; ok {
		f.Nos = o.texts("configuration_no_list")
	} else {
		for _, name := range []string{"id", "configuration_no"} {
			if no := o.text(name); no != "" {
				f.Nos = []string{no}
				break
			}
		}
		f.VPCNo = o.text("vpc_no")
	}
	var groups []ncloud.ACG
	var err error
	if s.flavour == Classic {
		f.VPCNo, f.IsDefault = "", isDefault
		groups, err = s.classic.GetAccessControlGroupList(ctx, f)
	} else {
		groups, err = s.vpc.GetAccessControlGroupList(ctx, f)
	}
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, g := range groups {
		if isDefault != nil && g.IsDefault != *isDefault {
			continue
		}
		r := row{
			"id": str(g.No), "access_control_group_no": str(g.No), "name": str(g.Name), "description": str(g.Description),
			"is_default": cty.BoolVal(g.IsDefault),
		}
		if s.flavour == Classic {
			r["configuration_no"], r["is_default_group"] = str(g.No), cty.BoolVal(g.IsDefault)
		} else {
			r["vpc_no"] = str(g.VPCNo)
		}
		rows = append(rows, r)
	}
	return rows, nil
}

func acgData(Flavour) *dataSource {
	return &dataSource{
		name: "ncloud_access_control_group",
		schema: schema{
			attributes: map[string]*attribute{
				"id":                      text(optional, computed, conflicts("configuration_no")),
				"configuration_no":        text(optional, deprecated("use 'id' instead"), conflicts("id")),
				"is_default":              flag(optional, computed, conflicts("is_default_group")),
				"is_default_group":        flag(optional, deprecated("use 'is_default' instead"), conflicts("is_default")),
				"name":                    text(optional, computed),
				"vpc_no":                  text(optional, computed),
				"access_control_group_no": text(computed),
				"description":             text(computed),
			},
			blocks: map[string]*block{"filter": oldFilter},
		}.finish(),
		read: func(ctx context.Context, s *session, o *object) error {
			rows, err := acgRows(ctx, s, o)
			if err != nil {
				return err
			}
			return one(o, rows)
		},
	}
}

func acgsData(Flavour) *dataSource {
	return &dataSource{
		name: "ncloud_access_control_groups",
		schema: schema{attributes: map[string]*attribute{
			"id":                    text(optional, computed),
			"configuration_no_list": texts(optional),
			"is_default":            flag(optional, computed, conflicts("is_default_group")),
			"is_default_group":      flag(optional, deprecated("use 'is_default' instead"), conflicts("is_default")),
			"name":                  text(optional),
			"access_control_groups": texts(optional),
			"output_file":           text(optional),
		}}.finish(),
		read: func(ctx context.Context, s *session, o *object) error {
			rows, err := acgRows(ctx, s, o)
			if err != nil {
				return err
			}
			return s.listIDs(o, rows, "access_control_groups")
		},
	}
}

// listIDs ends the data sources whose result is a list of numbers.
func (s *session) listIDs(o *object, rows []row, attribute string) error {
	rows, err := many(o, rows)
	if err != nil {
		return err
	}
	o.setText("id", hashID(ids(rows)))
	o.set(attribute, textList(ids(rows)))
	return s.output(o, o.get(attribute))
}

// ---- member server images

func memberImageRows(ctx context.Context, s *session, o *object) ([]row, error) {
	f := ncloud.MemberImageFilter{Nos: o.texts("no_list"), PlatformTypes: o.texts("platform_type_code_list")}
	var images []ncloud.MemberImage
	var err error
	if s.flavour == Classic {
		images, err = s.classic.GetMemberServerImageList(ctx, f)
	} else {
		images, err = s.vpc.GetMemberServerImageInstanceList(ctx, f)
	}
	if err != nil {
		return nil, err
	}
	var out []row
	for _, i := range images {
		r := row{
			"id": str(i.No), "no": str(i.No), "name": str(i.Name), "description": str(i.Description),
			"original_server_instance_no": str(i.OriginalServerNo), "original_server_image_product_code": str(i.OriginalImageProductCode),
			"block_storage_total_rows": num(i.BlockStorageTotalRows), "block_storage_total_size": num(i.BlockStorageTotalSize),
		}
		if s.flavour == Classic {
			r["original_server_product_code"], r["original_server_name"] = str(i.OriginalServerProductCode), str(i.OriginalServerName)
			r["original_base_block_storage_disk_type"], r["original_os_information"] = str(i.OriginalBaseDiskType), str(i.OriginalOSInformation)
			r["original_server_image_name"], r["platform_type"] = str(i.OriginalImageName), str(i.PlatformType)
		}
		out = append(out, r)
	}
	return out, nil
}

const useFilter = "use filter instead"

func memberImageData(Flavour) *dataSource {
	attributes := map[string]*attribute{
		"id": text(optional, computed), "name_regex": text(optional, deprecated(useFilter), check(isRegexp)), "no_list": texts(optional),
		"platform_type_code_list": texts(optional), "region": text(optional, deprecated("use provider config instead")),
		"block_storage_total_rows": number(computed), "block_storage_total_size": number(computed),
	}
	for _, name := range []string{"no", "name", "description", "original_base_block_storage_disk_type", "original_os_information",
		"original_server_image_name", "original_server_image_product_code", "original_server_instance_no", "original_server_name",
		"original_server_product_code", "platform_type"} {
		attributes[name] = text(computed)
	}
	return &dataSource{
		name:   "ncloud_member_server_image",
		schema: schema{attributes: attributes, blocks: map[string]*block{"filter": oldFilter}}.finish(),
		read: func(ctx context.Context, s *session, o *object) error {
			rows, err := memberImageRows(ctx, s, o)
			if err != nil {
				return err
			}
			return one(o, rows)
		},
	}
}

func memberImagesData(Flavour) *dataSource {
	return &dataSource{
		name: "ncloud_member_server_images",
		schema: schema{
			attributes: map[string]*attribute{
				"id": text(optional, computed), "name_regex": text(optional, deprecated(useFilter), check(isRegexp)), "no_list": texts(optional),
				"platform_type_code_list": texts(optional), "region": text(optional, deprecated("use provider config instead")),
				"member_server_images": texts(optional), "output_file": text(optional),
			},
			blocks: map[string]*block{"filter": oldFilter},
		}.finish(),
		read: func(ctx context.Context, s *session, o *object) error {
			rows, err := memberImageRows(ctx, s, o)
			if err != nil {
				return err
			}
			return s.listIDs(o, rows, "member_server_images")
		},
	}
}

// ---- public IPs and passwords

func publicIPData(f Flavour) *dataSource {
	const gone, instead = "This attribute no longer support", "use 'filter' instead"
	attributes := map[string]*attribute{
		"id":                  text(optional, computed),
		"internet_line_type":  text(optional, computed, deprecated(deprecatedLine), check(oneOf("PUBLC", "GLBL"))),
		"is_associated":       flag(optional),
		"public_ip_no":        text(computed),
		"public_ip":           text(computed),
		"description":         text(computed),
		"kind_type":           text(computed),
		"server_instance_no":  text(computed),
		"server_name":         text(computed),
		"instance_no":         text(computed, deprecated("Use 'id' instead")),
		"instance_no_list":    texts(optional, deprecated(instead)),
		"list":                texts(optional, deprecated(instead)),
		"region":              text(optional, deprecated(gone)),
		"search_filter_name":  text(optional, deprecated(instead)),
		"search_filter_value": text(optional, deprecated(instead)),
		"sorted_by":           text(optional, deprecated(gone)),
		"sorting_order":       text(optional, deprecated(gone)),
	}
	if f == Classic {
		attributes["zone"] = text(optional, computed)
	}
	return &dataSource{
		name:   "ncloud_public_ip",
		schema: schema{attributes: attributes, blocks: map[string]*block{"filter": oldFilter}}.finish(),
		read: func(ctx context.Context, s *session, o *object) error {
			q := ncloud.PublicIPFilter{}
			if id := o.text("id"); id != "" {
				q.Nos = []string{id}
			}
			q.IsAssociated = o.flagOrNil("is_associated")
			var ips []ncloud.PublicIP
			var err error
			if s.flavour == Classic {
				if q.Zone, err = s.zoneNo(ctx, o.text("zone")); err != nil {
					return err
				}
				ips, err = s.classic.GetPublicIpInstanceList(ctx, q)
			} else {
				ips, err = s.vpc.GetPublicIpInstanceList(ctx, q)
			}
			if err != nil {
				return err
			}
			var rows []row
			for _, ip := range ips {
				r := row{
					"id": str(ip.No), "public_ip_no": str(ip.No), "public_ip": str(ip.IP), "description": str(ip.Description),
					"server_instance_no": strOr(ip.ServerNo), "server_name": strOr(ip.ServerName), "status": str(ip.Status),
				}
				if s.flavour == Classic {
					r["instance_no"], r["kind_type"], r["zone"] = str(ip.No), strOr(ip.Kind), strOr(ip.ZoneCode)
				}
				rows = append(rows, r)
			}
			return one(o, rows)
		},
	}
}

// rootPasswordData puts the private key and the password into the state, as the official one does. tfbake does not use it.
func rootPasswordData() *dataSource {
	return &dataSource{
		name: "ncloud_root_password",
		schema: schema{attributes: map[string]*attribute{
			"id": text(optional, computed), "server_instance_no": text(required), "private_key": text(required, sensitive),
			"root_password": text(computed, sensitive),
		}}.finish(),
		read: func(ctx context.Context, s *session, o *object) error {
			server, key := o.text("server_instance_no"), o.text("private_key")
			password, err := s.api.GetRootPassword(ctx, server, key)
			if err != nil {
				return err
			}
			o.setText("id", server)
			o.setText("root_password", password)
			return nil
		},
	}
}

// ---- image and server products

func imageProductRows(ctx context.Context, s *session, o *object) ([]row, error) {
	f := ncloud.ImageProductFilter{ProductCode: o.text("product_code"), InfraResourceDetailType: o.text("infra_resource_detail_type_code")}
	if p := o.text("platform_type"); p != "" {
		f.PlatformTypes = []string{p}
	}
	products, err := s.api.GetServerImageProductList(ctx, f)
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, p := range products {
		r := row{
			"id": str(p.Code), "product_code": str(p.Code), "product_name": str(p.Name), "product_type": str(p.Type), "product_description": str(p.Description),
			"infra_resource_type": str(p.InfraResourceType), "base_block_storage_size": gigabytes(p.BaseBlockStorageSize),
			"platform_type": str(p.PlatformType), "os_information": str(p.OSInformation),
		}
		if p.InfraResourceDetailType != "" {
			r["infra_resource_detail_type_code"] = str(p.InfraResourceDetailType)
		}
		rows = append(rows, r)
	}
	return rows, nil
}

var imageProductColumns = []string{"id", "product_code", "product_name", "product_type", "product_description", "infra_resource_type",
	"infra_resource_detail_type_code", "base_block_storage_size", "platform_type", "os_information"}

func imageProductData(f Flavour) *dataSource {
	attributes := map[string]*attribute{}
	for _, name := range imageProductColumns {
		attributes[name] = text(computed)
	}
	for _, name := range []string{"id", "product_code", "platform_type", "infra_resource_detail_type_code"} {
		attributes[name] = text(optional, computed)
	}
	if f == Classic {
		attributes["product_name_regex"] = text(optional, deprecated("use `filter` instead"), check(isRegexp))
		attributes["exclusion_product_code"] = text(optional, deprecated("This field no longer support"))
		attributes["platform_type_code_list"] = texts(optional, deprecated("use `filter` or `platform_type` instead"))
	}
	return &dataSource{
		name:   "ncloud_server_image",
		schema: schema{attributes: attributes, blocks: map[string]*block{"filter": oldFilter}}.finish(),
		read: func(ctx context.Context, s *session, o *object) error {
			rows, err := imageProductRows(ctx, s, o)
			if err != nil {
				return err
			}
			return one(o, rows)
		},
	}
}

func imageProductsData(f Flavour) *dataSource {
	columns := map[string]cty.Type{}
	for _, name := range imageProductColumns {
		columns[name] = cty.String
	}
	attributes := map[string]*attribute{
		"id": text(optional, computed), "product_code": text(optional, computed), "platform_type": text(optional, computed),
		"infra_resource_detail_type_code": text(optional, computed), "output_file": text(optional),
		"ids": texts(computed), "server_images": rows(columns, computed),
	}
	if f == Classic {
		attributes["product_name_regex"] = text(optional, deprecated("use `filter` instead"), check(isRegexp))
		attributes["exclusion_product_code"] = text(optional, deprecated("This field no longer support"))
		attributes["block_storage_size"] = number(optional, deprecated("use `filter` instead"), check(oneOfNumbers(50, 100)))
		attributes["region"] = text(optional, deprecated("use provider config instead"))
	}
	return &dataSource{
		name:   "ncloud_server_images",
		schema: schema{attributes: attributes, blocks: map[string]*block{"filter": oldFilter}}.finish(),
		read: func(ctx context.Context, s *session, o *object) error {
			rows, err := imageProductRows(ctx, s, o)
			if err != nil {
				return err
			}
			return s.listRows(o, rows, "server_images")
		},
	}
}

// listRows ends the data sources whose result is a table and its ids.
func (s *session) listRows(o *object, rows []row, attribute string) error {
	rows, err := many(o, rows)
	if err != nil {
		return err
	}
	o.setText("id", hashID(ids(rows)))
	o.set("ids", textList(ids(rows)))
	o.set(attribute, table(o.schema.attributes[attribute].typ, rows))
	return s.output(o, o.get(attribute))
}

func serverProductRows(ctx context.Context, s *session, o *object) ([]row, error) {
	f := ncloud.ServerProductFilter{
		ImageProductCode: o.text("server_image_product_code"), ProductCode: o.text("product_code"), ExclusionProductCode: o.text("exclusion_product_code"),
		Zone: o.text("zone"),
	}
	var products []ncloud.Product
	var err error
	if s.flavour == Classic {
		if f.Zone, err = s.zoneNo(ctx, f.Zone); err != nil {
			return nil, err
		}
		products, err = s.classic.GetServerProductList(ctx, f)
	} else {
		products, err = s.vpc.GetServerProductList(ctx, f)
	}
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, p := range products {
		rows = append(rows, row{
			"id": str(p.Code), "product_code": str(p.Code), "product_name": str(p.Name), "product_type": str(p.Type), "product_description": str(p.Description),
			"infra_resource_type": str(p.InfraResourceType), "cpu_count": num(p.CPUCount), "memory_size": gigabytes(p.MemorySize),
			"base_block_storage_size": gigabytes(p.BaseBlockStorageSize), "disk_type": str(p.DiskType), "generation_code": str(p.Generation),
		})
	}
	return rows, nil
}

var serverProductColumns = []string{"id", "product_code", "product_name", "product_type", "product_description", "infra_resource_type", "memory_size",
	"base_block_storage_size", "disk_type", "generation_code"}

func oldProductArguments(f Flavour, attributes map[string]*attribute) {
	attributes["exclusion_product_code"] = text(optional, deprecated("This field is no longer support"))
	if f == Classic {
		attributes["internet_line_type_code"] = text(optional, deprecated(deprecatedLine), check(oneOf("PUBLC", "GLBL")))
		attributes["product_name_regex"] = text(optional, deprecated(useFilter), check(isRegexp))
	}
}

func serverProductData(f Flavour) *dataSource {
	attributes := map[string]*attribute{}
	for _, name := range serverProductColumns {
		attributes[name] = text(computed)
	}
	attributes["id"], attributes["product_code"] = text(optional, computed), text(optional, computed)
	attributes["server_image_product_code"], attributes["zone"], attributes["cpu_count"] = text(required), text(optional), number(computed)
	oldProductArguments(f, attributes)
	return &dataSource{
		name:   "ncloud_server_product",
		schema: schema{attributes: attributes, blocks: map[string]*block{"filter": oldFilter}}.finish(),
		read: func(ctx context.Context, s *session, o *object) error {
			rows, err := serverProductRows(ctx, s, o)
			if err != nil {
				return err
			}
			return one(o, rows)
		},
	}
}

func serverProductsData(f Flavour) *dataSource {
	columns := map[string]cty.Type{"cpu_count": cty.Number, "server_image_product_code": cty.String}
	for _, name := range serverProductColumns {
		columns[name] = cty.String
	}
	attributes := map[string]*attribute{
		"id": text(optional, computed), "product_code": text(optional, computed), "server_image_product_code": text(required), "zone": text(optional),
		"output_file": text(optional), "ids": texts(computed), "server_products": rows(columns, computed),
	}
	oldProductArguments(f, attributes)
	return &dataSource{
		name:   "ncloud_server_products",
		schema: schema{attributes: attributes, blocks: map[string]*block{"filter": oldFilter}}.finish(),
		read: func(ctx context.Context, s *session, o *object) error {
			rows, err := serverProductRows(ctx, s, o)
			if err != nil {
				return err
			}
			return s.listRows(o, rows, "server_products")
		},
	}
}

// ---- port forwarding (Classic)

func forwardingRows(ctx context.Context, s *session, o *object) ([]row, error) {
	zone, err := s.zoneNo(ctx, o.text("zone"))
	if err != nil {
		return nil, err
	}
	all, err := s.classic.GetPortForwardingRuleList(ctx, zone)
	if err != nil {
		return nil, err
	}
	// The arguments select; each that is given must fit.
	want := func(name, have string) bool {
		v, ok := o.values[name]
		return !ok || textOf(v) == "" || textOf(v) == have
	}
	var rows []row
	for _, p := range all {
		internal, external := strconv.Itoa(int(p.InternalPort)), strconv.Itoa(int(p.ExternalPort))
		if !want("server_instance_no", p.ServerNo) || !want("port_forwarding_internal_port", internal) || !want("port_forwarding_external_port", external) {
			continue
		}
		rows = append(rows, row{
			"id": str(p.ConfigurationNo), "port_forwarding_configuration_no": str(p.ConfigurationNo), "port_forwarding_public_ip": str(p.PublicIP),
			"server_instance_no": str(p.ServerNo), "port_forwarding_external_port": str(external), "port_forwarding_internal_port": str(internal),
		})
	}
	return rows, nil
}

func forwardingData() *dataSource {
	return &dataSource{
		name: "ncloud_port_forwarding_rule",
		schema: schema{attributes: map[string]*attribute{
			"id": text(optional, computed), "internet_line_type_code": text(optional, deprecated(deprecatedLine), check(oneOf("PUBLC", "GLBL"))),
			"region": text(optional), "zone": text(optional), "server_instance_no": text(optional, computed),
			"port_forwarding_internal_port": text(optional, computed), "port_forwarding_external_port": text(optional, computed),
			"port_forwarding_configuration_no": text(computed), "port_forwarding_public_ip": text(computed),
		}}.finish(),
		read: func(ctx context.Context, s *session, o *object) error {
			rows, err := forwardingRows(ctx, s, o)
			if err != nil {
				return err
			}
			return one(o, rows)
		},
	}
}

func forwardingsData() *dataSource {
	columns := map[string]cty.Type{"server_instance_no": cty.String, "port_forwarding_external_port": cty.String,
		"port_forwarding_internal_port": cty.String, "port_forwarding_public_ip": cty.String}
	return &dataSource{
		name: "ncloud_port_forwarding_rules",
		schema: schema{attributes: map[string]*attribute{
			"id": text(optional, computed), "internet_line_type_code": text(optional, deprecated(deprecatedLine), check(oneOf("PUBLC", "GLBL"))),
			"region": text(optional), "zone": text(optional), "port_forwarding_internal_port": text(optional), "output_file": text(optional),
			"port_forwarding_configuration_no": text(computed), "port_forwarding_rule_list": rows(columns, computed),
		}}.finish(),
		read: func(ctx context.Context, s *session, o *object) error {
			found, err := forwardingRows(ctx, s, o)
			if err != nil {
				return err
			}
			if len(found) == 0 {
				return errNoResult
			}
			o.set("id", found[0]["id"])
			o.set("port_forwarding_configuration_no", found[0]["id"])
			o.set("port_forwarding_rule_list", table(o.schema.attributes["port_forwarding_rule_list"].typ, found))
			return s.output(o, o.get("port_forwarding_rule_list"))
		},
	}
}
