package localcloud

import (
	"path/filepath"
	"slices"
	"strings"
)

// Block storage and snapshots. What a guest writes to an additional disk is in disks/<no> of the cloud's directory, which
// is copied into images (images/<no>/disk-<order>) and snapshots, and from there into new disks.

func init() {
	handle("vserver", "createBlockStorageInstance", createVPCDisk)
	handle("server", "createBlockStorageInstance", createClassicDisk)

	handle("vserver", "getBlockStorageInstanceDetail", func(r *request, p *struct {
		No string `p:"blockStorageInstanceNo,required"`
	}) (reply, *apiError) {
		return rowsOf("blockStorageInstanceList", detail(r, r.st.Disks, p.No, (*disk).vpcRow)), nil
	})
	handle("vserver", "getBlockStorageInstanceList", func(r *request, p *struct {
		paging
		Zone        string   `p:"zoneCode"`
		ServerNo    string   `p:"serverInstanceNo"`
		Types       []string `p:"blockStorageTypeCodeList,oneof=BASIC|SVRBS"`
		Status      string   `p:"blockStorageInstanceStatusCode"`
		Size        *int64   `p:"blockStorageSize"`
		Nos         []string `p:"blockStorageInstanceNoList"`
		Name        string   `p:"blockStorageName"`
		ServerName  string   `p:"serverName"`
		Connection  string   `p:"connectionInfo"`
		DiskType    string   `p:"blockStorageDiskTypeCode"`
		DiskDetail  string   `p:"blockStorageDiskDetailTypeCode"`
		VolumeTypes []string `p:"blockStorageVolumeTypeCodeList"`
		Hypervisors []string `p:"hypervisorTypeCodeList"`
	}) (reply, *apiError) {
		var rows []vpcDiskRow
		for _, d := range sorted(r.st.Disks) {
			s := r.st.Servers[d.ServerNo]
			if r.here(&d.base) && wanted(p.Zone, d.Zone) && wanted(p.ServerNo, d.ServerNo) && wantedIn(p.Types, d.typeCode()) && wanted(p.Status, d.Status) &&
				(p.Size == nil || *p.Size == d.SizeGB) && wantedIn(p.Nos, d.No) && strings.Contains(d.Name, p.Name) && (p.ServerName == "" || s != nil && strings.Contains(s.Name, p.ServerName)) &&
				strings.Contains(d.Device, p.Connection) && wanted(p.DiskType, "NET") && wanted(p.DiskDetail, d.DetailType) && wantedIn(p.VolumeTypes, d.VolumeType) && wantedIn(p.Hypervisors, d.Hypervisor) {
				rows = append(rows, d.vpcRow())
			}
		}
		return page("blockStorageInstanceList", rows, p.paging)
	})
	handle("server", "getBlockStorageInstanceList", func(r *request, p *struct {
		paging
		classicPlace
		ServerNo   string   `p:"serverInstanceNo"`
		Nos        []string `p:"blockStorageInstanceNoList"`
		FilterName string   `p:"searchFilterName"`
		Filter     string   `p:"searchFilterValue"`
		Types      []string `p:"blockStorageTypeCodeList,oneof=BASIC|SVRBS"`
		Status     string   `p:"blockStorageInstanceStatusCode"`
		DiskType   string   `p:"diskTypeCode,oneof=NET|LOCAL"`
		DiskDetail string   `p:"diskDetailTypeCode,oneof=HDD|SSD"`
	}) (reply, *apiError) {
		// The official provider 3.3.2 gives the region's code for its number here, and only here, on its way to terminate a
		// server. That works on the real cloud.
		if i := slices.IndexFunc(r.cat.classicRegions, func(g region) bool { return g.code == p.RegionNo }); i >= 0 {
			p.RegionNo = r.cat.classicRegions[i].no
		}
		see, err := r.listPlace(p.classicPlace, len(p.Nos) > 0 || p.ServerNo != "")
		if err != nil {
			return reply{}, err
		}
		var rows []classicDiskRow
		for _, d := range sorted(r.st.Disks) {
			if see(&d.base) && wanted(p.ServerNo, d.ServerNo) && wantedIn(p.Nos, d.No) && wantedIn(p.Types, d.typeCode()) && wanted(p.Status, d.Status) && wanted(p.DiskType, "NET") &&
				wanted(p.DiskDetail, d.DetailType) && search(p.FilterName, p.Filter, map[string]string{"blockstoragename": d.Name, "attachmentinformation": d.Device}) {
				rows = append(rows, r.classicDiskRow(d))
			}
		}
		return page("blockStorageInstanceList", rows, p.paging)
	})

	for _, service := range []string{"server", "vserver"} {
		handle(service, "attachBlockStorageInstance", attachDisk)
		handle(service, "detachBlockStorageInstances", func(r *request, p *diskNumbers) (reply, *apiError) {
			list, err := r.disks(p.Nos, false)
			if err != nil {
				return reply{}, err
			}
			for _, d := range list {
				s := r.st.Servers[d.ServerNo]
				if s == nil || d.Root {
					return reply{}, errDiskNo(false)
				}
				if !d.idle() {
					return reply{}, errServerState()
				}
				if err := mayAttach(s); err != nil {
					return reply{}, err
				}
			}
			for _, d := range list {
				r.setup(r.st.Servers[d.ServerNo])
				d.set("ATTAC", "DETAC", "detaching")
				d.after(r.latency.Disk, step{Status: "CREAT", Op: "NULL", StatusName: "detached", Then: thenFree})
				r.touch(d)
			}
			return r.diskRows(list), nil
		})
		handle(service, "deleteBlockStorageInstances", deleteDisks)
	}

	// Classic snapshots cannot be made here, so there are none; tfbake asks when it looks for what a run has left.
	handle("server", "getBlockStorageSnapshotInstanceList", func(r *request, p *struct {
		paging
		classicPlace
	}) (reply, *apiError) {
		if _, err := r.place(p.classicPlace); err != nil {
			return reply{}, err
		}
		return page[snapshotRow]("blockStorageSnapshotInstanceList", nil, p.paging)
	})
	handle("vserver", "createBlockStorageSnapshotInstance", createSnapshot)
	handle("vserver", "getBlockStorageSnapshotInstanceDetail", func(r *request, p *struct {
		No string `p:"blockStorageSnapshotInstanceNo,required"`
	}) (reply, *apiError) {
		return rowsOf("blockStorageSnapshotInstanceList", detail(r, r.st.Snapshots, p.No, (*snapshot).row)), nil
	})
	handle("vserver", "getBlockStorageSnapshotInstanceList", func(r *request, p *struct {
		paging
		Nos         []string `p:"blockStorageSnapshotInstanceNoList"`
		Originals   []string `p:"originalBlockStorageInstanceNoList"`
		Hypervisors []string `p:"hypervisorTypeCodeList"`
		Status      string   `p:"blockStorageSnapshotInstanceStatusCode"`
		Size        *int64   `p:"blockStorageSnapshotVolumeSize"`
		Encrypted   *bool    `p:"isEncryptedOriginalBlockStorageVolume"`
		Name        string   `p:"blockStorageSnapshotName"`
		Bootable    *bool    `p:"isBootable"`
	}) (reply, *apiError) {
		var rows []snapshotRow
		for _, s := range sorted(r.st.Snapshots) {
			if r.here(&s.base) && wantedIn(p.Nos, s.No) && wantedIn(p.Originals, s.DiskNo) && wantedIn(p.Hypervisors, s.Hypervisor) && wanted(p.Status, s.Status) &&
				(p.Size == nil || *p.Size == s.SizeGB || *p.Size == s.SizeGB*gb) && !truth(p.Encrypted) && strings.Contains(s.Name, p.Name) && (p.Bootable == nil || *p.Bootable == s.Bootable) {
				rows = append(rows, s.row())
			}
		}
		return page("blockStorageSnapshotInstanceList", rows, p.paging)
	})
	handle("vserver", "deleteBlockStorageSnapshotInstances", func(r *request, p *struct {
		Nos []string `p:"blockStorageSnapshotInstanceNoList,required"`
	}) (reply, *apiError) {
		var list []*snapshot
		for _, no := range p.Nos {
			s := r.st.Snapshots[no]
			if s == nil || !r.here(&s.base) {
				return reply{}, errNoSuch("blockStorageSnapshotInstanceNoList", no)
			}
			if !s.idle() && !s.Stuck {
				return reply{}, errServerState()
			}
			list = append(list, s)
		}
		rows := []snapshotRow{}
		for _, s := range list {
			s.Stuck, s.Next = false, nil
			s.set("CREAT", "TERMT", "terminating")
			s.after(r.latency.Disk, step{Status: "CREAT", Op: "TERMT", StatusName: "terminating", Then: thenGone})
			r.touch(s)
			rows = append(rows, s.row())
		}
		return rowsOf("blockStorageSnapshotInstanceList", rows), nil
	})
}

