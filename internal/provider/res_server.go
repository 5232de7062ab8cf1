package provider

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/tfbake/tfbake/internal/ncloud"
)

var serverNumber = regexp.MustCompile(`[0-9]+`)

// serverAttributes are what ncloud_server has in both flavours.
func serverAttributes() map[string]*attribute {
	return map[string]*attribute{
		"id":                                     text(optional, computed),
		"server_image_product_code":              text(optional, computed, forceNew, conflicts("member_server_image_no")),
		"member_server_image_no":                 text(optional, forceNew, conflicts("server_image_product_code")),
		"server_image_number":                    text(optional, computed, forceNew, conflicts("server_image_product_code")),
		"server_product_code":                    text(optional, computed),
		"server_spec_code":                       text(optional, computed),
		"name":                                   text(optional, computed, forceNew, check(serverName)),
		"description":                            text(optional, computed, forceNew),
		"login_key_name":                         text(optional, computed, forceNew),
		"is_protect_server_termination":          flag(optional, computed),
		"fee_system_type_code":                   text(optional, forceNew),
		"zone":                                   text(optional, computed, forceNew),
		"raid_type_name":                         text(optional, forceNew),
		"subnet_no":                              text(optional, computed, forceNew),
		"init_script_no":                         text(optional, computed, forceNew),
		"placement_group_no":                     text(optional, computed),
		"is_encrypted_base_block_storage_volume": flag(optional, computed, forceNew),

		"instance_no":                         text(computed),
		"vpc_no":                              text(computed),
		"cpu_count":                           number(computed),
		"memory_size":                         number(computed),
		"base_block_storage_size":             number(computed),
		"platform_type":                       text(computed),
		"hypervisor_type":                     text(computed),
		"public_ip":                           text(computed),
		"private_ip":                          text(computed),
		"server_image_name":                   text(computed),
		"port_forwarding_public_ip":           text(computed),
		"port_forwarding_external_port":       number(computed),
		"port_forwarding_internal_port":       number(computed),
		"base_block_storage_disk_type":        text(computed),
		"base_block_storage_disk_detail_type": text(computed),
		"is_fee_charging_monitoring":          flag(computed, deprecated("This field no longer support")),
		"region":                              text(computed, deprecated("This field no longer support")),
	}
}

func serverBlocks() map[string]*block {
	nics := listBlock(map[string]*attribute{
		"network_interface_no": text(required, forceNew),
		"order":                number(required, forceNew),
		"subnet_no":            text(computed),
		"private_ip":           text(computed),
	})
	nics.computed = true
	return map[string]*block{
		"network_interface": nics,
		"block_device_partition_list": listBlock(map[string]*attribute{
			"mount_point": text(required, forceNew, check(matches(`^/(?:[a-z][a-z0-9]*)?$`,
				"a mount point is / or / and lower case letters and digits, beginning with a letter"))),
			"partition_size": text(required, forceNew),
		}),
		"timeouts": timeoutsBlock("create", "delete"),
	}
}

// planServer leaves open what follows from the product or spec, when that changes.
func planServer(p *plan) {
	if p.changes("server_product_code") || p.changes("server_spec_code") {
		p.forget("server_product_code", "server_spec_code", "cpu_count", "memory_size")
	}
}

var serverTimeouts = map[string]time.Duration{"create": time.Hour, "delete": 5 * time.Minute, "update": 30 * time.Minute}

// vpcServer is ncloud_server of 4.0.5.
func vpcServer() *resource {
	return &resource{
		name: "ncloud_server", older: true,
		schema:   schema{attributes: serverAttributes(), blocks: serverBlocks()}.finish(),
		timeouts: serverTimeouts,
		plan:     planServer,
		create:   createVPCServer,
		read: func(ctx context.Context, s *session, o *object) (bool, error) {
			v, err := s.vpc.GetServerInstanceDetail(ctx, o.text("id"))
			if err != nil {
				return missingIsFine(err)
			}
			return true, s.setVPCServer(ctx, o, v)
		},
		update: updateServer,
		delete: deleteServer,
	}
}

