package localcloud

import (
	"path/filepath"
	"slices"
	"strings"
)

func init() {
	handle("vserver", "createServerInstances", createVPCServers)
	handle("vserver", "getServerInstanceDetail", func(r *request, p *struct {
		No string `p:"serverInstanceNo,required"`
	}) (reply, *apiError) {
		s := r.serverNo(p.No)
		if s == nil {
			return r.serverRows(nil), nil
		}
		return r.serverRows([]*server{s}), nil
	})
	handle("vserver", "getServerInstanceList", func(r *request, p *struct {
		paging
		Nos             []string `p:"serverInstanceNoList"`
		VPCNo           string   `p:"vpcNo"`
		Status          string   `p:"serverInstanceStatusCode,oneof=INIT|CREAT|RUN|NSTOP|FSTOP"`
		DiskType        string   `p:"baseBlockStorageDiskTypeCode,oneof=NET"`
		DiskDetail      string   `p:"baseBlockStorageDiskDetailTypeCode,oneof=HDD|SSD"`
		Name            string   `p:"serverName"`
		IP              string   `p:"ip"`
		PlacementGroups []string `p:"placementGroupNoList"`
		Hypervisors     []string `p:"hypervisorTypeCodeList,oneof=XEN|KVM|RHV"`
		FabricPool      string   `p:"fabricClusterPoolNo"` // bare metal clusters: there are none
		FabricCluster   string   `p:"fabricClusterNo"`
		FabricMode      string   `p:"fabricClusterMode"`
	}) (reply, *apiError) {
		var rows []vpcServerRow
		for _, s := range sorted(r.st.Servers) {
			if r.here(&s.base) && wantedIn(p.Nos, s.No) && wanted(p.VPCNo, s.VPCNo) && wanted(p.Status, s.Status) && wanted(p.DiskDetail, s.DiskKind) &&
				(p.Name == "" || strings.Contains(s.Name, p.Name)) && (p.IP == "" || r.privateIPOf(s) == p.IP || r.publicIPOf(s) == p.IP) &&
				len(p.PlacementGroups) == 0 && p.FabricPool+p.FabricCluster+p.FabricMode == "" && wantedIn(p.Hypervisors, s.Hypervisor) {
				rows = append(rows, r.vpcServerRow(s))
			}
		}
		return page("serverInstanceList", rows, p.paging)
	})
}

type nicParam struct {
	Order    *int64   `p:"networkInterfaceOrder,required,range=0-2"`
	NIC      string   `p:"networkInterfaceNo"`
	SubnetNo string   `p:"subnetNo"`
	IP       string   `p:"ip"`
	ACGs     []string `p:"accessControlGroupNoList"`
}

type mappingParam struct {
	Order      *int64 `p:"order,range=0-20"`
	Snapshot   string `p:"snapshotInstanceNo"`
	Size       *int64 `p:"blockStorageSize"`
	Name       string `p:"blockStorageName,name"`
	VolumeType string `p:"blockStorageVolumeTypeCode,oneof=CB1|FB1|CB2|FB2|SSD|HDD"`
	None       *bool  `p:"noBlockStorage"`
	Empty      *bool  `p:"emptyBlockStorage"`
}

type vpcServerParams struct {
	Product        string         `p:"serverProductCode"`
	ImageProduct   string         `p:"serverImageProductCode"`
	MemberImage    string         `p:"memberServerImageInstanceNo"`
	ImageNo        string         `p:"serverImageNo"`
	Spec           string         `p:"serverSpecCode"`
	Name           string         `p:"serverName,name"`
	Desc           string         `p:"serverDescription,bytes=1000"`
	LoginKey       string         `p:"loginKeyName"`
	Protect        *bool          `p:"isProtectServerTermination"`
	Count          *int64         `p:"serverCreateCount,range=1-20"`
	Start          *int64         `p:"serverCreateStartNo,range=0-999"`
	Fee            string         `p:"feeSystemTypeCode,oneof=MTRAT|FXSUM"`
	InitScript     string         `p:"initScriptNo"`
	VPCNo          string         `p:"vpcNo,required"`
	SubnetNo       string         `p:"subnetNo,required"`
	NICs           []nicParam     `p:"networkInterfaceList,required"`
	PlacementGroup string         `p:"placementGroupNo"`
	Encrypted      *bool          `p:"isEncryptedBaseBlockStorageVolume"`
	WithPublicIP   *bool          `p:"associateWithPublicIp"`
	Raid           string         `p:"raidTypeName"`
	Partitions     []partParam    `p:"blockDevicePartitionList"`
	Mapping        []mappingParam `p:"blockStorageMappingList"`
	FabricPool     string         `p:"fabricClusterPoolNo"`
	PreInstallGPU  *bool          `p:"isPreInstallGpuDriver"`
}

