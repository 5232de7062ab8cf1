package localcloud

import (
	"slices"
	"strings"
)

// Public IPs of both platforms. They differ in their states: on VPC an IP is RUN whether or not a server has it.

func init() {
	handle("vserver", "createPublicIpInstance", func(r *request, p *struct {
		Desc     string `p:"publicIpDescription,bytes=1000"`
		ServerNo string `p:"serverInstanceNo"`
	}) (reply, *apiError) {
		return r.createPublicIP(p.ServerNo, p.Desc, r.region, "")
	})
	handle("server", "createPublicIpInstance", func(r *request, p *struct {
		classicPlace
		Desc     string `p:"publicIpDescription,bytes=1000"`
		ServerNo string `p:"serverInstanceNo"`
	}) (reply, *apiError) {
		region, err := r.place(p.classicPlace)
		if err != nil {
			return reply{}, err
		}
		return r.createPublicIP(p.ServerNo, p.Desc, region, r.zoneCode(p.ZoneNo, region))
	})
	handle("vserver", "getPublicIpInstanceDetail", func(r *request, p *struct {
		No string `p:"publicIpInstanceNo,required"`
	}) (reply, *apiError) {
		return rowsOf("publicIpInstanceList", detail(r, r.st.PublicIPs, p.No, r.vpcIPRow)), nil
	})
	handle("vserver", "getPublicIpInstanceList", func(r *request, p *struct {
		paging
		Nos        []string `p:"publicIpInstanceNoList"`
		IP         string   `p:"publicIp"`
		PrivateIP  string   `p:"privateIp"`
		Associated *bool    `p:"isAssociated"`
		ServerName string   `p:"serverName"`
		Status     string   `p:"publicIpInstanceStatusCode"`
		VPCNo      string   `p:"vpcNo"`
	}) (reply, *apiError) {
		var rows []vpcIPRow
		for _, ip := range sorted(r.st.PublicIPs) {
			row := r.vpcIPRow(ip)
			s := r.st.Servers[ip.ServerNo]
			if r.here(&ip.base) && wantedIn(p.Nos, ip.No) && wanted(p.IP, ip.IP) && wanted(p.PrivateIP, row.PrivateIP) && (p.Associated == nil || *p.Associated == (ip.ServerNo != "")) &&
				wanted(p.ServerName, row.ServerName) && wanted(p.Status, ip.Status) && (p.VPCNo == "" || s != nil && s.VPCNo == p.VPCNo) {
				rows = append(rows, row)
			}
		}
		return page("publicIpInstanceList", rows, p.paging)
	})
	handle("server", "getPublicIpInstanceList", func(r *request, p *struct {
		paging
		classicPlace
		Associated *bool    `p:"isAssociated"`
		Nos        []string `p:"publicIpInstanceNoList"`
		IPs        []string `p:"publicIpList"`
		FilterName string   `p:"searchFilterName"`
		Filter     string   `p:"searchFilterValue"`
	}) (reply, *apiError) {
		see, err := r.listPlace(p.classicPlace, len(p.Nos)+len(p.IPs) > 0)
		if err != nil {
			return reply{}, err
		}
		var rows []classicIPRow
		for _, ip := range sorted(r.st.PublicIPs) {
			s := r.st.Servers[ip.ServerNo]
			name := ""
			if s != nil {
				name = s.Name
			}
			if see(&ip.base) && (p.Associated == nil || *p.Associated == (s != nil)) && wantedIn(p.Nos, ip.No) && wantedIn(p.IPs, ip.IP) &&
				search(p.FilterName, p.Filter, map[string]string{"publicip": ip.IP, "associatedservername": name}) {
				rows = append(rows, r.classicIPRow(ip))
			}
		}
		return page("publicIpInstanceList", rows, p.paging)
	})

	type pair struct {
		No       string `p:"publicIpInstanceNo"`
		ServerNo string `p:"serverInstanceNo"`
	}
	for _, service := range []string{"server", "vserver"} {
		handle(service, "associatePublicIpWithServerInstance", func(r *request, p *pair) (reply, *apiError) {
			if p.No == "" || p.ServerNo == "" {
				return reply{}, errMissing("publicIpInstanceNo and serverInstanceNo")
			}
			ip, err := r.publicIPNo(p.No)
			if err != nil {
				return reply{}, err
			}
			if !ip.idle() || ip.ServerNo != "" {
				return reply{}, errIPBusy()
			}
			s, err := r.serverForIP(p.ServerNo)
			if err != nil {
				return reply{}, err
			}
			if s.Region != ip.Region {
				return reply{}, errNoSuch("serverInstanceNo", p.ServerNo)
			}
			r.giveIP(ip, s)
			return r.ipRows([]*publicIP{ip}), nil
		})
		handle(service, "disassociatePublicIpFromServerInstance", func(r *request, p *pair) (reply, *apiError) {
			no := p.No
			if s := r.serverNo(p.ServerNo); no == "" && s != nil {
				no = s.PublicIPNo
			}
			if no == "" && p.ServerNo == "" {
				return reply{}, errMissing("publicIpInstanceNo")
			}
			ip, err := r.publicIPNo(no)
			if err != nil {
				return reply{}, err
			}
			if ip.ServerNo == "" {
				return reply{}, errIPFree()
			}
			if !ip.idle() && !ip.Stuck {
				return reply{}, errIPBusy()
			}
			ip.Stuck, ip.Next = false, nil
			if r.platform == classic {
				ip.set("USED", "DISUS", "disusing")
				ip.after(r.latency.Network, step{Status: "CREAT", Op: "NULL", StatusName: "created", Then: thenFree})
			} else {
				ip.set("RUN", "SET", "설정중")
				ip.after(r.latency.Network, step{Status: "RUN", Op: "NULL", StatusName: "운영중", Then: thenFree})
			}
			ip.Modified = r.now()
			if s := r.st.Servers[ip.ServerNo]; s != nil {
				r.setup(s)
			}
			r.touch(ip)
			return r.ipRows([]*publicIP{ip}), nil
		})
	}
	handle("vserver", "deletePublicIpInstance", func(r *request, p *struct {
		No string `p:"publicIpInstanceNo,required"`
	}) (reply, *apiError) {
		return r.deletePublicIPs([]string{p.No})
	})
	handle("server", "deletePublicIpInstances", func(r *request, p *struct {
		Nos []string `p:"publicIpInstanceNoList,required"`
	}) (reply, *apiError) {
		return r.deletePublicIPs(p.Nos)
	})
}

