package ncloud

import (
	"context"

	vpcsdk "github.com/NaverCloudPlatform/ncloud-sdk-go-v2/services/vpc"
	"github.com/NaverCloudPlatform/ncloud-sdk-go-v2/services/vserver"
)

// VPCService is the VPC face of the client: /vserver/v2 and /vpc/v2. Its methods bear the names of the API's actions.
//
// All of them: list calls follow the pages and return an empty list for "nothing"; detail calls return ErrNotFound
// where the API answers with an empty list; RegionCode is sent with every call; reads are retried; writes are retried
// only when they certainly did not happen, and are otherwise looked up first (see Once), so that a lost answer neither
// makes two of a thing nor reports a failure that was none.
type VPCService struct{ c *Client }

type vsv = vserver.V2ApiService
type vpv = vpcsdk.V2ApiService

// GetRegionList lists the regions of VPC.
func (a *VPCService) GetRegionList(ctx context.Context) ([]Region, error) {
	return list(ctx, a.c, (*vsv).GetRegionList, vserver.GetRegionListRequest{}, "",
		func(r *vserver.GetRegionListResponse) []*vserver.Region { return r.RegionList }, vpcRegion)
}

// GetZoneList lists the zones of the client's region.
func (a *VPCService) GetZoneList(ctx context.Context) ([]Zone, error) {
	return list(ctx, a.c, (*vsv).GetZoneList, vserver.GetZoneListRequest{}, "",
		func(r *vserver.GetZoneListResponse) []*vserver.Zone { return r.ZoneList }, vpcZone)
}

// GetServerImageProductList lists image products (XEN/RHV).
func (a *VPCService) GetServerImageProductList(ctx context.Context, f ImageProductFilter) ([]Product, error) {
	return list(ctx, a.c, (*vsv).GetServerImageProductList, vserver.GetServerImageProductListRequest{
		ProductCode: opt(f.ProductCode), ExclusionProductCode: opt(f.ExclusionProductCode), PlatformTypeCodeList: opts(f.PlatformTypes),
		BlockStorageSize: optInt32(f.BlockStorageSize), InfraResourceDetailTypeCode: opt(f.InfraResourceDetailType),
	}, f.ProductCode, func(r *vserver.GetServerImageProductListResponse) []*vserver.Product { return r.ProductList }, vpcProduct)
}

// GetServerProductList lists the server products that fit an image product or member image.
func (a *VPCService) GetServerProductList(ctx context.Context, f ServerProductFilter) ([]Product, error) {
	return list(ctx, a.c, (*vsv).GetServerProductList, vserver.GetServerProductListRequest{
		ServerImageProductCode: opt(f.ImageProductCode), ProductCode: opt(f.ProductCode), ExclusionProductCode: opt(f.ExclusionProductCode),
		GenerationCode: opt(f.Generation), ZoneCode: opt(f.Zone), MemberServerImageInstanceNo: opt(f.MemberImageNo),
	}, "image "+f.ImageProductCode, func(r *vserver.GetServerProductListResponse) []*vserver.Product { return r.ProductList }, vpcProduct)
}

// GetServerImageList lists images by number, NAVER's and one's own.
func (a *VPCService) GetServerImageList(ctx context.Context, f ServerImageFilter) ([]ServerImage, error) {
	return list(ctx, a.c, (*vsv).GetServerImageList, vserver.GetServerImageListRequest{
		ServerImageName: opt(f.Name), ServerImageStatusCode: opt(f.Status), ServerImageNoList: opts(f.Nos), HypervisorTypeCodeList: opts(f.Hypervisors),
		ServerImageTypeCodeList: opts(f.Types), OsTypeCodeList: opts(f.OSTypes), PlatformCategoryCodeList: opts(f.PlatformCategories),
	}, f.Name, func(r *vserver.GetServerImageListResponse) []*vserver.ServerImage { return r.ServerImageList }, vpcServerImage)
}

// GetServerImageDetail returns one image.
func (a *VPCService) GetServerImageDetail(ctx context.Context, no string) (ServerImage, error) {
	return detail(ctx, a.c, (*vsv).GetServerImageDetail, vserver.GetServerImageDetailRequest{ServerImageNo: &no}, "server image "+no,
		func(r *vserver.GetServerImageDetailResponse) []*vserver.ServerImage { return r.ServerImageList }, vpcServerImage)
}

// GetServerSpecList lists server specs.
func (a *VPCService) GetServerSpecList(ctx context.Context, f SpecFilter) ([]Spec, error) {
	return list(ctx, a.c, (*vsv).GetServerSpecList, vserver.GetServerSpecListRequest{
		ServerImageNo: opt(f.ImageNo), ZoneCode: opt(f.Zone), ServerSpecCodeList: opts(f.Codes), HypervisorCodeList: opts(f.Hypervisors),
	}, "image "+f.ImageNo, func(r *vserver.GetServerSpecListResponse) []*vserver.ServerSpec { return r.ServerSpecList }, vpcSpec)
}

// GetServerSpecDetail returns one server spec.
func (a *VPCService) GetServerSpecDetail(ctx context.Context, code string) (Spec, error) {
	return detail(ctx, a.c, (*vsv).GetServerSpecDetail, vserver.GetServerSpecDetailRequest{ServerSpecCode: &code}, "server spec "+code,
		func(r *vserver.GetServerSpecDetailResponse) []*vserver.ServerSpec { return r.ServerSpecList }, vpcSpec)
}

// GetBlockStorageVolumeTypeList lists the volume types of KVM block storage, for a spec or zone when given.
func (a *VPCService) GetBlockStorageVolumeTypeList(ctx context.Context, specCode, zoneCode string) ([]VolumeType, error) {
	return list(ctx, a.c, (*vsv).GetBlockStorageVolumeTypeList, vserver.GetBlockStorageVolumeTypeListRequest{ServerSpecCode: opt(specCode), ZoneCode: opt(zoneCode)}, specCode,
		func(r *vserver.GetBlockStorageVolumeTypeListResponse) []*vserver.BlockStorageVolumeType {
			return r.BlockStorageVolumeTypeList
		}, vpcVolumeType)
}

// ---- VPC network (read only)

// GetVpcList lists VPCs.
func (a *VPCService) GetVpcList(ctx context.Context, f VPCFilter) ([]VPC, error) {
	return list(ctx, a.c, (*vpv).GetVpcList, vpcsdk.GetVpcListRequest{VpcNoList: opts(f.Nos), VpcName: opt(f.Name), VpcStatusCode: opt(f.Status)}, f.Name,
		func(r *vpcsdk.GetVpcListResponse) []*vpcsdk.Vpc { return r.VpcList }, vpcVPC)
}

