package provider

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"
)

// The checks of single values: the official provider's rules, told in the terms of the value.

func isText(f func(string) error) func(cty.Value) error {
	return func(v cty.Value) error { return f(textOf(v)) }
}

func length(low, high int) func(cty.Value) error {
	return isText(func(s string) error {
		if n := len(s); n < low || n > high {
			return fmt.Errorf("%q has %d characters; %d to %d are allowed", s, n, low, high)
		}
		return nil
	})
}

func oneOf(values ...string) func(cty.Value) error {
	return isText(func(s string) error {
		if !slices.Contains(values, s) {
			return fmt.Errorf("%q is none of %s", s, strings.Join(values, ", "))
		}
		return nil
	})
}

func both(checks ...func(cty.Value) error) func(cty.Value) error {
	return func(v cty.Value) error {
		for _, c := range checks {
			if err := c(v); err != nil {
				return err
			}
		}
		return nil
	}
}

func matches(re, rule string) func(cty.Value) error {
	compiled := regexp.MustCompile(re)
	return isText(func(s string) error {
		if !compiled.MatchString(s) {
			return fmt.Errorf("%q: %s", s, rule)
		}
		return nil
	})
}

const nameRule = "lower case letters, digits and '-', beginning with a letter, ending with a letter or digit"

var (
	// instanceName is the rule for NICs, ACGs and init scripts, serverName the one for servers.
	instanceName = both(length(3, 30), matches(`^[a-z][a-z0-9-]*$`, nameRule), matches(`[^-]$`, nameRule))
	serverName   = both(length(3, 30), matches(`^[a-z]+[a-z0-9-]+[a-z0-9]$`, nameRule))
	diskName     = both(length(3, 30), matches(`^[A-Za-z][A-Za-z0-9-_]+$`, "letters, digits, '-' and '_', beginning with a letter"))
	isRegexp     = isText(func(s string) error { _, err := regexp.Compile(s); return err })
	isIPv4       = isText(func(s string) error {
		if a, err := netip.ParseAddr(s); err != nil || !a.Is4() {
			return fmt.Errorf("%q is not an IPv4 address", s)
		}
		return nil
	})
)

func atLeast(low int64) func(cty.Value) error {
	return func(v cty.Value) error {
		if v.LessThan(cty.NumberIntVal(low)).True() {
			return fmt.Errorf("%s is less than %d", v.AsBigFloat().Text('f', 0), low)
		}
		return nil
	}
}

func between(low, high int64) func(cty.Value) error {
	return func(v cty.Value) error {
		if v.LessThan(cty.NumberIntVal(low)).True() || v.GreaterThan(cty.NumberIntVal(high)).True() {
			return fmt.Errorf("%s is not within %d and %d", v.AsBigFloat().Text('f', 0), low, high)
		}
		return nil
	}
}

func oneOfNumbers(values ...int64) func(cty.Value) error {
	return func(v cty.Value) error {
		n, _ := v.AsBigFloat().Int64()
		if !slices.Contains(values, n) {
			return fmt.Errorf("%d is none of %v", n, values)
		}
		return nil
	}
}

// rules checks a set of ACG rules.
func rules(v cty.Value) error {
	for _, e := range v.AsValueSlice() {
		for _, name := range []string{"ip_block", "port_range"} {
			if f := e.GetAttr(name); !f.IsNull() && f.AsString() == "" {
				return fmt.Errorf("%s is empty; leave it away, or null, where it does not apply", name) // so says the official one, too
			}
		}
		if err := rule(textOf(e.GetAttr("protocol")), textOf(e.GetAttr("port_range")), textOf(e.GetAttr("ip_block")),
			textOf(e.GetAttr("source_access_control_group_no")), textOf(e.GetAttr("description"))); err != nil {
			return err
		}
	}
	return nil
}

func rule(protocol, ports, block, source, description string) error {
	switch protocol {
	case "TCP", "UDP", "ICMP":
	case "1", "6", "17":
		return fmt.Errorf("protocol %s goes by its name: ICMP, TCP or UDP", protocol)
	default:
		if n, err := strconv.Atoi(protocol); err != nil || n < 1 || n > 254 {
			return fmt.Errorf("protocol %q is none of TCP, UDP, ICMP and the numbers 1 to 254", protocol)
		}
	}
	if ports != "" {
		low, high, ranged := strings.Cut(ports, "-")
		l, err := strconv.Atoi(low)
		h := l
		if err == nil && ranged {
			h, err = strconv.Atoi(high)
		}
		if err != nil || l < 1 || h > 65535 || l > h {
			return fmt.Errorf("port_range %q is not a port or range of ports such as 22 or 8000-8100", ports)
		}
	}
	if block != "" {
		p, err := netip.ParsePrefix(block)
		if err != nil || !p.Addr().Is4() {
			return fmt.Errorf("ip_block %q is not an IPv4 network such as 203.0.113.0/24", block)
		}
		if p.Masked() != p {
			return fmt.Errorf("ip_block %q has host bits set; did you mean %s?", block, p.Masked())
		}
	}
	if block == "" && source == "" {
		return fmt.Errorf("a rule for %s %s needs one of ip_block and source_access_control_group_no", protocol, ports)
	}
	if block != "" && source != "" {
		return fmt.Errorf("a rule for %s %s has both ip_block and source_access_control_group_no; it can have one", protocol, ports)
	}
	if len(description) > 1000 {
		return fmt.Errorf("the description of the rule for %s %s is longer than 1000 characters", protocol, ports)
	}
	return nil
}
