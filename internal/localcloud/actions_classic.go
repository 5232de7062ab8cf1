package localcloud

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
)

// Classic: servers, access control groups (read only), port forwarding, tags.

func init() {
	handle("server", "createServerInstances", createClassicServers)
	handle("server", "getServerInstanceList", func(r *request, p *struct {
		paging
		classicPlace
		Nos        []string `p:"serverInstanceNoList"`
		FilterName string   `p:"searchFilterName"`
		Filter     string   `p:"searchFilterValue"`
		Status     string   `p:"serverInstanceStatusCode,len=0-5"`
		DiskType   string   `p:"baseBlockStorageDiskTypeCode,oneof=NET|LOCAL"`
		DiskDetail string   `p:"baseBlockStorageDiskDetailTypeCode,oneof=HDD|SSD"`
		Types      []string `p:"serverInstanceTypeCodeList,oneof=MICRO|COMPT|STAND|HIMEM|GPU|VDS|CPU|HICPU"`
		TagKeys    []string `p:"tagKeyList"`
		TagValues  []string `p:"tagValueList"`
	}) (reply, *apiError) {
		see, err := r.listPlace(p.classicPlace, len(p.Nos) > 0)
		if err != nil {
			return reply{}, err
		}
		var rows []classicServerRow
		for _, s := range sorted(r.st.Servers) {
			tagged := len(p.TagKeys)+len(p.TagValues) == 0 || slices.ContainsFunc(r.st.Tags, func(t tag) bool {
				return t.InstanceNo == s.No && wantedIn(p.TagKeys, t.Key) && wantedIn(p.TagValues, t.Value)
			})
			if see(&s.base) && wantedIn(p.Nos, s.No) && wanted(p.Status, s.Status) && wanted(p.DiskType, "NET") && wanted(p.DiskDetail, s.DiskKind) && wantedIn(p.Types, s.TypeCode) && tagged &&
				search(p.FilterName, p.Filter, map[string]string{"servername": s.Name, "ip": s.PrivateIP + " " + r.publicIPOf(s)}) {
				rows = append(rows, r.classicServerRow(s, len(p.Nos) == 1))
			}
		}
		return page("serverInstanceList", rows, p.paging)
	})

	handle("server", "getAccessControlGroupList", func(r *request, p *struct {
		paging
		Nos     []string `p:"accessControlGroupConfigurationNoList"`
		Default *bool    `p:"isDefault"`
		Name    string   `p:"accessControlGroupName"`
	}) (reply, *apiError) {
		var rows []classicACGRow
		for _, g := range sorted(r.st.ACGs) {
			if g.Platform == classic && wantedIn(p.Nos, g.No) && (p.Default == nil || *p.Default == g.Default) && wanted(p.Name, g.Name) {
				rows = append(rows, g.classicRow())
			}
		}
		return page("accessControlGroupList", rows, p.paging)
	})
	handle("server", "getAccessControlRuleList", func(r *request, p *struct {
		No string `p:"accessControlGroupConfigurationNo,required"`
	}) (reply, *apiError) {
		g := r.st.ACGs[p.No]
		if g == nil || g.Platform != classic {
			return reply{}, errNotYourACG(p.No)
		}
		rows := []classicRuleRow{}
		for _, u := range g.Rules {
			rows = append(rows, classicRuleRow{u.No, code{u.Protocol, strings.ToLower(u.Protocol)}, u.CIDR, "", "", u.Ports, u.Desc})
		}
		return rowsOf("accessControlRuleList", rows), nil
	})

	handle("server", "addPortForwardingRules", addForwards)
	handle("server", "getPortForwardingConfigurationList", func(r *request, p *struct {
		classicPlace
		ServerNos []string `p:"serverInstanceNoList"`
	}) (reply, *apiError) {
		region, err := r.place(p.classicPlace)
		if err != nil {
			return reply{}, err
		}
		rows := []forwardConfigRow{}
		for _, z := range r.cat.zonesOf(classic, region) {
			if p.ZoneNo == "" || z.no == p.ZoneNo {
				row := forwardConfigRow{forwardConfig(z), r.st.ForwardIPs[z.code], []string{}}
				for _, f := range r.forwards(z.code) {
					row.Servers = append(row.Servers, f.Server.No)
				}
				rows = append(rows, row)
			}
		}
		return rowsOf("portForwardingConfigurationList", rows), nil
	})
	handle("server", "getPortForwardingRuleList", func(r *request, p *struct{ classicPlace }) (reply, *apiError) {
		region, err := r.place(p.classicPlace)
		if err != nil {
			return reply{}, err
		}
		zone := r.zoneCode(p.ZoneNo, region)
		return r.forwardRows(zone), nil
	})
	handle("server", "deletePortForwardingRules", func(r *request, p *forwardParams) (reply, *apiError) {
		zone, err := r.forwardZone(p.ConfigNo)
		if err != nil {
			return reply{}, err
		}
		left := slices.Clone(r.st.PortForwards)
		for _, q := range p.Rules {
			f := portForward{ConfigNo: p.ConfigNo, ServerNo: q.ServerNo, Zone: zone, External: *q.External, Internal: *q.Internal}
			i := slices.Index(left, f)
			if i < 0 {
				return reply{}, errInvalid("there is no port forwarding rule %d -> %d of server [%s]", f.External, f.Internal, f.ServerNo)
			}
			left = slices.Delete(left, i, i+1)
		}
		r.st.PortForwards = left
		return r.forwardRows(zone), nil
	})

	handle("server", "createInstanceTags", func(r *request, p *tagParams) (reply, *apiError) {
		if len(p.Tags) == 0 {
			return reply{}, errMissing("instanceTagList")
		}
		if err := r.checkTags(p); err != nil {
			return reply{}, err
		}
		for _, no := range p.Nos {
			r.tag(no, p.Tags)
		}
		return r.tagRows(p.Nos, nil, nil, paging{})
	})
	handle("server", "getInstanceTagList", func(r *request, p *struct {
		paging
		Nos    []string `p:"instanceNoList"`
		Keys   []string `p:"tagKeyList"`
		Values []string `p:"tagValueList"`
	}) (reply, *apiError) {
		return r.tagRows(p.Nos, p.Keys, p.Values, p.paging)
	})
	handle("server", "deleteInstanceTags", func(r *request, p *tagParams) (reply, *apiError) {
		if err := r.checkTags(p); err != nil {
			return reply{}, err
		}
		r.st.Tags = without(r.st.Tags, func(t tag) bool {
			return slices.Contains(p.Nos, t.InstanceNo) && (len(p.Tags) == 0 || slices.ContainsFunc(p.Tags, func(q tagParam) bool {
				return q.Key == t.Key && (q.Value == "" || q.Value == t.Value)
			}))
		})
		return reply{}, nil
	})
}

