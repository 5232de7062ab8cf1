package provider

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tfbake/tfbake/internal/ncloud"
)

// classicServer is ncloud_server of 3.3.2 on Classic.
func classicServer() *resource {
	attributes, blocks := serverAttributes(), serverBlocks()
	attributes["internet_line_type"] = text(optional, computed, forceNew, check(oneOf("PUBLC", "GLBL")), deprecated("This parameter is no longer used."))
	attributes["access_control_group_configuration_no_list"] = texts(optional, forceNew)
	attributes["user_data"] = text(optional, forceNew)
	blocks["tag_list"] = listBlock(map[string]*attribute{
		"tag_key":   text(optional, forceNew),
		"tag_value": text(optional, forceNew),
	})
	return &resource{
		name: "ncloud_server", older: true,
		schema:   schema{attributes: attributes, blocks: blocks}.finish(),
		timeouts: serverTimeouts,
		plan:     planServer,
		validate: func(c *object) error {
			if v := c.get("access_control_group_configuration_no_list"); !v.IsNull() && v.IsKnown() && v.LengthInt() == 0 {
				return errors.New("access_control_group_configuration_no_list is empty; leave it away for the default ACG")
			}
			if len(c.list("network_interface")) > 0 {
				return errors.New("network_interface is for VPC; on Classic name ACGs in access_control_group_configuration_no_list")
			}
			return nil
		},
		create: createClassicServer,
		read: func(ctx context.Context, s *session, o *object) (bool, error) {
			v, err := s.classic.GetServerInstanceDetail(ctx, o.text("id"))
			if err != nil {
				return missingIsFine(err)
			}
			setClassicServer(o, v)
			return true, nil
		},
		update: updateServer,
		delete: deleteServer,
	}
}

func createClassicServer(ctx context.Context, s *session, o *object) error {
	zone, err := s.zoneNo(ctx, o.text("zone"))
	if err != nil {
		return err
	}
	q := ncloud.CreateServer{
		ZoneNo: zone, Name: o.text("name"), Description: o.text("description"),
		ImageProductCode: o.text("server_image_product_code"), ProductCode: o.text("server_product_code"), MemberImageNo: o.text("member_server_image_no"),
		LoginKeyName: o.text("login_key_name"), TerminationProtected: o.flagOrNil("is_protect_server_termination"),
		FeeSystemTypeCode: o.text("fee_system_type_code"), RaidType: o.text("raid_type_name"), UserData: o.text("user_data"),
		ACGNos: o.texts("access_control_group_configuration_no_list"),
	}
	for _, e := range o.list("tag_list") {
		q.Tags = append(q.Tags, ncloud.Tag{Key: textOf(e.GetAttr("tag_key")), Value: textOf(e.GetAttr("tag_value"))})
	}
	// A server that is just being terminated blocks another one's making for a while (23003, 23006).
	var v ncloud.Server
	err = s.insist(ctx, "make server "+q.Name, busy, func(ctx context.Context) (err error) {
		v, err = s.classic.CreateServerInstances(ctx, q)
		return err
	})
	if err != nil {
		return err
	}
	setClassicServer(o, v)
	o.setText("id", v.No)
	s.logf("server %s (%s): being made", v.No, v.Name)
	if v, err = s.serverUntil(ctx, v.No, "RUN"); err != nil {
		return err
	}
	setClassicServer(o, v)
	return nil
}

func setClassicServer(o *object, v ncloud.Server) {
	setServer(o, v)
	o.setText("server_image_name", v.ImageName)
	o.setNumber("base_block_storage_size", v.BaseBlockStorageSize)
	o.setFlag("is_fee_charging_monitoring", v.FeeChargingMonitoring)
	o.setText("private_ip", v.PrivateIP)
	o.setText("port_forwarding_public_ip", v.PortForwardingPublicIP)
	if v.PortForwardingExternal != 0 {
		o.setNumber("port_forwarding_external_port", int64(v.PortForwardingExternal))
	}
	if v.PortForwardingInternal != 0 {
		o.setNumber("port_forwarding_internal_port", int64(v.PortForwardingInternal))
	}
	if v := o.get("network_interface"); !v.IsKnown() {
		o.set("network_interface", collection(v.Type(), nil))
	}
}

// zoneNo is the number of a zone given by code; "" for none.
func (s *session) zoneNo(ctx context.Context, code string) (string, error) {
	if code == "" {
		return "", nil
	}
	zones, err := s.classic.GetZoneList(ctx)
	if err != nil {
		return "", err
	}
	var codes []string
	for _, z := range zones {
		if z.Code == code {
			return z.No, nil
		}
		codes = append(codes, z.Code)
	}
	return "", fmt.Errorf("there is no zone %q; there are %s", code, strings.Join(codes, ", "))
}

