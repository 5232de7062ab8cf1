package localcloud

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// The control plane: /_local/ on the API's listener, for tests in other processes. It needs no signature; it listens
// on the loopback interface like all else here.
//
//	GET    /_local/inventory   Inventory
//	GET    /_local/calls       [Call]; ?mutating=1 only those that change something
//	GET    /_local/faults      [FaultState]
//	POST   /_local/faults      [Fault] or one Fault; answers the ids
//	DELETE /_local/faults      no more faults; paused calls go on
//	POST   /_local/release?id= the call paused at this fault goes on
//	GET    /_local/latency     Latency
//	POST   /_local/latency     Latency, or "fast" or "realistic"
//	GET    /_local/guests      where each public endpoint really listens: [{ip, port, address, server}]
func (c *Cloud) control(w http.ResponseWriter, r *http.Request) {
	// A web page of some other site must not steer this through the user's browser.
	if r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" && r.Header.Get("Sec-Fetch-Site") != "none" {
		http.Error(w, "not for web pages", http.StatusForbidden)
		return
	}
	answer := func(v any, err error) {
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		e.Encode(v)
	}
	body := http.MaxBytesReader(w, r.Body, 1<<20)
	switch r.Method + " " + strings.TrimPrefix(r.URL.Path, "/_local/") {
	case "GET inventory":
		answer(c.Inventory(), nil)
	case "GET calls":
		calls := c.Calls()
		if r.URL.Query().Get("mutating") != "" {
			calls = without(calls, func(call Call) bool { return !call.Mutating })
		}
		if calls == nil {
			calls = []Call{}
		}
		answer(calls, nil)
	case "GET faults":
		answer(c.Faults(), nil)
	case "POST faults":
		ids, err := c.injectJSON(json.NewDecoder(body))
		answer(ids, err)
	case "DELETE faults":
		c.ClearFaults()
		answer([]string{}, nil)
	case "POST release":
		answer("released", c.Release(r.URL.Query().Get("id")))
	case "GET latency":
		c.mu.Lock()
		l := c.latency
		c.mu.Unlock()
		answer(l, nil)
	case "POST latency":
		l, err := decodeLatency(json.NewDecoder(body))
		if err == nil {
			c.SetLatency(l)
		}
		answer(l, err)
	case "GET guests":
		answer(c.guestEndpoints(), nil)
	default:
		http.NotFound(w, r)
	}
}