// GetVpcDetail returns one VPC.
func (a *VPCService) GetVpcDetail(ctx context.Context, no string) (VPC, error) {
	return detail(ctx, a.c, (*vpv).GetVpcDetail, vpcsdk.GetVpcDetailRequest{VpcNo: &no}, "VPC "+no,
		func(r *vpcsdk.GetVpcDetailResponse) []*vpcsdk.Vpc { return r.VpcList }, vpcVPC)
}

// GetSubnetList lists subnets.
func (a *VPCService) GetSubnetList(ctx context.Context, f SubnetFilter) ([]Subnet, error) {
	return list(ctx, a.c, (*vpv).GetSubnetList, vpcsdk.GetSubnetListRequest{SubnetNoList: opts(f.Nos), SubnetName: opt(f.Name), Subnet: opt(f.CIDR),
		SubnetTypeCode: opt(f.Type), UsageTypeCode: opt(f.UsageType), NetworkAclNo: opt(f.NetworkACLNo), SubnetStatusCode: opt(f.Status),
		VpcNo: opt(f.VPCNo), ZoneCode: opt(f.Zone)}, f.Name,
		func(r *vpcsdk.GetSubnetListResponse) []*vpcsdk.Subnet { return r.SubnetList }, vpcSubnet)
}

// GetSubnetDetail returns one subnet.
func (a *VPCService) GetSubnetDetail(ctx context.Context, no string) (Subnet, error) {
	return detail(ctx, a.c, (*vpv).GetSubnetDetail, vpcsdk.GetSubnetDetailRequest{SubnetNo: &no}, "subnet "+no,
		func(r *vpcsdk.GetSubnetDetailResponse) []*vpcsdk.Subnet { return r.SubnetList }, vpcSubnet)
}

// GetNetworkAclList lists network ACLs of a VPC (empty: of all).
func (a *VPCService) GetNetworkAclList(ctx context.Context, vpcNo string) ([]NetworkACL, error) {
	return list(ctx, a.c, (*vpv).GetNetworkAclList, vpcsdk.GetNetworkAclListRequest{VpcNo: opt(vpcNo)}, "VPC "+vpcNo,
		func(r *vpcsdk.GetNetworkAclListResponse) []*vpcsdk.NetworkAcl { return r.NetworkAclList }, vpcNetworkACL)
}

// GetRouteTableList lists the route tables of a VPC (empty: of all).
func (a *VPCService) GetRouteTableList(ctx context.Context, vpcNo string) ([]RouteTable, error) {
	return list(ctx, a.c, (*vpv).GetRouteTableList, vpcsdk.GetRouteTableListRequest{VpcNo: opt(vpcNo)}, "VPC "+vpcNo,
		func(r *vpcsdk.GetRouteTableListResponse) []*vpcsdk.RouteTable { return r.RouteTableList }, vpcRouteTable)
}

// ---- Servers

// CreateServerInstances makes one server and returns it as the API answered, most likely still INIT.
func (a *VPCService) CreateServerInstances(ctx context.Context, q CreateServer) (Server, error) {
	req := vserver.CreateServerInstancesRequest{
		ServerName: opt(q.Name), ServerDescription: opt(q.Description), ServerImageProductCode: opt(q.ImageProductCode), ServerProductCode: opt(q.ProductCode),
		MemberServerImageInstanceNo: opt(q.MemberImageNo), ServerImageNo: opt(q.ImageNo), ServerSpecCode: opt(q.SpecCode), LoginKeyName: opt(q.LoginKeyName),
		IsProtectServerTermination: q.TerminationProtected, FeeSystemTypeCode: opt(q.FeeSystemTypeCode), RaidTypeName: opt(q.RaidType), VpcNo: opt(q.VPCNo),
		SubnetNo: opt(q.SubnetNo), InitScriptNo: opt(q.InitScriptNo), PlacementGroupNo: opt(q.PlacementGroupNo),
		IsEncryptedBaseBlockStorageVolume: q.EncryptBaseDisk, AssociateWithPublicIp: q.AssociateWithPublicIP,
	}
	for _, n := range q.NetworkInterfaces {
		order := n.Order
		req.NetworkInterfaceList = append(req.NetworkInterfaceList, &vserver.NetworkInterfaceParameter{NetworkInterfaceOrder: &order,
			NetworkInterfaceNo: opt(n.No), SubnetNo: opt(n.SubnetNo), Ip: opt(n.IP), AccessControlGroupNoList: opts(n.ACGNos)})
	}
	for _, d := range q.Disks {
		order := d.Order
		req.BlockStorageMappingList = append(req.BlockStorageMappingList, &vserver.BlockStorageMappingParameter{Order: &order, SnapshotInstanceNo: opt(d.SnapshotNo),
			BlockStorageSize: optIntString(d.Size), BlockStorageName: opt(d.Name), BlockStorageVolumeTypeCode: opt(d.VolumeType), NoBlockStorage: d.None, EmptyBlockStorage: d.Empty})
	}
	for _, p := range q.Partitions {
		req.BlockDevicePartitionList = append(req.BlockDevicePartitionList, &vserver.BlockDevicePartition{MountPoint: opt(p.MountPoint), PartitionSize: opt(p.Size)})
	}
	return create(ctx, a.c, "server", q.Name, (*vsv).CreateServerInstances, req,
		func(r *vserver.CreateServerInstancesResponse) []*vserver.ServerInstance { return r.ServerInstanceList }, vpcServer,
		func(ctx context.Context) ([]Server, error) {
			return a.GetServerInstanceList(ctx, ServerFilter{Name: q.Name})
		},
		func(s Server) (string, string) { return s.No, s.Name })
}

// GetServerInstanceList lists servers.
func (a *VPCService) GetServerInstanceList(ctx context.Context, f ServerFilter) ([]Server, error) {
	return list(ctx, a.c, (*vsv).GetServerInstanceList, vserver.GetServerInstanceListRequest{ServerInstanceNoList: opts(f.Nos), ServerName: opt(f.Name),
		ServerInstanceStatusCode: opt(f.Status), Ip: opt(f.IP), VpcNo: opt(f.VPCNo), HypervisorTypeCodeList: opts(f.Hypervisors)}, f.Name,
		func(r *vserver.GetServerInstanceListResponse) []*vserver.ServerInstance { return r.ServerInstanceList }, vpcServer)
}

// GetServerInstanceDetail returns one server.
func (a *VPCService) GetServerInstanceDetail(ctx context.Context, no string) (Server, error) {
	return detail(ctx, a.c, (*vsv).GetServerInstanceDetail, vserver.GetServerInstanceDetailRequest{ServerInstanceNo: &no}, "server "+no,
		func(r *vserver.GetServerInstanceDetailResponse) []*vserver.ServerInstance {
			return r.ServerInstanceList
		}, vpcServer)
}

