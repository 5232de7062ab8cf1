package localcloud

import (
	"fmt"
	"strings"
)

// Servers of both platforms: state changes here; creation in actions_vpc_server.go and actions_classic_server.go.

func init() {
	type numbers struct {
		Nos []string `p:"serverInstanceNoList,required"`
	}
	for _, service := range []string{"server", "vserver"} {
		change := func(name string, check func(*request, *server) *apiError, do func(*request, *server)) {
			handle(service, name, func(r *request, p *numbers) (reply, *apiError) {
				list, err := r.servers(p.Nos, check)
				if err != nil {
					return reply{}, err
				}
				for _, s := range list {
					do(r, s)
					r.touch(s)
				}
				return r.serverRows(list), nil
			})
		}
		change("startServerInstances", mayStart, startServer)
		change("stopServerInstances", mayStop, stopServer)
		change("rebootServerInstances", mayStop, rebootServer)
		change("terminateServerInstances", mayTerminate, terminateServer)

		handle(service, "setProtectServerTermination", func(r *request, p *struct {
			No      string `p:"serverInstanceNo,required"`
			Protect *bool  `p:"isProtectServerTermination,required"`
		}) (reply, *apiError) {
			s := r.serverNo(p.No)
			if s == nil {
				return reply{}, errServerNo()
			}
			s.Protected = *p.Protect
			return r.serverRows([]*server{s}), nil
		})
		handle(service, "getPublicIpTargetServerInstanceList", func(r *request, p *struct{ classicPlace }) (reply, *apiError) {
			region := r.region
			if r.platform == classic {
				var err *apiError
				if region, err = r.place(p.classicPlace); err != nil {
					return reply{}, err
				}
			}
			var list []*server
			for _, s := range sorted(r.st.Servers) {
				if r.here(&s.base) && s.Region == region && s.PublicIPNo == "" && r.inPublicSubnet(s) {
					list = append(list, s)
				}
			}
			return r.serverRows(list), nil
		})
	}
}