type diskNumbers struct {
	Nos []string `p:"blockStorageInstanceNoList,required"`
}

// disks finds disks, all or none.
func (r *request) disks(nos []string, delete bool) ([]*disk, *apiError) {
	var list []*disk
	for _, no := range nos {
		d := r.st.Disks[no]
		if d == nil || !r.here(&d.base) {
			if r.platform == vpc {
				return nil, errNoSuch("blockStorageInstanceNo", no)
			}
			return nil, errDiskNo(delete)
		}
		list = append(list, d)
	}
	return list, nil
}

// checkDiskSize: 10 GB up to a limit, in steps of 10.
func checkDiskSize(sizeGB, limit int64) *apiError {
	if sizeGB < 10 || sizeGB > limit || sizeGB%10 != 0 {
		return errInvalid("blockStorageSize: %d GB is not a multiple of 10 within 10 to %d", sizeGB, limit)
	}
	return nil
}

func createVPCDisk(r *request, p *struct {
	Name       string `p:"blockStorageName,name"`
	Size       *int64 `p:"blockStorageSize"`
	DiskDetail string `p:"blockStorageDiskDetailTypeCode,oneof=SSD|HDD"`
	Desc       string `p:"blockStorageDescription,bytes=1000"`
	ServerNo   string `p:"serverInstanceNo"`
	Snapshot   string `p:"blockStorageSnapshotInstanceNo"`
	Zone       string `p:"zoneCode"`
	Protected  *bool  `p:"isReturnProtection"`
	VolumeType string `p:"blockStorageVolumeTypeCode,oneof=SSD|HDD|CB1|FB1|CB2|FB2"`
}) (reply, *apiError) {
	d := &disk{Hypervisor: "XEN", DetailType: p.DiskDetail, VolumeType: p.VolumeType, SizeGB: number(p.Size, 0), SnapshotNo: p.Snapshot, Protected: truth(p.Protected)}
	if slices.Contains([]string{"CB1", "FB1", "CB2", "FB2"}, p.VolumeType) {
		d.Hypervisor = "KVM"
	}
	if p.Snapshot != "" {
		snap := r.st.Snapshots[p.Snapshot]
		if snap == nil || !r.here(&snap.base) || snap.Hypervisor != d.Hypervisor && p.VolumeType != "" {
			return reply{}, errNoSuch("blockStorageSnapshotInstanceNo", p.Snapshot)
		}
		d.Hypervisor = snap.Hypervisor
		if d.VolumeType == "" {
			d.VolumeType = snap.VolumeType
		}
		d.Source = filepath.Join("snapshots", snap.No)
		if d.SizeGB == 0 {
			d.SizeGB = snap.SizeGB
		}
		if d.SizeGB < snap.SizeGB || d.Hypervisor == "XEN" && d.SizeGB != snap.SizeGB {
			return reply{}, errInvalid("blockStorageSize: %d GB does not fit the snapshot of %d GB", d.SizeGB, snap.SizeGB)
		}
	}
	for _, o := range r.st.Disks {
		if p.Name != "" && r.here(&o.base) && o.Name == p.Name {
			return reply{}, errNameTaken()
		}
	}
	if d.SizeGB == 0 {
		return reply{}, errMissing("blockStorageSize")
	}

	if d.Hypervisor == "KVM" {
		if p.ServerNo != "" {
			return reply{}, errInvalid("serverInstanceNo: a KVM block storage is created detached")
		}
		if p.Zone == "" {
			return reply{}, errMissing("zoneCode")
		}
		if !slices.ContainsFunc(r.cat.zonesOf(vpc, r.region), func(z zone) bool { return z.code == p.Zone }) {
			return reply{}, errInvalid("zoneCode [%s] is not valid", p.Zone)
		}
		if err := checkDiskSize(d.SizeGB, 16380); err != nil {
			return reply{}, err
		}
		d.DetailType = "SSD"
		r.newDisk(d, p.Name, p.Desc, p.Zone)
		d.set("INIT", "NULL", "initialized")
		d.after(r.latency.Disk, step{Status: "CREAT", Op: "NULL", StatusName: "detached", Job: d.prepare()})
		return r.diskRows([]*disk{d}), nil
	}

	if p.ServerNo == "" {
		return reply{}, errMissing("serverInstanceNo")
	}
	s, err := r.serverForDisk(p.ServerNo, d.Hypervisor)
	if err != nil {
		return reply{}, err
	}
	if err := checkDiskSize(d.SizeGB, 2000); err != nil {
		return reply{}, err
	}
	if d.DetailType == "" {
		d.DetailType = "SSD"
		if d.VolumeType != "" {
			d.DetailType = d.VolumeType
		}
	}
	d.VolumeType = d.DetailType
	r.newDisk(d, p.Name, p.Desc, s.Zone)
	r.attachNew(d, s, "INIT")
	return r.diskRows([]*disk{d}), nil
}