func createClassicServers(r *request, p *struct {
	ImageProduct string      `p:"serverImageProductCode,len=1-20"`
	Product      string      `p:"serverProductCode,len=1-20"`
	MemberImage  string      `p:"memberServerImageNo"`
	Name         string      `p:"serverName,len=3-30"`
	Desc         string      `p:"serverDescription,len=1-1000"`
	LoginKey     string      `p:"loginKeyName,len=3-30"`
	Protect      *bool       `p:"isProtectServerTermination"`
	Count        *int64      `p:"serverCreateCount,range=1-20"`
	Start        *int64      `p:"serverCreateStartNo,range=0-999"`
	Fee          string      `p:"feeSystemTypeCode,oneof=MTRAT|FXSUM"`
	UserData     string      `p:"userData"`
	InitScript   string      `p:"initScriptNo"`
	ZoneNo       string      `p:"zoneNo"`
	ACGs         []string    `p:"accessControlGroupConfigurationNoList"`
	Raid         string      `p:"raidTypeName"`
	Tags         []tagParam  `p:"instanceTagList"`
	Vaccine      *bool       `p:"isVaccineInstall"`
	Partitions   []partParam `p:"blockDevicePartitionList"`
}) (reply, *apiError) {
	region, err := r.place(classicPlace{ZoneNo: p.ZoneNo})
	if err != nil {
		return reply{}, err
	}
	var model server
	var extra []imageDisk
	if p.MemberImage != "" { // the member image wins when both are given
		i := r.image(p.MemberImage, kindClassic)
		if i == nil || i.Region != region {
			return reply{}, errInvalid("memberServerImageNo [%s] was not found", p.MemberImage)
		}
		if i.Status != "CREAT" {
			return reply{}, errImaging()
		}
		if model, err = r.fromProducts(i.ImageProduct, p.Product, p.Fee); err != nil {
			return reply{}, err
		}
		model.MemberImageNo, model.SourceImageNo, model.OS = i.No, i.No, i.OS
		extra = i.contents()
	} else {
		if p.ImageProduct == "" {
			return reply{}, errMissing("serverImageProductCode or memberServerImageNo")
		}
		if model, err = r.fromProducts(p.ImageProduct, p.Product, p.Fee); err != nil {
			return reply{}, err
		}
	}
	key, err := r.keyFor(p.LoginKey)
	if err != nil {
		return reply{}, err
	}
	if p.InitScript != "" {
		return reply{}, errInvalid("initScriptNo [%s] was not found", p.InitScript)
	}
	// The API takes the script base64-encoded. What is not base64 is taken as it is.
	script := p.UserData
	if b, err := base64.StdEncoding.DecodeString(p.UserData); err == nil {
		script = string(b)
	}
	if len([]rune(script)) > 21847 {
		return reply{}, errInvalid("userData: longer than 21847 characters")
	}
	acgs := p.ACGs
	if len(acgs) > 5 {
		return reply{}, errInvalid("accessControlGroupConfigurationNoList: at most 5 groups")
	}
	for _, no := range acgs {
		if g := r.st.ACGs[no]; g == nil || g.Platform != classic {
			return reply{}, errNotYourACG(no)
		}
	}
	if len(acgs) == 0 {
		for _, g := range sorted(r.st.ACGs) {
			if g.Platform == classic && g.Default {
				acgs = []string{g.No}
			}
		}
	}
	names, err := r.serverNames(p.Name, number(p.Count, 1), number(p.Start, 0))
	if err != nil {
		return reply{}, err
	}

	var made []*server
	for _, name := range names {
		s := new(server)
		*s = model
		s.No, s.Name, s.Desc = r.st.number("classic"), name, p.Desc
		s.Platform, s.Region, s.Zone = classic, region, r.zoneCode(p.ZoneNo, region)
		s.PrivateIP, s.ACGs, s.UserData = r.freeClassicIP(), acgs, script
		s.LoginKey, s.KeyPublic = key.Name, key.Public
		s.Protected, s.FeeCode = truth(p.Protect), p.Fee
		for _, b := range p.Partitions {
			s.Partitions = append(s.Partitions, partition(b))
		}
		if r.st.ForwardIPs[s.Zone] == "" {
			r.st.ForwardIPs[s.Zone] = r.newAddress()
		}
		r.begin(s, extra)
		r.tag(s.No, p.Tags)
		made = append(made, s)
	}
	return r.serverRows(made), nil
}

