package provider

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/tfbake/tfbake/internal/ncloud"
)

const gigabyte = 1 << 30

// blockStorage is ncloud_block_storage of the flavour.
func blockStorage(f Flavour) *resource {
	volumeTypes := []string{"HDD", "SSD", "FB1", "CB1"}
	if f == VPC {
		volumeTypes = append(volumeTypes, "FB2", "CB2")
	}
	return &resource{
		name: "ncloud_block_storage", older: true,
		schema: schema{
			attributes: map[string]*attribute{
				"id":                             text(optional, computed),
				"server_instance_no":             text(optional),
				"size":                           number(required, check(atLeast(10))),
				"name":                           text(optional, computed, forceNew, check(diskName)),
				"description":                    text(optional, computed, check(length(0, 1000))),
				"disk_detail_type":               text(optional, computed, forceNew, conflicts("volume_type"), check(oneOf("HDD", "SSD"))),
				"hypervisor_type":                text(optional, computed, forceNew, together("volume_type"), check(oneOf("XEN", "KVM"))),
				"volume_type":                    text(optional, computed, forceNew, conflicts("disk_detail_type"), together("hypervisor_type"), check(oneOf(volumeTypes...))),
				"zone":                           text(optional, computed, forceNew),
				"snapshot_no":                    text(optional, forceNew),
				"stop_instance_before_detaching": flag(optional, fallback(cty.False)),
				"return_protection":              flag(optional, computed),
				"block_storage_no":               text(computed),
				"server_name":                    text(computed),
				"type":                           text(computed),
				"device_name":                    text(computed),
				"product_code":                   text(computed),
				"status":                         text(computed),
				"disk_type":                      text(computed),
				"max_iops":                       number(computed),
				"encrypted_volume":               flag(computed),
			},
			blocks: map[string]*block{"timeouts": timeoutsBlock("create", "delete")},
		}.finish(),
		timeouts: map[string]time.Duration{"create": time.Hour, "delete": 5 * time.Minute, "update": 30 * time.Minute},
		validate: func(c *object) error {
			if hypervisor, volume := c.text("hypervisor_type"), c.text("volume_type"); hypervisor != "" && volume != "" {
				if xen := volume == "HDD" || volume == "SSD"; xen != (hypervisor == "XEN") {
					return fmt.Errorf("volume_type %s is not for hypervisor_type %s: XEN has HDD and SSD, KVM has CB1, FB1 and their successors", volume, hypervisor)
				}
			}
			return nil
		},
		create: createDisk,
		read: func(ctx context.Context, s *session, o *object) (bool, error) {
			d, err := s.api.GetBlockStorageInstanceDetail(ctx, o.text("id"))
			if err != nil {
				return missingIsFine(err)
			}
			s.setDisk(o, d)
			return true, nil
		},
		update: updateDisk,
		delete: deleteDisk,
	}
}

func createDisk(ctx context.Context, s *session, o *object) error {
	server := o.text("server_instance_no")
	if server == "" {
		return errors.New("server_instance_no is needed when the disk is made; it can be taken off afterwards")
	}
	q := ncloud.CreateBlockStorage{
		Name: o.text("name"), Description: o.text("description"), Size: int(o.number("size")), DiskDetailType: o.text("disk_detail_type"),
	}
	var d ncloud.BlockStorage
	var err error
	if s.flavour == Classic {
		if o.flag("return_protection") {
			return errors.New("return_protection exists on VPC only")
		}
		q.ServerNo = server
		d, err = s.classic.CreateBlockStorageInstance(ctx, q)
	} else {
		q.SnapshotNo, q.VolumeType, q.ZoneCode = o.text("snapshot_no"), o.text("volume_type"), o.text("zone")
		q.ReturnProtected = o.flagOrNil("return_protection")
		if o.text("hypervisor_type") == "KVM" {
			// A KVM disk is made in a zone and attached afterwards.
			v, err := s.vpc.GetServerInstanceDetail(ctx, server)
			if err != nil {
				return err
			}
			if q.ZoneCode == "" {
				return errors.New("zone is needed for a KVM disk: that of its server, " + v.ZoneCode)
			}
			if q.ZoneCode != v.ZoneCode {
				return fmt.Errorf("zone is %s, but server %s is in %s; a disk attaches within its zone only", q.ZoneCode, server, v.ZoneCode)
			}
		} else {
			q.ServerNo = server
		}
		d, err = s.vpc.CreateBlockStorageInstance(ctx, q)
	}
	if err != nil {
		return err
	}
	s.setDisk(o, d)
	o.setText("id", d.No) // in the state from here on
	s.logf("disk %s (%s): being made", d.No, d.Name)
	o.setText("server_instance_no", server)

	d, err = s.diskUntil(ctx, d.No, "made", func(d ncloud.BlockStorage) bool { return d.Status == "ATTAC" || d.Status == "CREAT" })
	if err != nil {
		return err
	}
	if d.Status != "ATTAC" {
		// KVM, or an attach that is still to come. The second shows as an operation, so diskUntil has waited for it.
		if err := s.attachDisk(ctx, d.No, server); err != nil {
			return err
		}
		if d, err = s.api.GetBlockStorageInstanceDetail(ctx, d.No); err != nil {
			return err
		}
	}
	s.setDisk(o, d)
	return nil
}

