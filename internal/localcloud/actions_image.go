package localcloud

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Own images. There are three kinds, and each is seen by the calls of its own kind only:
//
//	memberServerImage           Classic, from a stopped server
//	memberServerImageInstance   VPC, from a XEN or RHV server
//	serverImage                 VPC, from a server of any hypervisor, or from snapshots (KVM)

const (
	kindClassic = "memberServerImage"
	kindMember  = "memberServerImageInstance"
	kindServer  = "serverImage"
)

func init() {
	handle("server", "createMemberServerImage", func(r *request, p *struct {
		Name     string `p:"memberServerImageName,len=3-30"`
		Desc     string `p:"memberServerImageDescription,len=1-1000"`
		ServerNo string `p:"serverInstanceNo,required"`
	}) (reply, *apiError) {
		s := r.serverNo(p.ServerNo)
		if s == nil {
			return reply{}, errServerNo()
		}
		if s.Op == "COPY" {
			return reply{}, errImaging()
		}
		if s.Status != "NSTOP" || !s.idle() {
			return reply{}, errNotStopped()
		}
		return r.imageOf(s, kindClassic, p.Name, p.Desc, nil)
	})
	handle("vserver", "createMemberServerImageInstance", func(r *request, p *struct {
		Name     string `p:"memberServerImageName,name"`
		Desc     string `p:"memberServerImageDescription,bytes=1000"`
		ServerNo string `p:"serverInstanceNo,required"`
	}) (reply, *apiError) {
		s, err := r.serverForImage(p.ServerNo)
		if err != nil {
			return reply{}, err
		}
		if s.Hypervisor == "KVM" {
			return reply{}, errInvalid("server [%s] runs on KVM; an image of it is made with createServerImage", s.No)
		}
		return r.imageOf(s, kindMember, p.Name, p.Desc, nil)
	})
	handle("vserver", "createServerImage", func(r *request, p *struct {
		ServerNo string         `p:"serverInstanceNo,required"`
		Name     string         `p:"serverImageName,required,imagename"`
		Desc     string         `p:"serverImageDescription,bytes=1000"`
		Disks    []mappingParam `p:"blockStorageList"`
	}) (reply, *apiError) {
		s, err := r.serverForImage(p.ServerNo)
		if err != nil {
			return reply{}, err
		}
		return r.imageOf(s, kindServer, p.Name, p.Desc, p.Disks)
	})
	handle("vserver", "createServerImageFromSnapshot", imageFromSnapshot)

	handle("server", "getMemberServerImageList", func(r *request, p *struct {
		paging
		Nos       []string `p:"memberServerImageNoList"`
		Platforms []string `p:"platformTypeCodeList,oneof=LNX32|LNX64|WND32|WND64|UBD64|UBS64"`
		RegionNo  string   `p:"regionNo"`
	}) (reply, *apiError) {
		see, err := r.listPlace(classicPlace{RegionNo: p.RegionNo}, len(p.Nos) > 0)
		if err != nil {
			return reply{}, err
		}
		var rows []classicImageRow
		for _, i := range r.images(kindClassic) {
			if see(&i.base) && wantedIn(p.Nos, i.No) && wantedIn(p.Platforms, r.imagePlatform(i)) {
				rows = append(rows, r.classicImageRow(i))
			}
		}
		return page("memberServerImageList", rows, p.paging)
	})
	handle("vserver", "getMemberServerImageInstanceDetail", func(r *request, p *struct {
		No string `p:"memberServerImageInstanceNo,required"`
	}) (reply, *apiError) {
		if i := r.image(p.No, kindMember); i != nil {
			return r.imageRows(kindMember, i), nil
		}
		return r.imageRows(kindMember), nil
	})
	handle("vserver", "getMemberServerImageInstanceList", func(r *request, p *struct {
		paging
		Name      string   `p:"memberServerImageName"`
		Status    string   `p:"memberServerImageInstanceStatusCode,oneof=INIT|CREAT|CREFL"`
		Nos       []string `p:"memberServerImageInstanceNoList"`
		Platforms []string `p:"platformTypeCodeList,oneof=LNX32|LNX64|WND32|WND64|UBD64|UBS64"`
	}) (reply, *apiError) {
		var rows []memberImageRow
		for _, i := range r.images(kindMember) {
			if r.here(&i.base) && strings.Contains(i.Name, p.Name) && wanted(p.Status, i.Status) && wantedIn(p.Nos, i.No) && wantedIn(p.Platforms, r.imagePlatform(i)) {
				rows = append(rows, i.memberRow())
			}
		}
		return page("memberServerImageInstanceList", rows, p.paging)
	})
	handle("vserver", "getServerImageDetail", func(r *request, p *struct {
		No string `p:"serverImageNo,required"`
	}) (reply, *apiError) {
		rows := []serverImageRow{}
		if pub, ok := r.cat.serverImage(p.No); ok {
			rows = append(rows, pub.row())
		} else if i := r.image(p.No, kindServer); i != nil {
			rows = append(rows, i.serverRow())
		}
		return rowsOf("serverImageList", rows), nil
	})
	handle("vserver", "getServerImageList", func(r *request, p *struct {
		paging
		Name        string   `p:"serverImageName"`
		Status      string   `p:"serverImageStatusCode,oneof=INIT|CREAT|CREFL"`
		Nos         []string `p:"serverImageNoList"`
		Hypervisors []string `p:"hypervisorTypeCodeList,oneof=XEN|KVM|RHV"`
		Types       []string `p:"serverImageTypeCodeList,oneof=SELF|NCP"`
		OSTypes     []string `p:"osTypeCodeList,oneof=CENTOS|UBUNTU|WINDOWS|ROCKY|NAVIX"`
		Categories  []string `p:"platformCategoryCodeList,oneof=OS|APP|DBMS|GPU"`
	}) (reply, *apiError) {
		all := []serverImageRow{}
		for _, pub := range r.cat.serverImages {
			all = append(all, pub.row())
		}
		for _, i := range r.images(kindServer) {
			if r.here(&i.base) {
				all = append(all, i.serverRow())
			}
		}
		rows := without(all, func(i serverImageRow) bool {
			return !(strings.Contains(i.Name, p.Name) && wanted(p.Status, i.Status.Code) && wantedIn(p.Nos, i.No) && wantedIn(p.Hypervisors, i.Hypervisor.Code) &&
				wantedIn(p.Types, i.Type.Code) && wantedIn(p.OSTypes, i.OSType.Code) && wantedIn(p.Categories, i.Category))
		})
		return page("serverImageList", rows, p.paging)
	})

	handle("server", "deleteMemberServerImages", func(r *request, p *struct {
		Nos []string `p:"memberServerImageNoList,required"`
	}) (reply, *apiError) {
		return r.deleteImages(kindClassic, p.Nos)
	})
	handle("vserver", "deleteMemberServerImageInstances", func(r *request, p *struct {
		Nos []string `p:"memberServerImageInstanceNoList,required"`
	}) (reply, *apiError) {
		return r.deleteImages(kindMember, p.Nos)
	})
	handle("vserver", "deleteServerImage", func(r *request, p *struct {
		Nos []string `p:"serverImageNoList,required"`
	}) (reply, *apiError) {
		return r.deleteImages(kindServer, p.Nos)
	})

	type classicShare struct {
		No  string   `p:"memberServerImageNo,required"`
		IDs []string `p:"targetLoginIdList"`
	}
	type memberShare struct {
		No  string   `p:"memberServerImageInstanceNo,required"`
		IDs []string `p:"targetLoginIdList"`
	}
	type serverShare struct {
		No  string   `p:"serverImageNo,required"`
		IDs []string `p:"targetLoginIdList"`
	}
	for _, verb := range []string{"add", "set", "remove"} {
		handle("server", verb+"MemberServerImageSharingPermission", func(r *request, p *classicShare) (reply, *apiError) { return r.share(kindClassic, p.No, verb, p.IDs) })
		handle("vserver", verb+"MemberServerImageSharingPermission", func(r *request, p *memberShare) (reply, *apiError) { return r.share(kindMember, p.No, verb, p.IDs) })
		if verb != "set" {
			handle("vserver", verb+"ServerImageSharingPermission", func(r *request, p *serverShare) (reply, *apiError) { return r.share(kindServer, p.No, verb, p.IDs) })
		}
	}
}

