package localcloud

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// VPC: networks (read only), access control groups, network interfaces, init scripts.

func init() {
	handle("vpc", "getVpcList", func(r *request, p *struct {
		Name   string   `p:"vpcName"`
		Status string   `p:"vpcStatusCode,oneof=INIT|CREATING|RUN|TERMTING"`
		Nos    []string `p:"vpcNoList"`
	}) (reply, *apiError) {
		rows := []vpcRow{}
		for _, v := range sorted(r.st.VPCs) {
			if r.here(&v.base) && wanted(p.Name, v.Name) && wanted(p.Status, v.Status) && wantedIn(p.Nos, v.No) {
				rows = append(rows, v.row())
			}
		}
		return rowsOf("vpcList", rows), nil
	})
	handle("vpc", "getVpcDetail", func(r *request, p *struct {
		No string `p:"vpcNo,required"`
	}) (reply, *apiError) {
		return rowsOf("vpcList", detail(r, r.st.VPCs, p.No, (*vpcNet).row)), nil
	})
	handle("vpc", "getSubnetList", func(r *request, p *struct {
		paging
		Nos    []string `p:"subnetNoList"`
		Name   string   `p:"subnetName"`
		CIDR   string   `p:"subnet"`
		Type   string   `p:"subnetTypeCode,oneof=PUBLIC|PRIVATE"`
		Usage  string   `p:"usageTypeCode,oneof=GEN|LOADB|BM|NATGW"`
		ACL    string   `p:"networkAclNo"`
		Status string   `p:"subnetStatusCode,oneof=INIT|CREATING|RUN|TERMTING"`
		VPCNo  string   `p:"vpcNo"`
		Zone   string   `p:"zoneCode"`
	}) (reply, *apiError) {
		var rows []subnetRow
		for _, n := range sorted(r.st.Subnets) {
			if r.here(&n.base) && wantedIn(p.Nos, n.No) && wanted(p.Name, n.Name) && wanted(p.CIDR, n.CIDR) && wanted(p.Type, n.Type) && wanted(p.Usage, "GEN") &&
				wanted(p.ACL, n.ACLNo) && wanted(p.Status, n.Status) && wanted(p.VPCNo, n.VPCNo) && wanted(p.Zone, n.Zone) {
				rows = append(rows, n.row())
			}
		}
		return page("subnetList", rows, p.paging)
	})
	handle("vpc", "getSubnetDetail", func(r *request, p *struct {
		No string `p:"subnetNo,required"`
	}) (reply, *apiError) {
		return rowsOf("subnetList", detail(r, r.st.Subnets, p.No, (*subnet).row)), nil
	})
	handle("vpc", "getNetworkAclList", func(r *request, p *struct {
		paging
		Name   string   `p:"networkAclName"`
		Status string   `p:"networkAclStatusCode,oneof=INIT|SET|RUN|TERMTING"`
		Nos    []string `p:"networkAclNoList"`
		VPCNo  string   `p:"vpcNo"`
	}) (reply, *apiError) {
		var rows []aclRow
		for _, a := range sorted(r.st.NACLs) {
			if r.here(&a.base) && wanted(p.Name, a.Name) && wanted(p.Status, a.Status) && wantedIn(p.Nos, a.No) && wanted(p.VPCNo, a.VPCNo) {
				rows = append(rows, a.row())
			}
		}
		return page("networkAclList", rows, p.paging)
	})
	handle("vpc", "getNetworkAclDetail", func(r *request, p *struct {
		No string `p:"networkAclNo,required"`
	}) (reply, *apiError) {
		a := r.st.NACLs[p.No]
		if a == nil || !r.here(&a.base) {
			return reply{}, errNACLGone()
		}
		return rowsOf("networkAclList", []aclRow{a.row()}), nil
	})

	handle("vserver", "createAccessControlGroup", func(r *request, p *struct {
		Name  string `p:"accessControlGroupName,name"`
		Desc  string `p:"accessControlGroupDescription,bytes=1000"`
		VPCNo string `p:"vpcNo,required"`
	}) (reply, *apiError) {
		v := r.st.VPCs[p.VPCNo]
		if v == nil || !r.here(&v.base) {
			return reply{}, errNoSuch("vpcNo", p.VPCNo)
		}
		if p.Name == "" {
			p.Name = generatedName("acg")
		}
		count := 0
		for _, g := range r.st.ACGs {
			if g.VPCNo == v.No {
				count++
				if g.Name == p.Name {
					return reply{}, errNameTaken()
				}
			}
		}
		if count >= 500 {
			return reply{}, errQuota()
		}
		g := &acg{VPCNo: v.No}
		r.register(&g.base, "acg", p.Name, p.Desc)
		g.set("RUN", "", "")
		r.st.ACGs[g.No] = g
		r.touch(g)
		return rowsOf("accessControlGroupList", []acgRow{g.row()}), nil
	})
	handle("vserver", "getAccessControlGroupDetail", func(r *request, p *struct {
		No string `p:"accessControlGroupNo,required"`
	}) (reply, *apiError) {
		// A missing group is an empty list: the official provider waits for that after a delete.
		return rowsOf("accessControlGroupList", detail(r, r.st.ACGs, p.No, (*acg).row)), nil
	})
	handle("vserver", "getAccessControlGroupList", func(r *request, p *struct {
		paging
		Nos    []string `p:"accessControlGroupNoList"`
		Name   string   `p:"accessControlGroupName"`
		Status string   `p:"accessControlGroupStatusCode,oneof=INIT|SET|RUN|TERMTING"`
		VPCNo  string   `p:"vpcNo"`
	}) (reply, *apiError) {
		var rows []acgRow
		for _, g := range sorted(r.st.ACGs) {
			if r.here(&g.base) && wantedIn(p.Nos, g.No) && (p.Name == "" || strings.Contains(g.Name, p.Name)) && wanted(p.Status, g.Status) && wanted(p.VPCNo, g.VPCNo) {
				rows = append(rows, g.row())
			}
		}
		return page("accessControlGroupList", rows, p.paging)
	})
	handle("vserver", "getAccessControlGroupRuleList", func(r *request, p *struct {
		No   string `p:"accessControlGroupNo,required"`
		Type string `p:"accessControlGroupRuleTypeCode,oneof=INBND|OTBND"`
	}) (reply, *apiError) {
		g := r.st.ACGs[p.No]
		if g == nil || !r.here(&g.base) {
			return reply{}, errACGGone()
		}
		rows := []acgRuleRow{}
		for _, u := range g.Rules {
			if wanted(p.Type, u.Direction) {
				rows = append(rows, u.row(g.No))
			}
		}
		return rowsOf("accessControlGroupRuleList", rows), nil
	})
	for name, direction := range map[string]string{"Inbound": "INBND", "Outbound": "OTBND"} {
		handle("vserver", "addAccessControlGroup"+name+"Rule", func(r *request, p *rulesParams) (reply, *apiError) { return addRules(r, p, direction) })
		handle("vserver", "removeAccessControlGroup"+name+"Rule", func(r *request, p *rulesParams) (reply, *apiError) { return removeRules(r, p, direction) })
	}
	handle("vserver", "deleteAccessControlGroup", deleteACG)

	handle("vserver", "createNetworkInterface", createNIC)
	handle("vserver", "getNetworkInterfaceDetail", func(r *request, p *struct {
		No string `p:"networkInterfaceNo,required"`
	}) (reply, *apiError) {
		return rowsOf("networkInterfaceList", detail(r, r.st.NICs, p.No, (*nic).row)), nil
	})
	handle("vserver", "getNetworkInterfaceList", func(r *request, p *struct {
		paging
		Nos        []string `p:"networkInterfaceNoList"`
		IP         string   `p:"ip"`
		Name       string   `p:"networkInterfaceName"`
		ServerName string   `p:"serverName"`
		SubnetName string   `p:"subnetName"`
		Secondary  []string `p:"secondaryIpList"`
		InstanceNo string   `p:"instanceNo"`
		Default    *bool    `p:"isDefault"`
		Device     string   `p:"deviceName"`
	}) (reply, *apiError) {
		var rows []nicRow
		for _, n := range sorted(r.st.NICs) {
			s, sub := r.st.Servers[n.ServerNo], r.st.Subnets[n.SubnetNo]
			if r.here(&n.base) && wantedIn(p.Nos, n.No) && wanted(p.IP, n.IP) && wanted(p.Name, n.Name) && wanted(p.InstanceNo, n.ServerNo) &&
				wanted(p.Device, n.Device) && (p.Default == nil || *p.Default == n.Default) && (p.ServerName == "" || s != nil && s.Name == p.ServerName) &&
				(p.SubnetName == "" || sub != nil && sub.Name == p.SubnetName) && (len(p.Secondary) == 0 || slices.ContainsFunc(n.SecondaryIPs, func(ip string) bool { return wantedIn(p.Secondary, ip) })) {
				rows = append(rows, n.row())
			}
		}
		return page("networkInterfaceList", rows, p.paging)
	})
	handle("vserver", "deleteNetworkInterface", func(r *request, p *struct {
		No string `p:"networkInterfaceNo,required"`
	}) (reply, *apiError) {
		n := r.st.NICs[p.No]
		if n == nil || !r.here(&n.base) {
			return reply{}, errNoSuch("networkInterfaceNo", p.No)
		}
		if n.ServerNo != "" {
			return reply{}, errNICInUse()
		}
		row := n.row()
		n.Stuck, n.Next = false, nil
		n.set("UNSET", "", "")
		n.after(r.latency.Network, step{Status: "UNSET", Then: thenGone})
		r.touch(n)
		return rowsOf("networkInterfaceList", []nicRow{row}), nil
	})

	handle("vserver", "createInitScript", func(r *request, p *struct {
		Content string `p:"initScriptContent,required"`
		Name    string `p:"initScriptName,name"`
		Desc    string `p:"initScriptDescription,bytes=1000"`
		OS      string `p:"osTypeCode,oneof=LNX|WND"`
	}) (reply, *apiError) {
		if len(p.Content) > 1<<20 {
			return reply{}, errInvalid("initScriptContent: longer than 1024 KB")
		}
		if i := strings.IndexFunc(p.Content, func(c rune) bool { return c > 126 }); i >= 0 {
			return reply{}, errInvalid("initScriptContent: only ASCII characters are allowed, byte %d is not", i+1)
		}
		if p.Name == "" {
			p.Name = generatedName("init")
		}
		for _, s := range r.st.InitScripts {
			if r.here(&s.base) && s.Name == p.Name {
				return reply{}, errNameTaken()
			}
		}
		s := &initScript{Content: p.Content, OSType: p.OS}
		if s.OSType == "" {
			s.OSType = "LNX"
		}
		r.register(&s.base, "initScript", p.Name, p.Desc)
		r.st.InitScripts[s.No] = s
		return rowsOf("initScriptList", []initScriptRow{s.row()}), nil
	})
	handle("vserver", "getInitScriptDetail", func(r *request, p *struct {
		No string `p:"initScriptNo,required"`
	}) (reply, *apiError) {
		return rowsOf("initScriptList", detail(r, r.st.InitScripts, p.No, (*initScript).row)), nil
	})
	handle("vserver", "getInitScriptList", func(r *request, p *struct {
		paging
		OS   string   `p:"osTypeCode,oneof=LNX|WND"`
		Name string   `p:"initScriptName"`
		Nos  []string `p:"initScriptNoList"`
	}) (reply, *apiError) {
		var rows []initScriptRow
		for _, s := range sorted(r.st.InitScripts) {
			if r.here(&s.base) && wanted(p.OS, s.OSType) && (p.Name == "" || strings.Contains(s.Name, p.Name)) && wantedIn(p.Nos, s.No) {
				rows = append(rows, s.row())
			}
		}
		return page("initScriptList", rows, p.paging)
	})
	handle("vserver", "deleteInitScripts", func(r *request, p *struct {
		Nos []string `p:"initScriptNoList,required"`
	}) (reply, *apiError) {
		rows := []initScriptRow{}
		for _, no := range p.Nos {
			s := r.st.InitScripts[no]
			if s == nil || !r.here(&s.base) {
				return reply{}, errNoSuch("initScriptNoList", no)
			}
			rows = append(rows, s.row())
		}
		for _, no := range p.Nos {
			delete(r.st.InitScripts, no)
		}
		return rowsOf("initScriptList", rows), nil
	})
}

