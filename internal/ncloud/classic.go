package ncloud

import (
	"context"
	"slices"

	"github.com/NaverCloudPlatform/ncloud-sdk-go-v2/services/server"
)

// ClassicService is the Classic face of the client: /server/v2. Its methods bear the names of the API's actions and keep
// the same promises as VPCService; RegionNo is sent where the action takes it. Classic has no detail calls: the
// …Detail methods here ask the list for one number.
type ClassicService struct{ c *Client }

type csv = server.V2ApiService

// GetRegionList lists the regions of Classic.
func (a *ClassicService) GetRegionList(ctx context.Context) ([]Region, error) {
	return list(ctx, a.c, (*csv).GetRegionList, server.GetRegionListRequest{}, "",
		func(r *server.GetRegionListResponse) []*server.Region { return r.RegionList }, classicRegion)
}

// GetZoneList lists the zones of the client's region.
func (a *ClassicService) GetZoneList(ctx context.Context) ([]Zone, error) {
	return list(ctx, a.c, (*csv).GetZoneList, server.GetZoneListRequest{}, "",
		func(r *server.GetZoneListResponse) []*server.Zone { return r.ZoneList }, classicZone)
}

// GetServerImageProductList lists image products.
func (a *ClassicService) GetServerImageProductList(ctx context.Context, f ImageProductFilter) ([]Product, error) {
	return list(ctx, a.c, (*csv).GetServerImageProductList, server.GetServerImageProductListRequest{
		ProductCode: opt(f.ProductCode), ExclusionProductCode: opt(f.ExclusionProductCode), PlatformTypeCodeList: opts(f.PlatformTypes),
		BlockStorageSize: optInt32(f.BlockStorageSize), InfraResourceDetailTypeCode: opt(f.InfraResourceDetailType),
	}, f.ProductCode, func(r *server.GetServerImageProductListResponse) []*server.Product { return r.ProductList }, classicProduct)
}

// GetServerProductList lists the server products that fit an image product.
func (a *ClassicService) GetServerProductList(ctx context.Context, f ServerProductFilter) ([]Product, error) {
	return list(ctx, a.c, (*csv).GetServerProductList, server.GetServerProductListRequest{
		ServerImageProductCode: opt(f.ImageProductCode), ProductCode: opt(f.ProductCode), ExclusionProductCode: opt(f.ExclusionProductCode),
		GenerationCode: opt(f.Generation), ZoneNo: opt(f.Zone),
	}, "image "+f.ImageProductCode, func(r *server.GetServerProductListResponse) []*server.Product { return r.ProductList }, classicProduct)
}

// ---- Servers

// CreateServerInstances makes one server. UserData is given as plain text and is encoded exactly once per attempt.
func (a *ClassicService) CreateServerInstances(ctx context.Context, q CreateServer) (Server, error) {
	req := server.CreateServerInstancesRequest{
		ServerName: opt(q.Name), ServerDescription: opt(q.Description), ServerImageProductCode: opt(q.ImageProductCode), ServerProductCode: opt(q.ProductCode),
		MemberServerImageNo: opt(q.MemberImageNo), LoginKeyName: opt(q.LoginKeyName), IsProtectServerTermination: q.TerminationProtected,
		FeeSystemTypeCode: opt(q.FeeSystemTypeCode), RaidTypeName: opt(q.RaidType), ZoneNo: opt(q.ZoneNo), UserData: opt(q.UserData),
		AccessControlGroupConfigurationNoList: opts(q.ACGNos), IsVaccineInstall: q.VaccineInstall,
	}
	for _, t := range q.Tags {
		req.InstanceTagList = append(req.InstanceTagList, &server.InstanceTagParameter{TagKey: opt(t.Key), TagValue: opt(t.Value)})
	}
	for _, p := range q.Partitions {
		req.BlockDevicePartitionList = append(req.BlockDevicePartitionList, &server.BlockDevicePartition{MountPoint: opt(p.MountPoint), PartitionSize: opt(p.Size)})
	}
	return create(ctx, a.c, "server", q.Name, (*csv).CreateServerInstances, req,
		func(r *server.CreateServerInstancesResponse) []*server.ServerInstance { return r.ServerInstanceList }, classicServer,
		func(ctx context.Context) ([]Server, error) {
			return a.GetServerInstanceList(ctx, ServerFilter{Name: q.Name})
		},
		func(s Server) (string, string) { return s.No, s.Name })
}