// images lists the own images of a kind.
func (r *request) images(kind string) []*image {
	return without(sorted(r.st.Images), func(i *image) bool { return i.Kind != kind })
}

// serverForImage finds a VPC server that can be imaged now, running or stopped.
func (r *request) serverForImage(no string) (*server, *apiError) {
	s := r.serverNo(no)
	if s == nil {
		return nil, errServerNo()
	}
	if err := busy(s); err != nil {
		return nil, err
	}
	if s.Status != "RUN" && s.Status != "NSTOP" {
		return nil, errServerState()
	}
	return s, nil
}

// newImage checks the name and registers an image that is being made.
func (r *request) newImage(i *image, name, desc string) *apiError {
	if name == "" {
		name = generatedName("img")
	}
	for _, o := range r.st.Images {
		if o.Platform == r.platform && (r.platform == classic || o.Region == r.region) && o.Name == name {
			return errNameTaken()
		}
	}
	counter := "image"
	if r.platform == classic {
		counter = "classicImage"
	}
	r.register(&i.base, counter, name, desc)
	i.set("INIT", "CREAT", "creating")
	i.after(r.latency.Image, step{Status: "CREAT", Op: "NULL", StatusName: "created", Job: jobCapture, Then: thenServerFree})
	r.st.Images[i.No] = i
	r.touch(i)
	return nil
}

