package localcloud

import "fmt"

// VPC server specs, which server images go with.

func init() {
	handle("vserver", "getServerSpecList", func(r *request, p *struct {
		ImageNo     string   `p:"serverImageNo"`
		Zone        string   `p:"zoneCode"`
		Codes       []string `p:"serverSpecCodeList"`
		Hypervisors []string `p:"hypervisorCodeList,oneof=XEN|KVM|RHV"`
	}) (reply, *apiError) {
		hypervisor := ""
		if p.ImageNo != "" {
			if pub, ok := r.cat.serverImage(p.ImageNo); ok {
				hypervisor = pub.hypervisor
			} else if i := r.image(p.ImageNo, kindServer); i != nil {
				hypervisor = i.Hypervisor
			} else {
				return reply{}, errNoSuch("serverImageNo", p.ImageNo)
			}
		}
		rows := []specRow{}
		for _, s := range r.cat.specsFor(hypervisor, r.region) {
			if wantedIn(p.Codes, s.code) && wantedIn(p.Hypervisors, s.hypervisor) {
				rows = append(rows, s.row())
			}
		}
		return rowsOf("serverSpecList", rows), nil
	})
	handle("vserver", "getServerSpecDetail", func(r *request, p *struct {
		Code string `p:"serverSpecCode"`
	}) (reply, *apiError) {
		rows := []specRow{}
		for _, s := range r.cat.specsFor("", r.region) {
			if s.code == p.Code {
				rows = append(rows, s.row())
			}
		}
		return rowsOf("serverSpecList", rows), nil
	})
}

type specRow struct {
	Code        string `json:"serverSpecCode"`
	Generation  string `json:"generationCode"`
	CPUCount    int64  `json:"cpuCount"`
	MemorySize  int64  `json:"memorySize"`
	Hypervisor  code   `json:"hypervisorType"`
	CPU         code   `json:"cpuArchitectureType"`
	MaxDisks    int64  `json:"blockStorageMaxCount"`
	MaxIOPS     int64  `json:"blockStorageMaxIops"`
	MaxRate     int64  `json:"blockStorageMaxThroughput"`
	Network     int64  `json:"networkPerformance"`
	MaxNICs     int64  `json:"networkInterfaceMaxCount"`
	ProductCode string `json:"serverProductCode"`
	Desc        string `json:"serverSpecDescription"`
}

func (s spec) row() specRow {
	generation := "G3"
	if s.hypervisor == "XEN" {
		generation = "G2"
	}
	// The disk and network figures are those published for s2; they grow with the size. SDK and official provider keep the
	// throughput in 32 bits and refuse the whole list over a larger one.
	return specRow{s.code, generation, s.cpu, s.memGB * gb, code{s.hypervisor, s.hypervisor}, code{"X86_64", "x86 64bit"}, 20, 2362 * s.cpu, min(42467328*s.cpu, 1<<31-1), 1e9, 3,
		s.productCode, fmt.Sprintf("vCPU %dEA, Memory %dGB", s.cpu, s.memGB)}
}