// GetServerInstanceList lists servers.
func (a *ClassicService) GetServerInstanceList(ctx context.Context, f ServerFilter) ([]Server, error) {
	req := server.GetServerInstanceListRequest{ServerInstanceNoList: opts(f.Nos), ServerInstanceStatusCode: opt(f.Status), ZoneNo: opt(f.Zone)}
	servers, err := list(ctx, a.c, (*csv).GetServerInstanceList, req, f.Name,
		func(r *server.GetServerInstanceListResponse) []*server.ServerInstance { return r.ServerInstanceList }, classicServer)
	if f.Name != "" { // the API's search is by part of the name, if at all
		servers = slices.DeleteFunc(servers, func(s Server) bool { return s.Name != f.Name })
	}
	return servers, err
}

// GetServerInstanceDetail returns one server, ErrNotFound when there is none.
func (a *ClassicService) GetServerInstanceDetail(ctx context.Context, no string) (Server, error) {
	return detail(ctx, a.c, (*csv).GetServerInstanceList, server.GetServerInstanceListRequest{ServerInstanceNoList: opts([]string{no})}, "server "+no,
		func(r *server.GetServerInstanceListResponse) []*server.ServerInstance { return r.ServerInstanceList }, classicServer)
}

// StartServerInstances starts a stopped server.
func (a *ClassicService) StartServerInstances(ctx context.Context, no string) error {
	return change(ctx, a.c, "server "+no, (*csv).StartServerInstances, server.StartServerInstancesRequest{ServerInstanceNoList: opts([]string{no})},
		is(a.GetServerInstanceDetail, no, func(s Server) bool { return s.Status == "RUN" || s.Operation == "START" }))
}

// StopServerInstances shuts a running server down.
func (a *ClassicService) StopServerInstances(ctx context.Context, no string) error {
	return change(ctx, a.c, "server "+no, (*csv).StopServerInstances, server.StopServerInstancesRequest{ServerInstanceNoList: opts([]string{no})},
		is(a.GetServerInstanceDetail, no, stoppingOrStopped))
}

// RebootServerInstances reboots a running server. A lost answer is not repeated: a second reboot would do harm.
func (a *ClassicService) RebootServerInstances(ctx context.Context, no string) error {
	_, err := put(ctx, a.c, (*csv).RebootServerInstances, server.RebootServerInstancesRequest{ServerInstanceNoList: opts([]string{no})}, "server "+no)
	return err
}

// TerminateServerInstances returns a stopped server for good.
func (a *ClassicService) TerminateServerInstances(ctx context.Context, no string) error {
	return change(ctx, a.c, "server "+no, (*csv).TerminateServerInstances, server.TerminateServerInstancesRequest{ServerInstanceNoList: opts([]string{no})},
		goneOr(a.GetServerInstanceDetail, no, terminating))
}

// ChangeServerInstanceSpec changes the product of a stopped server.
func (a *ClassicService) ChangeServerInstanceSpec(ctx context.Context, no, productCode string) error {
	return change(ctx, a.c, "server "+no, (*csv).ChangeServerInstanceSpec, server.ChangeServerInstanceSpecRequest{ServerInstanceNo: &no, ServerProductCode: opt(productCode)},
		is(a.GetServerInstanceDetail, no, func(s Server) bool { return s.Operation == "CHNG" || s.ProductCode == productCode }))
}

