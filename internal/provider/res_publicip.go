package provider

import (
	"context"
	"time"

	"github.com/tfbake/tfbake/internal/ncloud"
)

// publicIP is ncloud_public_ip of the flavour.
func publicIP(f Flavour) *resource {
	attributes := map[string]*attribute{
		"id":                 text(optional, computed),
		"server_instance_no": text(optional),
		"description":        text(optional, computed, forceNew, check(length(1, 10000))),
		"public_ip_no":       text(computed),
		"internet_line_type": text(optional, computed, forceNew, check(oneOf("PUBLC", "GLBL")), deprecated("This parameter is no longer used.")),
		"public_ip":          text(computed),
		"kind_type":          text(computed),
		"instance_no":        text(computed, deprecated("Use 'public_ip_no' instead")),
	}
	if f == Classic {
		attributes["zone"] = text(optional, computed)
	}
	return &resource{
		name: "ncloud_public_ip", older: true,
		schema:   schema{attributes: attributes}.finish(),
		timeouts: map[string]time.Duration{"create": 10 * time.Minute, "update": 10 * time.Minute, "delete": 10 * time.Minute},
		create: func(ctx context.Context, s *session, o *object) error {
			q := ncloud.CreatePublicIP{ServerNo: o.text("server_instance_no"), Description: o.text("description")}
			var ip ncloud.PublicIP
			var err error
			if s.flavour == Classic {
				if q.ZoneNo, err = s.zoneNo(ctx, o.text("zone")); err == nil {
					ip, err = s.classic.CreatePublicIpInstance(ctx, q)
				}
			} else {
				ip, err = s.vpc.CreatePublicIpInstance(ctx, q)
			}
			if err != nil {
				return err
			}
			want := q.ServerNo
			setPublicIP(o, ip)
			if want != "" {
				o.setText("server_instance_no", want)
				ip, err = s.ipUntil(ctx, ip.No, "associated", func(ip ncloud.PublicIP) bool { return ip.ServerNo != "" })
				if err == nil {
					setPublicIP(o, ip)
				}
			}
			return err
		},
		read: func(ctx context.Context, s *session, o *object) (bool, error) {
			ip, err := s.api.GetPublicIpInstanceDetail(ctx, o.text("id"))
			if err != nil {
				return missingIsFine(err)
			}
			setPublicIP(o, ip)
			return true, nil
		},
		update: func(ctx context.Context, s *session, prior, o *object) error {
			no, from, to := o.text("id"), prior.text("server_instance_no"), o.text("server_instance_no")
			if from != to && from != "" {
				if err := s.disassociate(ctx, no); err != nil {
					return err
				}
			}
			if from != to && to != "" {
				err := s.insist(ctx, "associate public IP "+no, busy, func(ctx context.Context) error {
					return s.api.AssociatePublicIpWithServerInstance(ctx, no, to)
				})
				if err != nil {
					return err
				}
				if _, err := s.ipUntil(ctx, no, "associated", func(ip ncloud.PublicIP) bool { return ip.ServerNo == to }); err != nil {
					return err
				}
			}
			ip, err := s.api.GetPublicIpInstanceDetail(ctx, no)
			if err == nil {
				setPublicIP(o, ip)
			}
			return err
		},
		delete: func(ctx context.Context, s *session, o *object) error {
			no := o.text("id")
			ip, err := s.api.GetPublicIpInstanceDetail(ctx, no)
			if gone(err) {
				return nil
			} else if err != nil {
				return err
			}
			if ip.ServerNo != "" {
				if err := s.disassociate(ctx, no); err != nil {
					return err
				}
			}
			// The API is known to answer 500 although it has done as told, so what exists decides, not the answer.
			return s.wait(ctx, "public IP "+no+" to be gone", func(ctx context.Context) (string, bool, error) {
				ip, err := s.api.GetPublicIpInstanceDetail(ctx, no)
				if err != nil {
					return untilGone(ip.Status, err)
				}
				if ip.Operation == "TERMT" || ip.Status == "TERMT" || ip.Status == "TERMTING" {
					return ip.Status, false, nil
				}
				err = s.api.DeletePublicIpInstance(ctx, no)
				if err != nil && (busy(err) || gone(err) || passing(err)) {
					err = nil
				}
				return ip.Status, false, err
			})
		},
	}
}

func setPublicIP(o *object, ip ncloud.PublicIP) {
	o.setText("id", ip.No)
	o.setText("instance_no", ip.No)
	o.setText("public_ip_no", ip.No)
	o.setText("public_ip", ip.IP)
	o.setText("description", ip.Description)
	o.setText("server_instance_no", ip.ServerNo)
	o.setTextIf("kind_type", ip.Kind)
	o.setTextIf("zone", ip.ZoneCode)
}

func (s *session) ipUntil(ctx context.Context, no, what string, ok func(ncloud.PublicIP) bool) (ncloud.PublicIP, error) {
	var ip ncloud.PublicIP
	err := s.wait(ctx, "public IP "+no+" to be "+what, func(ctx context.Context) (_ string, done bool, err error) {
		ip, err = s.api.GetPublicIpInstanceDetail(ctx, no)
		return ip.Status + "/" + ip.Operation, ok(ip) && (ip.Operation == "NULL" || ip.Operation == ""), err
	})
	return ip, err
}

// disassociate takes a public IP off its server and waits until it is off.
func (s *session) disassociate(ctx context.Context, no string) error {
	err := s.insist(ctx, "disassociate public IP "+no, busy, func(ctx context.Context) error {
		ip, err := s.api.GetPublicIpInstanceDetail(ctx, no)
		if err != nil || ip.ServerNo == "" {
			return err
		}
		return s.api.DisassociatePublicIpFromServerInstance(ctx, no)
	})
	if gone(err) {
		return nil
	} else if err != nil {
		return err
	}
	_, err = s.ipUntil(ctx, no, "disassociated", func(ip ncloud.PublicIP) bool { return ip.ServerNo == "" })
	if gone(err) {
		return nil
	}
	return err
}
