package config

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
)

// Path is the path of a file or folder. One that is relative in the file is
// joined to the config file's folder when it is decoded.
type Path string

// resolvePath is what a Path becomes in a config whose folder is dir.
func resolvePath(dir, text string) (Path, *Problem) {
	bad := func(what, hint string) (Path, *Problem) {
		return "", &Problem{Code: CodeWrongValue, What: what, Hint: hint}
	}
	switch {
	case text == "":
		return bad("is empty", "give a path, or remove the key")
	case strings.ContainsRune(text, 0):
		return bad("holds a zero byte", "")
	case text == "~" || strings.HasPrefix(text, "~/"):
		return bad("~ stands for nothing here", `write "${HOME}`+text[1:]+`"`)
	case filepath.IsAbs(text):
		return Path(filepath.Clean(text)), nil
	}
	return Path(filepath.Join(dir, text)), nil
}

// Address is where to listen: an IP address or localhost, and a port; port 0
// is any free one. Empty is nowhere.
type Address string

// ParseAddress reads an Address. It wants the host to be written out, so that
// nobody listens on every interface for want of a few characters.
func ParseAddress(s string) (Address, error) {
	const form = "write an IP address or localhost, and a port, such as 127.0.0.1:8080"
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		if _, numeric := strconv.ParseUint(s, 10, 16); numeric == nil {
			return "", notA(s, "an address", "write 127.0.0.1:"+s)
		}
		return "", notA(s, "an address", form)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", notA(s, "an address", "a port is a number up to 65535")
	}
	if host == "" {
		return "", notA(s, "an address", fmt.Sprintf("write 127.0.0.1:%s for this machine alone, 0.0.0.0:%s for every interface", port, port))
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "localhost" {
		return "", notA(s, "an address", form)
	}
	return Address(s), nil
}

// UnmarshalText is ParseAddress.
func (a *Address) UnmarshalText(b []byte) (err error) {
	*a, err = ParseAddress(string(b))
	return err
}

func (Address) want() string { return "an address such as 127.0.0.1:8080" }

// parts returns the address as numbers; localhost is 127.0.0.1.
func (a Address) parts() (ip netip.Addr, port string) {
	host, port, err := net.SplitHostPort(string(a))
	if err != nil {
		return netip.Addr{}, ""
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	ip, _ = netip.ParseAddr(host)
	return ip.Unmap(), port
}

// Loopback reports whether only this machine can reach the address.
func (a Address) Loopback() bool {
	ip, _ := a.parts()
	return ip.IsLoopback()
}

// overlaps reports whether no two sockets could be bound to both addresses.
func (a Address) overlaps(b Address) bool {
	aIP, aPort := a.parts()
	bIP, bPort := b.parts()
	if aPort != bPort || aPort == "" || aPort == "0" {
		return false
	}
	// The unspecified IPv6 address takes the IPv4 ones too.
	covers := func(wide, ip netip.Addr) bool {
		return wide.IsUnspecified() && (wide.Is6() || ip.Is4())
	}
	return aIP == bIP || covers(aIP, bIP) || covers(bIP, aIP)
}
