package localcloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// The network of the simulation.
//
// A public IP is a loopback address of its own (127.64.0.0/10), so that two servers can both answer on port 22. It is
// claimed by binding a UDP port on it: the next cloud, in this process or another, picks a different one. Where other
// loopback addresses than 127.0.0.1 do not exist (macOS), or low ports may not be bound, the guest listens on a free
// port instead and Cloud.DialContext knows where.
//
// Listeners exist exactly while a running server has the address. Who may connect is decided per connection by the
// server's access control groups: a connection that no rule lets in is accepted and never answered, which is as near
// to a filtered port as a listener gets.

// claimPort is bound on a public IP's address to reserve it.
const claimPort = 42022

// endpoint is where clients reach a server: a public IP and port.
type endpoint struct {
	ip   string
	port int
}

type listener struct {
	net.Listener
	serverNo string
	port     int // the guest's port

	mu    sync.Mutex
	conns map[net.Conn]struct{} // open connections; nil once closed
}

// close ends the listener and every connection through it.
func (l *listener) close() {
	l.Listener.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn := range l.conns {
		conn.Close()
	}
	l.conns = nil
}

// cut ends the connections, not the listener.
func (l *listener) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn := range l.conns {
		conn.Close()
	}
}

func (l *listener) track(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conns == nil {
		return false
	}
	l.conns[conn] = struct{}{}
	return true
}

func (l *listener) forget(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, conn)
}

// newAddress picks and claims a public IP. c.mu is held.
func (c *Cloud) newAddress() string {
	for range 200 {
		ip := fmt.Sprintf("127.%d.%d.%d", 64+rand.IntN(64), rand.IntN(256), 1+rand.IntN(254))
		if c.addresses[ip] != nil {
			continue
		}
		if c.claim(ip) {
			return ip
		}
	}
	panic("localcloud: no free loopback address in 200 tries")
}

func (c *Cloud) claim(ip string) bool {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(ip), Port: claimPort})
	if errors.Is(err, syscall.EADDRINUSE) {
		return false
	}
	if err != nil {
		// No such loopback address on this system: the address is a name only, see listen.
		c.addresses[ip] = io.NopCloser(nil)
		return true
	}
	c.addresses[ip] = conn
	return true
}

func (c *Cloud) releaseAddress(ip string) {
	if a := c.addresses[ip]; a != nil {
		a.Close()
		delete(c.addresses, ip)
	}
}

// reclaimAddresses takes the public IPs of the stored state again. One that another cloud has taken meanwhile is
// replaced: a new address is better than somebody else's server.
func (c *Cloud) reclaimAddresses() {
	for _, p := range sorted(c.st.PublicIPs) {
		if !c.claim(p.IP) {
			old := p.IP
			p.IP = c.newAddress()
			c.logf("public IP %s: address %s is taken by another program, now %s", p.No, old, p.IP)
		}
	}
	for zone, ip := range c.st.ForwardIPs {
		if !c.claim(ip) {
			c.st.ForwardIPs[zone] = c.newAddress()
		}
	}
}

// ports a guest answers on.
func (s *server) ports() []int {
	if isWindowsOS(s.OS) {
		return []int{5985, 5986}
	}
	return []int{22}
}

func isWindowsOS(os string) bool { return len(os) >= 7 && os[:7] == "windows" }

// syncListeners opens and closes listeners so that they match the state. c.mu is held.
func (c *Cloud) syncListeners() {
	type target struct {
		serverNo string
		port     int
	}
	want := map[endpoint]target{}
	now := time.Now()
	for no, m := range c.machines {
		s := c.st.Servers[no]
		if s == nil || m.stopping || m.ready.After(now) {
			continue
		}
		if ip := c.st.PublicIPs[s.PublicIPNo]; ip != nil && ip.ServerNo == no && ip.idle() {
			for _, p := range s.ports() {
				want[endpoint{ip.IP, p}] = target{no, p}
			}
		}
	}
	for _, f := range c.st.PortForwards {
		if m := c.machines[f.ServerNo]; m != nil && !m.stopping && !m.ready.After(now) {
			want[endpoint{c.st.ForwardIPs[f.Zone], int(f.External)}] = target{f.ServerNo, int(f.Internal)}
		}
	}

	for e, l := range c.listeners {
		if w, ok := want[e]; !ok || w.serverNo != l.serverNo {
			l.close()
			delete(c.listeners, e)
		}
	}
	for e, w := range want {
		if c.listeners[e] != nil {
			continue
		}
		ln, err := c.listen(e)
		if err != nil {
			c.logf("server %s: no listener for %s:%d: %v", w.serverNo, e.ip, e.port, err)
			continue
		}
		l := &listener{Listener: ln, serverNo: w.serverNo, port: w.port, conns: map[net.Conn]struct{}{}}
		c.listeners[e] = l
		c.background(func() { c.accept(l) })
	}
}

