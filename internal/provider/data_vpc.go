package provider

import (
	"context"

	"github.com/zclconf/go-cty/cty"

	"github.com/tfbake/tfbake/internal/ncloud"
)

// serverData is the data source ncloud_server of 4.0.5.
func serverData() *dataSource {
	attributes := map[string]*attribute{}
	for name, a := range serverAttributes() {
		// The official one shows what of the resource is computed.
		if a.computed || a.required {
			attributes[name] = &attribute{typ: a.typ, computed: true, deprecated: a.deprecated, fallback: cty.NilVal}
		}
	}
	attributes["id"] = text(optional, computed)
	attributes["network_interface"] = rows(map[string]cty.Type{
		"network_interface_no": cty.String, "order": cty.Number, "subnet_no": cty.String, "private_ip": cty.String,
	}, computed)
	return &dataSource{
		name:   "ncloud_server",
		schema: schema{attributes: attributes, blocks: map[string]*block{"filter": oldFilter}}.finish(),
		read: func(ctx context.Context, s *session, o *object) error {
			f := ncloud.ServerFilter{}
			if id := o.text("id"); id != "" {
				f.Nos = []string{id}
			}
			servers, err := s.vpc.GetServerInstanceList(ctx, f)
			if err != nil {
				return err
			}
			nics := o.schema.attributes["network_interface"].typ
			var rows []row
			for _, v := range servers {
				var numbers []row
				for _, no := range v.NetworkInterfaceNos {
					numbers = append(numbers, row{"network_interface_no": str(no)})
				}
				rows = append(rows, row{
					"id": str(v.No), "instance_no": str(v.No), "name": str(v.Name), "description": str(v.Description),
					"server_image_product_code": str(v.ImageProductCode), "server_product_code": str(v.ProductCode),
					"server_image_number": str(v.ImageNo), "server_spec_code": str(v.SpecCode),
					"login_key_name": str(v.LoginKeyName), "is_protect_server_termination": cty.BoolVal(v.TerminationProtected),
					"cpu_count": num(v.CPUCount), "memory_size": num(v.MemorySize), "public_ip": str(v.PublicIP), "platform_type": str(v.PlatformType),
					"zone": str(v.ZoneCode), "base_block_storage_disk_type": str(v.BaseDiskType), "base_block_storage_disk_detail_type": str(v.BaseDiskDetailType),
					"vpc_no": str(v.VPCNo), "subnet_no": str(v.SubnetNo), "init_script_no": str(v.InitScriptNo),
					"placement_group_no": str(v.PlacementGroupNo), "hypervisor_type": strOr(v.Hypervisor),
					"status": str(v.Status), "operation": str(v.Operation), "network_interface": table(nics, numbers),
				})
			}
			return one(o, rows)
		},
	}
}

// imageNumbersData is ncloud_server_image_numbers. Several filters must all pass; the official one takes a row for each
// that passes, so that a row may come twice.
func imageNumbersData() *dataSource {
	disk := map[string]*attribute{
		"order": number(computed), "block_storage_snapshot_instance_no": number(computed), "block_storage_snapshot_name": text(computed),
		"block_storage_size": number(computed), "block_storage_name": text(computed), "block_storage_volume_type": text(computed),
		"iops": number(computed), "throughput": number(computed), "is_encrypted_volume": flag(computed),
	}
	columns := map[string]*attribute{
		"server_image_number": text(computed), "name": text(computed), "description": text(computed), "type": text(computed),
		"hypervisor_type": text(computed), "cpu_architecture_type": text(computed), "os_category_type": text(computed), "os_type": text(computed),
		"product_code": text(computed), "block_storage_mapping_list": nestedRows(disk),
	}
	return &dataSource{
		name: "ncloud_server_image_numbers",
		schema: schema{
			attributes: map[string]*attribute{
				"id": text(computed), "server_image_name": text(optional),
				"hypervisor_type": text(optional, check(oneOf("XEN", "KVM"))),
				"output_file":     text(optional), "image_number_list": nestedRows(columns),
			},
			blocks: map[string]*block{"filter": newFilter},
		}.finish(),
		read: func(ctx context.Context, s *session, o *object) error {
			f := ncloud.ServerImageFilter{Name: o.text("server_image_name")}
			if h := o.text("hypervisor_type"); h != "" {
				f.Hypervisors = []string{h}
			}
			images, err := s.vpc.GetServerImageList(ctx, f)
			if err != nil {
				return err
			}
			var rows []row
			for _, i := range images {
				var disks []row
				for _, d := range i.Disks {
					disks = append(disks, row{
						"order": num(d.Order), "block_storage_snapshot_instance_no": snapshotNumber(d.SnapshotNo), "block_storage_snapshot_name": strOr(d.SnapshotName),
						"block_storage_size": num(d.Size), "block_storage_name": str(d.Name), "block_storage_volume_type": str(d.VolumeType),
						"iops": numOr(int64(d.IOPS)), "throughput": numOr(d.Throughput), "is_encrypted_volume": cty.BoolVal(d.Encrypted),
					})
				}
				rows = append(rows, row{
					"id": str(i.No), "server_image_number": str(i.No), "name": str(i.Name), "description": str(i.Description), "type": str(i.Type),
					"hypervisor_type": str(i.Hypervisor), "cpu_architecture_type": str(i.CPUArchitecture), "os_category_type": str(i.OSCategory),
					"os_type": str(i.OSType), "product_code": strOr(i.ProductCode),
					"block_storage_mapping_list": table(columns["block_storage_mapping_list"].typ, disks),
				})
			}
			return s.nestedResult(o, rows, "image_number_list")
		},
	}
}