func updateDisk(ctx context.Context, s *session, prior, o *object) error {
	no, from, to := o.text("id"), prior.text("server_instance_no"), o.text("server_instance_no")
	oldSize, newSize := prior.number("size"), o.number("size")
	if newSize < oldSize {
		return fmt.Errorf("a disk can only grow: it has %d GB, %d GB are wanted", oldSize, newSize)
	}
	moved, grown := from != to, newSize > oldSize
	off := from != "" && (moved || grown) // a disk grows detached
	if off {
		if o.flag("stop_instance_before_detaching") {
			if err := s.stopServer(ctx, from); err != nil {
				return err
			}
		}
		if err := s.detachDisk(ctx, no, from); err != nil {
			return err
		}
	}
	if grown {
		err := s.insist(ctx, "grow disk "+no, busy, func(ctx context.Context) error {
			switch {
			case s.flavour == Classic:
				return s.classic.ChangeBlockStorageVolumeSize(ctx, no, int(newSize))
			case o.text("hypervisor_type") == "XEN":
				return s.vpc.ChangeBlockStorageVolumeSize(ctx, no, int(newSize))
			default:
				return s.vpc.ChangeBlockStorageInstance(ctx, no, int(newSize))
			}
		})
		if err != nil {
			return err
		}
		if _, err := s.diskUntil(ctx, no, "grown", func(ncloud.BlockStorage) bool { return true }); err != nil {
			return err
		}
	}
	if to != "" && (off || moved) {
		if err := s.attachDisk(ctx, no, to); err != nil {
			return err
		}
	}
	if now := o.flag("return_protection"); now != prior.flag("return_protection") {
		if s.flavour == Classic {
			return errors.New("return_protection exists on VPC only")
		}
		if err := s.vpc.SetBlockStorageReturnProtection(ctx, no, now); err != nil {
			return err
		}
	}
	d, err := s.api.GetBlockStorageInstanceDetail(ctx, no)
	if err == nil {
		s.setDisk(o, d)
	}
	return err
}

func deleteDisk(ctx context.Context, s *session, o *object) error {
	no, server := o.text("id"), o.text("server_instance_no")
	d, err := s.api.GetBlockStorageInstanceDetail(ctx, no)
	if gone(err) {
		return nil
	} else if err != nil {
		return err
	}
	if server != "" && o.flag("stop_instance_before_detaching") {
		if err := s.stopServer(ctx, server); err != nil {
			return err
		}
	}
	var stays error
	if d.Hypervisor == "KVM" && d.ServerNo != "" {
		// A KVM disk should be detached first. If that is refused, the API may still delete it; it has the last word.
		if stays = s.detachDisk(ctx, no, d.ServerNo); stays != nil && ctx.Err() != nil {
			return stays
		}
	}
	err = s.wait(ctx, "disk "+no+" to be gone", func(ctx context.Context) (string, bool, error) {
		d, err := s.api.GetBlockStorageInstanceDetail(ctx, no)
		if err != nil {
			return untilGone(d.Status, err)
		}
		if d.Operation != "" && d.Operation != "NULL" {
			return d.Status + "/" + d.Operation, false, nil // TERMT, or something that must end first
		}
		err = s.api.DeleteBlockStorageInstances(ctx, no)
		if err != nil && busy(err) && s.isBroken(ctx, d.ServerNo) {
			return d.Status, false, fmt.Errorf("its server %s is broken and does not let go of it; terminate the server first: %w", d.ServerNo, err)
		}
		if err != nil && (busy(err) || gone(err)) {
			err = nil
		}
		return d.Status, false, err
	})
	if err == nil {
		return nil
	}
	if err = errors.Join(stays, err); hasCode(err, "24002") {
		return fmt.Errorf("%w; the disk is mounted: set stop_instance_before_detaching = true, or unmount it", err)
	}
	return err
}