// SetProtectServerTermination sets or lifts the protection against termination.
func (a *ClassicService) SetProtectServerTermination(ctx context.Context, no string, protect bool) error {
	return change(ctx, a.c, "server "+no, (*csv).SetProtectServerTermination, server.SetProtectServerTerminationRequest{ServerInstanceNo: &no, IsProtectServerTermination: &protect},
		is(a.GetServerInstanceDetail, no, func(s Server) bool { return s.TerminationProtected == protect }))
}

// GetRootPassword decrypts a server's root (Administrator) password with the PEM private key of its login key.
func (a *ClassicService) GetRootPassword(ctx context.Context, serverNo, privateKey string) (string, error) {
	r, err := get(ctx, a.c, (*csv).GetRootPassword, server.GetRootPasswordRequest{ServerInstanceNo: &serverNo, PrivateKey: &privateKey}, "server "+serverNo)
	if err != nil {
		return "", err
	}
	return str(r.RootPassword), nil
}

// CreateInstanceTags tags an instance.
func (a *ClassicService) CreateInstanceTags(ctx context.Context, instanceNo string, tags []Tag) error {
	return change(ctx, a.c, "instance "+instanceNo, (*csv).CreateInstanceTags, server.CreateInstanceTagsRequest{InstanceNoList: opts([]string{instanceNo}), InstanceTagList: tagParameters(tags)}, nil)
}

// DeleteInstanceTags removes tags of an instance; no tags: all of them.
func (a *ClassicService) DeleteInstanceTags(ctx context.Context, instanceNo string, tags []Tag) error {
	return change(ctx, a.c, "instance "+instanceNo, (*csv).DeleteInstanceTags, server.DeleteInstanceTagsRequest{InstanceNoList: opts([]string{instanceNo}), InstanceTagList: tagParameters(tags)}, nil)
}

// GetInstanceTagList lists the tags of an instance.
func (a *ClassicService) GetInstanceTagList(ctx context.Context, instanceNo string) ([]Tag, error) {
	return list(ctx, a.c, (*csv).GetInstanceTagList, server.GetInstanceTagListRequest{InstanceNoList: opts([]string{instanceNo})}, "instance "+instanceNo,
		func(r *server.GetInstanceTagListResponse) []*server.InstanceTag { return r.InstanceTagList }, classicTag)
}

// ---- Access control groups (read only: Classic has no calls to make one)

// GetAccessControlGroupList lists ACGs.
func (a *ClassicService) GetAccessControlGroupList(ctx context.Context, f ACGFilter) ([]ACG, error) {
	return list(ctx, a.c, (*csv).GetAccessControlGroupList, server.GetAccessControlGroupListRequest{AccessControlGroupConfigurationNoList: opts(f.Nos), AccessControlGroupName: opt(f.Name), IsDefault: f.IsDefault}, f.Name,
		func(r *server.GetAccessControlGroupListResponse) []*server.AccessControlGroup {
			return r.AccessControlGroupList
		}, classicACG)
}

// GetAccessControlRuleList lists the rules of an ACG; all of them are inbound.
func (a *ClassicService) GetAccessControlRuleList(ctx context.Context, acgNo string) ([]Rule, error) {
	return list(ctx, a.c, (*csv).GetAccessControlRuleList, server.GetAccessControlRuleListRequest{AccessControlGroupConfigurationNo: &acgNo}, "access control group "+acgNo,
		func(r *server.GetAccessControlRuleListResponse) []*server.AccessControlRule {
			return r.AccessControlRuleList
		}, classicRule)
}

// ---- Public IPs and port forwarding

// CreatePublicIpInstance makes a public IP. A lost answer can be found again by a unique Description or by ServerNo.
func (a *ClassicService) CreatePublicIpInstance(ctx context.Context, q CreatePublicIP) (PublicIP, error) {
	return create(ctx, a.c, "public IP", firstOf(q.Description, q.ServerNo), (*csv).CreatePublicIpInstance,
		server.CreatePublicIpInstanceRequest{ServerInstanceNo: opt(q.ServerNo), PublicIpDescription: opt(q.Description), ZoneNo: opt(q.ZoneNo)},
		func(r *server.CreatePublicIpInstanceResponse) []*server.PublicIpInstance {
			return r.PublicIpInstanceList
		}, classicPublicIP,
		func(ctx context.Context) ([]PublicIP, error) { return a.GetPublicIpInstanceList(ctx, PublicIPFilter{}) },
		func(p PublicIP) (string, string) {
			if q.Description != "" {
				return p.No, p.Description
			}
			return p.No, p.ServerNo
		})
}