func createClassicDisk(r *request, p *struct {
	Name       string `p:"blockStorageName,len=3-30"`
	Size       *int64 `p:"blockStorageSize,required"`
	Desc       string `p:"blockStorageDescription,len=1-1000"`
	ServerNo   string `p:"serverInstanceNo,required"`
	DiskDetail string `p:"diskDetailTypeCode,oneof=HDD|SSD"`
}) (reply, *apiError) {
	s, err := r.serverForDisk(p.ServerNo, "XEN")
	if err != nil {
		return reply{}, err
	}
	if err := checkDiskSize(*p.Size, 2000); err != nil { // documented as 1000, larger ones are reported to work
		return reply{}, err
	}
	for _, o := range r.st.Disks {
		if p.Name != "" && r.here(&o.base) && o.Name == p.Name {
			return reply{}, errNameTaken()
		}
	}
	d := &disk{Hypervisor: "XEN", DetailType: p.DiskDetail, SizeGB: *p.Size}
	if d.DetailType == "" {
		d.DetailType = "HDD"
	}
	d.VolumeType = d.DetailType
	r.newDisk(d, p.Name, p.Desc, s.Zone)
	d.Region = s.Region
	r.attachNew(d, s, "CREAT")
	return r.diskRows([]*disk{d}), nil
}