// StartServerInstances starts a stopped server.
func (a *VPCService) StartServerInstances(ctx context.Context, no string) error {
	return change(ctx, a.c, "server "+no, (*vsv).StartServerInstances, vserver.StartServerInstancesRequest{ServerInstanceNoList: opts([]string{no})},
		a.serverIs(no, func(s Server) bool { return s.Status == "RUN" || s.Operation == "START" }))
}

// StopServerInstances shuts a running server down.
func (a *VPCService) StopServerInstances(ctx context.Context, no string) error {
	return change(ctx, a.c, "server "+no, (*vsv).StopServerInstances, vserver.StopServerInstancesRequest{ServerInstanceNoList: opts([]string{no})},
		a.serverIs(no, stoppingOrStopped))
}

// RebootServerInstances reboots a running server. A lost answer is not repeated: a second reboot would do harm.
func (a *VPCService) RebootServerInstances(ctx context.Context, no string) error {
	_, err := put(ctx, a.c, (*vsv).RebootServerInstances, vserver.RebootServerInstancesRequest{ServerInstanceNoList: opts([]string{no})}, "server "+no)
	return err
}

// TerminateServerInstances returns a stopped server for good.
func (a *VPCService) TerminateServerInstances(ctx context.Context, no string) error {
	return change(ctx, a.c, "server "+no, (*vsv).TerminateServerInstances, vserver.TerminateServerInstancesRequest{ServerInstanceNoList: opts([]string{no})},
		goneOr(a.GetServerInstanceDetail, no, terminating))
}

// ChangeServerInstanceSpec changes product or spec of a stopped server.
func (a *VPCService) ChangeServerInstanceSpec(ctx context.Context, no, productCode, specCode string) error {
	return change(ctx, a.c, "server "+no, (*vsv).ChangeServerInstanceSpec, vserver.ChangeServerInstanceSpecRequest{ServerInstanceNo: &no, ServerProductCode: opt(productCode), ServerSpecCode: opt(specCode)},
		a.serverIs(no, func(s Server) bool {
			return s.Operation == "CHNG" || (productCode != "" && s.ProductCode == productCode) || (specCode != "" && s.SpecCode == specCode)
		}))
}

// SetProtectServerTermination sets or lifts the protection against termination.
func (a *VPCService) SetProtectServerTermination(ctx context.Context, no string, protect bool) error {
	return change(ctx, a.c, "server "+no, (*vsv).SetProtectServerTermination, vserver.SetProtectServerTerminationRequest{ServerInstanceNo: &no, IsProtectServerTermination: &protect},
		a.serverIs(no, func(s Server) bool { return s.TerminationProtected == protect }))
}

// GetRootPassword decrypts a server's root (Administrator) password with the PEM private key of its login key. Neither
// key nor password ever reaches a message.
func (a *VPCService) GetRootPassword(ctx context.Context, serverNo, privateKey string) (string, error) {
	r, err := get(ctx, a.c, (*vsv).GetRootPassword, vserver.GetRootPasswordRequest{ServerInstanceNo: &serverNo, PrivateKey: &privateKey}, "server "+serverNo)
	if err != nil {
		return "", err
	}
	return str(r.RootPassword), nil
}

// ---- Network interfaces

// CreateNetworkInterface makes a NIC.
func (a *VPCService) CreateNetworkInterface(ctx context.Context, q CreateNetworkInterface) (NetworkInterface, error) {
	return create(ctx, a.c, "network interface", q.Name, (*vsv).CreateNetworkInterface, vserver.CreateNetworkInterfaceRequest{
		NetworkInterfaceName: opt(q.Name), NetworkInterfaceDescription: opt(q.Description), VpcNo: opt(q.VPCNo), SubnetNo: opt(q.SubnetNo),
		AccessControlGroupNoList: opts(q.ACGNos), Ip: opt(q.IP), ServerInstanceNo: opt(q.ServerNo), SecondaryIpList: opts(q.SecondaryIPs),
	}, func(r *vserver.CreateNetworkInterfaceResponse) []*vserver.NetworkInterface {
		return r.NetworkInterfaceList
	}, vpcNIC,
		func(ctx context.Context) ([]NetworkInterface, error) {
			return a.GetNetworkInterfaceList(ctx, NetworkInterfaceFilter{Name: q.Name})
		}, func(n NetworkInterface) (string, string) { return n.No, n.Name })
}

// GetNetworkInterfaceList lists NICs.
func (a *VPCService) GetNetworkInterfaceList(ctx context.Context, f NetworkInterfaceFilter) ([]NetworkInterface, error) {
	return list(ctx, a.c, (*vsv).GetNetworkInterfaceList, vserver.GetNetworkInterfaceListRequest{NetworkInterfaceNoList: opts(f.Nos), NetworkInterfaceName: opt(f.Name),
		Ip: opt(f.IP), InstanceNo: opt(f.InstanceNo), DeviceName: opt(f.DeviceName), ServerName: opt(f.ServerName), SubnetName: opt(f.SubnetName), IsDefault: f.IsDefault}, f.Name,
		func(r *vserver.GetNetworkInterfaceListResponse) []*vserver.NetworkInterface {
			return r.NetworkInterfaceList
		}, vpcNIC)
}

// GetNetworkInterfaceDetail returns one NIC.
func (a *VPCService) GetNetworkInterfaceDetail(ctx context.Context, no string) (NetworkInterface, error) {
	return detail(ctx, a.c, (*vsv).GetNetworkInterfaceDetail, vserver.GetNetworkInterfaceDetailRequest{NetworkInterfaceNo: &no}, "network interface "+no,
		func(r *vserver.GetNetworkInterfaceDetailResponse) []*vserver.NetworkInterface {
			return r.NetworkInterfaceList
		}, vpcNIC)
}

// DeleteNetworkInterface deletes a detached NIC.
func (a *VPCService) DeleteNetworkInterface(ctx context.Context, no string) error {
	return change(ctx, a.c, "network interface "+no, (*vsv).DeleteNetworkInterface, vserver.DeleteNetworkInterfaceRequest{NetworkInterfaceNo: &no},
		goneOr(a.GetNetworkInterfaceDetail, no, nil))
}

// AttachNetworkInterface attaches a NIC to a server.
func (a *VPCService) AttachNetworkInterface(ctx context.Context, no, subnetNo, serverNo string) error {
	return change(ctx, a.c, "network interface "+no, (*vsv).AttachNetworkInterface, vserver.AttachNetworkInterfaceRequest{NetworkInterfaceNo: &no, SubnetNo: opt(subnetNo), ServerInstanceNo: &serverNo},
		a.nicIs(no, func(n NetworkInterface) bool { return n.InstanceNo == serverNo }))
}