func (c *Cloud) injectJSON(d *json.Decoder) ([]string, error) {
	var raw json.RawMessage
	if err := d.Decode(&raw); err != nil {
		return nil, err
	}
	var list []Fault
	strict := func(v any) error {
		d := json.NewDecoder(strings.NewReader(string(raw)))
		d.DisallowUnknownFields()
		return d.Decode(v)
	}
	if strings.HasPrefix(string(raw), "[") {
		if err := strict(&list); err != nil {
			return nil, err
		}
	} else {
		var f Fault
		if err := strict(&f); err != nil {
			return nil, err
		}
		list = []Fault{f}
	}
	ids := []string{}
	for _, f := range list {
		id, err := c.Inject(f)
		if err != nil {
			return ids, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func decodeLatency(d *json.Decoder) (Latency, error) {
	var raw json.RawMessage
	if err := d.Decode(&raw); err != nil {
		return Latency{}, err
	}
	switch string(raw) {
	case `"fast"`:
		return Fast(), nil
	case `"realistic"`:
		return Realistic(), nil
	}
	l := Fast()
	err := json.Unmarshal(raw, &l)
	return l, err
}

type latencyJSON struct {
	Server     *Duration `json:"server,omitempty"`
	Stop       *Duration `json:"stop,omitempty"`
	Terminate  *Duration `json:"terminate,omitempty"`
	Setup      *Duration `json:"setup,omitempty"`
	Image      *Duration `json:"image,omitempty"`
	Disk       *Duration `json:"disk,omitempty"`
	Network    *Duration `json:"network,omitempty"`
	SSHDelay   *Duration `json:"sshDelay,omitempty"`
	PerRequest *Duration `json:"perRequest,omitempty"`
}

// fields pairs the durations with their JSON form.
func (l *Latency) fields(j *latencyJSON) map[*time.Duration]**Duration {
	return map[*time.Duration]**Duration{&l.Server: &j.Server, &l.Stop: &j.Stop, &l.Terminate: &j.Terminate, &l.Setup: &j.Setup, &l.Image: &j.Image,
		&l.Disk: &j.Disk, &l.Network: &j.Network, &l.SSHDelay: &j.SSHDelay, &l.PerRequest: &j.PerRequest}
}

// MarshalJSON writes durations as strings like "150ms".
func (l Latency) MarshalJSON() ([]byte, error) {
	var j latencyJSON
	for d, f := range l.fields(&j) {
		v := Duration(*d)
		*f = &v
	}
	return json.Marshal(j)
}

// UnmarshalJSON sets the durations that are given and leaves the others.
func (l *Latency) UnmarshalJSON(b []byte) error {
	var j latencyJSON
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.DisallowUnknownFields()
	if err := d.Decode(&j); err != nil {
		return fmt.Errorf("latency: %w", err)
	}
	for d, f := range l.fields(&j) {
		if *f != nil {
			*d = time.Duration(**f)
		}
	}
	return nil
}

type guestEndpoint struct {
	IP      string `json:"ip"`
	Port    int    `json:"port"`
	Address string `json:"address"`
	Server  string `json:"server"`
}

func (c *Cloud) guestEndpoints() []guestEndpoint {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := []guestEndpoint{}
	for e, l := range c.listeners {
		out = append(out, guestEndpoint{e.ip, e.port, l.Addr().String(), l.serverNo})
	}
	slices.SortFunc(out, func(a, b guestEndpoint) int { return strings.Compare(a.IP+a.Address, b.IP+b.Address) })
	return out
}

// index tells a person who opens the endpoint in a browser what it is.
func (c *Cloud) index(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, `This is tfbake's simulated NAVER Cloud, not NAVER Cloud. Nothing here costs money or reaches the internet.

API       %[1]s   (set NCLOUD_API_GW to this)
services  /server/v2 (Classic), /vserver/v2 and /vpc/v2 (VPC): %[2]d actions
data      %[3]s

What exists now   %[1]s/_local/inventory
API calls so far  %[1]s/_local/calls
Faults on order   %[1]s/_local/faults
Guests' addresses %[1]s/_local/guests
`, c.Endpoint(), len(actions), c.dir)
}

// Inventory lists what exists now.
func (c *Cloud) Inventory() Inventory {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.settle()
	}
	inv := Inventory{Servers: []Item{}, NetworkInterfaces: []Item{}, PublicIPs: []Item{}, BlockStorages: []Item{}, Snapshots: []Item{}, AccessControlGroups: []Item{},
		InitScripts: []Item{}, LoginKeys: []Item{}, PortForwardingRules: []Item{}, Images: []Item{}}
	item := func(kind string, b *base) Item {
		return Item{Kind: kind, No: b.No, Name: b.Name, Description: b.Desc, Platform: b.Platform, Region: b.Region, Status: b.Status, Operation: b.Op}
	}
	for _, s := range sorted(c.st.Servers) {
		i := item("server", &s.base)
		i.Hypervisor, i.Address = s.Hypervisor, c.privateIPOf(s)
		inv.Servers = append(inv.Servers, i)
	}
	for _, n := range sorted(c.st.NICs) {
		i := item("networkInterface", &n.base)
		i.Server, i.Address = n.ServerNo, n.IP
		inv.NetworkInterfaces = append(inv.NetworkInterfaces, i)
	}
	for _, p := range sorted(c.st.PublicIPs) {
		i := item("publicIp", &p.base)
		i.Server, i.Address = p.ServerNo, p.IP
		inv.PublicIPs = append(inv.PublicIPs, i)
	}
	for _, d := range sorted(c.st.Disks) {
		if !d.Root {
			i := item("blockStorage", &d.base)
			i.Server, i.SizeGB, i.Hypervisor = d.ServerNo, d.SizeGB, d.Hypervisor
			inv.BlockStorages = append(inv.BlockStorages, i)
		}
	}
	for _, s := range sorted(c.st.Snapshots) {
		i := item("snapshot", &s.base)
		i.SizeGB, i.Hypervisor = s.SizeGB, s.Hypervisor
		inv.Snapshots = append(inv.Snapshots, i)
	}
	for _, g := range sorted(c.st.ACGs) {
		if !g.Default {
			inv.AccessControlGroups = append(inv.AccessControlGroups, item("accessControlGroup", &g.base))
		}
	}
	for _, s := range sorted(c.st.InitScripts) {
		inv.InitScripts = append(inv.InitScripts, item("initScript", &s.base))
	}
	for _, k := range sorted(c.st.LoginKeys) {
		inv.LoginKeys = append(inv.LoginKeys, Item{Kind: "loginKey", No: k.Name, Name: k.Name, Platform: "both"})
	}
	for _, f := range c.st.PortForwards {
		inv.PortForwardingRules = append(inv.PortForwardingRules, Item{Kind: "portForwardingRule", No: fmt.Sprint(f.External), Platform: classic, Server: f.ServerNo, Address: c.st.ForwardIPs[f.Zone]})
	}
	for _, m := range sorted(c.st.Images) {
		kind := "memberServerImage"
		if m.Kind == kindServer {
			kind = "serverImage"
		}
		i := item(kind, &m.base)
		i.Server, i.Hypervisor, i.SizeGB = m.ServerNo, m.Hypervisor, m.DiskGB
		for _, d := range m.ExtraDisks {
			i.SizeGB += d.SizeGB
		}
		inv.Images = append(inv.Images, i)
	}
	return inv
}