// detail answers one object, or an empty list if the call cannot see it: that is how the API says "gone".
func detail[T thing, R any](r *request, m map[string]T, no string, row func(T) R) []R {
	if t, ok := m[no]; ok && r.here(t.common()) {
		return []R{row(t)}
	}
	return []R{}
}

// register gives a new object its number, name and place.
func (r *request) register(b *base, counter, name, desc string) {
	b.No = r.st.number(counter)
	b.Name, b.Desc, b.Platform, b.Region, b.Created = name, desc, r.platform, r.region, r.now()
}

type rulesParams struct {
	No    string      `p:"accessControlGroupNo,required"`
	VPCNo string      `p:"vpcNo,required"`
	Rules []ruleParam `p:"accessControlGroupRuleList,required"`
}

type ruleParam struct {
	Desc     string `p:"accessControlGroupRuleDescription,bytes=1000"`
	CIDR     string `p:"ipBlock"`
	FromACG  string `p:"accessControlGroupSequence"`
	Ports    string `p:"portRange"`
	Protocol string `p:"protocolTypeCode,required"`
}

func (r *request) groupToChange(p *rulesParams) (*acg, *apiError) {
	g := r.st.ACGs[p.No]
	if g == nil || !r.here(&g.base) || g.VPCNo != p.VPCNo {
		return nil, errACGGone()
	}
	if !g.idle() {
		return nil, errACGBusy()
	}
	return g, nil
}