// DetachNetworkInterface detaches a NIC from a server.
func (a *VPCService) DetachNetworkInterface(ctx context.Context, no, subnetNo, serverNo string) error {
	return change(ctx, a.c, "network interface "+no, (*vsv).DetachNetworkInterface, vserver.DetachNetworkInterfaceRequest{NetworkInterfaceNo: &no, SubnetNo: opt(subnetNo), ServerInstanceNo: &serverNo},
		a.nicIs(no, func(n NetworkInterface) bool { return n.InstanceNo != serverNo || n.Status == "UNSET" }))
}

// AddNetworkInterfaceAccessControlGroup adds ACGs to a NIC (at most 3 in all).
func (a *VPCService) AddNetworkInterfaceAccessControlGroup(ctx context.Context, no string, acgNos []string) error {
	return change(ctx, a.c, "network interface "+no, (*vsv).AddNetworkInterfaceAccessControlGroup, vserver.AddNetworkInterfaceAccessControlGroupRequest{NetworkInterfaceNo: &no, AccessControlGroupNoList: opts(acgNos)},
		a.nicIs(no, func(n NetworkInterface) bool { return containsAll(n.ACGNos, acgNos) }))
}

// RemoveNetworkInterfaceAccessControlGroup removes ACGs from a NIC, which must keep at least one.
func (a *VPCService) RemoveNetworkInterfaceAccessControlGroup(ctx context.Context, no string, acgNos []string) error {
	return change(ctx, a.c, "network interface "+no, (*vsv).RemoveNetworkInterfaceAccessControlGroup, vserver.RemoveNetworkInterfaceAccessControlGroupRequest{NetworkInterfaceNo: &no, AccessControlGroupNoList: opts(acgNos)},
		a.nicIs(no, func(n NetworkInterface) bool { return containsNone(n.ACGNos, acgNos) }))
}

// ---- Access control groups

// CreateAccessControlGroup makes an ACG without rules.
func (a *VPCService) CreateAccessControlGroup(ctx context.Context, q CreateACG) (ACG, error) {
	return create(ctx, a.c, "access control group", q.Name, (*vsv).CreateAccessControlGroup, vserver.CreateAccessControlGroupRequest{
		AccessControlGroupName: opt(q.Name), AccessControlGroupDescription: opt(q.Description), VpcNo: opt(q.VPCNo),
	}, func(r *vserver.CreateAccessControlGroupResponse) []*vserver.AccessControlGroup {
		return r.AccessControlGroupList
	}, vpcACG,
		func(ctx context.Context) ([]ACG, error) {
			return a.GetAccessControlGroupList(ctx, ACGFilter{Name: q.Name, VPCNo: q.VPCNo})
		}, func(g ACG) (string, string) { return g.No, g.Name })
}

// GetAccessControlGroupList lists ACGs.
func (a *VPCService) GetAccessControlGroupList(ctx context.Context, f ACGFilter) ([]ACG, error) {
	return list(ctx, a.c, (*vsv).GetAccessControlGroupList, vserver.GetAccessControlGroupListRequest{AccessControlGroupNoList: opts(f.Nos),
		AccessControlGroupName: opt(f.Name), VpcNo: opt(f.VPCNo), AccessControlGroupStatusCode: opt(f.Status)}, f.Name,
		func(r *vserver.GetAccessControlGroupListResponse) []*vserver.AccessControlGroup {
			return r.AccessControlGroupList
		}, vpcACG)
}

// GetAccessControlGroupDetail returns one ACG. That the API answers an unknown one with an error (1007000) is hidden: ErrNotFound.
func (a *VPCService) GetAccessControlGroupDetail(ctx context.Context, no string) (ACG, error) {
	return detail(ctx, a.c, (*vsv).GetAccessControlGroupDetail, vserver.GetAccessControlGroupDetailRequest{AccessControlGroupNo: &no}, "access control group "+no,
		func(r *vserver.GetAccessControlGroupDetailResponse) []*vserver.AccessControlGroup {
			return r.AccessControlGroupList
		}, vpcACG)
}

// GetAccessControlGroupRuleList lists the rules of an ACG, of one direction (Inbound, Outbound) or, empty, of both.
func (a *VPCService) GetAccessControlGroupRuleList(ctx context.Context, acgNo, direction string) ([]Rule, error) {
	return list(ctx, a.c, (*vsv).GetAccessControlGroupRuleList, vserver.GetAccessControlGroupRuleListRequest{AccessControlGroupNo: &acgNo, AccessControlGroupRuleTypeCode: opt(direction)}, "access control group "+acgNo,
		func(r *vserver.GetAccessControlGroupRuleListResponse) []*vserver.AccessControlGroupRule {
			return r.AccessControlGroupRuleList
		}, vpcRule)
}

// AddAccessControlGroupInboundRule adds inbound rules. The ACG is SET, then RUN again: wait for that before the next change.
func (a *VPCService) AddAccessControlGroupInboundRule(ctx context.Context, vpcNo, acgNo string, rules []Rule) error {
	return change(ctx, a.c, "access control group "+acgNo, (*vsv).AddAccessControlGroupInboundRule, vserver.AddAccessControlGroupInboundRuleRequest{VpcNo: &vpcNo, AccessControlGroupNo: &acgNo, AccessControlGroupRuleList: addRules(rules)},
		a.rulesAre(acgNo, Inbound, rules, true))
}

// AddAccessControlGroupOutboundRule adds outbound rules.
func (a *VPCService) AddAccessControlGroupOutboundRule(ctx context.Context, vpcNo, acgNo string, rules []Rule) error {
	return change(ctx, a.c, "access control group "+acgNo, (*vsv).AddAccessControlGroupOutboundRule, vserver.AddAccessControlGroupOutboundRuleRequest{VpcNo: &vpcNo, AccessControlGroupNo: &acgNo, AccessControlGroupRuleList: addRules(rules)},
		a.rulesAre(acgNo, Outbound, rules, true))
}

// RemoveAccessControlGroupInboundRule removes inbound rules.
func (a *VPCService) RemoveAccessControlGroupInboundRule(ctx context.Context, vpcNo, acgNo string, rules []Rule) error {
	return change(ctx, a.c, "access control group "+acgNo, (*vsv).RemoveAccessControlGroupInboundRule, vserver.RemoveAccessControlGroupInboundRuleRequest{VpcNo: &vpcNo, AccessControlGroupNo: &acgNo, AccessControlGroupRuleList: removeRules(rules)},
		a.rulesAre(acgNo, Inbound, rules, false))
}

// RemoveAccessControlGroupOutboundRule removes outbound rules.
func (a *VPCService) RemoveAccessControlGroupOutboundRule(ctx context.Context, vpcNo, acgNo string, rules []Rule) error {
	return change(ctx, a.c, "access control group "+acgNo, (*vsv).RemoveAccessControlGroupOutboundRule, vserver.RemoveAccessControlGroupOutboundRuleRequest{VpcNo: &vpcNo, AccessControlGroupNo: &acgNo, AccessControlGroupRuleList: removeRules(rules)},
		a.rulesAre(acgNo, Outbound, rules, false))
}