func (s *session) setDisk(o *object, d ncloud.BlockStorage) {
	o.setText("id", d.No)
	o.setText("block_storage_no", d.No)
	o.setText("server_instance_no", d.ServerNo)
	o.setText("name", d.Name)
	o.setText("description", d.Description)
	if d.Size > 0 {
		o.setNumber("size", d.Size/gigabyte)
	}
	o.setText("device_name", d.DeviceName)
	o.setText("product_code", d.ProductCode)
	o.setText("status", d.Status)
	o.setText("type", d.Type)
	o.setText("disk_type", d.DiskType)
	o.setTextIf("disk_detail_type", d.DiskDetailType)
	if s.flavour == Classic {
		o.setText("server_name", d.ServerName)
		return
	}
	o.setText("zone", d.ZoneCode)
	if d.MaxIOPS > 0 || !o.get("max_iops").IsKnown() {
		o.setNumber("max_iops", int64(d.MaxIOPS))
	}
	o.setFlag("encrypted_volume", d.Encrypted)
	o.setFlag("return_protection", d.ReturnProtected)
	o.setTextIf("volume_type", d.VolumeType)
	o.setTextIf("hypervisor_type", d.Hypervisor)
}

// diskUntil waits until ok is true of a disk and nothing is under way with it.
func (s *session) diskUntil(ctx context.Context, no, what string, ok func(ncloud.BlockStorage) bool) (ncloud.BlockStorage, error) {
	var d ncloud.BlockStorage
	err := s.wait(ctx, "disk "+no+" to be "+what, func(ctx context.Context) (_ string, done bool, err error) {
		d, err = s.api.GetBlockStorageInstanceDetail(ctx, no)
		if err == nil && (d.StatusName == "createFailed" || d.Status == "CREFL") {
			err = fmt.Errorf("disk %s: creating it failed (%s); the console tells more", no, d.Status)
		}
		return d.Status + "/" + d.Operation, ok(d) && (d.Operation == "NULL" || d.Operation == ""), err
	})
	return d, err
}

// attachDisk attaches a disk to a server and waits until it is attached.
func (s *session) attachDisk(ctx context.Context, no, server string) error {
	err := s.insist(ctx, "attach disk "+no+" to server "+server, busy, func(ctx context.Context) error {
		if d, err := s.api.GetBlockStorageInstanceDetail(ctx, no); err != nil || d.ServerNo == server && d.Status == "ATTAC" {
			return err
		}
		return s.api.AttachBlockStorageInstance(ctx, no, server)
	})
	if err != nil {
		return err
	}
	_, err = s.diskUntil(ctx, no, "attached", func(d ncloud.BlockStorage) bool { return d.Status == "ATTAC" })
	return err
}

// detachDisk takes a disk off a server, if it is there, and waits until both have settled.
func (s *session) detachDisk(ctx context.Context, no, server string) error {
	again := func(err error) bool { return busy(err) && !s.isBroken(ctx, server) }
	err := s.insist(ctx, "detach disk "+no+" from server "+server, again, func(ctx context.Context) error {
		d, err := s.api.GetBlockStorageInstanceDetail(ctx, no)
		if err != nil || d.ServerNo == "" || d.Operation == "DETAC" {
			return err
		}
		return s.api.DetachBlockStorageInstances(ctx, no)
	})
	if gone(err) {
		return nil
	} else if err != nil {
		return err
	}
	if _, err := s.diskUntil(ctx, no, "detached", func(d ncloud.BlockStorage) bool { return d.Status != "ATTAC" }); err != nil && !gone(err) {
		return err
	}
	return s.wait(ctx, "server "+server+" to settle", func(ctx context.Context) (string, bool, error) {
		v, err := s.api.GetServerInstanceDetail(ctx, server)
		if gone(err) {
			return "gone", true, nil
		}
		return v.Operation, v.Operation != "SETUP", err
	})
}