type partParam struct {
	MountPoint string `p:"mountPoint"`
	Size       string `p:"partitionSize"`
}

func createVPCServers(r *request, p *vpcServerParams) (reply, *apiError) {
	model, extra, err := r.chooseVPCImage(p)
	if err != nil {
		return reply{}, err
	}
	net, err := r.checkServerNetwork(p)
	if err != nil {
		return reply{}, err
	}
	key, err := r.keyFor(p.LoginKey)
	if err != nil {
		return reply{}, err
	}
	model.UserData = ""
	if p.InitScript != "" {
		script := r.st.InitScripts[p.InitScript]
		if script == nil || !r.here(&script.base) {
			return reply{}, errNoSuch("initScriptNo", p.InitScript)
		}
		if err := checkScript(script, model.OS); err != nil {
			return reply{}, err
		}
		model.UserData = script.Content
	}
	if p.PlacementGroup != "" {
		return reply{}, errNoSuch("placementGroupNo", p.PlacementGroup)
	}
	if p.FabricPool != "" {
		return reply{}, errNoSuch("fabricClusterPoolNo", p.FabricPool)
	}
	count := number(p.Count, 1)
	if truth(p.WithPublicIP) {
		if net.Type != "PUBLIC" || count != 1 {
			return reply{}, errInvalid("associateWithPublicIp needs a public subnet and a single server")
		}
		if err := r.publicIPQuota(1); err != nil {
			return reply{}, err
		}
	}
	if extra, err = r.mapDisks(p.Mapping, model, extra); err != nil {
		return reply{}, err
	}
	names, err := r.serverNames(p.Name, count, number(p.Start, 0))
	if err != nil {
		return reply{}, err
	}

	var made []*server
	for _, name := range names {
		s := new(server)
		*s = model
		s.No, s.Name, s.Desc = r.st.number("instance"), name, p.Desc
		s.Platform, s.Region, s.Zone = vpc, r.region, net.Zone
		s.VPCNo, s.SubnetNo, s.InitScriptNo = p.VPCNo, p.SubnetNo, p.InitScript
		s.LoginKey, s.KeyPublic = key.Name, key.Public
		s.Protected, s.FeeCode = truth(p.Protect), p.Fee
		for _, b := range p.Partitions {
			s.Partitions = append(s.Partitions, partition(b))
		}
		r.begin(s, extra)
		for _, n := range p.NICs {
			r.plugIn(s, n)
		}
		if truth(p.WithPublicIP) {
			r.addPublicIP(s, "")
		}
		made = append(made, s)
	}
	return r.serverRows(made), nil
}

// chooseVPCImage finds out what a server is made from: exactly one of a product code (XEN), an own member image (XEN)
// or a server image number (any hypervisor, with a spec). It returns a server with all that follows from it, and the
// additional disks that the image carries.
func (r *request) chooseVPCImage(p *vpcServerParams) (server, []imageDisk, *apiError) {
	given := 0
	for _, v := range []string{p.ImageProduct, p.MemberImage, p.ImageNo} {
		if v != "" {
			given++
		}
	}
	switch {
	case given == 0:
		return server{}, nil, errMissing("serverImageProductCode or memberServerImageInstanceNo or serverImageNo")
	case given > 1:
		return server{}, nil, errInvalid("only one of serverImageProductCode, memberServerImageInstanceNo and serverImageNo may be given")
	case p.ImageNo != "":
		return r.fromServerImage(p)
	case p.MemberImage != "":
		i := r.image(p.MemberImage, "memberServerImageInstance")
		if i == nil {
			return server{}, nil, errNoSuch("memberServerImageInstanceNo", p.MemberImage)
		}
		if i.Status != "CREAT" {
			return server{}, nil, errInvalid("memberServerImageInstanceNo [%s] is not created", i.No)
		}
		s, err := r.fromProducts(i.ImageProduct, p.Product, p.Fee)
		s.MemberImageNo, s.SourceImageNo, s.OS = i.No, i.No, i.OS
		return s, i.contents(), err
	}
	s, err := r.fromProducts(p.ImageProduct, p.Product, p.Fee)
	return s, nil, err
}