// portForwardingRule is ncloud_port_forwarding_rule. Its id is "configuration:zone number:external port".
func portForwardingRule() *resource {
	return &resource{
		name: "ncloud_port_forwarding_rule", older: true,
		schema: schema{
			attributes: map[string]*attribute{
				"id":                               text(optional, computed),
				"server_instance_no":               text(required, forceNew),
				"port_forwarding_external_port":    number(required, forceNew, check(between(1024, 65534))),
				"port_forwarding_internal_port":    number(required, forceNew, check(oneOfNumbers(22, 3389))),
				"port_forwarding_configuration_no": text(optional, computed),
				"port_forwarding_public_ip":        text(computed),
				"zone":                             text(computed),
			},
			blocks: map[string]*block{"timeouts": timeoutsBlock("create", "delete")},
		}.finish(),
		timeouts: map[string]time.Duration{"create": time.Hour, "delete": 5 * time.Minute},
		create: func(ctx context.Context, s *session, o *object) error {
			server := o.text("server_instance_no")
			v, err := s.classic.GetServerInstanceDetail(ctx, server)
			if err != nil {
				return err
			}
			p := ncloud.PortForwarding{
				ServerNo: server, ConfigurationNo: o.text("port_forwarding_configuration_no"),
				ExternalPort: int32(o.number("port_forwarding_external_port")), InternalPort: int32(o.number("port_forwarding_internal_port")),
				ZoneNo: v.ZoneNo,
			}
			if p.ConfigurationNo == "" {
				all, err := s.classic.GetPortForwardingConfigurationList(ctx, server)
				if err != nil {
					return err
				}
				if len(all) == 0 {
					return fmt.Errorf("server %s has no port forwarding configuration; name one in port_forwarding_configuration_no", server)
				}
				p.ConfigurationNo = all[0].No
			}
			err = s.insist(ctx, "forward a port to server "+server, busy, func(ctx context.Context) error {
				return s.classic.AddPortForwardingRules(ctx, p)
			})
			if err != nil {
				return err
			}
			o.setText("id", fmt.Sprintf("%s:%s:%d", p.ConfigurationNo, p.ZoneNo, p.ExternalPort))
			return s.wait(ctx, "port forwarding "+o.text("id")+" to be listed", func(ctx context.Context) (string, bool, error) {
				found, err := s.readForwarding(ctx, o)
				return "", found, err
			})
		},
		read: func(ctx context.Context, s *session, o *object) (bool, error) { return s.readForwarding(ctx, o) },
		delete: func(ctx context.Context, s *session, o *object) error {
			return s.wait(ctx, "port forwarding "+o.text("id")+" to be gone", func(ctx context.Context) (string, bool, error) {
				found, err := s.readForwarding(ctx, o.clone())
				if err != nil || !found {
					return "", err == nil, err
				}
				err = s.classic.DeletePortForwardingRules(ctx, ncloud.PortForwarding{
					ConfigurationNo: o.text("port_forwarding_configuration_no"), ServerNo: o.text("server_instance_no"),
					ExternalPort: int32(o.number("port_forwarding_external_port")), InternalPort: int32(o.number("port_forwarding_internal_port")),
				})
				if err != nil && (busy(err) || gone(err)) {
					err = nil
				}
				return "listed", false, err
			})
		},
	}
}

// readForwarding finds the rule by its id and says whether it is there.
func (s *session) readForwarding(ctx context.Context, o *object) (bool, error) {
	parts := strings.Split(o.text("id"), ":")
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" {
		return false, fmt.Errorf("id %q is not of the form configuration_no:zone_no:external_port", o.text("id"))
	}
	port, err := strconv.Atoi(parts[2])
	if err != nil {
		return false, fmt.Errorf("id %q does not end with a port", o.text("id"))
	}
	all, err := s.classic.GetPortForwardingRuleList(ctx, parts[1])
	if err != nil {
		return false, err
	}
	for _, p := range all {
		if int(p.ExternalPort) != port || p.ConfigurationNo != parts[0] {
			continue
		}
		o.setText("port_forwarding_public_ip", p.PublicIP)
		o.setText("server_instance_no", p.ServerNo)
		o.setNumber("port_forwarding_external_port", int64(p.ExternalPort))
		o.setNumber("port_forwarding_internal_port", int64(p.InternalPort))
		o.setText("port_forwarding_configuration_no", p.ConfigurationNo)
		o.setText("zone", p.ZoneCode)
		return true, nil
	}
	return false, nil
}
