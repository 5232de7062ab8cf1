package localcloud

import (
	"strings"
	"time"
)

// code is the API's pair of a code and its display name. Names follow the account's language on the real API; only
// codes are stable.
type code struct {
	Code     string `json:"code"`
	CodeName string `json:"codeName"`
}

func named(c string, names map[string]string) code { return code{c, names[c]} }

var (
	serverStatusNames = map[string]string{"INIT": "Server init state", "CREAT": "Server create state", "RUN": "Server run state", "NSTOP": "Server normal stopped state",
		"FSTOP": "Server failure stopped state", "TERMT": "Server terminated state"}
	serverOpNames = map[string]string{"NULL": "Server NULL OP", "START": "Server START OP", "SHTDN": "Server SHUTDOWN OP", "RESTA": "Server RESTART OP",
		"TERMT": "Server TERMINATE OP", "CHNG": "Server SPEC CHANGE OP", "SETUP": "Server SETUP OP", "COPY": "Server COPY OP"}
	imageStatusNames = map[string]string{"INIT": "NSI INIT state", "CREAT": "NSI CREATED state", "CREFL": "NSI CREATE FAILED state"}
	imageOpNames     = map[string]string{"NULL": "NSI NULLOP", "CREAT": "NSI CREAT OP", "TERMT": "NSI TERMINATE OP"}
	shareNames       = map[string]string{"NULL": "NSI Share NULL State", "SHARE": "NSI Share SHARE State"}
	diskStatusNames  = map[string]string{"INIT": "Block storage INIT state", "CREAT": "Block storage CREATED state", "ATTAC": "Block storage ATTACHED state"}
	diskOpNames      = map[string]string{"NULL": "Block Storage NULLOP", "ATTAC": "Block Storage ATTACH OP", "DETAC": "Block Storage DETACH OP", "CREAT": "Block Storage CREATE OP",
		"CHNG": "Block Storage Resize OP", "TERMT": "Block Storage TERMINATE OP"}
	diskTypeNames  = map[string]string{"BASIC": "Basic BS", "SVRBS": "Server BS"}
	volumeNames    = map[string]string{"SSD": "SSD", "HDD": "HDD", "CB1": "Common BlockStorage 1", "FB1": "Fast BlockStorage 1", "CB2": "Common BlockStorage 2", "FB2": "Fast BlockStorage 2"}
	vpcIPStatus    = map[string]string{"INIT": "init", "SET": "setting", "RUN": "run", "TERMTING": "terminating"}
	vpcIPOps       = map[string]string{"NULL": "NULL OP", "SET": "SETTING OP", "TERMT": "TERMINATE OP", "CREAT": "CREATE OP"}
	classicIPState = map[string]string{"CREAT": "NET CREATE state", "USED": "NET USED state", "TERMT": "NET TERMINATED State"}
	classicIPOps   = map[string]string{"NULL": "NET NULL OP", "USE": "NET USE OP", "DISUS": "NET DISUSE OP"}
	netStatusNames = map[string]string{"INIT": "init", "CREATING": "creating", "SET": "set", "UNSET": "unset", "USED": "used", "NOTUSED": "notused", "RUN": "run", "TERMTING": "terminating"}
	platformNames  = map[string]string{"LNX64": "Linux 64 Bit", "UBS64": "Ubuntu Server 64 Bit", "UBD64": "Ubuntu Desktop 64 Bit", "WND64": "Windows 64 Bit"}
	serverTypes    = map[string]string{"STAND": "Standard", "CPU": "CPU-Intensive", "HICPU": "High CPU", "HIMEM": "High Memory", "GPU": "GPU", "MICRO": "Micro", "COMPT": "Compact"}
	productTypes   = map[string]string{"LINUX": "Linux", "WINNT": "Windows NT"}
	osTypeNames    = map[string]string{"LNX": "LINUX", "WND": "WINDOWS"}
	netDisk        = code{"NET", "Network Storage"}
)

// serverStatusName is what an idle server shows.
func serverStatusName(status string) string {
	switch status {
	case "INIT":
		return "init"
	case "CREAT":
		return "creating"
	case "RUN":
		return "running"
	case "NSTOP":
		return "stopped"
	case "FSTOP":
		return "repairing"
	}
	return strings.ToLower(status)
}

var seoul = time.FixedZone("KST", 9*3600)

// date writes a time as the API does; no time is an empty string.
func date(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(seoul).Format("2006-01-02T15:04:05-0700")
}