func (r *request) publicIPNo(no string) (*publicIP, *apiError) {
	ip := r.st.PublicIPs[no]
	if ip == nil || !r.here(&ip.base) {
		if r.platform == classic {
			return nil, errContract()
		}
		return nil, errNoSuch("publicIpInstanceNo", no)
	}
	return ip, nil
}

// serverForIP finds a server that can be given a public IP now: it has none, and stands in a public subnet.
func (r *request) serverForIP(no string) (*server, *apiError) {
	s := r.serverNo(no)
	if s == nil {
		return nil, errServerNo()
	}
	if err := mayAttach(s); err != nil {
		return nil, err
	}
	if s.PublicIPNo != "" {
		return nil, errInvalid("server [%s] has a public IP already", no)
	}
	if !r.inPublicSubnet(s) {
		return nil, errInvalid("server [%s] is in a private subnet", no)
	}
	return s, nil
}

// publicIPQuota: there may be no more public IPs than servers, terminated ones not counted.
func (r *request) publicIPQuota(comingServers int) *apiError {
	servers, ips := comingServers, 0
	for _, s := range r.st.Servers {
		if s.Platform == r.platform {
			servers++
		}
	}
	for _, ip := range r.st.PublicIPs {
		if ip.Platform == r.platform {
			ips++
		}
	}
	if ips >= servers {
		return errQuota()
	}
	return nil
}