// GetPublicIpInstanceList lists public IPs.
func (a *ClassicService) GetPublicIpInstanceList(ctx context.Context, f PublicIPFilter) ([]PublicIP, error) {
	req := server.GetPublicIpInstanceListRequest{PublicIpInstanceNoList: opts(f.Nos), IsAssociated: f.IsAssociated, ZoneNo: opt(f.Zone)}
	if f.PublicIP != "" {
		req.PublicIpList = opts([]string{f.PublicIP})
	}
	return list(ctx, a.c, (*csv).GetPublicIpInstanceList, req, "",
		func(r *server.GetPublicIpInstanceListResponse) []*server.PublicIpInstance {
			return r.PublicIpInstanceList
		}, classicPublicIP)
}

// GetPublicIpInstanceDetail returns one public IP, ErrNotFound when there is none.
func (a *ClassicService) GetPublicIpInstanceDetail(ctx context.Context, no string) (PublicIP, error) {
	return detail(ctx, a.c, (*csv).GetPublicIpInstanceList, server.GetPublicIpInstanceListRequest{PublicIpInstanceNoList: opts([]string{no})}, "public IP "+no,
		func(r *server.GetPublicIpInstanceListResponse) []*server.PublicIpInstance {
			return r.PublicIpInstanceList
		}, classicPublicIP)
}

// AssociatePublicIpWithServerInstance gives a public IP to a server.
func (a *ClassicService) AssociatePublicIpWithServerInstance(ctx context.Context, no, serverNo string) error {
	return change(ctx, a.c, "public IP "+no, (*csv).AssociatePublicIpWithServerInstance, server.AssociatePublicIpWithServerInstanceRequest{PublicIpInstanceNo: &no, ServerInstanceNo: &serverNo},
		is(a.GetPublicIpInstanceDetail, no, func(p PublicIP) bool { return p.ServerNo == serverNo }))
}

// DisassociatePublicIpFromServerInstance takes a public IP from its server.
func (a *ClassicService) DisassociatePublicIpFromServerInstance(ctx context.Context, no string) error {
	return change(ctx, a.c, "public IP "+no, (*csv).DisassociatePublicIpFromServerInstance, server.DisassociatePublicIpFromServerInstanceRequest{PublicIpInstanceNo: &no},
		is(a.GetPublicIpInstanceDetail, no, func(p PublicIP) bool { return p.ServerNo == "" || p.Operation == "DISUS" }))
}

// DeletePublicIpInstance (deletePublicIpInstances) gives a disassociated public IP back.
func (a *ClassicService) DeletePublicIpInstance(ctx context.Context, no string) error {
	return change(ctx, a.c, "public IP "+no, (*csv).DeletePublicIpInstances, server.DeletePublicIpInstancesRequest{PublicIpInstanceNoList: opts([]string{no})},
		goneOr(a.GetPublicIpInstanceDetail, no, func(p PublicIP) bool { return p.Status == "TERMT" || p.Operation == "TERMT" }))
}

// GetPublicIpTargetServerInstanceList lists the servers that could be given a public IP.
func (a *ClassicService) GetPublicIpTargetServerInstanceList(ctx context.Context, zoneNo string) ([]Server, error) {
	return list(ctx, a.c, (*csv).GetPublicIpTargetServerInstanceList, server.GetPublicIpTargetServerInstanceListRequest{ZoneNo: opt(zoneNo)}, "",
		func(r *server.GetPublicIpTargetServerInstanceListResponse) []*server.ServerInstance {
			return r.ServerInstanceList
		}, classicServer)
}