// listen binds the endpoint itself if it can, else a free port on its address, else one on 127.0.0.1.
func (c *Cloud) listen(e endpoint) (net.Listener, error) {
	var tries []string
	if !c.opts.HighPorts || e.port >= 1024 {
		tries = append(tries, net.JoinHostPort(e.ip, strconv.Itoa(e.port)))
	}
	tries = append(tries, net.JoinHostPort(e.ip, "0"), "127.0.0.1:0")
	var errs []error
	for _, addr := range tries {
		ln, err := net.Listen("tcp4", addr)
		if err == nil {
			return ln, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func (c *Cloud) accept(l *listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return // closed
		}
		if !l.track(conn) {
			conn.Close()
			return
		}
		c.background(func() {
			defer conn.Close()
			defer l.forget(conn)
			c.take(l.serverNo, conn, addrOf(conn.RemoteAddr()), nil, l.port)
		})
	}
}

// take hands a connection to a guest if the rules let it in; else it is kept in silence until the other side gives up.
func (c *Cloud) take(serverNo string, conn net.Conn, from netip.Addr, fromACGs []string, port int) {
	c.mu.Lock()
	s, m := c.st.Servers[serverNo], c.machines[serverNo]
	ok := s != nil && m != nil && !m.stopping
	allowed := ok && c.mayPass(c.acgsOf(s), "INBND", from, fromACGs, port)
	c.mu.Unlock()
	switch {
	case !ok:
	case allowed:
		m.ServeConn(conn, port)
	default:
		io.Copy(io.Discard, conn) // ends when either side closes
	}
}

// acgsOf lists the groups that guard a server.
func (c *Cloud) acgsOf(s *server) []string {
	if s.Platform == classic {
		return s.ACGs
	}
	var out []string
	for _, n := range c.st.NICs {
		if n.ServerNo == s.No {
			out = append(out, n.ACGs...)
		}
	}
	return out
}

// mayPass tells whether any rule of the groups, in the given direction, covers a TCP connection with the peer.
func (c *Cloud) mayPass(groups []string, direction string, peer netip.Addr, peerACGs []string, port int) bool {
	for _, no := range groups {
		g := c.st.ACGs[no]
		if g == nil {
			continue
		}
		for _, r := range g.Rules {
			if r.Direction == direction && r.covers(peer, peerACGs, port) {
				return true
			}
		}
	}
	return false
}

func (r acgRule) covers(peer netip.Addr, peerACGs []string, port int) bool {
	if r.Protocol != "TCP" {
		return false
	}
	if r.Ports != "" {
		from, to, ok := portRange(r.Ports)
		if !ok || port < from || port > to {
			return false
		}
	}
	if r.FromACG != "" {
		return slices.Contains(peerACGs, r.FromACG)
	}
	p, err := netip.ParsePrefix(r.CIDR)
	return err == nil && p.Contains(peer)
}

func addrOf(a net.Addr) netip.Addr {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}

// DialContext reaches guests by public IP and port 22, 5985 or 5986 (or a port forwarding address and port), also where
// the process may not listen on low ports. Addresses that are not the cloud's are dialled as usual. The private
// addresses of simulated servers are not reachable from here, as they are not from the real internet.
func (c *Cloud) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := splitAddr(addr)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	l := c.listeners[endpoint{host, port}]
	_, ours := c.addresses[host]
	private := c.byPrivateIP(host, "") != nil
	c.mu.Unlock()
	switch {
	case l != nil:
		addr = l.Addr().String()
	case ours:
		return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	case private:
		return nil, fmt.Errorf("dial %s: a private address of a simulated server, reachable only from servers of its VPC: %w", addr, os.NewSyscallError("connect", syscall.EHOSTUNREACH))
	}
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}

func splitAddr(addr string) (host string, port int, err error) {
	host, p, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	port, err = net.LookupPort("tcp", p)
	return host, port, err
}

// byPrivateIP finds the server with a private address, in a VPC ("" = any) or on Classic (vpcNo == classic).
func (c *Cloud) byPrivateIP(ip, vpcNo string) *server {
	for _, n := range c.st.NICs {
		if n.IP == ip && n.ServerNo != "" && (vpcNo == "" || vpcNo == n.VPCNo) {
			return c.st.Servers[n.ServerNo]
		}
	}
	for _, s := range c.st.Servers {
		if s.Platform == classic && s.PrivateIP == ip && (vpcNo == "" || vpcNo == classic) {
			return s
		}
	}
	return nil
}