func (r *request) createPublicIP(serverNo, desc, region, zone string) (reply, *apiError) {
	var s *server
	if serverNo != "" {
		var err *apiError
		if s, err = r.serverForIP(serverNo); err != nil {
			return reply{}, err
		}
		region, zone = s.Region, s.Zone
	}
	if err := r.publicIPQuota(0); err != nil {
		return reply{}, err
	}
	ip := r.makeIP(desc, region, zone)
	if s != nil {
		r.giveIP(ip, s)
	}
	return r.ipRows([]*publicIP{ip}), nil
}

func (r *request) makeIP(desc, region, zone string) *publicIP {
	ip := &publicIP{IP: r.newAddress(), Modified: r.now()}
	ip.No = r.st.number(r.instanceCounter())
	ip.Desc, ip.Platform, ip.Region, ip.Zone, ip.Created = desc, r.platform, region, zone, r.now()
	if r.platform == classic {
		ip.set("CREAT", "NULL", "created")
	} else {
		ip.set("INIT", "CREAT", "생성중")
		ip.after(r.latency.Network, step{Status: "RUN", Op: "NULL", StatusName: "운영중"})
	}
	r.st.PublicIPs[ip.No] = ip
	r.touch(ip)
	return ip
}

// giveIP associates an IP. Both sides name each other at once; the server answers there when the IP has settled.
func (r *request) giveIP(ip *publicIP, s *server) {
	ip.ServerNo, s.PublicIPNo, ip.Modified = s.No, ip.No, r.now()
	if r.platform == classic {
		ip.set("CREAT", "USE", "using")
		ip.after(r.latency.Network, step{Status: "USED", Op: "NULL", StatusName: "used"})
	} else if ip.Status == "RUN" {
		ip.set("RUN", "SET", "설정중")
		ip.after(r.latency.Network, step{Status: "RUN", Op: "NULL", StatusName: "운영중"})
	}
	r.setup(s)
	r.touch(ip)
}

// addPublicIP makes the IP that a new server asks for. It stays behind when the server goes.
func (r *request) addPublicIP(s *server, desc string) {
	ip := r.makeIP(desc, s.Region, s.Zone)
	ip.ServerNo, s.PublicIPNo = s.No, ip.No
}

func (r *request) deletePublicIPs(nos []string) (reply, *apiError) {
	var list []*publicIP
	for _, no := range nos {
		ip, err := r.publicIPNo(no)
		switch {
		case err != nil:
			return reply{}, err
		case ip.Status == "INIT" && !ip.Stuck:
			return reply{}, errIPInit()
		case ip.ServerNo != "" && !ip.Stuck:
			return reply{}, errIPAttached(ip.No)
		case !ip.idle() && !ip.Stuck:
			return reply{}, errIPBusy()
		}
		list = append(list, ip)
	}
	for _, ip := range list {
		ip.Stuck, ip.Next = false, nil
		if r.platform == classic {
			ip.set("TERMT", "NULL", "terminated")
			ip.after(r.latency.Network, step{Status: "TERMT", Op: "NULL", StatusName: "terminated", Then: thenGone})
		} else {
			ip.set("RUN", "TERMT", "삭제중")
			ip.after(r.latency.Network, step{Status: "RUN", Op: "TERMT", StatusName: "삭제중", Then: thenGone})
		}
		r.touch(ip)
	}
	return r.ipRows(list), nil
}

func (r *request) ipRows(list []*publicIP) reply {
	if r.platform == classic {
		rows := []classicIPRow{}
		for _, ip := range list {
			rows = append(rows, r.classicIPRow(ip))
		}
		return rowsOf("publicIpInstanceList", rows)
	}
	rows := []vpcIPRow{}
	for _, ip := range list {
		rows = append(rows, r.vpcIPRow(ip))
	}
	return rowsOf("publicIpInstanceList", rows)
}