func createVPCServer(ctx context.Context, s *session, o *object) error {
	if !o.has("subnet_no") {
		return errors.New("subnet_no is required on VPC: the subnet the server is to be in")
	}
	subnet, err := s.vpc.GetSubnetDetail(ctx, o.text("subnet_no"))
	if err != nil {
		return err
	}
	q := ncloud.CreateServer{
		Name: o.text("name"), Description: o.text("description"),
		ImageProductCode: o.text("server_image_product_code"), ProductCode: o.text("server_product_code"),
		MemberImageNo: o.text("member_server_image_no"), ImageNo: o.text("server_image_number"), SpecCode: o.text("server_spec_code"),
		LoginKeyName: o.text("login_key_name"), TerminationProtected: o.flagOrNil("is_protect_server_termination"),
		FeeSystemTypeCode: o.text("fee_system_type_code"), RaidType: o.text("raid_type_name"), InitScriptNo: o.text("init_script_no"),
		VPCNo: subnet.VPCNo, SubnetNo: subnet.No, PlacementGroupNo: o.text("placement_group_no"),
		EncryptBaseDisk: o.flagOrNil("is_encrypted_base_block_storage_volume"), Partitions: partitions(o),
	}
	if nics := o.list("network_interface"); len(nics) > 0 {
		for _, e := range nics {
			n, err := s.vpc.GetNetworkInterfaceDetail(ctx, textOf(e.GetAttr("network_interface_no")))
			if err != nil {
				return err
			}
			order, _ := e.GetAttr("order").AsBigFloat().Int64()
			q.NetworkInterfaces = append(q.NetworkInterfaces, ncloud.ServerNIC{Order: int32(order), No: n.No, SubnetNo: n.SubnetNo})
		}
	} else {
		acg, err := s.defaultACG(ctx, subnet.VPCNo)
		if err != nil {
			return err
		}
		q.NetworkInterfaces = []ncloud.ServerNIC{{Order: 0, ACGNos: []string{acg}}}
	}

	v, err := s.vpc.CreateServerInstances(ctx, q)
	if err != nil {
		return err
	}
	setServer(o, v)
	o.setText("id", v.No) // from here on the server is in the state, whatever happens
	s.logf("server %s (%s): being made", v.No, v.Name)

	v, err = s.serverUntil(ctx, v.No, "RUN")
	if err != nil {
		return err
	}
	if err := s.setVPCServer(ctx, o, v); err != nil {
		return err
	}
	return s.wait(ctx, "disks of server "+v.No+" to be attached", func(ctx context.Context) (string, bool, error) {
		disks, err := s.vpc.GetBlockStorageInstanceList(ctx, ncloud.BlockStorageFilter{ServerNo: v.No})
		if err != nil {
			return "", false, err
		}
		for _, d := range disks {
			if d.Status != "ATTAC" {
				return d.No + " " + d.Status, false, nil
			}
		}
		return "", true, nil
	})
}

func partitions(o *object) (out []ncloud.Partition) {
	for _, e := range o.list("block_device_partition_list") {
		out = append(out, ncloud.Partition{MountPoint: textOf(e.GetAttr("mount_point")), Size: textOf(e.GetAttr("partition_size"))})
	}
	return out
}

// defaultACG is the number of a VPC's default ACG.
func (s *session) defaultACG(ctx context.Context, vpcNo string) (string, error) {
	groups, err := s.vpc.GetAccessControlGroupList(ctx, ncloud.ACGFilter{VPCNo: vpcNo})
	if err != nil {
		return "", err
	}
	for _, g := range groups {
		if g.IsDefault {
			return g.No, nil
		}
	}
	return "", fmt.Errorf("VPC %s has no default ACG", vpcNo)
}