// GetPortForwardingRuleList lists the port forwarding rules of a zone (empty: of the region).
func (a *ClassicService) GetPortForwardingRuleList(ctx context.Context, zoneNo string) ([]PortForwarding, error) {
	return list(ctx, a.c, (*csv).GetPortForwardingRuleList, server.GetPortForwardingRuleListRequest{ZoneNo: opt(zoneNo)}, "",
		func(r *server.GetPortForwardingRuleListResponse) []*server.PortForwardingRule {
			return r.PortForwardingRuleList
		}, classicForwarding)
}

// AddPortForwardingRules adds a port forwarding rule.
func (a *ClassicService) AddPortForwardingRules(ctx context.Context, rule PortForwarding) error {
	return change(ctx, a.c, "port forwarding of server "+rule.ServerNo, (*csv).AddPortForwardingRules, server.AddPortForwardingRulesRequest{PortForwardingConfigurationNo: opt(rule.ConfigurationNo), PortForwardingRuleList: forwardingParameters(rule)},
		a.forwards(rule, true))
}

// DeletePortForwardingRules deletes a port forwarding rule.
func (a *ClassicService) DeletePortForwardingRules(ctx context.Context, rule PortForwarding) error {
	return change(ctx, a.c, "port forwarding of server "+rule.ServerNo, (*csv).DeletePortForwardingRules, server.DeletePortForwardingRulesRequest{PortForwardingConfigurationNo: opt(rule.ConfigurationNo), PortForwardingRuleList: forwardingParameters(rule)},
		a.forwards(rule, false))
}

func (a *ClassicService) forwards(rule PortForwarding, there bool) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		have, err := a.GetPortForwardingRuleList(ctx, rule.ZoneNo)
		return there == slices.ContainsFunc(have, func(f PortForwarding) bool {
			return f.ServerNo == rule.ServerNo && f.ExternalPort == rule.ExternalPort && f.InternalPort == rule.InternalPort
		}), err
	}
}

// ---- Block storage

// CreateBlockStorageInstance makes a disk and attaches it to ServerNo, which is required.
func (a *ClassicService) CreateBlockStorageInstance(ctx context.Context, q CreateBlockStorage) (BlockStorage, error) {
	return create(ctx, a.c, "block storage", q.Name, (*csv).CreateBlockStorageInstance, server.CreateBlockStorageInstanceRequest{
		BlockStorageName: opt(q.Name), BlockStorageDescription: opt(q.Description), BlockStorageSize: optInt64(q.Size), ServerInstanceNo: opt(q.ServerNo), DiskDetailTypeCode: opt(q.DiskDetailType),
	}, func(r *server.CreateBlockStorageInstanceResponse) []*server.BlockStorageInstance {
		return r.BlockStorageInstanceList
	}, classicBlockStorage,
		func(ctx context.Context) ([]BlockStorage, error) {
			return a.GetBlockStorageInstanceList(ctx, BlockStorageFilter{Name: q.Name})
		}, func(b BlockStorage) (string, string) { return b.No, b.Name })
}

// GetBlockStorageInstanceList lists disks.
func (a *ClassicService) GetBlockStorageInstanceList(ctx context.Context, f BlockStorageFilter) ([]BlockStorage, error) {
	disks, err := list(ctx, a.c, (*csv).GetBlockStorageInstanceList, server.GetBlockStorageInstanceListRequest{BlockStorageInstanceNoList: opts(f.Nos), ServerInstanceNo: opt(f.ServerNo),
		BlockStorageInstanceStatusCode: opt(f.Status), ZoneNo: opt(f.Zone), BlockStorageTypeCodeList: opts(f.Types), DiskTypeCode: opt(f.DiskType), DiskDetailTypeCode: opt(f.DiskDetailType)}, f.Name,
		func(r *server.GetBlockStorageInstanceListResponse) []*server.BlockStorageInstance {
			return r.BlockStorageInstanceList
		}, classicBlockStorage)
	if f.Name != "" {
		disks = slices.DeleteFunc(disks, func(b BlockStorage) bool { return b.Name != f.Name })
	}
	return disks, err
}