// rule checks a rule and brings it into the form in which it is kept.
func (r *request) rule(q ruleParam, direction string) (acgRule, *apiError) {
	u := acgRule{Direction: direction, Protocol: strings.ToUpper(q.Protocol), CIDR: q.CIDR, FromACG: q.FromACG, Ports: q.Ports, Desc: q.Desc}
	switch u.Protocol {
	case "TCP", "UDP":
		if _, _, ok := portRange(u.Ports); !ok {
			return u, errInvalid("portRange: %q is not a port or a range within 1 to 65535", u.Ports)
		}
	case "ICMP":
		u.Ports = ""
	default:
		n, err := strconv.Atoi(u.Protocol)
		if err != nil || n < 1 || n > 254 || n == 1 || n == 6 || n == 17 {
			return u, errInvalid("protocolTypeCode: %q is not TCP, UDP, ICMP or another protocol number up to 254", q.Protocol)
		}
		u.Ports = ""
	}
	if (u.CIDR == "") == (u.FromACG == "") {
		return u, errInvalid("exactly one of ipBlock and accessControlGroupSequence is needed")
	}
	if u.CIDR != "" && !strings.Contains(u.CIDR, "/") {
		u.CIDR += "/32"
	}
	if u.CIDR != "" && !validCIDR(u.CIDR) {
		return u, errInvalid("ipBlock: %q is not an IPv4 block", q.CIDR)
	}
	if u.FromACG != "" {
		if g := r.st.ACGs[u.FromACG]; g == nil || !r.here(&g.base) {
			return u, errNoSuch("accessControlGroupSequence", u.FromACG)
		}
	}
	return u, nil
}