// setServer sets what both platforms tell of a server in the same way.
func setServer(o *object, v ncloud.Server) {
	o.setText("instance_no", v.No)
	o.setText("name", v.Name)
	o.setText("description", v.Description)
	o.setText("server_image_product_code", v.ImageProductCode)
	o.setText("server_product_code", v.ProductCode)
	o.setText("login_key_name", v.LoginKeyName)
	o.setFlag("is_protect_server_termination", v.TerminationProtected)
	o.setNumber("cpu_count", int64(v.CPUCount))
	o.setNumber("memory_size", v.MemorySize)
	o.setText("public_ip", v.PublicIP)
	o.setText("platform_type", v.PlatformType)
	o.setText("zone", v.ZoneCode)
	o.setText("base_block_storage_disk_type", v.BaseDiskType)
	o.setText("base_block_storage_disk_detail_type", v.BaseDiskDetailType)
}

func (s *session) setVPCServer(ctx context.Context, o *object, v ncloud.Server) error {
	setServer(o, v)
	o.setText("server_image_number", v.ImageNo)
	o.setText("server_spec_code", v.SpecCode)
	o.setText("vpc_no", v.VPCNo)
	o.setText("subnet_no", v.SubnetNo)
	o.setText("init_script_no", v.InitScriptNo)
	o.setText("placement_group_no", v.PlacementGroupNo)
	o.setTextIf("hypervisor_type", v.Hypervisor)
	var nics []cty.Value
	for _, no := range v.NetworkInterfaceNos {
		n, err := s.vpc.GetNetworkInterfaceDetail(ctx, no)
		if err != nil && !gone(err) {
			return err
		}
		row := map[string]cty.Value{
			"network_interface_no": cty.StringVal(no), "order": cty.NumberIntVal(0), "subnet_no": cty.StringVal(""), "private_ip": cty.StringVal(""),
		}
		if err == nil {
			if order, err := strconv.Atoi(serverNumber.FindString(n.DeviceName)); err == nil {
				row["order"] = cty.NumberIntVal(int64(order))
			}
			row["subnet_no"], row["private_ip"] = cty.StringVal(n.SubnetNo), cty.StringVal(n.IP)
		}
		nics = append(nics, cty.ObjectVal(row))
	}
	o.set("network_interface", collection(o.schema.blocks["network_interface"].typ(), nics))
	return nil
}

// broken are the states no server leaves by itself.
var broken = map[string]string{
	"SD_FL": "shutting down failed", "RS_FL": "restarting failed", "ST_FL": "starting failed", "FSTOP": "stopped by the cloud's operators",
	"TERMT": "being terminated",
}

// isBroken tells whether a server is in a state that it does not leave by itself: waiting for it is no use.
func (s *session) isBroken(ctx context.Context, no string) bool {
	if no == "" {
		return false
	}
	v, err := s.api.GetServerInstanceDetail(ctx, no)
	return err == nil && broken[v.Status] != "" && v.Status != "TERMT"
}

// serverUntil waits until a server is in the state and nothing is under way with it. It gives up at once on a server that is
// broken.
func (s *session) serverUntil(ctx context.Context, no, state string) (ncloud.Server, error) {
	var v ncloud.Server
	err := s.wait(ctx, "server "+no+" to be "+state, func(ctx context.Context) (_ string, done bool, err error) {
		v, err = s.api.GetServerInstanceDetail(ctx, no)
		if err != nil {
			return "", false, err
		}
		if why, ok := broken[v.Status]; ok {
			return v.Status, false, fmt.Errorf("server %s is %s: %s; the console tells more", no, v.Status, why)
		}
		return v.Status + "/" + v.Operation, v.Status == state && (v.Operation == "NULL" || v.Operation == ""), nil
	})
	return v, err
}

