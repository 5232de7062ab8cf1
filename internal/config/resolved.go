package config

import "strings"

// Platform is the generation of NAVER Cloud a server lives in.
type Platform string

const (
	Classic Platform = "classic"
	VPC     Platform = "vpc"
)

// Hypervisors of VPC servers, as the API spells them. Classic servers have none we care about.
const (
	XEN = "XEN"
	RHV = "RHV"
	KVM = "KVM"
)

// Resolved is a build with every choice made: what preflight settled by asking the API, and all that render needs to
// write the Terraform root module. It holds no secret.
type Resolved struct {
	RunID string // yymmdd-hhmmss-xxxx
	Name  string // "tfb-" + RunID: name of the server and prefix of everything else

	Platform             Platform
	Site                 string // public, gov, fin
	RegionCode, RegionNo string // RegionNo: Classic only
	ZoneCode, ZoneNo     string
	Hypervisor           string // VPC: XEN, RHV or KVM
	OS                   string // "linux" or "windows"

	ServerImageProductCode, ServerProductCode string
	MemberServerImageNo                       string
	ServerImageNumber, ServerSpecCode         string
	FeeSystemTypeCode                         string

	VPCNo, SubnetNo string
	ACGNos          []string // existing ACGs to use; empty on VPC: an own one with SourceCIDRs
	SourceCIDRs     []string
	AllowWorld      bool // SourceCIDRs may hold 0.0.0.0/0
	CommPort        int  // the communicator's port, the only one our ACG opens; 0: communicator "none", nothing opened
	LoginKeyName    string
	InitScript      string // user_data as text; empty: none
	PublicIP        bool   // false: reached over a private address or a bastion

	BlockStorageSize       int    // GB; 0: none
	BlockStorageVolumeType string // KVM: CB1 …; XEN and Classic: SSD or HDD

	// The image to make.
	ImageName, ImageDescription string
	ShareWith                   []string
}

// runPrefix begins the name of everything that a run makes in the cloud: by it cleanup knows its own.
const runPrefix = "tfb-"

// KeySuffix makes a run's login key name from the run's name.
const KeySuffix = "-key"

// RunName returns the name of the run with an id.
func RunName(id string) string { return runPrefix + id }

// RunID returns the id in a run's name; an id stays one.
func RunID(name string) string { return strings.TrimPrefix(name, runPrefix) }