// fromProducts is the way of product codes, of both platforms.
func (r *request) fromProducts(imageCode, productCode, fee string) (server, *apiError) {
	img, ok := r.cat.image(r.platform, imageCode)
	if !ok {
		if strings.HasSuffix(imageCode, ".G003") { // a KVM image: only by number
			return server{}, errServerProduct()
		}
		return server{}, errProduct()
	}
	if err := checkFee(img, fee); err != nil {
		return server{}, err
	}
	fitting := r.cat.serversFor(r.platform, img)
	product := smallest(fitting)
	if productCode != "" {
		i := slices.IndexFunc(fitting, func(s serverProduct) bool { return s.code == productCode })
		if i < 0 {
			switch _, known := r.cat.server(r.platform, productCode); {
			case r.platform == vpc:
				return server{}, errServerProduct()
			case known:
				return server{}, errNoMatch(productCode, imageCode)
			}
			return server{}, errProduct()
		}
		product = fitting[i]
	}
	return server{ImageProduct: img.code, ImageName: img.name, Product: product.code, Hypervisor: "XEN", OS: guestOS(img.code, img.description),
		CPU: product.cpu, MemGB: product.memGB, DiskGB: product.diskGB, DiskKind: product.diskKind, TypeCode: product.typeCode,
		SpecCode: xenSpec(r.cat, product.code)}, nil
}

// xenSpec is the spec code of a XEN product where one is known.
func xenSpec(c *catalogue, productCode string) string {
	for _, s := range c.specs {
		if s.productCode == productCode {
			return s.code
		}
	}
	return ""
}

func (r *request) fromServerImage(p *vpcServerParams) (server, []imageDisk, *apiError) {
	s := server{ServerImageNo: p.ImageNo}
	var extra []imageDisk
	if pub, ok := r.cat.serverImage(p.ImageNo); ok {
		s.ImageProduct, s.ImageName, s.Hypervisor, s.DiskGB, s.OS = pub.productCode, pub.name, pub.hypervisor, pub.diskGB, guestOS("", pub.name)
	} else if i := r.image(p.ImageNo, "serverImage"); i != nil {
		if i.Status != "CREAT" {
			return s, nil, errInvalid("serverImageNo [%s] is not created", i.No)
		}
		s.ImageProduct, s.ImageName, s.Hypervisor, s.DiskGB, s.OS, s.SourceImageNo = i.ImageProduct, i.ImageName, i.Hypervisor, i.DiskGB, i.OS, i.No
		extra = i.contents()
	} else {
		return s, nil, errNoSuch("serverImageNo", p.ImageNo)
	}
	if img, ok := r.cat.image(vpc, s.ImageProduct); ok {
		if err := checkFee(img, p.Fee); err != nil {
			return s, nil, err
		}
	}

	fitting := r.cat.specsFor(s.Hypervisor, r.region)
	if p.Product != "" && p.Spec == "" { // a server image goes with a spec
		return s, nil, errServerProduct()
	}
	var chosen *spec
	for i, f := range fitting {
		if p.Spec == f.code || p.Spec == "" && (chosen == nil || f.memGB < chosen.memGB || f.memGB == chosen.memGB && f.cpu < chosen.cpu) {
			chosen = &fitting[i]
		}
	}
	if chosen == nil {
		return s, nil, errServerProduct()
	}
	s.SpecCode, s.Product, s.CPU, s.MemGB = chosen.code, chosen.productCode, chosen.cpu, chosen.memGB
	s.DiskKind, s.TypeCode = "SSD", specType(chosen.productCode)
	return s, extra, nil
}

// specType reads the kind of server from a product code like SVR.VSVR.AMD.STAND.C002.M008.G003.
func specType(productCode string) string {
	for _, part := range strings.Split(productCode, ".") {
		if serverTypes[part] != "" {
			return part
		}
	}
	return "STAND"
}

