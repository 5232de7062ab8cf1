package localcloud

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The two platforms. They share nothing but login keys.
const (
	classic = "classic"
	vpc     = "vpc"
)

// phase is the visible state of an object and what becomes of it by itself.
type phase struct {
	Status, Op, StatusName string
	Next                   []step `json:",omitempty"`
	Stuck                  bool   `json:",omitempty"` // by fault: never goes on; may still be deleted
	Failed                 bool   `json:",omitempty"` // by fault: the next creation step fails
}

// step is a state that an object will take. It is due at At, and not before its job (if any) has ended.
type step struct {
	At                     time.Time
	Status, Op, StatusName string
	Job                    string `json:",omitempty"` // work outside the lock which must end first; see clock.go
	Then                   string `json:",omitempty"` // what happens on arrival; see clock.go
}

func (p *phase) set(status, op, name string) { p.Status, p.Op, p.StatusName = status, op, name }

func (p *phase) after(d time.Duration, s step) {
	s.At = time.Now().Add(d)
	p.Next = append(p.Next, s)
}

// idle tells that no change is under way.
func (p *phase) idle() bool { return len(p.Next) == 0 && !p.Stuck && (p.Op == "NULL" || p.Op == "") }

type base struct {
	No, Name, Desc   string
	Platform, Region string
	Zone             string
	Created          time.Time
	phase
}

func (b *base) common() *base { return b }

// thing is any object with a state.
type thing interface{ common() *base }

type server struct {
	base
	ImageProduct, Product        string // product codes
	ServerImageNo, SpecCode      string // VPC only
	MemberImageNo, SourceImageNo string // own image it was made from: as the API says, and whose files it has
	ImageName                    string
	Hypervisor, OS               string
	CPU, MemGB, DiskGB           int64
	DiskKind, TypeCode           string
	LoginKey, KeyPublic          string // name, and the public key (PKCS#1, base64) at creation
	RootPassword                 string
	UserData                     string // script run at first boot
	Protected                    bool
	FeeCode                      string
	VPCNo, SubnetNo              string
	InitScriptNo                 string
	PrivateIP                    string   // Classic; on VPC the NIC's
	ACGs                         []string // Classic; on VPC the NIC's
	PublicIPNo                   string
	Partitions                   []partition
	BootedOnce                   bool
	Uptime                       time.Time
}

type partition struct{ MountPoint, Size string }

type nic struct {
	base
	VPCNo, SubnetNo, IP, MAC string
	ServerNo, Device         string
	Default                  bool
	WithServer               bool // goes when the server goes
	ACGs                     []string
	SecondaryIPs             []string
}

type publicIP struct {
	base
	IP       string
	ServerNo string
	Modified time.Time
}

type disk struct {
	base
	ServerNo, Device       string
	Root                   bool
	SizeGB                 int64
	DetailType, VolumeType string
	Hypervisor             string
	Protected              bool
	SnapshotNo             string
	Source                 string // below the cloud's directory: what a new disk is a copy of
}

type snapshot struct {
	base
	DiskNo     string
	SizeGB     int64
	Type       string
	Hypervisor string
	Bootable   bool
	VolumeType string
	// what a server image made from it has to know
	ImageProduct, OS string
}

type acg struct {
	base
	VPCNo   string
	Default bool
	Rules   []acgRule
}

type acgRule struct {
	No, Direction, Protocol, CIDR, FromACG, Ports, Desc string
}

type initScript struct {
	base
	Content, OSType string
}

type loginKey struct {
	Name, Public, Fingerprint string // Public: PKCS#1, base64
	Created                   time.Time
}

// image is an own image. Kind tells which API made it.
type image struct {
	base
	Kind                    string // memberServerImage (Classic), memberServerImageInstance (XEN), serverImage (any hypervisor)
	ServerNo, ServerName    string
	ImageProduct, Product   string
	ImageName               string
	Hypervisor, OS          string
	DiskGB                  int64
	DiskKind                string
	ExtraDisks              []imageDisk
	SharedWith              []string
	VolumeType, SourceImage string
	SnapshotNo              string // made from this snapshot, not from a server
}

