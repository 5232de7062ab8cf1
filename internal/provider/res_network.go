package provider

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/tfbake/tfbake/internal/ncloud"
)

// accessControlGroup is ncloud_access_control_group.
func accessControlGroup() *resource {
	return &resource{
		name: "ncloud_access_control_group", older: true,
		schema: schema{attributes: map[string]*attribute{
			"id":                      text(optional, computed),
			"vpc_no":                  text(required, forceNew),
			"name":                    text(optional, computed, forceNew, check(instanceName)),
			"description":             text(optional, computed, forceNew, check(length(0, 1000))),
			"access_control_group_no": text(computed),
			"is_default":              flag(computed),
		}}.finish(),
		create: func(ctx context.Context, s *session, o *object) error {
			g, err := s.vpc.CreateAccessControlGroup(ctx, ncloud.CreateACG{
				Name: o.text("name"), Description: o.text("description"), VPCNo: o.text("vpc_no"),
			})
			if err != nil {
				return err
			}
			setACG(o, g)
			g, err = s.acgSettled(ctx, g.No)
			if err == nil {
				setACG(o, g)
			}
			return err
		},
		read: func(ctx context.Context, s *session, o *object) (bool, error) {
			g, err := s.vpc.GetAccessControlGroupDetail(ctx, o.text("id"))
			if err != nil {
				return missingIsFine(err)
			}
			setACG(o, g)
			return true, nil
		},
		delete: func(ctx context.Context, s *session, o *object) error {
			g, err := s.vpc.GetAccessControlGroupDetail(ctx, o.text("id"))
			if gone(err) {
				return nil
			} else if err != nil {
				return err
			}
			// Just after a server's end its NIC, and so the ACG, still counts as used.
			err = s.insist(ctx, "delete ACG "+g.No, stillUsed(), func(ctx context.Context) error {
				return s.vpc.DeleteAccessControlGroup(ctx, g.VPCNo, g.No)
			})
			if err != nil {
				return err
			}
			return s.wait(ctx, "ACG "+g.No+" to be gone", func(ctx context.Context) (string, bool, error) {
				g, err := s.vpc.GetAccessControlGroupDetail(ctx, g.No)
				return untilGone(g.Status, err)
			})
		},
	}
}

func setACG(o *object, g ncloud.ACG) {
	o.setText("id", g.No)
	o.setText("access_control_group_no", g.No)
	o.setText("name", g.Name)
	o.setText("description", g.Description)
	o.setText("vpc_no", g.VPCNo)
	o.setFlag("is_default", g.IsDefault)
}

// acgSettled waits until an ACG has taken a change in.
func (s *session) acgSettled(ctx context.Context, no string) (ncloud.ACG, error) {
	var g ncloud.ACG
	err := s.wait(ctx, "ACG "+no+" to be ready", func(ctx context.Context) (_ string, done bool, err error) {
		g, err = s.vpc.GetAccessControlGroupDetail(ctx, no)
		return g.Status, g.Status == "RUN", err
	})
	return g, err
}

var ruleType = cty.Object(map[string]cty.Type{
	"protocol": cty.String, "port_range": cty.String, "ip_block": cty.String,
	"source_access_control_group_no": cty.String, "description": cty.String,
})

