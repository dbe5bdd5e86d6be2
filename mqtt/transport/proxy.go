package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// The PROXY protocol tells a server behind a proxy who connected to the proxy
// (https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt). The header is the first thing on a connection:
//
//	version 1   "PROXY TCP4 192.0.2.1 198.51.100.1 56324 1883\r\n", at most 107 bytes
//	version 2   signature 12 │ version 4 bits, command 4 bits │ family, transport │ length 2 │ addresses │ TLVs
//
// It is read byte by byte up to its end, so that what follows stays in the connection.

const (
	maxProxyLine = 107  // of version 1, line end included
	maxProxyRest = 2048 // bytes of version 2 after the length: addresses and TLVs; longer ones are refused
	proxyStart   = 12   // bytes that tell the version: no header is shorter
)

var proxySignature = []byte("\r\n\r\n\x00\r\nQUIT\n")

// errProxy is wrapped in what is wrong with a header.
var errProxy = errors.New("PROXY protocol")

func proxyError(format string, args ...any) error {
	return fmt.Errorf("%w: %w", errProxy, fmt.Errorf(format, args...))
}

// readProxy reads the header. nil = the proxy speaks for itself, or does not know: the peer is who it is.
func readProxy(r io.Reader) (remote net.Addr, err error) {
	var start [proxyStart]byte
	if _, err := io.ReadFull(r, start[:]); err != nil {
		return nil, proxyError("read header: %w", err)
	}
	switch {
	case bytes.Equal(start[:], proxySignature):
		return readProxy2(r)
	case bytes.HasPrefix(start[:], []byte("PROXY ")):
		return readProxy1(r, start[:])
	}
	return nil, proxyError("the connection begins with %.6q, not with a header", start[:])
}

// readProxy1 reads the rest of a line that began with start.
func readProxy1(r io.Reader, start []byte) (net.Addr, error) {
	line := append(make([]byte, 0, maxProxyLine), start...)
	for line[len(line)-1] != '\n' {
		if len(line) == maxProxyLine {
			return nil, proxyError("line of more than %d bytes", maxProxyLine)
		}
		line = line[:len(line)+1]
		if _, err := io.ReadFull(r, line[len(line)-1:]); err != nil {
			return nil, proxyError("read line: %w", err)
		}
	}
	text, ok := strings.CutSuffix(string(line), "\r\n")
	if !ok {
		return nil, proxyError("the line does not end in CR LF")
	}
	return parseProxyLine(text)
}

// parseProxyLine reads "PROXY family source destination sourceport destinationport", or "PROXY UNKNOWN …".
func parseProxyLine(line string) (net.Addr, error) {
	f := strings.Split(line, " ")
	if f[1] == "UNKNOWN" { // what follows is to be ignored
		return nil, nil
	}
	if len(f) != 6 || f[1] != "TCP4" && f[1] != "TCP6" {
		return nil, proxyError("line %q, want PROXY TCP4 or TCP6, two addresses and two ports", line)
	}
	from, err := proxyAddr(f[2], f[4], f[1] == "TCP4")
	if err != nil {
		return nil, err
	}
	if _, err := proxyAddr(f[3], f[5], f[1] == "TCP4"); err != nil {
		return nil, err
	}
	return from, nil
}

func proxyAddr(host, port string, v4 bool) (net.Addr, error) {
	ip, err := netip.ParseAddr(host)
	if err != nil || ip.Is4() != v4 || ip.Zone() != "" {
		return nil, proxyError("address %q is not of the family", host)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || strconv.FormatUint(n, 10) != port {
		return nil, proxyError("port %q is not a number from 0 to 65535", port)
	}
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, uint16(n))), nil
}

// Commands, families and transports of version 2.
const (
	proxyVersion2  = 0x20
	proxyLocal     = 0x0 // the proxy's own connection, as of a health check
	proxyProxied   = 0x1
	proxyTCP4      = 0x11
	proxyTCP6      = 0x21
	proxyUnix      = 0x31
	proxyTypeCRC   = 0x03 // TLV: CRC-32C of the header
	proxyUnspec    = 0x00
	proxyHeadBytes = 4 // after the signature
)