type imageDisk struct {
	Order      int64
	SizeGB     int64
	VolumeType string
	DiskNo     string // its files are in images/<no>/disk-<order>
	SnapshotNo string
	source     string // for a server that is being made: disk.Source
}

type vpcNet struct {
	base
	CIDR string
}

type subnet struct {
	base
	VPCNo, CIDR, Type, ACLNo string
}

type networkACL struct {
	base
	VPCNo string
}

type portForward struct {
	ConfigNo, ServerNo, Zone string
	External, Internal       int64
}

type tag struct{ InstanceNo, Key, Value string }

// state is everything that survives a restart.
type state struct {
	Version      int
	Saved        time.Time
	Last         map[string]int64 // last number given out, per kind
	Servers      map[string]*server
	NICs         map[string]*nic
	PublicIPs    map[string]*publicIP
	Disks        map[string]*disk
	Snapshots    map[string]*snapshot
	ACGs         map[string]*acg
	InitScripts  map[string]*initScript
	LoginKeys    map[string]*loginKey
	Images       map[string]*image
	VPCs         map[string]*vpcNet
	Subnets      map[string]*subnet
	NACLs        map[string]*networkACL
	PortForwards []portForward
	ForwardIPs   map[string]string // port forwarding address by Classic zone
	Tags         []tag
}

const stateVersion = 1

// firstNumber gives ids the magnitude that they have on the real cloud.
var firstNumber = map[string]int64{"instance": 143116660, "classic": 805840, "nic": 5841290, "acg": 216000, "initScript": 181500, "image": 144408800,
	"vpc": 142780, "subnet": 309770, "nacl": 196000, "rule": 10940, "classicACG": 19447, "classicImage": 4320, "forward": 1670}

func (s *state) number(kind string) string {
	n := max(s.Last[kind], firstNumber[kind]) + 1
	s.Last[kind] = n
	return strconv.FormatInt(n, 10)
}

func newState(cat *catalogue) *state {
	s := &state{Version: stateVersion}
	s.makeMaps()
	now := time.Now()
	made := func(b *base, name, desc, region, zone, status string) {
		b.Name, b.Desc, b.Platform, b.Region, b.Zone, b.Created = name, desc, vpc, region, zone, now
		b.set(status, "", strings.ToLower(status))
	}
	for i, r := range cat.vpcRegions {
		zone := cat.zonesOf(vpc, r.code)[0].code
		lower := strings.ToLower(r.code)

		v := &vpcNet{CIDR: fmt.Sprintf("10.%d.0.0/16", i)}
		v.No = s.number("vpc")
		made(&v.base, "local-"+lower, "", r.code, "", "RUN")
		s.VPCs[v.No] = v

		a := &networkACL{VPCNo: v.No}
		a.No = s.number("nacl")
		made(&a.base, v.Name+"-default-network-acl", "VPC ["+v.Name+"] default Network ACL", r.code, "", "RUN")
		s.NACLs[a.No] = a

		for j, kind := range []string{"PUBLIC", "PRIVATE"} {
			n := &subnet{VPCNo: v.No, CIDR: fmt.Sprintf("10.%d.%d.0/24", i, j+1), Type: kind, ACLNo: a.No}
			n.No = s.number("subnet")
			made(&n.base, "local-"+lower+"-"+strings.ToLower(kind), "", r.code, zone, "RUN")
			s.Subnets[n.No] = n
		}

		g := &acg{VPCNo: v.No, Default: true, Rules: []acgRule{
			{Direction: "INBND", Protocol: "TCP", CIDR: "0.0.0.0/0", Ports: "22"},
			{Direction: "INBND", Protocol: "TCP", CIDR: "0.0.0.0/0", Ports: "3389"},
			{Direction: "OTBND", Protocol: "TCP", CIDR: "0.0.0.0/0", Ports: "1-65535"},
			{Direction: "OTBND", Protocol: "UDP", CIDR: "0.0.0.0/0", Ports: "1-65535"},
			{Direction: "OTBND", Protocol: "ICMP", CIDR: "0.0.0.0/0"},
		}}
		g.No = s.number("acg")
		made(&g.base, v.Name+"-default-acg", "VPC ["+v.Name+"] default ACG", r.code, "", "RUN")
		s.ACGs[g.No] = g
	}

	// Classic groups can be made in the console only, so the one group that a simulated account has must let both
	// communicators in. (The real default group opens 22 and 3389.)
	g := &acg{Default: true}
	g.No = s.number("classicACG")
	made(&g.base, "ncloud-default-acg", "Default AccessControlGroup", "KR", "", "")
	g.Platform = classic
	for _, port := range []string{"22", "3389", "5985-5986"} {
		g.Rules = append(g.Rules, acgRule{No: s.number("rule"), Direction: "INBND", Protocol: "TCP", CIDR: "0.0.0.0/0", Ports: port})
	}
	s.ACGs[g.No] = g
	return s
}