type classicServerRow struct {
	No                  string          `json:"serverInstanceNo"`
	Name                string          `json:"serverName"`
	Desc                string          `json:"serverDescription"`
	CPUCount            int64           `json:"cpuCount"`
	MemorySize          int64           `json:"memorySize"`
	DiskSize            int64           `json:"baseBlockStorageSize"`
	PlatformType        code            `json:"platformType"`
	LoginKeyName        string          `json:"loginKeyName"`
	FeeMonitoring       bool            `json:"isFeeChargingMonitoring"`
	PublicIP            string          `json:"publicIp"`
	PrivateIP           string          `json:"privateIp"`
	ImageName           string          `json:"serverImageName"`
	Status              code            `json:"serverInstanceStatus"`
	Operation           code            `json:"serverInstanceOperation"`
	StatusName          string          `json:"serverInstanceStatusName"`
	CreateDate          string          `json:"createDate"`
	Uptime              string          `json:"uptime"`
	ImageProduct        string          `json:"serverImageProductCode"`
	Product             string          `json:"serverProductCode"`
	Protected           bool            `json:"isProtectServerTermination"`
	ForwardIP           string          `json:"portForwardingPublicIp"`
	ForwardExternalPort *int64          `json:"portForwardingExternalPort"`
	ForwardInternalPort *int64          `json:"portForwardingInternalPort"`
	Zone                zoneRow         `json:"zone"`
	Region              regionRow       `json:"region"`
	DiskType            code            `json:"baseBlockStorageDiskType"`
	DiskDetail          code            `json:"baseBlockStorageDiskDetailType"`
	Type                code            `json:"serverInstanceType"`
	UserData            string          `json:"userData"`
	ACGs                []classicACGRow `json:"accessControlGroupList"`
	Tags                []tagRow        `json:"instanceTagList"`
	Partitions          []partitionRow  `json:"blockDevicePartitionList"`
}