// readProxy2 reads what follows the signature.
func readProxy2(r io.Reader) (net.Addr, error) {
	var head [proxyHeadBytes]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, proxyError("read header: %w", err)
	}
	n := int(binary.BigEndian.Uint16(head[2:]))
	switch command := head[0] & 0x0F; {
	case head[0]&0xF0 != proxyVersion2:
		return nil, proxyError("version %d, want 2", head[0]>>4)
	case command != proxyLocal && command != proxyProxied:
		return nil, proxyError("unknown command %d", command)
	case n > maxProxyRest:
		return nil, proxyError("header of %d bytes, allowed are %d", n, maxProxyRest)
	}
	rest := make([]byte, n)
	if _, err := io.ReadFull(r, rest); err != nil {
		return nil, proxyError("read addresses: %w", err)
	}
	from, size, err := proxyAddrs(head[1], rest)
	if err != nil {
		return nil, err
	}
	if err := checkTLVs(head, rest, size); err != nil {
		return nil, err
	}
	if head[0]&0x0F == proxyLocal {
		return nil, nil
	}
	return from, nil
}

// proxyAddrs reads the addresses at the start of rest and tells their size.
func proxyAddrs(family byte, rest []byte) (from net.Addr, size int, err error) {
	ip := 0 // bytes of an address
	switch family {
	case proxyUnspec:
		return nil, len(rest), nil // nothing is known of what follows
	case proxyTCP4:
		ip = 4
	case proxyTCP6:
		ip = 16
	case proxyUnix:
		if size = 2 * 108; len(rest) < size {
			return nil, 0, proxyError("%d bytes of addresses, want %d", len(rest), size)
		}
		path, _, _ := bytes.Cut(rest[:108], []byte{0})
		return &net.UnixAddr{Net: "unix", Name: string(path)}, size, nil
	default:
		return nil, 0, proxyError("family and transport %#02x, want TCP or a unix stream", family)
	}
	if size = 2*ip + 4; len(rest) < size {
		return nil, 0, proxyError("%d bytes of addresses, want %d", len(rest), size)
	}
	host, _ := netip.AddrFromSlice(rest[:ip]) // of 4 or 16 bytes: always one
	port := binary.BigEndian.Uint16(rest[2*ip:])
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(host.Unmap(), port)), size, nil
}

// checkTLVs walks over the type-length-values that follow the addresses and checks the checksum if there is one.
func checkTLVs(head [proxyHeadBytes]byte, rest []byte, at int) error {
	for at < len(rest) {
		if len(rest)-at < 3 {
			return proxyError("TLV cut off")
		}
		kind, n := rest[at], int(binary.BigEndian.Uint16(rest[at+1:]))
		value := rest[at+3:]
		if len(value) < n {
			return proxyError("TLV %#02x of %d bytes, %d are there", kind, n, len(value))
		}
		if kind == proxyTypeCRC {
			if n != 4 {
				return proxyError("checksum of %d bytes, want 4", n)
			}
			if err := checkCRC(head, rest, value[:4]); err != nil {
				return err
			}
		}
		at += 3 + n
	}
	return nil
}

// checkCRC compares the checksum of the whole header, in which sum, a part of rest, counts as zero.
func checkCRC(head [proxyHeadBytes]byte, rest, sum []byte) error {
	want := binary.BigEndian.Uint32(sum)
	clear(sum)
	table := crc32.MakeTable(crc32.Castagnoli)
	got := crc32.Update(crc32.Update(crc32.Checksum(proxySignature, table), table, head[:]), table, rest)
	if got != want {
		return proxyError("checksum is %08x, the header's is %08x", got, want)
	}
	return nil
}

// takeProxy reads the header from c. The connection it answers has the address found there.
func takeProxy(c net.Conn) (net.Conn, error) {
	remote, err := readProxy(c)
	if err != nil || remote == nil {
		return c, err
	}
	if ours, ok := c.(Conn); ok {
		ours.SetRemoteAddr(remote)
		return c, nil
	}
	return &proxiedConn{c, remote}, nil
}

// proxiedConn is a connection that is no Conn, behind a proxy.
type proxiedConn struct {
	net.Conn
	remote net.Addr
}

// RemoteAddr implements net.Conn.
func (c *proxiedConn) RemoteAddr() net.Addr { return c.remote }

// NetConn returns the connection without the address.
func (c *proxiedConn) NetConn() net.Conn { return c.Conn }