func (s *state) makeMaps() {
	mk(&s.Last)
	mk(&s.Servers)
	mk(&s.NICs)
	mk(&s.PublicIPs)
	mk(&s.Disks)
	mk(&s.Snapshots)
	mk(&s.ACGs)
	mk(&s.InitScripts)
	mk(&s.LoginKeys)
	mk(&s.Images)
	mk(&s.VPCs)
	mk(&s.Subnets)
	mk(&s.NACLs)
	mk(&s.ForwardIPs)
}

func mk[K comparable, V any](m *map[K]V) {
	if *m == nil {
		*m = map[K]V{}
	}
}

// things lists every object that changes by itself, in a fixed order of kinds; within a kind by number, so that runs
// are alike.
func (s *state) things() []thing {
	var out []thing
	out = appendThings(out, s.Servers)
	out = appendThings(out, s.Disks)
	out = appendThings(out, s.PublicIPs)
	out = appendThings(out, s.NICs)
	out = appendThings(out, s.Snapshots)
	out = appendThings(out, s.Images)
	out = appendThings(out, s.ACGs)
	return out
}

func appendThings[T thing](out []thing, m map[string]T) []thing {
	for _, t := range sorted(m) {
		out = append(out, t)
	}
	return out
}

// sorted lists the values of a map by number (shorter numbers first), which is the order of creation.
func sorted[T any](m map[string]T) []T {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	out := make([]T, len(keys))
	for i, k := range keys {
		out[i] = m[k]
	}
	return out
}

// loadState reads state.json; a directory without one gets a fresh account.
func loadState(dir string, cat *catalogue) (*state, error) {
	b, err := os.ReadFile(filepath.Join(dir, "state.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return newState(cat), nil
	}
	if err != nil {
		return nil, err
	}
	s := &state{}
	if err := json.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("%s: %w; remove the directory to start afresh", filepath.Join(dir, "state.json"), err)
	}
	if s.Version != stateVersion {
		return nil, fmt.Errorf("%s has version %d, this program writes %d; remove the directory to start afresh", filepath.Join(dir, "state.json"), s.Version, stateVersion)
	}
	s.makeMaps()
	// Had the clock been set back meanwhile, what is under way would take as much longer.
	if back := time.Until(s.Saved); back > 0 {
		for _, t := range s.things() {
			for i := range t.common().Next {
				t.common().Next[i].At = t.common().Next[i].At.Add(-back)
			}
		}
	}
	return s, nil
}

// save writes state.json through a temporary file and a rename, so that a reader or a restart after SIGKILL sees the
// old or the new state, never half.
func (s *state) save(dir string) error {
	s.Saved = time.Now()
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	// Not synced: it is written at every change, and only a simulation.
	tmp := filepath.Join(dir, "state.json.tmp")
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(dir, "state.json"))
}