// checkServerNetwork checks VPC, subnet and NICs of a new server and returns the subnet.
func (r *request) checkServerNetwork(p *vpcServerParams) (*subnet, *apiError) {
	v := r.st.VPCs[p.VPCNo]
	if v == nil || !r.here(&v.base) {
		return nil, errNoSuch("vpcNo", p.VPCNo)
	}
	n := r.st.Subnets[p.SubnetNo]
	if n == nil || !r.here(&n.base) || n.VPCNo != v.No {
		return nil, errNoSuch("subnetNo", p.SubnetNo)
	}
	seen := map[int64]bool{}
	for _, q := range p.NICs {
		if seen[*q.Order] {
			return nil, errInvalid("networkInterfaceOrder %d is given twice", *q.Order)
		}
		seen[*q.Order] = true
		in := n
		if q.SubnetNo != "" {
			if in = r.st.Subnets[q.SubnetNo]; in == nil || !r.here(&in.base) || in.VPCNo != v.No || *q.Order == 0 && in != n {
				return nil, errNoSuch("networkInterfaceList.subnetNo", q.SubnetNo)
			}
		}
		if q.NIC == "" {
			if err := r.checkACGs(q.ACGs, v.No); err != nil {
				return nil, err
			}
			if q.IP != "" && !r.usableIP(in, q.IP) {
				return nil, errInvalid("ip [%s] cannot be used in subnet %s", q.IP, in.CIDR)
			}
			continue
		}
		c := r.st.NICs[q.NIC]
		if c == nil || !r.here(&c.base) || c.VPCNo != v.No || *q.Order == 0 && c.SubnetNo != n.No {
			return nil, errNoSuch("networkInterfaceNo", q.NIC)
		}
		if c.Status != "NOTUSED" {
			return nil, errInvalid("networkInterfaceNo [%s] is in use", q.NIC)
		}
		if number(p.Count, 1) != 1 {
			return nil, errInvalid("an existing network interface can be given to one server only")
		}
	}
	if !seen[0] {
		return nil, errMissing("networkInterfaceList with networkInterfaceOrder 0")
	}
	return n, nil
}

// plugIn gives a new server an existing NIC or makes one.
func (r *request) plugIn(s *server, q nicParam) {
	n := r.st.NICs[q.NIC]
	if n == nil {
		subnetNo := q.SubnetNo
		if subnetNo == "" {
			subnetNo = s.SubnetNo
		}
		n = r.newNIC(s.VPCNo, subnetNo, q.IP, q.ACGs)
		n.WithServer = true
	}
	n.ServerNo, n.Device, n.Default = s.No, "eth"+string(rune('0'+*q.Order)), *q.Order == 0
	n.set("SET", "", "")
	n.Next = nil
	n.after(r.latency.Server, step{Status: "USED"})
}