// accessControlGroupRule is ncloud_access_control_group_rule: all rules of one ACG.
func accessControlGroupRule() *resource {
	return &resource{
		name: "ncloud_access_control_group_rule", older: true,
		schema: schema{
			attributes: map[string]*attribute{
				"id":                      text(optional, computed),
				"access_control_group_no": text(required, forceNew),
				"inbound":                 attr(cty.Set(ruleType), optional, check(rules)),
				"outbound":                attr(cty.Set(ruleType), optional, check(rules)),
			},
			blocks: map[string]*block{"timeouts": timeoutsBlock("create", "update", "delete")},
		}.finish(),
		timeouts:  map[string]time.Duration{"create": time.Hour, "update": 10 * time.Minute, "delete": 5 * time.Minute},
		normalize: map[string]func(cty.Value) cty.Value{"inbound": plainRules, "outbound": plainRules},
		create: func(ctx context.Context, s *session, o *object) error {
			no := o.text("access_control_group_no")
			g, err := s.vpc.GetAccessControlGroupDetail(ctx, no)
			if err != nil {
				return err
			}
			var in, out []ncloud.Rule
			if g.IsDefault { // comes with rules; the configuration's replace them
				if in, out, err = s.rules(ctx, no); err != nil {
					return err
				}
			}
			o.setText("id", no)
			return s.changeRules(ctx, g, in, out, o)
		},
		read: func(ctx context.Context, s *session, o *object) (bool, error) {
			in, out, err := s.rules(ctx, o.text("id"))
			if err != nil {
				return missingIsFine(err)
			}
			if len(in)+len(out) == 0 {
				return false, nil
			}
			o.setText("access_control_group_no", o.text("id"))
			o.set("inbound", ruleSet(in))
			o.set("outbound", ruleSet(out))
			return true, nil
		},
		update: func(ctx context.Context, s *session, prior, o *object) error {
			g, err := s.vpc.GetAccessControlGroupDetail(ctx, o.text("id"))
			if err != nil {
				return err
			}
			return s.changeRules(ctx, g, rulesOf(prior, "inbound"), rulesOf(prior, "outbound"), o)
		},
		delete: func(ctx context.Context, s *session, o *object) error {
			g, err := s.vpc.GetAccessControlGroupDetail(ctx, o.text("id"))
			if gone(err) {
				return nil
			} else if err != nil {
				return err
			}
			in, out, err := s.rules(ctx, g.No)
			if gone(err) {
				return nil
			} else if err != nil {
				return err
			}
			// Only ours, and only what is still there: the API refuses to remove what is not.
			in, out = keep(in, rulesOf(o, "inbound")), keep(out, rulesOf(o, "outbound"))
			return s.changeRules(ctx, g, in, out, newObject(o.schema, o.schema.null()))
		},
	}
}

// plainRules gives planned rules the form they have in state: what is left open is "".
func plainRules(v cty.Value) cty.Value {
	if !v.IsKnown() || v.IsNull() {
		return v
	}
	var out []cty.Value
	for _, e := range v.AsValueSlice() {
		if !e.IsKnown() {
			return v
		}
		m := e.AsValueMap()
		for name, f := range m {
			if f.IsNull() {
				m[name] = cty.StringVal("")
			}
		}
		out = append(out, cty.ObjectVal(m))
	}
	return collection(v.Type(), out)
}

func rulesOf(o *object, name string) []ncloud.Rule {
	var out []ncloud.Rule
	for _, e := range o.list(name) {
		out = append(out, ncloud.Rule{
			Protocol: textOf(e.GetAttr("protocol")), PortRange: textOf(e.GetAttr("port_range")), IPBlock: textOf(e.GetAttr("ip_block")),
			SourceACGNo: textOf(e.GetAttr("source_access_control_group_no")), Description: textOf(e.GetAttr("description")),
		})
	}
	return out
}

func ruleSet(in []ncloud.Rule) cty.Value {
	var out []cty.Value
	for _, r := range in {
		out = append(out, cty.ObjectVal(map[string]cty.Value{
			"protocol": cty.StringVal(r.Protocol), "port_range": cty.StringVal(r.PortRange), "ip_block": cty.StringVal(r.IPBlock),
			"source_access_control_group_no": cty.StringVal(r.SourceACGNo), "description": cty.StringVal(r.Description),
		}))
	}
	return collection(cty.Set(ruleType), out)
}

// rules are the rules an ACG has, comparable with those of a configuration.
func (s *session) rules(ctx context.Context, no string) (in, out []ncloud.Rule, err error) {
	all, err := s.vpc.GetAccessControlGroupRuleList(ctx, no, "")
	if err != nil {
		return nil, nil, err
	}
	for _, r := range all {
		if r.Protocol != "TCP" && r.Protocol != "UDP" && r.Protocol != "ICMP" {
			r.Protocol = strconv.Itoa(int(r.ProtocolNumber))
		}
		plain := ncloud.Rule{Protocol: r.Protocol, PortRange: r.PortRange, IPBlock: r.IPBlock, SourceACGNo: r.SourceACGNo, Description: r.Description}
		if r.Direction == ncloud.Inbound {
			in = append(in, plain)
		} else {
			out = append(out, plain)
		}
	}
	return in, out, nil
}