// classicServerRow shows a server. The start script is told only when a single server was asked for.
func (r *request) classicServerRow(s *server, withScript bool) classicServerRow {
	img, _ := r.cat.image(classic, s.ImageProduct)
	platform := platformType(s.ImageProduct, img.description)
	row := classicServerRow{No: s.No, Name: s.Name, Desc: s.Desc, CPUCount: s.CPU, MemorySize: s.MemGB * gb, DiskSize: s.DiskGB * gb, PlatformType: named(platform, platformNames),
		LoginKeyName: s.LoginKey, PublicIP: r.publicIPOf(s), PrivateIP: s.PrivateIP, ImageName: s.ImageName, Status: named(s.Status, serverStatusNames),
		Operation: named(s.Op, serverOpNames), StatusName: s.StatusName, CreateDate: date(s.Created), Uptime: date(s.Uptime), ImageProduct: s.ImageProduct, Product: s.Product,
		Protected: s.Protected, ForwardIP: r.st.ForwardIPs[s.Zone], Zone: r.zoneRow(s.Zone), Region: r.regionRow(s.Region), DiskType: netDisk,
		DiskDetail: code{s.DiskKind, s.DiskKind}, Type: named(s.TypeCode, serverTypes), ACGs: []classicACGRow{}, Tags: []tagRow{}, Partitions: partitionRows(s)}
	if row.Uptime == "" {
		row.Uptime = row.CreateDate
	}
	if withScript {
		row.UserData = s.UserData
	}
	for _, no := range s.ACGs {
		if g := r.st.ACGs[no]; g != nil {
			row.ACGs = append(row.ACGs, g.classicRow())
		}
	}
	for _, t := range r.st.Tags {
		if t.InstanceNo == s.No {
			row.Tags = append(row.Tags, t.row())
		}
	}
	for _, f := range r.st.PortForwards {
		if f.ServerNo == s.No {
			row.ForwardExternalPort, row.ForwardInternalPort = &f.External, &f.Internal
		}
	}
	return row
}

type classicACGRow struct {
	No      string `json:"accessControlGroupConfigurationNo"`
	Name    string `json:"accessControlGroupName"`
	Desc    string `json:"accessControlGroupDescription"`
	Default bool   `json:"isDefaultGroup"`
	Date    string `json:"createDate"`
}

func (g *acg) classicRow() classicACGRow {
	return classicACGRow{g.No, g.Name, g.Desc, g.Default, date(g.Created)}
}

type classicRuleRow struct {
	No         string `json:"accessControlRuleConfigurationNo"`
	Protocol   code   `json:"protocolType"`
	SourceIP   string `json:"sourceIp"`
	SourceNo   string `json:"sourceAccessControlRuleConfigurationNo"`
	SourceName string `json:"sourceAccessControlRuleName"`
	Port       string `json:"destinationPort"`
	Desc       string `json:"accessControlRuleDescription"`
}

type forwardParams struct {
	ConfigNo string         `p:"portForwardingConfigurationNo,required"`
	Rules    []forwardParam `p:"portForwardingRuleList,required"`
}

type forwardParam struct {
	External *int64 `p:"portForwardingExternalPort,required,range=1-65534"`
	Internal *int64 `p:"portForwardingInternalPort,required,range=1-65534"`
	ServerNo string `p:"serverInstanceNo,required"`
}

// forwardConfig is the number of a zone's port forwarding configuration; each zone has one.
func forwardConfig(z zone) string {
	n, _ := strconv.ParseInt(z.no, 10, 64)
	return strconv.FormatInt(firstNumber["forward"]+n, 10)
}