// GetBlockStorageInstanceDetail returns one disk, ErrNotFound when there is none.
func (a *ClassicService) GetBlockStorageInstanceDetail(ctx context.Context, no string) (BlockStorage, error) {
	return detail(ctx, a.c, (*csv).GetBlockStorageInstanceList, server.GetBlockStorageInstanceListRequest{BlockStorageInstanceNoList: opts([]string{no})}, "block storage "+no,
		func(r *server.GetBlockStorageInstanceListResponse) []*server.BlockStorageInstance {
			return r.BlockStorageInstanceList
		}, classicBlockStorage)
}

// AttachBlockStorageInstance attaches a disk to a server.
func (a *ClassicService) AttachBlockStorageInstance(ctx context.Context, no, serverNo string) error {
	return change(ctx, a.c, "block storage "+no, (*csv).AttachBlockStorageInstance, server.AttachBlockStorageInstanceRequest{BlockStorageInstanceNo: &no, ServerInstanceNo: &serverNo},
		is(a.GetBlockStorageInstanceDetail, no, func(b BlockStorage) bool { return b.ServerNo == serverNo && b.Operation != "DETAC" }))
}

// DetachBlockStorageInstances detaches a disk from its server.
func (a *ClassicService) DetachBlockStorageInstances(ctx context.Context, no string) error {
	return change(ctx, a.c, "block storage "+no, (*csv).DetachBlockStorageInstances, server.DetachBlockStorageInstancesRequest{BlockStorageInstanceNoList: opts([]string{no})},
		is(a.GetBlockStorageInstanceDetail, no, func(b BlockStorage) bool { return b.ServerNo == "" || b.Operation == "DETAC" }))
}

// ChangeBlockStorageVolumeSize grows a disk to size GB.
func (a *ClassicService) ChangeBlockStorageVolumeSize(ctx context.Context, no string, size int) error {
	return change(ctx, a.c, "block storage "+no, (*csv).ChangeBlockStorageVolumeSize, server.ChangeBlockStorageVolumeSizeRequest{BlockStorageInstanceNo: &no, BlockStorageSize: optInt64(size)},
		is(a.GetBlockStorageInstanceDetail, no, func(b BlockStorage) bool { return b.Operation == "CHNG" || b.Size == gib(size) }))
}

// DeleteBlockStorageInstances deletes a detached disk.
func (a *ClassicService) DeleteBlockStorageInstances(ctx context.Context, no string) error {
	return change(ctx, a.c, "block storage "+no, (*csv).DeleteBlockStorageInstances, server.DeleteBlockStorageInstancesRequest{BlockStorageInstanceNoList: opts([]string{no})},
		goneOr(a.GetBlockStorageInstanceDetail, no, func(b BlockStorage) bool { return b.Operation == "TERMT" || b.StatusName == "terminating" }))
}

// CreateBlockStorageSnapshotInstance snapshots a disk.
func (a *ClassicService) CreateBlockStorageSnapshotInstance(ctx context.Context, q CreateSnapshot) (Snapshot, error) {
	return create(ctx, a.c, "snapshot", q.Name, (*csv).CreateBlockStorageSnapshotInstance, server.CreateBlockStorageSnapshotInstanceRequest{
		BlockStorageSnapshotName: opt(q.Name), BlockStorageSnapshotDescription: opt(q.Description), BlockStorageInstanceNo: opt(q.BlockStorageNo),
	}, func(r *server.CreateBlockStorageSnapshotInstanceResponse) []*server.BlockStorageSnapshotInstance {
		return r.BlockStorageSnapshotInstanceList
	}, classicSnapshot,
		func(ctx context.Context) ([]Snapshot, error) {
			return a.GetBlockStorageSnapshotInstanceList(ctx, SnapshotFilter{})
		}, func(s Snapshot) (string, string) { return s.No, s.Name })
}

