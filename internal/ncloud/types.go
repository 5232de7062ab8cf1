package ncloud

// The values below are the API's objects in our own words, one type for both platforms where they are alike. A field the
// platform does not have, or did not send, is the zero value. Codes are the API's codes ("RUN", "LNX64"), never their
// translated names, which follow the account's language. Sizes are bytes as the API answers them, unless said otherwise;
// sizes in requests are GB. Dates are kept as the API writes them, "2026-07-13T18:51:12+0900".

// Region is a region of one platform. No exists on Classic only.
type Region struct {
	No, Code, Name string
}

// Zone is an availability zone. No and RegionNo exist on Classic only, RegionCode on VPC only.
type Zone struct {
	No, Code, Name, Description string
	RegionNo, RegionCode        string
}

// VPC is a virtual private cloud.
type VPC struct {
	No, Name, CIDR string
	Status         string // INIT, CREATING, RUN, TERMTING
	RegionCode     string
	CreateDate     string
}

// Subnet is a subnet of a VPC.
type Subnet struct {
	No, Name, CIDR string
	VPCNo          string
	ZoneCode       string
	Status         string // INIT, CREATING, RUN, SET, TERMTING
	Type           string // PUBLIC or PRIVATE
	UsageType      string // GEN, LOADB, BM, NATGW
	NetworkACLNo   string
	CreateDate     string
}

// NetworkACL is a network ACL of a VPC.
type NetworkACL struct {
	No, Name, Description string
	VPCNo, Status         string
	IsDefault             bool
	CreateDate            string
}

// RouteTable is a route table of a VPC.
type RouteTable struct {
	No, Name, Description string
	VPCNo, Status         string
	SubnetType            string // PUBLIC or PRIVATE
	RegionCode            string
	IsDefault             bool
}

// Product is a server image product or a server product, by product code (Classic, VPC on XEN/RHV).
type Product struct {
	Code, Name, Description string
	Type                    string
	InfraResourceType       string // SW, SVR, VSVR
	InfraResourceDetailType string
	CPUCount                int32
	MemorySize              int64
	BaseBlockStorageSize    int64
	AddBlockStorageSize     int64
	PlatformType            string // LNX64, UBS64, WND64, …
	OSInformation           string
	DiskType                string
	DBKind                  string // "MSSQL", … for database images
	Generation              string // G1, G2
	OSMemorySize            int64
}

// ServerImage is an image of the newer VPC API (number instead of product code): NAVER's own and, Type "SELF", one's own.
type ServerImage struct {
	No, Name, Description string
	ProductCode           string
	Type                  string // NCP or SELF
	Hypervisor            string // XEN, RHV, KVM
	CPUArchitecture       string
	OSCategory            string // LINUX, WINDOWS
	OSType                string // UBUNTU, ROCKY, …
	Status                string // INIT, CREAT, CREFL
	Operation             string // NULL, CREAT, TERMT
	StatusName            string // creating, created, createFailed, terminating, …
	CreateDate            string
	ShareStatus           string
	SharedLoginIDs        []string
	Disks                 []ImageDisk
	LifeCyclePhase        string // IN_SERVICE, FADE_OUT, RETIRED; empty where not sent
	PlatformCategory      string // OS, DBMS, …
}

// ImageDisk is a disk of a ServerImage; order 0 is the boot disk.
type ImageDisk struct {
	Order        int32
	SnapshotNo   string
	SnapshotName string
	Name         string
	Size         int64
	VolumeType   string
	IOPS         int32
	Throughput   int64
	Encrypted    bool
}

// MemberImage is an image of one's own by the older calls: Classic, and VPC on XEN/RHV.
type MemberImage struct {
	No, Name, Description        string
	OriginalServerNo             string
	OriginalServerName           string // Classic
	OriginalServerProductCode    string // Classic
	OriginalImageProductCode     string
	OriginalImageName            string // Classic
	OriginalOSInformation        string // Classic
	OriginalBaseDiskType         string // Classic
	Status                       string // INIT, CREAT, CREFL
	Operation                    string // NULL, CREAT, TERMT
	StatusName                   string // creating, created, createFailed, terminating
	PlatformType                 string // Classic
	RegionNo, RegionCode, ZoneNo string // Classic
	CreateDate                   string
	BlockStorageTotalRows        int32
	BlockStorageTotalSize        int64
	ShareStatus                  string
	SharedLoginIDs               []string
}