func (u acgRule) same(v acgRule) bool {
	u.Desc, v.Desc, u.No, v.No = "", "", "", ""
	return u == v
}

func addRules(r *request, p *rulesParams, direction string) (reply, *apiError) {
	g, err := r.groupToChange(p)
	if err != nil {
		return reply{}, err
	}
	rules := slices.Clone(g.Rules)
	for _, q := range p.Rules {
		u, err := r.rule(q, direction)
		if err != nil {
			return reply{}, err
		}
		if slices.ContainsFunc(rules, u.same) {
			return reply{}, errInvalid("the rule %s %s%s %s exists already", u.Protocol, u.CIDR, u.FromACG, u.Ports)
		}
		rules = append(rules, u)
	}
	count := 0
	rows := []acgRuleRow{}
	for _, u := range rules {
		if u.Direction == direction {
			count++
			rows = append(rows, u.row(g.No))
		}
	}
	if count > 50 {
		return reply{}, errQuota()
	}
	g.Rules = rules
	r.settingACG(g)
	return rowsOf("accessControlGroupRuleList", rows), nil
}

func removeRules(r *request, p *rulesParams, direction string) (reply, *apiError) {
	g, err := r.groupToChange(p)
	if err != nil {
		return reply{}, err
	}
	rules := slices.Clone(g.Rules)
	for _, q := range p.Rules {
		u, err := r.rule(q, direction)
		if err != nil {
			return reply{}, err
		}
		i := slices.IndexFunc(rules, u.same)
		if i < 0 {
			return reply{}, errInvalid("there is no rule %s %s%s %s", u.Protocol, u.CIDR, u.FromACG, u.Ports)
		}
		rules = slices.Delete(rules, i, i+1)
	}
	g.Rules = rules
	rows := []acgRuleRow{}
	for _, u := range rules {
		if u.Direction == direction {
			rows = append(rows, u.row(g.No))
		}
	}
	r.settingACG(g)
	return rowsOf("accessControlGroupRuleList", rows), nil
}