// DeleteAccessControlGroup deletes an ACG no NIC uses.
func (a *VPCService) DeleteAccessControlGroup(ctx context.Context, vpcNo, acgNo string) error {
	return change(ctx, a.c, "access control group "+acgNo, (*vsv).DeleteAccessControlGroup, vserver.DeleteAccessControlGroupRequest{VpcNo: &vpcNo, AccessControlGroupNo: &acgNo},
		goneOr(a.GetAccessControlGroupDetail, acgNo, nil))
}

// ---- Public IPs

// CreatePublicIpInstance makes a public IP. A lost answer can be found again by a unique Description or by ServerNo.
func (a *VPCService) CreatePublicIpInstance(ctx context.Context, q CreatePublicIP) (PublicIP, error) {
	return create(ctx, a.c, "public IP", firstOf(q.Description, q.ServerNo), (*vsv).CreatePublicIpInstance,
		vserver.CreatePublicIpInstanceRequest{ServerInstanceNo: opt(q.ServerNo), PublicIpDescription: opt(q.Description)},
		func(r *vserver.CreatePublicIpInstanceResponse) []*vserver.PublicIpInstance {
			return r.PublicIpInstanceList
		}, vpcPublicIP,
		func(ctx context.Context) ([]PublicIP, error) { return a.GetPublicIpInstanceList(ctx, PublicIPFilter{}) },
		func(p PublicIP) (string, string) {
			if q.Description != "" {
				return p.No, p.Description
			}
			return p.No, p.ServerNo
		})
}

// GetPublicIpInstanceList lists public IPs.
func (a *VPCService) GetPublicIpInstanceList(ctx context.Context, f PublicIPFilter) ([]PublicIP, error) {
	return list(ctx, a.c, (*vsv).GetPublicIpInstanceList, vserver.GetPublicIpInstanceListRequest{PublicIpInstanceNoList: opts(f.Nos), PublicIp: opt(f.PublicIP), PrivateIp: opt(f.PrivateIP),
		IsAssociated: f.IsAssociated, ServerName: opt(f.ServerName), PublicIpInstanceStatusCode: opt(f.Status), VpcNo: opt(f.VPCNo)}, "",
		func(r *vserver.GetPublicIpInstanceListResponse) []*vserver.PublicIpInstance {
			return r.PublicIpInstanceList
		}, vpcPublicIP)
}

// GetPublicIpInstanceDetail returns one public IP.
func (a *VPCService) GetPublicIpInstanceDetail(ctx context.Context, no string) (PublicIP, error) {
	return detail(ctx, a.c, (*vsv).GetPublicIpInstanceDetail, vserver.GetPublicIpInstanceDetailRequest{PublicIpInstanceNo: &no}, "public IP "+no,
		func(r *vserver.GetPublicIpInstanceDetailResponse) []*vserver.PublicIpInstance {
			return r.PublicIpInstanceList
		}, vpcPublicIP)
}

// AssociatePublicIpWithServerInstance gives a public IP to a server.
func (a *VPCService) AssociatePublicIpWithServerInstance(ctx context.Context, no, serverNo string) error {
	return change(ctx, a.c, "public IP "+no, (*vsv).AssociatePublicIpWithServerInstance, vserver.AssociatePublicIpWithServerInstanceRequest{PublicIpInstanceNo: &no, ServerInstanceNo: &serverNo},
		a.publicIPIs(no, func(p PublicIP) bool { return p.ServerNo == serverNo }))
}

// DisassociatePublicIpFromServerInstance takes a public IP from its server.
func (a *VPCService) DisassociatePublicIpFromServerInstance(ctx context.Context, no string) error {
	return change(ctx, a.c, "public IP "+no, (*vsv).DisassociatePublicIpFromServerInstance, vserver.DisassociatePublicIpFromServerInstanceRequest{PublicIpInstanceNo: &no},
		a.publicIPIs(no, func(p PublicIP) bool { return p.ServerNo == "" }))
}

// DeletePublicIpInstance gives a disassociated public IP back.
func (a *VPCService) DeletePublicIpInstance(ctx context.Context, no string) error {
	return change(ctx, a.c, "public IP "+no, (*vsv).DeletePublicIpInstance, vserver.DeletePublicIpInstanceRequest{PublicIpInstanceNo: &no},
		goneOr(a.GetPublicIpInstanceDetail, no, func(p PublicIP) bool { return p.Status == "TERMTING" || p.Operation == "TERMT" }))
}

// GetPublicIpTargetServerInstanceList lists the servers that could be given a public IP.
func (a *VPCService) GetPublicIpTargetServerInstanceList(ctx context.Context) ([]Server, error) {
	return list(ctx, a.c, (*vsv).GetPublicIpTargetServerInstanceList, vserver.GetPublicIpTargetServerInstanceListRequest{}, "",
		func(r *vserver.GetPublicIpTargetServerInstanceListResponse) []*vserver.ServerInstance {
			return r.ServerInstanceList
		}, vpcServer)
}

// ---- Block storage

// CreateBlockStorageInstance makes a disk.
func (a *VPCService) CreateBlockStorageInstance(ctx context.Context, q CreateBlockStorage) (BlockStorage, error) {
	return create(ctx, a.c, "block storage", q.Name, (*vsv).CreateBlockStorageInstance, vserver.CreateBlockStorageInstanceRequest{
		BlockStorageName: opt(q.Name), BlockStorageDescription: opt(q.Description), BlockStorageSize: optInt32(q.Size), ServerInstanceNo: opt(q.ServerNo),
		BlockStorageDiskDetailTypeCode: opt(q.DiskDetailType), BlockStorageSnapshotInstanceNo: opt(q.SnapshotNo), ZoneCode: opt(q.ZoneCode),
		BlockStorageVolumeTypeCode: opt(q.VolumeType), IsReturnProtection: q.ReturnProtected,
	}, func(r *vserver.CreateBlockStorageInstanceResponse) []*vserver.BlockStorageInstance {
		return r.BlockStorageInstanceList
	}, vpcBlockStorage,
		func(ctx context.Context) ([]BlockStorage, error) {
			return a.GetBlockStorageInstanceList(ctx, BlockStorageFilter{Name: q.Name})
		}, func(b BlockStorage) (string, string) { return b.No, b.Name })
}