func updateServer(ctx context.Context, s *session, prior, o *object) error {
	no := o.text("id")
	product, spec := "", ""
	if o.text("server_product_code") != prior.text("server_product_code") {
		product = o.text("server_product_code")
	}
	if s.flavour == VPC && o.text("server_spec_code") != prior.text("server_spec_code") {
		spec = o.text("server_spec_code")
	}
	if product != "" || spec != "" {
		// Only a stopped server changes its size.
		if err := s.stopServer(ctx, no); err != nil {
			return err
		}
		err := s.insist(ctx, "change the size of server "+no, busy, func(ctx context.Context) error {
			if s.flavour == Classic {
				return s.classic.ChangeServerInstanceSpec(ctx, no, product)
			}
			return s.vpc.ChangeServerInstanceSpec(ctx, no, product, spec)
		})
		if err != nil {
			return err
		}
		if _, err := s.serverUntil(ctx, no, "NSTOP"); err != nil {
			return err
		}
		err = s.insist(ctx, "start server "+no, busy, func(ctx context.Context) error {
			return s.api.StartServerInstances(ctx, no)
		})
		if err != nil {
			return err
		}
		if _, err := s.serverUntil(ctx, no, "RUN"); err != nil {
			return err
		}
	}
	if now := o.flag("is_protect_server_termination"); now != prior.flag("is_protect_server_termination") {
		if err := s.api.SetProtectServerTermination(ctx, no, now); err != nil {
			return err
		}
	}
	v, err := s.api.GetServerInstanceDetail(ctx, no)
	if err != nil {
		return err
	}
	if s.flavour == Classic {
		setClassicServer(o, v)
		return nil
	}
	return s.setVPCServer(ctx, o, v)
}

// stopServer stops a server that runs, whatever is under way with it. One that is gone or stopped is left alone.
func (s *session) stopServer(ctx context.Context, no string) error {
	return s.wait(ctx, "server "+no+" to be stopped", func(ctx context.Context) (string, bool, error) {
		v, err := s.api.GetServerInstanceDetail(ctx, no)
		if gone(err) {
			return "gone", true, nil
		} else if err != nil {
			return "", false, err
		}
		state := v.Status + "/" + v.Operation
		switch {
		case broken[v.Status] != "":
			return state, true, nil // broken: nothing will come of waiting, and the API says what it can do with it
		case v.Status == "NSTOP" && (v.Operation == "NULL" || v.Operation == ""):
			return state, true, nil
		case v.Status == "RUN" && (v.Operation == "NULL" || v.Operation == ""):
			err = s.api.StopServerInstances(ctx, no)
			if err != nil && (busy(err) || gone(err)) {
				err = nil // ask again
			}
		}
		return state, false, err
	})
}

// deleteServer ends a server: stop, detach what disks of its own it has, terminate, wait until it is gone. Each step is
// repeated as long as the API says that something is still under way.
func deleteServer(ctx context.Context, s *session, o *object) error {
	no := o.text("id")
	v, err := s.api.GetServerInstanceDetail(ctx, no)
	if gone(err) {
		return nil
	} else if err != nil {
		return err
	}
	if v.TerminationProtected {
		return fmt.Errorf("server %s (%s) is protected against termination: apply is_protect_server_termination = false first", no, v.Name)
	}
	// One that is being made is refused, and waited for; one that got stuck there never becomes fit to be stopped.
	unmade := (v.Status == "INIT" || v.Status == "CREAT") && s.api.TerminateServerInstances(ctx, no) == nil
	if !unmade {
		if err := s.stopServer(ctx, no); err != nil {
			return err
		}
		if err := s.detachDisks(ctx, no); err != nil {
			return err
		}
	}
	return s.wait(ctx, "server "+no+" to be gone", func(ctx context.Context) (string, bool, error) {
		v, err := s.api.GetServerInstanceDetail(ctx, no)
		if err != nil {
			return untilGone("", err)
		}
		state := v.Status + "/" + v.Operation
		if v.Status == "TERMT" || v.Operation == "TERMT" || v.Operation == "SETUP" {
			return state, false, nil
		}
		if err = s.api.TerminateServerInstances(ctx, no); err != nil && (busy(err) || gone(err)) {
			err = nil
		}
		return state, false, err
	})
}

// detachDisks takes a stopped server's additional disks off it, so that they survive its end as the official provider has it.
func (s *session) detachDisks(ctx context.Context, no string) error {
	disks, err := s.api.GetBlockStorageInstanceList(ctx, ncloud.BlockStorageFilter{ServerNo: no, Types: []string{"SVRBS"}})
	if err != nil {
		return err
	}
	for _, d := range disks {
		if err := s.detachDisk(ctx, d.No, no); err != nil {
			return err
		}
	}
	return nil
}