// settingACG lets a group with changed rules be busy while its NICs take them over. Without a NIC there is nothing to
// wait for: Packer's ncloud plugin adds inbound and outbound rules to a new group one right after the other.
func (r *request) settingACG(g *acg) {
	inUse := false
	for _, n := range r.st.NICs {
		inUse = inUse || slices.Contains(n.ACGs, g.No)
	}
	if !inUse {
		r.touch(g)
		return
	}
	g.set("SET", "", "")
	g.after(r.latency.Network, step{Status: "RUN"})
	r.touch(g)
}

func deleteACG(r *request, p *struct {
	VPCNo string `p:"vpcNo,required"`
	No    string `p:"accessControlGroupNo,required"`
}) (reply, *apiError) {
	g := r.st.ACGs[p.No]
	if g == nil || !r.here(&g.base) || g.VPCNo != p.VPCNo {
		return reply{}, errACGGone()
	}
	if g.Default {
		return reply{}, errInvalid("a default ACG cannot be deleted")
	}
	if !g.idle() && !g.Stuck {
		return reply{}, errACGBusy()
	}
	for _, n := range r.st.NICs {
		if slices.Contains(n.ACGs, g.No) {
			return reply{}, errInvalid("the ACG is in use by network interface %s", n.No)
		}
	}
	for _, o := range r.st.ACGs {
		if o != g && slices.ContainsFunc(o.Rules, func(u acgRule) bool { return u.FromACG == g.No }) {
			return reply{}, errInvalid("the ACG is named in a rule of ACG %s", o.No)
		}
	}
	// The answer says TERMTING; until it is gone the group shows RUN, the only state the official provider waits in.
	g.Stuck, g.Next = false, nil
	g.set("RUN", "TERMT", "")
	g.after(r.latency.Network, step{Status: "RUN", Op: "TERMT", Then: thenGone})
	r.touch(g)
	row := g.row()
	row.Status = named("TERMTING", netStatusNames)
	return rowsOf("accessControlGroupList", []acgRow{row}), nil
}

// checkACGs checks the groups of a new NIC.
func (r *request) checkACGs(nos []string, vpcNo string) *apiError {
	if len(nos) == 0 {
		return errMissing("accessControlGroupNoList")
	}
	if len(nos) > 3 {
		return errInvalid("accessControlGroupNoList: at most 3 groups")
	}
	for _, no := range nos {
		if g := r.st.ACGs[no]; g == nil || !r.here(&g.base) || g.VPCNo != vpcNo || g.Op == "TERMT" {
			return errNoSuch("accessControlGroupNoList", no)
		}
	}
	return nil
}