// changeRules makes an ACG's rules those of o, from the ones given. Removing comes first: an old and a new rule may overlap.
func (s *session) changeRules(ctx context.Context, g ncloud.ACG, in, out []ncloud.Rule, o *object) error {
	type change struct {
		what  string
		rules []ncloud.Rule
		call  func(ctx context.Context, vpcNo, acgNo string, rules []ncloud.Rule) error
	}
	wantIn, wantOut := rulesOf(o, "inbound"), rulesOf(o, "outbound")
	for _, c := range []change{
		{"remove inbound rules of", without(in, wantIn), s.vpc.RemoveAccessControlGroupInboundRule},
		{"add inbound rules to", without(wantIn, in), s.vpc.AddAccessControlGroupInboundRule},
		{"remove outbound rules of", without(out, wantOut), s.vpc.RemoveAccessControlGroupOutboundRule},
		{"add outbound rules to", without(wantOut, out), s.vpc.AddAccessControlGroupOutboundRule},
	} {
		if len(c.rules) == 0 {
			continue
		}
		what := c.what + " ACG " + g.No
		if err := s.insist(ctx, what, busy, func(ctx context.Context) error { return c.call(ctx, g.VPCNo, g.No, c.rules) }); err != nil {
			return err
		}
		if _, err := s.acgSettled(ctx, g.No); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	for _, name := range []string{"inbound", "outbound"} {
		if o.get(name).IsNull() {
			o.set(name, cty.SetValEmpty(ruleType)) // as a read has it
		}
	}
	return nil
}

// without is a less b; keep is what a and b share.
func without(a, b []ncloud.Rule) (out []ncloud.Rule) {
	for _, r := range a {
		if !slices.Contains(b, r) {
			out = append(out, r)
		}
	}
	return out
}

func keep(a, b []ncloud.Rule) (out []ncloud.Rule) {
	for _, r := range a {
		if slices.Contains(b, r) {
			out = append(out, r)
		}
	}
	return out
}

// networkInterface is ncloud_network_interface.
func networkInterface() *resource {
	return &resource{
		name: "ncloud_network_interface", older: true,
		schema: schema{attributes: map[string]*attribute{
			"id":                    text(optional, computed),
			"subnet_no":             text(required, forceNew),
			"name":                  text(optional, computed, forceNew, check(instanceName)),
			"private_ip":            text(optional, computed, forceNew, check(isIPv4)),
			"access_control_groups": attr(cty.Set(cty.String), required, check(noEmptyText)),
			"server_instance_no":    text(optional, computed),
			"description":           text(optional, computed, forceNew, check(length(0, 1000))),
			"network_interface_no":  text(computed),
			"status":                text(computed),
			"instance_type":         text(computed),
			"is_default":            flag(computed),
		}}.finish(),
		create: func(ctx context.Context, s *session, o *object) error {
			subnet, err := s.vpc.GetSubnetDetail(ctx, o.text("subnet_no"))
			if err != nil {
				return err
			}
			server := o.text("server_instance_no")
			n, err := s.vpc.CreateNetworkInterface(ctx, ncloud.CreateNetworkInterface{
				Name: o.text("name"), Description: o.text("description"), VPCNo: subnet.VPCNo, SubnetNo: subnet.No,
				ACGNos: o.texts("access_control_groups"), IP: o.text("private_ip"), ServerNo: server,
			})
			if err != nil {
				return err
			}
			setNIC(o, n)
			if server != "" {
				n, err = s.nicUntil(ctx, n.No, "USED")
			} else if n.Status == "SET" || n.Status == "" {
				n, err = s.nicUntil(ctx, n.No, "NOTUSED")
			}
			if err == nil {
				setNIC(o, n)
			}
			return err
		},
		read: func(ctx context.Context, s *session, o *object) (bool, error) {
			n, err := s.vpc.GetNetworkInterfaceDetail(ctx, o.text("id"))
			if err != nil {
				return missingIsFine(err)
			}
			setNIC(o, n)
			return true, nil
		},
		update: func(ctx context.Context, s *session, prior, o *object) error {
			no := o.text("id")
			if from, to := prior.text("server_instance_no"), o.text("server_instance_no"); from != to {
				if from != "" {
					err := s.insist(ctx, "detach NIC "+no, busy, func(ctx context.Context) error {
						return s.vpc.DetachNetworkInterface(ctx, no, o.text("subnet_no"), from)
					})
					if err != nil {
						return err
					}
					if _, err := s.nicUntil(ctx, no, "NOTUSED"); err != nil {
						return err
					}
				}
				if to != "" {
					err := s.insist(ctx, "attach NIC "+no, busy, func(ctx context.Context) error {
						return s.vpc.AttachNetworkInterface(ctx, no, o.text("subnet_no"), to)
					})
					if err != nil {
						return err
					}
					if _, err := s.nicUntil(ctx, no, "USED"); err != nil {
						return err
					}
				}
			}
			have, want := prior.texts("access_control_groups"), o.texts("access_control_groups")
			// Adding comes first: a NIC must never be without an ACG (1002035).
			if add := lacking(have, want); len(add) > 0 {
				err := s.insist(ctx, "add ACGs to NIC "+no, busy, func(ctx context.Context) error {
					return s.vpc.AddNetworkInterfaceAccessControlGroup(ctx, no, add)
				})
				if err != nil {
					return err
				}
				if _, err := s.nicUntil(ctx, no, "USED", "NOTUSED"); err != nil {
					return err
				}
			}
			if remove := lacking(want, have); len(remove) > 0 {
				err := s.insist(ctx, "remove ACGs from NIC "+no, busy, func(ctx context.Context) error {
					return s.vpc.RemoveNetworkInterfaceAccessControlGroup(ctx, no, remove)
				})
				if err != nil {
					return err
				}
			}
			n, err := s.nicUntil(ctx, no, "USED", "NOTUSED")
			if err == nil {
				setNIC(o, n)
			}
			return err
		},
		delete: func(ctx context.Context, s *session, o *object) error {
			no := o.text("id")
			err := s.insist(ctx, "delete NIC "+no, stillUsed(), func(ctx context.Context) error {
				n, err := s.vpc.GetNetworkInterfaceDetail(ctx, no)
				if err != nil {
					return err
				}
				if n.Status == "UNSET" {
					return nil // being deleted, or leaving its server; the wait below tells
				}
				return s.vpc.DeleteNetworkInterface(ctx, no)
			})
			if gone(err) {
				return nil
			} else if err != nil {
				return err
			}
			return s.wait(ctx, "NIC "+no+" to be gone", func(ctx context.Context) (string, bool, error) {
				n, err := s.vpc.GetNetworkInterfaceDetail(ctx, no)
				if err == nil && n.Status == "NOTUSED" { // it had been leaving its server
					if err := s.vpc.DeleteNetworkInterface(ctx, no); err != nil && !gone(err) && !busy(err) {
						return n.Status, false, err
					}
				}
				return untilGone(n.Status, err)
			})
		},
	}
}

func noEmptyText(v cty.Value) error {
	if slices.Contains(textsOf(v), "") {
		return errors.New("it holds an empty text")
	}
	return nil
}

// lacking is what want has and have has not.
func lacking(have, want []string) (out []string) {
	for _, w := range want {
		if !slices.Contains(have, w) {
			out = append(out, w)
		}
	}
	return out
}

func setNIC(o *object, n ncloud.NetworkInterface) {
	o.setText("id", n.No)
	o.setText("network_interface_no", n.No)
	o.setText("name", n.Name)
	o.setText("description", n.Description)
	o.setText("subnet_no", n.SubnetNo)
	o.setText("private_ip", n.IP)
	o.setText("server_instance_no", n.InstanceNo)
	o.setText("status", n.Status)
	o.setText("instance_type", n.InstanceType)
	o.setFlag("is_default", n.IsDefault)
	if len(n.ACGNos) > 0 {
		o.set("access_control_groups", textSet(n.ACGNos))
	}
}

func (s *session) nicUntil(ctx context.Context, no string, states ...string) (ncloud.NetworkInterface, error) {
	var n ncloud.NetworkInterface
	err := s.wait(ctx, "NIC "+no+" to be "+strings.Join(states, " or "), func(ctx context.Context) (_ string, done bool, err error) {
		n, err = s.vpc.GetNetworkInterfaceDetail(ctx, no)
		return n.Status, slices.Contains(states, n.Status), err
	})
	return n, err
}