// imageOf starts an image of a server. Without a list of disks all attached ones belong to it.
func (r *request) imageOf(s *server, kind, name, desc string, list []mappingParam) (reply, *apiError) {
	i := &image{Kind: kind, ServerNo: s.No, ServerName: s.Name, ImageProduct: s.ImageProduct, Product: s.Product, ImageName: s.ImageName, Hypervisor: s.Hypervisor, OS: s.OS,
		DiskGB: s.DiskGB, DiskKind: s.DiskKind, VolumeType: "SSD", SourceImage: s.ServerImageNo}
	if s.Hypervisor == "KVM" {
		i.VolumeType = "CB1"
	}
	for _, d := range sorted(r.st.Disks) {
		if d.ServerNo == s.No && !d.Root {
			i.ExtraDisks = append(i.ExtraDisks, imageDisk{Order: int64(len(i.ExtraDisks) + 1), SizeGB: d.SizeGB, VolumeType: d.VolumeType, DiskNo: d.No})
		}
	}
	if len(list) > 0 {
		extra, boot, err := r.imageDisks(list)
		if err != nil {
			return reply{}, err
		}
		if boot == nil {
			return reply{}, errInvalid("blockStorageList needs the boot disk, order 0")
		}
		// Positions that the list names replace those of the server; the others stay.
		kept := without(i.ExtraDisks, func(d imageDisk) bool {
			return slices.ContainsFunc(list, func(q mappingParam) bool { return number(q.Order, 0) == d.Order })
		})
		i.ExtraDisks = append(kept, extra...)
	}
	if err := r.newImage(i, name, desc); err != nil {
		return reply{}, err
	}
	if r.platform == classic {
		i.Region, i.Zone = s.Region, s.Zone
	}
	s.Op, s.StatusName = "COPY", "copying"
	return r.imageRows(kind, i), nil
}

// imageDisks reads a blockStorageList: the additional disks, and the entry of the boot disk.
func (r *request) imageDisks(list []mappingParam) (extra []imageDisk, boot *mappingParam, err *apiError) {
	seen := map[int64]bool{}
	for n := range list {
		q := &list[n]
		if q.Order == nil {
			return nil, nil, errMissing("blockStorageList." + strconv.Itoa(n+1) + ".order")
		}
		if seen[*q.Order] {
			return nil, nil, errInvalid("blockStorageList: order %d is given twice", *q.Order)
		}
		seen[*q.Order] = true
		var snap *snapshot
		if q.Snapshot != "" {
			if snap = r.st.Snapshots[q.Snapshot]; snap == nil || !r.here(&snap.base) || !snap.idle() {
				return nil, nil, errNoSuch("snapshotInstanceNo", q.Snapshot)
			}
		}
		if *q.Order == 0 {
			if snap != nil && !snap.Bootable {
				return nil, nil, errInvalid("snapshotInstanceNo [%s] is not bootable", q.Snapshot)
			}
			boot = q
			continue
		}
		if truth(q.None) {
			continue
		}
		d := imageDisk{Order: *q.Order, SizeGB: number(q.Size, 0), VolumeType: q.VolumeType, SnapshotNo: q.Snapshot}
		if snap != nil {
			if d.SizeGB == 0 {
				d.SizeGB = snap.SizeGB
			}
			if d.SizeGB < snap.SizeGB {
				return nil, nil, errInvalid("blockStorageSize: smaller than the snapshot")
			}
		}
		if d.VolumeType == "" {
			d.VolumeType = "CB1"
		}
		if err := checkDiskSize(d.SizeGB, 16380); err != nil {
			return nil, nil, err
		}
		extra = append(extra, d)
	}
	return extra, boot, nil
}