// GetBlockStorageInstanceList lists disks.
func (a *VPCService) GetBlockStorageInstanceList(ctx context.Context, f BlockStorageFilter) ([]BlockStorage, error) {
	return list(ctx, a.c, (*vsv).GetBlockStorageInstanceList, vserver.GetBlockStorageInstanceListRequest{BlockStorageInstanceNoList: opts(f.Nos), ServerInstanceNo: opt(f.ServerNo),
		BlockStorageName: opt(f.Name), BlockStorageInstanceStatusCode: opt(f.Status), ZoneCode: opt(f.Zone), BlockStorageTypeCodeList: opts(f.Types),
		BlockStorageVolumeTypeCodeList: opts(f.VolumeTypes), HypervisorTypeCodeList: opts(f.Hypervisors),
		BlockStorageDiskTypeCode: opt(f.DiskType), BlockStorageDiskDetailTypeCode: opt(f.DiskDetailType)}, f.Name,
		func(r *vserver.GetBlockStorageInstanceListResponse) []*vserver.BlockStorageInstance {
			return r.BlockStorageInstanceList
		}, vpcBlockStorage)
}

// GetBlockStorageInstanceDetail returns one disk.
func (a *VPCService) GetBlockStorageInstanceDetail(ctx context.Context, no string) (BlockStorage, error) {
	return detail(ctx, a.c, (*vsv).GetBlockStorageInstanceDetail, vserver.GetBlockStorageInstanceDetailRequest{BlockStorageInstanceNo: &no}, "block storage "+no,
		func(r *vserver.GetBlockStorageInstanceDetailResponse) []*vserver.BlockStorageInstance {
			return r.BlockStorageInstanceList
		}, vpcBlockStorage)
}

// AttachBlockStorageInstance attaches a disk to a server.
func (a *VPCService) AttachBlockStorageInstance(ctx context.Context, no, serverNo string) error {
	return change(ctx, a.c, "block storage "+no, (*vsv).AttachBlockStorageInstance, vserver.AttachBlockStorageInstanceRequest{BlockStorageInstanceNo: &no, ServerInstanceNo: &serverNo},
		a.diskIs(no, func(b BlockStorage) bool { return b.ServerNo == serverNo && b.Operation != "DETAC" }))
}

// DetachBlockStorageInstances detaches a disk from its server.
func (a *VPCService) DetachBlockStorageInstances(ctx context.Context, no string) error {
	return change(ctx, a.c, "block storage "+no, (*vsv).DetachBlockStorageInstances, vserver.DetachBlockStorageInstancesRequest{BlockStorageInstanceNoList: opts([]string{no})},
		a.diskIs(no, func(b BlockStorage) bool { return b.ServerNo == "" || b.Operation == "DETAC" }))
}

// ChangeBlockStorageVolumeSize grows a disk to size GB (XEN/RHV).
func (a *VPCService) ChangeBlockStorageVolumeSize(ctx context.Context, no string, size int) error {
	return change(ctx, a.c, "block storage "+no, (*vsv).ChangeBlockStorageVolumeSize, vserver.ChangeBlockStorageVolumeSizeRequest{BlockStorageInstanceNo: &no, BlockStorageSize: optInt32(size)},
		a.diskIs(no, func(b BlockStorage) bool { return b.Operation == "CHNG" || b.Size == gib(size) }))
}

// ChangeBlockStorageInstance grows a disk to size GB (KVM).
func (a *VPCService) ChangeBlockStorageInstance(ctx context.Context, no string, size int) error {
	return change(ctx, a.c, "block storage "+no, (*vsv).ChangeBlockStorageInstance, vserver.ChangeBlockStorageInstanceRequest{BlockStorageInstanceNo: &no, BlockStorageSize: optInt32(size)},
		a.diskIs(no, func(b BlockStorage) bool { return b.Operation == "CHNG" || b.Size == gib(size) }))
}

// SetBlockStorageReturnProtection sets or lifts a disk's protection against deletion.
func (a *VPCService) SetBlockStorageReturnProtection(ctx context.Context, no string, protect bool) error {
	return change(ctx, a.c, "block storage "+no, (*vsv).SetBlockStorageReturnProtection, vserver.SetBlockStorageReturnProtectionRequest{BlockStorageInstanceNo: &no, IsReturnProtection: &protect},
		a.diskIs(no, func(b BlockStorage) bool { return b.ReturnProtected == protect }))
}

// DeleteBlockStorageInstances deletes a detached disk.
func (a *VPCService) DeleteBlockStorageInstances(ctx context.Context, no string) error {
	return change(ctx, a.c, "block storage "+no, (*vsv).DeleteBlockStorageInstances, vserver.DeleteBlockStorageInstancesRequest{BlockStorageInstanceNoList: opts([]string{no})},
		goneOr(a.GetBlockStorageInstanceDetail, no, func(b BlockStorage) bool { return b.Operation == "TERMT" || b.StatusName == "terminating" }))
}

// CreateBlockStorageSnapshotInstance snapshots a disk.
func (a *VPCService) CreateBlockStorageSnapshotInstance(ctx context.Context, q CreateSnapshot) (Snapshot, error) {
	return create(ctx, a.c, "snapshot", q.Name, (*vsv).CreateBlockStorageSnapshotInstance, vserver.CreateBlockStorageSnapshotInstanceRequest{
		BlockStorageSnapshotName: opt(q.Name), BlockStorageSnapshotDescription: opt(q.Description), OriginalBlockStorageInstanceNo: opt(q.BlockStorageNo), SnapshotTypeCode: opt(q.Type),
	}, func(r *vserver.CreateBlockStorageSnapshotInstanceResponse) []*vserver.BlockStorageSnapshotInstance {
		return r.BlockStorageSnapshotInstanceList
	}, vpcSnapshot,
		func(ctx context.Context) ([]Snapshot, error) {
			return a.GetBlockStorageSnapshotInstanceList(ctx, SnapshotFilter{Name: q.Name})
		}, func(s Snapshot) (string, string) { return s.No, s.Name })
}

// GetBlockStorageSnapshotInstanceList lists snapshots.
func (a *VPCService) GetBlockStorageSnapshotInstanceList(ctx context.Context, f SnapshotFilter) ([]Snapshot, error) {
	return list(ctx, a.c, (*vsv).GetBlockStorageSnapshotInstanceList, vserver.GetBlockStorageSnapshotInstanceListRequest{BlockStorageSnapshotInstanceNoList: opts(f.Nos),
		OriginalBlockStorageInstanceNoList: opts(f.OriginalNos), BlockStorageSnapshotName: opt(f.Name), BlockStorageSnapshotInstanceStatusCode: opt(f.Status)}, f.Name,
		func(r *vserver.GetBlockStorageSnapshotInstanceListResponse) []*vserver.BlockStorageSnapshotInstance {
			return r.BlockStorageSnapshotInstanceList
		}, vpcSnapshot)
}