// servers finds servers and checks all of them before anything changes.
func (r *request) servers(nos []string, check func(*request, *server) *apiError) ([]*server, *apiError) {
	var list []*server
	for _, no := range nos {
		s := r.serverNo(no)
		if s == nil {
			if r.action == "terminateServerInstances" && r.platform == classic {
				return nil, errContract()
			}
			return nil, errServerNo()
		}
		if err := check(r, s); err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// busy tells why a server's running operation forbids another, nil if there is none.
func busy(s *server) *apiError {
	switch {
	case s.Op == "COPY":
		return errImaging()
	case s.Op == "SETUP":
		return errServerBusy(s.Platform)
	case !s.idle():
		return errServerState()
	}
	return nil
}

func mayStart(_ *request, s *server) *apiError {
	if err := busy(s); err != nil {
		return err
	}
	if s.Status != "NSTOP" && s.Status != "FSTOP" {
		return errServerState()
	}
	return nil
}

func mayStop(_ *request, s *server) *apiError {
	if err := busy(s); err != nil {
		return err
	}
	if s.Status != "RUN" {
		return errServerState()
	}
	return nil
}

// mayTerminate: only a stopped server, and not a protected one. One that a fault holds in a transitional state may be
// terminated too: the real cloud would need its operators for that.
func mayTerminate(_ *request, s *server) *apiError {
	if s.Protected {
		return errReturn()
	}
	if s.Stuck {
		return nil
	}
	if err := busy(s); err != nil {
		return err
	}
	if s.Status != "NSTOP" && s.Status != "FSTOP" {
		return errReturn()
	}
	return nil
}

func startServer(r *request, s *server) {
	s.set("NSTOP", "START", "booting")
	s.after(r.latency.Server, step{Status: "RUN", Op: "NULL", StatusName: "running", Then: thenBoot})
}

func stopServer(r *request, s *server) {
	s.set("RUN", "SHTDN", "shutting down")
	s.after(r.latency.Stop, step{Status: "NSTOP", Op: "NULL", StatusName: "stopped", Job: jobShutdown})
}

func rebootServer(r *request, s *server) {
	s.set("RUN", "RESTA", "rebooting")
	s.after(r.latency.Stop, step{Status: "RUN", Op: "NULL", StatusName: "running", Job: jobReboot})
}

func terminateServer(r *request, s *server) {
	s.Stuck, s.Next = false, nil
	s.set("NSTOP", "TERMT", "terminating")
	s.after(r.latency.Terminate, step{Status: "TERMT", Op: "NULL", StatusName: "terminating", Then: thenGone})
}

// setup shows the server as being set up while a public IP or disk comes or goes. Another such change meanwhile only
// makes it last longer.
func (r *request) setup(s *server) {
	if s.Op != "NULL" && s.Op != "SETUP" {
		return
	}
	s.Op, s.StatusName, s.Next = "SETUP", "setting up", nil
	s.after(r.latency.Setup, step{Op: "NULL"})
}

// mayAttach tells whether a server can take or lose a public IP or disk now.
func mayAttach(s *server) *apiError {
	if s.Op == "SETUP" && !s.Stuck {
		return nil
	}
	if err := busy(s); err != nil {
		return err
	}
	if s.Status != "RUN" && s.Status != "NSTOP" {
		return errServerState()
	}
	return nil
}

// inPublicSubnet tells whether a server may have a public IP; on Classic every one may.
func (r *request) inPublicSubnet(s *server) bool {
	if s.Platform == classic {
		return true
	}
	n := r.st.Subnets[s.SubnetNo]
	return n != nil && n.Type == "PUBLIC"
}

func (r *request) serverRows(list []*server) reply {
	if r.platform == classic {
		rows := []classicServerRow{}
		for _, s := range list {
			rows = append(rows, r.classicServerRow(s, false))
		}
		return rowsOf("serverInstanceList", rows)
	}
	rows := []vpcServerRow{}
	for _, s := range list {
		rows = append(rows, r.vpcServerRow(s))
	}
	return rowsOf("serverInstanceList", rows)
}

// maxServers is the account's limit, per platform.
const maxServers = 100

// serverNames makes the names of the servers that one call creates: the given one, or with several of them numbered.
func (r *request) serverNames(name string, count, start int64) ([]string, *apiError) {
	existing := 0
	taken := map[string]bool{}
	for _, s := range r.st.Servers {
		if s.Platform == r.platform {
			existing++
			taken[s.Name] = true
		}
	}
	if existing+int(count) > maxServers {
		return nil, errTooMany(maxServers, existing)
	}
	if name == "" {
		name = generatedName("s")
	}
	if count == 1 {
		if taken[name] {
			return nil, errNameTaken()
		}
		return []string{name}, nil
	}
	if count+start > 1000 {
		return nil, errInvalid("serverCreateStartNo: count and start exceed 1000")
	}
	if start == 0 {
		start = 1
	}
	var out []string
	for i := range count {
		n := fmt.Sprintf("%s-%03d", name, start+i)
		if len(n) > 30 {
			return nil, errInvalid("serverName: %q is longer than 30 characters", n)
		}
		if taken[n] {
			return nil, errNameTaken()
		}
		out = append(out, n)
	}
	return out, nil
}

// keyFor finds the login key of a new server; without a name it is the newest.
func (r *request) keyFor(name string) (*loginKey, *apiError) {
	if name != "" {
		if k := r.st.LoginKeys[name]; k != nil {
			return k, nil
		}
		return nil, errNoKey()
	}
	var newest *loginKey
	for _, k := range r.st.LoginKeys {
		if newest == nil || k.Created.After(newest.Created) {
			newest = k
		}
	}
	if newest == nil {
		return nil, errMissing("loginKeyName")
	}
	return newest, nil
}

// begin sets a new server on its way to RUN and gives it its root disk and the disks of its image.
func (r *request) begin(s *server, extra []imageDisk) {
	s.Created = r.now()
	s.RootPassword = newPassword()
	s.set("INIT", "NULL", "init")
	s.after(r.latency.Server/2, step{Status: "CREAT", Op: "START", StatusName: "booting"})
	s.after(r.latency.Server, step{Status: "RUN", Op: "NULL", StatusName: "running", Job: jobPrepare, Then: thenBoot})
	r.st.Servers[s.No] = s
	r.touch(s)

	root := &disk{ServerNo: s.No, Root: true, SizeGB: s.DiskGB, DetailType: s.DiskKind, VolumeType: s.DiskKind, Hypervisor: s.Hypervisor}
	if s.Hypervisor == "KVM" {
		root.VolumeType = "CB1"
	}
	r.addDisk(s, root, "")
	for _, d := range extra {
		r.addDisk(s, &disk{ServerNo: s.No, SizeGB: d.SizeGB, DetailType: detailType(d.VolumeType), VolumeType: d.VolumeType, Hypervisor: s.Hypervisor, SnapshotNo: d.SnapshotNo,
			Source: d.source}, "")
	}
}

// addDisk makes a disk that is attached when the new server runs.
func (r *request) addDisk(s *server, d *disk, name string) {
	d.No = r.st.number(r.instanceCounter())
	d.Platform, d.Region, d.Zone, d.Created = s.Platform, s.Region, s.Zone, r.now()
	d.Name = name
	if name == "" {
		d.Name = "bst" + d.No
	}
	d.Device = r.freeDevice(s)
	d.set("INIT", "NULL", "initialized")
	d.after(r.latency.Server, step{Status: "ATTAC", Op: "NULL", StatusName: "attached"})
	r.st.Disks[d.No] = d
}

func (r *request) instanceCounter() string {
	if r.platform == classic {
		return "classic"
	}
	return "instance"
}

// freeDevice names the next free disk of a server as its system sees it.
func (r *request) freeDevice(s *server) string {
	prefix := "/dev/xvd"
	if s.Hypervisor == "KVM" {
		prefix = "/dev/vd"
	}
	used := map[string]bool{}
	for _, d := range r.st.Disks {
		if d.ServerNo == s.No {
			used[d.Device] = true
		}
	}
	for l := 'a'; l <= 'z'; l++ {
		if dev := prefix + string(l); !used[dev] {
			return dev
		}
	}
	return ""
}

func detailType(volumeType string) string {
	if volumeType == "HDD" {
		return "HDD"
	}
	return "SSD"
}

// checkFee: MSSQL images are sold at a flat monthly fee only.
func checkFee(img imageProduct, fee string) *apiError {
	if strings.Contains(img.name, "mssql") && fee != "FXSUM" {
		return errInvalid("feeSystemTypeCode must be FXSUM for %s", img.name)
	}
	return nil
}

// checkScript: an init script must be for the server's kind of system.
func checkScript(s *initScript, osName string) *apiError {
	want := "LNX"
	if isWindowsOS(osName) {
		want = "WND"
	}
	if s.OSType != want {
		return errInvalid("initScriptNo [%s] is for %s, the image is not", s.No, osTypeNames[s.OSType])
	}
	return nil
}