func imageFromSnapshot(r *request, p *struct {
	Name  string         `p:"serverImageName,required,imagename"`
	Desc  string         `p:"serverImageDescription,bytes=1000"`
	Disks []mappingParam `p:"blockStorageList,required"`
}) (reply, *apiError) {
	extra, boot, err := r.imageDisks(p.Disks)
	if err != nil {
		return reply{}, err
	}
	if boot == nil || boot.Snapshot == "" {
		return reply{}, errInvalid("blockStorageList needs a bootable snapshot with order 0")
	}
	snap := r.st.Snapshots[boot.Snapshot]
	if snap.Hypervisor != "KVM" {
		return reply{}, errInvalid("only snapshots of KVM servers can become an image")
	}
	i := &image{Kind: kindServer, SnapshotNo: snap.No, ImageProduct: snap.ImageProduct, Hypervisor: snap.Hypervisor, OS: snap.OS, DiskGB: max(snap.SizeGB, number(boot.Size, 0)),
		DiskKind: "SSD", VolumeType: snap.VolumeType, ExtraDisks: extra}
	if err := r.newImage(i, p.Name, p.Desc); err != nil {
		return reply{}, err
	}
	return r.imageRows(kindServer, i), nil
}

func (r *request) deleteImages(kind string, nos []string) (reply, *apiError) {
	var list []*image
	for _, no := range nos {
		i := r.image(no, kind)
		switch {
		case i == nil && r.platform == classic:
			return reply{}, errContract()
		case i == nil:
			return reply{}, errNoSuch(kind+"NoList", no)
		case !i.idle() && !i.Stuck:
			return reply{}, errImaging()
		}
		for _, s := range r.st.Servers {
			if s.SourceImageNo == i.No && (s.Status == "INIT" || s.Status == "CREAT") && !s.Stuck {
				return reply{}, errImaging() // its files are being copied
			}
		}
		list = append(list, i)
	}
	for _, i := range list {
		i.Stuck, i.Next = false, nil
		i.set(i.Status, "TERMT", "terminating")
		i.after(r.latency.Image, step{Status: i.Status, Op: "TERMT", StatusName: "terminating", Then: thenGone})
		r.touch(i)
	}
	return r.imageRows(kind, list...), nil
}

func (r *request) share(kind, no, verb string, ids []string) (reply, *apiError) {
	i := r.image(no, kind)
	if i == nil {
		return reply{}, errNoSuch(kind+"No", no)
	}
	if len(ids) == 0 && verb != "set" {
		return reply{}, errMissing("targetLoginIdList")
	}
	if i.Status != "CREAT" || !i.idle() {
		return reply{}, errImaging()
	}
	switch verb {
	case "add":
		for _, id := range ids {
			if !slices.Contains(i.SharedWith, id) {
				i.SharedWith = append(i.SharedWith, id)
			}
		}
	case "set":
		i.SharedWith = ids
	case "remove":
		for _, id := range ids {
			if !slices.Contains(i.SharedWith, id) {
				return reply{}, errNoSuch("targetLoginIdList", id)
			}
		}
		i.SharedWith = without(i.SharedWith, func(id string) bool { return slices.Contains(ids, id) })
	}
	return r.imageRows(kind, i), nil
}

func (r *request) imageRows(kind string, list ...*image) reply {
	switch kind {
	case kindClassic:
		rows := []classicImageRow{}
		for _, i := range list {
			rows = append(rows, r.classicImageRow(i))
		}
		return rowsOf("memberServerImageList", rows)
	case kindMember:
		rows := []memberImageRow{}
		for _, i := range list {
			rows = append(rows, i.memberRow())
		}
		return rowsOf("memberServerImageInstanceList", rows)
	}
	rows := []serverImageRow{}
	for _, i := range list {
		rows = append(rows, i.serverRow())
	}
	return rowsOf("serverImageList", rows)
}