// GetBlockStorageSnapshotInstanceDetail returns one snapshot.
func (a *VPCService) GetBlockStorageSnapshotInstanceDetail(ctx context.Context, no string) (Snapshot, error) {
	return detail(ctx, a.c, (*vsv).GetBlockStorageSnapshotInstanceDetail, vserver.GetBlockStorageSnapshotInstanceDetailRequest{BlockStorageSnapshotInstanceNo: &no}, "snapshot "+no,
		func(r *vserver.GetBlockStorageSnapshotInstanceDetailResponse) []*vserver.BlockStorageSnapshotInstance {
			return r.BlockStorageSnapshotInstanceList
		}, vpcSnapshot)
}

// DeleteBlockStorageSnapshotInstances deletes a snapshot.
func (a *VPCService) DeleteBlockStorageSnapshotInstances(ctx context.Context, no string) error {
	return change(ctx, a.c, "snapshot "+no, (*vsv).DeleteBlockStorageSnapshotInstances, vserver.DeleteBlockStorageSnapshotInstancesRequest{BlockStorageSnapshotInstanceNoList: opts([]string{no})},
		goneOr(a.GetBlockStorageSnapshotInstanceDetail, no, func(s Snapshot) bool { return s.Operation == "TERMT" || s.StatusName == "terminating" }))
}

// ---- Init scripts and login keys

// CreateInitScript makes an init script. The answer's Content is empty.
func (a *VPCService) CreateInitScript(ctx context.Context, q CreateInitScript) (InitScript, error) {
	return create(ctx, a.c, "init script", q.Name, (*vsv).CreateInitScript, vserver.CreateInitScriptRequest{
		InitScriptName: opt(q.Name), InitScriptDescription: opt(q.Description), InitScriptContent: opt(q.Content), OsTypeCode: opt(q.OSType),
	}, func(r *vserver.CreateInitScriptResponse) []*vserver.InitScript { return r.InitScriptList }, vpcInitScript,
		func(ctx context.Context) ([]InitScript, error) {
			return a.GetInitScriptList(ctx, InitScriptFilter{Name: q.Name})
		}, func(s InitScript) (string, string) { return s.No, s.Name })
}

// GetInitScriptList lists init scripts, without their content.
func (a *VPCService) GetInitScriptList(ctx context.Context, f InitScriptFilter) ([]InitScript, error) {
	return list(ctx, a.c, (*vsv).GetInitScriptList, vserver.GetInitScriptListRequest{InitScriptNoList: opts(f.Nos), InitScriptName: opt(f.Name), OsTypeCode: opt(f.OSType)}, f.Name,
		func(r *vserver.GetInitScriptListResponse) []*vserver.InitScript { return r.InitScriptList }, vpcInitScript)
}

// GetInitScriptDetail returns one init script with its content.
func (a *VPCService) GetInitScriptDetail(ctx context.Context, no string) (InitScript, error) {
	return detail(ctx, a.c, (*vsv).GetInitScriptDetail, vserver.GetInitScriptDetailRequest{InitScriptNo: &no}, "init script "+no,
		func(r *vserver.GetInitScriptDetailResponse) []*vserver.InitScript { return r.InitScriptList }, vpcInitScript)
}

// DeleteInitScripts deletes an init script.
func (a *VPCService) DeleteInitScripts(ctx context.Context, no string) error {
	return change(ctx, a.c, "init script "+no, (*vsv).DeleteInitScripts, vserver.DeleteInitScriptsRequest{InitScriptNoList: opts([]string{no})},
		goneOr(a.GetInitScriptDetail, no, nil))
}

// CreateLoginKey has the API make a key pair; the private key is in the answer and nowhere else. When the answer is
// lost, the key made is useless: it is deleted and another is made.
func (a *VPCService) CreateLoginKey(ctx context.Context, name string) (LoginKey, error) {
	return createKey(ctx, a.c, name, func(ctx context.Context) (LoginKey, error) {
		r, err := put(ctx, a.c, (*vsv).CreateLoginKey, vserver.CreateLoginKeyRequest{KeyName: &name}, "login key "+name)
		if err != nil {
			return LoginKey{}, err
		}
		return LoginKey{Name: name, PrivateKey: str(r.PrivateKey)}, nil
	}, a.GetLoginKeyList, a.DeleteLoginKey)
}

// ImportLoginKey registers an RSA public key (OpenSSH format) of our own.
func (a *VPCService) ImportLoginKey(ctx context.Context, name, publicKey string) (LoginKey, error) {
	return create(ctx, a.c, "login key", name, (*vsv).ImportLoginKey, vserver.ImportLoginKeyRequest{KeyName: &name, PublicKey: &publicKey},
		func(r *vserver.ImportLoginKeyResponse) []*vserver.LoginKey { return r.LoginKeyList }, vpcLoginKey,
		func(ctx context.Context) ([]LoginKey, error) { return a.GetLoginKeyList(ctx, name) },
		func(k LoginKey) (string, string) { return k.Name, k.Name })
}

// GetLoginKeyList lists login keys, all or the one named.
func (a *VPCService) GetLoginKeyList(ctx context.Context, name string) ([]LoginKey, error) {
	return list(ctx, a.c, (*vsv).GetLoginKeyList, vserver.GetLoginKeyListRequest{KeyName: opt(name)}, name,
		func(r *vserver.GetLoginKeyListResponse) []*vserver.LoginKey { return r.LoginKeyList }, vpcLoginKey)
}

// DeleteLoginKey deletes a login key (deleteLoginKeys).
func (a *VPCService) DeleteLoginKey(ctx context.Context, name string) error {
	return change(ctx, a.c, "login key "+name, (*vsv).DeleteLoginKeys, vserver.DeleteLoginKeysRequest{KeyNameList: opts([]string{name})},
		keyGone(a.GetLoginKeyList, name))
}

// ---- Images

// CreateServerImage makes an image of a server (KVM; the API takes any hypervisor).
func (a *VPCService) CreateServerImage(ctx context.Context, q CreateImage) (ServerImage, error) {
	return create(ctx, a.c, "server image", q.Name, (*vsv).CreateServerImage, vserver.CreateServerImageRequest{
		ServerInstanceNo: opt(q.ServerNo), ServerImageName: opt(q.Name), ServerImageDescription: opt(q.Description),
	}, func(r *vserver.CreateServerImageResponse) []*vserver.ServerImage { return r.ServerImageList }, vpcServerImage,
		func(ctx context.Context) ([]ServerImage, error) {
			return a.GetServerImageList(ctx, ServerImageFilter{Name: q.Name, Types: []string{"SELF"}})
		}, func(i ServerImage) (string, string) { return i.No, i.Name })
}

// DeleteServerImage deletes an image of one's own.
func (a *VPCService) DeleteServerImage(ctx context.Context, no string) error {
	return change(ctx, a.c, "server image "+no, (*vsv).DeleteServerImage, vserver.DeleteServerImageRequest{ServerImageNoList: opts([]string{no})},
		goneOr(a.GetServerImageDetail, no, func(i ServerImage) bool { return i.Operation == "TERMT" || i.StatusName == "terminating" }))
}