// Spec is a server spec (VPC).
type Spec struct {
	Code, No, Description     string
	Generation                string
	CPUCount                  int32
	MemorySize                int64
	Hypervisor                string
	CPUArchitecture           string
	BlockStorageMaxCount      int32
	BlockStorageMaxIOPS       int32
	BlockStorageMaxThroughput int32
	NetworkPerformance        int64
	NetworkInterfaceMaxCount  int32
	ProductCode               string
	GPUCount                  int32
}

// Server is a server instance.
type Server struct {
	No, Name, Description  string
	CPUCount               int32
	MemorySize             int64
	BaseBlockStorageSize   int64 // Classic
	PlatformType           string
	LoginKeyName           string
	PublicIPNo, PublicIP   string // PublicIPNo: VPC
	PrivateIP              string // Classic; on VPC ask the NIC
	Status                 string // INIT, CREAT, RUN, NSTOP, FSTOP, TERMT, SD_FL, RS_FL, ST_FL
	Operation              string // NULL, START, SHTDN, RESTA, TERMT, CHNG, SETUP, MIGRA, COPY, HREST, HSHTD, CREAT
	StatusName             string
	CreateDate, Uptime     string
	ImageProductCode       string
	ImageName              string // Classic
	ImageNo                string // VPC
	MemberImageNo          string
	ProductCode            string
	SpecCode               string // VPC
	TerminationProtected   bool
	FeeChargingMonitoring  bool // Classic
	RegionCode, RegionNo   string
	ZoneCode, ZoneNo       string
	VPCNo, SubnetNo        string
	NetworkInterfaceNos    []string
	InitScriptNo           string
	Type                   string // STAND, CPU, …
	BaseDiskType           string // NET, LOCAL
	BaseDiskDetailType     string // SSD, HDD
	PlacementGroupNo       string
	PlacementGroupName     string
	Hypervisor             string // XEN, RHV, KVM; VPC
	FabricClusterPoolNo    string
	FabricClusterPoolName  string
	FabricClusterMode      string
	FabricClusterNo        string
	FabricClusterName      string
	PreInstallGPUDriver    bool
	ACGs                   []ACG  // Classic
	UserData               string // Classic, only when one server is asked for; plain text
	PortForwardingPublicIP string // Classic
	PortForwardingExternal int32  // Classic
	PortForwardingInternal int32  // Classic
	Partitions             []Partition
	Tags                   []Tag // Classic
}

// Partition is a partition of a bare metal server's disk.
type Partition struct{ MountPoint, Size string }

// Tag is a tag of a Classic instance.
type Tag struct{ InstanceNo, InstanceType, Key, Value string }

// NetworkInterface is a NIC of a VPC.
type NetworkInterface struct {
	No, Name, Description string
	SubnetNo              string
	DeleteOnTermination   bool
	IsDefault             bool
	DeviceName            string // eth0, …
	Status                string // SET, UNSET, USED, NOTUSED
	InstanceType          string
	InstanceNo            string // server it is attached to; empty: none
	IP                    string
	MACAddress            string
	ACGNos                []string
	SecondaryIPs          []string
	FlowLog               bool
}

// ACG is an access control group. On Classic No is the configuration number and there are neither VPC nor status.
type ACG struct {
	No, Name, Description string
	IsDefault             bool
	VPCNo                 string
	Status                string // INIT, SET, RUN, TERMTING; VPC
	CreateDate            string // Classic
}

// Directions of ACG rules on VPC, as the API spells them.
const (
	Inbound  = "INBND"
	Outbound = "OTBND"
)

// Rule is a rule of an ACG. Exactly one of IPBlock and SourceACGNo is set. The same type is sent and received.
type Rule struct {
	Protocol       string // TCP, UDP, ICMP, or a number as text
	ProtocolNumber int32  // received only; VPC
	IPBlock        string // CIDR; Classic: a CIDR or an address
	SourceACGNo    string // another ACG as source (or destination)
	SourceACGName  string // received only; Classic
	PortRange      string // "22", "8000-8100"; empty for protocols without ports
	Direction      string // received only: Inbound or Outbound; Classic: always Inbound
	Description    string
	ACGNo          string // received only
	No             string // received only; Classic
}

// PublicIP is a public IP instance. It has no name: its description carries the run's name.
type PublicIP struct {
	No, IP, Description    string
	CreateDate, ModifyDate string
	Status, StatusName     string // VPC: INIT, SET, RUN, TERMTING; Classic: CREAT, USED, TERMT
	Operation              string // VPC: NULL, SET, TERMT; Classic: NULL, USE, DISUS
	ServerNo, ServerName   string // empty: not associated
	PrivateIP              string
	Kind                   string // Classic: GEN, …
	RegionNo, RegionCode   string // Classic
	ZoneNo, ZoneCode       string // Classic
}