// diskDir is where the content of an image's additional disk is, below the cloud's directory.
func (i *image) diskDir(d imageDisk) string {
	return filepath.Join("images", i.No, "disk-"+strconv.FormatInt(d.Order, 10))
}

// contents lists the additional disks of a server made from the image.
func (i *image) contents() []imageDisk {
	list := slices.Clone(i.ExtraDisks)
	for n := range list {
		list[n].source = i.diskDir(list[n])
	}
	return list
}

// disks counts what the image holds once it is made: number and bytes, the boot disk included.
func (i *image) disks() (count, bytes int64) {
	if i.Status != "CREAT" {
		return 0, 0
	}
	count, bytes = 1, i.DiskGB*gb
	for _, d := range i.ExtraDisks {
		count++
		bytes += d.SizeGB * gb
	}
	return count, bytes
}

func (i *image) shareStatus() code {
	if len(i.SharedWith) > 0 {
		return named("SHARE", shareNames)
	}
	return named("NULL", shareNames)
}

func (i *image) shared() []string {
	if i.SharedWith == nil {
		return []string{}
	}
	return i.SharedWith
}

func (r *request) imagePlatform(i *image) string {
	img, _ := r.cat.image(i.Platform, i.ImageProduct)
	return platformType(i.ImageProduct, img.description)
}

type memberImageRow struct {
	No           string   `json:"memberServerImageInstanceNo"`
	Name         string   `json:"memberServerImageName"`
	Desc         string   `json:"memberServerImageDescription"`
	ServerNo     string   `json:"originalServerInstanceNo"`
	ImageProduct string   `json:"originalServerImageProductCode"`
	Status       code     `json:"memberServerImageInstanceStatus"`
	Operation    code     `json:"memberServerImageInstanceOperation"`
	StatusName   string   `json:"memberServerImageInstanceStatusName"`
	Date         string   `json:"createDate"`
	DiskCount    int64    `json:"memberServerImageBlockStorageTotalRows"`
	DiskBytes    int64    `json:"memberServerImageBlockStorageTotalSize"`
	Share        code     `json:"shareStatus"`
	SharedWith   []string `json:"sharedLoginIdList"`
}

func (i *image) memberRow() memberImageRow {
	count, bytes := i.disks()
	return memberImageRow{i.No, i.Name, i.Desc, i.ServerNo, i.ImageProduct, named(i.Status, imageStatusNames), named(i.Op, imageOpNames), i.StatusName, date(i.Created),
		count, bytes, i.shareStatus(), i.shared()}
}

type classicImageRow struct {
	No           string    `json:"memberServerImageNo"`
	Name         string    `json:"memberServerImageName"`
	Desc         string    `json:"memberServerImageDescription"`
	ServerNo     string    `json:"originalServerInstanceNo"`
	Product      string    `json:"originalServerProductCode"`
	ServerName   string    `json:"originalServerName"`
	DiskType     code      `json:"originalBaseBlockStorageDiskType"`
	ImageProduct string    `json:"originalServerImageProductCode"`
	OS           string    `json:"originalOsInformation"`
	ImageName    string    `json:"originalServerImageName"`
	StatusName   string    `json:"memberServerImageStatusName"`
	Status       code      `json:"memberServerImageStatus"`
	Operation    code      `json:"memberServerImageOperation"`
	Platform     code      `json:"memberServerImagePlatformType"`
	Region       regionRow `json:"region"`
	Zone         zoneRow   `json:"zone"`
	Date         string    `json:"createDate"`
	DiskCount    int64     `json:"memberServerImageBlockStorageTotalRows"`
	DiskBytes    int64     `json:"memberServerImageBlockStorageTotalSize"`
	Share        code      `json:"shareStatus"`
	SharedWith   []string  `json:"sharedLoginIdList"`
}

func (r *request) classicImageRow(i *image) classicImageRow {
	count, bytes := i.disks()
	img, _ := r.cat.image(classic, i.ImageProduct)
	return classicImageRow{i.No, i.Name, i.Desc, i.ServerNo, i.Product, i.ServerName, netDisk, i.ImageProduct, img.description, i.ImageName, i.StatusName,
		named(i.Status, imageStatusNames), named(i.Op, imageOpNames), named(r.imagePlatform(i), platformNames), r.regionRow(i.Region), r.zoneRow(i.Zone), date(i.Created),
		count, bytes, i.shareStatus(), i.shared()}
}