// nestedResult ends the newer data sources: a list that may be empty after the filters, but not before, and no id.
func (s *session) nestedResult(o *object, rows []row, attribute string) error {
	if len(rows) == 0 {
		return errNoResult
	}
	rows, err := filtered(o, rows)
	if err != nil {
		return err
	}
	o.setText("id", "")
	o.set(attribute, table(o.schema.attributes[attribute].typ, rows))
	return s.output(o, o.get(attribute))
}

// numOr is a number that is null where the API sends none.
func numOr(n int64) cty.Value {
	if n == 0 {
		return cty.NullVal(cty.Number)
	}
	return num(n)
}

func snapshotNumber(s string) cty.Value {
	v, err := cty.ParseNumberVal(s)
	if err != nil {
		return cty.NullVal(cty.Number)
	}
	return v
}

func specsData() *dataSource {
	columns := map[string]*attribute{
		"server_spec_code": text(computed), "hypervisor_type": text(computed), "generation_code": text(computed), "cpu_architecture_type": text(computed),
		"cpu_count": number(computed), "memory_size": number(computed), "block_storage_max_count": number(computed), "block_storage_max_iops": number(computed),
		"block_storage_max_throughput": number(computed), "network_performance": number(computed), "network_interface_max_count": number(computed),
		"gpu_count": number(computed), "description": text(computed), "product_code": text(computed),
	}
	return &dataSource{
		name: "ncloud_server_specs",
		schema: schema{
			attributes: map[string]*attribute{"id": text(computed), "output_file": text(optional), "server_spec_list": nestedRows(columns)},
			blocks:     map[string]*block{"filter": newFilter},
		}.finish(),
		read: func(ctx context.Context, s *session, o *object) error {
			specs, err := s.vpc.GetServerSpecList(ctx, ncloud.SpecFilter{})
			if err != nil {
				return err
			}
			var rows []row
			for _, p := range specs {
				rows = append(rows, row{
					"server_spec_code": str(p.Code), "hypervisor_type": strOr(p.Hypervisor), "generation_code": str(p.Generation),
					"cpu_architecture_type": str(p.CPUArchitecture), "cpu_count": num(p.CPUCount), "memory_size": num(p.MemorySize),
					"block_storage_max_count": num(p.BlockStorageMaxCount), "block_storage_max_iops": numOr(int64(p.BlockStorageMaxIOPS)),
					"block_storage_max_throughput": numOr(int64(p.BlockStorageMaxThroughput)), "network_performance": num(p.NetworkPerformance),
					"network_interface_max_count": num(p.NetworkInterfaceMaxCount), "gpu_count": numOr(int64(p.GPUCount)),
					"description": str(p.Description), "product_code": strOr(p.ProductCode),
				})
			}
			return s.nestedResult(o, rows, "server_spec_list")
		},
	}
}

// ---- networks

func subnetFilter(o *object) ncloud.SubnetFilter {
	return ncloud.SubnetFilter{
		CIDR: o.text("subnet"), Type: o.text("subnet_type"), UsageType: o.text("usage_type"), NetworkACLNo: o.text("network_acl_no"),
		VPCNo: o.text("vpc_no"), Zone: o.text("zone"),
	}
}

func subnetRows(ctx context.Context, s *session, f ncloud.SubnetFilter) ([]row, error) {
	subnets, err := s.vpc.GetSubnetList(ctx, f)
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, n := range subnets {
		rows = append(rows, row{
			"id": str(n.No), "subnet_no": str(n.No), "vpc_no": str(n.VPCNo), "zone": str(n.ZoneCode), "name": str(n.Name), "subnet": str(n.CIDR),
			"subnet_type": str(n.Type), "usage_type": str(n.UsageType), "network_acl_no": str(n.NetworkACLNo),
		})
	}
	return rows, nil
}

func subnetData() *dataSource {
	return &dataSource{
		name: "ncloud_subnet",
		schema: schema{
			attributes: map[string]*attribute{
				"id": text(optional, computed), "vpc_no": text(optional, computed), "subnet": text(optional, computed), "zone": text(optional, computed),
				"network_acl_no": text(optional, computed), "subnet_type": text(optional, computed, check(oneOf("PUBLIC", "PRIVATE"))),
				"usage_type": text(optional, computed, check(oneOf("GEN", "LOADB", "BM", "NATGW"))), "name": text(computed), "subnet_no": text(computed),
			},
			blocks: map[string]*block{"filter": newFilter},
		}.finish(),
		read: func(ctx context.Context, s *session, o *object) error {
			f := subnetFilter(o)
			if id := o.text("id"); id != "" {
				f.Nos = []string{id}
			}
			rows, err := subnetRows(ctx, s, f)
			if err != nil {
				return err
			}
			return one(o, rows)
		},
	}
}

