package ncloud

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/NaverCloudPlatform/ncloud-sdk-go-v2/services/server"
	vpcsdk "github.com/NaverCloudPlatform/ncloud-sdk-go-v2/services/vpc"
	"github.com/NaverCloudPlatform/ncloud-sdk-go-v2/services/vserver"
)

// val returns what p points to, or the zero value.
func val[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func str(p *string) string { return val(p) }

// strs returns the values of a list, without the empty ones the API sometimes sends for "none".
func strs(ps []*string) []string {
	var out []string
	for _, p := range ps {
		if s := str(p); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// opt makes an optional parameter: nothing is sent for "".
func opt(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// opts makes a list parameter. The SDK escapes single values but not those of lists, so that is done here: a login id
// such as "a+b@example.com" would otherwise arrive as another one.
func opts(ss []string) []*string {
	var out []*string
	for _, s := range ss {
		s = url.QueryEscape(s)
		out = append(out, &s)
	}
	return out
}

func optInt32(n int) *int32 {
	if n == 0 {
		return nil
	}
	v := int32(n)
	return &v
}

func optInt64(n int) *int64 {
	if n == 0 {
		return nil
	}
	v := int64(n)
	return &v
}

func optIntString(n int) *string {
	if n == 0 {
		return nil
	}
	s := strconv.Itoa(n)
	return &s
}

func intString[N int32 | int64](p *N) string {
	if val(p) == 0 {
		return ""
	}
	return fmt.Sprint(*p)
}

func gib(n int) int64 { return int64(n) << 30 }

func firstOf(ss ...string) string {
	for _, s := range ss {
		if s != "" {
			return s
		}
	}
	return ""
}

func containsAll(have, want []string) bool {
	return !slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(have, w) })
}

func containsNone(have, unwanted []string) bool {
	return !slices.ContainsFunc(unwanted, func(w string) bool { return slices.Contains(have, w) })
}

func code(c *vserver.CommonCode) string {
	if c == nil {
		return ""
	}
	return str(c.Code)
}

func vcode(c *vpcsdk.CommonCode) string {
	if c == nil {
		return ""
	}
	return str(c.Code)
}

func ccode(c *server.CommonCode) string {
	if c == nil {
		return ""
	}
	return str(c.Code)
}

// ---- VPC

func vpcRegion(r *vserver.Region) Region {
	return Region{Code: str(r.RegionCode), Name: str(r.RegionName)}
}

func vpcZone(z *vserver.Zone) Zone {
	return Zone{Code: str(z.ZoneCode), Name: str(z.ZoneName), Description: str(z.ZoneDescription), RegionCode: str(z.RegionCode)}
}

func vpcVPC(v *vpcsdk.Vpc) VPC {
	return VPC{No: str(v.VpcNo), Name: str(v.VpcName), CIDR: str(v.Ipv4CidrBlock), Status: vcode(v.VpcStatus), RegionCode: str(v.RegionCode), CreateDate: str(v.CreateDate)}
}

func vpcSubnet(s *vpcsdk.Subnet) Subnet {
	return Subnet{No: str(s.SubnetNo), Name: str(s.SubnetName), CIDR: str(s.Subnet), VPCNo: str(s.VpcNo), ZoneCode: str(s.ZoneCode), Status: vcode(s.SubnetStatus),
		Type: vcode(s.SubnetType), UsageType: vcode(s.UsageType), NetworkACLNo: str(s.NetworkAclNo), CreateDate: str(s.CreateDate)}
}

func vpcNetworkACL(n *vpcsdk.NetworkAcl) NetworkACL {
	return NetworkACL{No: str(n.NetworkAclNo), Name: str(n.NetworkAclName), Description: str(n.NetworkAclDescription), VPCNo: str(n.VpcNo),
		Status: vcode(n.NetworkAclStatus), IsDefault: val(n.IsDefault), CreateDate: str(n.CreateDate)}
}

func vpcRouteTable(r *vpcsdk.RouteTable) RouteTable {
	return RouteTable{No: str(r.RouteTableNo), Name: str(r.RouteTableName), Description: str(r.RouteTableDescription), VPCNo: str(r.VpcNo),
		Status: vcode(r.RouteTableStatus), SubnetType: vcode(r.SupportedSubnetType), RegionCode: str(r.RegionCode), IsDefault: val(r.IsDefault)}
}

func vpcProduct(p *vserver.Product) Product {
	return Product{Code: str(p.ProductCode), Name: strings.TrimSpace(str(p.ProductName)), Description: strings.TrimSpace(str(p.ProductDescription)),
		Type: code(p.ProductType), InfraResourceType: code(p.InfraResourceType), InfraResourceDetailType: code(p.InfraResourceDetailType),
		CPUCount: val(p.CpuCount), MemorySize: val(p.MemorySize), BaseBlockStorageSize: val(p.BaseBlockStorageSize), AddBlockStorageSize: val(p.AddBlockStorageSize),
		PlatformType: code(p.PlatformType), OSInformation: str(p.OsInformation), DiskType: code(p.DiskType), DBKind: str(p.DbKindCode), Generation: str(p.GenerationCode),
		OSMemorySize: val(p.OsMemorySize)}
}

func vpcServerImage(i *vserver.ServerImage) ServerImage {
	out := ServerImage{No: str(i.ServerImageNo), Name: str(i.ServerImageName), Description: str(i.ServerImageDescription), ProductCode: str(i.ServerImageProductCode),
		Type: code(i.ServerImageType), Hypervisor: code(i.HypervisorType), CPUArchitecture: code(i.CpuArchitectureType), OSCategory: code(i.OsCategoryType),
		OSType: code(i.OsType), Status: code(i.ServerImageStatus), Operation: code(i.ServerImageOperation), StatusName: str(i.ServerImageStatusName),
		CreateDate: str(i.CreateDate), ShareStatus: code(i.ShareStatus), SharedLoginIDs: strs(i.SharedLoginIdList), LifeCyclePhase: code(i.ServerImageLifeCyclePhase),
		PlatformCategory: str(i.PlatformCategoryCode)}
	for _, d := range i.BlockStorageMappingList {
		if d != nil {
			out.Disks = append(out.Disks, ImageDisk{Order: val(d.Order), SnapshotNo: intString(d.BlockStorageSnapshotInstanceNo), SnapshotName: str(d.BlockStorageSnapshotName),
				Name: str(d.BlockStorageName), Size: val(d.BlockStorageSize), VolumeType: code(d.BlockStorageVolumeType), IOPS: val(d.Iops), Throughput: val(d.Throughput), Encrypted: val(d.IsEncryptedVolume)})
		}
	}
	return out
}

func vpcMemberImage(i *vserver.MemberServerImageInstance) MemberImage {
	return MemberImage{No: str(i.MemberServerImageInstanceNo), Name: str(i.MemberServerImageName), Description: str(i.MemberServerImageDescription),
		OriginalServerNo: str(i.OriginalServerInstanceNo), OriginalImageProductCode: str(i.OriginalServerImageProductCode), Status: code(i.MemberServerImageInstanceStatus),
		Operation: code(i.MemberServerImageInstanceOperation), StatusName: str(i.MemberServerImageInstanceStatusName), CreateDate: str(i.CreateDate),
		BlockStorageTotalRows: val(i.MemberServerImageBlockStorageTotalRows), BlockStorageTotalSize: val(i.MemberServerImageBlockStorageTotalSize),
		ShareStatus: code(i.ShareStatus), SharedLoginIDs: strs(i.SharedLoginIdList)}
}

func vpcSpec(s *vserver.ServerSpec) Spec {
	return Spec{Code: str(s.ServerSpecCode), No: intString(s.ServerSpecNo), Description: str(s.ServerSpecDescription), Generation: str(s.GenerationCode),
		CPUCount: val(s.CpuCount), MemorySize: val(s.MemorySize), Hypervisor: code(s.HypervisorType), CPUArchitecture: code(s.CpuArchitectureType),
		BlockStorageMaxCount: val(s.BlockStorageMaxCount), BlockStorageMaxIOPS: val(s.BlockStorageMaxIops), BlockStorageMaxThroughput: val(s.BlockStorageMaxThroughput),
		NetworkPerformance: val(s.NetworkPerformance), NetworkInterfaceMaxCount: val(s.NetworkInterfaceMaxCount), ProductCode: str(s.ServerProductCode), GPUCount: val(s.GpuCount)}
}

func vpcVolumeType(v *vserver.BlockStorageVolumeType) VolumeType {
	return VolumeType{Code: code(v.BlockStorageVolumeType), Hypervisor: code(v.HypervisorType), ZoneCodes: strs(v.ZoneCodeList), MinSize: val(v.MinVolumeSize), MaxSize: val(v.MaxVolumeSize),
		MinBaseSize: val(v.MinBaseVolumeSize), MaxBaseSize: val(v.MaxBaseVolumeSize), BaseAvailable: val(v.IsBaseStorageAvailable), MinIOPS: val(v.MinIops), MaxIOPS: val(v.MaxIops),
		MinThroughput: val(v.MinThroughput), MaxThroughput: val(v.MaxThroughput)}
}

func vpcServer(s *vserver.ServerInstance) Server {
	out := Server{No: str(s.ServerInstanceNo), Name: str(s.ServerName), Description: str(s.ServerDescription), CPUCount: val(s.CpuCount), MemorySize: val(s.MemorySize),
		PlatformType: code(s.PlatformType), LoginKeyName: str(s.LoginKeyName), PublicIPNo: str(s.PublicIpInstanceNo), PublicIP: str(s.PublicIp),
		Status: code(s.ServerInstanceStatus), Operation: code(s.ServerInstanceOperation), StatusName: str(s.ServerInstanceStatusName), CreateDate: str(s.CreateDate), Uptime: str(s.Uptime),
		ImageProductCode: str(s.ServerImageProductCode), ImageNo: str(s.ServerImageNo), MemberImageNo: str(s.MemberServerImageInstanceNo), ProductCode: str(s.ServerProductCode),
		SpecCode: str(s.ServerSpecCode), TerminationProtected: val(s.IsProtectServerTermination), RegionCode: str(s.RegionCode), ZoneCode: str(s.ZoneCode),
		VPCNo: str(s.VpcNo), SubnetNo: str(s.SubnetNo), NetworkInterfaceNos: strs(s.NetworkInterfaceNoList), InitScriptNo: str(s.InitScriptNo), Type: code(s.ServerInstanceType),
		BaseDiskType: code(s.BaseBlockStorageDiskType), BaseDiskDetailType: code(s.BaseBlockStorageDiskDetailType), PlacementGroupNo: str(s.PlacementGroupNo),
		PlacementGroupName: str(s.PlacementGroupName), Hypervisor: code(s.HypervisorType), FabricClusterPoolNo: str(s.FabricClusterPoolNo),
		FabricClusterPoolName: str(s.FabricClusterPoolName), FabricClusterMode: str(s.FabricClusterMode), FabricClusterNo: str(s.FabricClusterNo),
		FabricClusterName: str(s.FabricClusterName), PreInstallGPUDriver: val(s.IsPreInstallGpuDriver)}
	for _, p := range s.BlockDevicePartitionList {
		if p != nil {
			out.Partitions = append(out.Partitions, Partition{str(p.MountPoint), str(p.PartitionSize)})
		}
	}
	return out
}

func vpcNIC(n *vserver.NetworkInterface) NetworkInterface {
	return NetworkInterface{No: str(n.NetworkInterfaceNo), Name: str(n.NetworkInterfaceName), Description: str(n.NetworkInterfaceDescription), SubnetNo: str(n.SubnetNo),
		DeleteOnTermination: val(n.DeleteOnTermination), IsDefault: val(n.IsDefault), DeviceName: str(n.DeviceName), Status: code(n.NetworkInterfaceStatus),
		InstanceType: code(n.InstanceType), InstanceNo: str(n.InstanceNo), IP: str(n.Ip), MACAddress: str(n.MacAddress), ACGNos: strs(n.AccessControlGroupNoList),
		SecondaryIPs: strs(n.SecondaryIpList), FlowLog: val(n.EnableFlowLog)}
}

func vpcACG(g *vserver.AccessControlGroup) ACG {
	return ACG{No: str(g.AccessControlGroupNo), Name: str(g.AccessControlGroupName), Description: str(g.AccessControlGroupDescription), IsDefault: val(g.IsDefault),
		VPCNo: str(g.VpcNo), Status: code(g.AccessControlGroupStatus)}
}

func vpcRule(r *vserver.AccessControlGroupRule) Rule {
	out := Rule{IPBlock: str(r.IpBlock), SourceACGNo: str(r.AccessControlGroupSequence), PortRange: str(r.PortRange), Direction: code(r.AccessControlGroupRuleType),
		Description: str(r.AccessControlGroupRuleDescription), ACGNo: str(r.AccessControlGroupNo)}
	if r.ProtocolType != nil {
		out.Protocol, out.ProtocolNumber = str(r.ProtocolType.Code), val(r.ProtocolType.Number)
	}
	return out
}

func addRules(rules []Rule) []*vserver.AddAccessControlGroupRuleParameter {
	var out []*vserver.AddAccessControlGroupRuleParameter
	for _, r := range rules {
		out = append(out, &vserver.AddAccessControlGroupRuleParameter{ProtocolTypeCode: opt(r.Protocol), IpBlock: opt(r.IPBlock), AccessControlGroupSequence: opt(r.SourceACGNo),
			PortRange: opt(r.PortRange), AccessControlGroupRuleDescription: opt(r.Description)})
	}
	return out
}

func removeRules(rules []Rule) []*vserver.RemoveAccessControlGroupRuleParameter {
	var out []*vserver.RemoveAccessControlGroupRuleParameter
	for _, r := range rules {
		out = append(out, &vserver.RemoveAccessControlGroupRuleParameter{ProtocolTypeCode: opt(r.Protocol), IpBlock: opt(r.IPBlock), AccessControlGroupSequence: opt(r.SourceACGNo), PortRange: opt(r.PortRange)})
	}
	return out
}

// hasRule tells whether a rule is among those of an ACG. The API may answer a protocol given by number with its name, and
// descriptions do not count.
func hasRule(have []Rule, want Rule) bool {
	return slices.ContainsFunc(have, func(h Rule) bool {
		protocol := strings.EqualFold(h.Protocol, want.Protocol) || h.ProtocolNumber != 0 && strconv.Itoa(int(h.ProtocolNumber)) == want.Protocol
		return protocol && h.IPBlock == want.IPBlock && h.SourceACGNo == want.SourceACGNo && h.PortRange == want.PortRange
	})
}

func vpcPublicIP(p *vserver.PublicIpInstance) PublicIP {
	return PublicIP{No: str(p.PublicIpInstanceNo), IP: str(p.PublicIp), Description: str(p.PublicIpDescription), CreateDate: str(p.CreateDate), ModifyDate: str(p.LastModifyDate),
		Status: code(p.PublicIpInstanceStatus), StatusName: str(p.PublicIpInstanceStatusName), Operation: code(p.PublicIpInstanceOperation),
		ServerNo: str(p.ServerInstanceNo), ServerName: str(p.ServerName), PrivateIP: str(p.PrivateIp)}
}

func vpcBlockStorage(b *vserver.BlockStorageInstance) BlockStorage {
	return BlockStorage{No: str(b.BlockStorageInstanceNo), Name: str(b.BlockStorageName), Description: str(b.BlockStorageDescription), ServerNo: str(b.ServerInstanceNo),
		Type: code(b.BlockStorageType), Size: val(b.BlockStorageSize), DeviceName: str(b.DeviceName), ProductCode: str(b.BlockStorageProductCode),
		Status: code(b.BlockStorageInstanceStatus), Operation: code(b.BlockStorageInstanceOperation), StatusName: str(b.BlockStorageInstanceStatusName),
		CreateDate: str(b.CreateDate), DiskType: code(b.BlockStorageDiskType), DiskDetailType: code(b.BlockStorageDiskDetailType), MaxIOPS: val(b.MaxIopsThroughput),
		Encrypted: val(b.IsEncryptedVolume), ReturnProtected: val(b.IsReturnProtection), VolumeType: code(b.BlockStorageVolumeType), Hypervisor: code(b.HypervisorType),
		Throughput: val(b.Throughput), IOPS: val(b.Iops), SnapshotNo: intString(b.BlockStorageSnapshotInstanceNo), RegionCode: str(b.RegionCode), ZoneCode: str(b.ZoneCode)}
}

func vpcSnapshot(s *vserver.BlockStorageSnapshotInstance) Snapshot {
	return Snapshot{No: str(s.BlockStorageSnapshotInstanceNo), Name: str(s.BlockStorageSnapshotName), Description: str(s.BlockStorageSnapshotDescription),
		VolumeSize: val(s.BlockStorageSnapshotVolumeSize), OriginalNo: str(s.OriginalBlockStorageInstanceNo), Status: code(s.BlockStorageSnapshotInstanceStatus),
		Operation: code(s.BlockStorageSnapshotInstanceOperation), StatusName: str(s.BlockStorageSnapshotInstanceStatusName), CreateDate: str(s.CreateDate),
		EncryptedOriginal: val(s.IsEncryptedOriginalBlockStorageVolume), Type: code(s.SnapshotType), BaseSnapshotNo: str(s.BaseSnapshotInstanceNo),
		ChainDepth: val(s.SnapshotChainDepth), Hypervisor: code(s.HypervisorType), Bootable: val(s.IsBootable), VolumeType: code(s.BlockStorageVolumeType)}
}

func vpcInitScript(s *vserver.InitScript) InitScript {
	return InitScript{No: str(s.InitScriptNo), Name: str(s.InitScriptName), Description: str(s.InitScriptDescription), Content: str(s.InitScriptContent),
		OSType: code(s.OsType), CreateDate: str(s.CreateDate)}
}

func vpcLoginKey(k *vserver.LoginKey) LoginKey {
	return LoginKey{Name: str(k.KeyName), Fingerprint: str(k.Fingerprint), PublicKey: str(k.PublicKey), CreateDate: str(k.CreateDate)}
}

// ---- Classic

func classicRegion(r *server.Region) Region {
	return Region{No: str(r.RegionNo), Code: str(r.RegionCode), Name: str(r.RegionName)}
}

func classicZone(z *server.Zone) Zone {
	return Zone{No: str(z.ZoneNo), Code: str(z.ZoneCode), Name: str(z.ZoneName), Description: str(z.ZoneDescription), RegionNo: str(z.RegionNo)}
}

func regionOf(r *server.Region) (no, code string) {
	if r == nil {
		return "", ""
	}
	return str(r.RegionNo), str(r.RegionCode)
}

func zoneOf(z *server.Zone) (no, code string) {
	if z == nil {
		return "", ""
	}
	return str(z.ZoneNo), str(z.ZoneCode)
}

func classicProduct(p *server.Product) Product {
	return Product{Code: str(p.ProductCode), Name: strings.TrimSpace(str(p.ProductName)), Description: strings.TrimSpace(str(p.ProductDescription)),
		Type: ccode(p.ProductType), InfraResourceType: ccode(p.InfraResourceType), InfraResourceDetailType: ccode(p.InfraResourceDetailType),
		CPUCount: val(p.CpuCount), MemorySize: val(p.MemorySize), BaseBlockStorageSize: val(p.BaseBlockStorageSize), AddBlockStorageSize: val(p.AddBlockStorageSize),
		PlatformType: ccode(p.PlatformType), OSInformation: str(p.OsInformation), DiskType: ccode(p.DiskType), DBKind: str(p.DbKindCode), Generation: str(p.GenerationCode)}
}

func classicMemberImage(i *server.MemberServerImage) MemberImage {
	out := MemberImage{No: str(i.MemberServerImageNo), Name: str(i.MemberServerImageName), Description: str(i.MemberServerImageDescription),
		OriginalServerNo: str(i.OriginalServerInstanceNo), OriginalServerName: str(i.OriginalServerName), OriginalServerProductCode: str(i.OriginalServerProductCode),
		OriginalImageProductCode: str(i.OriginalServerImageProductCode), OriginalImageName: strings.TrimSpace(str(i.OriginalServerImageName)),
		OriginalOSInformation: str(i.OriginalOsInformation), OriginalBaseDiskType: ccode(i.OriginalBaseBlockStorageDiskType), Status: ccode(i.MemberServerImageStatus),
		Operation: ccode(i.MemberServerImageOperation), StatusName: str(i.MemberServerImageStatusName), PlatformType: ccode(i.MemberServerImagePlatformType),
		CreateDate: str(i.CreateDate), BlockStorageTotalRows: val(i.MemberServerImageBlockStorageTotalRows), BlockStorageTotalSize: val(i.MemberServerImageBlockStorageTotalSize),
		ShareStatus: ccode(i.ShareStatus), SharedLoginIDs: strs(i.SharedLoginIdList)}
	out.RegionNo, out.RegionCode = regionOf(i.Region)
	out.ZoneNo, _ = zoneOf(i.Zone)
	return out
}

func classicServer(s *server.ServerInstance) Server {
	out := Server{No: str(s.ServerInstanceNo), Name: str(s.ServerName), Description: str(s.ServerDescription), CPUCount: val(s.CpuCount), MemorySize: val(s.MemorySize),
		BaseBlockStorageSize: val(s.BaseBlockStorageSize), PlatformType: ccode(s.PlatformType), LoginKeyName: str(s.LoginKeyName), PublicIP: str(s.PublicIp), PrivateIP: str(s.PrivateIp),
		Status: ccode(s.ServerInstanceStatus), Operation: ccode(s.ServerInstanceOperation), StatusName: str(s.ServerInstanceStatusName), CreateDate: str(s.CreateDate), Uptime: str(s.Uptime),
		ImageProductCode: str(s.ServerImageProductCode), ImageName: strings.TrimSpace(str(s.ServerImageName)), ProductCode: str(s.ServerProductCode),
		TerminationProtected: val(s.IsProtectServerTermination), FeeChargingMonitoring: val(s.IsFeeChargingMonitoring), Type: ccode(s.ServerInstanceType),
		BaseDiskType: ccode(s.BaseBlockStorageDiskType), BaseDiskDetailType: ccode(s.BaseBlockStorageDiskDetailType), PortForwardingPublicIP: str(s.PortForwardingPublicIp),
		PortForwardingExternal: val(s.PortForwardingExternalPort), PortForwardingInternal: val(s.PortForwardingInternalPort), UserData: str(s.UserData)}
	if text, err := base64.StdEncoding.DecodeString(out.UserData); err == nil {
		out.UserData = string(text)
	}
	out.RegionNo, out.RegionCode = regionOf(s.Region)
	out.ZoneNo, out.ZoneCode = zoneOf(s.Zone)
	for _, g := range s.AccessControlGroupList {
		if g != nil {
			out.ACGs = append(out.ACGs, classicACG(g))
		}
	}
	for _, t := range s.InstanceTagList {
		if t != nil {
			out.Tags = append(out.Tags, classicTag(t))
		}
	}
	for _, p := range s.BlockDevicePartitionList {
		if p != nil {
			out.Partitions = append(out.Partitions, Partition{str(p.MountPoint), str(p.PartitionSize)})
		}
	}
	return out
}

func classicTag(t *server.InstanceTag) Tag {
	return Tag{InstanceNo: str(t.InstanceNo), InstanceType: ccode(t.InstanceType), Key: str(t.TagKey), Value: str(t.TagValue)}
}

func tagParameters(tags []Tag) []*server.InstanceTagParameter {
	var out []*server.InstanceTagParameter
	for _, t := range tags {
		out = append(out, &server.InstanceTagParameter{TagKey: opt(t.Key), TagValue: opt(t.Value)})
	}
	return out
}

func classicACG(g *server.AccessControlGroup) ACG {
	return ACG{No: str(g.AccessControlGroupConfigurationNo), Name: str(g.AccessControlGroupName), Description: str(g.AccessControlGroupDescription),
		IsDefault: val(g.IsDefaultGroup), CreateDate: str(g.CreateDate)}
}

func classicRule(r *server.AccessControlRule) Rule {
	return Rule{Protocol: ccode(r.ProtocolType), IPBlock: str(r.SourceIp), SourceACGNo: str(r.SourceAccessControlRuleConfigurationNo), SourceACGName: str(r.SourceAccessControlRuleName),
		PortRange: str(r.DestinationPort), Direction: Inbound, Description: str(r.AccessControlRuleDescription), No: str(r.AccessControlRuleConfigurationNo)}
}

func classicPublicIP(p *server.PublicIpInstance) PublicIP {
	out := PublicIP{No: str(p.PublicIpInstanceNo), IP: str(p.PublicIp), Description: str(p.PublicIpDescription), CreateDate: str(p.CreateDate),
		Status: ccode(p.PublicIpInstanceStatus), StatusName: str(p.PublicIpInstanceStatusName), Operation: ccode(p.PublicIpInstanceOperation), Kind: ccode(p.PublicIpKindType)}
	if s := p.ServerInstanceAssociatedWithPublicIp; s != nil {
		out.ServerNo, out.ServerName, out.PrivateIP = str(s.ServerInstanceNo), str(s.ServerName), str(s.PrivateIp)
	}
	out.RegionNo, out.RegionCode = regionOf(p.Region)
	out.ZoneNo, out.ZoneCode = zoneOf(p.Zone)
	return out
}

func classicForwarding(f *server.PortForwardingRule) PortForwarding {
	out := PortForwarding{ConfigurationNo: str(f.PortForwardingConfigurationNo), PublicIP: str(f.PortForwardingPublicIp), ExternalPort: val(f.PortForwardingExternalPort), InternalPort: val(f.PortForwardingInternalPort)}
	out.ZoneNo, out.ZoneCode = zoneOf(f.Zone)
	if f.ServerInstance != nil {
		out.ServerNo, out.ServerName = str(f.ServerInstance.ServerInstanceNo), str(f.ServerInstance.ServerName)
	}
	return out
}

func forwardingParameters(r PortForwarding) []*server.PortForwardingRuleParameter {
	return []*server.PortForwardingRuleParameter{{ServerInstanceNo: opt(r.ServerNo), PortForwardingExternalPort: &r.ExternalPort, PortForwardingInternalPort: &r.InternalPort}}
}

func classicBlockStorage(b *server.BlockStorageInstance) BlockStorage {
	out := BlockStorage{No: str(b.BlockStorageInstanceNo), Name: str(b.BlockStorageName), Description: str(b.BlockStorageInstanceDescription), ServerNo: str(b.ServerInstanceNo), ServerName: str(b.ServerName),
		Type: ccode(b.BlockStorageType), Size: val(b.BlockStorageSize), DeviceName: str(b.DeviceName), ProductCode: str(b.BlockStorageProductCode),
		Status: ccode(b.BlockStorageInstanceStatus), Operation: ccode(b.BlockStorageInstanceOperation), StatusName: str(b.BlockStorageInstanceStatusName),
		CreateDate: str(b.CreateDate), DiskType: ccode(b.DiskType), DiskDetailType: ccode(b.DiskDetailType), MaxIOPS: val(b.MaxIopsThroughput), MemberImageNo: str(b.MemberServerImageNo)}
	out.RegionNo, out.RegionCode = regionOf(b.Region)
	out.ZoneNo, out.ZoneCode = zoneOf(b.Zone)
	return out
}

func classicSnapshot(s *server.BlockStorageSnapshotInstance) Snapshot {
	return Snapshot{No: str(s.BlockStorageSnapshotInstanceNo), Name: str(s.BlockStorageSnapshotName), Description: str(s.BlockStorageSnapshotInstanceDescription),
		VolumeSize: val(s.BlockStorageSnapshotVolumeSize), OriginalNo: str(s.OriginalBlockStorageInstanceNo), OriginalName: str(s.OriginalBlockStorageName),
		Status: ccode(s.BlockStorageSnapshotInstanceStatus), Operation: ccode(s.BlockStorageSnapshotInstanceOperation), StatusName: str(s.BlockStorageSnapshotInstanceStatusName),
		CreateDate: str(s.CreateDate), ServerImageProductCode: str(s.ServerImageProductCode), OSInformation: str(s.OsInformation)}
}

func classicLoginKey(k *server.LoginKey) LoginKey {
	return LoginKey{Name: str(k.KeyName), Fingerprint: str(k.Fingerprint), CreateDate: str(k.CreateDate)}
}
