package terraform

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// StateFile is the local state's name in a run directory.
const StateFile = "terraform.tfstate"

// ReadState reads the local state in dir without terraform. A state that is missing, blank or broken is no error but a
// Status: only what could not be read at all is an error.
func ReadState(dir string) (State, error) {
	s, err := ReadStateFile(filepath.Join(dir, StateFile))
	if err != nil {
		return s, fmt.Errorf("read the state: %w", err)
	}
	return s, nil
}

// ReadStateFile is ReadState for another file, such as errored.tfstate or a backup.
func ReadStateFile(path string) (State, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return State{Status: StateMissing, Path: path}, nil
	}
	if err != nil {
		return State{Path: path}, err
	}
	s := parseState(b)
	s.Path = path
	return s, nil
}

// StateIsEmpty tells whether the local state in dir holds no resource. sound is false when the file is damaged: then
// nothing follows from it, and only the API knows what exists.
func StateIsEmpty(dir string) (empty, sound bool, err error) {
	s, err := ReadState(dir)
	return len(s.Resources) == 0, s.Status.Sound(), err
}

// stateV4 is the state file's format, version 4: the fields that matter here.
// Source: Terraform's internal/states/statefile, the same in OpenTofu.
type stateV4 struct {
	Version          json.Number `json:"version"`
	TerraformVersion string      `json:"terraform_version"`
	Serial           uint64      `json:"serial"`
	Lineage          string      `json:"lineage"`
	Outputs          map[string]struct {
		Value     json.RawMessage `json:"value"`
		Sensitive bool            `json:"sensitive"`
	} `json:"outputs"`
	Resources []struct {
		Module    string `json:"module"`
		Mode      string `json:"mode"`
		Type      string `json:"type"`
		Name      string `json:"name"`
		Instances []struct {
			IndexKey   json.RawMessage            `json:"index_key"`
			Status     string                     `json:"status"`
			Deposed    string                     `json:"deposed"`
			Attributes map[string]json.RawMessage `json:"attributes"`
			Sensitive  [][]struct {
				Value json.RawMessage `json:"value"`
			} `json:"sensitive_attributes"`
		} `json:"instances"`
	} `json:"resources"`
}

func parseState(b []byte) State {
	if len(b) == 0 {
		return State{Status: StateBlank}
	}
	var f stateV4
	if err := json.Unmarshal(b, &f); err != nil {
		if !json.Valid(b) {
			return State{Status: StateTruncated}
		}
		return State{Status: StateForeign}
	}
	if f.Version.String() != "4" {
		return State{Status: StateForeign} // encrypted by OpenTofu, or a format to come
	}
	s := State{Status: StateEmpty, Lineage: f.Lineage, Serial: f.Serial, TerraformVersion: f.TerraformVersion, Outputs: map[string]string{}}
	for name, o := range f.Outputs {
		if v, ok := simple(o.Value); ok && !o.Sensitive {
			s.Outputs[name] = v
		}
	}
	for _, r := range f.Resources {
		if r.Mode != "managed" {
			continue
		}
		for _, in := range r.Instances {
			res := Resource{Type: r.Type, Address: r.Type + "." + r.Name, Tainted: in.Status == "tainted", Deposed: in.Deposed, Attributes: map[string]string{}}
			if r.Module != "" {
				res.Address = r.Module + "." + res.Address
			}
			if len(in.IndexKey) > 0 && string(in.IndexKey) != "null" {
				res.Address += "[" + string(in.IndexKey) + "]"
			}
			secret := map[string]bool{}
			for _, path := range in.Sensitive {
				if len(path) > 0 {
					name, _ := simple(path[0].Value)
					secret[name] = true
				}
			}
			for name, raw := range in.Attributes {
				if v, ok := simple(raw); ok && !secret[name] && !neverKept[name] {
					res.Attributes[name] = v
				}
			}
			res.ID = res.Attributes["id"]
			s.Resources = append(s.Resources, res)
		}
	}
	if len(s.Resources) > 0 {
		s.Status = StateFilled
	}
	return s
}

// neverKept are attributes that are secret even where the state does not say so, or that may hold anything.
var neverKept = map[string]bool{"private_key": true, "root_password": true, "user_data": true, "content": true}

// simple returns a JSON string, number or bool as text.
func simple(raw json.RawMessage) (string, bool) {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return "", false
	}
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case float64:
		return string(raw), true
	}
	return "", false
}

// serverFromOutputs reads the root module's outputs, as internal/render writes them.
func serverFromOutputs(out map[string]string) Server {
	return Server{
		ID: out["server_id"], Name: out["server_name"],
		PublicIP: out["public_ip"], PrivateIP: out["private_ip"], PublicIPNo: out["public_ip_no"],
		NICNo: out["network_interface_no"], ACGNo: out["access_control_group_no"], InitScriptNo: out["init_script_no"],
		BlockStorageNo: out["block_storage_no"], LoginKeyName: out["login_key_name"],
	}
}

// serverFromState gathers whatever exists, outputs or not. Tainted resources exist as well.
func serverFromState(s State) Server {
	var out Server
	for _, r := range s.Resources {
		if r.Deposed != "" { // to be destroyed; the sweep by name knows it
			continue
		}
		switch r.Type {
		case "ncloud_server":
			out.ID, out.Name, out.LoginKeyName = r.ID, r.Attributes["name"], r.Attributes["login_key_name"]
			if ip := r.Attributes["private_ip"]; ip != "" {
				out.PrivateIP = ip
			}
		case "ncloud_public_ip":
			out.PublicIPNo, out.PublicIP = r.ID, r.Attributes["public_ip"]
		case "ncloud_network_interface":
			out.NICNo = r.ID
			if out.PrivateIP == "" {
				out.PrivateIP = r.Attributes["private_ip"]
			}
		case "ncloud_access_control_group":
			out.ACGNo = r.ID
		case "ncloud_init_script":
			out.InitScriptNo = r.ID
		case "ncloud_block_storage":
			out.BlockStorageNo = r.ID
		}
	}
	return out
}