func (r *request) forwardZone(configNo string) (string, *apiError) {
	for _, z := range r.cat.classicZones {
		if forwardConfig(z) == configNo {
			return z.code, nil
		}
	}
	return "", errInvalid("portForwardingConfigurationNo [%s] was not found", configNo)
}

func addForwards(r *request, p *forwardParams) (reply, *apiError) {
	zone, err := r.forwardZone(p.ConfigNo)
	if err != nil {
		return reply{}, err
	}
	all := slices.Clone(r.st.PortForwards)
	for _, q := range p.Rules {
		s := r.serverNo(q.ServerNo)
		if s == nil || s.Zone != zone {
			return reply{}, errServerNo()
		}
		want := int64(22)
		if isWindowsOS(s.OS) {
			want = 3389
		}
		if *q.Internal != want {
			return reply{}, errInvalid("portForwardingInternalPort must be %d for server [%s]", want, s.No)
		}
		for _, f := range all {
			if f.Zone == zone && (f.External == *q.External || f.ServerNo == s.No) {
				return reply{}, errInvalid("port %d is taken, or server [%s] has a rule already", *q.External, s.No)
			}
		}
		all = append(all, portForward{p.ConfigNo, s.No, zone, *q.External, *q.Internal})
	}
	r.st.PortForwards = all
	return r.forwardRows(zone), nil
}

type forwardRow struct {
	ConfigNo string           `json:"portForwardingConfigurationNo"`
	IP       string           `json:"portForwardingPublicIp"`
	Zone     zoneRow          `json:"zone"`
	External int64            `json:"portForwardingExternalPort"`
	Internal int64            `json:"portForwardingInternalPort"`
	Server   classicServerRow `json:"serverInstance"`
}

// forwards lists the rules of a zone.
func (r *request) forwards(zone string) []forwardRow {
	rows := []forwardRow{}
	for _, f := range r.st.PortForwards {
		if s := r.st.Servers[f.ServerNo]; s != nil && f.Zone == zone {
			rows = append(rows, forwardRow{f.ConfigNo, r.st.ForwardIPs[zone], r.zoneRow(zone), f.External, f.Internal, r.classicServerRow(s, false)})
		}
	}
	return rows
}

func (r *request) forwardRows(zone string) reply {
	return rowsOf("portForwardingRuleList", r.forwards(zone))
}

// forwardConfigRow is the configuration of a zone. The documented list of rules does not tell its number as long as
// there is no rule; the official provider asks for it this way.
type forwardConfigRow struct {
	ConfigNo string   `json:"portForwardingConfigurationNo"`
	IP       string   `json:"portForwardingPublicIp"`
	Servers  []string `json:"serverInstanceNoList"`
}

type tagParams struct {
	Nos  []string   `p:"instanceNoList,required"`
	Tags []tagParam `p:"instanceTagList"`
}

type tagParam struct {
	Key   string `p:"tagKey"`
	Value string `p:"tagValue"`
}

func (r *request) checkTags(p *tagParams) *apiError {
	for _, no := range p.Nos {
		if r.serverNo(no) == nil {
			return errInvalid("instanceNoList [%s] was not found", no)
		}
	}
	for _, t := range p.Tags {
		if t.Key == "" {
			return errMissing("instanceTagList.tagKey")
		}
	}
	return nil
}

func (r *request) tag(no string, tags []tagParam) {
	for _, q := range tags {
		r.st.Tags = without(r.st.Tags, func(t tag) bool { return t.InstanceNo == no && t.Key == q.Key })
		r.st.Tags = append(r.st.Tags, tag{no, q.Key, q.Value})
	}
}

type tagRow struct {
	No    string `json:"instanceNo"`
	Type  code   `json:"instanceType"`
	Key   string `json:"tagKey"`
	Value string `json:"tagValue"`
}

func (t tag) row() tagRow { return tagRow{t.InstanceNo, code{"SVR", "Server"}, t.Key, t.Value} }

func (r *request) tagRows(nos, keys, values []string, p paging) (reply, *apiError) {
	var rows []tagRow
	for _, t := range r.st.Tags {
		if wantedIn(nos, t.InstanceNo) && wantedIn(keys, t.Key) && wantedIn(values, t.Value) {
			rows = append(rows, t.row())
		}
	}
	return page("instanceTagList", rows, p)
}