func (r *request) newDisk(d *disk, name, desc, zone string) {
	d.No = r.st.number(r.instanceCounter())
	if name == "" {
		name = generatedName("bst")
	}
	d.Name, d.Desc, d.Platform, d.Region, d.Zone, d.Created = name, desc, r.platform, r.region, zone, r.now()
	r.st.Disks[d.No] = d
	r.touch(d)
}

// attachNew makes a XEN disk, which is born attached. (status is the platform's state while it is being attached.)
func (r *request) attachNew(d *disk, s *server, status string) {
	d.ServerNo, d.Device = s.No, r.freeDevice(s)
	d.set("INIT", "NULL", "initialized")
	d.after(r.latency.Disk/2, step{Status: status, Op: "ATTAC", StatusName: "attaching"})
	d.after(r.latency.Disk, step{Status: "ATTAC", Op: "NULL", StatusName: "attached", Job: d.prepare()})
	r.setup(s)
}

// serverForDisk finds a server that can take one more disk.
func (r *request) serverForDisk(no, hypervisor string) (*server, *apiError) {
	s := r.serverNo(no)
	if s == nil {
		if r.platform == vpc {
			return nil, errNoSuch("serverInstanceNo", no)
		}
		return nil, errServerNo()
	}
	if s.Hypervisor != hypervisor {
		return nil, errInvalid("the block storage is for %s, server [%s] runs on %s", hypervisor, no, s.Hypervisor)
	}
	if err := mayAttach(s); err != nil {
		return nil, err
	}
	limit, count := 16, 0
	if hypervisor == "KVM" {
		limit = 21
	}
	for _, d := range r.st.Disks {
		if d.ServerNo == s.No {
			count++
		}
	}
	if count >= limit {
		return nil, errQuota()
	}
	return s, nil
}