func createNIC(r *request, p *struct {
	ACGs           []string `p:"accessControlGroupNoList,required"`
	Desc           string   `p:"networkInterfaceDescription,bytes=1000"`
	Name           string   `p:"networkInterfaceName,name"`
	SubnetNo       string   `p:"subnetNo,required"`
	VPCNo          string   `p:"vpcNo,required"`
	ServerNo       string   `p:"serverInstanceNo"`
	IP             string   `p:"ip"`
	SecondaryIPs   []string `p:"secondaryIpList"`
	SecondaryCount *int64   `p:"secondaryIpCount,range=0-4"`
	BareMetal      *bool    `p:"isBareMetal"`
}) (reply, *apiError) {
	n := r.st.Subnets[p.SubnetNo]
	if n == nil || !r.here(&n.base) || n.VPCNo != p.VPCNo {
		return reply{}, errNoSuch("subnetNo", p.SubnetNo)
	}
	if err := r.checkACGs(p.ACGs, p.VPCNo); err != nil {
		return reply{}, err
	}
	for _, ip := range append(slices.Clone(p.SecondaryIPs), p.IP) {
		if ip != "" && !r.usableIP(n, ip) {
			return reply{}, errInvalid("ip [%s] cannot be used in subnet %s", ip, n.CIDR)
		}
	}
	for _, o := range r.st.NICs {
		if p.Name != "" && r.here(&o.base) && o.Name == p.Name {
			return reply{}, errNameTaken()
		}
	}
	var s *server
	device := 0
	if p.ServerNo != "" {
		if s = r.serverNo(p.ServerNo); s == nil {
			return reply{}, errServerNo()
		}
		if n.Type != "PRIVATE" {
			return reply{}, errInvalid("a network interface for a running server needs a private subnet")
		}
		if err := mayAttach(s); err != nil {
			return reply{}, err
		}
		for _, o := range r.st.NICs {
			if o.ServerNo == s.No {
				device++
			}
		}
		if device >= 3 {
			return reply{}, errQuota()
		}
	}
	if _, ok := r.freePrivateIP(n); !ok && p.IP == "" {
		return reply{}, errQuota()
	}

	c := r.newNIC(p.VPCNo, n.No, p.IP, p.ACGs)
	c.SecondaryIPs, c.Desc = p.SecondaryIPs, p.Desc
	for range number(p.SecondaryCount, 0) {
		if ip, ok := r.freePrivateIP(n); ok {
			c.SecondaryIPs = append(c.SecondaryIPs, ip)
		}
	}
	if p.Name != "" {
		c.Name = p.Name
	}
	if s != nil {
		c.ServerNo, c.Device = s.No, fmt.Sprintf("eth%d", device)
		c.set("SET", "", "")
		c.after(r.latency.Network, step{Status: "USED"})
		r.setup(s)
	}
	r.touch(c)
	return rowsOf("networkInterfaceList", []nicRow{c.row()}), nil
}

func (r *request) newNIC(vpcNo, subnetNo, ip string, acgs []string) *nic {
	if ip == "" {
		ip, _ = r.freePrivateIP(r.st.Subnets[subnetNo])
	}
	c := &nic{VPCNo: vpcNo, SubnetNo: subnetNo, IP: ip, ACGs: acgs, MAC: fmt.Sprintf("F2:20:AF:%02X:%02X:%02X", rand.IntN(256), rand.IntN(256), rand.IntN(256))}
	r.register(&c.base, "nic", "", "")
	c.Name = "nic" + c.No
	c.set("NOTUSED", "", "")
	r.st.NICs[c.No] = c
	return c
}

type vpcRow struct {
	No     string `json:"vpcNo"`
	Name   string `json:"vpcName"`
	CIDR   string `json:"ipv4CidrBlock"`
	Status code   `json:"vpcStatus"`
	Region string `json:"regionCode"`
	Date   string `json:"createDate"`
}

func (v *vpcNet) row() vpcRow {
	return vpcRow{v.No, v.Name, v.CIDR, named(v.Status, netStatusNames), v.Region, date(v.Created)}
}

type subnetRow struct {
	No     string `json:"subnetNo"`
	VPCNo  string `json:"vpcNo"`
	Zone   string `json:"zoneCode"`
	Name   string `json:"subnetName"`
	CIDR   string `json:"subnet"`
	Status code   `json:"subnetStatus"`
	Date   string `json:"createDate"`
	Type   code   `json:"subnetType"`
	Usage  code   `json:"usageType"`
	ACLNo  string `json:"networkAclNo"`
}

func (n *subnet) row() subnetRow {
	return subnetRow{n.No, n.VPCNo, n.Zone, n.Name, n.CIDR, named(n.Status, netStatusNames), date(n.Created),
		named(n.Type, map[string]string{"PUBLIC": "Public", "PRIVATE": "Private"}), code{"GEN", "General"}, n.ACLNo}
}