// BlockStorage is a block storage instance. Type "SVRBS" disks on VPC and the base disk on Classic belong to the server.
type BlockStorage struct {
	No, Name, Description string
	ServerNo, ServerName  string // ServerName: Classic
	Type                  string // BASIC: base disk, SVRBS: additional disk
	Size                  int64
	DeviceName            string
	ProductCode           string
	Status                string // INIT, CREAT, ATTAC
	Operation             string // NULL, ATTAC, DETAC, CHNG, TERMT
	StatusName            string
	CreateDate            string
	DiskType              string
	DiskDetailType        string // SSD, HDD
	MaxIOPS               int32
	Encrypted             bool
	ReturnProtected       bool
	VolumeType            string // KVM: CB1, FB1, CB2, FB2; XEN: SSD, HDD
	Hypervisor            string
	Throughput, IOPS      int64
	SnapshotNo            string // it was made from; VPC
	MemberImageNo         string // Classic
	RegionCode, RegionNo  string
	ZoneCode, ZoneNo      string
}

// Snapshot is a block storage snapshot.
type Snapshot struct {
	No, Name, Description  string
	VolumeSize             int64
	OriginalNo             string // block storage it was taken of
	OriginalName           string // Classic
	Status                 string // INIT, CREAT
	Operation, StatusName  string
	CreateDate             string
	EncryptedOriginal      bool
	Type                   string // FULL, INCREMENTAL; VPC
	BaseSnapshotNo         string
	ChainDepth             int32
	Hypervisor             string
	Bootable               bool
	VolumeType             string
	ServerImageProductCode string // Classic
	OSInformation          string // Classic
}

// InitScript is an init script (VPC).
type InitScript struct {
	No, Name, Description string
	Content               string // only in a detail answer
	OSType                string // LNX or WND
	CreateDate            string
}

// LoginKey is a login key; its name is its identity.
type LoginKey struct {
	Name, Fingerprint, PublicKey string
	CreateDate                   string
	// PrivateKey is set only in the answer to CreateLoginKey. It is shown once and must never be printed or stored.
	PrivateKey string
}

// String keeps a private key out of whatever prints a LoginKey.
func (k LoginKey) String() string { return "login key " + k.Name }

// GoString is String, for %#v.
func (k LoginKey) GoString() string { return k.String() }

// VolumeType is what a KVM block storage volume type allows. Sizes are GB.
type VolumeType struct {
	Code          string
	Hypervisor    string
	ZoneCodes     []string
	MinSize       int32
	MaxSize       int32
	MinBaseSize   int32
	MaxBaseSize   int32
	BaseAvailable bool
	MinIOPS       int32
	MaxIOPS       int32
	MinThroughput int32
	MaxThroughput int32
}

// ImageProductFilter selects image products; the zero value selects all.
type ImageProductFilter struct {
	ProductCode, ExclusionProductCode string
	PlatformTypes                     []string
	BlockStorageSize                  int // GB: 50 or 100
	InfraResourceDetailType           string
}

// ServerProductFilter selects server products fitting an image: by image product code or, on VPC, member image.
type ServerProductFilter struct {
	ImageProductCode                  string // required
	ProductCode, ExclusionProductCode string
	Generation                        string
	Zone                              string // VPC: code, Classic: number
	MemberImageNo                     string // VPC
}

// ServerImageFilter selects images of the newer VPC API.
type ServerImageFilter struct {
	Name, Status       string
	Nos                []string
	Hypervisors        []string
	Types              []string // NCP, SELF
	OSTypes            []string
	PlatformCategories []string
}

// MemberImageFilter selects member images. Name and Status work on VPC only.
type MemberImageFilter struct {
	Name, Status  string
	Nos           []string
	PlatformTypes []string
}

// SpecFilter selects server specs.
type SpecFilter struct {
	ImageNo, Zone string
	Codes         []string
	Hypervisors   []string
}

// ServerFilter selects servers. Classic knows Nos, Status and Zone, and Name as a search.
type ServerFilter struct {
	Nos              []string
	Name, Status, IP string
	VPCNo            string
	Zone             string // Classic: number
	Hypervisors      []string
}

// NetworkInterfaceFilter selects NICs.
type NetworkInterfaceFilter struct {
	Nos                              []string
	Name, IP, InstanceNo, DeviceName string
	ServerName, SubnetName           string
	IsDefault                        *bool
}

// ACGFilter selects ACGs. VPCNo and Status are VPC's.
type ACGFilter struct {
	Nos                 []string
	Name, VPCNo, Status string
	IsDefault           *bool // Classic
}