func subnetsData() *dataSource {
	columns := map[string]*attribute{}
	for _, name := range []string{"id", "subnet_no", "vpc_no", "zone", "name", "subnet", "subnet_type", "usage_type", "network_acl_no"} {
		columns[name] = text(computed)
	}
	return &dataSource{
		name: "ncloud_subnets",
		schema: schema{
			attributes: map[string]*attribute{
				"id": text(computed), "subnet_no": texts(optional), "vpc_no": text(optional), "subnet": text(optional), "zone": text(optional),
				"network_acl_no": text(optional), "subnet_type": text(optional, check(oneOf("PUBLIC", "PRIVATE"))),
				"usage_type": text(optional, check(oneOf("GEN", "LOADB", "BM", "NATGW"))),
			},
			blocks: map[string]*block{"filter": newFilter, "subnets": listBlock(columns)},
		}.finish(),
		read: func(ctx context.Context, s *session, o *object) error {
			f := subnetFilter(o)
			f.Nos = o.texts("subnet_no")
			rows, err := subnetRows(ctx, s, f)
			if err != nil {
				return err
			}
			return blockResult(o, rows, "subnets")
		},
	}
}

// blockResult ends the data sources whose result is a list of blocks, possibly empty.
func blockResult(o *object, rows []row, name string) error {
	rows, err := filtered(o, rows)
	if err != nil {
		return err
	}
	o.setText("id", hashID(ids(rows)))
	o.set(name, table(o.schema.blocks[name].typ(), rows))
	return nil
}

func vpcRows(ctx context.Context, s *session, f ncloud.VPCFilter) ([]row, error) {
	vpcs, err := s.vpc.GetVpcList(ctx, f)
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, v := range vpcs {
		r := row{"id": str(v.No), "vpc_no": str(v.No), "name": str(v.Name), "ipv4_cidr_block": str(v.CIDR)}
		acg, err := s.defaultACG(ctx, v.No)
		if err != nil {
			return nil, err
		}
		r["default_access_control_group_no"] = str(acg)
		acls, err := s.vpc.GetNetworkAclList(ctx, v.No)
		if err != nil {
			return nil, err
		}
		r["default_network_acl_no"] = str("")
		for _, a := range acls {
			if a.IsDefault {
				r["default_network_acl_no"] = str(a.No)
			}
		}
		tables, err := s.vpc.GetRouteTableList(ctx, v.No)
		if err != nil {
			return nil, err
		}
		r["default_public_route_table_no"], r["default_private_route_table_no"] = str(""), str("")
		for _, t := range tables {
			switch {
			case t.IsDefault && t.SubnetType == "PUBLIC":
				r["default_public_route_table_no"] = str(t.No)
			case t.IsDefault && t.SubnetType == "PRIVATE":
				r["default_private_route_table_no"] = str(t.No)
			}
		}
		rows = append(rows, r)
	}
	return rows, nil
}

var vpcColumns = []string{"id", "vpc_no", "name", "ipv4_cidr_block", "default_access_control_group_no", "default_network_acl_no",
	"default_public_route_table_no", "default_private_route_table_no"}

func vpcOneData() *dataSource {
	attributes := map[string]*attribute{}
	for _, name := range vpcColumns {
		attributes[name] = text(computed)
	}
	attributes["id"], attributes["name"] = text(optional, computed), text(optional, computed)
	return &dataSource{
		name:   "ncloud_vpc",
		schema: schema{attributes: attributes, blocks: map[string]*block{"filter": newFilter}}.finish(),
		read: func(ctx context.Context, s *session, o *object) error {
			f := ncloud.VPCFilter{Name: o.text("name")}
			if id := o.text("id"); id != "" {
				f.Nos = []string{id}
			}
			rows, err := vpcRows(ctx, s, f)
			if err != nil {
				return err
			}
			return one(o, rows)
		},
	}
}

func vpcsData() *dataSource {
	columns := map[string]*attribute{}
	for _, name := range vpcColumns {
		columns[name] = text(computed)
	}
	return &dataSource{
		name: "ncloud_vpcs",
		schema: schema{
			attributes: map[string]*attribute{"id": text(computed), "name": text(optional), "vpc_no": text(optional)},
			blocks:     map[string]*block{"filter": newFilter, "vpcs": listBlock(columns)},
		}.finish(),
		read: func(ctx context.Context, s *session, o *object) error {
			f := ncloud.VPCFilter{Name: o.text("name")}
			if no := o.text("vpc_no"); no != "" {
				f.Nos = []string{no}
			}
			rows, err := vpcRows(ctx, s, f)
			if err != nil {
				return err
			}
			return blockResult(o, rows, "vpcs")
		},
	}
}
