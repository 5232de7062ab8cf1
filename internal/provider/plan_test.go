package provider

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/zclconf/go-cty/cty"
)

// testObject makes an object of the schema with some values set and the rest null.
func testObject(s *schema, values map[string]cty.Value) *object {
	o := newObject(s, cty.NullVal(s.typ))
	for name, v := range values {
		if _, ok := o.values[name]; !ok {
			panic("no attribute " + name)
		}
		o.values[name] = v
	}
	o.value()
	return o
}

func nicRow(no string, order int64, subnet, ip cty.Value) cty.Value {
	return cty.ObjectVal(map[string]cty.Value{
		"network_interface_no": cty.StringVal(no), "order": cty.NumberIntVal(order), "subnet_no": subnet, "private_ip": ip,
	})
}

func TestPlan(t *testing.T) {
	none := cty.NullVal(cty.String)
	nics := func(rows ...cty.Value) cty.Value { return cty.ListVal(rows) }
	ruleRow := func(protocol, port string, description cty.Value) cty.Value {
		return cty.ObjectVal(map[string]cty.Value{
			"protocol": cty.StringVal(protocol), "port_range": cty.StringVal(port), "ip_block": cty.StringVal("10.0.0.0/8"),
			"source_access_control_group_no": description, "description": description,
		})
	}
	for _, c := range []struct {
		name          string
		resource      *resource
		config, prior map[string]cty.Value // prior nil: make it
		changes       []string             // attributes whose planned value is not the prior one
		replace       []string
		unknown       []string // attributes among others that must be unknown
		want          map[string]cty.Value
	}{
		{
			name: "a new one: what is open becomes known later", resource: vpcServer(),
			config:  map[string]cty.Value{"name": cty.StringVal("web"), "subnet_no": cty.StringVal("1")},
			unknown: []string{"id", "zone", "network_interface", "public_ip", "server_spec_code"},
			want:    map[string]cty.Value{"name": cty.StringVal("web"), "fee_system_type_code": none},
		},
		{
			name: "nothing to do: null and empty are the same, and what is open stays", resource: vpcServer(),
			config: map[string]cty.Value{"name": cty.StringVal("web")},
			prior: map[string]cty.Value{"name": cty.StringVal("web"), "id": cty.StringVal("7"), "fee_system_type_code": cty.StringVal(""),
				"zone": cty.StringVal("KR-1"), "network_interface": nics(nicRow("5", 0, cty.StringVal("1"), cty.StringVal("10.0.0.6")))},
		},
		{
			name: "another image needs another server", resource: vpcServer(),
			config:  map[string]cty.Value{"server_image_number": cty.StringVal("2")},
			prior:   map[string]cty.Value{"id": cty.StringVal("7"), "server_image_number": cty.StringVal("1")},
			changes: []string{"server_image_number"}, replace: []string{"server_image_number"},
		},
		{
			name: "an image that is not known yet needs another server", resource: vpcServer(),
			config:  map[string]cty.Value{"server_image_number": cty.UnknownVal(cty.String)},
			prior:   map[string]cty.Value{"id": cty.StringVal("7"), "server_image_number": cty.StringVal("1")},
			changes: []string{"server_image_number"}, replace: []string{"server_image_number"},
		},
		{
			name: "another spec changes in place, and what follows from it is open", resource: vpcServer(),
			config: map[string]cty.Value{"server_spec_code": cty.StringVal("s4-g3")},
			prior: map[string]cty.Value{"id": cty.StringVal("7"), "server_spec_code": cty.StringVal("s2-g3"), "server_product_code": cty.StringVal("P"),
				"cpu_count": cty.NumberIntVal(2), "memory_size": cty.NumberIntVal(8), "zone": cty.StringVal("KR-1")},
			changes: []string{"server_spec_code", "server_product_code", "cpu_count", "memory_size"}, unknown: []string{"cpu_count", "server_product_code"},
		},
		{
			name: "the same NIC, with what the provider added to it", resource: vpcServer(),
			config: map[string]cty.Value{"network_interface": nics(nicRow("5", 0, none, none))},
			prior: map[string]cty.Value{"id": cty.StringVal("7"),
				"network_interface": nics(nicRow("5", 0, cty.StringVal("1"), cty.StringVal("10.0.0.6")))},
			want: map[string]cty.Value{"network_interface": nics(nicRow("5", 0, cty.StringVal("1"), cty.StringVal("10.0.0.6")))},
		},
		{
			name: "another NIC needs another server", resource: vpcServer(),
			config: map[string]cty.Value{"network_interface": nics(nicRow("6", 0, none, none))},
			prior: map[string]cty.Value{"id": cty.StringVal("7"),
				"network_interface": nics(nicRow("5", 0, cty.StringVal("1"), cty.StringVal("10.0.0.6")))},
			changes: []string{"network_interface"}, replace: []string{"network_interface[0].network_interface_no"},
		},
		{
			name: "one more NIC needs another server", resource: vpcServer(),
			config: map[string]cty.Value{"network_interface": nics(nicRow("5", 0, none, none), nicRow("6", 1, none, none))},
			prior: map[string]cty.Value{"id": cty.StringVal("7"),
				"network_interface": nics(nicRow("5", 0, cty.StringVal("1"), cty.StringVal("10.0.0.6")))},
			changes: []string{"network_interface"}, replace: []string{"network_interface[1].network_interface_no", "network_interface[1].order"},
		},
		{
			name: "rules: left away is empty in state", resource: accessControlGroupRule(),
			config: map[string]cty.Value{"access_control_group_no": cty.StringVal("3"), "inbound": cty.SetVal([]cty.Value{ruleRow("TCP", "22", none)})},
			want:   map[string]cty.Value{"inbound": cty.SetVal([]cty.Value{ruleRow("TCP", "22", cty.StringVal(""))})},
		},
		{
			name: "rules: nothing to do", resource: accessControlGroupRule(),
			config: map[string]cty.Value{"access_control_group_no": cty.StringVal("3"), "inbound": cty.SetVal([]cty.Value{ruleRow("TCP", "22", none)})},
			prior: map[string]cty.Value{"id": cty.StringVal("3"), "access_control_group_no": cty.StringVal("3"), "outbound": cty.SetValEmpty(ruleType),
				"inbound": cty.SetVal([]cty.Value{ruleRow("TCP", "22", cty.StringVal(""))})},
		},
		{
			name: "a disk's default", resource: blockStorage(VPC),
			config: map[string]cty.Value{"size": cty.NumberIntVal(20), "server_instance_no": cty.StringVal("7")},
			want:   map[string]cty.Value{"stop_instance_before_detaching": cty.False},
		},
		{
			name: "a disk imported: the default is no change", resource: blockStorage(VPC),
			config: map[string]cty.Value{"size": cty.NumberIntVal(20), "server_instance_no": cty.StringVal("7")},
			prior:  map[string]cty.Value{"id": cty.StringVal("9"), "size": cty.NumberIntVal(20), "server_instance_no": cty.StringVal("7")},
		},
		{
			name: "a public IP moves", resource: publicIP(VPC),
			config:  map[string]cty.Value{"server_instance_no": cty.StringVal("8")},
			prior:   map[string]cty.Value{"id": cty.StringVal("9"), "server_instance_no": cty.StringVal("7")},
			changes: []string{"server_instance_no"},
		},
		{
			name: "a public IP without a server: empty in state", resource: publicIP(VPC),
			config: map[string]cty.Value{},
			prior:  map[string]cty.Value{"id": cty.StringVal("9"), "server_instance_no": cty.StringVal("")},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var prior *object
			if c.prior != nil {
				prior = testObject(c.resource.schema, c.prior)
			}
			p := makePlan(c.resource, testObject(c.resource.schema, c.config), prior)
			p.planned.value()
			var replace []string
			for _, path := range p.replace {
				replace = append(replace, pathText(path))
			}
			if !slices.Equal(replace, c.replace) {
				t.Errorf("replace %v, want %v", replace, c.replace)
			}
			if prior != nil {
				var changes []string
				for name := range p.planned.values {
					if !p.planned.get(name).RawEquals(prior.get(name)) {
						changes = append(changes, name)
					}
				}
				slices.Sort(changes)
				slices.Sort(c.changes)
				if !slices.Equal(changes, c.changes) {
					t.Errorf("changes %v, want %v", changes, c.changes)
				}
			}
			for _, name := range c.unknown {
				if p.planned.get(name).IsKnown() {
					t.Errorf("%s is planned as %#v, want unknown", name, p.planned.get(name))
				}
			}
			for name, want := range c.want {
				if got := p.planned.get(name); !got.RawEquals(want) {
					t.Errorf("%s is planned as %#v, want %#v", name, got, want)
				}
			}
		})
	}
}