// AddServerImageSharingPermission shares an image with login ids.
func (a *VPCService) AddServerImageSharingPermission(ctx context.Context, no string, loginIDs []string) error {
	return change(ctx, a.c, "server image "+no, (*vsv).AddServerImageSharingPermission, vserver.AddServerImageSharingPermissionRequest{ServerImageNo: &no, TargetLoginIdList: opts(loginIDs)},
		func(ctx context.Context) (bool, error) {
			i, err := a.GetServerImageDetail(ctx, no)
			return containsAll(i.SharedLoginIDs, loginIDs), err
		})
}

// RemoveServerImageSharingPermission stops sharing an image with login ids.
func (a *VPCService) RemoveServerImageSharingPermission(ctx context.Context, no string, loginIDs []string) error {
	return change(ctx, a.c, "server image "+no, (*vsv).RemoveServerImageSharingPermission, vserver.RemoveServerImageSharingPermissionRequest{ServerImageNo: &no, TargetLoginIdList: opts(loginIDs)},
		func(ctx context.Context) (bool, error) {
			i, err := a.GetServerImageDetail(ctx, no)
			return containsNone(i.SharedLoginIDs, loginIDs), err
		})
}

// CreateMemberServerImageInstance makes an image of a stopped XEN or RHV server.
func (a *VPCService) CreateMemberServerImageInstance(ctx context.Context, q CreateImage) (MemberImage, error) {
	return create(ctx, a.c, "member server image", q.Name, (*vsv).CreateMemberServerImageInstance, vserver.CreateMemberServerImageInstanceRequest{
		ServerInstanceNo: opt(q.ServerNo), MemberServerImageName: opt(q.Name), MemberServerImageDescription: opt(q.Description),
	}, func(r *vserver.CreateMemberServerImageInstanceResponse) []*vserver.MemberServerImageInstance {
		return r.MemberServerImageInstanceList
	}, vpcMemberImage,
		func(ctx context.Context) ([]MemberImage, error) {
			return a.GetMemberServerImageInstanceList(ctx, MemberImageFilter{Name: q.Name})
		}, func(i MemberImage) (string, string) { return i.No, i.Name })
}

// GetMemberServerImageInstanceList lists member images.
func (a *VPCService) GetMemberServerImageInstanceList(ctx context.Context, f MemberImageFilter) ([]MemberImage, error) {
	return list(ctx, a.c, (*vsv).GetMemberServerImageInstanceList, vserver.GetMemberServerImageInstanceListRequest{MemberServerImageInstanceNoList: opts(f.Nos), MemberServerImageName: opt(f.Name),
		MemberServerImageInstanceStatusCode: opt(f.Status), PlatformTypeCodeList: opts(f.PlatformTypes)}, f.Name,
		func(r *vserver.GetMemberServerImageInstanceListResponse) []*vserver.MemberServerImageInstance {
			return r.MemberServerImageInstanceList
		}, vpcMemberImage)
}

// GetMemberServerImageInstanceDetail returns one member image.
func (a *VPCService) GetMemberServerImageInstanceDetail(ctx context.Context, no string) (MemberImage, error) {
	return detail(ctx, a.c, (*vsv).GetMemberServerImageInstanceDetail, vserver.GetMemberServerImageInstanceDetailRequest{MemberServerImageInstanceNo: &no}, "member server image "+no,
		func(r *vserver.GetMemberServerImageInstanceDetailResponse) []*vserver.MemberServerImageInstance {
			return r.MemberServerImageInstanceList
		}, vpcMemberImage)
}

// DeleteMemberServerImageInstances deletes a member image.
func (a *VPCService) DeleteMemberServerImageInstances(ctx context.Context, no string) error {
	return change(ctx, a.c, "member server image "+no, (*vsv).DeleteMemberServerImageInstances, vserver.DeleteMemberServerImageInstancesRequest{MemberServerImageInstanceNoList: opts([]string{no})},
		goneOr(a.GetMemberServerImageInstanceDetail, no, func(i MemberImage) bool { return i.Operation == "TERMT" || i.StatusName == "terminating" }))
}

// AddMemberServerImageSharingPermission shares a member image with login ids.
func (a *VPCService) AddMemberServerImageSharingPermission(ctx context.Context, no string, loginIDs []string) error {
	return change(ctx, a.c, "member server image "+no, (*vsv).AddMemberServerImageSharingPermission, vserver.AddMemberServerImageSharingPermissionRequest{MemberServerImageInstanceNo: &no, TargetLoginIdList: opts(loginIDs)},
		func(ctx context.Context) (bool, error) {
			i, err := a.GetMemberServerImageInstanceDetail(ctx, no)
			return containsAll(i.SharedLoginIDs, loginIDs), err
		})
}

// RemoveMemberServerImageSharingPermission stops sharing a member image with login ids.
func (a *VPCService) RemoveMemberServerImageSharingPermission(ctx context.Context, no string, loginIDs []string) error {
	return change(ctx, a.c, "member server image "+no, (*vsv).RemoveMemberServerImageSharingPermission, vserver.RemoveMemberServerImageSharingPermissionRequest{MemberServerImageInstanceNo: &no, TargetLoginIdList: opts(loginIDs)},
		func(ctx context.Context) (bool, error) {
			i, err := a.GetMemberServerImageInstanceDetail(ctx, no)
			return containsNone(i.SharedLoginIDs, loginIDs), err
		})
}

// ---- Looks: did it happen?

func (a *VPCService) serverIs(no string, ok func(Server) bool) func(context.Context) (bool, error) {
	return is(a.GetServerInstanceDetail, no, ok)
}

func (a *VPCService) nicIs(no string, ok func(NetworkInterface) bool) func(context.Context) (bool, error) {
	return is(a.GetNetworkInterfaceDetail, no, ok)
}

func (a *VPCService) publicIPIs(no string, ok func(PublicIP) bool) func(context.Context) (bool, error) {
	return is(a.GetPublicIpInstanceDetail, no, ok)
}

func (a *VPCService) diskIs(no string, ok func(BlockStorage) bool) func(context.Context) (bool, error) {
	return is(a.GetBlockStorageInstanceDetail, no, ok)
}

// rulesAre looks whether all of the rules are there (or, there false, gone).
func (a *VPCService) rulesAre(acgNo, direction string, rules []Rule, there bool) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		have, err := a.GetAccessControlGroupRuleList(ctx, acgNo, direction)
		if err != nil {
			return false, err
		}
		for _, want := range rules {
			if hasRule(have, want) != there {
				return false, nil
			}
		}
		return true, nil
	}
}
