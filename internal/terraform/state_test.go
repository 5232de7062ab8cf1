package terraform

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

const filledState = `{"version":4,"terraform_version":"1.11.4","serial":7,"lineage":"l-1","outputs":{
 "server_id":{"value":"123","type":"string"},"n":{"value":5,"type":"number"},"list":{"value":["a"],"type":["list","string"]},"secret":{"value":"s","type":"string","sensitive":true}},
"resources":[
 {"mode":"data","type":"ncloud_subnet","name":"x","instances":[{"attributes":{"id":"9"}}]},
 {"module":"module.bake","mode":"managed","type":"ncloud_access_control_group","name":"this","instances":[{"index_key":0,"attributes":{"id":"31"}}]},
 {"module":"module.bake","mode":"managed","type":"ncloud_network_interface","name":"this","instances":[{"attributes":{"id":"41","private_ip":"10.0.0.6"}}]},
 {"module":"module.bake","mode":"managed","type":"ncloud_server","name":"this","instances":[
   {"status":"tainted","attributes":{"id":"123","name":"tfb-x","login_key_name":"k","cpu_count":2,"is_x":true,"user_data":"secret","private_ip":""}},
   {"deposed":"0a1b2c3d","attributes":{"id":"122"}}]},
 {"module":"module.bake","mode":"managed","type":"ncloud_login_key","name":"this","instances":[{"index_key":"a b","attributes":{"id":"k","private_key":"PEM","fingerprint":"f"},"sensitive_attributes":[[{"type":"get_attr","value":"fingerprint"}]]}]},
 {"module":"module.bake","mode":"managed","type":"ncloud_public_ip","name":"this","instances":[]}
]}`

func TestReadState(t *testing.T) {
	for name, c := range map[string]struct {
		content     string
		missing     bool
		want        StateStatus
		empty, good bool
	}{
		"missing":           {"", true, StateMissing, true, true},
		"0 bytes":           {"", false, StateBlank, true, false},
		"cut off":           {filledState[:300], false, StateTruncated, true, false},
		"zeros after crash": {"\x00\x00\x00\x00", false, StateTruncated, true, false},
		"encrypted":         {`{"serial":1,"lineage":"x","meta":{},"encrypted_data":"AAAA","encryption_version":"v0"}`, false, StateForeign, true, false},
		"version 5":         {`{"version":5}`, false, StateForeign, true, false},
		"other JSON":        {`[1,2]`, false, StateForeign, true, false},
		"empty":             {`{"version":4,"terraform_version":"1.11.4","serial":3,"lineage":"l","outputs":{},"resources":[],"check_results":null}`, false, StateEmpty, true, true},
		"filled":            {filledState, false, StateFilled, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if !c.missing {
				if err := os.WriteFile(filepath.Join(dir, StateFile), []byte(c.content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s, err := ReadState(dir)
			if err != nil || s.Status != c.want {
				t.Errorf("status %v, %v, want %v", s.Status, err, c.want)
			}
			empty, sound, err := StateIsEmpty(dir)
			if err != nil || empty != c.empty || sound != c.good {
				t.Errorf("empty %v, sound %v, %v", empty, sound, err)
			}
		})
	}
	if _, err := ReadState(filepath.Join(t.TempDir(), "x\x00y")); err == nil {
		t.Error("an unreadable path gave no error")
	}
}

func TestStateContents(t *testing.T) {
	s := parseState([]byte(filledState))
	if s.Serial != 7 || s.Lineage != "l-1" || s.TerraformVersion != "1.11.4" {
		t.Errorf("head: %+v", s)
	}
	if want := map[string]string{"server_id": "123", "n": "5"}; !reflect.DeepEqual(s.Outputs, want) {
		t.Errorf("outputs %v, want %v", s.Outputs, want)
	}
	var addrs []string
	for _, r := range s.Resources {
		addrs = append(addrs, r.Address)
	}
	want := []string{"module.bake.ncloud_access_control_group.this[0]", "module.bake.ncloud_network_interface.this",
		"module.bake.ncloud_server.this", "module.bake.ncloud_server.this", `module.bake.ncloud_login_key.this["a b"]`}
	if !reflect.DeepEqual(addrs, want) {
		t.Errorf("addresses %v", addrs)
	}
	if r := s.Resources[2]; !r.Tainted || r.ID != "123" || r.Attributes["cpu_count"] != "2" || r.Attributes["is_x"] != "true" {
		t.Errorf("server: %+v", r)
	}
	if s.Resources[3].Deposed != "0a1b2c3d" {
		t.Errorf("deposed: %+v", s.Resources[3])
	}
	for _, r := range s.Resources {
		for _, secret := range []string{"user_data", "private_key"} {
			if _, ok := r.Attributes[secret]; ok {
				t.Errorf("%s keeps %s", r.Address, secret)
			}
		}
	}
	if _, ok := s.Resources[4].Attributes["fingerprint"]; ok {
		t.Error("an attribute marked sensitive was kept")
	}
}

func TestServerFromState(t *testing.T) {
	s := parseState([]byte(filledState))
	want := Server{ID: "123", Name: "tfb-x", PrivateIP: "10.0.0.6", NICNo: "41", ACGNo: "31", LoginKeyName: "k"}
	if got := serverFromState(s); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := serverFromState(State{}); got != (Server{}) {
		t.Errorf("nothing: %+v", got)
	}
}