// PublicIPFilter selects public IPs.
type PublicIPFilter struct {
	Nos                 []string
	PublicIP, PrivateIP string
	ServerName, VPCNo   string // VPC
	Status              string // VPC
	IsAssociated        *bool
	Zone                string // Classic: number
}

// BlockStorageFilter selects block storages.
type BlockStorageFilter struct {
	Nos                []string
	ServerNo, Name     string
	Status, Zone       string // Zone: VPC code, Classic number
	Types, VolumeTypes []string
	Hypervisors        []string
	DiskType           string
	DiskDetailType     string
}

// SnapshotFilter selects block storage snapshots.
type SnapshotFilter struct {
	Nos, OriginalNos []string
	Name, Status     string // VPC
}

// InitScriptFilter selects init scripts.
type InitScriptFilter struct {
	Nos    []string
	Name   string
	OSType string
}

// VPCFilter selects VPCs.
type VPCFilter struct {
	Nos          []string
	Name, Status string
}

// SubnetFilter selects subnets.
type SubnetFilter struct {
	Nos                         []string
	Name, CIDR, Type, UsageType string
	NetworkACLNo, Status        string
	VPCNo, Zone                 string
}

// CreateServer is the request for one server. Classic uses the product codes or MemberImageNo, ZoneNo, ACGNos and
// UserData; VPC VPCNo, SubnetNo, NetworkInterfaces, InitScriptNo, and on KVM ImageNo and SpecCode.
type CreateServer struct {
	Name, Description             string
	ImageProductCode, ProductCode string
	MemberImageNo                 string
	ImageNo, SpecCode             string
	LoginKeyName                  string
	TerminationProtected          *bool
	FeeSystemTypeCode             string
	RaidType                      string
	Partitions                    []Partition

	// VPC
	VPCNo, SubnetNo       string
	NetworkInterfaces     []ServerNIC
	InitScriptNo          string
	PlacementGroupNo      string
	EncryptBaseDisk       *bool
	AssociateWithPublicIP *bool
	Disks                 []ServerDisk // KVM

	// Classic
	ZoneNo         string
	ACGNos         []string
	UserData       string // plain text; the client encodes it
	Tags           []Tag
	VaccineInstall *bool
}

// ServerNIC attaches a NIC to a server being made: an existing one by No, or a new one in SubnetNo.
type ServerNIC struct {
	Order    int32 // 0 is eth0
	No       string
	SubnetNo string
	IP       string
	ACGNos   []string
}

// ServerDisk maps a disk of a KVM server being made.
type ServerDisk struct {
	Order      int32
	SnapshotNo string
	Size       int // GB
	Name       string
	VolumeType string
	None       *bool
	Empty      *bool
}

// CreateNetworkInterface is the request for a NIC.
type CreateNetworkInterface struct {
	Name, Description string
	VPCNo, SubnetNo   string
	ACGNos            []string // at least one
	IP                string
	ServerNo          string // attach at once
	SecondaryIPs      []string
}

// CreatePublicIP is the request for a public IP; with ServerNo it is associated at once.
type CreatePublicIP struct {
	ServerNo, Description string
	ZoneNo                string // Classic
}

// CreateBlockStorage is the request for a disk. On XEN and Classic ServerNo is required; on KVM ZoneCode is, and the
// disk comes detached: attach it afterwards.
type CreateBlockStorage struct {
	Name, Description string
	Size              int // GB; 0 with a snapshot: its size
	ServerNo          string
	DiskDetailType    string // SSD, HDD
	SnapshotNo        string
	ZoneCode          string
	VolumeType        string // KVM: CB1, …
	ReturnProtected   *bool
}

// CreateSnapshot is the request for a snapshot of a block storage.
type CreateSnapshot struct {
	Name, Description string
	BlockStorageNo    string
	Type              string // VPC: FULL, INCREMENTAL
}

// CreateInitScript is the request for an init script.
type CreateInitScript struct {
	Name, Description, Content string
	OSType                     string // LNX (default) or WND
}

// CreateACG is the request for an ACG.
type CreateACG struct{ Name, Description, VPCNo string }

// CreateImage is the request for an image of a server, by whichever of the three calls.
type CreateImage struct {
	ServerNo, Name, Description string
}

// PortForwarding is a port forwarding rule (Classic).
type PortForwarding struct {
	ConfigurationNo            string
	PublicIP                   string
	ZoneNo, ZoneCode           string
	ExternalPort, InternalPort int32
	ServerNo, ServerName       string
}