// snapshot is ncloud_block_storage_snapshot of the flavour.
func snapshot(f Flavour) *resource {
	attributes := map[string]*attribute{
		"id":                        text(optional, computed),
		"block_storage_instance_no": text(required, forceNew),
		"name":                      text(optional, computed),
		"description":               text(optional, computed),
		"instance_no":               text(computed),
		"volume_size":               number(computed),
		"instance_status":           text(computed),
		"instance_operation":        text(computed),
		"instance_status_name":      text(computed),
		"hypervisor_type":           text(computed),
	}
	if f == Classic {
		for _, name := range []string{"original_block_storage_instance_no", "original_block_storage_name", "server_image_product_code", "os_information"} {
			attributes[name] = text(computed)
		}
	}
	return &resource{
		name: "ncloud_block_storage_snapshot", older: true,
		schema:   schema{attributes: attributes, blocks: map[string]*block{"timeouts": timeoutsBlock("create", "delete")}}.finish(),
		timeouts: map[string]time.Duration{"create": time.Hour, "delete": 5 * time.Minute},
		create: func(ctx context.Context, s *session, o *object) error {
			q := ncloud.CreateSnapshot{Name: o.text("name"), Description: o.text("description"), BlockStorageNo: o.text("block_storage_instance_no")}
			n, err := s.api.CreateBlockStorageSnapshotInstance(ctx, q)
			if err != nil {
				return err
			}
			setSnapshot(o, n)
			o.setText("block_storage_instance_no", q.BlockStorageNo)
			return s.wait(ctx, "snapshot "+n.No+" to be made", func(ctx context.Context) (string, bool, error) {
				n, err := s.api.GetBlockStorageSnapshotInstanceDetail(ctx, n.No)
				if err != nil {
					return "", false, err
				}
				if n.Status == "CREFL" || n.StatusName == "createFailed" {
					return n.Status, false, fmt.Errorf("snapshot %s: creating it failed; the console tells more", n.No)
				}
				setSnapshot(o, n)
				return n.Status + "/" + n.Operation, n.Status == "CREAT" && (n.Operation == "NULL" || n.Operation == ""), nil
			})
		},
		read: func(ctx context.Context, s *session, o *object) (bool, error) {
			n, err := s.api.GetBlockStorageSnapshotInstanceDetail(ctx, o.text("id"))
			if err != nil {
				return missingIsFine(err)
			}
			setSnapshot(o, n)
			return true, nil
		},
		// Name and description change in the configuration only: the API cannot change them. As the official provider does,
		// an update is a read.
		update: func(ctx context.Context, s *session, _, o *object) error {
			n, err := s.api.GetBlockStorageSnapshotInstanceDetail(ctx, o.text("id"))
			if err == nil {
				setSnapshot(o, n)
			}
			return err
		},
		delete: func(ctx context.Context, s *session, o *object) error {
			no := o.text("id")
			return s.wait(ctx, "snapshot "+no+" to be gone", func(ctx context.Context) (string, bool, error) {
				n, err := s.api.GetBlockStorageSnapshotInstanceDetail(ctx, no)
				if err != nil {
					return untilGone(n.Status, err)
				}
				if n.Operation != "" && n.Operation != "NULL" {
					return n.Status + "/" + n.Operation, false, nil
				}
				err = s.api.DeleteBlockStorageSnapshotInstances(ctx, no)
				if err != nil && (busy(err) || gone(err)) {
					err = nil
				}
				return n.Status, false, err
			})
		},
	}
}

func setSnapshot(o *object, n ncloud.Snapshot) {
	o.setText("id", n.No)
	o.setText("block_storage_instance_no", n.OriginalNo)
	o.setText("name", n.Name)
	o.setText("description", n.Description)
	o.setText("instance_no", n.No)
	o.setNumber("volume_size", n.VolumeSize)
	o.setText("instance_status", n.Status)
	o.setText("instance_operation", n.Operation)
	o.setText("instance_status_name", n.StatusName)
	o.setText("hypervisor_type", n.Hypervisor)
	o.setText("original_block_storage_instance_no", n.OriginalNo)
	o.setText("original_block_storage_name", n.OriginalName)
	o.setText("server_image_product_code", n.ServerImageProductCode)
	o.setText("os_information", n.OSInformation)
}