type aclRow struct {
	No      string `json:"networkAclNo"`
	Name    string `json:"networkAclName"`
	VPCNo   string `json:"vpcNo"`
	Status  code   `json:"networkAclStatus"`
	Desc    string `json:"networkAclDescription"`
	Date    string `json:"createDate"`
	Default bool   `json:"isDefault"`
}

func (a *networkACL) row() aclRow {
	return aclRow{a.No, a.Name, a.VPCNo, named(a.Status, netStatusNames), a.Desc, date(a.Created), true}
}

type acgRow struct {
	No      string `json:"accessControlGroupNo"`
	Name    string `json:"accessControlGroupName"`
	Default bool   `json:"isDefault"`
	VPCNo   string `json:"vpcNo"`
	Status  code   `json:"accessControlGroupStatus"`
	Desc    string `json:"accessControlGroupDescription"`
}

func (g *acg) row() acgRow {
	return acgRow{g.No, g.Name, g.Default, g.VPCNo, named(g.Status, netStatusNames), g.Desc}
}

type acgRuleRow struct {
	GroupNo  string       `json:"accessControlGroupNo"`
	Protocol protocolCode `json:"protocolType"`
	CIDR     string       `json:"ipBlock"`
	FromACG  string       `json:"accessControlGroupSequence"`
	Ports    string       `json:"portRange"`
	Type     code         `json:"accessControlGroupRuleType"`
	Desc     string       `json:"accessControlGroupRuleDescription"`
}

type protocolCode struct {
	Code     string `json:"code"`
	CodeName string `json:"codeName"`
	Number   int64  `json:"number"`
}

func (u acgRule) row(group string) acgRuleRow {
	number := map[string]int64{"TCP": 6, "UDP": 17, "ICMP": 1}[u.Protocol]
	if number == 0 {
		number, _ = strconv.ParseInt(u.Protocol, 10, 64)
	}
	return acgRuleRow{group, protocolCode{u.Protocol, strings.ToLower(u.Protocol), number}, u.CIDR, u.FromACG, u.Ports,
		named(u.Direction, map[string]string{"INBND": "Inbound", "OTBND": "Outbound"}), u.Desc}
}

type nicRow struct {
	No                  string   `json:"networkInterfaceNo"`
	Name                string   `json:"networkInterfaceName"`
	SubnetNo            string   `json:"subnetNo"`
	DeleteOnTermination bool     `json:"deleteOnTermination"`
	Default             bool     `json:"isDefault"`
	Device              string   `json:"deviceName"`
	Status              code     `json:"networkInterfaceStatus"`
	InstanceType        code     `json:"instanceType"`
	InstanceNo          string   `json:"instanceNo"`
	IP                  string   `json:"ip"`
	MAC                 string   `json:"macAddress"`
	ACGs                []string `json:"accessControlGroupNoList"`
	Desc                string   `json:"networkInterfaceDescription"`
	SecondaryIPs        []string `json:"secondaryIpList"`
	FlowLog             bool     `json:"enableFlowLog"`
}

func (n *nic) row() nicRow {
	row := nicRow{No: n.No, Name: n.Name, SubnetNo: n.SubnetNo, DeleteOnTermination: n.WithServer, Default: n.Default, Device: n.Device,
		Status: named(n.Status, netStatusNames), InstanceNo: n.ServerNo, IP: n.IP, MAC: n.MAC, ACGs: n.ACGs, Desc: n.Desc, SecondaryIPs: n.SecondaryIPs}
	if n.ServerNo != "" {
		row.InstanceType = code{"VSVR", "Server (VPC)"}
	}
	return row
}

type initScriptRow struct {
	No      string `json:"initScriptNo"`
	Name    string `json:"initScriptName"`
	Date    string `json:"createDate"`
	Desc    string `json:"initScriptDescription"`
	Content string `json:"initScriptContent"`
	OS      code   `json:"osType"`
}

func (s *initScript) row() initScriptRow {
	return initScriptRow{s.No, s.Name, date(s.Created), s.Desc, s.Content, named(s.OSType, osTypeNames)}
}