type vpcIPRow struct {
	No         string `json:"publicIpInstanceNo"`
	IP         string `json:"publicIp"`
	Desc       string `json:"publicIpDescription"`
	Date       string `json:"createDate"`
	StatusName string `json:"publicIpInstanceStatusName"`
	Status     code   `json:"publicIpInstanceStatus"`
	ServerNo   string `json:"serverInstanceNo"`
	ServerName string `json:"serverName"`
	PrivateIP  string `json:"privateIp"`
	Modified   string `json:"lastModifyDate"`
	Operation  code   `json:"publicIpInstanceOperation"`
}

func (r *request) vpcIPRow(ip *publicIP) vpcIPRow {
	row := vpcIPRow{No: ip.No, IP: ip.IP, Desc: ip.Desc, Date: date(ip.Created), StatusName: ip.StatusName, Status: named(ip.Status, vpcIPStatus),
		ServerNo: ip.ServerNo, Modified: date(ip.Modified), Operation: named(ip.Op, vpcIPOps)}
	if s := r.st.Servers[ip.ServerNo]; s != nil {
		row.ServerName, row.PrivateIP = s.Name, r.privateIPOf(s)
	}
	return row
}

type classicIPRow struct {
	No         string            `json:"publicIpInstanceNo"`
	IP         string            `json:"publicIp"`
	Desc       string            `json:"publicIpDescription"`
	Date       string            `json:"createDate"`
	StatusName string            `json:"publicIpInstanceStatusName"`
	Status     code              `json:"publicIpInstanceStatus"`
	Operation  code              `json:"publicIpInstanceOperation"`
	Kind       code              `json:"publicIpKindType"`
	Server     *classicServerRow `json:"serverInstanceAssociatedWithPublicIp"`
	Zone       zoneRow           `json:"zone"`
	Region     regionRow         `json:"region"`
}

func (r *request) classicIPRow(ip *publicIP) classicIPRow {
	row := classicIPRow{No: ip.No, IP: ip.IP, Desc: ip.Desc, Date: date(ip.Created), StatusName: ip.StatusName, Status: named(ip.Status, classicIPState),
		Operation: named(ip.Op, classicIPOps), Kind: code{"GEN", "General"}, Zone: r.zoneRow(ip.Zone), Region: r.regionRow(ip.Region)}
	if s := r.st.Servers[ip.ServerNo]; s != nil {
		sr := r.classicServerRow(s, false)
		row.Server = &sr
	}
	return row
}

// listPlace is the filter of a Classic list by region and zone. A list that asks for certain ids and names no place
// finds them anywhere; any other is of the first region.
func (r *request) listPlace(p classicPlace, byID bool) (func(*base) bool, *apiError) {
	region, err := r.place(p)
	if err != nil {
		return nil, err
	}
	zone := ""
	if p.ZoneNo != "" {
		zone = r.zoneCode(p.ZoneNo, region)
	}
	anywhere := byID && p == (classicPlace{})
	return func(b *base) bool {
		return b.Platform == classic && (anywhere || b.Region == region) && (zone == "" || b.Zone == zone)
	}, nil
}

// zoneCode is the code of a zone number, or of the region's first zone.
func (r *request) zoneCode(no, region string) string {
	zones := r.cat.zonesOf(classic, region)
	if i := slices.IndexFunc(zones, func(z zone) bool { return z.no == no }); i >= 0 {
		return zones[i].code
	}
	if len(zones) > 0 {
		return zones[0].code
	}
	return ""
}

func (r *request) zoneRow(codeName string) zoneRow {
	for _, z := range r.cat.classicZones {
		if z.code == codeName {
			return zoneRow{z.no, z.code, z.code, z.description, z.regionNo}
		}
	}
	return zoneRow{}
}

func (r *request) regionRow(codeName string) regionRow {
	for _, g := range r.cat.classicRegions {
		if g.code == codeName {
			return regionRow{g.no, g.code, g.name}
		}
	}
	return regionRow{}
}

// search is the searchFilterName / searchFilterValue pair of Classic lists; names are compared without case.
func search(name, value string, fields map[string]string) bool {
	if name == "" || value == "" {
		return true
	}
	return strings.Contains(fields[strings.ToLower(name)], value)
}