func attachDisk(r *request, p *struct {
	ServerNo string `p:"serverInstanceNo,required"`
	No       string `p:"blockStorageInstanceNo,required"`
}) (reply, *apiError) {
	list, err := r.disks([]string{p.No}, false)
	if err != nil {
		return reply{}, err
	}
	d := list[0]
	s, err := r.serverForDisk(p.ServerNo, d.Hypervisor)
	if err != nil {
		return reply{}, err
	}
	if d.ServerNo != "" || d.Status != "CREAT" || !d.idle() {
		return reply{}, errServerState()
	}
	if d.Zone != s.Zone {
		return reply{}, errInvalid("block storage [%s] is in zone %s, the server in %s", d.No, d.Zone, s.Zone)
	}
	d.ServerNo, d.Device = s.No, r.freeDevice(s)
	status := "INIT"
	if r.platform == classic {
		status = "CREAT"
	}
	d.set(status, "ATTAC", "attaching")
	d.after(r.latency.Disk, step{Status: "ATTAC", Op: "NULL", StatusName: "attached"})
	r.setup(s)
	r.touch(d)
	return r.diskRows(list), nil
}

// deleteDisks deletes disks; one that is attached is detached on the way, as the clients expect.
func deleteDisks(r *request, p *diskNumbers) (reply, *apiError) {
	list, err := r.disks(p.Nos, true)
	if err != nil {
		return reply{}, err
	}
	for _, d := range list {
		if d.Root {
			return reply{}, errDiskNo(true)
		}
		if d.Protected {
			return reply{}, errInvalid("block storage [%s] is protected against deletion", d.No)
		}
		if d.Stuck {
			continue
		}
		if !d.idle() {
			return reply{}, errServerState()
		}
		if s := r.st.Servers[d.ServerNo]; s != nil {
			if err := mayAttach(s); err != nil {
				return reply{}, err
			}
		}
	}
	for _, d := range list {
		d.Stuck, d.Next = false, nil
		if s := r.st.Servers[d.ServerNo]; s != nil {
			r.setup(s)
			d.set("ATTAC", "DETAC", "detaching")
			d.after(r.latency.Disk/2, step{Status: "CREAT", Op: "TERMT", StatusName: "terminating", Then: thenFree})
		} else {
			d.set("CREAT", "TERMT", "terminating")
		}
		d.after(r.latency.Disk, step{Status: "CREAT", Op: "TERMT", StatusName: "terminating", Then: thenGone})
		r.touch(d)
	}
	return r.diskRows(list), nil
}