func TestValidate(t *testing.T) {
	type values = map[string]cty.Value
	rule := func(protocol, ports, block string) cty.Value {
		return cty.SetVal([]cty.Value{cty.ObjectVal(values{"protocol": str(protocol), "port_range": str(ports), "ip_block": str(block),
			"source_access_control_group_no": cty.NullVal(cty.String), "description": cty.NullVal(cty.String)})})
	}
	timeouts := func(create string) cty.Value {
		return cty.ObjectVal(values{"create": str(create), "delete": cty.NullVal(cty.String)})
	}
	for _, c := range []struct {
		name     string
		resource *resource
		config   values
		want     string // part of an error; empty: no error
	}{
		{"fine", vpcServer(), values{"name": str("tfb-260101-000000-ab12")}, ""},
		{"unknown passes", vpcServer(), values{"name": cty.UnknownVal(cty.String)}, ""},
		{"upper case", vpcServer(), values{"name": str("Web1")}, "lower case"},
		{"too long", vpcServer(), values{"name": str(strings.Repeat("a", 31))}, "31 characters"},
		{"two images", vpcServer(), values{"server_image_product_code": str("P"), "member_server_image_no": str("1")}, `conflicts with member_server_image_no`},
		{"bad timeout", vpcServer(), values{"timeouts": timeouts("soon")}, `"soon" is not a duration`},
		{"good timeout", vpcServer(), values{"timeouts": timeouts("90m")}, ""},
		{"port range backwards", accessControlGroupRule(), values{"inbound": rule("TCP", "90-80", "10.0.0.0/8")}, "port_range"},
		{"host bits", accessControlGroupRule(), values{"inbound": rule("TCP", "22", "10.0.0.1/8")}, "did you mean 10.0.0.0/8"},
		{"empty source", accessControlGroupRule(), values{"inbound": rule("TCP", "22", "")}, "ip_block is empty"},
		{"no source", accessControlGroupRule(), values{"inbound": cty.SetVal([]cty.Value{cty.ObjectVal(values{"protocol": str("TCP"), "port_range": str("22"),
			"ip_block": cty.NullVal(cty.String), "source_access_control_group_no": cty.NullVal(cty.String), "description": cty.NullVal(cty.String)})})}, "needs one of"},
		{"protocol by number", accessControlGroupRule(), values{"inbound": rule("6", "22", "10.0.0.0/8")}, "goes by its name"},
		{"other protocol", accessControlGroupRule(), values{"inbound": rule("50", "1-65535", "10.0.0.0/8")}, ""},
		{"small disk", blockStorage(VPC), values{"size": cty.NumberIntVal(5)}, "less than 10"},
		{"volume type alone", blockStorage(VPC), values{"size": cty.NumberIntVal(10), "volume_type": str("CB1")}, "needs hypervisor_type"},
		{"volume type of the other hypervisor", blockStorage(VPC), values{"size": cty.NumberIntVal(10), "volume_type": str("SSD"), "hypervisor_type": str("KVM")}, "not for hypervisor_type KVM"},
		{"newer volume types are not in 3.3.2", blockStorage(Classic), values{"size": cty.NumberIntVal(10), "volume_type": str("CB2"), "hypervisor_type": str("KVM")}, "none of"},
		{"NIC on Classic", classicServer(), values{"network_interface": cty.ListVal([]cty.Value{nicRow("1", 0, cty.NullVal(cty.String), cty.NullVal(cty.String))})}, "network_interface is for VPC"},
		{"privileged port", portForwardingRule(), values{"port_forwarding_external_port": cty.NumberIntVal(80)}, "not within"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := testObject(c.resource.schema, c.config)
			d, err := encode(o.value(), c.resource.schema.typ)
			if err != nil {
				t.Fatal(err)
			}
			var errs []string
			for _, d := range validate(c.resource.schema, d, c.resource.validate) {
				if d.Severity == tfprotov6.DiagnosticSeverityError {
					errs = append(errs, d.Summary+": "+d.Detail)
				}
			}
			got := strings.Join(errs, "\n")
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestDeprecatedArgumentsWarn(t *testing.T) {
	r := publicIP(VPC)
	d, err := encode(testObject(r.schema, map[string]cty.Value{"internet_line_type": str("PUBLC")}).value(), r.schema.typ)
	if err != nil {
		t.Fatal(err)
	}
	ds := validate(r.schema, d, nil)
	if len(ds) != 1 || ds[0].Severity != tfprotov6.DiagnosticSeverityWarning || ds[0].Attribute.String() != `AttributeName("internet_line_type")` {
		t.Errorf("got %+v", ds)
	}
}

func TestStateOfAnotherRelease(t *testing.T) {
	r := vpcServer()
	v, err := decodeState([]byte(`{"id":"7","memory_size":8589934592,"gone_since":"x","network_interface":[{"network_interface_no":"5","order":0,"mac":"m"}]}`), r.schema.typ)
	if err != nil {
		t.Fatal(err)
	}
	o := newObject(r.schema, v)
	if o.text("id") != "7" || o.number("memory_size") != 8589934592 || !o.get("zone").IsNull() {
		t.Errorf("got %#v", v)
	}
	nic := o.list("network_interface")[0]
	if textOf(nic.GetAttr("network_interface_no")) != "5" || !nic.GetAttr("private_ip").IsNull() {
		t.Errorf("nic %#v", nic)
	}
	if got := newObject(r.schema, v).value().GetAttr("block_device_partition_list"); got.IsNull() || got.LengthInt() != 0 {
		t.Errorf("a list of blocks that is missing is %#v, want an empty one", got)
	}
	if _, err := decodeState([]byte(`{"id":[]}`), r.schema.typ); err == nil || !strings.Contains(err.Error(), "id") {
		t.Errorf("a wrong type: %v", err)
	}
}

// The official provider takes the timeouts from the private part of the state, and so must find them there in its form.
func TestPrivateState(t *testing.T) {
	r := vpcServer()
	timeouts := cty.ObjectVal(map[string]cty.Value{"create": cty.StringVal("90m"), "delete": cty.NullVal(cty.String)})
	got, err := r.private([]byte(`{"schema_version":"0","big":9007199254740993}`), testObject(r.schema, map[string]cty.Value{"timeouts": timeouts}))
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(got, &m); err != nil {
		t.Fatal(err)
	}
	if string(m["schema_version"]) != `"0"` || string(m["big"]) != "9007199254740993" {
		t.Errorf("what was there is not: %s", got)
	}
	var limits map[string]time.Duration
	if err := json.Unmarshal(m["e2bfb730-ecaa-11e6-8f88-34363bc7c4c0"], &limits); err != nil {
		t.Fatal(err)
	}
	if want := (map[string]time.Duration{"create": 90 * time.Minute, "delete": 5 * time.Minute}); !maps.Equal(limits, want) {
		t.Errorf("timeouts %v, want %v", limits, want)
	}
	// The newer resources' private part is none of ours.
	if got, err := initScript().private([]byte(`{"x":"eQ=="}`), nil); err != nil || string(got) != `{"x":"eQ=="}` {
		t.Errorf("init script: %s, %v", got, err)
	}
}

func TestFilters(t *testing.T) {
	s := zonesData().schema
	filter := func(name string, regex bool, values ...string) cty.Value {
		return cty.ObjectVal(map[string]cty.Value{"name": str(name), "regex": cty.BoolVal(regex), "values": textList(values)})
	}
	rows := []row{
		{"id": str("a"), "n": num(int32(2)), "tags": textList([]string{"x", "y"})},
		{"id": str("b"), "n": num(int64(30)), "nothing": cty.NullVal(cty.String)},
		{"id": str("ab"), "n": num(int32(2))},
	}
	for _, c := range []struct {
		name    string
		filters []cty.Value
		want    []string
	}{
		{"none", nil, []string{"a", "b", "ab"}},
		{"exact", []cty.Value{filter("id", false, "a")}, []string{"a"}},
		{"any of the values", []cty.Value{filter("id", false, "a", "b")}, []string{"a", "b"}},
		{"regex", []cty.Value{filter("id", true, "^a")}, []string{"a", "ab"}},
		{"number", []cty.Value{filter("n", false, "30")}, []string{"b"}},
		{"all filters", []cty.Value{filter("id", true, "a"), filter("id", true, "b")}, []string{"ab"}},
		{"list", []cty.Value{filter("tags", false, "y")}, []string{"a"}},
		{"null", []cty.Value{filter("nothing", true, ".*")}, nil},
		{"no such attribute", []cty.Value{filter("nope", true, ".*")}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := testObject(s, map[string]cty.Value{"filter": collection(s.blocks["filter"].typ(), c.filters)})
			got, err := filtered(o, rows)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(ids(got), c.want) {
				t.Errorf("got %v, want %v", ids(got), c.want)
			}
		})
	}
	o := testObject(s, map[string]cty.Value{"filter": collection(s.blocks["filter"].typ(), []cty.Value{filter("id", true, "(")})})
	if _, err := filtered(o, rows); err == nil || !strings.Contains(err.Error(), "regular expression") {
		t.Errorf("bad pattern: %v", err)
	}
}

func TestHashID(t *testing.T) {
	// CRC-32 of "1-2-", as the official provider's data sources have it.
	if got := hashID([]string{"1", "2"}); got != "4058619247" {
		t.Errorf("got %s", got)
	}
}
