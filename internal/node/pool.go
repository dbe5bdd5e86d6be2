package node

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"mangrove/internal/gossip"
	"mangrove/mqtt/transport"
)

// Member is another node in the gossip pool.
type Member = gossip.Member

// Suspect is the state of a member that gossip holds for dead; its links may still work.
const Suspect = gossip.Suspect

// Membership is what a role says about itself to the pool.
type Membership struct {
	Link     string           // where other nodes dial this one; "" = not at all
	Weight   int              // of a core: its share of the edges, in proportion to other cores' weights
	OnChange func(m []Member) // as gossip.Config.OnChange
}

// JoinPool takes part in gossip, and leaves at Close. The server listens already, so that the addresses
// announced are true.
func (n *Node) JoinPool(m Membership) error {
	g := n.cfg.Gossip
	bind, err := resolve(g.Address)
	if err != nil {
		return Fault("gossip.address", "%w", err)
	}
	client, err := n.Address("")
	if err != nil {
		return err
	}
	n.pool, err = gossip.Start(gossip.Config{
		Name: n.cfg.Name, Bind: bind.String(), Advertise: g.Advertise, Join: g.Join,
		Key: g.Key, Unencrypted: g.Insecure, Profile: profile(g.Profile, bind),
		Meta: gossip.Meta{
			Role: string(n.role.Name), Store: n.store.ID(), Link: m.Link, Client: client, HTTP: n.httpAddress(),
			Weight: m.Weight, Protocol: [2]uint8{linkProtocol, linkProtocol},
		},
		OnChange: m.OnChange, Log: n.logOf("gossip"), Metrics: n.metrics,
	})
	if err == nil {
		n.OnClose("gossip", n.leavePool)
	}
	return err
}

// leavePool says goodbye. That nobody heard it is no failure: the others may be stopping as well, or out of
// reach, and will find out by themselves.
func (n *Node) leavePool(context.Context) error {
	if err := n.pool.Close(); err != nil {
		n.log.Warn("gossip left without being heard", "err", err)
	}
	return nil
}

// linkProtocol is the version of the link protocol that is announced; see bridge.Versions.
const linkProtocol = 1

// profile picks the timing: that of one machine on loopback, else that of a network.
func profile(configured string, bind netip.AddrPort) gossip.Profile {
	if configured != "" && configured != "auto" {
		return gossip.Profile(configured)
	}
	if bind.Addr().IsLoopback() {
		return gossip.Local
	}
	return gossip.LAN
}

// resolve turns HOST:PORT into IP:port, host names looked up, no host meaning every address.
func resolve(addr string) (netip.AddrPort, error) {
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return netip.AddrPort{}, err
	}
	ip, ok := netip.AddrFromSlice(a.IP)
	if !ok {
		ip = netip.IPv6Unspecified()
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(a.Port)), nil
}

// Address is where others reach this node's listener: what the operator says, else the first that is not a unix
// socket, with the address of an interface in the place of "every address". "" = nowhere.
func (n *Node) Address(advertise string) (string, error) {
	if advertise != "" {
		return advertise, nil
	}
	for _, s := range n.bound() {
		a, err := transport.ParseAddr(s)
		if err != nil {
			return "", fmt.Errorf("read own address: %w", err)
		}
		if a.Scheme == transport.Unix {
			continue
		}
		if a.Host, err = n.reachable(a.Host); err != nil {
			return "", err
		}
		if a.Scheme == transport.TCP {
			return a.Host, nil
		}
		return a.String(), nil
	}
	return "", nil
}

// reachable replaces an unspecified host by one that others can dial: that of the gossip address, else
// the first of this machine's interfaces.
func (n *Node) reachable(hostPort string) (string, error) {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return "", fmt.Errorf("read own address: %w", err)
	}
	if !unspecified(host) {
		return hostPort, nil
	}
	for _, own := range []string{n.cfg.Gossip.Advertise, n.cfg.Gossip.Address} {
		if h, _, err := net.SplitHostPort(own); err == nil && !unspecified(h) {
			return net.JoinHostPort(h, port), nil
		}
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return "", fmt.Errorf("find own address: %w", err)
	}
	i := slices.IndexFunc(addrs, func(a net.Addr) bool {
		ip, ok := a.(*net.IPNet)
		return ok && ip.IP.IsGlobalUnicast()
	})
	if i < 0 {
		return "", Fault("link.advertise", "this machine has no address that others can reach: say it (--advertise)")
	}
	return net.JoinHostPort(addrs[i].(*net.IPNet).IP.String(), port), nil
}

func unspecified(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}
