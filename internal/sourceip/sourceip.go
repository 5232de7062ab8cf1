// Package sourceip finds the public address from which this machine reaches the internet, so that a bake's ACG can open
// its one port to that address alone. It asks a plain web service that answers with the caller's address.
package sourceip

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// DefaultURL answers with the caller's address as text. It learns nothing but that address.
const DefaultURL = "https://checkip.amazonaws.com"

// Ask returns the caller's address as a CIDR block of one address, "203.0.113.7/32". NAVER Cloud's ACG rules are for IPv4.
func Ask(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", fmt.Errorf("ask %s for this machine's public address: %w", url, err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("ask for this machine's public address: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 256))
	if err != nil {
		return "", fmt.Errorf("ask %s for this machine's public address: %w", url, err)
	}
	addr, err := netip.ParseAddr(strings.TrimSpace(string(body)))
	if resp.StatusCode != http.StatusOK || err != nil || !addr.Is4() {
		return "", fmt.Errorf("%s did not answer with an IPv4 address (%s)", url, resp.Status)
	}
	return netip.PrefixFrom(addr, 32).String(), nil
}

// Parse reads a comma-separated list of IPv4 addresses and networks, and returns them as CIDR blocks.
func Parse(list string) ([]string, error) {
	var out []string
	for _, word := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }) {
		if addr, err := netip.ParseAddr(word); err == nil {
			word = netip.PrefixFrom(addr, addr.BitLen()).String()
		}
		p, err := netip.ParsePrefix(word)
		switch {
		case err != nil || !p.Addr().Is4():
			return nil, fmt.Errorf("%q is not an IPv4 network such as 203.0.113.7/32 or 198.51.100.0/24", word)
		case p != p.Masked():
			return nil, fmt.Errorf("%q has bits set beyond its prefix; did you mean %q?", word, p.Masked())
		}
		out = append(out, p.String())
	}
	return out, nil
}