func createSnapshot(r *request, p *struct {
	Name   string `p:"blockStorageSnapshotName,name"`
	Desc   string `p:"blockStorageSnapshotDescription,bytes=1000"`
	DiskNo string `p:"originalBlockStorageInstanceNo,required"`
	Type   string `p:"snapshotTypeCode,oneof=FULL|INCREMENTAL"`
}) (reply, *apiError) {
	list, err := r.disks([]string{p.DiskNo}, false)
	if err != nil {
		return reply{}, err
	}
	d := list[0]
	if !d.idle() {
		return reply{}, errServerState()
	}
	if p.Name == "" {
		p.Name = generatedName("snap")
	}
	for _, o := range r.st.Snapshots {
		if r.here(&o.base) && o.Name == p.Name {
			return reply{}, errNameTaken()
		}
	}
	s := &snapshot{DiskNo: d.No, SizeGB: d.SizeGB, Type: p.Type, Hypervisor: d.Hypervisor, Bootable: d.Root, VolumeType: d.VolumeType}
	if s.Type == "" {
		s.Type = "FULL"
	}
	if v := r.st.Servers[d.ServerNo]; d.Root && v != nil {
		s.ImageProduct, s.OS = v.ImageProduct, v.OS
	}
	r.register(&s.base, "instance", p.Name, p.Desc)
	s.set("INIT", "CREAT", "creating")
	s.after(r.latency.Disk, step{Status: "CREAT", Op: "NULL", StatusName: "created", Job: jobCapture})
	r.st.Snapshots[s.No] = s
	r.touch(s)
	return rowsOf("blockStorageSnapshotInstanceList", []snapshotRow{s.row()}), nil
}

// prepare names the job that fills a new disk, if one is needed.
func (d *disk) prepare() string {
	if d.Source == "" {
		return ""
	}
	return jobPrepare
}

func (d *disk) typeCode() string {
	if d.Root {
		return "BASIC"
	}
	return "SVRBS"
}

func (d *disk) productCode() string {
	switch {
	case d.Root:
		return "SPBSTBSTBS000005"
	case d.DetailType == "HDD":
		return "SPBSTBSTAD000002"
	}
	return "SPBSTBSTAD000006"
}

func (r *request) diskRows(list []*disk) reply {
	if r.platform == classic {
		rows := []classicDiskRow{}
		for _, d := range list {
			rows = append(rows, r.classicDiskRow(d))
		}
		return rowsOf("blockStorageInstanceList", rows)
	}
	rows := []vpcDiskRow{}
	for _, d := range list {
		rows = append(rows, d.vpcRow())
	}
	return rowsOf("blockStorageInstanceList", rows)
}

type vpcDiskRow struct {
	No          string `json:"blockStorageInstanceNo"`
	ServerNo    string `json:"serverInstanceNo"`
	Name        string `json:"blockStorageName"`
	Type        code   `json:"blockStorageType"`
	Size        int64  `json:"blockStorageSize"`
	Device      string `json:"deviceName"`
	ProductCode string `json:"blockStorageProductCode"`
	Status      code   `json:"blockStorageInstanceStatus"`
	Operation   code   `json:"blockStorageInstanceOperation"`
	StatusName  string `json:"blockStorageInstanceStatusName"`
	Date        string `json:"createDate"`
	Desc        string `json:"blockStorageDescription"`
	DiskType    code   `json:"blockStorageDiskType"`
	DiskDetail  code   `json:"blockStorageDiskDetailType"`
	MaxIOPS     int64  `json:"maxIopsThroughput"`
	Encrypted   bool   `json:"isEncryptedVolume"`
	Zone        string `json:"zoneCode"`
	Region      string `json:"regionCode"`
	Protected   bool   `json:"isReturnProtection"`
	VolumeType  code   `json:"blockStorageVolumeType"`
	Hypervisor  code   `json:"hypervisorType"`
}