// dialFromGuest connects on behalf of a guest: to itself, to servers of its private network, and to public IPs of this
// cloud. Nothing else is reachable: a simulated server has no way to the host's network.
func (c *Cloud) dialFromGuest(ctx context.Context, serverNo, network, addr string) (net.Conn, error) {
	host, port, err := splitAddr(addr)
	if err != nil {
		return nil, err
	}
	fail := func(errno syscall.Errno) error {
		return &net.OpError{Op: "dial", Net: network, Err: fmt.Errorf("%s: %w", addr, os.NewSyscallError("connect", errno))}
	}

	c.mu.Lock()
	self := c.st.Servers[serverNo]
	if self == nil {
		c.mu.Unlock()
		return nil, fail(syscall.ENETDOWN)
	}
	private := self.VPCNo
	if self.Platform == classic {
		private = classic
	}
	ip, ipErr := netip.ParseAddr(host)
	var target *server
	source, acgs := c.privateIPOf(self), c.acgsOf(self)
	loop := false
	public := false
	if e := c.listeners[endpoint{host, port}]; e != nil {
		target, public = c.st.Servers[e.serverNo], true
		port = e.port
		if own := c.st.PublicIPs[self.PublicIPNo]; own != nil {
			source = own.IP
		}
		acgs = nil // across the internet only the address counts
	} else if _, ours := c.addresses[host]; ours {
		c.mu.Unlock()
		return nil, fail(syscall.ECONNREFUSED)
	} else if host == "localhost" || host == self.Name || ipErr == nil && ip.IsLoopback() || host == source {
		target, loop = self, true
	} else {
		target = c.byPrivateIP(host, private)
	}
	if target == nil {
		c.mu.Unlock()
		return nil, fail(syscall.ENETUNREACH)
	}
	from, _ := netip.ParseAddr(source)
	m := c.machines[target.No]
	up := m != nil && !m.stopping && slices.Contains(target.ports(), port)
	out := loop || public || self.Platform == classic || c.mayPass(acgs, "OTBND", ip, c.acgsOf(target), port)
	in := loop || c.mayPass(c.acgsOf(target), "INBND", from, acgs, port)
	c.mu.Unlock()

	switch {
	case !out || !in:
		select { // filtered: no answer comes
		case <-ctx.Done():
		case <-c.ctx.Done():
		}
		return nil, fail(syscall.ETIMEDOUT)
	case !up:
		return nil, fail(syscall.ECONNREFUSED)
	}
	near, far, err := loopbackPair(ctx)
	if err != nil {
		return nil, err
	}
	c.background(func() {
		defer far.Close()
		stop := context.AfterFunc(c.ctx, func() { far.Close() })
		defer stop()
		m.ServeConn(far, port)
	})
	return near, nil
}

func (c *Cloud) privateIPOf(s *server) string {
	if s.Platform == classic {
		return s.PrivateIP
	}
	for _, n := range c.st.NICs {
		if n.ServerNo == s.No && n.Default {
			return n.IP
		}
	}
	return ""
}

// loopbackPair makes two connected TCP connections. net.Pipe would not do: both ends of SSH write before they read.
func loopbackPair(ctx context.Context) (near, far net.Conn, err error) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer ln.Close()
	type accepted struct {
		net.Conn
		error
	}
	ch := make(chan accepted, 1)
	var d net.Dialer
	near, err = d.DialContext(ctx, "tcp4", ln.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	go func() {
		for {
			conn, err := ln.Accept()
			// Somebody else may have found the port in the meantime.
			if err == nil && conn.RemoteAddr().String() != near.LocalAddr().String() {
				conn.Close()
				continue
			}
			ch <- accepted{conn, err}
			return
		}
	}()
	select {
	case a := <-ch:
		if a.error != nil {
			near.Close()
			return nil, nil, a.error
		}
		return near, a.Conn, nil
	case <-ctx.Done():
		near.Close()
		return nil, nil, ctx.Err()
	}
}

// cutGuests ends open connections to a server's guest ("" = to all); the servers go on.
func (c *Cloud) cutGuests(serverNo string) {
	for _, l := range c.listeners {
		if serverNo == "" || l.serverNo == serverNo {
			l.cut()
		}
	}
}

// freePrivateIP is the next free address of a subnet; the first six and the last are reserved.
func (c *Cloud) freePrivateIP(n *subnet) (string, bool) {
	p := netip.MustParsePrefix(n.CIDR)
	a := p.Addr()
	for range 6 {
		a = a.Next()
	}
	for ; p.Contains(a) && p.Contains(a.Next()); a = a.Next() {
		if !c.privateIPTaken(n.VPCNo, a.String()) {
			return a.String(), true
		}
	}
	return "", false
}

// usableIP tells whether an address may be given to a NIC of the subnet.
func (c *Cloud) usableIP(n *subnet, ip string) bool {
	p := netip.MustParsePrefix(n.CIDR)
	a, err := netip.ParseAddr(ip)
	if err != nil || !p.Contains(a) || !p.Contains(a.Next()) {
		return false
	}
	r := p.Addr()
	for range 6 {
		if a == r {
			return false
		}
		r = r.Next()
	}
	return !c.privateIPTaken(n.VPCNo, ip)
}

func (c *Cloud) privateIPTaken(vpcNo, ip string) bool {
	for _, n := range c.st.NICs {
		if n.VPCNo == vpcNo && (n.IP == ip || slices.Contains(n.SecondaryIPs, ip)) {
			return true
		}
	}
	return false
}

func (c *Cloud) freeClassicIP() string {
	for i := int64(10); ; i++ {
		ip := fmt.Sprintf("10.41.%d.%d", i/250, 1+i%250)
		if c.byPrivateIP(ip, classic) == nil {
			return ip
		}
	}
}