// GetBlockStorageSnapshotInstanceList lists snapshots.
func (a *ClassicService) GetBlockStorageSnapshotInstanceList(ctx context.Context, f SnapshotFilter) ([]Snapshot, error) {
	return list(ctx, a.c, (*csv).GetBlockStorageSnapshotInstanceList, server.GetBlockStorageSnapshotInstanceListRequest{BlockStorageSnapshotInstanceNoList: opts(f.Nos), OriginalBlockStorageInstanceNoList: opts(f.OriginalNos)}, f.Name,
		func(r *server.GetBlockStorageSnapshotInstanceListResponse) []*server.BlockStorageSnapshotInstance {
			return r.BlockStorageSnapshotInstanceList
		}, classicSnapshot)
}

// GetBlockStorageSnapshotInstanceDetail returns one snapshot, ErrNotFound when there is none.
func (a *ClassicService) GetBlockStorageSnapshotInstanceDetail(ctx context.Context, no string) (Snapshot, error) {
	return detail(ctx, a.c, (*csv).GetBlockStorageSnapshotInstanceList, server.GetBlockStorageSnapshotInstanceListRequest{BlockStorageSnapshotInstanceNoList: opts([]string{no})}, "snapshot "+no,
		func(r *server.GetBlockStorageSnapshotInstanceListResponse) []*server.BlockStorageSnapshotInstance {
			return r.BlockStorageSnapshotInstanceList
		}, classicSnapshot)
}

// DeleteBlockStorageSnapshotInstances deletes a snapshot.
func (a *ClassicService) DeleteBlockStorageSnapshotInstances(ctx context.Context, no string) error {
	return change(ctx, a.c, "snapshot "+no, (*csv).DeleteBlockStorageSnapshotInstances, server.DeleteBlockStorageSnapshotInstancesRequest{BlockStorageSnapshotInstanceNoList: opts([]string{no})},
		goneOr(a.GetBlockStorageSnapshotInstanceDetail, no, func(s Snapshot) bool { return s.Operation == "TERMT" || s.StatusName == "terminating" }))
}

// ---- Login keys

// CreateLoginKey has the API make a key pair; see VPCService.CreateLoginKey.
func (a *ClassicService) CreateLoginKey(ctx context.Context, name string) (LoginKey, error) {
	return createKey(ctx, a.c, name, func(ctx context.Context) (LoginKey, error) {
		r, err := put(ctx, a.c, (*csv).CreateLoginKey, server.CreateLoginKeyRequest{KeyName: &name}, "login key "+name)
		if err != nil {
			return LoginKey{}, err
		}
		return LoginKey{Name: name, PrivateKey: str(r.PrivateKey)}, nil
	}, a.GetLoginKeyList, a.DeleteLoginKey)
}

// ImportLoginKey registers an RSA public key (OpenSSH format) of our own.
func (a *ClassicService) ImportLoginKey(ctx context.Context, name, publicKey string) (LoginKey, error) {
	return create(ctx, a.c, "login key", name, (*csv).ImportLoginKey, server.ImportLoginKeyRequest{KeyName: &name, PublicKey: &publicKey},
		func(r *server.ImportLoginKeyResponse) []*server.LoginKey { return r.LoginKeyList }, classicLoginKey,
		func(ctx context.Context) ([]LoginKey, error) { return a.GetLoginKeyList(ctx, name) },
		func(k LoginKey) (string, string) { return k.Name, k.Name })
}

// GetLoginKeyList lists login keys, all or the one named.
func (a *ClassicService) GetLoginKeyList(ctx context.Context, name string) ([]LoginKey, error) {
	return list(ctx, a.c, (*csv).GetLoginKeyList, server.GetLoginKeyListRequest{KeyName: opt(name)}, name,
		func(r *server.GetLoginKeyListResponse) []*server.LoginKey { return r.LoginKeyList }, classicLoginKey)
}

// DeleteLoginKey deletes a login key.
func (a *ClassicService) DeleteLoginKey(ctx context.Context, name string) error {
	return change(ctx, a.c, "login key "+name, (*csv).DeleteLoginKey, server.DeleteLoginKeyRequest{KeyName: &name}, keyGone(a.GetLoginKeyList, name))
}