type serverImageRow struct {
	No          string            `json:"serverImageNo"`
	Name        string            `json:"serverImageName"`
	Desc        string            `json:"serverImageDescription"`
	ProductCode string            `json:"serverImageProductCode"`
	Type        code              `json:"serverImageType"`
	Hypervisor  code              `json:"hypervisorType"`
	CPU         code              `json:"cpuArchitectureType"`
	OSCategory  code              `json:"osCategoryType"`
	OSType      code              `json:"osType"`
	Status      code              `json:"serverImageStatus"`
	Operation   code              `json:"serverImageOperation"`
	StatusName  string            `json:"serverImageStatusName"`
	Date        string            `json:"createDate"`
	Share       code              `json:"shareStatus"`
	SharedWith  []string          `json:"sharedLoginIdList"`
	Disks       []imageMappingRow `json:"blockStorageMappingList"`
	Phase       code              `json:"serverImageLifeCyclePhase"`
	Category    string            `json:"platformCategoryCode"`
}

type imageMappingRow struct {
	Order        int64  `json:"order"`
	SnapshotNo   int64  `json:"blockStorageSnapshotInstanceNo"`
	SnapshotName string `json:"blockStorageSnapshotName"`
	Size         int64  `json:"blockStorageSize"`
	Name         string `json:"blockStorageName"`
	VolumeType   code   `json:"blockStorageVolumeType"`
	IOPS         int64  `json:"iops"`
	Throughput   int64  `json:"throughput"`
	Encrypted    bool   `json:"isEncryptedVolume"`
}

func serverImageRowOf(no, name, hypervisor, osType string) serverImageRow {
	category := "LINUX"
	if osType == "WINDOWS" {
		category = "WINDOWS"
	}
	return serverImageRow{No: no, Name: name, Hypervisor: code{hypervisor, hypervisor}, CPU: code{"X86_64", "x86 64bit"}, OSCategory: code{category, category}, OSType: code{osType, osType},
		Status: named("CREAT", imageStatusNames), Operation: code{"NULL", "NSI NULL OP"}, StatusName: "created", Share: named("NULL", shareNames), SharedWith: []string{},
		Disks: []imageMappingRow{}, Phase: code{"IN_SERVICE", "IN_SERVICE"}}
}

func mappingRow(imageNo, imageName string, order, sizeGB int64, volumeType string) imageMappingRow {
	n, _ := strconv.ParseInt(imageNo, 10, 64)
	return imageMappingRow{Order: order, SnapshotNo: n + 1 + order, SnapshotName: "snapshot of " + imageName, Size: sizeGB * gb, VolumeType: named(volumeType, volumeNames), IOPS: 100, Throughput: 104857600}
}

func (p serverImage) row() serverImageRow {
	row := serverImageRowOf(p.no, p.name, p.hypervisor, p.osType)
	row.Desc, row.ProductCode, row.Type, row.Category = p.description, p.productCode, code{"NCP", "NCP Server Image"}, p.category
	row.Date = "2024-03-21T18:22:55+0900"
	row.Disks = append(row.Disks, mappingRow(p.no, p.name, 0, p.diskGB, p.volumeType))
	return row
}

func (i *image) serverRow() serverImageRow {
	osName, _, _ := strings.Cut(i.OS, "-")
	row := serverImageRowOf(i.No, i.Name, i.Hypervisor, strings.ToUpper(osName))
	row.Desc, row.ProductCode, row.Type, row.Category = i.Desc, i.ImageProduct, code{"SELF", "My Server Image"}, "OS"
	row.Status, row.StatusName, row.Date = named(i.Status, imageStatusNames), i.StatusName, date(i.Created)
	row.Operation = named(i.Op, imageOpNames)
	if i.Op == "NULL" {
		row.Operation.CodeName = "NSI NULL OP"
	}
	row.Share, row.SharedWith = i.shareStatus(), i.shared()
	if i.Status == "CREAT" {
		row.Disks = append(row.Disks, mappingRow(i.No, i.Name, 0, i.DiskGB, i.VolumeType))
		for _, d := range i.ExtraDisks {
			row.Disks = append(row.Disks, mappingRow(i.No, i.Name, d.Order, d.SizeGB, d.VolumeType))
		}
	}
	return row
}