// mapDisks applies blockStorageMappingList to the disks that come with the image.
func (r *request) mapDisks(m []mappingParam, model server, extra []imageDisk) ([]imageDisk, *apiError) {
	if len(m) > 0 && model.Hypervisor != "KVM" {
		return nil, errInvalid("blockStorageMappingList is for KVM servers")
	}
	out := slices.Clone(extra)
	for _, q := range m {
		order := number(q.Order, 0)
		if order == 0 {
			continue // the boot disk is the image's
		}
		out = without(out, func(d imageDisk) bool { return d.Order == order })
		if truth(q.None) {
			continue
		}
		d := imageDisk{Order: order, SizeGB: number(q.Size, 0), VolumeType: q.VolumeType, SnapshotNo: q.Snapshot}
		if q.Snapshot != "" {
			snap := r.st.Snapshots[q.Snapshot]
			if snap == nil || !r.here(&snap.base) {
				return nil, errNoSuch("snapshotInstanceNo", q.Snapshot)
			}
			d.SizeGB = max(d.SizeGB, snap.SizeGB)
			d.source = filepath.Join("snapshots", snap.No)
		}
		if d.VolumeType == "" {
			d.VolumeType = "CB1"
		}
		if err := checkDiskSize(d.SizeGB, 16380); err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

type vpcServerRow struct {
	No                  string         `json:"serverInstanceNo"`
	Name                string         `json:"serverName"`
	Desc                string         `json:"serverDescription"`
	CPUCount            int64          `json:"cpuCount"`
	MemorySize          int64          `json:"memorySize"`
	PlatformType        code           `json:"platformType"`
	LoginKeyName        string         `json:"loginKeyName"`
	PublicIPNo          string         `json:"publicIpInstanceNo"`
	PublicIP            string         `json:"publicIp"`
	Status              code           `json:"serverInstanceStatus"`
	Operation           code           `json:"serverInstanceOperation"`
	StatusName          string         `json:"serverInstanceStatusName"`
	CreateDate          string         `json:"createDate"`
	Uptime              string         `json:"uptime"`
	ImageProduct        string         `json:"serverImageProductCode"`
	Product             string         `json:"serverProductCode"`
	Protected           bool           `json:"isProtectServerTermination"`
	ZoneCode            string         `json:"zoneCode"`
	RegionCode          string         `json:"regionCode"`
	VPCNo               string         `json:"vpcNo"`
	SubnetNo            string         `json:"subnetNo"`
	NICs                []string       `json:"networkInterfaceNoList"`
	InitScriptNo        string         `json:"initScriptNo"`
	Type                code           `json:"serverInstanceType"`
	DiskType            code           `json:"baseBlockStorageDiskType"`
	DiskDetail          code           `json:"baseBlockStorageDiskDetailType"`
	PlacementGroupNo    string         `json:"placementGroupNo"`
	PlacementGroupName  string         `json:"placementGroupName"`
	MemberImageNo       string         `json:"memberServerImageInstanceNo"`
	Partitions          []partitionRow `json:"blockDevicePartitionList"`
	Hypervisor          code           `json:"hypervisorType"`
	ServerImageNo       string         `json:"serverImageNo"`
	SpecCode            string         `json:"serverSpecCode"`
	PreInstallGPUDriver bool           `json:"isPreInstallGpuDriver"`
	Events              []string       `json:"eventList"`
}

type partitionRow struct {
	MountPoint string `json:"mountPoint"`
	Size       string `json:"partitionSize"`
}

func (r *request) vpcServerRow(s *server) vpcServerRow {
	img, _ := r.cat.image(vpc, s.ImageProduct)
	platform := platformType(s.ImageProduct, img.description)
	row := vpcServerRow{No: s.No, Name: s.Name, Desc: s.Desc, CPUCount: s.CPU, MemorySize: s.MemGB * gb, PlatformType: code{platform, platformNames[platform]},
		LoginKeyName: s.LoginKey, Status: named(s.Status, serverStatusNames), Operation: named(s.Op, serverOpNames), StatusName: s.StatusName,
		CreateDate: date(s.Created), Uptime: date(s.Uptime), ImageProduct: s.ImageProduct, Product: s.Product, Protected: s.Protected,
		ZoneCode: s.Zone, RegionCode: s.Region, VPCNo: s.VPCNo, SubnetNo: s.SubnetNo, NICs: []string{}, InitScriptNo: s.InitScriptNo,
		Type: named(s.TypeCode, serverTypes), DiskType: netDisk, DiskDetail: code{s.DiskKind, s.DiskKind}, MemberImageNo: s.MemberImageNo,
		Partitions: partitionRows(s), Hypervisor: code{s.Hypervisor, s.Hypervisor}, ServerImageNo: s.ServerImageNo, SpecCode: s.SpecCode, Events: []string{}}
	if row.Uptime == "" {
		row.Uptime = row.CreateDate
	}
	if ip := r.publicIPOf(s); ip != "" {
		row.PublicIPNo, row.PublicIP = s.PublicIPNo, ip
	}
	if s.Status != "INIT" {
		for _, n := range sorted(r.st.NICs) {
			if n.ServerNo == s.No {
				row.NICs = append(row.NICs, n.No)
			}
		}
		slices.SortFunc(row.NICs, func(a, b string) int { return strings.Compare(r.st.NICs[a].Device, r.st.NICs[b].Device) })
	}
	return row
}

func partitionRows(s *server) []partitionRow {
	rows := []partitionRow{}
	for _, b := range s.Partitions {
		rows = append(rows, partitionRow(b))
	}
	return rows
}

// publicIPOf is a server's public address, "" while none is fully associated.
func (r *request) publicIPOf(s *server) string {
	if ip := r.st.PublicIPs[s.PublicIPNo]; ip != nil && ip.idle() {
		return ip.IP
	}
	return ""
}