// ---- Images

// CreateMemberServerImage makes an image of a stopped server.
func (a *ClassicService) CreateMemberServerImage(ctx context.Context, q CreateImage) (MemberImage, error) {
	return create(ctx, a.c, "member server image", q.Name, (*csv).CreateMemberServerImage, server.CreateMemberServerImageRequest{
		ServerInstanceNo: opt(q.ServerNo), MemberServerImageName: opt(q.Name), MemberServerImageDescription: opt(q.Description),
	}, func(r *server.CreateMemberServerImageResponse) []*server.MemberServerImage {
		return r.MemberServerImageList
	}, classicMemberImage,
		func(ctx context.Context) ([]MemberImage, error) {
			return a.GetMemberServerImageList(ctx, MemberImageFilter{Name: q.Name})
		}, func(i MemberImage) (string, string) { return i.No, i.Name })
}

// GetMemberServerImageList lists member images.
func (a *ClassicService) GetMemberServerImageList(ctx context.Context, f MemberImageFilter) ([]MemberImage, error) {
	images, err := list(ctx, a.c, (*csv).GetMemberServerImageList, server.GetMemberServerImageListRequest{MemberServerImageNoList: opts(f.Nos), PlatformTypeCodeList: opts(f.PlatformTypes)}, f.Name,
		func(r *server.GetMemberServerImageListResponse) []*server.MemberServerImage {
			return r.MemberServerImageList
		}, classicMemberImage)
	return slices.DeleteFunc(images, func(i MemberImage) bool {
		return f.Name != "" && i.Name != f.Name || f.Status != "" && i.Status != f.Status
	}), err
}

// GetMemberServerImageDetail returns one member image, ErrNotFound when there is none.
func (a *ClassicService) GetMemberServerImageDetail(ctx context.Context, no string) (MemberImage, error) {
	return detail(ctx, a.c, (*csv).GetMemberServerImageList, server.GetMemberServerImageListRequest{MemberServerImageNoList: opts([]string{no})}, "member server image "+no,
		func(r *server.GetMemberServerImageListResponse) []*server.MemberServerImage {
			return r.MemberServerImageList
		}, classicMemberImage)
}

// DeleteMemberServerImages deletes a member image.
func (a *ClassicService) DeleteMemberServerImages(ctx context.Context, no string) error {
	return change(ctx, a.c, "member server image "+no, (*csv).DeleteMemberServerImages, server.DeleteMemberServerImagesRequest{MemberServerImageNoList: opts([]string{no})},
		goneOr(a.GetMemberServerImageDetail, no, func(i MemberImage) bool { return i.Operation == "TERMT" || i.StatusName == "terminating" }))
}

// AddMemberServerImageSharingPermission shares a member image with login ids.
func (a *ClassicService) AddMemberServerImageSharingPermission(ctx context.Context, no string, loginIDs []string) error {
	return change(ctx, a.c, "member server image "+no, (*csv).AddMemberServerImageSharingPermission, server.AddMemberServerImageSharingPermissionRequest{MemberServerImageNo: &no, TargetLoginIdList: opts(loginIDs)},
		func(ctx context.Context) (bool, error) {
			i, err := a.GetMemberServerImageDetail(ctx, no)
			return containsAll(i.SharedLoginIDs, loginIDs), err
		})
}

// RemoveMemberServerImageSharingPermission stops sharing a member image with login ids.
func (a *ClassicService) RemoveMemberServerImageSharingPermission(ctx context.Context, no string, loginIDs []string) error {
	return change(ctx, a.c, "member server image "+no, (*csv).RemoveMemberServerImageSharingPermission, server.RemoveMemberServerImageSharingPermissionRequest{MemberServerImageNo: &no, TargetLoginIdList: opts(loginIDs)},
		func(ctx context.Context) (bool, error) {
			i, err := a.GetMemberServerImageDetail(ctx, no)
			return containsNone(i.SharedLoginIDs, loginIDs), err
		})
}