func (d *disk) vpcRow() vpcDiskRow {
	return vpcDiskRow{d.No, d.ServerNo, d.Name, named(d.typeCode(), diskTypeNames), d.SizeGB * gb, d.Device, d.productCode(), named(d.Status, diskStatusNames),
		named(d.Op, diskOpNames), d.StatusName, date(d.Created), d.Desc, netDisk, code{d.DetailType, d.DetailType}, 4000, false, d.Zone, d.Region, d.Protected,
		named(d.VolumeType, volumeNames), code{d.Hypervisor, d.Hypervisor}}
}

type classicDiskRow struct {
	No          string    `json:"blockStorageInstanceNo"`
	ServerNo    string    `json:"serverInstanceNo"`
	ServerName  string    `json:"serverName"`
	Type        code      `json:"blockStorageType"`
	Name        string    `json:"blockStorageName"`
	Size        int64     `json:"blockStorageSize"`
	Device      string    `json:"deviceName"`
	ProductCode string    `json:"blockStorageProductCode"`
	Status      code      `json:"blockStorageInstanceStatus"`
	Operation   code      `json:"blockStorageInstanceOperation"`
	StatusName  string    `json:"blockStorageInstanceStatusName"`
	Date        string    `json:"createDate"`
	Desc        string    `json:"blockStorageInstanceDescription"`
	DiskType    code      `json:"diskType"`
	DiskDetail  code      `json:"diskDetailType"`
	MaxIOPS     int64     `json:"maxIopsThroughput"`
	Region      regionRow `json:"region"`
	Zone        zoneRow   `json:"zone"`
}

func (r *request) classicDiskRow(d *disk) classicDiskRow {
	name := ""
	if s := r.st.Servers[d.ServerNo]; s != nil {
		name = s.Name
	}
	return classicDiskRow{d.No, d.ServerNo, name, named(d.typeCode(), diskTypeNames), d.Name, d.SizeGB * gb, d.Device, d.productCode(), named(d.Status, diskStatusNames),
		named(d.Op, diskOpNames), d.StatusName, date(d.Created), d.Desc, netDisk, code{d.DetailType, d.DetailType}, 600, r.regionRow(d.Region), r.zoneRow(d.Zone)}
}

type snapshotRow struct {
	No         string `json:"blockStorageSnapshotInstanceNo"`
	Name       string `json:"blockStorageSnapshotName"`
	Size       int64  `json:"blockStorageSnapshotVolumeSize"`
	DiskNo     string `json:"originalBlockStorageInstanceNo"`
	Status     code   `json:"blockStorageSnapshotInstanceStatus"`
	Operation  code   `json:"blockStorageSnapshotInstanceOperation"`
	StatusName string `json:"blockStorageSnapshotInstanceStatusName"`
	Date       string `json:"createDate"`
	Encrypted  bool   `json:"isEncryptedOriginalBlockStorageVolume"`
	Desc       string `json:"blockStorageSnapshotDescription"`
	Type       code   `json:"snapshotType"`
	BaseNo     string `json:"baseSnapshotInstanceNo"`
	ChainDepth int64  `json:"snapshotChainDepth"`
	Hypervisor code   `json:"hypervisorType"`
	Bootable   bool   `json:"isBootable"`
	VolumeType code   `json:"blockStorageVolumeType"`
}

func (s *snapshot) row() snapshotRow {
	return snapshotRow{s.No, s.Name, s.SizeGB * gb, s.DiskNo, named(s.Status, diskStatusNames), named(s.Op, diskOpNames), s.StatusName, date(s.Created), false, s.Desc,
		named(s.Type, map[string]string{"FULL": "Full Snapshot", "INCREMENTAL": "Incremental Snapshot"}), "", 0, code{s.Hypervisor, s.Hypervisor}, s.Bootable,
		named(s.VolumeType, volumeNames)}
}
