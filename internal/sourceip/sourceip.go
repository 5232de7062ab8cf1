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
		return "", fmt.Errorf("ask for this machine's public address: %w; set source_cidrs in the template, or TFBAKE_SOURCE_CIDRS", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 256))
	if err != nil {
		return "", fmt.Errorf("ask %s for this machine's public address: %w", url, err)
	}
	addr, err := netip.ParseAddr(strings.TrimSpace(string(body)))
	if resp.StatusCode != http.StatusOK || err != nil || !addr.Is4() {
		return "", fmt.Errorf("%s did not answer with an IPv4 address (%s); set source_cidrs in the template, or TFBAKE_SOURCE_CIDRS", url, resp.Status)
	}
	return netip.PrefixFrom(addr, 32).String(), nil
}
